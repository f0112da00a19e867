"""The classes that a configuration names: which may be named, and the objects they become.

A command line and a file name classes through the same wall (:func:`resolve`): what a person may type is no more than
what a file may hold. A stored file is held to more besides (:func:`latent_lab.stored_config.stored_config`): each part
of it, at every depth, must be of its kind, its loggers are never built, and where pictures are written is not its to
say.
"""

import functools
import importlib
import inspect
import re
from collections.abc import Iterable
from pathlib import Path

from latent_lab.mistakes import nearest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("lightning_modules", "datamodules", "callbacks", "classifiers", "metrics")
NAMED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)
FOREIGN = ("pytorch_lightning.callbacks.", "pytorch_lightning.loggers.")  # each followed by a class's name


class Lacks(ValueError):
    """A class needs something that neither the configuration nor the data have; ``name`` says what."""

    def __init__(self, target: str, name: str):
        super().__init__(f"{target}: needs {name}")
        self.name = name


def targets(config) -> list[str]:
    """Every ``_target_`` in a plain configuration, depth first."""
    if isinstance(config, dict):
        own = [config["_target_"]] if "_target_" in config else []
        return own + [t for value in config.values() for t in targets(value)]
    return [t for value in config for t in targets(value)] if isinstance(config, list) else []


def is_foreign(target: str) -> bool:
    """Whether the class is Lightning's and not ours."""
    return not target.startswith(PACKAGES)


def resolve(target: str) -> type:
    """The class called ``package.module.Class``, defined in a file of ours, or Lightning's callback or logger.

    Raises:
        ValueError: for anything else, whatever it may be reached through.
    """
    if not isinstance(target, str) or not NAMED.fullmatch(target):
        raise ValueError(f"_target_={target!r:.80}: expects the name of a class, as package.module.Class")
    return _class(target)


@functools.cache
def _class(target: str) -> type:
    module, _, name = target.rpartition(".")
    if lightnings := any(target == f"{place}{name}" for place in FOREIGN):
        allowed = True
    else:
        allowed = module.split(".")[0] in PACKAGES and (ROOT / (module.replace(".", "/") + ".py")).is_file()
    if not allowed:
        raise ValueError(
            f"_target_={target:.80}: only classes of {', '.join(PACKAGES)} may be named, and pytorch_lightning's "
            "callbacks and loggers"
        )
    found = getattr(importlib.import_module(module), name, None)
    defined = found.__module__ if inspect.isclass(found) else ""
    if not (defined.startswith("pytorch_lightning.") if lightnings else defined == module):
        raise ValueError(f"_target_={target:.80}: {module:.80} defines no such class")
    return found


@functools.cache
def parameters(cls: type) -> dict[str, bool]:
    """What a class's constructor takes by name, with what it hands on to bases of ours by ``**``; and whether it itself
    needs it."""
    found: dict[str, bool] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        own = list(inspect.signature(base.__init__).parameters.values())[1:]
        kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        needed = {p.name: p.default is p.empty and base is cls for p in own if p.kind not in kinds}
        found = needed | found
        if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in own):
            break
    return found


@functools.cache
def takes_anything(cls: type) -> bool:
    """Whether a constructor of Lightning's hands on whatever it is given by ``**``; of ours it is known where to."""
    given = inspect.signature(cls.__init__).parameters.values()
    return is_foreign(cls.__module__) and any(p.kind is inspect.Parameter.VAR_KEYWORD for p in given)


def taken(config, names: Iterable[str]) -> list[str]:
    """Those of the names that the constructor of a class within a plain configuration takes."""
    found = {name for target in targets(config) for name in parameters(resolve(target))}
    return [name for name in names if name in found]


def build(config: dict, **offered):
    """The object that a plain configuration describes: its ``_target_``, called with all else, nested ones built first.

    What is ``offered`` (a folder, the shape of the data's images, the model of a required fit, ...) is given to each
    class within whose constructor takes something of that name that the configuration leaves open.

    Raises:
        ValueError: what a constructor says of its arguments; a setting that it does not take; a class that may not be
            named.
        Lacks: if it needs what is neither configured nor offered.
    """
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    if not isinstance(config, dict) or "_target_" not in config:
        raise ValueError(f"{config!r:.80}: expects a group of settings with a _target_")
    cls = resolve(config["_target_"])
    taken = parameters(cls)
    arguments = {key: _built(value, offered) for key, value in config.items() if key != "_target_"}
    for name in arguments:
        if name not in taken and not takes_anything(cls):
            raise ValueError(
                f"{config['_target_']}: no such setting {name}{nearest(name, list(taken))}; it has {', '.join(taken)}"
            )
    arguments = {name: value for name, value in offered.items() if name in taken} | arguments
    for name, needed in taken.items():
        if needed and name not in arguments:
            raise Lacks(config["_target_"], name)
    try:
        return cls(**arguments)
    except (TypeError, ModuleNotFoundError, MisconfigurationException) as error:
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(f"{config['_target_']}: {first[0]}") from error


def _built(value, offered: dict):
    if isinstance(value, dict):
        if "_target_" in value:
            if not resolve(value["_target_"]).__module__.startswith(PACKAGES):
                raise ValueError(f"_target_={value['_target_']}: Lightning's are callbacks and loggers, no parts")
            return build(value, **offered)
        return {key: _built(item, offered) for key, item in value.items()}
    return [_built(item, offered) for item in value] if isinstance(value, list) else value


def identity(config):
    """What of a configuration decides the figures, as the classes it names say by ``identity``; by default all."""
    if isinstance(config, list):
        return [identity(value) for value in config]
    if not isinstance(config, dict):
        return config
    if "_target_" in config:
        config = getattr(resolve(config["_target_"]), "identity", dict)(config)
    return {key: identity(value) for key, value in config.items()}
