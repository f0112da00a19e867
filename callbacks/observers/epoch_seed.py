"""Randomness that depends on (seed, epoch) alone, so that a resumed fit equals an uninterrupted one."""

import numpy as np
import pytorch_lightning as pl
import torch

_STREAMS = {"train": 0, "test": 1}


def derived_seed(seed: int, stream: str, epoch: int = 0) -> int:
    """A 63-bit seed for one epoch of one use; different for each, the same in each run."""
    return int(np.random.SeedSequence((seed, _STREAMS[stream], epoch)).generate_state(1, np.uint64)[0] >> 1)


def _random_state(device: torch.device) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Of the generators that a model on this device draws from: the CPU's, and the device's own."""
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


class EpochSeed(pl.Callback):
    """Seeds torch at the first batch of each training epoch, and before the test.

    Lightning's checkpoints hold no state of the random generators. Instead of storing them, each epoch begins from a
    state of its own: what happened before (a validation, a picture that drew noise, a kill and a resume) has no way
    into the weights.
    """

    def __init__(self, seed: int):
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
            raise ValueError(f"seed={seed}: expects a whole number from 0, below 2^32")
        self.seed = seed

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch, batch_idx: int) -> None:
        if batch_idx == 0:
            torch.manual_seed(derived_seed(self.seed, "train", trainer.current_epoch))

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._before = _random_state(pl_module.device)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Goes on as if there had been no validation: there may be some within an epoch (``val_check_interval``)."""
        torch.set_rng_state(self._before[0])
        if self._before[1] is not None:
            torch.cuda.set_rng_state(self._before[1], pl_module.device)

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        torch.manual_seed(derived_seed(self.seed, "test"))
