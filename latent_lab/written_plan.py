"""A plan in a folder, for workers that are other processes, perhaps on other machines, perhaps later.

<folder of the sweep or the job>/plan/
    units.jsonl    a unit a line: its first job whole, the others by what they change
    tasks.json     what each task does (a unit, or some of its jobs), in phases: a phase needs what came before
    decided.json   what only a machine that computes can know, as the first worker found it
    status/N.json  how task N is getting on;  logs/  what was said
"""

import itertools
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from latent_lab.command import Job
from latent_lab.storage import read_json, write_json, write_text

FOLDER = "plan"


@dataclass(frozen=True)
class Task:
    """What one worker does at a time: the jobs ``first`` to before ``end`` of a unit, after its fit."""

    number: int
    unit: int
    first: int
    end: int


@dataclass(frozen=True)
class WrittenUnit:
    """A unit as its jobs' configurations, before anything is built.

    Attributes:
        label: of its fit.
        jobs: each with the folder of its result, relative to the folder of the sweep; None for a fit without jobs.
        requires: the jobs that name the fits it requires.
    """

    label: str
    jobs: list[tuple[Job, str | None]]
    requires: dict[str, Job]


def write(plan, folder: Path, logging: dict, jobs_per_task: int | None = None) -> list[list[Task]]:
    """Writes a plan into ``folder/plan``.

    Args:
        plan: the units.
        folder: of the sweep, or of the single job.
        logging: ``hydra.job_logging``.
        jobs_per_task: more jobs on one fit than so many are divided into tasks, which wait for the fit.

    Returns:
        the tasks of each phase: required fits; the fits, each with its first jobs; the other jobs.
    """
    target = folder / FOLDER
    for name in ("status", "logs"):
        (target / name).mkdir(parents=True, exist_ok=True)
    spans: list[list[tuple[int, int, int]]] = [[], [], []]
    lines = []
    for index, unit in enumerate(plan.units):
        lines.append(json.dumps(_as_plain(unit, folder), separators=(",", ":")))
        most = jobs_per_task or len(unit.jobs) or 1
        for first in range(0, len(unit.jobs) or 1, most):
            phase = 0 if not unit.jobs else 1 if not first else 2
            spans[phase].append((index, first, min(first + most, len(unit.jobs))))
    write_text(target / "units.jsonl", "\n".join(lines) + "\n")
    numbers = itertools.count()
    phases = [[Task(next(numbers), *span) for span in phase] for phase in spans if phase]
    write_json(target / "tasks.json", {"phases": [[asdict(t) for t in phase] for phase in phases], "logging": logging,
                                          "cwd": os.getcwd()})  # fmt: skip
    return phases


def read_tasks(folder: Path) -> tuple[list[list[Task]], dict, str]:
    """The phases of a written plan, how its jobs log, and the folder in which the command was given."""
    content = read_json(folder / FOLDER / "tasks.json")
    return [[Task(**task) for task in phase] for phase in content["phases"]], content["logging"], content["cwd"]


def read_units(folder: Path) -> list[WrittenUnit]:
    """The units of a written plan."""
    text = (folder / FOLDER / "units.jsonl").read_text(encoding="utf-8")
    return [_from_plain(json.loads(line)) for line in text.splitlines()]


def read_unit(folder: Path, index: int) -> WrittenUnit:
    """One of them."""
    with open(folder / FOLDER / "units.jsonl", encoding="utf-8") as file:
        for number, line in enumerate(file):
            if number == index:
                return _from_plain(json.loads(line))
    raise ValueError(f"{folder / FOLDER}: has no unit {index}")


def decided(folder: Path, key: str, decide) -> str:
    """What the first worker to ask decides for all: so that unlike machines train the same fits.

    Args:
        folder: of the sweep.
        key: of the decision.
        decide: called without arguments where there is none yet.
    """
    file = folder / FOLDER / "decided.json"
    with FileLock(file.with_name(".decided.lock")):
        decisions = read_json(file) if file.exists() else {}
        if key not in decisions:
            decisions[key] = decide()
            write_json(file, decisions)
    return decisions[key]


def _as_plain(unit, folder: Path) -> dict:
    jobs = [planned.job for planned in unit.jobs] or [unit.made_from]
    places = [planned.folder.relative_to(folder).as_posix() for planned in unit.jobs] or [None]
    first = jobs[0]
    others = [{**_job(job), "config": None, "changes": _changes(first.config, job.config)} for job in jobs[1:]]
    return {
        "label": unit.fit.label,
        "jobs": [_job(first), *others],
        "folders": places,
        "requires": {name: _job(job) for name, job in unit.requires.items()},
    }


def _job(job: Job) -> dict:
    return {name: getattr(job, name) for name in ("config", "choices", "overrides", "settings", "name")}


def _from_plain(content: dict) -> WrittenUnit:
    first = content["jobs"][0]["config"]
    jobs = []
    for plain in content["jobs"]:
        changes = plain.pop("changes", None)
        jobs.append(Job(**plain | ({} if changes is None else {"config": _changed(first, changes)})))
    requires = {name: Job(**plain) for name, plain in content["requires"].items()}
    return WrittenUnit(content["label"], list(zip(jobs, content["folders"], strict=True)), requires)


def _changes(before, after) -> list:
    """What makes one configuration of the other: pairs of a path and a value. What they share is not looked into."""
    if before is after or (type(before) is type(after) and before == after):
        return []
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        return [[[key, *path], value] for key in before for path, value in _changes(before[key], after[key])]
    return [[[], after]]


def _changed(config, changes: list):
    if not changes:
        return config
    if not changes[0][0]:
        return changes[0][1]
    copied = dict(config)
    for key in dict.fromkeys(path[0] for path, _ in changes):
        copied[key] = _changed(config[key], [(path[1:], value) for path, value in changes if path[0] == key])
    return copied
