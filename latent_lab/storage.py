"""Files that last: a power cut leaves the old file or the new one, never half, and none can run code."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np


class DamagedFile(ValueError):
    """A file of ours can't be read back."""


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Calls ``write`` with a temporary path beside ``path``, makes it durable, and moves it into place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        os.chmod(temporary, 0o666 & ~_umask())
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        if os.name == "posix":
            directory = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def file_lock(path: Path):
    """The operating system's lock on a file, which goes with the process that holds it; whoever may write in the folder
    may take it, as the umask says.

    Raises:
        OSError: for a folder that can't be written, when the lock is acquired.
    """
    from filelock import FileLock

    return FileLock(path, mode=0o666 & ~_umask())


def save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes arrays as safetensors, atomically."""
    from safetensors.numpy import save_file

    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_atomically(path, lambda temporary: save_file(contiguous, temporary))


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Reads what :func:`save_arrays` wrote.

    Raises:
        DamagedFile: if it is missing or damaged, by name.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise DamagedFile(f"{path}: damaged or unreadable ({error}); remove it to have it made again") from None


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, content: dict) -> None:
    """Writes plain values as JSON, atomically."""
    write_text(path, json.dumps(content, indent=2, allow_nan=True) + "\n")


def read_json(path: Path) -> dict:
    """Reads what :func:`write_json` wrote.

    Raises:
        DamagedFile: if it is missing or damaged, by name.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DamagedFile(f"{path}: damaged or unreadable ({error})") from None


def write_yaml(path: Path, content: dict) -> None:
    """Writes plain values as YAML, atomically."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    write_text(path, yaml.dump(content, Dumper=dumper, sort_keys=False, allow_unicode=True))


def write_artefact(path: Path, content) -> None:
    """Writes what an analysis made, atomically: a text, plain values (``.json``), a dictionary of arrays
    (``.safetensors``), the copy of a file at a path, or whatever a function writes to the path it is given."""
    if isinstance(content, str):
        write_text(path, content)
    elif isinstance(content, Path):
        write_atomically(path, lambda temporary: shutil.copyfile(content, temporary))
    elif callable(content):
        write_atomically(path, content)
    elif path.suffix == ".safetensors":
        save_arrays(path, content)
    else:
        write_json(path, content)
