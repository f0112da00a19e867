"""What a unit does: its fit is found or trained, then each of its jobs looks at it and writes a result."""

import contextlib
import logging
import logging.config
import platform
import time
import traceback
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path

from callbacks.analyses.base import Analysis, Outcome
from latent_lab.fits import Fit, digest
from latent_lab.folders import set_results_aside, timestamp
from latent_lab.opened import OpenFit
from latent_lab.plan import PlannedJob, Unit
from latent_lab.showing import show
from latent_lab.sources import source_digests
from latent_lab.storage import DamagedFile, read_json, write_artefact, write_json, write_text, write_yaml
from latent_lab.targets import build, resolve, targets
from latent_lab.training import configured, find_or_train, make_loggers, stored_test_metrics

log = logging.getLogger("train")


def run_unit(unit: Unit, logging_config: dict) -> None:
    """Leaves the unit's fit finished, and a result in the folder of each of its jobs, whatever happens.

    Raises:
        SystemExit, KeyboardInterrupt: when told to stop; the job at hand is then written down as interrupted.
    """
    fit, waiting = unit.fit, [job for job in unit.jobs if not finished_before(job, unit.fit, logging_config)]
    if not waiting:
        if not unit.jobs and not fit.finished:
            find_or_train(fit, unit.datamodule)
        return
    start, reused = time.perf_counter(), None
    try:
        with logs_into(waiting[0].folder, logging_config), written_down(waiting, fit):
            reused = find_or_train(fit, unit.datamodule)
    except Exception:
        return  # said in the results of all its jobs
    opened = OpenFit(fit.folder, unit.datamodule, config=fit.config)
    for number, job in enumerate(waiting):
        with logs_into(job.folder, logging_config), contextlib.suppress(Exception):
            with written_down([job], fit) as result:
                result["seconds"]["fit"] = round(time.perf_counter() - start, 3) if not (number or reused) else 0.0
                run_job(job, fit, opened, result, reused or number > 0)


def run_job(job: PlannedJob, fit: Fit, opened: OpenFit, result: dict, reused: bool) -> None:
    """Runs a job's analyses on its finished fit, and gathers in ``result`` what they found."""
    start = time.perf_counter()
    result |= {"fit_reused": reused, "fit_created": fit.record["created"]}
    analyses = [build(config, **opened.required) for config in configured(job.config, "analyses")]
    figures = {}
    for analysis in analyses:
        outcome: Outcome = analysis.run(opened)
        result["metrics"] |= outcome.metrics
        result |= outcome.facts
        result["seconds"]["analyses"] = round(result["seconds"].get("analyses", 0.0) + outcome.seconds, 3)
        figures |= outcome.figures
        for name, content in outcome.artefacts.items():
            write_artefact(job.folder / name, content)
    result["metrics"] |= stored_test_metrics(fit, opened)
    loggers = make_loggers(job.config, job.folder, job.folder.name)
    show(loggers, shown_settings(result), result["metrics"], figures, job.folder)
    result["seconds"]["total"] = round(result["seconds"]["fit"] + time.perf_counter() - start, 3)
    log.info(f"{job.folder.name}: {in_short(result)} on {'the fit found' if reused else 'the new fit'} {fit.name}")


def finished_before(job: PlannedJob, fit: Fit, logging_config: dict) -> bool:
    """Whether a job's result is there. One of another job, or of a failure, is set aside; an interruption's is not
    worth keeping."""
    file = job.folder / "result.json"
    if not file.exists():
        return False
    with logs_into(job.folder, logging_config):
        try:
            result = read_json(file)
        except DamagedFile as error:
            result = {"status": "damaged"}
            log.warning(str(error))
        same = (result.get("job"), result.get("fit_created")) == (
            job_identity(job.config, fit),
            fit.record.get("created"),
        )
        if result["status"] == "ok" and same:
            log.info(f"{job.folder.name}: finished before, {in_short(result)}")
            return True
        if result["status"] == "interrupted":
            file.unlink()
        elif kept := set_results_aside(job.folder):
            log.info(f"{job.folder.name}: another result was here, kept in {kept.name}")
    return False


@contextlib.contextmanager
def written_down(jobs: list[PlannedJob], fit: Fit) -> Iterator[dict]:
    """What becomes of jobs is in their ``result.json`` at the end: ``ok`` where one was run, ``failed`` with the error,
    ``interrupted``. Several jobs share an error, and leave nothing where there is none.

    Yields:
        the result, to be added to.
    """
    results = [blank_result(job, fit) for job in jobs]
    for job in jobs:
        job.folder.mkdir(parents=True, exist_ok=True)
        write_yaml(job.folder / "config.yaml", job.config)
    try:
        yield results[0]
    except BaseException as error:
        stopped = not isinstance(error, Exception)
        message = "interrupted" if stopped else f"{type(error).__name__}: {error}"
        for job, result in zip(jobs, results, strict=True):
            write_text(job.folder / "traceback.txt", traceback.format_exc())
            result |= {"status": "interrupted" if stopped else "failed", "error": message}
            write_json(job.folder / "result.json", result)
            log.error(f"{job.folder.name}: {'INTERRUPTED' if stopped else f'FAILED, {message}'}")
            if stopped:
                break  # the others have not begun
        raise
    if len(jobs) == 1 and results[0]["fit_created"]:
        write_json(jobs[0].folder / "result.json", results[0] | {"status": "ok"})


def blank_result(job: PlannedJob, fit: Fit) -> dict:
    """A job's result before anything came of it."""
    config, words = job.config, job.job
    return {
        "status": "failed", "choices": words.choices, "settings": words.settings, "overrides": words.overrides,
        "n_labels": read_by(config, "n_labels"), "label_seed": read_by(config, "label_seed"), "seed": config["seed"],
        "labels_sha256": None, "fit": fit.name, "requires": fit.identity.get("requires", {}),
        "fit_created": None, "fit_reused": None, "job": job_identity(config, fit), "setting": setting(config, fit),
        "metrics": {}, "seconds": {}, "error": None, **shown_as(config), "versions": versions(), "created": timestamp(),
    }  # fmt: skip


def read_by(config: dict, name: str):
    """A setting as the job's analyses are given it; None if none of them is."""
    return next((analysis[name] for analysis in configured(config, "analyses") if name in analysis), None)


def job_identity(config: dict, fit: Fit) -> str:
    """What decides a job's result beside its fit: the analyses, their code, and what the test reads."""
    analyses = configured(config, "analyses")
    return digest([fit.name, analyses, source_digests(targets(analyses), of_fit=False), fit.test_file.name])[:16]


def setting(config: dict, fit: Fit) -> str:
    """A job's identity but for what its table averages over: the jobs that may be averaged."""
    repeated = shown_as(config)["repeats"]

    def but_repeated(content):
        if isinstance(content, dict):
            return {key: but_repeated(value) for key, value in content.items() if key not in repeated}
        return [but_repeated(value) for value in content] if isinstance(content, list) else content

    analyses = configured(config, "analyses")
    # a subset of the data that follows the draw of the labels is other data each time, by the same setting
    identity = {name: part for name, part in fit.identity.items() if name not in ("data", "requires")}
    return digest([but_repeated([identity, analyses]), source_digests(targets(analyses), of_fit=False)])[:16]


def shown_as(config: dict) -> dict:
    """How a table shows this job, as its analyses' classes say: ``headline`` (name of a metric to ``percent`` or
    ``number``) and ``repeats``, the settings that it averages over."""
    classes: list[type[Analysis]] = [resolve(analysis["_target_"]) for analysis in configured(config, "analyses")]
    headline = {name: form for shown in classes for name, form in shown.headline.items()}
    return {"headline": headline, "repeats": list(classes[0].repeats) if classes else ["seed"]}


def shown_settings(result: dict) -> dict:
    """What stands beside a job's metrics in a logger."""
    chosen = {k: v for k, v in result["choices"].items() if k not in ("callbacks", "logger", "trainer")}
    read = {k: result[k] for k in ("n_labels", "label_seed", "seed") if result[k] is not None}
    return chosen | read | {"fit": result["fit"]}


def in_short(result: dict) -> str:
    """What a result came to: its statement, or its first metrics."""
    names = [name for name in result["headline"] or result["metrics"] if name in result["metrics"]]
    return result.get("statement") or ", ".join(f"{name} {result['metrics'][name]:.4f}" for name in names[:4])


@contextlib.contextmanager
def logs_into(folder: Path, config: dict) -> Iterator[None]:
    """Logging as ``hydra.job_logging`` says, with the files in a job's folder."""
    folder.mkdir(parents=True, exist_ok=True)

    def placed(content):
        if isinstance(content, dict):
            return {key: placed(value) for key, value in content.items()}
        if isinstance(content, list):
            return [placed(value) for value in content]
        if not isinstance(content, str):
            return content
        return content.replace("${hydra.runtime.output_dir}", str(folder)).replace("${hydra.job.name}", "train")

    root = logging.getLogger()
    if config:
        logging.config.dictConfig(placed(config))
    try:
        yield
    finally:
        for handler in [handler for handler in root.handlers if isinstance(handler, logging.FileHandler)]:
            root.removeHandler(handler)
            handler.close()


@cache
def versions() -> dict[str, str]:
    """The versions a result was made with."""
    packages = ("torch", "torchvision", "pytorch-lightning", "hydra-core", "scikit-learn", "torchmetrics", "numpy")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}
