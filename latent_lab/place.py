"""Where a process runs, and whether it still does."""

import os
import socket
from pathlib import Path

SLURM = ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT", "SLURMD_NODENAME")


def place() -> dict:
    """Of this process: ``host``, ``process``, when that ``began``, and its ids in Slurm, where there are any."""
    found = {name.lower(): os.environ[name] for name in SLURM if name in os.environ}
    return {"host": socket.gethostname(), "process": os.getpid(), "began": _began(os.getpid()), **found}


def alive(place: dict) -> bool | None:
    """Whether the process there still runs; None if that can't be told from here."""
    if place.get("host") != socket.gethostname():
        return None
    try:
        os.kill(place["process"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return _began(place["process"]) == place.get("began")


def in_short(place: dict) -> str:
    """``process 4711 on node7``, or ``job 12_3 on node7``."""
    job, index = place.get("slurm_array_job_id") or place.get("slurm_job_id"), place.get("slurm_array_task_id")
    name = f"process {place.get('process')}" if job is None else f"job {job}" + (f"_{index}" if index else "")
    return f"{name} on {place.get('host')}"


def _began(process: int) -> str | None:
    """When a process began, in the system's own count: numbers of processes are used again. None where it is not said,
    or the process is dead and only waits to be noticed."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]
