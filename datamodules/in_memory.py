"""Data that fits into memory: tensors on the training device, a batch of them one gather.

A data set here is at most 47 MB. No workers, no copy per example (``Dataset.__getitems__``).
"""

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

Split = tuple[Tensor, Tensor]  # examples (N, ...) and what they are labelled with (N,); a named tuple, by data set


class InMemory(Dataset):
    """Gathers a whole batch at once: ``(examples (B, ...), targets (B,))``."""

    def __init__(self, split: Split):
        self.examples, self.targets = split

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.examples[index], self.targets[index]

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        at = torch.as_tensor(indices, device=self.examples.device)
        return self.examples.index_select(0, at), self.targets.index_select(0, at)


def whole_batch(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The collate function for a data set that returns whole batches: identity."""
    return batch


class EpochShuffle(Sampler):
    """A shuffle that is a function of (seed, epoch), so that a resumed run sees the order an uninterrupted one would.

    Lightning calls :meth:`set_epoch` as it does for a distributed sampler. Of several processes each has every n-th
    batch: their n batches together are the one that a single process with n times the batch size would see.

    Args:
        size: examples to shuffle; with several processes, those that do not fill a batch of each are left out.
        seed: of the shuffle.
        batch_size: examples that stay together.
        number: of this process, from 0.
        processes: how many there are.
    """

    def __init__(self, size: int, seed: int, batch_size: int = 1, number: int = 0, processes: int = 1):
        self.size, self.seed, self.epoch = size, seed, 0
        self.batch_size, self.number, self.processes = batch_size, number, processes

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        if self.processes == 1:
            return self.size
        return self.size // (self.batch_size * self.processes) * self.batch_size

    def __iter__(self):
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.size)
        if self.processes > 1:
            order = order[: len(self) * self.processes].reshape(-1, self.processes, self.batch_size)[:, self.number]
        return iter(order.ravel().tolist())


class InMemoryData(pl.LightningDataModule):
    """A training, a validation and a test set; a subclass sets ``train``, ``val`` and ``test`` in ``setup``.

    Args:
        batch_size: training examples per step of an optimizer, in each process.
        val_size: examples held out for validation.
        seed: of the shuffle.
        eval_batch_size: examples per step of validation and test.
        batches_per_step: training batches that are handed out as one, for a model that takes several steps at a time.
    """

    train: Split
    val: Split
    test: Split

    def __init__(self, batch_size: int, val_size: int, seed: int, eval_batch_size: int, batches_per_step: int):
        super().__init__()
        require_counts(
            batch_size=batch_size, val_size=val_size, eval_batch_size=eval_batch_size, batches_per_step=batches_per_step
        )
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise ValueError(f"dataset.seed={seed}: expects a whole number from 0")
        self.batch_size, self.val_size, self.seed = batch_size, val_size, seed
        self.eval_batch_size, self.batches_per_step = eval_batch_size, batches_per_step

    def require_enough(self, n_train: int) -> None:
        """Raises ValueError if so many training examples do not fill what is handed out as one."""
        if self.batch_size * self.batches_per_step > n_train > 0:
            several = f", {self.batches_per_step} batches at a time" * (self.batches_per_step > 1)
            raise ValueError(
                f"dataset.batch_size={self.batch_size}{several}: there are only {n_train} {self.unit} to train on"
            )

    unit = "examples"  # what messages call them

    @staticmethod
    def as_seen(examples: Tensor) -> Tensor:
        """Examples as they are kept to float32 as models are given them."""
        return examples

    @property
    def device(self) -> torch.device:
        """Where the data lie: on the training device, once there is one."""
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")

    def _loader(self, split: Split, **kwargs) -> DataLoader:
        return DataLoader(InMemory(split), collate_fn=whole_batch, **kwargs)

    def train_dataloader(self) -> DataLoader:
        number, processes = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        sampler = EpochShuffle(len(self.train[0]), self.seed, self.batch_size, number, processes)
        together = self.batch_size * self.batches_per_step
        return self._loader(self.train, batch_size=together, sampler=sampler, drop_last=True)

    def val_dataloader(self) -> DataLoader:
        return self._loader(self.val, batch_size=self.eval_batch_size)

    def test_dataloader(self) -> DataLoader:
        return self._loader(self.test, batch_size=self.eval_batch_size)

    def on_after_batch_transfer(self, batch: tuple[Tensor, Tensor], dataloader_idx: int) -> tuple[Tensor, Tensor]:
        """Examples as models are given them, with their targets."""
        examples, targets = batch
        return self.as_seen(examples), targets


def require_counts(**counts: int) -> None:
    """Raises ValueError for the first that is not a positive whole number, as a setting of the data set."""
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ValueError(f"dataset.{name}={count}: expects a positive whole number")
