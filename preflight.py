"""The check of a whole command before any of its jobs runs: a mistake costs seconds, not an hour of training."""

import json
from pathlib import Path

import pytorch_lightning as pl
import torch
from hydra.utils import get_class
from pytorch_lightning.utilities.exceptions import MisconfigurationException

import compose
import runs
from callbacks.epoch_seed import EpochSeed
from fitting import build, make_trainer, named, plain
from jobs import fit_of

TRAINER_SETTINGS = {
    "_target_", "max_epochs", "precision", "gradient_clip_val", "gradient_clip_algorithm", "accumulate_grad_batches",
    "accelerator", "devices", "log_every_n_steps", "enable_progress_bar", "enable_model_summary",
    "num_sanity_val_steps", "deterministic", "limit_train_batches", "check_val_every_n_epoch",
}  # fmt: skip


def check(command: compose.Command) -> None:
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
    required: dict[str, runs.Fit] = {}
    for cfg, choices in zip(command.jobs, command.choices, strict=True):
        config = plain(cfg)
        once(config["trainer"], lambda c=config: check_trainer(c["trainer"]))
        EpochSeed(config["seed"])
        datamodule = once(config["dataset"], lambda c=config: build(c["dataset"]))
        once([config["model"], config["trainer"]], lambda c=config: check_manual(build(c["model"]), c["trainer"]))
        datamodule.setup()
        check_processes(config, datamodule)
        for callback in named(config, "fit"):
            once(callback, lambda c=callback: build(c))
        for callback in named(config, "post_fit"):
            once([config["dataset"], callback], lambda c=callback, d=datamodule: build(c).check(d))
        fit = once(
            {k: config[k] for k in ("model", "dataset", "trainer", "seed", "compile", "callbacks")},
            lambda c=config, chosen=choices: fit_of(c, chosen),
        )
        fits[fit.name] = fit
        required |= fit.requires
    for outputs in {fit.folder.parent.parent for fit in fits.values()}:
        runs.require_writable(outputs)
    for fit in fits.values():
        if command.jobs[0].fresh:
            if kept := fit.set_aside():
                print(f"fresh=true: what was fitted before lies in {kept}")
        else:
            fit.check()
    for fit in required.values():
        check_trainer(fit.config["trainer"])
        build(fit.config["model"])
        fit.check()


def check_manual(model: pl.LightningModule, settings: dict) -> None:
    """Raises ValueError for settings of the trainer that a model which steps its own optimizers would not obey."""
    for name, without in {"gradient_clip_val": None, "accumulate_grad_batches": 1}.items():
        if not model.automatic_optimization and settings.get(name, without) != without:
            raise ValueError(
                f"trainer.{name}={settings[name]}: without effect on {type(model).__name__}, which steps its own "
                "optimizers; leave it out"
            )


def check_processes(config: dict, datamodule: pl.LightningDataModule) -> None:
    """Raises ValueError for a fit on several devices that can't be."""
    devices, model = config["trainer"]["devices"], get_class(config["model"]["_target_"])
    if devices == 1:
        return
    if not getattr(model, "several_processes", False):
        raise ValueError(
            f"trainer.devices={devices}: a fit runs on one device unless its model exchanges gradients between "
            f"processes, as the adversarial ones do and {model.__name__} does not; leave it out"
        )
    if config["compile"]:
        raise ValueError(
            f"trainer.devices={devices}: not with compile=true, whose graphs hold no exchange between processes"
        )
    images = devices * datamodule.batch_size * datamodule.batches_per_step
    if images > len(datamodule.train[0]):
        raise ValueError(
            f"trainer.devices={devices}: their batches together, dataset.batch_size={datamodule.batch_size} each, take "
            f"{images} images a step and there are only {len(datamodule.train[0])} to train on"
        )


def check_trainer(settings: dict) -> None:
    """Raises ValueError for settings of the trainer that a fit can't be made with."""
    devices, accelerator = settings["devices"], settings["accelerator"]
    for name in ("max_epochs", "log_every_n_steps", "devices"):
        if type(settings[name]) is not int or settings[name] < 1:
            raise ValueError(f"trainer.{name}={settings[name]}: expects a positive whole number")
    clip = settings["gradient_clip_val"]
    if clip is not None and (type(clip) not in (int, float) or clip <= 0):
        raise ValueError(f"trainer.gradient_clip_val={clip}: expects a positive number")
    if unknown := settings.keys() - TRAINER_SETTINGS:
        raise ValueError(f"trainer.{min(unknown)}: no such setting; trainer has {', '.join(sorted(TRAINER_SETTINGS))}")
    on_gpu = accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())
    if devices > 1 and on_gpu and devices > torch.cuda.device_count():
        raise ValueError(
            f"trainer.devices={devices}: there are {torch.cuda.device_count()} GPUs for a process each; "
            "trainer.accelerator=cpu has as many as you like"
        )
    try:
        make_trainer({"trainer": settings}, Path("."), [], devices, logger=False)
    except (MisconfigurationException, RuntimeError, TypeError) as error:
        raise ValueError(f"trainer: {str(error).splitlines()[0]}") from None
