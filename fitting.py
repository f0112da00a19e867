"""From a configuration to a trained model: building its parts, training, continuing or finding the fit, testing it."""

import inspect
import logging
import time
import warnings
from pathlib import Path

import pytorch_lightning as pl
import torch
from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import ModelCheckpoint, TQDMProgressBar

import runs
from callbacks.epoch_seed import EpochSeed
from distributed import UnwrappedDDP, launch
from storage import AtomicCheckpointIO, load_checkpoint, read_json, write_json

log = logging.getLogger("train")
BATCHES_PER_REFRESH = 20  # of the progress bar, which costs as much as a small step
COUNTS = ("active_units", "test_nll_samples", "test_nll_images")  # Lightning logs floats only
PRECISIONS = ("auto", "32-true", "bf16-mixed")


def resolve_precision(precision: str | int, accelerator: str) -> str:
    """``auto`` becomes ``bf16-mixed`` where the hardware computes in bfloat16, ``32-true`` elsewhere.

    Raises:
        ValueError: for a precision that is not known to train here.
    """
    if str(precision) == "32":
        precision = "32-true"
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

    Of ``context`` (``folder``, ``fit_folder``, the models of required fits, ...) its class is given what its
    constructor accepts.

    Raises:
        ValueError: what the constructor says of its arguments, or for a class that is not there or may not be named.
    """
    runs.require_known_targets(config)
    try:
        accepted = inspect.signature(get_class(config["_target_"])).parameters
        return instantiate(config, **{k: v for k, v in context.items() if k in accepted}, _convert_="all")
    except (InstantiationException, ImportError, AttributeError) as error:
        cause = error.__cause__ or error
        if isinstance(cause, ValueError):
            raise cause from None
        raise ValueError(f"{config['_target_']}: {str(cause).splitlines()[0]}") from None


def named(config: dict, group: str) -> list[dict]:
    """The callbacks of a group (``fit`` or ``post_fit``) that are not switched off with null."""
    return [callback for callback in (config["callbacks"][group] or {}).values() if callback is not None]


def find_or_train(config: dict, fit: runs.Fit) -> tuple[pl.LightningDataModule, bool]:
    """Leaves the fit finished: trained by this process, continued, or found.

    Returns:
        the data module, set up, and whether the fit was there before.
    """
    for required in fit.requires.values():
        find_or_train(required.config, required)
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
    """Trains the fit, from the start or from its last checkpoint, to its end; ``observers`` may watch.

    On several devices, each has a process of its own, and this one waits for them.
    """
    resume_step = None
    if fit.checkpoint.exists():
        state = load_checkpoint(fit.checkpoint)
        resume_step = state["global_step"]
        log.info(f"fit {fit.name}: continues after epoch {state['epoch'] + 1} of {config['trainer']['max_epochs']}")
    else:
        log.info(f"fit {fit.name}: trains anew" + (f" ({why})" if (why := fit.why_new()) else ""))
    fit.create(OmegaConf.to_yaml(OmegaConf.create(config)))
    if (devices := config["trainer"]["devices"]) == 1:
        _train_here(config, fit, resume_step, observers, datamodule)
    else:
        launch(devices, _train_here, config, fit, resume_step, observers)
        datamodule.setup()


def _train_here(
    config: dict,
    fit: runs.Fit,
    resume_step: int | None,
    observers: list[pl.Callback],
    datamodule: pl.LightningDataModule | None = None,
) -> None:
    """Trains in this process, alone or as one of several: the first of them writes what there is to write."""
    quiet()
    start = time.perf_counter()
    datamodule = datamodule or build(config["dataset"])
    pl.seed_everything(config["seed"], verbose=False)
    model = build(config["model"])
    if config["compile"]:
        model.compile()
    context = {"fit_folder": fit.folder} | required_models(fit)
    callbacks = [build(c, **context) for c in named(config, "fit")]
    if config["trainer"]["enable_progress_bar"]:
        callbacks.append(TQDMProgressBar(refresh_rate=BATCHES_PER_REFRESH))
    saving = {"every_n_epochs": 1, "save_on_train_epoch_end": True, "enable_version_counter": False}
    checkpoints = [
        ModelCheckpoint(fit.folder, filename="best", monitor=callback.monitor, save_weights_only=True, **saving)
        for callback in callbacks
        if getattr(callback, "monitor", None)
    ]
    checkpoints.append(ModelCheckpoint(fit.folder, filename="last", **saving))
    logger = build(
        config["logger"] | {"save_dir": str(fit.folder), "purge_step": None if resume_step is None else resume_step + 1}
    )
    callbacks = [EpochSeed(config["seed"]), *callbacks, *observers, *checkpoints]
    trainer = make_trainer(config, fit.folder, callbacks, config["trainer"]["devices"], logger=logger)
    trainer.fit(model, datamodule, ckpt_path=None if resume_step is None else fit.checkpoint)
    if trainer.interrupted:
        raise KeyboardInterrupt
    if not trainer.is_global_zero:
        return
    seconds, images = time.perf_counter() - start, trainer.current_epoch * len(datamodule.train[0])
    fit.write_record(
        status="finished", finished=runs.timestamp(), seconds=round(seconds, 3), epochs=trainer.current_epoch,
        precision=config["trainer"]["precision"], device=str(model.device), continued=resume_step is not None,
        images_per_second=None if resume_step is not None else round(images / seconds),
    )  # fmt: skip


def make_trainer(config: dict, folder: Path, callbacks: list[pl.Callback], devices: int = 1, **settings) -> pl.Trainer:
    """A Lightning trainer with this project's checkpoints: of one device, or in one of several processes that share
    the work (the samplers of a data module see to their shares)."""
    settings["devices"] = devices
    if devices > 1:
        settings |= {"strategy": UnwrappedDDP(), "use_distributed_sampler": False}
    context = {"callbacks": callbacks, "plugins": [AtomicCheckpointIO()], "default_root_dir": str(folder)}
    checkpoints = any(isinstance(callback, ModelCheckpoint) for callback in callbacks)
    kwargs = {k: v for k, v in config["trainer"].items() if k != "_target_"}
    return pl.Trainer(**kwargs | settings, **context, enable_checkpointing=checkpoints)


def stored_config(folder: Path, data: str | None = None) -> dict:
    """The resolved configuration in a fit's or a job's folder, with the data where ``data`` says if it is given."""
    config = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
    if data is not None and "root" in config["dataset"]:
        config["dataset"]["root"] = str(data)
    return config


def required_models(fit: runs.Fit) -> dict[str, pl.LightningModule]:
    """The models of the fits that this one requires, in evaluation mode, by the name its callbacks know them by."""
    return {name: load_model(other.config, other.checkpoint) for name, other in fit.requires.items()}


def load_model(config: dict, checkpoint: Path) -> pl.LightningModule:
    """The trained model in a checkpoint, in evaluation mode."""
    model = build(config["model"])
    model.load_state_dict(load_checkpoint(checkpoint)["state_dict"])
    return model.eval()


def test_metrics(config: dict, model: pl.LightningModule, datamodule: pl.LightningDataModule, folder: Path) -> dict:
    """The model's own figures on the test set: ``test_elbo``, ``test_nll``, ``active_units``, ..."""
    trainer = make_trainer(config, folder, [EpochSeed(config["seed"])], logger=False)
    logged = trainer.test(model, datamodule, verbose=False)[0]
    metrics = {name.replace("/", "_").replace("test_active", "active"): value for name, value in logged.items()}
    return {name: int(value) if name in COUNTS else value for name, value in metrics.items()}


def stored_test_metrics(config: dict, fit: runs.Fit, datamodule: pl.LightningDataModule) -> dict:
    """:func:`test_metrics` of a fit, computed once."""
    if not fit.test_file.exists():
        model = load_model(config, fit.checkpoint)
        write_json(fit.test_file, test_metrics(config, model, datamodule, fit.folder))
    return read_json(fit.test_file)


def quiet() -> None:
    """Silences what Lightning says of every trainer, and its advice on workers: the data lie in memory."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*Checkpoint directory.*exists and is not empty.*",
        ".*callbacks used to create the checkpoint need to be provided.*",
        ".*is smaller than the logging interval.*",
        ".*LeafSpec.*is deprecated.*",
        ".*GPU available but not used.*",
        ".*recommended to use .*sync_dist=True.*",  # each process evaluates the whole, to the same figures
    ):
        warnings.filterwarnings("ignore", message)
