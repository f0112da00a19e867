"""Data that fits into memory: tensors on the training device, a batch of them one gather.

A data set here is at most 47 MB. No workers, no copy per example (``Dataset.__getitems__``).
"""

import hashlib
from functools import partial

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from datamodules.checks import require_whole

Split = tuple[Tensor, Tensor]  # examples (N, ...) and what they are labelled with (N,); a named tuple, by data set


class InMemory(Dataset):
    """Gathers a whole batch at once: ``(examples (B, ...), targets (B,))``."""

    def __init__(self, split: Split):
        self.examples, self.targets = split

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.examples[index], self.targets[index]

    def __getitems__(self, indices: list[int] | Tensor) -> tuple[Tensor, Tensor]:
        at = torch.as_tensor(indices, device=self.examples.device)
        return self.examples.index_select(0, at), self.targets.index_select(0, at)


class InSteps(InMemory):
    """The same of which an item is a step: the examples at the indices ``(B,)`` that :class:`Steps` hands out; or, by
    its number, those in a row, as a sampler asks that Lightning puts in the place of ours (``overfit_batches``).

    Args:
        split: the examples.
        gathered: of a step.
    """

    def __init__(self, split: Split, gathered: int):
        super().__init__(split)
        self.gathered = gathered

    def __len__(self) -> int:
        return len(self.examples) // self.gathered

    def __getitem__(self, step: int | Tensor) -> tuple[Tensor, Tensor]:
        if isinstance(step, Tensor):
            return self.__getitems__(step)
        at = slice(step * self.gathered, (step + 1) * self.gathered)
        return self.examples[at], self.targets[at]


def whole_batch(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The collate function for a data set that returns whole batches: identity."""
    return batch


def stacked(batch: tuple[Tensor, Tensor], number: int) -> tuple[Tensor, Tensor]:
    """The same for so many batches gathered as one: examples ``(number, B, ...)``, targets ``(number, B)``; views."""
    examples, targets = batch
    return examples.unflatten(0, (number, -1)), targets.unflatten(0, (number, -1))


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

    def order(self) -> np.ndarray:
        """The indices of this process, ``(len(self),)``, int64."""
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.size)
        if self.processes > 1:
            order = order[: len(self) * self.processes].reshape(-1, self.processes, self.batch_size)[:, self.number]
        return order.ravel()

    def __iter__(self):
        return iter(self.order().tolist())


class Steps(Sampler):
    """The indices ``(gathered,)`` of each step that a shuffle fills, as tensors.

    They go to the device once an epoch. A list of numbers for each batch would be made, checked and copied there every
    step, and a GPU would be waited for.

    Args:
        shuffle: the order of the examples.
        gathered: examples of a step.
        device: where the examples lie.
    """

    def __init__(self, shuffle: EpochShuffle, gathered: int, device: torch.device):
        self.shuffle, self.gathered, self.device = shuffle, gathered, device

    def set_epoch(self, epoch: int) -> None:
        self.shuffle.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.shuffle) // self.gathered

    def __iter__(self):
        # a generator: Lightning asks a continued fit's loader for its iterator before it says which epoch this is
        order = torch.from_numpy(self.shuffle.order()[: len(self) * self.gathered])
        yield from order.to(self.device).split(self.gathered)


class InMemoryData(pl.LightningDataModule):
    """A training, a validation and a test set in memory; a subclass makes them in :meth:`divide`.

    A model that takes several batches in a step says how many as its ``batches_per_step``: they are handed out as one,
    stacked. A model without that is given batch after batch.

    Args:
        batch_size: training examples per step of an optimizer, in each process.
        val_size: examples held out for validation.
        seed: of the shuffle.
        eval_batch_size: examples per step of validation and test.
    """

    train: Split
    val: Split
    test: Split
    unit = "examples"  # what messages call them

    def __init__(self, batch_size: int, val_size: int, seed: int, eval_batch_size: int):
        super().__init__()
        counts = {"batch_size": batch_size, "val_size": val_size, "eval_batch_size": eval_batch_size}
        require_whole(**{f"dataset.{name}": count for name, count in counts.items()})
        require_whole(0, **{"dataset.seed": seed})
        self.batch_size, self.val_size, self.seed, self.eval_batch_size = batch_size, val_size, seed, eval_batch_size

    def divide(self) -> dict[str, Split]:
        """The splits by name, on the CPU: ``train``, ``val``, ``test``, and what else the data set has.

        Drawn or divided by fixed seeds: the same at every call.
        """
        raise NotImplementedError(f"{type(self).__name__} has no divide()")

    def setup(self, stage: str | None = None) -> None:
        """Makes the splits, once, and puts them on the training device, again if that has changed."""
        first = not hasattr(self, "train")
        splits = self.divide() if first else {name: getattr(self, name) for name in self._names}
        self._names = tuple(splits)
        there = {tensor: tensor.to(self.device) for split in splits.values() for tensor in split}  # shared ones once
        for name, split in splits.items():
            setattr(self, name, split._make(there[tensor] for tensor in split))
        if first:
            self.require_enough()

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of all splits, known after ``setup``."""
        return self._names

    @property
    def offers(self) -> dict:
        """What a model may ask for by the name of a constructor's parameter: plain values, known after ``setup``."""
        return {}

    def fingerprint(self, *names: str) -> str:
        """16 hexadecimal digits that stand for the named splits' content: SHA-256 of types, shapes and bytes."""
        digest = hashlib.sha256()
        for name in names:
            for tensor in getattr(self, name):
                array = np.ascontiguousarray(tensor.cpu().numpy())
                digest.update(f"{array.dtype.str} {array.shape}\n".encode())
                digest.update(array)
        return digest.hexdigest()[:16]

    def require_enough(self, batches: int = 1) -> None:
        """Raises ValueError if the training examples don't fill so many batches: those that a step of all processes
        takes."""
        if self.batch_size * batches > len(self.train[0]):
            several = f", {batches} batches at a time" * (batches > 1)
            raise ValueError(
                f"dataset.batch_size={self.batch_size}{several}: there are only {len(self.train[0])} {self.unit} to "
                "train on"
            )

    @staticmethod
    def as_seen(examples: Tensor) -> Tensor:
        """Examples ``(..., *one)`` as they are kept to float32 as models are given them."""
        return examples

    @property
    def device(self) -> torch.device:
        """Where the data lie: on the training device, once there is one."""
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")

    def train_dataloader(self) -> DataLoader:
        """Batches ``(B, ...)``, or ``(batches_per_step, B, ...)`` for a model that asks for them so."""
        number, processes, model = 0, 1, None
        if self.trainer:
            number, processes, model = self.trainer.global_rank, self.trainer.world_size, self.trainer.lightning_module
        together = getattr(model, "batches_per_step", None)
        collate = whole_batch if together is None else partial(stacked, number=together)
        together = together or 1
        self.require_enough(together * processes)
        shuffle = EpochShuffle(len(self.train[0]), self.seed, self.batch_size, number, processes)
        gathered = together * self.batch_size
        steps = Steps(shuffle, gathered, self.train[0].device)
        return DataLoader(InSteps(self.train, gathered), batch_size=None, sampler=steps, collate_fn=collate)

    def val_dataloader(self) -> DataLoader:
        # Each pass begins with a draw: from torch's own generator it would move what the rest of an epoch draws.
        own = torch.Generator()
        return DataLoader(InMemory(self.val), self.eval_batch_size, collate_fn=whole_batch, generator=own)

    def test_dataloader(self) -> DataLoader:
        return DataLoader(InMemory(self.test), self.eval_batch_size, collate_fn=whole_batch)

    def transfer_batch_to_device(self, batch: tuple[Tensor, Tensor], device: torch.device, dataloader_idx: int):
        """The batch as it is: it was gathered on the training device."""
        return batch

    def on_after_batch_transfer(self, batch: tuple[Tensor, Tensor], dataloader_idx: int) -> tuple[Tensor, Tensor]:
        """Examples as models are given them, with their targets."""
        examples, targets = batch
        return self.as_seen(examples), targets
