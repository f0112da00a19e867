"""What may be said of Lightning's trainer, and what of it decides the weights: one table for both."""

import inspect
import math
from collections.abc import Callable

from latent_lab.mistakes import nearest

# This project sees to these itself, or they have no place in a fit of one model on data in memory.
OURS = {"callbacks", "logger", "plugins", "strategy", "num_nodes", "default_root_dir", "enable_checkpointing",
        "use_distributed_sampler", "sync_batchnorm", "barebones", "overfit_batches", "inference_mode", "model_registry",
        "reload_dataloaders_every_n_epochs", "limit_predict_batches"}  # fmt: skip
# These change no weight. Whatever is in none of the sets does.
HARMLESS = {"accelerator", "enable_progress_bar", "enable_model_summary", "enable_autolog_hparams", "profiler",
            "detect_anomaly", "log_every_n_steps", "limit_test_batches"}  # fmt: skip
# Of the validation loop: they decide only for a callback that acts on what it says, as EarlyStopping.
VALIDATION = {"num_sanity_val_steps", "check_val_every_n_epoch", "limit_val_batches", "val_check_interval"}

COUNTS = ("max_epochs", "min_epochs", "max_steps", "min_steps", "log_every_n_steps", "check_val_every_n_epoch",
          "accumulate_grad_batches", "devices")  # fmt: skip
SWITCHES = ("benchmark", "detect_anomaly", "deterministic", "enable_autolog_hparams", "enable_model_summary",
            "enable_progress_bar")  # fmt: skip
LIMITS = ("limit_train_batches", "limit_val_batches", "limit_test_batches", "val_check_interval")
PRECISIONS = ("auto", "32-true", "bf16-mixed")
PROFILES = ("simple", "advanced", "pytorch")  # written into the fit's folder


def accepted() -> list[str]:
    """The settings of Lightning's trainer that may be given."""
    import pytorch_lightning as pl

    return sorted(inspect.signature(pl.Trainer.__init__).parameters.keys() - OURS - {"self"})


def decisive(settings: dict, acted_on: bool) -> dict:
    """What of the settings decides the weights.

    Args:
        settings: of the trainer.
        acted_on: whether a callback may act on what the validation loop says.
    """
    harmless = HARMLESS | (set() if acted_on else VALIDATION)
    harmless |= {"devices"} if settings.get("devices", 1) == 1 else set()  # of several, the batch is theirs together
    return {name: value for name, value in settings.items() if name not in harmless and value is not None}


def completed(settings: dict, named: set[str], decide: Callable = lambda key, make: make()) -> dict:
    """The settings as Lightning takes them: precision decided, one budget, a dry run as a small one.

    Args:
        settings: of the trainer.
        named: the settings that the command names.
        decide: given a key and a function, gives what the function decides, here or as another machine did before.

    Raises:
        ValueError: for two budgets, or a precision that is not known to train here.
    """
    settings = dict(settings)
    if dry := settings.pop("fast_dev_run", None):
        batches = 1 if dry is True else dry
        if type(batches) is not int or batches < 1:
            raise ValueError(f"trainer.fast_dev_run={dry}: expects true or false, or a number of batches")
        settings |= dict.fromkeys(("limit_train_batches", "limit_val_batches", "limit_test_batches"), batches)
        settings |= {"max_epochs": 1, "max_steps": -1}
    steps = settings.get("max_steps", -1)
    if steps != -1:
        if "max_epochs" in named:
            raise ValueError("trainer.max_epochs and trainer.max_steps: a fit has one budget, name one of the two")
        settings["max_epochs"] = -1
    precision, accelerator = settings["precision"], settings["accelerator"]
    if precision == "auto":
        settings["precision"] = decide(f"precision on {accelerator}", lambda: resolve_precision("auto", accelerator))
    else:
        settings["precision"] = resolve_precision(precision, accelerator)
    return settings


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
    import torch

    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif accelerator in ("auto", "cpu"):
        native = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    else:
        native = False
    return "bf16-mixed" if native else "32-true"


def named(settings: dict) -> set[str]:
    """The settings of the trainer among those that a command names."""
    return {key.partition(".")[2] for key in settings if key.startswith("trainer.")}


def require_accepted(settings: dict) -> None:
    """Raises ValueError for settings that Lightning's trainer does not have, or that this project sees to."""
    for name in settings:
        if name in OURS:
            raise ValueError(f"trainer.{name}: this project sees to that itself; leave it out")
        if name not in (names := accepted()):
            raise ValueError(f"trainer.{name}: no such setting{nearest(name, names)}; trainer has {', '.join(names)}")


def require_sensible(settings: dict) -> None:
    """Raises ValueError for values that a fit can't be made with; what Lightning says of the rest comes later."""
    for name in COUNTS:
        value = settings.get(name)
        unbounded = name in ("max_epochs", "max_steps") and value == -1 and type(value) is int
        absent = value is None and name not in ("max_epochs", "max_steps", "devices")
        if not absent and not unbounded and (type(value) is not int or value < 1):
            raise ValueError(f"trainer.{name}={value}: expects a positive whole number")
    for name in SWITCHES:
        value = settings.get(name, False)
        if type(value) is not bool and (name, value) != ("deterministic", "warn"):
            raise ValueError(f"trainer.{name}={value}: expects true or false")
    if type(settings.get("max_time")) not in (type(None), str, dict):
        raise ValueError(f"trainer.max_time={settings['max_time']}: expects a time as 'DD:HH:MM:SS'")
    if settings["max_epochs"] == -1 and settings.get("max_steps", -1) == -1 and settings.get("max_time") is None:
        raise ValueError("trainer.max_epochs=-1: expects a positive whole number")
    for name in LIMITS:
        value = settings.get(name)
        nothing = name != "limit_val_batches" and value == 0
        if value is not None and (type(value) not in (int, float) or not value >= 0 or nothing):
            raise ValueError(
                f"trainer.{name}={value}: expects a number of batches from 1, or a share of them up to 1.0"
            )
        if type(value) is float and value > 1:
            raise ValueError(
                f"trainer.{name}={value}: a share of the batches is at most 1.0; {round(value)} is a number"
            )
    if settings.get("profiler") not in (None, *PROFILES):
        raise ValueError(f"trainer.profiler={settings['profiler']}: accepted are {', '.join(PROFILES)}")
    sanity = settings.get("num_sanity_val_steps")
    if sanity is not None and (type(sanity) is not int or sanity < -1):
        raise ValueError(f"trainer.num_sanity_val_steps={sanity}: expects a whole number from 0, or -1 for all")
    clip = settings.get("gradient_clip_val")
    if clip is not None and (type(clip) not in (int, float) or not 0 < clip < math.inf):
        raise ValueError(f"trainer.gradient_clip_val={clip}: expects a positive number")


def require_batches(settings: dict, train: int, val: int, test: int) -> None:
    """Raises ValueError for a share of so many batches an epoch that is not even one, or a validation after more."""
    for name, batches in {"train": train, "val": val, "test": test}.items():
        share = settings.get(f"limit_{name}_batches")
        if type(share) is float and share > 0 and int(share * batches) == 0:
            raise ValueError(f"trainer.limit_{name}_batches={share}: not one of the {batches} batches of an epoch")
    interval = settings.get("val_check_interval")
    if type(interval) is int and interval > train and settings.get("check_val_every_n_epoch", 1) is not None:
        raise ValueError(f"trainer.val_check_interval={interval}: an epoch has {train} batches")
