"""What a command line asks for, read and checked before it costs anything: the only module that speaks to Hydra,
beside the two entry points. It imports no torch, so that a misspelt word is answered at once."""

import copy
import difflib
import itertools
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from hydra.initialize import get_gh_backup, restore_gh_from_backup
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

ALWAYS_NAMED = ("model", "dataset", "classifier", "n_labels", "label_seed", "seed")
READ_BY_REFERENCE = ("n_labels", "label_seed", "score_on", "classifier")  # which not every model's callbacks make
NEVER_SWEPT = ("sweep", "fresh", "paths.data", "paths.outputs")
FOLDERS_OF_HYDRA = ("hydra.run", "hydra.sweep.", "hydra.job.name", "hydra.job.chdir")
CONF = Path(__file__).resolve().parent / "conf"
FOLLOWS = ("budget", "domain", "family", "networks")  # groups that nobody chooses: they follow from others


class Mistake(Exception):
    """The user's; its message is the one line that is printed."""


def fail(message: str, program: str) -> None:
    """Ends the process as a mistake of the user does: one line, exit code 2."""
    print(f"{program}: {' '.join(str(message).split())}", file=sys.stderr)
    raise SystemExit(2)


@dataclass
class Command:
    """A command line, composed.

    Attributes:
        jobs: the configuration of each job, in the order they run; more than one only in a sweep.
        choices: of each job, group to option.
        names: of each job's folder in a sweep: what was swept, and which model, data and labels were named.
        multirun: whether it is a sweep (``-m``).
        unnamed: the keys that are left out of those names.
        settings: the arguments without flags, as Hydra is to be given them.
    """

    jobs: list[DictConfig]
    choices: list[dict[str, str]]
    names: list[str]
    multirun: bool
    unnamed: list[str]
    settings: list[str]


def read_command(config_name: str, arguments: list[str]) -> Command | None:
    """Composes all jobs of a command line.

    Returns:
        The command, or None for one that Hydra answers by itself (``--help``, ``--cfg``, ...).

    Raises:
        Mistake: unknown or misspelt group, option or key, or a value of the wrong kind.
    """
    flags = _read_flags(arguments)
    if flags.help or flags.hydra_help or flags.cfg or flags.info or flags.shell_completion:
        return None
    overrides = [_parse(text) for text in flags.overrides]
    for override in overrides:
        if override.key_or_group.startswith(FOLDERS_OF_HYDRA):
            raise Mistake(f"{override.key_or_group}: folders are named by paths.outputs=DIR and sweep=NAME")
    swept = [o for o in overrides if o.is_sweep_override()]
    if swept and not flags.multirun:
        raise Mistake(f"{swept[0].input_line} names several values: add -m to run a job for each")
    unnamed = [o.key_or_group for o in overrides if o not in swept and o.key_or_group not in ALWAYS_NAMED]
    values = [_values(o) if o in swept else [o] for o in overrides]
    jobs, choices, names = [], [], []
    with _own_hydra():
        composer = _Composer(config_name)
        for combination in itertools.product(*values):
            job = composer.job(list(combination))
            choices.append(chosen(job.hydra.runtime.choices))
            OmegaConf.set_struct(job, False)
            del job["hydra"]
            jobs.append(job)
            # as Hydra's override_dirname does it
            names.append(",".join(sorted(o.input_line for o in combination if o.key_or_group not in unnamed)))
    if flags.multirun:
        for name in names:
            if not name or "/" in name or len(name) > 200:
                why = "no name for a job's folder; sweep a setting" if not name else "can't name a job's folder"
                raise Mistake(f"-m: {name[:80]} {why}")
    settings = [_for_each_job(o, composer) if flags.multirun else o.input_line for o in overrides]
    return Command(jobs, choices, names, flags.multirun, unnamed, settings)


@contextmanager
def _own_hydra() -> Iterator[None]:
    """Hydra with our configuration, also within a job that Hydra runs: it can be initialised once at a time."""
    around = get_gh_backup()
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            yield
    finally:
        restore_gh_from_backup(around)


def _for_each_job(override: Override, composer: "_Composer") -> str:
    """An override as a sweep takes it. Hydra composes a sweep's own configuration without what is swept, so a setting
    that only a swept model has would be unknown there, unless it may be added (``++``)."""
    key = override.key_or_group
    plain = override.type == OverrideType.CHANGE and not override.is_sweep_override()
    known = key in composer.groups or key in composer.keys
    return f"++{override.input_line}" if plain and not known else override.input_line


def chosen(choices: dict[str, str | None]) -> dict[str, str]:
    """Of Hydra's choices those between options of ours: group to option."""
    return {g: c for g, c in choices.items() if c and g not in FOLLOWS and (CONF / g).is_dir()}


def _read_flags(arguments: list[str]):
    parser = get_args_parser()

    def refuse(message: str):
        raise Mistake(f"{message}; settings are given as key=value")

    parser.error = refuse
    flags = parser.parse_intermixed_args(arguments)
    if flags.config_path or flags.config_name or flags.config_dir or flags.experimental_rerun:
        raise Mistake("--config-path, --config-name, --config-dir, --experimental-rerun: not supported here")
    return flags


def _values(override: Override) -> list[Override]:
    if override.key_or_group in NEVER_SWEPT:
        raise Mistake(f"{override.input_line}: one value for a whole sweep")
    try:
        return [_parse(f"{override.get_key_element()}={value}") for value in override.sweep_string_iterator()]
    except HydraException:
        raise Mistake(f"{override.input_line}: name the values, as {override.key_or_group}=A,B") from None


def quoted(argument: str) -> str:
    """``key=value`` with the value in quotes: to Hydra a plain string, whatever commas and equals signs are in it."""
    key, equals, value = argument.partition("=")
    if not equals or value in ("true", "false", "null"):
        return argument
    return f"{key}='" + value.replace("'", "\\'") + "'"


def _parse(text: str) -> Override:
    try:
        return OverridesParser.create().parse_override(text)
    except (OverrideParseException, HydraException):
        hint = "" if "=" in text else "; settings are given as key=value"
        raise Mistake(f"can't read '{text}'{hint}") from None


def nearest(word: str, accepted: list[str]) -> str:
    """`` (did you mean X?)``, or nothing if no accepted word is near."""
    close = difflib.get_close_matches(word, accepted, n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""


class _Composer:
    """Composes jobs, each combination of groups once, and explains what does not compose."""

    def __init__(self, config_name: str):
        self.config_name = config_name
        self.groups = sorted(p.name for p in CONF.iterdir() if p.is_dir() and p.name not in FOLLOWS)
        self.base = compose(config_name)
        self.keys = _keys(self.base)
        self.composed: dict[tuple[str, ...], DictConfig] = {}

    def job(self, overrides: list[Override]) -> DictConfig:
        """The configuration of one job, resolved; its values checked against the defaults they replace."""
        for override in overrides:
            if override.is_add() and "." not in override.key_or_group:
                raise Mistake(f"+{override.key_or_group}: a setting that nothing reads")
        plain = [o for o in overrides if self._is_value(o)]
        others = tuple(o.input_line for o in overrides if not self._is_value(o))
        try:
            if others not in self.composed:
                # With the values, so that Hydra judges them too; without, for the defaults to compare with.
                compose(self.config_name, [*others, *(o.input_line for o in plain)], return_hydra_config=True)
                self.composed[others] = compose(self.config_name, list(others), return_hydra_config=True)
            reference = self.composed[others]
            job = copy.deepcopy(reference)
            for override in plain:
                OmegaConf.update(job, override.key_or_group, override.value(), merge=True)
            for override in plain:
                _require_same_kind(override.key_or_group, job, reference)
            _require_a_pair(job)
            for key, default in self.base.items_ex(resolve=False):
                if default is not None and job.get(key) is None:
                    raise Mistake(f"{key}: can't be left out")
            _require_a_reader(overrides, job)
            for key in job:
                if key != "hydra" and OmegaConf.is_config(job[key]):
                    OmegaConf.to_container(job[key], resolve=True)
            return job
        except MissingConfigException as error:
            raise Mistake(self._explain_missing(error)) from None
        except (ConfigCompositionException, OmegaConfBaseException, HydraException, ValueError) as error:
            emptied = [o.key_or_group for o in overrides if o.key_or_group in self.groups and o.value() is None]
            raise Mistake(f"{emptied[0]}: can't be left out" if emptied else self._explain(error)) from None

    def _is_value(self, override: Override) -> bool:
        return (
            override.key_or_group.split("@")[0] not in self.groups
            and not override.key_or_group.startswith(("hydra.", "hydra/"))
            and not override.is_add()
            and not override.is_force_add()
            and not override.is_delete()
        )

    def _explain_missing(self, error: MissingConfigException) -> str:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        options = sorted(p.stem for p in (CONF / group).glob("*.yaml")) if group else []
        if options:
            return f"{group}={option}: unknown{nearest(option, options)}; accepted are {', '.join(options)}"
        return str(error).splitlines()[0]

    def _explain(self, error: Exception) -> str:
        text = str(error)
        if found := re.search(r"Could not override '([^']+)'", text):
            key = found.group(1).split("@")[0]
            keys = self.keys
            accepted = [*self.groups, *keys]
            accepted = [name for name in accepted if name != key]
            near = nearest(key, accepted) or nearest(key, [k.rpartition(".")[2] for k in keys])
            branch = key.rpartition(".")[0]
            while branch and branch not in keys:
                branch = branch.rpartition(".")[0]
            siblings = [k.rpartition(".")[2] for k in keys if k.rpartition(".")[0] == branch and "_target_" not in k]
            return f"{key}: no such setting{near}; {branch or self.config_name} has {', '.join(siblings)}"
        return " ".join(text.split("\nSee http")[0].splitlines())


def _require_a_pair(job: DictConfig) -> None:
    """Raises Mistake for a model that is not for such data: conf has no callbacks, or no networks, for the two."""
    choices = job.hydra.runtime.choices
    follows = "domain" in choices and not any(
        o.startswith(("~callbacks", "callbacks=")) for o in job.hydra.overrides.task
    )
    if (follows and "callbacks" not in job) or ("model" in job and OmegaConf.missing_keys(job.model)):
        models = sorted(path.stem for path in (CONF / "networks").glob(f"{choices.domain}_*.yaml"))
        fitting = ", ".join(name.removeprefix(f"{choices.domain}_") for name in models)
        raise Mistake(f"model={choices.model}: not for dataset={choices.dataset}, which goes with {fitting}")


def _keys(config: DictConfig, prefix: str = "") -> list[str]:
    names = []
    for key in config:
        names.append(f"{prefix}{key}")
        value = None if OmegaConf.is_missing(config, key) else config._get_node(key)
        if isinstance(value, DictConfig) and not value._is_none():
            names += _keys(value, f"{prefix}{key}.")
    return names


def _require_a_reader(overrides: list[Override], job: DictConfig) -> None:
    """Raises Mistake for a setting that nothing in this job refers to."""
    text = OmegaConf.to_yaml(job, resolve=False)
    for override in overrides:
        root = override.key_or_group.partition(".")[0]
        if root in READ_BY_REFERENCE and f"${{{root}}}" not in text:
            choices = chosen(job.hydra.runtime.choices)
            raise Mistake(f"{override.input_line}: model={choices['model']} makes no use of {root}")


_KINDS = {bool: "true or false", int: "a whole number", float: "a number", list: "a list", dict: "a group of settings"}


def _require_same_kind(key: str, job: DictConfig, reference: DictConfig) -> None:
    """Raises Mistake where a value is of another kind than the default it replaces."""
    default, value = OmegaConf.select(reference, key), OmegaConf.select(job, key)
    default, value = (OmegaConf.to_container(v) if OmegaConf.is_config(v) else v for v in (default, value))
    if default is None or value is None or isinstance(default, str):
        return
    if type(value) is not type(default) and not (type(default) is float and type(value) is int):
        like = "" if isinstance(default, dict | list) else f", like the default {default}"
        raise Mistake(f"{key}={value}: expects {_KINDS[type(default)]}{like}")
