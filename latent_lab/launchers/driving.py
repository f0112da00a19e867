"""One driver of a sweep at a time: a process that runs its plan, or a cluster that it was submitted to."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import Timeout

from latent_lab.folders import require_mine
from latent_lab.launchers import slurm_queue
from latent_lab.mistakes import Mistake
from latent_lab.place import in_short, place
from latent_lab.storage import DamagedFile, file_lock, no_space, read_json, write_json
from latent_lab.written_plan import FOLDER

PATIENCE = 60  # seconds for cancelled tasks to end
SUBMITTED = {"arrays": [{"id": str, "tasks": [int]}], "follows?": str | None, "rounds?": int, "cancelled?": [int],
             "settings?": dict}  # fmt: skip


@contextlib.contextmanager
def driven(folder: Path, on_cluster: bool = False) -> Iterator[None]:
    """Within it this process, and no other, runs or submits the plan of a sweep.

    Args:
        folder: of the sweep.
        on_cluster: whether it is one of those that the sweep was submitted as.

    Raises:
        Mistake: another process, or the cluster, is at it; the folder is another user's.
        NoSpace: if nothing can be written.
    """
    target = folder / FOLDER
    try:
        for path in (folder, target, target / "status", target / "logs", target / ".lock"):
            require_mine(path, "can't be written")
    except ValueError as error:
        raise Mistake(error) from None
    try:
        for name in ("status", "logs"):
            (target / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if full := no_space(error, folder):
            raise full from error
        raise
    lock = file_lock(target / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        try:
            who = in_short(read_json(target / "driver.json"))
        except DamagedFile:
            who = "another process"
        raise Mistake(f"{folder}: {who} is at it; python evaluate.py sweep={folder} shows how far") from None
    try:
        if not on_cluster:
            _require_off_the_cluster(folder)
        write_json(target / "driver.json", place())
        yield
    finally:
        lock.release()


def submitted(folder: Path) -> dict:
    """``slurm.json``: the ``arrays`` that a plan was submitted as, the job that ``follows`` them, the launcher's
    ``settings``; empty where it was not submitted."""
    file = folder / FOLDER / "slurm.json"
    return read_json(file, SUBMITTED, "remove it once squeue shows none of its tasks") if file.exists() else {}


def _require_off_the_cluster(folder: Path) -> None:
    """Waits for tasks that are being cancelled, and ends a job that would submit them again.

    Raises:
        Mistake: if tasks wait or run.
    """
    deadline = time.monotonic() + PATIENCE
    while now := submitted(folder):
        ids, follows = [array["id"] for array in now["arrays"]], [now["follows"]] if now.get("follows") else []
        rows = slurm_queue.in_queue([*ids, *follows])
        if not rows:
            return
        at_it = any(job in ids and state != "COMPLETING" for job, _, state, _ in rows)
        if at_it or time.monotonic() > deadline:
            raise Mistake(f"{folder}: is on the cluster; scancel {' '.join([*ids, *follows])} ends it, "
                          f"python evaluate.py sweep={folder} shows how far it is")  # fmt: skip
        slurm_queue.cancel(follows)
        time.sleep(0.5)
