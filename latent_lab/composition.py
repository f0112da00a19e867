"""Configurations composed by Hydra: each combination of groups once, and plain values put into what came of it."""

import re

from hydra import compose
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from latent_lab.mistakes import Mistake, nearest
from latent_lab.refusals import CALLBACK_GROUPS, CONF, FOLLOWS, require_own_hydra
from latent_lab.template import Entangled, Template
from latent_lab.values import keys_of

OPTIONAL = ("experiment",)  # groups that may be empty
WHOLE = tuple(f"callbacks.{group}" for group in CALLBACK_GROUPS)  # may be empty, not absent
WITHOUT_DEFAULTS = ("trainer.", "paths.")  # parts whose settings no class has a default for


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

    def template(self, overrides: list[Override]) -> Template:
        """What jobs that differ in plain values only have in common."""
        groups = tuple(o.input_line for o in overrides if not self._is_plain(o))
        plain = [o for o in overrides if self._is_plain(o)]
        fixed = tuple(o.input_line for o in plain if not self.is_free(o))
        key = (groups, fixed, tuple(o.key_or_group for o in plain))
        if key not in self._templates:
            try:
                self._templates[key] = Template(self, overrides, plain, self._compose(overrides, groups))
            except Entangled as entangled:
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
            if self.config_name == "train":
                require_own_hydra(self._composed[groups], self.base)
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
