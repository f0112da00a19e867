"""Files that last: no pickle that can run code, and a power cut leaves the old file or the new one, never half."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file


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


def save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes arrays as safetensors, atomically."""
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_atomically(path, lambda temporary: save_file(contiguous, temporary))


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Reads what :func:`save_arrays` wrote.

    Raises:
        DamagedFile: if it is missing or damaged, by name.
    """
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


def load_checkpoint(path: Path, map_location: str | torch.device = "cpu") -> dict:
    """Reads a checkpoint; no code in it can run (``weights_only``).

    Raises:
        DamagedFile: if it is damaged, with the ways out.
    """
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # torch raises RuntimeError, EOFError, UnpicklingError, ... by the kind of damage
        reason = str(error).splitlines()[0][:80] if str(error) else type(error).__name__
        raise DamagedFile(f"{path}: damaged checkpoint ({reason}); fresh=true sets it aside and trains anew") from None


def kept_by_callbacks(checkpoint: Path, *names: str) -> list[dict]:
    """What callbacks of these classes keep in a checkpoint.

    Raises:
        ValueError: if the fit was trained without one of them.
    """
    states = load_checkpoint(checkpoint)["callbacks"]
    for name in names:
        if name not in states:
            raise ValueError(f"{checkpoint}: trained without the callback {name}; fresh=true trains anew, with it")
    return [states[name] for name in names]


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoints, written atomically and read without running code."""

    def save_checkpoint(self, checkpoint: dict, path: str | Path, storage_options: dict | None = None) -> None:
        write_atomically(Path(path), lambda temporary: torch.save(checkpoint, temporary))

    def load_checkpoint(
        self, path: str | Path, map_location=lambda storage, location: storage, weights_only: bool | None = None
    ) -> dict:
        return load_checkpoint(Path(path), map_location)
