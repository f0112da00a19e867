"""Configurations composed by Hydra: each combination of groups once, and plain values put into what came of it."""

import copy
import re
from pathlib import Path

from hydra import compose
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from latent_lab.mistakes import Mistake, nearest
from latent_lab.values import fitted, keys_of

CONF = Path(__file__).resolve().parent.parent / "conf"
READ_BY_REFERENCE = ("n_labels", "label_seed", "labels", "score_on", "classifier")  # which not every analysis makes
FOLLOWS = ("domain", "family", "recipe", "hydra")  # groups that nobody chooses: they follow from others
OPTIONAL = ("experiment",)  # groups that may be empty
CALLBACK_GROUPS = ("requires", "observers", "analyses")
WHOLE = tuple(f"callbacks.{group}" for group in CALLBACK_GROUPS)  # may be empty, not absent
WITHOUT_DEFAULTS = ("trainer.", "paths.")  # parts whose settings no class has a default for
NOT_SHOWN = ("sweep", "fresh", "paths", "hydra")


class Composer:
    """Composes, and explains what does not compose."""

    def __init__(self, config_name: str):
        self.config_name = config_name
        groups = (p.relative_to(CONF).as_posix() for p in CONF.rglob("*") if p.is_dir() and any(p.glob("*.yaml")))
        self.groups = sorted(g for g in groups if config_name == "train")
        self.base = compose(config_name, return_hydra_config=True)
        self._composed: dict[tuple[str, ...], DictConfig] = {}
        self._templates: dict[tuple, Template] = {}
        self._bound: set[str] = set()  # keys of values that others are made of

    def template(self, overrides: list[Override]) -> "Template":
        """What jobs that differ in plain values only have in common."""
        groups = tuple(o.input_line for o in overrides if not self._is_plain(o))
        plain = [o for o in overrides if self._is_plain(o)]
        fixed = tuple(o.input_line for o in plain if not self.is_free(o))
        key = (groups, fixed, tuple(o.key_or_group for o in plain))
        if key not in self._templates:
            try:
                self._templates[key] = Template(self, overrides, plain, self._compose(overrides, groups))
            except _Entangled as entangled:
                self._bound.add(entangled.args[0])
                return self.template(overrides)
            except (OmegaConfBaseException, HydraException) as error:
                words = " ".join(o.input_line for o in overrides)
                raise Mistake(
                    f"{words}: {' '.join(str(error).split(chr(10) + '    full_key')[0].splitlines())}"
                ) from None
        return self._templates[key]

    def _compose(self, overrides: list[Override], groups: tuple[str, ...]) -> DictConfig:
        if groups not in self._composed:
            for override in overrides:
                self._require_option(override)
            try:
                self._composed[groups] = compose(self.config_name, list(groups), return_hydra_config=True)
            except (HydraException, OmegaConfBaseException, ValueError) as error:
                raise Mistake(self._explain(error, overrides)) from None
            self._require_own_hydra(self._composed[groups])
        return self._composed[groups]

    def _is_plain(self, override: Override) -> bool:
        """Whether it sets a value that is there, and is none of Hydra's."""
        changes = not (override.is_add() or override.is_force_add() or override.is_delete())
        group = override.key_or_group.split("@")[0]
        return changes and group not in self.groups and not group.startswith("hydra")

    def is_free(self, override: Override) -> bool:
        """Whether it is one of a sweep's plain numbers or words: jobs that differ in these share a template."""
        value, swept = override.value(), getattr(override, "swept", False)
        plain = isinstance(value, int | float | str) and "${" not in str(value)
        return swept and plain and override.key_or_group not in self._bound

    def _require_option(self, override: Override) -> None:
        """Raises Mistake for a group's option that there is not, or a new setting that nothing can read."""
        group = override.key_or_group.split("@")[0]
        if override.is_add() and group in self.groups:
            raise Mistake(f"+{group}: is there already; leave out the +")
        if override.is_add() or override.is_force_add():
            top = group.partition(".")[0]
            if top not in self.base or (top == "paths" and group not in ("paths.data", "paths.outputs")):
                raise Mistake(f"{override.input_line}: a setting that nothing reads")
        if group not in self.groups or override.is_delete():
            whole = "." not in group or group.startswith(WITHOUT_DEFAULTS) or group in WHOLE
            if override.is_delete() and whole and group not in OPTIONAL:
                raise Mistake(f"{group}: can't be left out")
            return
        options = sorted(p.stem for p in (CONF / group).glob("*.yaml"))
        chosen = override.value()
        if isinstance(chosen, list) and group != "logger":
            raise Mistake(f"{override.input_line}: one of {', '.join(options)}")
        for option in chosen if isinstance(chosen, list) else [chosen]:
            if option is None and group not in OPTIONAL:
                none = f"; {group}=none has none" if "none" in options else ""
                raise Mistake(f"{group}: can't be left out{none}")
            if option is not None and option not in options:
                words = ", ".join(options)
                raise Mistake(f"{group}={option}: unknown{nearest(str(option), options)}; accepted are {words}")

    def _explain(self, error: Exception, overrides: list[Override]) -> str:
        text = str(error)
        if found := re.search(
            r"Could not (?:override|delete from config\. The config key|append to config)[^']*'([^']+)'", text
        ):
            key = found.group(1).split("@")[0]
            if "append" in found.group(0):
                return f"+{key}: is there already; leave out the +"
            return self.unknown(key, self.base)
        options = getattr(error, "options", None)
        more = [f"accepted are {', '.join(options)}"] if options else str(error.__cause__ or "").splitlines()[:1]
        words = " ".join(o.input_line for o in overrides)
        return f"{words}: " + "; ".join(
            [" ".join(text.split("\nSee http")[0].splitlines()[: 1 if more else None]), *more]
        )

    def unknown(self, key: str, config: DictConfig) -> str:
        """That there is no such setting, what is nearest, and what stands where it would stand."""
        if key.startswith("hydra"):
            return f"{key}: no such setting of Hydra's"
        keys = [k for k in keys_of(config) if not k.startswith("hydra")]
        accepted = [g for g in self.groups if not g.startswith(FOLLOWS)] + keys
        near = nearest(key, accepted) or nearest(key, [k.rpartition(".")[2] for k in keys])
        branch = key.rpartition(".")[0]
        while branch and branch not in keys:
            branch = branch.rpartition(".")[0]
        there = (k for k in keys if k.rpartition(".")[0] == branch and "_target_" not in k)
        siblings = [name for k in there if not (name := k.rpartition(".")[2]).endswith(("]", *"0123456789"))]
        return f"{key}: no such setting{near}; {branch or self.config_name} has {', '.join(siblings)}"

    def _require_own_hydra(self, config: DictConfig) -> None:
        """Raises Mistake for a launcher or a sweeper of others, and for folders named in Hydra's way."""
        if self.config_name != "train":
            return
        choices, launcher = config.hydra.runtime.choices, config.hydra.launcher
        ours = sorted(p.stem for p in (CONF / "hydra" / "launcher").glob("*.yaml"))
        if not str(OmegaConf.is_dict(launcher) and launcher.get("_target_")).startswith("latent_lab.launchers."):
            named = choices.get("hydra/launcher")
            raise Mistake(f"hydra/launcher={named}: not one of this project's, which are {', '.join(ours)}")
        if config.hydra.sweeper._target_ != self.base.hydra.sweeper._target_:
            raise Mistake(f"hydra/sweeper={choices.get('hydra/sweeper')}: sweeps are Hydra's basic ones here")
        for place in ("run.dir", "sweep.dir", "sweep.subdir"):
            node, default = (OmegaConf.to_container(c.hydra)[place.split(".")[0]][place.split(".")[1]]
                             for c in (config, self.base))  # fmt: skip
            if node != default:
                raise Mistake(f"hydra.{place}={node}: folders are named by paths.outputs=DIR and sweep=NAME")


class Template:
    """A configuration with places for the values of a sweep.

    Attributes:
        choices: group to option.
        hydra: ``mode``, ``launcher``, ``job_logging`` and ``sweep``, what a file says is to be swept.
    """

    def __init__(self, composer: Composer, overrides: list[Override], plain: list[Override], reference: DictConfig):
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
            _require_a_pair(reference, overrides)
            _require_all(composer.base, config)
            OmegaConf.set_struct(config, False)
            _require_a_reader(overrides, config, self.choices)
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
        config = _with(self._config, changes)
        for key in self._made_of_others & settings.keys():
            settings[key] = _at(config, key)
        return config, settings


class _Entangled(Exception):
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
        raise _Entangled(key)


def _at(config, key: str):
    """The value of a dotted key."""
    for part in key.replace("[", ".").replace("]", "").split("."):
        config = config[int(part)] if isinstance(config, list) else config[part]
    return config


def _with(config, changes: dict[tuple, object]):
    """The configuration with other values at some paths; what does not change is shared."""
    if not changes:
        return config
    if () in changes:
        return changes[()]
    copied = config.copy()
    for key in {path[0] for path in changes}:
        copied[key] = _with(config[key], {path[1:]: v for path, v in changes.items() if path[0] == key})
    return copied


def _require_all(base: DictConfig, config: DictConfig) -> None:
    """Raises Mistake where a setting that has a value by default is left without one."""
    for key, default in base.items_ex(resolve=False):
        if default is not None and config.get(key) is None and key != "hydra":
            raise Mistake(f"{key}: can't be left out")


def _require_a_pair(config: DictConfig, overrides: list[Override]) -> None:
    """Raises Mistake for a model that is not for such data: there are no callbacks, or no networks, for the two."""
    choices = config.hydra.runtime.choices
    follows = not any(o.key_or_group == "callbacks" for o in overrides)
    if (follows and "callbacks" not in config) or ("model" in config and OmegaConf.missing_keys(config.model)):
        raise Mistake(not_for(choices.model, choices.dataset, choices.domain))


def not_for(model: str, dataset: str, domain: str) -> str:
    """That the two don't go together, and which models there are recipes for."""
    recipes = sorted(path.stem.removeprefix(f"{domain}_") for path in (CONF / "recipe").glob(f"{domain}_*.yaml"))
    models = [name for name in recipes if (CONF / "model" / f"{name}.yaml").exists()]
    return f"model={model}: not for dataset={dataset}, which goes with {', '.join(models)}"


def _require_a_reader(overrides: list[Override], config: DictConfig, choices: dict[str, str]) -> None:
    """Raises Mistake for a setting that nothing in this job makes use of."""
    config = copy.deepcopy(config)
    if "train_subset" in config.dataset and config.dataset.train_subset is None:  # no subset that follows a draw
        for key in {"label_seed", "labels"} & config.dataset.keys():
            if any(o.key_or_group == f"dataset.{key}" for o in overrides):
                raise Mistake(f"dataset.{key}: without effect where dataset.train_subset is null")
            del config.dataset[key]
    text = OmegaConf.to_yaml(config, resolve=False)
    for override in overrides:
        path = override.key_or_group.split(".")
        if path[0] in READ_BY_REFERENCE and f"${{{path[0]}}}" not in text:
            raise Mistake(f"{override.input_line}: model={choices['model']} makes no use of {path[0]}")
        ours = path[0] == "callbacks" and len(path) > 1 and path[1] not in CALLBACK_GROUPS
        if ours and f"${{callbacks.{path[1]}}}" not in text:
            raise Mistake(f"{override.input_line}: a setting that nothing reads")
