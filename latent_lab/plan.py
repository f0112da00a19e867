"""A command as a plan: all jobs checked before any runs, and grouped into units, which know nothing of each other.

A unit is a fit with all jobs that look at it. It depends on nothing but the fits that its own requires, which are units
without jobs and come earlier; so a launcher may run units in any order that heeds that, wherever it likes.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytorch_lightning as pl

from callbacks.observers.epoch_seed import EpochSeed
from latent_lab import trainer_settings
from latent_lab.checks import check_analyses, check_pair, check_trainer
from latent_lab.command import Command, Job, quoted, read_command
from latent_lab.fits import Fit, describe, require_allowed
from latent_lab.folders import require_writable
from latent_lab.targets import build, resolve
from latent_lab.training import configured, make_loggers, quiet, read_data, require_described

# Of the data of a required fit these are its own; all else is its job's: it is the job's data that it learns.
ITS_OWN = ("batch_size", "seed", "train_subset", "n_labels", "labelled_batch_size", "label_seed", "labels")


@dataclass
class PlannedJob:
    """A job, where its result goes, and the fit and the data as it looks at them: jobs of one fit may differ in what
    only the test reads."""

    job: Job
    config: dict
    folder: Path
    fit: Fit
    datamodule: pl.LightningDataModule


@dataclass
class Unit:
    """A fit, the data it is trained on, and the jobs that look at it; the job that named it first, and those that name
    the fits it requires."""

    fit: Fit
    datamodule: pl.LightningDataModule
    made_from: Job
    requires: dict[str, Job]
    jobs: list[PlannedJob] = field(default_factory=list)


@dataclass
class Plan:
    """The units of a command, those that others require first."""

    units: list[Unit]

    def moved(self, old: Path, new: Path) -> Path:
        """Has the jobs that were to write below one folder write below another; returns that."""
        for job in (job for unit in self.units for job in unit.jobs):
            job.folder = new / job.folder.relative_to(old)
        return new


class Planner:
    """Builds every distinct part of every job once, checks it, and trains nothing.

    Args:
        decide: given a key and a function, gives what the function decided for that key, here or elsewhere before; None
            where this machine decides.
        given: the jobs that name required fits, where they are composed already.
        here: whether this machine is to train: a login node may have no GPU.
    """

    def __init__(self, decide: Callable | None = None, given: dict[str, Job] | None = None, here: bool = True):
        self._decide, self._given, self._here = decide or (lambda key, make: make()), given or {}, here
        self._made: dict[str, object] = {}
        self.units: dict[str, Unit] = {}

    def _once(self, what: str, content, make: Callable):
        key = what + json.dumps(content, sort_keys=True)
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def add(self, job: Job, folder: Path | None) -> Unit:
        """The unit that a job belongs to. Without a folder there is nothing to be done but the fit.

        Raises:
            ValueError: what is wrong, in one line.
        """
        config = self._completed(job)
        choices, trainer = job.choices, config["trainer"]
        EpochSeed(config["seed"])
        if type(config["compile"]) is not bool:
            raise ValueError(f"compile={config['compile']}: expects true or false")
        self._once("trainer", trainer, lambda: check_trainer(trainer, self._here))
        require_described(config)
        require_allowed(config["callbacks"]["observers"] or {})
        self._once("logger", config["logger"], lambda: make_loggers(config, Path("."), "check"))
        datamodule = self._once("data", config["dataset"], lambda: read_data(config["dataset"]))
        data = self._once("facts", config["dataset"], lambda: describe(datamodule))
        requires = self._requires(config, choices)
        pair = [
            config["model"],
            config["dataset"],
            trainer,
            config["compile"],
            {n: f.name for n, f in requires.items()},
        ]
        self._once("pair", pair, lambda: check_pair(config, choices, data["offers"], datamodule, requires))
        for observer in configured(config, "observers"):
            self._once("observer", observer, lambda c=observer: build(c, fit_folder=None))
        for analysis in configured(config, "analyses"):
            self._once("analysis", [config["dataset"], analysis], lambda c=analysis: build(c).check(datamodule))
        parts = [config["callbacks"]["analyses"], config["callbacks"]["observers"]]
        self._once("analyses", parts, lambda: check_analyses(config))
        fit = self._fit(config, choices, data, requires)
        if fit.name not in self.units:
            requires = {name: self.units[other.name].made_from for name, other in fit.requires.items()}
            self.units[fit.name] = Unit(fit, datamodule, job, requires)
        unit = self.units[fit.name]
        if folder is not None:
            unit.jobs.append(PlannedJob(job, config, folder, fit, datamodule))
        return unit

    def _completed(self, job: Job) -> dict:
        """A job's configuration with what only this machine and the classes know."""
        named = trainer_settings.named(job.settings)
        trainer, dataset = job.config["trainer"], job.config["dataset"]
        completed = self._once(
            "completed",
            [trainer, sorted(named)],
            lambda: trainer_settings.completed(trainer, named, self._decide),
        )
        used = self._once("used", dataset, lambda: getattr(resolve(dataset["_target_"]), "used", dict)(dataset))
        return job.config | {"trainer": completed, "dataset": used}

    def _fit(self, config: dict, choices: dict[str, str], data: dict, requires: dict[str, Fit]) -> Fit:
        parts = ("model", "dataset", "trainer", "seed", "compile", "paths", "requires")
        content = [{name: config[name] for name in parts}, choices, config["callbacks"]["observers"]]
        label = f"{choices['model']}-{choices['dataset']}"
        return self._once("fit", content, lambda: Fit(config, label, Path(config["paths"]["outputs"]), data, requires))

    def _requires(self, config: dict, choices: dict[str, str]) -> dict[str, Fit]:
        parts = ("dataset", "trainer", "paths", "requires")
        content = [{name: config[name] for name in parts}, choices["dataset"]]
        named = (config["requires"] or {}).items()
        return self._once(
            "requires", content, lambda: {name: self._required(name, words, config, choices) for name, words in named}
        )

    def _required(self, name: str, settings: dict, config: dict, choices: dict[str, str]) -> Fit:
        """A fit that others require: what it has in common with them is the data, and where things lie."""
        words = [f"dataset={choices['dataset']}", f"trainer.accelerator={config['trainer']['accelerator']}"]
        words += [quoted(f"paths.{key}={folder}") for key, folder in config["paths"].items()]
        words += [f"trainer.enable_progress_bar={str(config['trainer']['enable_progress_bar']).lower()}"]
        try:
            if others := sorted(word for word in _as_words(settings) if _is_of_the_data(word)):
                raise ValueError(f"{others[0]}: it learns its job's data; own to it are dataset.{', '.join(ITS_OWN)}")
            job = self._given.get(name) or read_command("train", [*words, *_as_words(settings)]).jobs[0]
            data = {k: v for k, v in job.config["dataset"].items() if k in ITS_OWN}
            data |= {k: v for k, v in config["dataset"].items() if k not in ITS_OWN}
            return self.add(replace(job, config=job.config | {"dataset": data}), None).fit
        except ValueError as error:
            raise ValueError(f"requires.{name}: {error}") from None


def plan(command: Command, folder: Path, here: bool = True) -> Plan:
    """Checks a command whole and groups its jobs.

    Args:
        command: the jobs.
        folder: of the sweep, or of the single job.
        here: whether this machine is to train; else what only that one can know is left open.

    Raises:
        ValueError: what is wrong, in one line.
    """
    quiet()
    planner = Planner(None if here else lambda key, make: "auto", here=here)
    for job in command.jobs:
        planner.add(job, folder / job.name if command.multirun else folder)
    units = list(planner.units.values())
    for outputs in {unit.fit.folder.parent.parent for unit in units}:
        require_writable(outputs)
    fresh = command.jobs[0].config["fresh"]
    for unit in units:
        if not (fresh and here):  # elsewhere the name of the fit is known where it is trained
            unit.fit.check()
        elif (unit.jobs or unit.fit.damaged) and (kept := unit.fit.set_aside()):
            print(f"fresh=true: what was fitted before lies in {kept}")
    required = {name: other for unit in units for name, other in unit.fit.requires.items()}
    first = {fit.name for fit in required.values()}
    return Plan(sorted(units, key=lambda unit: unit.fit.name not in first))


def _is_of_the_data(word: str) -> bool:
    """Whether it is a setting of the data that a required fit has in common with its job."""
    group, _, name = word.partition("=")[0].partition(".")
    return group == "dataset" and name not in ITS_OWN


def _as_words(settings: dict, prefix: str = "") -> list[str]:
    """Nested settings as on a command line: ``a.b=value``."""
    words = []
    for key, value in settings.items():
        words += _as_words(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}={value}"]
    return words
