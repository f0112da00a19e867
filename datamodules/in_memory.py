"""Data that fits into memory: tensors on the training device, a batch of them one gather.

A data set here is at most 47 MB. No workers, no copy per example (``Dataset.__getitems__``).

What a model learns from is said by its class as ``supervision``, and it is handed nothing else:

    unsupervised     batches of examples, whose targets are all UNLABELLED
    supervised       batches of the labelled examples, with their targets
    semi-supervised  batches of both, apart (:class:`Mixed`)
"""

import hashlib
from functools import partial
from typing import NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from datamodules.checks import require_whole
from datamodules.labels import SEMI_SUPERVISED, SUPERVISED, UNLABELLED, UNSUPERVISED

Split = tuple[Tensor, Tensor]  # examples (N, ...) and what they are labelled with (N,); a named tuple, by data set


class Mixed(NamedTuple):
    """A batch of a semi-supervised model.

    labelled: examples ``(L, ...)`` and their targets ``(L,)``.
    unlabelled: others ``(B, ...)``, and as many times UNLABELLED.
    rows: of the unlabelled ones in the training set, ``(B,)`` int64.
    """

    labelled: tuple[Tensor, Tensor]
    unlabelled: tuple[Tensor, Tensor]
    rows: Tensor


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


class InMixedSteps(InSteps):
    """The same of which an item is a :class:`Mixed`: its indices are those of the labelled examples, then the others'.

    Args:
        split: the examples, UNLABELLED where that is their target.
        labelled: of a step.
        unlabelled: of a step.
    """

    def __init__(self, split: Split, labelled: int, unlabelled: int):
        super().__init__(split, unlabelled)
        self.labelled = labelled
        self.known, self.unknown = (found.nonzero()[:, 0] for found in (self.targets >= 0, self.targets < 0))

    def __len__(self) -> int:
        return len(self.unknown) // self.gathered

    def __getitem__(self, step: int | Tensor) -> Mixed:
        if not isinstance(step, Tensor):
            rows = torch.arange(step * self.labelled, (step + 1) * self.labelled, device=self.known.device)
            in_a_row = self.unknown[step * self.gathered : (step + 1) * self.gathered]
            step = torch.cat([self.known[rows % len(self.known)], in_a_row])
        examples, targets = self.__getitems__(step)
        parts = [tensor.split([self.labelled, self.gathered]) for tensor in (examples, targets, step)]
        (known, unknown), (targets, unlabelled), (_, rows) = parts
        return Mixed((known, targets), (unknown, unlabelled), rows)


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


class MixedSteps(Sampler):
    """The indices ``(labelled + unlabelled,)`` of each step: labelled examples, then unlabelled ones.

    An epoch is one pass over the unlabelled ones. The labelled ones, of which there are fewer, go on from epoch to
    epoch, each pass over them shuffled anew: which are whose is a function of (seed, epoch), as in
    :class:`EpochShuffle`.

    Args:
        data: whose ``known`` and ``unknown`` rows these are.
        seed: of both shuffles.
    """

    def __init__(self, data: InMixedSteps, seed: int):
        self.data, self.seed, self.shuffle = data, seed, EpochShuffle(len(data.unknown), seed)

    def set_epoch(self, epoch: int) -> None:
        self.shuffle.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.data)

    def _labelled(self) -> np.ndarray:
        """Of all steps of the epoch, ``(steps, labelled)``, each a place among the known."""
        size, count = len(self.data.known), len(self) * self.data.labelled
        start = self.shuffle.epoch * count
        passes = range(start // size, (start + count - 1) // size + 1)
        orders = [np.random.default_rng((self.seed, number, 1)).permutation(size) for number in passes]
        skipped = start % size
        return np.concatenate(orders)[skipped : skipped + count].reshape(len(self), -1)

    def __iter__(self):
        order = self.shuffle.order()[: len(self) * self.data.gathered].reshape(len(self), -1)
        known, unknown = (torch.from_numpy(places).to(self.data.known.device) for places in (self._labelled(), order))
        yield from torch.cat([self.data.known[known], self.data.unknown[unknown]], dim=1).unbind()


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
