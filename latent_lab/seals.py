"""Checksums within files of ours, so that a changed byte is no other number; and the shape asked of what they hold.

They are no signature: whoever can write a file can write its checksum.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from latent_lab.shapes import mismatch

SEAL = "checksum"  # a key of JSON, and of the metadata of arrays


class DamagedFile(ValueError):
    """A file of ours can't be read back."""


def damaged(path: Path, reason: object, remedy: str = "") -> DamagedFile:
    """The error that says so, in one line, with what helps."""
    line = " ".join(str(reason).split())[:150]
    return DamagedFile(f"{path}: damaged or unreadable ({line})" + (f"; {remedy}" if remedy else ""))


def sealed(content: dict, of: str = "") -> dict:
    """Plain values as JSON has them, with their checksum; ``of`` says what they are of, and is not written."""
    plain = json.loads(json.dumps(content))
    return plain | {SEAL: checksum(json.dumps(plain), of)}


def unsealed(content, path: Path, shape=dict, remedy: str = "", of: str = ""):
    """Plain values that were read, without their checksum.

    Raises:
        DamagedFile: if it is not theirs, or they are not of the shape (:mod:`latent_lab.shapes`).
    """
    seal = content.pop(SEAL, None) if isinstance(content, dict) else None
    if seal is not None and seal != checksum(json.dumps(content), of):
        raise damaged(path, "its checksum is another: damaged, edited, or not of here", remedy)
    if wrong := mismatch(content, shape):
        raise damaged(path, wrong, remedy)
    return content


def checksum(text: str, of: str) -> str:
    """16 hexadecimal digits of SHA-256 of a text, and of what it is of."""
    return hashlib.sha256(f"{of}\0{text}".encode()).hexdigest()[:16]


def checksum_of_arrays(arrays: dict[str, np.ndarray], of: str) -> str:
    """16 hexadecimal digits of SHA-256 of names, types, shapes and bytes, and of what they are of."""
    digest = hashlib.sha256(f"{of}\0".encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}\n".encode())
        digest.update(arrays[name].reshape(-1).view(np.uint8))
    return digest.hexdigest()[:16]
