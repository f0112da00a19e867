"""What one job does: build its parts, find or train the fit, run the post-fit callbacks, write result.json."""

import inspect
import json
import logging
import os
import platform
import time
import traceback
import warnings
from importlib.metadata import version
from pathlib import Path

import pytorch_lightning as pl
import torch
from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import ModelCheckpoint, TQDMProgressBar

import compose
import runs
from callbacks.epoch_seed import EpochSeed
from storage import AtomicCheckpointIO, load_checkpoint, read_json, write_json, write_text

log = logging.getLogger("train")
BATCHES_PER_REFRESH = 20  # of the progress bar, which costs as much as a small step
COUNTS = ("active_units", "test_nll_samples", "test_nll_images")  # Lightning logs floats only
PRECISIONS = ("auto", "32-true", "bf16-mixed", "64-true")


def resolve_precision(precision: str | int, accelerator: str) -> str:
    """``auto`` becomes ``bf16-mixed`` where the hardware computes in bfloat16, ``32-true`` elsewhere.

    Raises:
        ValueError: for a precision that is not known to train here.
    """
    if str(precision) in ("32", "64"):
        precision = f"{precision}-true"
    if precision not in PRECISIONS:
        raise ValueError(f"trainer.precision={precision}: accepted are {', '.join(PRECISIONS)}")
    if precision != "auto":
        return precision
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif accelerator in ("auto", "cpu"):
        native = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    else:
        native = False
    return "bf16-mixed" if native else "32-true"


def plain(cfg: DictConfig) -> dict:
    """The resolved configuration as plain values, precision decided."""
    config = OmegaConf.to_container(cfg, resolve=True)
    config["trainer"]["precision"] = resolve_precision(config["trainer"]["precision"], config["trainer"]["accelerator"])
    return config


def build(config: dict, **context):
    """The object a plain configuration describes (``_target_`` and arguments).

    Of ``context`` (``folder``, ``fit_folder``) its class is given what its constructor accepts.

    Raises:
        ValueError, TypeError: what the constructor says of its arguments, or for a class that may not be named.
    """
    runs.require_known_targets(config)
    accepted = inspect.signature(get_class(config["_target_"])).parameters
    try:
        return instantiate(config, **{k: v for k, v in context.items() if k in accepted}, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__ or error
        if isinstance(cause, TypeError):
            raise TypeError(f"{config['_target_']}: {cause}") from None
        raise cause from None


def fit_of(config: dict, choices: dict[str, str]) -> runs.Fit:
    """The fit a job names."""
    return runs.Fit(config, f"{choices['model']}-{choices['dataset']}", Path(config["paths"]["outputs"]))


def preflight(command: compose.Command) -> None:
    """Builds every distinct part of every job and checks the data and what was fitted before, training nothing.

    Raises:
        ValueError, TypeError: what is wrong, in one line.
    """
    built: dict[str, object] = {}

    def once(config: dict, make):
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
            once({"data": config["dataset"], "callback": callback}, lambda c=callback: build(c).check(datamodule))
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
        if result["status"] == "ok" and result["job"] == identity and result["fit_created"] == fit.record.get("created"):
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
    callbacks = [
        build(c, folder=folder, fit_folder=fit.folder) for c in config["callbacks"]["post_fit"].values()
    ]
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


def find_or_train(config: dict, fit: runs.Fit) -> tuple[pl.LightningDataModule, bool]:
    """Leaves the fit finished: trained by this process, continued, or found.

    Returns:
        the data module, set up, and whether the fit was there before.
    """
    datamodule = build(config["dataset"])
    if fit.finished:
        log.info(f"fit {fit.name}: found finished, {fit.record['epochs']} epochs")
        datamodule.setup()
        return datamodule, True
    with fit.lock(on_wait=lambda owner: log.info(f"fit {fit.name}: {owner} trains it, waiting")):
        if fit.finished:
            log.info(f"fit {fit.name}: finished meanwhile")
            datamodule.setup()
            return datamodule, True
        train(config, fit, datamodule)
    return datamodule, False


def train(config: dict, fit: runs.Fit, datamodule: pl.LightningDataModule, observers: list[pl.Callback] = ()) -> None:
    """Trains the fit, from the start or from its last checkpoint, to its end; ``observers`` may watch."""
    resume, purge_step = None, None
    if fit.checkpoint.exists():
        state = load_checkpoint(fit.checkpoint)
        resume, purge_step = fit.checkpoint, state["global_step"]
        log.info(f"fit {fit.name}: continues after epoch {state['epoch'] + 1} of {config['trainer']['max_epochs']}")
    else:
        log.info(f"fit {fit.name}: trains anew" + (f" ({why})" if (why := fit.why_new()) else ""))
    fit.create(OmegaConf.to_yaml(OmegaConf.create(config)))
    start = time.perf_counter()
    pl.seed_everything(config["seed"], verbose=False)
    model = build(config["model"])
    if config["compile"]:
        model.compile()
    callbacks = [build(c, fit_folder=fit.folder) for c in config["callbacks"]["fit"].values()]
    if config["trainer"]["enable_progress_bar"]:
        callbacks.append(TQDMProgressBar(refresh_rate=BATCHES_PER_REFRESH))
    checkpoint = ModelCheckpoint(
        dirpath=fit.folder, filename="last", every_n_epochs=1, save_on_train_epoch_end=True, enable_version_counter=False
    )
    logger = build(config["logger"] | {"save_dir": str(fit.folder), "purge_step": purge_step})
    trainer = make_trainer(config, fit.folder, [EpochSeed(config["seed"]), *callbacks, *observers, checkpoint], logger=logger)
    trainer.fit(model, datamodule, ckpt_path=resume)
    if trainer.interrupted:
        raise KeyboardInterrupt
    seconds = time.perf_counter() - start
    fit.write_record(
        status="finished", finished=runs.timestamp(), seconds=round(seconds, 3), epochs=trainer.current_epoch,
        precision=config["trainer"]["precision"], device=str(model.device), continued=resume is not None,
        images_per_second=round(trainer.current_epoch * len(datamodule.train.images) / seconds) if not resume else None,
    )  # fmt: skip


def make_trainer(config: dict, folder: Path, callbacks: list[pl.Callback], **settings) -> pl.Trainer:
    """A Lightning trainer with this project's checkpoints."""
    context = {"callbacks": callbacks, "plugins": [AtomicCheckpointIO()], "default_root_dir": str(folder)}
    checkpoints = any(isinstance(callback, ModelCheckpoint) for callback in callbacks)
    kwargs = {k: v for k, v in config["trainer"].items() if k != "_target_"}
    return pl.Trainer(**kwargs | settings, **context, enable_checkpointing=checkpoints)


def load_model(config: dict, checkpoint: Path) -> pl.LightningModule:
    """The trained model in a checkpoint, in evaluation mode."""
    model = build(config["model"])
    model.load_state_dict(load_checkpoint(checkpoint)["state_dict"])
    return model.eval()


def test_metrics(config: dict, model: pl.LightningModule, datamodule: pl.LightningDataModule, folder: Path) -> dict:
    """The model's own figures on the test set: ``test_elbo``, ``test_nll``, ``active_units``, ..."""
    trainer = make_trainer(config, folder, [EpochSeed(config["seed"])], logger=False, enable_progress_bar=False)
    logged = trainer.test(model, datamodule, verbose=False)[0]
    metrics = {name.replace("/", "_").replace("test_active", "active"): value for name, value in logged.items()}
    return {name: int(value) if name in COUNTS else value for name, value in metrics.items()}


def stored_test_metrics(config: dict, fit: runs.Fit, datamodule: pl.LightningDataModule) -> dict:
    """:func:`test_metrics` of a fit, computed once."""
    if not fit.test_file.exists():
        model = load_model(config, fit.checkpoint)
        write_json(fit.test_file, test_metrics(config, model, datamodule, fit.folder))
    return read_json(fit.test_file)


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


def quiet() -> None:
    """Silences what Lightning says of every trainer, and its advice on workers: the data lie in memory."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for message in (".*does not have many workers.*", ".*Checkpoint directory.*exists and is not empty.*",
                    ".*callbacks used to create the checkpoint need to be provided.*",
                    ".*is smaller than the logging interval.*",
                    ".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*", ".*GPU available but not used.*"):  # fmt: skip
        warnings.filterwarnings("ignore", message)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
