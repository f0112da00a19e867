"""The checks of a command's parts, before anything is trained: ``ValueError``, in one line."""

from pathlib import Path

import pytorch_lightning as pl

from datamodules.labels import SEMI_SUPERVISED, UNSUPERVISED
from latent_lab import trainer_settings
from latent_lab.fits import Fit
from latent_lab.refusals import not_for
from latent_lab.targets import Lacks, build, resolve, taken
from latent_lab.training import configured, make_trainer

MOST_DEVICES = 1024


def check_analyses(config: dict) -> None:
    """Raises ValueError for two analyses that would give one metric, of which one would be lost; and for one that looks
    at what an observer keeps, where there is no such observer."""
    seen: dict[str, str] = {}
    observers = [resolve(observer["_target_"]) for observer in configured(config, "observers")]
    for name, analysis in (config["callbacks"]["analyses"] or {}).items():
        for needed in resolve(analysis["_target_"]).needs if analysis else ():
            if not any(issubclass(observer, needed) for observer in observers):
                raise ValueError(
                    f"callbacks.analyses.{name}: looks at what {needed.__name__} keeps, and callbacks.observers has "
                    f"none; leave it out too (callbacks.analyses.{name}=null)"
                )
    for name, analysis in (config["callbacks"]["analyses"] or {}).items():
        for metric in resolve(analysis["_target_"]).headline if analysis else ():
            if metric in seen:
                raise ValueError(f"callbacks.analyses: {seen[metric]} and {name} both give {metric}; leave one out")
            seen[metric] = name


def check_trainer(settings: dict, here: bool = True) -> None:
    """Raises ValueError for settings of the trainer that a fit can't be made with, here or on another machine."""
    trainer_settings.require_accepted(settings)
    trainer_settings.require_sensible(settings)
    if not here:
        settings = settings | {"accelerator": "cpu", "precision": "32-true"}
    import torch

    devices, accelerator = settings["devices"], settings["accelerator"]
    if devices > MOST_DEVICES:
        raise ValueError(f"trainer.devices={devices}: at most {MOST_DEVICES:,}, a process each")
    on_gpu = accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())
    if devices > 1 and on_gpu and devices > torch.cuda.device_count():
        raise ValueError(
            f"trainer.devices={devices}: there are {torch.cuda.device_count()} GPUs for a process each; "
            "trainer.accelerator=cpu has as many as you like"
        )
    try:
        make_trainer(settings, Path("."), [], devices, logger=False)
    except Exception as error:  # each accelerator, precision and profiler of Lightning's has a kind of its own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"trainer: {reason}") from None


def check_pair(
    config: dict, choices: dict[str, str], offers: dict, datamodule: pl.LightningDataModule, requires: dict[str, Fit]
) -> None:
    """Raises ValueError for a model that can't be trained on these data, or not so, or not beside these fits."""
    settings, devices = config["trainer"], config["trainer"]["devices"]
    untrained = {name: requires[name].fresh_model() for name in taken(config["model"], requires)}
    try:
        model = build(config["model"], **offers, **untrained)
    except Lacks as lacking:
        if lacking.name not in ("image_shape", "num_classes", "output_range"):
            raise
        domain = "images" if "image_shape" in offers else "plane"
        raise ValueError(not_for(choices["model"], choices["dataset"], domain)) from None
    for name, without in {"gradient_clip_val": None, "accumulate_grad_batches": 1}.items():
        if not model.automatic_optimization and settings.get(name, without) not in (without, None):
            raise ValueError(
                f"trainer.{name}={settings[name]}: without effect on {type(model).__name__}, which steps its own "
                "optimizers; leave it out"
            )
    if config["compile"] and not getattr(model, "compiles", True):
        raise ValueError(f"compile=true: without gain on {type(model).__name__}, see docs/adding.md; leave it out")
    supervision = getattr(model, "supervision", UNSUPERVISED)
    _check_labels(config["dataset"], choices["model"], supervision)
    together = getattr(model, "batches_per_step", None) or 1
    train = datamodule.steps(together, supervision) // devices
    val, test = len(datamodule.val_dataloader()), len(datamodule.test_dataloader())
    trainer_settings.require_batches(settings, train, val, test)
    if devices == 1:
        return
    if not getattr(model, "several_processes", False):
        raise ValueError(
            f"trainer.devices={devices}: a fit runs on one device unless its model exchanges gradients between "
            f"processes, as the adversarial ones do and {type(model).__name__} does not; leave it out"
        )
    images = devices * datamodule.batch_size * together
    if images > len(datamodule.train[0]):
        raise ValueError(
            f"trainer.devices={devices}: their batches together, dataset.batch_size={datamodule.batch_size} each, take "
            f"{images} images a step and there are only {len(datamodule.train[0])} to train on"
        )


def _check_labels(dataset: dict, name: str, supervision: str) -> None:
    """Raises ValueError for labels that a model can't learn from, or for none where it needs some."""
    if supervision == UNSUPERVISED:
        for key in ("n_labels", "labelled_batch_size"):
            if dataset.get(key) is not None:
                raise ValueError(
                    f"dataset.{key}={dataset[key]}: without effect on model={name}, which learns from no labels"
                )
    elif dataset.get("n_labels") is None:
        raise ValueError(f"dataset.n_labels=null: model={name} learns from labels; a number, or all")
    elif supervision == SEMI_SUPERVISED and dataset.get("labelled_batch_size") is None:
        raise ValueError(f"dataset.labelled_batch_size=null: model={name} takes labelled images beside unlabelled ones")
    elif supervision != SEMI_SUPERVISED and dataset.get("labelled_batch_size") is not None:
        raise ValueError(
            f"dataset.labelled_batch_size={dataset['labelled_batch_size']}: without effect on model={name}, which "
            "takes no unlabelled images; dataset.batch_size says how many labelled ones"
        )
