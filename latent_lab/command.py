"""The words of a command line into jobs: the only module that speaks to Hydra. It imports no torch, so that a misspelt
word is answered at once.

A command is composed once, by Hydra's grammar and Hydra's compose. Hydra's own multirun would compose each job anew
(a tenth of a second each), know a setting that only a swept model has (``-m model=dcgan,wgan_gp
model.generator.channels=8``) for a mistake, and answer others in pages; so the jobs of a sweep are made here: one
composition for each combination of groups, and the plain values put into it.
"""

import itertools
import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from hydra import initialize_config_dir
from hydra._internal.utils import _run_hydra, get_args_parser
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import IntervalSweep, Override, Transformer, ValueType
from hydra.errors import HydraException
from hydra.initialize import get_gh_backup, restore_gh_from_backup

from latent_lab.composition import CONF, Composer
from latent_lab.mistakes import Mistake
from latent_lab.words import TEXTS, as_text, is_text, parse
from latent_lab.words import quoted as quoted

ALWAYS_NAMED = (  # in the name of a sweep's job
    "model", "dataset", "classifier", "spread", "transductive", "n_labels", "label_seed", "seed",
)  # fmt: skip
HEEDED = ("hydra.mode", "hydra.job_logging.", "hydra/job_logging", "hydra/launcher", "hydra.launcher.", "hydra/sweeper")


@dataclass(frozen=True)
class Job:
    """One job of a command.

    Attributes:
        config: plain and resolved. Jobs share what they have in common: nothing in it is ever changed.
        choices: group to option.
        overrides: the words that made it.
        settings: what the command named, key to value.
        name: of its folder in a sweep: what was swept, and which model, data and labels were named.
    """

    config: dict
    choices: dict[str, str]
    overrides: list[str]
    settings: dict[str, object]
    name: str


@dataclass(frozen=True)
class Command:
    """A command line, composed.

    Attributes:
        jobs: in the order of Hydra's multirun; more than one only in a sweep.
        multirun: whether it is a sweep (``-m``, or ``hydra.mode=MULTIRUN``).
        hydra: what Hydra's own part of the configuration says, of the first job: ``launcher``, ``job_logging``.
    """

    jobs: list[Job]
    multirun: bool
    hydra: dict = field(default_factory=dict)


def read_command(config_name: str, arguments: list[str]) -> Command | None:
    """Composes all jobs of a command line.

    Returns:
        The command, or None for one that asks for a page only (``--help``, ``--cfg``, ...), which Hydra prints.

    Raises:
        Mistake: unknown or misspelt group, option or key, or a value of the wrong kind.
    """
    flags = _read_flags(arguments)
    if garbled := [word for word in flags.overrides if not is_text(word)]:
        raise Mistake(f"{garbled[0]}: no text in this system's encoding, {sys.getfilesystemencoding()}")
    words = [as_text(word) for word in flags.overrides]
    with _own_hydra():
        overrides = [parse(word) for word in words]
        _require_single_and_heeded(overrides)
        composer = Composer(config_name)
        first = [_values(override)[0] for override in overrides]
        base = composer.template(first)
        multirun = flags.multirun or base.hydra["mode"] == "MULTIRUN"
        if swept := [o for o in overrides if o.is_sweep_override() and not multirun]:
            raise Mistake(f"{swept[0].input_line} names several values: add -m to run a job for each")
        if flags.cfg and multirun:
            raise Mistake("--cfg shows the configuration of one job: leave out -m, and name one value of each setting")
        if flags.help or flags.hydra_help or flags.cfg or flags.info or flags.shell_completion:
            for combination in itertools.islice(_combinations(overrides, composer, multirun), 1):
                composer.template(combination)
            return None
        jobs = [_job(combination, composer) for combination in _combinations(overrides, composer, multirun)]
    if not jobs:
        raise Mistake("a sweep over no values: " + " ".join(words))
    if multirun and (twice := [name for name, count in Counter(job.name for job in jobs).items() if count > 1]):
        raise Mistake(f"two jobs of this sweep are the same: {twice[0]}")
    return Command(jobs, multirun, base.hydra)


def _job(combination: list[Override], composer: Composer) -> Job:
    template = composer.template(combination)
    config, settings = template.filled(combination)
    named = [o for o in combination if o.key_or_group in ALWAYS_NAMED or getattr(o, "swept", False)]
    overrides = [o.input_line for o in combination]
    return Job(config, template.choices, overrides, settings, folder_name(sorted(o.input_line for o in named)))


def folder_name(words: list[str]) -> str:
    """A folder's name for a job, as Hydra's override_dirname where that is one; else without what a file system may not
    take, and told apart by a digest."""
    name = ",".join(words) or "job"
    plain = re.sub(r"[^\w.,=+-]+", "_", name)
    if plain == name and len(name) <= 120:
        return name
    import hashlib

    return f"{plain[:100]}~{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _combinations(overrides: list[Override], composer: Composer, multirun: bool) -> Iterator[list[Override]]:
    """The overrides of each job. In a sweep also what an experiment's file sweeps (``hydra.sweeper.params``), unless
    the command names it."""
    given = {o.key_or_group for o in overrides}
    for combination in itertools.product(*map(_values, overrides)):
        filed = composer.template(list(combination)).hydra["sweep"] if multirun else {}
        words = [f"{key}={value}" for key, value in filed.items() if key.lstrip("+") not in given]
        for more in itertools.product(*(_values(parse(word)) for word in words)):
            yield [*combination, *more]


def _values(override: Override) -> list[Override]:
    """A sweep's values as overrides of one value each."""
    if not override.is_sweep_override():
        return [override]
    if override.key_or_group in TEXTS or override.key_or_group == "fresh" or override.key_or_group.startswith("hydra"):
        raise Mistake(f"{override.input_line}: one value for a whole sweep")
    try:
        if isinstance(override._value, IntervalSweep):
            raise HydraException
        elements = list(override.sweep_iterator(transformer=Transformer.identity))
        texts = list(override.sweep_string_iterator())
    except (HydraException, ValueError, TypeError):
        raise Mistake(f"{override.input_line}: name the values, as {override.key_or_group}=A,B") from None
    if not elements:
        raise Mistake(f"{override.input_line}: a sweep over no value")
    singles = []
    for element, text in zip(elements, texts, strict=True):
        line = f"{override.get_key_element()}={text}"
        single = replace(override, value_type=ValueType.ELEMENT, _value=element, input_line=line)
        single.swept = True
        singles.append(single)
    return singles


def _require_single_and_heeded(overrides: list[Override]) -> None:
    """Raises Mistake for a setting given twice, and for one of Hydra's that means nothing here."""
    seen: dict[str, str] = {}
    for override in overrides:
        key = override.key_or_group
        if key in seen and not override.is_delete():
            raise Mistake(f"{seen[key]} {override.input_line}: {key} is given twice")
        seen[key] = override.input_line
        if key == "hydra/sweeper" and override.value() != "basic":
            raise Mistake(f"{override.input_line}: sweeps are Hydra's basic ones here, over the values that -m names")
        if key.startswith("hydra") and not key.startswith(HEEDED):
            raise Mistake(
                f"{key}: without effect here: folders are named by paths.outputs=DIR and sweep=NAME, jobs run by "
                "hydra/launcher; heeded are hydra.mode and hydra.job_logging, and hydra.sweeper.params in a file"
            )


def _read_flags(arguments: list[str]):
    parser = get_args_parser()

    def refuse(message: str):
        raise Mistake(f"{message}; settings are given as key=value")

    parser.error = refuse
    flags = parser.parse_intermixed_args(arguments)
    if flags.config_path or flags.config_name or flags.config_dir or flags.experimental_rerun:
        raise Mistake("--config-path, --config-name, --config-dir, --experimental-rerun: not supported here")
    return flags


@contextmanager
def _own_hydra() -> Iterator[None]:
    """Hydra with our configuration, also where another is initialised: there can be one at a time."""
    around = get_gh_backup()
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            # Hydra's own launcher of that name, which ours would be held against
            ConfigStore.instance().repo["hydra"]["launcher"].pop("basic.yaml", None)
            yield
    finally:
        restore_gh_from_backup(around)


def print_page(config_name: str) -> None:
    """What Hydra answers by itself: ``--help``, ``--cfg``, ``--info``, ... of the process's arguments."""
    flags = _read_flags(sys.argv[1:])
    with _own_hydra():
        flags.overrides = [parse(as_text(word)).input_line for word in flags.overrides]
    try:
        _run_hydra(flags, get_args_parser(), lambda config: None, config_path=str(CONF), config_name=config_name)
    except SystemExit as stop:  # Hydra has said why
        raise SystemExit(2 if stop.code else 0) from None
