"""A plan in a folder, for workers that are other processes, perhaps on other machines, perhaps later.

<folder of the sweep or the job>/plan/
    units.jsonl    a unit a line: its first job whole, the others by what they change
    tasks.json     what each task does (a unit, or some of its jobs), in phases: a phase needs what came before
    driver.json    the process that runs the plan, or submitted it; slurm.json: what it was submitted as
    decided.json   what only a machine that computes can know, as the first worker found it
    status/N.json  how task N is getting on;  logs/  what was said
"""

import itertools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from latent_lab.command import Job
from latent_lab.folders import timestamp
from latent_lab.storage import (
    DamagedFile,
    damaged,
    file_lock,
    open_regular,
    read_json,
    sealed,
    set_folder_aside,
    unsealed,
    write_json,
    write_text,
)
from latent_lab.values import with_values

FOLDER = "plan"
NOT_BEGUN = "not begun"  # the status of a job that has no folder
AGAIN = "the same command writes the plan again"
JOB = {"config": dict | None, "choices": dict, "overrides": [str], "settings": dict, "name": str}
UNIT = {"label": str, "jobs": [JOB], "folders": [str | None], "requires": {str: JOB}}
TASK = {"number": int, "unit": int, "first": int, "end": int}
TASKS = {"phases": [[TASK]], "logging": dict, "cwd": str, "written": str, "fresh": bool}
STATUS = {"state": str, "error?": str | None, "fit?": str, "label?": str, "epoch?": int, "began_with?": int,
          "begun_in_vain?": int, "updated?": float, "process?": int, "host?": str}  # fmt: skip


@dataclass(frozen=True)
class Task:
    """What one worker does at a time: the jobs ``first`` to before ``end`` of a unit, after its fit."""

    number: int
    unit: int
    first: int
    end: int


@dataclass(frozen=True)
class Tasks:
    """The tasks of a written plan.

    Attributes:
        phases: the tasks of each.
        logging: ``hydra.job_logging``.
        cwd: the folder in which the command was given.
        written: when.
        fresh: whether the worker that begins a fit sets aside what was fitted before.
    """

    phases: list[list[Task]]
    logging: dict
    cwd: str
    written: str
    fresh: bool

    @property
    def all(self) -> dict[int, Task]:
        """By their numbers."""
        return {task.number: task for phase in self.phases for task in phase}


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


def write(plan, folder: Path, logging: dict, jobs_per_task: int | None = None, fresh: bool = False) -> list[list[Task]]:
    """Writes a plan into ``folder/plan``; what an earlier one said of its tasks is removed. To be called within
    :func:`latent_lab.launchers.driving.driven`.

    Args:
        plan: the units.
        folder: of the sweep, or of the single job.
        logging: ``hydra.job_logging``.
        jobs_per_task: more jobs on one fit than so many are divided into tasks, which wait for the fit.
        fresh: whether the worker that begins a fit sets aside what was fitted before.

    Returns:
        the tasks of each phase: required fits; the fits, each with its first jobs; the other jobs.
    """
    target = folder / FOLDER
    for old in (*(target / "status").iterdir(), target / "slurm.json"):
        set_folder_aside(old)
        old.unlink(missing_ok=True)
    spans: list[list[tuple[int, int, int]]] = [[], [], []]
    lines = []
    for index, unit in enumerate(plan.units):
        lines.append(json.dumps(sealed(_as_plain(unit, folder), str(index)), separators=(",", ":")))
        most = jobs_per_task or len(unit.jobs) or 1
        for first in range(0, len(unit.jobs) or 1, most):
            phase = 0 if not unit.jobs else 1 if not first else 2
            spans[phase].append((index, first, min(first + most, len(unit.jobs))))
    write_text(target / "units.jsonl", "\n".join(lines) + "\n")
    numbers = itertools.count()
    phases = [[Task(next(numbers), *span) for span in phase] for phase in spans if phase]
    tasks = Tasks(phases, logging, os.getcwd(), timestamp(), fresh)
    write_json(target / "tasks.json", asdict(tasks))
    return phases


def read_tasks(folder: Path) -> Tasks:
    """What :func:`write` wrote of the tasks; as all that follow, raises DamagedFile where it can't be read."""
    content = read_json(folder / FOLDER / "tasks.json", TASKS, AGAIN)
    phases = [[Task(**{name: task[name] for name in TASK}) for task in phase] for phase in content["phases"]]
    return Tasks(**{name: content[name] for name in TASKS} | {"phases": phases})


def read_places(folder: Path) -> list[list[str]]:
    """The folders of the jobs of each unit."""
    return [[place for place in unit["folders"] if place is not None] for unit in _units(folder)]


def read_settings(folder: Path) -> Iterator[dict]:
    """What the command named of each job that has a result."""
    for unit in _units(folder):
        jobs = zip(unit["jobs"], unit["folders"], strict=True)
        yield from (job["settings"] for job, place in jobs if place is not None)


def with_planned(folder: Path, results: list[dict]) -> list[dict]:
    """The results of a sweep, and after them the jobs of its plan that left none: they too are of the sweep, and of the
    command that makes it. A job that was killed has its words from the plan."""
    try:
        planned = {
            Path(place).name: job["overrides"]
            for unit in _units(folder)
            for job, place in zip(unit["jobs"], unit["folders"], strict=True)
            if place is not None
        }
    except DamagedFile:
        return results  # there is none, or it can't be read
    names = {result["job_name"] for result in results}
    told = [
        result | {"overrides": planned[result["job_name"]]}
        if "overrides" not in result and result["job_name"] in planned
        else result
        for result in results
    ]
    rest = [name for name in planned if name not in names]
    return told + [{"status": NOT_BEGUN, "job_name": name, "overrides": planned[name]} for name in rest]


def read_unit(folder: Path, index: int) -> WrittenUnit:
    """One of the units."""
    for content in _units(folder, index):
        return _from_plain(content)
    raise damaged(folder / FOLDER / "units.jsonl", f"there is no unit {index}", AGAIN)


def _units(folder: Path, only: int | None = None) -> Iterator[dict]:
    """The units as they are written, or that of a number."""
    path = folder / FOLDER / "units.jsonl"
    try:
        with open_regular(path) as file:
            for number, line in enumerate(file):
                if only in (None, number):
                    unit = unsealed(json.loads(line), path, UNIT, AGAIN, str(number))
                    for place in unit["folders"]:  # below the sweep's
                        if place is not None and (Path(place).is_absolute() or ".." in Path(place).parts):
                            raise damaged(path, f"{place} is no folder of a job", AGAIN)
                    yield unit
    except (OSError, RecursionError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise damaged(path, error, AGAIN) from None


def read_status(folder: Path, number: int) -> dict:
    """What was last heard of a task; empty if nothing was."""
    try:
        return read_json(folder / FOLDER / "status" / f"{number}.json", STATUS)
    except DamagedFile:
        return {}


def decided(folder: Path, key: str, decide: Callable[[], str]) -> str:
    """What the first worker to ask decides for all: so that unlike machines train the same fits.

    Args:
        folder: of the sweep.
        key: of the decision.
        decide: called without arguments where there is none yet.
    """
    file = folder / FOLDER / "decided.json"
    with file_lock(file.with_name(".decided.lock")):
        decisions = read_json(file, {str: str}, "remove it") if file.exists() else {}
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
        if changes is not None:
            plain["config"] = with_values(first, {tuple(path): value for path, value in changes})
        jobs.append(Job(**plain))
    requires = {name: Job(**plain) for name, plain in content["requires"].items()}
    return WrittenUnit(content["label"], list(zip(jobs, content["folders"], strict=True)), requires)


def _changes(before, after) -> list:
    """What makes one configuration of the other: pairs of a path and a value. What they share is not looked into; 1 and
    1.0 are two values, and so are two orders of callbacks."""
    if before is after:
        return []
    if isinstance(before, dict) and isinstance(after, dict) and list(before) == list(after):
        return [[[key, *path], value] for key in before for path, value in _changes(before[key], after[key])]
    return [] if repr(before) == repr(after) else [[[], after]]
