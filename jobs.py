"""What one job does: find or train its fit, run the post-fit callbacks, write result.json."""

import logging
import platform
import time
import traceback
from importlib.metadata import version
from pathlib import Path

from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

import compose
import runs
from fitting import (
    build,
    find_or_train,
    make_trainer,
    named,
    plain,
    quiet,
    required_models,
    stored_test_metrics,
)
from storage import DamagedFile, read_json, write_json, write_text

log = logging.getLogger("train")


def fit_of(config: dict, choices: dict[str, str]) -> runs.Fit:
    """The fit a job names, with those it requires."""
    requires = {}
    for name, settings in (config["callbacks"].get("requires") or {}).items():
        try:
            command = compose.read_command("train", [*_handed_down(config, choices), *_as_arguments(settings)])
        except compose.Mistake as mistake:
            raise ValueError(f"callbacks.requires.{name}: {mistake}") from None
        requires[name] = fit_of(plain(command.jobs[0]), command.choices[0])
    label = f"{choices['model']}-{choices['dataset']}"
    return runs.Fit(config, label, Path(config["paths"]["outputs"]), requires)


def _as_arguments(settings: dict, prefix: str = "") -> list[str]:
    """Nested settings as on a command line: ``a.b=value``."""
    arguments = []
    for key, value in settings.items():
        nested = isinstance(value, dict)
        arguments += _as_arguments(value, f"{prefix}{key}.") if nested else [f"{prefix}{key}={value}"]
    return arguments


def _handed_down(config: dict, choices: dict[str, str]) -> list[str]:
    """What a required fit has in common with the job: the data and where things lie."""
    common = [f"dataset={choices['dataset']}", f"dataset.val_size={config['dataset']['val_size']}"]
    common += [compose.quoted(f"paths.{name}={folder}") for name, folder in config["paths"].items()]
    return [*common, *(f"trainer.{name}={config['trainer'][name]}" for name in ("accelerator", "enable_progress_bar"))]


def run_job(cfg: DictConfig, choices: dict[str, str], overrides: list[str], folder: Path) -> None:
    """Runs one job into ``folder``; a failure is written down, not raised."""
    quiet()
    config = plain(cfg)
    fit = fit_of(config, choices)
    identity = job_identity(config, fit)
    if (folder / "result.json").exists():
        try:
            result = read_json(folder / "result.json")
        except DamagedFile as error:
            result = {"status": "damaged"}
            log.warning(str(error))
        if result["status"] == "ok" and (result["job"], result["fit_created"]) == (identity, fit.record.get("created")):
            log.info(f"{folder.name}: finished before, {in_short(result)}")
            return
        if kept := runs.set_results_aside(folder):
            log.info(f"{folder.name}: another result was here, kept in {kept.name}")
    start = time.perf_counter()
    result = {
        "status": "failed", "choices": choices, "overrides": overrides,
        "n_labels": read_by(config, "n_labels"), "label_seed": read_by(config, "label_seed"), "seed": config["seed"],
        "labels_sha256": None, "fit": fit.name, "requires": fit.identity.get("requires", {}),
        "fit_created": None, "fit_reused": None, "job": identity, "setting": setting(config, fit),
        "metrics": {}, "seconds": {}, "error": None, **shown_as(config),
        "versions": versions(), "created": runs.timestamp(),
    }  # fmt: skip
    write_text(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(config)))
    try:
        _run(config, fit, folder, result)
        result["status"] = "ok"
    except BaseException as error:
        result["error"] = f"{type(error).__name__}: {error}" if not isinstance(error, SystemExit) else "interrupted"
        log.error(f"{folder.name}: FAILED, {result['error']}")
        (folder / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8")
        if not isinstance(error, Exception):
            raise
    finally:
        result["seconds"]["total"] = round(time.perf_counter() - start, 3)
        write_json(folder / "result.json", result)


def _run(config: dict, fit: runs.Fit, folder: Path, result: dict) -> None:
    datamodule, reused = find_or_train(config, fit)
    result |= {"fit_reused": reused, "fit_created": fit.record["created"]}
    result["seconds"]["fit"] = 0.0 if reused else fit.record["seconds"]
    test = stored_test_metrics(config, fit, datamodule)
    post_fit = named(config, "post_fit")
    cache = fit.cache(runs.targets(post_fit))
    context = {"folder": folder, "cache": cache, "fit_folder": fit.folder} | required_models(fit)
    callbacks = [build(c, **context) for c in post_fit]
    # The epochs are all there: Lightning trains none and calls on_fit_end.
    trainer = make_trainer(config, fit.folder, list(callbacks), logger=False, enable_progress_bar=False)
    trainer.fit(build(config["model"]), datamodule, ckpt_path=fit.checkpoint)
    result["seconds"]["classify"] = round(sum(callback.seconds for callback in callbacks), 3)
    for callback in callbacks:
        result["metrics"] |= callback.metrics
        result |= callback.facts
    result["metrics"] |= test
    _to_tensorboard(config, result, folder, {k: v for c in callbacks for k, v in c.figures.items()})
    log.info(f"{folder.name}: {in_short(result)} on {'the fit found' if reused else 'the new fit'} {fit.name}")


def read_by(config: dict, setting: str):
    """A setting as the job's post-fit callbacks are given it; None if none of them is."""
    return next((callback[setting] for callback in named(config, "post_fit") if setting in callback), None)


def job_identity(config: dict, fit: runs.Fit) -> str:
    """What decides a job's result beside its fit: the post-fit callbacks, their code, and what the test reads."""
    post_fit = runs.canonical(named(config, "post_fit"))
    return runs.digest([fit.name, post_fit, runs.source_digests(runs.targets(post_fit)), fit.test_file.name])[:16]


def shown_as(config: dict) -> dict:
    """How a table shows this job, as its post-fit callbacks' classes say: ``headline`` (name of a metric to ``percent``
    or ``number``) and ``repeats``, the setting that it averages over."""
    classes = [get_class(target["_target_"]) for target in named(config, "post_fit")]
    headline = {name: form for shown in classes for name, form in shown.headline.items()}
    return {"headline": headline, "repeats": classes[0].repeats if classes else "seed"}


def setting(config: dict, fit: runs.Fit) -> str:
    """A job's identity but for what its table averages over: the jobs that may be averaged."""
    repeated = shown_as(config)["repeats"]

    def but_repeated(content):
        if isinstance(content, dict):
            return {key: but_repeated(value) for key, value in content.items() if key != repeated}
        return [but_repeated(value) for value in content] if isinstance(content, list) else content

    post_fit = named(config, "post_fit")
    identity = but_repeated(runs.canonical([fit.identity, post_fit]))
    return runs.digest([identity, runs.source_digests(runs.targets(post_fit))])[:16]


def in_short(result: dict) -> str:
    """What a result came to: its statement, or its first metrics."""
    names = [name for name in result["headline"] or result["metrics"] if name in result["metrics"]]
    return result.get("statement") or ", ".join(f"{name} {result['metrics'][name]:.4f}" for name in names[:4])


def _to_tensorboard(config: dict, result: dict, folder: Path, figures: dict) -> None:
    """The job's own run in TensorBoard: its figures, and its settings beside its final metrics."""
    logger = build(config["logger"] | {"save_dir": str(folder)})
    chosen = {k: v for k, v in result["choices"].items() if k not in ("callbacks", "logger", "trainer")}
    read = {k: result[k] for k in ("n_labels", "label_seed", "seed") if result[k] is not None}
    settings = chosen | read | {"fit": result["fit"]}
    logger.log_hyperparams(settings, {f"result/{name}": value for name, value in result["metrics"].items()})
    for name, figure in figures.items():
        logger.experiment.add_figure(name, figure)
        figure.savefig(folder / f"{name}.png")
    logger.finalize("success")


def versions() -> dict[str, str]:
    """The versions a result was made with."""
    packages = ("torch", "torchvision", "pytorch-lightning", "hydra-core", "scikit-learn", "torchmetrics", "numpy")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}
