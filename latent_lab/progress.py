"""How the tasks of a written plan are getting on, as whoever asks can tell. It imports no torch."""

import contextlib
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from latent_lab import written_plan
from latent_lab.escaping import visible
from latent_lab.folders import timestamp
from latent_lab.launchers import slurm_queue
from latent_lab.launchers.driving import submitted
from latent_lab.place import alive, in_short, place
from latent_lab.rounding import duration
from latent_lab.storage import DamagedFile, NoSpace, read_json, write_json
from latent_lab.written_plan import Task

EVERY = 2.0  # seconds between two writings while a fit trains
SILENT = 600.0  # seconds without a word of a process on another machine, after which nobody can tell whether it runs
COMING = ("waiting", "starting", "running", "requeued")  # states that end by themselves
MOST_LINES = 40  # of tasks in a terminal


class Status:
    """The file of one task: ``state`` (running, done, interrupted, failed), where it runs, its ``fit``, and how far it
    has come.

    Args:
        folder: of the sweep.
        number: of the task.
        label: of its fit, before that has a name.
    """

    def __init__(self, folder: Path, number: int, label: str):
        self.file = folder / written_plan.FOLDER / "status" / f"{number}.json"
        self.content = {"state": "running", "started": timestamp(), **place(), "label": label}
        self._written = 0.0

    @property
    def due(self) -> bool:
        """Whether the last writing is some time ago."""
        return time.monotonic() - self._written > EVERY

    def write(self, **fields) -> None:
        """Adds fields; where the disk is full, nobody is told, and the task goes on."""
        self.content |= fields | {"updated": time.time()}
        with contextlib.suppress(NoSpace):
            write_json(self.file, self.content)
        self._written = time.monotonic()


def in_words(status: dict) -> str:
    """``vae-mnist-1a2b3c4d: epoch 3 of 20, 1,234 images/s, 5 min left``."""
    name = status.get("fit") or status.get("label", "")
    if not status.get("epoch"):
        return name
    epochs = f" of {status['epochs']}" if status.get("epochs", -1) > 0 else f", update {status['updates']:,}"
    if status["state"] != "running":
        return f"{name}: epoch {status['epoch']}{epochs}"
    left = f", {duration(status['seconds_left'])} left" if status["seconds_left"] is not None else ""
    return f"{name}: epoch {status['epoch']}{epochs}, {status['images_per_second']:,} images/s{left}"


def states(folder: Path) -> list[dict]:
    """What each task of a plan is doing: what was last heard of it, with ``task``, ``unit``, ``jobs`` (how many), and
    ``state``, one of

    - waiting, starting, running: it is under way, or will be; requeued: it was stopped, and Slurm will go on with it;
    - done, failed; interrupted: it was told to stop, and wrote that down;
    - killed: it wrote that it runs, and runs no more; never started: nothing was heard, and nothing will start it;
    - silent: it runs on another machine, and was not heard of for ten minutes.
    """
    tasks = written_plan.read_tasks(folder).all.values()
    cluster = submitted(folder)
    queued = slurm_queue.queued(cluster["arrays"]) if cluster else None
    driven = _driven(folder / written_plan.FOLDER / "driver.json")
    found = []
    for task in tasks:
        status = written_plan.read_status(folder, task.number)
        if queued is not None:
            state = _on_cluster(status.get("state"), queued.get(task.number))
        else:
            state = _by_process(status, driven or bool(cluster))
        found.append(status | {"state": state, "task": task.number, "unit": task.unit, "jobs": task.end - task.first,
                               "queue": (queued or {}).get(task.number)})  # fmt: skip
    return found


def _driven(file: Path) -> bool:
    """Whether the process that drives a sweep may be alive."""
    try:
        return file.exists() and alive(read_json(file)) is not False
    except DamagedFile:
        return True


def _on_cluster(said: str | None, queued: str | None) -> str:
    """A task's state by what it said last, and by what Slurm says."""
    if said in ("done", "failed"):
        return said
    if queued is None:
        return {"running": "killed", None: "never started"}.get(said, said)
    if queued.startswith("PENDING"):
        return "waiting" if said is None else "requeued"
    return "starting" if said is None else "requeued" if said == "interrupted" else said


def _by_process(status: dict, driven: bool) -> str:
    """A task's state by its process, or by when it was heard of."""
    if not status:
        return "waiting" if driven else "never started"
    if status["state"] != "running":
        return status["state"]
    lives = alive(status)
    if lives is None:
        return "running" if time.time() - status["updated"] < SILENT else "silent"
    return "running" if lives else "killed"


def show(folder: Path, results: list[dict]) -> bool:
    """Prints how a sweep is getting on; returns whether anything is still to come.

    Args:
        folder: with a written plan.
        results: those that are there.
    """
    tasks, places = states(folder), written_plan.read_places(folder)
    by_name = {result["job_name"]: result["status"] for result in results if "choices" in result}
    planned = [Path(place).name if place != "." else folder.name for unit in places for place in unit]
    status = Counter(by_name.get(name, "to come") for name in planned)
    counts = [f"{status['ok']} done"] + [f"{n} {name}" for name, n in status.items() if name not in ("ok", "to come")]
    rest = [f"{status['to come']} to come"] * bool(status["to come"])
    of_tasks = ", ".join(f"{n} {state}" for state, n in sorted(Counter(task["state"] for task in tasks).items()))
    print(f"{len(planned)} job{'s' * (len(planned) > 1)}: {', '.join(counts + rest)}; tasks: {of_tasks}")
    _show_table(folder, [task for task in tasks if task["state"] not in ("done", "waiting", "never started")])
    reasons = Counter(task["queue"].split()[1] for task in tasks if (task["queue"] or "").startswith("PENDING"))
    if reasons:
        print("in Slurm's queue: " + ", ".join(f"{n} ({reason})" for reason, n in sorted(reasons.items())))
    coming = any(task["state"] in COMING for task in tasks)
    if not coming and any(task["state"] not in ("done", "failed") for task in tasks):
        print("nothing runs: the same command again goes on with what is not done")
    return coming


def _show_table(folder: Path, tasks: list[dict]) -> None:
    """A row a task; without the columns that none of them fills."""
    if not tasks:
        return
    rows, numbered = [], written_plan.read_tasks(folder).all
    for task in sorted(tasks, key=lambda task: task["state"] not in ("failed", "killed"))[:MOST_LINES]:
        said = (task.get("error") or "").splitlines()[:1]
        rows.append({
            "task": str(task["task"]), "state": task["state"], "how far": "\n".join([in_words(task), *said]),
            "where": in_short(task) if "host" in task else "",
            "log": str(log_of(folder, numbered[task["task"]], task) or ""),
        })  # fmt: skip
    used = [name for name in rows[0] if any(row[name] for row in rows)]
    table = Table(*used, box=None)
    for row in rows:
        table.add_row(*(Text(visible(row[name])) for name in used))
    Console(width=None if Console().is_terminal else 180).print(table)
    if len(tasks) > MOST_LINES:
        print(f"... and {len(tasks) - MOST_LINES} more")


def log_of(folder: Path, task: Task, status: dict) -> Path | None:
    """What a task said, as a path from the sweep's folder: the log of its process, or of its first job."""
    process = Path(written_plan.FOLDER) / "logs" / f"{task.number}.log"
    if "slurm_array_job_id" in status:
        process = process.with_name(f"{status['slurm_array_job_id']}_{status['slurm_array_task_id']}.log")
    return next((file for file in (process,) if (folder / file).exists()), None)
