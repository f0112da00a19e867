"""Where things lie in the folder of outputs, and how folders come to be.

<outputs>/fits/<model>-<dataset>-<hash8>/   a fit: identity.json config.yaml last.ckpt best.ckpt fit.json pictures/ ...
<outputs>/runs/<time>-<choices>/            a single job: result.json config.yaml train.log and what its analyses made
<outputs>/sweeps/<name>/<job>/              the jobs of a sweep, named by what was swept; the tables beside them
"""

import os
from datetime import datetime
from pathlib import Path

SUFFIXES = (".json", ".yaml", ".png", ".gif", ".md", ".html", ".safetensors", ".txt", ".log")  # of a job's files


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


def is_name(text: str) -> bool:
    """Whether it names something in a folder, and not a way out of it."""
    return Path(text).name == text and text != ".."


def require_mine(path: Path, why: str) -> None:
    """Raises ValueError if something is there that this user may not write, with what its owner would have to do."""
    needed = os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)
    if path.exists() and not os.access(path, needed):
        raise ValueError(
            f"{path}: {why}, and belongs to {owner(path)}, who may let the group in (chmod -R g+rwX {path.parent}; "
            "umask 002 for what comes); or paths.outputs=DIR names a folder of your own"
        )


def owner(path: Path) -> str:
    """The name of the user whom a file belongs to, or a number where there is none."""
    number = path.stat().st_uid
    try:
        import pwd  # there is none on Windows

        return pwd.getpwuid(number).pw_name
    except (ImportError, KeyError):
        return f"user {number}"


def set_results_aside(folder: Path) -> Path | None:
    """Moves the files of an earlier result in a job's folder, all but its log, into ``earlier-N``; with them what has a
    file's name and is none."""
    if not (folder / "result.json").exists():
        return None
    entries = [path for path in folder.iterdir() if not path.is_dir() or path.suffix in SUFFIXES]
    files = [path for path in entries if path.name != "train.log" or not path.is_file()]
    number = 1
    while (kept := folder / f"earlier-{number}").exists():
        number += 1
    kept.mkdir()
    for path in files:
        path.rename(kept / path.name)
    return kept
