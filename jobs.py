"""What one job does: find or train its fit, run the post-fit callbacks, write result.json. And, before any job, the
check of all."""

import json
import logging
import platform
import time
import traceback
from importlib.metadata import version
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

import compose
import runs
from callbacks.epoch_seed import EpochSeed
from fitting import build, find_or_train, make_trainer, plain, quiet, stored_test_metrics
from storage import read_json, write_json, write_text

log = logging.getLogger("train")


def fit_of(config: dict, choices: dict[str, str]) -> runs.Fit:
    """The fit a job names."""
    return runs.Fit(config, f"{choices['model']}-{choices['dataset']}", Path(config["paths"]["outputs"]))


def preflight(command: compose.Command) -> None:
    """Builds every distinct part of every job and checks the data and what was fitted before, training nothing.

    Raises:
        ValueError, TypeError: what is wrong, in one line.
    """
    built: dict[str, object] = {}

    def once(config: dict | list, make):
        key = json.dumps(config, sort_keys=True)
        if key not in built:
            built[key] = make()
        return built[key]

    fits: dict[str, runs.Fit] = {}
    for cfg, choices in zip(command.jobs, command.choices, strict=True):
        config = plain(cfg)
        if config["trainer"]["devices"] != 1:
            raise ValueError(f"trainer.devices={config['trainer']['devices']}: a fit runs on one device")
        if not isinstance(epochs := config["trainer"]["max_epochs"], int) or epochs < 1:
            raise ValueError(f"trainer.max_epochs={epochs}: expects a positive whole number")
        EpochSeed(config["seed"])
        datamodule = once(config["dataset"], lambda c=config: build(c["dataset"]))
        once(config["model"], lambda c=config: build(c["model"]))
        datamodule.setup()
        for callback in config["callbacks"]["fit"].values():
            once(callback, lambda c=callback: build(c))
        for callback in config["callbacks"]["post_fit"].values():
            once([config["dataset"], callback], lambda c=callback, d=datamodule: build(c).check(d))
        fit = once(
            {k: config[k] for k in ("model", "dataset", "trainer", "seed", "compile")},
            lambda c=config, chosen=choices: fit_of(c, chosen),
        )
        fits[fit.name] = fit
    for outputs in {fit.folder.parent.parent for fit in fits.values()}:
        runs.require_writable(outputs)
    for fit in fits.values():
        if command.jobs[0].fresh:
            if kept := fit.set_aside():
                print(f"fresh=true: what was fitted before lies in {kept}")
        else:
            fit.check()


def run_job(cfg: DictConfig, choices: dict[str, str], overrides: list[str], folder: Path) -> None:
    """Runs one job into ``folder``; a failure is written down, not raised."""
    quiet()
    config = plain(cfg)
    fit = fit_of(config, choices)
    identity = job_identity(config, fit)
    earlier = folder / "result.json"
    if earlier.exists():
        result = read_json(earlier)
        same = (result["job"], result["fit_created"]) == (identity, fit.record.get("created"))
        if result["status"] == "ok" and same:
            log.info(f"{folder.name}: finished before, accuracy {result['metrics'].get('accuracy', float('nan')):.4f}")
            return
        if kept := runs.set_results_aside(folder):
            log.info(f"{folder.name}: another result was here, kept in {kept.name}")
    start = time.perf_counter()
    result = {
        "status": "failed", "choices": choices, "overrides": overrides, "n_labels": config["n_labels"],
        "label_seed": config["label_seed"], "seed": config["seed"], "labels_sha256": None, "fit": fit.name,
        "fit_created": None, "fit_reused": None, "job": identity, "metrics": {}, "seconds": {}, "error": None,
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
    start = time.perf_counter()
    result |= {"fit_reused": reused, "fit_created": fit.record["created"]}
    result["seconds"]["fit"] = 0.0 if reused else fit.record["seconds"]
    result["metrics"] |= stored_test_metrics(config, fit, datamodule)
    callbacks = [build(c, folder=folder, fit_folder=fit.folder) for c in config["callbacks"]["post_fit"].values()]
    # The epochs are all there: Lightning trains none and calls on_fit_end.
    trainer = make_trainer(config, fit.folder, callbacks, logger=False, enable_progress_bar=False)
    trainer.fit(build(config["model"]), datamodule, ckpt_path=fit.checkpoint)
    result["seconds"]["classify"] = round(time.perf_counter() - start, 3)
    for callback in callbacks:
        result["metrics"] |= callback.metrics
        result |= callback.facts
    _to_tensorboard(config, result, folder, {k: v for c in callbacks for k, v in c.figures.items()})
    shown = ", ".join(f"{k} {result['metrics'][k]:.4f}" for k in ("accuracy", "f1") if k in result["metrics"])
    log.info(f"{folder.name}: {shown} on {'the fit found' if reused else 'the new fit'} {fit.name}")


def job_identity(config: dict, fit: runs.Fit) -> str:
    """What decides a job's result beside its fit: the post-fit callbacks, their code, and what the test reads."""
    post_fit = config["callbacks"]["post_fit"]
    return runs.digest([fit.name, post_fit, runs.source_digests(runs.targets(post_fit)), fit.test_file.name])[:16]


def _to_tensorboard(config: dict, result: dict, folder: Path, figures: dict) -> None:
    """The job's own run in TensorBoard: its figures, and its settings beside its final metrics."""
    logger = build(config["logger"] | {"save_dir": str(folder)})
    settings = result["choices"] | {k: config[k] for k in ("n_labels", "label_seed", "seed")} | {"fit": result["fit"]}
    logger.log_hyperparams(settings, {f"result/{name}": value for name, value in result["metrics"].items()})
    for name, figure in figures.items():
        logger.experiment.add_figure(name, figure)
        figure.savefig(folder / f"{name}.png")
    logger.finalize("success")


def versions() -> dict[str, str]:
    """The versions a result was made with."""
    packages = ("torch", "torchvision", "pytorch-lightning", "hydra-core", "scikit-learn", "torchmetrics", "numpy")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}
