"""Checkpoints of a fit: ``last.ckpt`` after each epoch, and ``best.ckpt`` of the epoch that an observer scored best."""

import hashlib
import io
import math
import os
import zipfile
from pathlib import Path
from typing import BinaryIO

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from latent_lab.shapes import mismatch
from latent_lab.storage import DamagedFile, open_regular, write_bytes

LAST, BEST = "last.ckpt", "best.ckpt"
FRESH = "fresh=true sets it aside and trains anew"
WEIGHTS = {"state_dict": dict, "epoch": int, "global_step": int, "fit?": str}
TRAINING = WEIGHTS | {"callbacks": dict, "optimizer_states": list, "lr_schedulers": list, "loops": dict,
                      "pytorch-lightning_version": str}  # fmt: skip


class Checkpoints(Checkpoint):
    """Writes both; Lightning calls it after all other callbacks.

    What is best is remembered by epoch and score alone, within the checkpoint: Lightning's own callback remembers
    paths, and forgets the best where a folder was renamed. The best is written first: after a crash between the two,
    the epoch is trained again from ``last.ckpt`` and both are written anew.

    Args:
        folder: of the fit.
        chooser: an observer with ``score``: of the epoch that has just ended, less is better, None if it has none.
        fit: the digest of the fit's identity, which each checkpoint holds: that of another fit is not read.
    """

    def __init__(self, folder: Path, chooser: pl.Callback | None = None, fit: str = ""):
        self.folder, self.chooser, self.fit = folder, chooser, fit
        self._best = {"epoch": None, "score": math.inf}
        self._ended = False

    @property
    def state_key(self) -> str:
        return "Checkpoints"

    def state_dict(self) -> dict:
        """``epoch`` (from 1) and ``score`` of the best; ``ended``, whether a callback ended the fit with this epoch."""
        return {**self._best, "ended": self._ended}

    def load_state_dict(self, state: dict) -> None:
        self._best, self._ended = {"epoch": state["epoch"], "score": state["score"]}, state["ended"]

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = self._ended  # a fit that was ended early, but killed before that was written down

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        score = getattr(self.chooser, "score", None)
        if score is not None and score < self._best["score"]:
            self._best = {"epoch": trainer.current_epoch + 1, "score": float(score)}
            trainer.save_checkpoint(self.folder / BEST, weights_only=True)
        elif score is not None and self._best["epoch"] is None:
            trainer.save_checkpoint(self.folder / BEST, weights_only=True)  # no score was a number so far: the newest
        self._ended = trainer.should_stop
        trainer.save_checkpoint(self.folder / LAST)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoints, written atomically and read without running code; of the ``fit`` of that digest."""

    def __init__(self, fit: str = ""):
        super().__init__()
        self.fit = fit

    def save_checkpoint(self, checkpoint: dict, path: str | Path, storage_options: dict | None = None) -> None:
        content = io.BytesIO()  # torch's writer of files says of a full disk that an enforcement failed
        torch.save(checkpoint | ({"fit": self.fit} if self.fit else {}), content)
        write_bytes(Path(path), content.getbuffer())

    def load_checkpoint(
        self, path: str | Path, map_location=lambda storage, location: storage, weights_only: bool | None = None
    ) -> dict:
        return load_checkpoint(Path(path), map_location, self.fit)


def weights_digest(state: dict[str, torch.Tensor]) -> str:
    """16 hexadecimal digits that stand for a model's weights: SHA-256 of names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name, tensor in state.items():
        array = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {array.dtype} {tuple(array.shape)}\n".encode())
        digest.update(array.view(torch.uint8).numpy() if array.dim() else array.numpy().tobytes())
    return digest.hexdigest()[:16]


def load_checkpoint(path: Path, map_location: str | torch.device = "cpu", fit: str = "") -> dict:
    """Reads a checkpoint; no code in it can run (``weights_only``), and every byte of it is as it was written.

    Args:
        path: of the file.
        map_location: as ``torch.load``.
        fit: the digest of the identity of the fit that it must be of; '' for any.

    Raises:
        FileNotFoundError: if there is none.
        DamagedFile: if it is damaged, or of another fit, with the ways out.
    """
    try:
        with open_regular(path) as file:
            _require_whole(file)
            kept = torch.load(file, map_location=map_location, weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # torch raises RuntimeError, EOFError, UnpicklingError, ... by the kind of damage
        reason = str(error).splitlines()[0][:80] if str(error) else type(error).__name__
        raise DamagedFile(f"{path}: damaged checkpoint ({reason}); {FRESH}") from None
    wrong = mismatch(kept, TRAINING if path.name == LAST else WEIGHTS)
    if wrong or (fit and kept.get("fit", fit) != fit):
        raise DamagedFile(f"{path}: damaged checkpoint ({wrong or 'of another fit'}); {FRESH}")
    return kept


def _require_whole(file: BinaryIO) -> None:
    """Raises ValueError if a part of a checkpoint, an archive, is not what it was by its checksum, which torch writes
    and does not read; or if it is packed, which torch does not do, and a bomb is."""
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
        packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
        if packed or sum(part.file_size for part in parts) > os.fstat(file.fileno()).st_size:
            raise ValueError("it is packed")
        if (part := archive.testzip()) is not None:
            raise ValueError(f"the checksum of {part} is another")
    file.seek(0)
