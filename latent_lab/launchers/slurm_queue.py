"""What Slurm says of tasks: which are queued or run, and what became of the others."""

import re
import shutil
import subprocess

ANSWER = 20  # seconds to wait for one


def queued(arrays: list[dict]) -> dict[int, str] | None:
    """The tasks that Slurm still knows of as waiting or running.

    Args:
        arrays: each with ``id``, and ``tasks``, the numbers of its tasks; the first has index 0 in the array.

    Returns:
        number to Slurm's word: ``RUNNING``, ``COMPLETING``, or ``PENDING`` with the reason (``PENDING Priority``); None
        where Slurm can't be asked.
    """
    rows = in_queue([array["id"] for array in arrays])
    if rows is None:
        return None
    first = {array["id"]: array["tasks"][0] for array in arrays}
    found = {}
    for job, index, state, reason in rows:
        if job in first and index.isdigit():
            found[first[job] + int(index)] = f"{state} {reason}" if state == "PENDING" else state
    return found


def in_queue(ids: list[str]) -> list[tuple[str, str, str, str]] | None:
    """Of each task of these jobs that waits or runs: the job's id, the index in its array, Slurm's word, the reason;
    None where Slurm can't be asked."""
    if not ids:
        return []
    said = _ask("squeue", "--noheader", "--array", "--format=%F|%K|%T|%r", f"--jobs={','.join(ids)}")
    if said is None or (said.returncode and "Invalid job id" not in said.stderr):
        return None
    return [tuple(line.split("|", 3)) for line in said.stdout.splitlines() if line.count("|") >= 3]


def ended(arrays: list[dict]) -> dict[int, str]:
    """What became of the tasks of arrays, by Slurm's accounts: number to ``COMPLETED``, ``CANCELLED``, ``FAILED``, ...;
    without those it has no account of."""
    words = ["--noheader", "--parsable2", "--allocations", "--format=JobID,State"]
    found = {}
    for array in arrays:
        said = _ask("sacct", *words, f"--jobs={array['id']}")
        rows = re.findall(r"^\d+_([^|]+)\|(\w+)", said.stdout, re.M) if said and not said.returncode else []
        if not rows:  # no accounts are kept: the controller remembers for some minutes
            said = _ask("scontrol", "show", "job", array["id"])
            rows = re.findall(r"ArrayTaskId=(\S+).*?JobState=(\w+)", said.stdout if said else "", re.S)
        found |= {array["tasks"][0] + index: state for indices, state in rows for index in spread_out(indices)}
    return found


def spread_out(indices: str) -> list[int]:
    """``[0-2,7%4]`` as Slurm writes the indices of an array: 0, 1, 2, 7."""
    spans = (part.partition("-") for part in indices.strip("[]").partition("%")[0].split(","))
    return [n for first, _, last in spans for n in range(int(first), int(last or first) + 1)]


def drawn_together(indices: list[int]) -> str:
    """The other way round: ``0-2,7``."""
    spans: list[list[int]] = []
    for index in indices:
        if spans and index == spans[-1][1] + 1:
            spans[-1][1] = index
        else:
            spans.append([index, index])
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in spans)


def largest_array() -> int:
    """Tasks that an array may have."""
    said = _ask("scontrol", "show", "config")
    found = re.search(r"MaxArraySize\s*=\s*(\d+)", said.stdout if said else "")
    return min(1000, int(found.group(1)) - 1) if found else 1000


def cancel(ids: list[str]) -> None:
    """Takes jobs back."""
    if ids:
        _ask("scancel", *ids)


def _ask(*words: str) -> subprocess.CompletedProcess | None:
    if shutil.which(words[0]) is None:
        return None
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=ANSWER)
    except subprocess.TimeoutExpired:
        return None
