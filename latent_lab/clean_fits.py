"""What of a folder of outputs nobody needs (:mod:`latent_lab.clean`). Where that can't be known, it is needed."""

import contextlib
import json
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from filelock import Timeout

from latent_lab.folders import owner
from latent_lab.results import STATUSES
from latent_lab.storage import DamagedFile, file_lock, read_bytes
from latent_lab.written_plan import FOLDER, read_places, read_status, read_tasks

FIT = re.compile(r"(?P<label>.+)-(?P<hash>[0-9a-f]{8})(?P<aside>-replaced(-\d+)?)?")
REMOVED = re.compile(r"\.(?P<name>.+)\.removed")
TEMPORARY = re.compile(r"\..+\.\d+\.tmp|\.write-test-\d+")
NAMED = re.compile(rb"(?<=-)[0-9a-f]{8}(?![0-9a-f])")  # the end of a fit's name, wherever it is told
OURS = re.compile(  # what a fit's folder holds, and its folders in it
    r"(identity|fit|test-[0-9a-f]{8})\.json|(config|hparams)\.yaml|(last|best)\.ckpt|events\.out\.tfevents\.[\w.-]+"
    r"|(pictures|epochs)(/[\w.-]+\.(png|gif|html))?|derived-[0-9a-f]{8}(/[\w.-]+\.(safetensors|json))?"
    r"|csv(/version_\d+(/(metrics\.csv|hparams\.yaml))?)?|(fit-)?profile[\w.-]*|wandb(/.*)?"
    r"|((pictures|epochs|derived-[0-9a-f]{8})/)?\.[\w.-]+\.\d+\.tmp",
    re.DOTALL,
)
PROOFS = ("identity.json", "fit.json", "last.ckpt")  # of a fit, one of which it has
ENDED = ("done", "failed")  # states of a task
OLD = 3600  # seconds after which a temporary file is nobody's any more


class Leftover(NamedTuple):
    """Something that can go, of so many bytes, and why."""

    path: Path
    size: int
    why: str
    is_folder: bool = True


class Needs(NamedTuple):
    """What the jobs in a folder of outputs need, by the digits that end a fit's name.

    Attributes:
        done: of jobs that are done or failed.
        going_on: of jobs that were interrupted, or have no result yet: the same command goes on with their fits.
        unknown: where it can't be told, and why.
    """

    done: set[bytes]
    going_on: set[bytes]
    unknown: list[str]


def needs(outputs: Path) -> Needs:
    """Reads what all jobs below a folder name, links followed."""
    found, seen = Needs(set(), set(), []), set()
    for folder, folders, files in os.walk(outputs, followlinks=True, onerror=lambda e: found.unknown.append(str(e))):
        here = Path(folder)
        if os.path.realpath(folder) in seen or here == outputs / "fits":
            folders.clear()
            continue
        seen.add(os.path.realpath(folder))
        try:
            if "result.json" in files:
                content = read_bytes(here / "result.json")
                status = _status(content, here / "result.json")
                named = NAMED.findall(content)
                (found.going_on if status == "interrupted" else found.done).update(named)
                if status == "ok" and not named:
                    found.unknown.append(f"{here / 'result.json'}: names no fit")
            elif "train.log" in files:
                found.going_on.update(NAMED.findall(read_bytes(here / "train.log")))
            planned = FOLDER in folders and (here / FOLDER / "tasks.json").exists()
            if planned and (waiting := _waiting(here)):
                found.unknown.append(f"{here}: {waiting} of its jobs have no result yet")
        except DamagedFile as error:
            found.unknown.append(str(error))
    return found


def _waiting(sweep: Path) -> int:
    """The jobs of a plan that have no result, and whose task has not ended; others were removed since."""
    places, waiting = read_places(sweep), 0
    for number, task in read_tasks(sweep).all.items():
        if read_status(sweep, number).get("state") not in ENDED and task.unit < len(places):
            jobs = places[task.unit][task.first : task.end]
            waiting += sum(not (sweep / place / "result.json").exists() for place in jobs)
    return waiting


def _status(result: bytes, path: Path) -> str:
    with contextlib.suppress(ValueError, RecursionError, AttributeError):
        if (status := json.loads(result).get("status")) in STATUSES:
            return status
    raise DamagedFile(f"{path}: damaged or unreadable")


def fits_to_remove(outputs: Path, known: Needs) -> tuple[list[Leftover], list[tuple[Path, str]]]:
    """The fits that can go; and those that no job needs and that stay all the same, with why."""
    folder = outputs / "fits"
    if folder.is_symlink():
        return [], [(folder, "is a link, by which jobs elsewhere may need what is there")]
    fits = {path: match for path in sorted(folder.glob("*")) if (match := FIT.fullmatch(path.name)) and path.is_dir()}
    named = {path: match["hash"].encode() for path, match in fits.items() if not match["aside"]}
    finished = {path for path in named if _is_finished(path)}
    needed = {path for path, of in named.items() if of in known.going_on or (of in known.done and path in finished)} | {
        path for path in named if known.unknown or _in_use(path)
    }
    while True:  # and what these require
        required = set().union(*(_required(path) for path in needed))
        if not (more := {path for path, of in named.items() if of in required} - needed):
            break
        needed |= more
    found, kept = [], []
    for path, match in fits.items():
        if path in needed:
            continue
        if reason := _not_to_be_touched(path):
            kept.append((path, reason))
        elif match["aside"]:
            found.append(Leftover(path, _bytes(path), "set aside by fresh=true"))
        elif path in finished:
            found.append(Leftover(path, _bytes(path), "a fit that no job needs"))
        else:
            found.append(Leftover(path, _bytes(path), "a fit that was not trained to its end"))
    for path in sorted(folder.glob(".*.removed")):
        if REMOVED.fullmatch(path.name) and not _not_to_be_touched(path, proven=True):
            found.append(Leftover(path, _bytes(path), "half removed"))
    return found, kept


def _is_finished(fit: Path) -> bool:
    try:
        return json.loads(read_bytes(fit / "fit.json"))["status"] != "training"
    except (ValueError, RecursionError, KeyError, TypeError):  # damaged: it may well be
        return True


def _required(fit: Path) -> set[bytes]:
    with contextlib.suppress(DamagedFile):
        return set(NAMED.findall(read_bytes(fit / "identity.json")))
    return set()


def _in_use(fit: Path) -> bool:
    try:
        with lock_of(fit):
            return False
    except (Timeout, OSError):  # another user's lock
        return True


@contextlib.contextmanager
def lock_of(fit: Path) -> Iterator[None]:
    """Holds the lock of a fit that has one, which whoever trains it has made.

    Raises:
        Timeout: if another holds it.
        OSError: if it can't be taken.
    """
    path = fit.with_name(f".{fit.name}.lock")
    if not path.exists():
        yield
        return
    lock = file_lock(path)
    lock.acquire(timeout=0)
    try:
        yield
    finally:
        lock.release()


def _not_to_be_touched(fit: Path, proven: bool = False) -> str:
    """Why a folder that looks like a fit's is not removed; empty if it can be."""
    if fit.is_symlink():
        return "is a link"
    if not proven and not any((fit / name).is_file() for name in PROOFS):
        return f"has none of {', '.join(PROOFS)}"
    try:
        for path in (fit, *_everything(fit)):
            status, name = path.lstat(), path.relative_to(fit).as_posix()
            if hasattr(os, "getuid") and status.st_uid != os.getuid():
                return f"{name} in it belongs to {owner(path)}" if path != fit else f"belongs to {owner(path)}"
            plain = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
            if not plain and not name.startswith("wandb/"):  # which links its latest run
                return f"{name} in it is a link, or no file"
            if path != fit and not OURS.fullmatch(name):
                return f"{name} in it is not this project's"
    except OSError as error:
        return f"can't be read ({error.strerror})"
    return ""


def _everything(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError):
        raise error

    for here, folders, files in os.walk(folder, onerror=refuse):
        yield from (Path(here) / name for name in (*folders, *files))


def _bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in _everything(folder) if not path.is_dir())


def temporary_files(outputs: Path) -> list[Leftover]:
    """Files that were being written when their process was killed: of this user, and not touched for an hour."""
    found = []
    for part in ("fits", "runs", "sweeps"):
        for here, _, files in os.walk(outputs / part):
            for path in (Path(here) / name for name in files if TEMPORARY.fullmatch(name)):
                with contextlib.suppress(OSError):
                    status = path.lstat()
                    mine = not hasattr(os, "getuid") or status.st_uid == os.getuid()
                    if mine and stat.S_ISREG(status.st_mode) and time.time() - status.st_mtime > OLD:
                        found.append(Leftover(path, status.st_size, "left by a process that was killed", False))
    return found
