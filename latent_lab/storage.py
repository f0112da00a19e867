"""Files that last: a power cut leaves the old file or the new one, never half, and none can run code.

What is read may have been damaged, or written by somebody else. It is read from regular files only, up to a size, and
held to a shape; what we write carries a checksum, so that a changed byte is no other number: JSON as its last key, YAML
as its first line, arrays among their metadata. Files without one, of before, are read as they are.
"""

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from latent_lab.folders import new_folder
from latent_lab.rounding import finite
from latent_lab.seals import SEAL, DamagedFile, checksum, checksum_of_arrays, damaged, sealed, unsealed

MOST = 32 * 2**20  # bytes of a text of ours: the tasks of a hundred thousand jobs take half of it
MOST_YAML = 2**18  # bytes of a configuration: ours have a few thousand
MOST_VALUES = 10_000  # names and values of a configuration: ours have some two hundred
DEEPEST = 50  # groups within groups of one
FULL = {errno.ENOSPC: "No space left on device", errno.EDQUOT: "Disk quota exceeded", errno.EFBIG: "File too large"}
PROBE = 2**20  # bytes: more than any writer asks for at a time
SEALED = "# checksum: "  # the first line of a YAML file


class NoSpace(RuntimeError):
    """The file system takes no more: the disk is full, or a quota, or a limit on the size of files."""


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Calls ``write`` with a temporary path beside ``path``, makes it durable, and moves it into place.

    Raises:
        NoSpace: where the file system takes no more, however the writer put it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        set_folder_aside(path)
        os.replace(temporary, path)
        if os.name == "posix":
            directory = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
    except Exception as error:
        if full := no_space(error, path.parent) or _is_full(temporary):
            raise full from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def set_folder_aside(path: Path) -> None:
    """Moves a folder that somebody put in a file's place to one beside it, ``<name>-set-aside``."""
    if path.is_dir():
        path.rename(new_folder(path.parent, f"{path.name}-set-aside"))


def remove_left_overs(folder: Path) -> None:
    """Removes the temporary files of processes that were killed while they wrote there; what can't be removed stays."""
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            path.unlink()


def no_space(error: BaseException | None, folder: Path) -> NoSpace | None:
    """What an error, or one that it came of, comes to where the file system takes no more; None of any other."""
    while error is not None:
        if isinstance(error, NoSpace):
            return error
        if isinstance(error, OSError) and error.errno in FULL:
            return NoSpace(f"no space left in {folder} ({FULL[error.errno]})")
        error = error.__cause__ or error.__context__
    return None


def _is_full(temporary: Path) -> NoSpace | None:
    """torch's and Pillow's writers keep the file system's error to themselves: it is asked again."""
    try:
        with open(temporary, "ab") as file:
            file.write(bytes(PROBE))
    except OSError as error:
        return no_space(error, temporary.parent)
    return None


def file_lock(path: Path):
    """The operating system's lock on a file, which goes with the process that holds it; whoever may write in the folder
    may take it, whatever the umask of the one who made it.

    Raises:
        OSError: for a folder that can't be written, when the lock is acquired.
    """
    from filelock import FileLock

    return FileLock(path, mode=0o666 & path.parent.stat().st_mode)


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Writes a file atomically."""
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically."""
    write_bytes(path, text.encode())


def open_regular(path: Path) -> BinaryIO:
    """Opens a regular file to be read; of anything else (a pipe, a device) nothing is waited for.

    Raises:
        OSError: as ``open``; ``EINVAL`` for what is no regular file.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(path, flags), "rb") if not path.is_dir() else None
    if file is not None and stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    if file is not None:
        file.close()
    raise OSError(errno.EINVAL, "no regular file", str(path))


def checksum_of_file(path: Path) -> str:
    """16 hexadecimal digits of SHA-256 of what a regular file holds.

    Raises:
        OSError: as :func:`open_regular`.
    """
    with open_regular(path) as content:
        return hashlib.sha256(content.read()).hexdigest()[:16]


def read_bytes(path: Path, remedy: str = "", most: int | None = MOST) -> bytes:
    """What a regular file holds.

    Raises:
        DamagedFile: if it is missing, can't be read, or has more than ``most`` bytes; None for any number.
    """
    try:
        with open_regular(path) as file:
            content = file.read(-1 if most is None else most + 1)
    except OSError as error:
        raise damaged(path, error.strerror or str(error), remedy) from None
    if most is not None and len(content) > most:
        raise damaged(path, f"more than {most >> 20} MiB" if most >> 20 else f"more than {most >> 10} KiB", remedy)
    return content


def write_json(path: Path, content: dict, of: str = "") -> None:
    """Writes plain values as JSON, atomically, a number that is not finite as null; of a dictionary with its checksum,
    which holds ``of`` besides."""
    content = finite(content)
    content = sealed(content, of) if isinstance(content, dict) else content
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path, shape=dict, remedy: str = "", of: str = ""):
    """Reads what :func:`write_json` wrote.

    Args:
        path: of the file.
        shape: of its content (:mod:`latent_lab.shapes`).
        remedy: what the error tells whoever reads it to do.
        of: what it was written of.

    Raises:
        DamagedFile: if it is missing, damaged, or of another shape, by name.
    """
    text = read_bytes(path, remedy, MOST)
    try:
        content = json.loads(text, parse_int=_whole, parse_float=_number, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise damaged(path, error, remedy) from None
    return unsealed(content, path, shape, remedy, of)


def _whole(digits: str) -> int:
    _number(digits)  # of which there are figures and charts
    return int(digits)


def _number(digits: str) -> float:
    if math.isinf(number := float(digits)):
        raise ValueError(f"{digits:.12}... is beyond all numbers")
    return number


def write_yaml(path: Path, content: dict, of: str = "") -> None:
    """Writes plain values as YAML, atomically, with their checksum, which holds ``of`` besides."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text = yaml.dump(content, Dumper=_without_aliases(dumper), sort_keys=False, allow_unicode=True)
    write_text(path, f"{SEALED}{checksum(text, of)}\n{text}")


def _without_aliases(dumper: type) -> type:
    return type("Dumper", (dumper,), {"ignore_aliases": lambda self, data: True})


def read_yaml(path: Path, shape=dict, remedy: str = "", of: str = ""):
    """Reads what :func:`write_yaml` wrote; as :func:`read_json`. Aliases, by which a few lines come to any size, are
    none of ours and refused, and so are tags of types that JSON has not."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        text, deep, values = read_bytes(path, remedy, MOST_YAML).decode(), 0, 0
        for event in yaml.parse(text, Loader=loader):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise ValueError("it has an alias")
            deep += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if deep > DEEPEST:
                raise ValueError(f"more than {DEEPEST} groups within each other")
            values += isinstance(event, yaml.ScalarEvent)
            if values > MOST_VALUES:
                raise ValueError(f"more than {MOST_VALUES:,} names and values")
        content = yaml.load(text, Loader=loader)
        json.dumps(content)
        _require_names(content)
    except DamagedFile:
        raise
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise damaged(path, error, remedy) from None
    seal, _, body = text.partition("\n")
    if seal.startswith(SEALED) and seal != SEALED + checksum(body, of):
        raise damaged(path, "its checksum is another: damaged, edited, or not of here", remedy)
    return unsealed(content, path, shape, remedy)


def _require_names(content) -> None:
    """Raises ValueError for settings that are not named by a text, which JSON would make one of."""
    if isinstance(content, dict) and (odd := [name for name in content if not isinstance(name, str)]):
        raise ValueError(f"{odd[0]!s:.40} is no name")
    for value in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        _require_names(value)


def save_arrays(path: Path, arrays: dict[str, np.ndarray], of: str = "") -> None:
    """Writes arrays as safetensors, atomically, with their checksum, which holds ``of`` besides."""
    from safetensors.numpy import save

    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_bytes(path, save(contiguous, {SEAL: checksum_of_arrays(contiguous, of)}))


def load_arrays(path: Path, remedy: str = "", of: str = "") -> dict[str, np.ndarray]:
    """Reads what :func:`save_arrays` wrote.

    Raises:
        DamagedFile: if it is missing or damaged, by name.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    content = read_bytes(path, remedy, most=None)
    try:
        arrays = {name: array.copy() for name, array in load(content).items()}
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    except (SafetensorError, ValueError, KeyError, RecursionError) as error:
        raise damaged(path, error, remedy) from None
    seal = header.get("__metadata__", {}).get(SEAL)
    if seal is not None and seal != checksum_of_arrays(arrays, of):
        raise damaged(path, "its checksum is another: damaged, or not of here", remedy)
    return arrays


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
