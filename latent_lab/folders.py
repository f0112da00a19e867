"""Where things lie in the folder of outputs, and how folders come to be.

<outputs>/fits/<model>-<dataset>-<hash8>/   a fit: identity.json config.yaml last.ckpt best.ckpt fit.json pictures/ ...
<outputs>/runs/<time>-<choices>/            a single job: result.json config.yaml train.log and what its analyses made
<outputs>/sweeps/<name>/<job>/              the jobs of a sweep, named by what was swept; the tables beside them
"""

import os
from datetime import datetime
from pathlib import Path


def timestamp() -> str:
    """Now, in local time, to the microsecond."""
    return datetime.now().isoformat()


def short_time() -> str:
    """Now, for a folder's name."""
    return datetime.now().strftime("%Y-%m-%d_%H-%M-%S")


def new_folder(parent: Path, name: str) -> Path:
    """Makes and returns ``parent/name``, or ``name-2``, ``name-3``, ... if that is taken."""
    parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        folder = parent / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1


def require_writable(outputs: Path) -> None:
    """Raises ValueError if nothing can be written into the folder of outputs, or into another user's part of it."""
    for folder in (outputs, *(there for name in ("fits", "runs", "sweeps") if (there := outputs / name).is_dir())):
        probe = folder / f".write-test-{os.getpid()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            part = "" if folder == outputs else f"{folder.name} in it "
            raise ValueError(f"paths.outputs={outputs}: {part}can't be written ({error.strerror or error})") from None


def set_results_aside(folder: Path) -> Path | None:
    """Moves the files of an earlier result in a job's folder, all but its log, into ``earlier-N``."""
    if not (folder / "result.json").exists():
        return None
    files = [path for path in folder.iterdir() if path.is_file() and path.name != "train.log"]
    number = 1
    while (kept := folder / f"earlier-{number}").exists():
        number += 1
    kept.mkdir()
    for path in files:
        path.rename(kept / path.name)
    return kept
