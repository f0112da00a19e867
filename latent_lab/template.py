"""A composed configuration with places for the values of a sweep: jobs that differ in these only share it."""

import copy

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from latent_lab.mistakes import Mistake
from latent_lab.refusals import FOLLOWS, require_a_pair, require_a_reader, require_all
from latent_lab.values import fitted, keys_of, with_values

NOT_SHOWN = ("sweep", "fresh", "paths", "hydra")


class Template:
    """A configuration with places for the values of a sweep.

    Attributes:
        choices: group to option.
        hydra: ``mode``, ``launcher``, ``job_logging`` and ``sweep``, what a file says is to be swept.
    """

    def __init__(self, composer, overrides: list[Override], plain: list[Override], reference: DictConfig):
        self._defaults: dict[str, object] = {}
        self._plain = {o.key_or_group for o in plain}
        self._made_of_others = {o.key_or_group for o in plain if "${" in str(o.value())}
        config = copy.deepcopy(reference)
        marks = {}
        for number, override in enumerate(plain):
            key = override.key_or_group
            if key not in keys_of(reference) and OmegaConf.select(reference, key) is None:
                raise Mistake(composer.unknown(key, reference))
            default = None if OmegaConf.is_missing(reference, key) else OmegaConf.select(reference, key)
            self._defaults[key] = OmegaConf.to_container(default) if OmegaConf.is_config(default) else default
            if composer.is_free(override):
                marks[key] = f"\x00{number}\x00"
            value = marks.get(key, fitted(override, self._defaults[key]))
            OmegaConf.update(config, key, value, merge=True)
        choices = reference.hydra.runtime.choices
        # chosen: of Hydra's choices, those between options of ours
        self.choices = {
            g: c for g, c in choices.items() if c and "/" not in g and g not in FOLLOWS and g in composer.groups
        }
        if composer.config_name == "train":
            require_a_pair(reference, overrides)
            require_all(composer.base, config)
            OmegaConf.set_struct(config, False)
            without_effect = require_a_reader(overrides, config, self.choices)
            self.choices = {g: c for g, c in self.choices.items() if g not in without_effect}
        hydra = config.hydra
        self.hydra = {
            "mode": str(getattr(hydra.mode, "name", hydra.mode)),
            "launcher": OmegaConf.to_container(hydra.launcher) if OmegaConf.is_dict(hydra.launcher) else {},
            "job_logging": _job_logging(hydra),
            "sweep": dict(hydra.sweeper.get("params") or {}),
        }  # fmt: skip
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        self._config = OmegaConf.to_container(config, resolve=True)
        self._places = {key: list(_places(self._config, key, mark)) for key, mark in marks.items()}

    def filled(self, combination: list[Override]) -> tuple[dict, dict]:
        """A job's configuration, and what its command named, key to value."""
        settings, changes = {}, {}
        for override in combination:
            key = override.key_or_group
            if key.partition(".")[0].split("/")[0] in NOT_SHOWN or override.is_delete():
                continue
            settings[key] = fitted(override, self._defaults[key]) if key in self._plain else override.value()
            if key in self._places:
                changes |= dict.fromkeys(self._places[key], settings[key])
        config = with_values(self._config, changes)
        for key in self._made_of_others & settings.keys():
            settings[key] = _at(config, key)
        return config, settings


class Entangled(Exception):
    """Another value is made of the swept one, which is named: each of its values needs a configuration of its own."""


def _job_logging(hydra: DictConfig) -> dict:
    """``hydra.job_logging``, louder where ``hydra.verbose`` asks for it: of everything, or of the named loggers."""
    config = OmegaConf.to_container(hydra.job_logging)
    if hydra.verbose is True:
        config["root"]["level"] = "DEBUG"
    elif hydra.verbose:
        names = [hydra.verbose] if isinstance(hydra.verbose, str) else hydra.verbose
        config["loggers"] = config.get("loggers", {}) | {name: {"level": "DEBUG"} for name in names}
    return config


def _places(config, key: str, mark: str, path: tuple = ()):
    """The paths at which a configuration holds the mark of a key."""
    if isinstance(config, dict | list):
        for name, value in config.items() if isinstance(config, dict) else enumerate(config):
            yield from _places(value, key, mark, (*path, name))
    elif config == mark:
        yield path
    elif isinstance(config, str) and mark in config:
        raise Entangled(key)


def _at(config, key: str):
    """The value of a dotted key."""
    for part in key.replace("[", ".").replace("]", "").split("."):
        config = config[int(part)] if isinstance(config, list) else config[part]
    return config
