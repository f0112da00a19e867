"""How the tasks of a written plan are getting on, as whoever asks can tell. It imports no torch."""

import os
import shutil
import socket
import subprocess
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from latent_lab import written_plan
from latent_lab.folders import timestamp
from latent_lab.storage import DamagedFile, read_json, write_json

EVERY = 2.0  # seconds between two writings while a fit trains
SLURM = ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT", "SLURMD_NODENAME")


def place() -> dict:
    """Where this process runs: ``host``, ``process``, and its ids in Slurm, where there are any."""
    found = {name.lower(): os.environ[name] for name in SLURM if name in os.environ}
    return {"host": socket.gethostname(), "process": os.getpid(), **found}


class Status:
    """The file of one task: ``state`` (running, done, interrupted, failed), ``fit``, and how far it has come."""

    def __init__(self, file: Path):
        self.file = file
        self.content = {"state": "running", "started": timestamp(), **place()}
        self._written = 0.0

    def write(self, soon: bool = False, **fields) -> None:
        """Adds fields; with ``soon`` only if the last writing is some time ago."""
        self.content |= fields | {"updated": time.time()}
        if not soon or time.monotonic() - self._written > EVERY:
            write_json(self.file, self.content)
            self._written = time.monotonic()


def in_words(status: dict) -> str:
    """``vae-mnist-1a2b3c4d: epoch 3 of 20, 1,234 images/s, 5 min left``."""
    epochs = f" of {status['epochs']}" if status.get("epochs", -1) > 0 else f", update {status['updates']:,}"
    left = status["seconds_left"]
    left = f"{left / 3600:.1f} h" if left > 5400 else f"{left / 60:.0f} min" if left > 90 else f"{left} s"
    name = status.get("fit") or status.get("label")
    return f"{name}: epoch {status['epoch']}{epochs}, {status['images_per_second']:,} images/s, {left} left"


def states(folder: Path) -> list[dict]:
    """What each task of a plan is doing: its status, with ``state`` one of waiting, running, killed, interrupted, done,
    failed, and ``task``, ``unit``, ``log``.

    Running and killed are told apart by the process where it is on this machine, by Slurm's queue where there is one,
    else by how long ago the task was heard of.
    """
    phases, _, _ = written_plan.read_tasks(folder)
    arrays = folder / written_plan.FOLDER / "slurm.json"
    queued = _queued(read_json(arrays)["arrays"]) if arrays.exists() else None
    found = []
    for task in (task for phase in phases for task in phase):
        file = folder / written_plan.FOLDER / "status" / f"{task.number}.json"
        try:
            status = read_json(file)
        except DamagedFile:
            status = {"state": "waiting"}
        if status["state"] == "running" and not _alive(status, queued, task.number):
            status["state"] = "killed"
        found.append(status | {"task": task.number, "unit": task.unit, "jobs": task.end - task.first})
    return found


SILENT = 600.0  # seconds without a word, after which a task on another machine counts as killed


def _alive(status: dict, queued: set[int] | None, number: int) -> bool:
    if queued is not None:
        return number in queued
    if status["host"] != socket.gethostname():
        return time.time() - status.get("updated", 0) < SILENT
    try:
        os.kill(status["process"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _queued(arrays: list[dict]) -> set[int] | None:
    """The tasks that run on the cluster by what Slurm says; None where it can't be asked."""
    if shutil.which("squeue") is None:
        return None
    ids = ",".join(array["id"] for array in arrays)
    words = ["squeue", "--noheader", "--array", "--states=RUNNING,COMPLETING", "--format=%F %K", f"--jobs={ids}"]
    done = subprocess.run(words, capture_output=True, text=True)
    first = {array["id"]: array["tasks"][0] for array in arrays}
    rows = [line.split() for line in done.stdout.splitlines()]
    return {first[one] + int(at) for one, at in rows if one in first and at.isdigit()}


def show(folder: Path, results: list[dict]) -> bool:
    """Prints how a sweep is getting on; returns whether anything is still to come.

    Args:
        folder: with a written plan.
        results: those that are there.
    """
    tasks = states(folder)
    status = Counter(result["status"] for result in results if result.get("choices"))
    jobs = sum(task["jobs"] for task in tasks)
    counts = [f"{status['ok']} done"] + [f"{status[name]} {name}" for name in ("interrupted", "failed") if status[name]]
    rest = jobs - sum(status.values())
    of_tasks = ", ".join(f"{n} {state}" for state, n in sorted(Counter(task["state"] for task in tasks).items()))
    print(f"{jobs} jobs: {', '.join(counts)}, {max(0, rest)} to come; tasks: {of_tasks}")
    shown = [task for task in tasks if task["state"] in ("running", "killed", "interrupted", "failed")]
    if shown:
        table = Table("task", "state", "how far", "where", box=None)
        for task in shown[:40]:
            far = in_words(task) if task.get("epoch") else task.get("fit") or task.get("label", "")
            slurm = task.get("slurm_array_job_id") or task.get("slurm_job_id")
            at = f"{task['host']}, " + (f"job {slurm}_{task.get('slurm_array_task_id', 0)}" if slurm
                                        else f"process {task['process']}")  # fmt: skip
            said = (task.get("error") or "").splitlines()[:1]
            table.add_row(str(task["task"]), task["state"], ": ".join([far, *said]), at)
        Console(width=None if Console().is_terminal else 140, markup=False).print(table)
        log = folder / written_plan.FOLDER / "logs"
        if any(log.iterdir()):
            print(f"what they said: {log}")
    return any(task["state"] in ("running", "waiting") for task in tasks)
