"""Data that fits into memory: tensors on the training device, a batch of them one gather.

A data set here is at most 47 MB. No workers, no copy per example (``Dataset.__getitems__``).

What a model learns from is said by its class as ``supervision``, and it is handed nothing else:

    unsupervised     batches of examples, whose targets are all UNLABELLED
    supervised       batches of the labelled examples, with their targets
    semi-supervised  batches of both, apart (:class:`datamodules.batches.Mixed`)
"""

import hashlib
from functools import partial

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules.batches import (
    EpochShuffle,
    InMemory,
    InMixedSteps,
    InSteps,
    Mixed,
    MixedSteps,
    Split,
    Steps,
    stacked,
    whole_batch,
)
from datamodules.checks import require_whole
from datamodules.labels import SEMI_SUPERVISED, SUPERVISED, UNLABELLED, UNSUPERVISED


class InMemoryData(pl.LightningDataModule):
    """A training, a validation and a test set in memory; a subclass makes them in :meth:`divide`.

    A model that takes several batches in a step says how many as its ``batches_per_step``: they are handed out as one,
    stacked. A model without that is given batch after batch. One that makes something of the examples once and for all
    does so in its ``prepare(examples, training)``, which is given a split whole: batches then hold rows of that.

    Args:
        batch_size: training examples per step of an optimizer, in each process; unlabelled ones, if those are apart.
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
            self.steps()

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

    def given(self, supervision: str) -> Split:
        """The training examples with the targets that a model of that supervision may know: UNLABELLED where it may
        not. Data without classes have none to hide."""
        return self.train

    def steps(self, batches: int = 1, supervision: str = UNSUPERVISED) -> int:
        """Of an epoch, each of so many batches: those that a step of all processes takes.

        Raises:
            ValueError: if the examples that fill them don't fill one.
        """
        count, which = len(self.train[0]), ""
        if supervision != UNSUPERVISED:
            labelled = int((self.given(supervision)[1] != UNLABELLED).sum())
            count, which = (labelled, "labelled ") if supervision == SUPERVISED else (count - labelled, "unlabelled ")
        if self.batch_size * batches > count:
            several = f", {batches} batches at a time" * (batches > 1)
            raise ValueError(
                f"dataset.batch_size={self.batch_size}{several}: there are only {count} {which}{self.unit} to train on"
            )
        return count // (self.batch_size * batches)

    @staticmethod
    def as_seen(examples: Tensor) -> Tensor:
        """Examples ``(..., *one)`` as they are kept to float32 as models are given them."""
        return examples

    @property
    def device(self) -> torch.device:
        """Where the data lie: on the training device, once there is one."""
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")

    @property
    def _model(self) -> pl.LightningModule | None:
        return self.trainer.lightning_module if self.trainer else None

    def _prepared(self, split: Split) -> Split:
        """As the model has them once and for all."""
        if not hasattr(self._model, "prepare"):
            return split
        made = self._model.prepare(self.as_seen(split[0]), training=split[0] is self.train[0])
        return split._replace(**{split._fields[0]: made})

    def train_dataloader(self) -> DataLoader:
        """What the model learns from: batches ``(B, ...)``, or ``(batches_per_step, B, ...)`` for a model that asks for
        them so, or :class:`Mixed` ones."""
        number, processes = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        supervision = getattr(self._model, "supervision", UNSUPERVISED)
        together = getattr(self._model, "batches_per_step", None)
        self.steps((together or 1) * processes, supervision)
        given = self._prepared(self.given(supervision))
        if supervision == SEMI_SUPERVISED:
            mixed = InMixedSteps(given, self.labelled_batch_size, self.batch_size)
            return DataLoader(mixed, batch_size=None, sampler=MixedSteps(mixed, self.seed), collate_fn=whole_batch)
        if supervision == SUPERVISED:
            known = given[1] != UNLABELLED
            given = given if known.all() else given._make(tensor[known] for tensor in given)
        collate = whole_batch if together is None else partial(stacked, number=together)
        shuffle = EpochShuffle(len(given[0]), self.seed, self.batch_size, number, processes)
        gathered = (together or 1) * self.batch_size
        steps = Steps(shuffle, gathered, given[0].device)
        return DataLoader(InSteps(given, gathered), batch_size=None, sampler=steps, collate_fn=collate)

    def val_dataloader(self) -> DataLoader:
        # Each pass begins with a draw: from torch's own generator it would move what the rest of an epoch draws.
        own = torch.Generator()
        val = InMemory(self._prepared(self.val))
        return DataLoader(val, self.eval_batch_size, collate_fn=whole_batch, generator=own)

    def test_dataloader(self) -> DataLoader:
        return DataLoader(InMemory(self._prepared(self.test)), self.eval_batch_size, collate_fn=whole_batch)

    def transfer_batch_to_device(self, batch: tuple[Tensor, Tensor], device: torch.device, dataloader_idx: int):
        """The batch as it is: it was gathered on the training device."""
        return batch

    def on_after_batch_transfer(self, batch: tuple[Tensor, Tensor] | Mixed, dataloader_idx: int):
        """Examples as models are given them, with their targets."""
        if hasattr(self._model, "prepare"):
            return batch
        if isinstance(batch, Mixed):
            labelled, unlabelled = ((self.as_seen(examples), targets) for examples, targets in batch[:2])
            return Mixed(labelled, unlabelled, batch.rows)
        examples, targets = batch
        return self.as_seen(examples), targets
