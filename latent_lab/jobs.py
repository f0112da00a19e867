"""What a unit does: its fit is found or trained, then each of its jobs looks at it and writes a result."""

import contextlib
import logging
import os
import platform
import time
import traceback
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytorch_lightning as pl
import torch

from callbacks.analyses.base import Analysis, Outcome
from latent_lab.fits import digest
from latent_lab.folders import set_results_aside, timestamp
from latent_lab.logs import logs_into
from latent_lab.opened import OpenFit
from latent_lab.place import place
from latent_lab.plan import PlannedJob, Unit
from latent_lab.results import checksums, is_bound, read_result, require_as_written
from latent_lab.rounding import rounded
from latent_lab.showing import show
from latent_lab.sources import source_digests
from latent_lab.stopping import require_not_told, told
from latent_lab.storage import (
    DamagedFile,
    NoSpace,
    no_space,
    remove_left_overs,
    write_artefact,
    write_json,
    write_text,
    write_yaml,
)
from latent_lab.targets import build, resolve, targets
from latent_lab.training import configured, find_or_train, make_loggers, stored_test_metrics

log = logging.getLogger("train")


def run_unit(unit: Unit, logging_config: dict, observers: Sequence[pl.Callback] = ()) -> None:
    """Leaves the unit's fit finished, and a result in the folder of each of its jobs, whatever happens; ``observers``
    may watch the training.

    Raises:
        SystemExit, KeyboardInterrupt: when told to stop; the job at hand is then written down as interrupted.
    """
    fit, waiting = unit.fit, [job for job in unit.jobs if not finished_before(job, logging_config)]
    if not waiting:
        if not unit.jobs and not fit.finished:
            find_or_train(fit, unit.datamodule, observers)
        return
    try:
        with logged(waiting[0].folder, logging_config), written_down(waiting):
            found = find_or_train(fit, unit.datamodule, observers)
    except Exception:
        return  # said in the results of all its jobs
    opened: dict[Path, OpenFit] = {}
    for number, job in enumerate(waiting):
        with logged(job.folder, logging_config), contextlib.suppress(Exception), written_down([job]) as result:
            if otherwise := job.fit.watched_otherwise():
                log.info(f"fit {fit.name}: was watched with other settings: {otherwise}; fresh=true trains anew")
            if job.fit.test_file not in opened:
                opened[job.fit.test_file] = OpenFit(fit.folder, job.datamodule, config=job.fit.config)
            run_job(job, opened[job.fit.test_file], result, reused=found or number > 0)
            write_json(job.folder / "result.json", result | {"status": "ok", "files": checksums(job.folder)})


def run_job(job: PlannedJob, opened: OpenFit, result: dict, reused: bool) -> None:
    """Runs a job's analyses on its finished fit, and gathers in ``result`` what they found."""
    remove_left_overs(job.folder)
    start, record = time.perf_counter(), job.fit.record
    result |= {"fit_reused": reused, "fit_created": record["created"]}
    result["seconds"] = {"fit": 0.0 if reused else record["seconds"], "analyses": 0.0}
    figures = {}
    for config in configured(job.config, "analyses"):
        opened.asked_by = config["_target_"]
        outcome: Outcome = build(config, **opened.required).run(opened)
        _add_metrics(result, outcome.metrics, config["_target_"])
        result |= outcome.facts
        result["seconds"]["analyses"] += round(outcome.seconds, 3)
        figures |= outcome.figures
        for name, content in outcome.artefacts.items():
            write_artefact(job.folder / name, content)
    _add_metrics(result, stored_test_metrics(job.fit, opened), job.config["model"]["_target_"])
    loggers = make_loggers(job.config, job.folder, job.folder.name)
    show(loggers, shown_settings(result), result, figures, job.folder)
    result["seconds"]["total"] = round(result["seconds"]["fit"] + time.perf_counter() - start, 3)
    log.info(f"{job.folder.name}: {in_short(result)} on {'the fit found' if reused else 'the new fit'} {job.fit.name}")


def _add_metrics(result: dict, metrics: dict[str, float], target: str) -> None:
    """Adds to a result's metrics what the class of that name gave; raises ValueError for one that is there already."""
    if twice := result["metrics"].keys() & metrics.keys():
        raise ValueError(f"{target}: gives {min(twice)}, which another analysis gave; leave one out")
    result["metrics"] |= metrics


def finished_before(job: PlannedJob, logging_config: dict) -> bool:
    """Whether a job's result is there. One of another job, or of a failure, is set aside; an interruption's is not
    worth keeping."""
    file = job.folder / "result.json"
    if not file.exists():
        return False
    with logged(job.folder, logging_config):
        try:
            result = read_result(job.folder)
            for name in result.get("files", {}):
                require_as_written(job.folder / name, result)
        except DamagedFile as error:
            result = {"status": "damaged"}
            log.warning(str(error))
        then = (result.get("job"), result.get("fit_created"))
        if result.get("status") == "ok" and then == (job_identity(job), job.fit.record.get("created")):
            log.info(f"{job.folder.name}: finished before, {in_short(result)}")
            return True
        if result.get("status") == "interrupted":
            file.unlink()
        elif kept := set_results_aside(job.folder):
            log.info(f"{job.folder.name}: another result was here, kept in {kept.name}")
    return False


@contextlib.contextmanager
def written_down(jobs: list[PlannedJob]) -> Iterator[dict]:
    """An error is written into the ``result.json`` of all these jobs, as ``failed``; that the process was told to stop,
    into the first's, as ``interrupted``: the others have not begun.

    Yields:
        the first job's result, to be added to.
    """
    first = blank_result(jobs[0])
    try:
        write_yaml(jobs[0].folder / "config.yaml", jobs[0].config)
        yield first
    except BaseException as error:
        stopped = told() or not isinstance(error, Exception)  # whatever error the interruption was made into
        for number, job in enumerate(jobs[: 1 if stopped else None]):
            said = "interrupted" if stopped else removed(error, job) or in_a_line(error, job.folder)
            log.error(f"{job.folder.name}: {'INTERRUPTED' if stopped else f'FAILED, {said}'}")
            result = blank_result(job) if number else first
            result |= {"status": "interrupted" if stopped else "failed", "error": said}
            with contextlib.suppress(OSError, NoSpace):  # it has been said, and a job without a result is not done
                _write_down(job, result, "" if stopped else traceback.format_exc())
        require_not_told()
        raise


def _write_down(job: PlannedJob, result: dict, trace: str) -> None:
    job.folder.mkdir(parents=True, exist_ok=True)
    write_json(job.folder / "result.json", result)
    write_yaml(job.folder / "config.yaml", job.config)
    if trace:
        write_text(job.folder / "traceback.txt", trace)


def in_a_line(error: Exception, folder: Path) -> str:
    """An error as a result tells it."""
    if full := no_space(error, folder):
        return str(full)
    return str(error) if isinstance(error, DamagedFile) else f"{type(error).__name__}: {error}"


def removed(error: Exception, job: PlannedJob) -> str | None:
    """What an error comes to where a folder was removed that the job writes into; None of any other."""
    if isinstance(error, FileNotFoundError) and isinstance(error.filename, str | bytes):
        for folder in (job.fit.folder, job.folder):
            if Path(os.fsdecode(error.filename)).is_relative_to(folder) and not folder.exists():
                gone = next(at for at in (*reversed(folder.parents), folder) if not at.exists())
                return f"{gone} was removed while it was written into; the same command starts anew"
    return None


@contextlib.contextmanager
def logged(folder: Path, config: dict) -> Iterator[None]:
    """Logging into a job's folder; without a log where that takes none, which keeps no job from being done."""
    raising, logging.raiseExceptions = logging.raiseExceptions, False  # a full disk, told in a traceback a line
    log_file = contextlib.ExitStack()
    try:
        log_file.enter_context(logs_into(folder, config))
    except (OSError, ValueError) as error:
        log.warning(f"{folder}: takes no log ({error.__cause__ or error})")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            log_file.close()
        logging.raiseExceptions = raising


def blank_result(job: PlannedJob) -> dict:
    """A job's result before anything came of it."""
    config, words, fit = job.config, job.job, job.fit
    return {
        "status": "failed", "choices": words.choices, "settings": words.settings, "overrides": words.overrides,
        "n_labels": read_by(config, "n_labels"), "label_seed": read_by(config, "label_seed"), "seed": config["seed"],
        "scored_on": read_by(config, "score_on"), "labels_sha256": None, "fit": fit.name,
        "requires": fit.identity.get("requires", {}),
        "fit_created": None, "fit_reused": None, "job": job_identity(job), "setting": setting(job),
        "curve": setting(job, but="n_labels"),
        "metrics": {}, "seconds": {}, "error": None, **shown_as(config), "versions": versions(),
        "place": place() | {"gpu": gpu()}, "created": timestamp(),
    }  # fmt: skip


def read_by(config: dict, name: str):
    """A setting as the job's analyses are given it; None if none of them is."""
    return next((analysis[name] for analysis in configured(config, "analyses") if name in analysis), None)


def job_identity(job: PlannedJob) -> str:
    """What decides a job's result beside its fit: the analyses, their code, and what the test reads."""
    analyses = configured(job.config, "analyses")
    code = source_digests(targets(analyses), of_fit=False)
    return digest([job.fit.name, analyses, code, job.fit.test_file.name])[:16]


def setting(job: PlannedJob, but: str | None = None) -> str:
    """A job's identity but for what its table averages over: the jobs that may be averaged. Also ``but`` for what runs
    along the axis of a chart: the jobs that may be joined by a line."""
    repeated = [*shown_as(job.config)["repeats"], but]

    def but_repeated(content):
        if isinstance(content, dict):
            return {key: but_repeated(value) for key, value in content.items() if key not in repeated}
        return [but_repeated(value) for value in content] if isinstance(content, list) else content

    analyses = configured(job.config, "analyses")
    # what is trained on may be a subset that follows the draw of the labels: other data each time, by the same setting
    identity = job.fit.identity | {"data": job.fit.data["other_fingerprint"]}
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
    """What a result came to: its first metrics. The verdict is said at the end."""
    names = [name for name in result["headline"] or result["metrics"] if name in result["metrics"]]
    names = [name for name in names if not is_bound(name)]
    return ", ".join(f"{name} {rounded(result['metrics'][name])}" for name in names[:4])


@cache
def gpu() -> str | None:
    """The name of the GPU that this process has; None if it has none."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


@cache
def versions() -> dict[str, str]:
    """The versions a result was made with."""
    packages = ("torch", "torchvision", "pytorch-lightning", "hydra-core", "scikit-learn", "torchmetrics", "numpy")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}
