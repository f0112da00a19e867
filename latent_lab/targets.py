"""The classes that a configuration names: which may be named, and the objects they become."""

import functools
import importlib
import inspect
from collections.abc import Iterable
from pathlib import Path

from latent_lab.mistakes import nearest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("lightning_modules", "datamodules", "callbacks", "classifiers", "metrics")
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


@functools.cache
def resolve(target: str) -> type:
    """The class called ``package.module.Class``, defined in a file of ours, or Lightning's callback or logger.

    Raises:
        ValueError: for anything else, whatever it may be reached through.
    """
    module, _, name = target.rpartition(".") if isinstance(target, str) else ("", "", "")
    if target_is_lightnings := any(target == f"{f}{name}" for f in FOREIGN):
        allowed = True
    else:
        allowed = module.split(".")[0] in PACKAGES and (ROOT / (module.replace(".", "/") + ".py")).is_file()
    if not allowed:
        raise ValueError(
            f"_target_={target}: only classes of {', '.join(PACKAGES)} may be named, and pytorch_lightning's callbacks "
            "and loggers"
        )
    found = getattr(importlib.import_module(module), name, None)
    ours = inspect.isclass(found) and (target_is_lightnings or found.__module__ == module)
    if not ours or (target_is_lightnings and not found.__module__.startswith("pytorch_lightning.")):
        raise ValueError(f"_target_={target}: {module} defines no such class")
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
