"""Small grey images held in memory.

A data set is one uint8 tensor on the training device; a batch is scaled to [0, 1] in float32 once gathered. No PIL.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from datamodules.checks import require_whole
from datamodules.contract import require_all_classes, require_images
from datamodules.in_memory import InMemoryData
from datamodules.labels import UNLABELLED, UNSUPERVISED, draw_labels, require_drawable, require_rule

ALL = "all"  # labels there are
SPLIT_SEED = 0  # which training images are held out for validation: the same for every run, so that fits compare


class Split(NamedTuple):
    """Images ``(N, 1, H, W)`` uint8 and their classes ``(N,)`` int64."""

    images: Tensor
    targets: Tensor


class Images(InMemoryData):
    """The splits of a data set of small grey images; a subclass has ``class_names`` and :meth:`read`.

    The training set is divided once, by a fixed seed, into training and validation images; the test set is only for
    testing. Labelled images are drawn from the training part.

    Args:
        batch_size: training images per step of an optimizer, in each process.
        val_size: training images held out for validation.
        train_subset: train on this many images only, the very ones that the draw would label; ``None`` for all.
        n_labels: of the training images, how many a model may know the class of: drawn, or ``all``; ``None`` for none.
            A model that learns from no labels is given none.
        labelled_batch_size: labelled images per step, where unlabelled ones are handed out beside them.
        label_seed: the draw of both; without effect where there is none.
        labels: its rule, ``equal`` or ``proportional`` (:func:`datamodules.labels.draw_labels`); likewise.
        seed: of the shuffle.
        eval_batch_size: images per step of validation and test.

    Attributes:
        labelled: what labels are drawn from: the training part, also where ``train`` is a subset of it.
    """

    name: str | None = None  # what messages call it; that of the class, unless a subclass says otherwise
    class_names: list[str] = []  # of the K classes, in the order of their numbers
    unit = "images"
    labelled: Split

    def __init__(
        self,
        batch_size: int,
        val_size: int,
        train_subset: int | None = None,
        n_labels: int | str | None = None,
        labelled_batch_size: int | None = None,
        label_seed: int = 0,
        labels: str = "equal",
        seed: int = 0,
        eval_batch_size: int = 1000,
    ):
        super().__init__(batch_size, val_size, seed, eval_batch_size)
        require_rule(labels)
        self.name = self.name or type(self).__name__
        if n_labels not in (None, ALL):
            require_whole(of="labelled images", **{"dataset.n_labels": n_labels})
            if train_subset is not None and n_labels > train_subset:
                raise ValueError(f"dataset.n_labels={n_labels}: more than dataset.train_subset={train_subset}")
        if labelled_batch_size is not None:
            require_whole(**{"dataset.labelled_batch_size": labelled_batch_size})
        self.train_subset, self.n_labels, self.labelled_batch_size = train_subset, n_labels, labelled_batch_size
        self.label_seed, self.labels = label_seed, labels

    @classmethod
    def used(cls, config: dict) -> dict:
        """The part of the configuration that has an effect: a draw of labels only where something follows it."""
        drawn = config.get("train_subset") is not None or config.get("n_labels") not in (None, ALL)
        without_effect = () if drawn else ("label_seed", "labels")
        return {k: v for k, v in config.items() if k not in without_effect}

    @classmethod
    def identity(cls, config: dict) -> dict:
        """The part of the configuration that decides which images are trained on, and in which order."""
        return {k: v for k, v in cls.used(config).items() if k != "eval_batch_size"}

    def read(self) -> tuple[Split, Split]:
        """The official training and test sets: images uint8 ``(N, 1, H, W)``, targets int64 ``(N,)`` from 0 to K - 1.

        Raises:
            DataError: with the file at fault and the ways out.
        """
        raise NotImplementedError(f"{type(self).__name__} has no read()")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """``(1, H, W)``, once read."""
        return tuple(self.test.images.shape[1:])

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @cached_property
    def class_counts(self) -> np.ndarray:
        """How many images of each class labels can be drawn from, ``(K,)``, once read."""
        return self._counts(self.labelled)

    @property
    def offers(self) -> dict:
        offered = {"image_shape": self.image_shape, "num_classes": self.num_classes}
        if self.n_labels is None:
            return offered
        share = 1.0 if self.n_labels == ALL else self.n_labels / len(self.train.images)
        return offered | {"labelled_share": share}

    @staticmethod
    def as_seen(examples: Tensor) -> Tensor:
        """uint8 images in [0, 255] as float32 in [0, 1]."""
        return to_unit_range(examples)

    def divide(self) -> dict[str, Split]:
        read = self.read()
        require_images(self.name, self.class_names, read)
        official, test = (Split(*part) for part in read)
        if self.val_size >= len(official.images):
            raise ValueError(
                f"dataset.val_size={self.val_size}: {self.name} has {len(official.images)} training images"
            )
        order = torch.from_numpy(np.random.default_rng(SPLIT_SEED).permutation(len(official.images)))
        val, kept = order[: self.val_size], order[self.val_size :].sort().values
        labelled = Split(official.images[kept], official.targets[kept])
        require_all_classes(self.name, self.class_names, self._counts(labelled))
        train = labelled if self.train_subset is None else self._subset(labelled)
        held_out = Split(official.images[val], official.targets[val])
        return {"train": train, "val": held_out, "test": test, "labelled": labelled}

    def given(self, supervision: str) -> Split:
        targets = self.train.targets
        if supervision == UNSUPERVISED:
            return self.train._replace(targets=torch.full_like(targets, UNLABELLED))
        if self.n_labels is None:
            raise ValueError("dataset.n_labels=null: a model that learns from labels needs some; a number, or all")
        if self.n_labels == ALL:
            return self.train
        drawing = (self.n_labels, self.label_seed, self.labels)
        require_drawable(self.class_counts, *drawing, setting="dataset.n_labels")
        # those of a subset are its first: draws are nested
        drawn = draw_labels(self.labelled.targets.cpu().numpy(), *drawing) if self.train_subset is None else None
        rows = torch.arange(self.n_labels) if drawn is None else torch.from_numpy(drawn)
        known = torch.zeros_like(targets, dtype=torch.bool).index_fill_(0, rows.to(targets.device), True)
        return self.train._replace(targets=torch.where(known, targets, UNLABELLED))

    def _counts(self, split: Split) -> np.ndarray:
        return np.bincount(split.targets.cpu().numpy(), minlength=self.num_classes)

    def _subset(self, labelled: Split) -> Split:
        drawing = (self.train_subset, self.label_seed, self.labels)
        require_drawable(self._counts(labelled), *drawing, setting="dataset.train_subset")
        drawn = torch.from_numpy(draw_labels(labelled.targets.numpy(), *drawing))
        return Split(labelled.images[drawn], labelled.targets[drawn])


def to_unit_range(images: Tensor) -> Tensor:
    """uint8 images in [0, 255] as float32 in [0, 1]."""
    return images.to(torch.float32).div_(255)
