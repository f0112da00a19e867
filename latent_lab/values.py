"""The settings of a composed configuration, and the kinds of their values."""

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, ListConfig, OmegaConf

from latent_lab.mistakes import Mistake

KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a word", list: "a list",
         dict: "a group of settings"}  # fmt: skip


def fitted(override: Override, default):
    """An override's value as the kind of the default it replaces: a whole number for a number is that number.

    Raises:
        Mistake: if it is of another kind.
    """
    value = override.value()
    if default is None or value is None or (isinstance(value, str) and "${" in value):
        return value
    if type(default) is float and type(value) is int:
        return float(value)
    if isinstance(default, str) and isinstance(value, int | float):
        return override.get_value_string()
    if type(value) is not type(default):
        like = "" if isinstance(default, bool | dict | list) else f", like the default {default}"
        raise Mistake(f"{override.input_line}: expects {KINDS.get(type(default), 'another kind')}{like}")
    if isinstance(default, list) and default and all(type(item) is float for item in default):
        return [float(item) if type(item) is int else item for item in value]
    return value


def keys_of(config: DictConfig, prefix: str = "") -> list[str]:
    """The settings of a configuration by their dotted keys, groups before what is in them."""
    names = []
    for key in config:
        names.append(f"{prefix}{key}")
        value = None if OmegaConf.is_missing(config, key) else config._get_node(key)
        if isinstance(value, DictConfig) and not value._is_none():
            names += keys_of(value, f"{prefix}{key}.")
        elif isinstance(value, ListConfig) and not value._is_none():
            names += [f"{prefix}{key}.{i}" for i in range(len(value))] + [
                f"{prefix}{key}[{i}]" for i in range(len(value))
            ]
    return names


def with_values(config, changes: dict[tuple, object]):
    """The configuration with other values at some paths; what does not change is shared."""
    if not changes:
        return config
    if () in changes:
        return changes[()]
    copied = config.copy()
    for key in {path[0] for path in changes}:
        copied[key] = with_values(config[key], {path[1:]: v for path, v in changes.items() if path[0] == key})
    return copied
