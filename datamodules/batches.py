"""Batches of what lies in memory: each one gather, in an order that is a function of the seed and the epoch."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

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
