"""Small grey images held in memory: MNIST, Fashion-MNIST, and the digits that ship with scikit-learn.

A data set is one uint8 tensor on the training device; a batch is scaled to [0, 1] in float32 once gathered. No PIL.
"""

import contextlib
import io
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from datamodules.idx import DataError, read_idx
from datamodules.in_memory import InMemoryData
from datamodules.labels import draw_labels

SPLIT_SEED = 0  # which training images are held out for validation: the same for every run, so that fits compare


class Split(NamedTuple):
    """Images ``(N, 1, H, W)`` uint8 and their classes ``(N,)`` int64."""

    images: Tensor
    targets: Tensor


class Images(InMemoryData):
    """The splits of a data set of small grey images.

    The training set is divided once, by a fixed seed, into training and validation images; the test set is only for
    testing. Labelled images are drawn from the training part.

    Args:
        batch_size: training images per step of an optimizer, in each process.
        val_size: training images held out for validation.
        train_subset: train on this many images only, the very ones that ``label_seed`` would label; ``None`` for all.
        label_seed: the draw that ``train_subset`` follows; without effect otherwise.
        seed: of the shuffle.
        root: folder of the data, as torchvision lays it out.
        eval_batch_size: images per step of validation and test.
        shape: of an image, ``(1, H, W)``: a check against a model configured for another size.
        batches_per_step: training batches that are handed out as one, for a model that takes several steps at a time.
    """

    name: str
    unit = "images"
    num_classes = 10
    class_names = [str(digit) for digit in range(10)]
    image_shape: tuple[int, int, int]
    train_total: int

    def __init__(
        self,
        batch_size: int,
        val_size: int,
        train_subset: int | None = None,
        label_seed: int = 0,
        seed: int = 0,
        root: str = "data",
        eval_batch_size: int = 1000,
        shape: tuple[int, int, int] | None = None,
        batches_per_step: int = 1,
    ):
        super().__init__(batch_size, val_size, seed, eval_batch_size, batches_per_step)
        if val_size >= self.train_total:
            raise ValueError(f"dataset.val_size={val_size}: {self.name} has {self.train_total} training images")
        if shape is not None and tuple(shape) != self.image_shape:
            raise ValueError(f"dataset.shape={list(shape)}: images of {self.name} are {list(self.image_shape)}")
        n_train = self.train_total - val_size if train_subset is None else train_subset
        if isinstance(n_train, int):
            self.require_enough(n_train)
        self.train_subset, self.label_seed, self.root = train_subset, label_seed, Path(root)

    @classmethod
    def identity(cls, config: dict) -> dict:
        """The part of the configuration that decides which images are trained on, and in which order."""
        config = {k: v for k, v in config.items() if k not in ("root", "eval_batch_size", "shape")}
        if config.get("train_subset") is None:
            config.pop("label_seed", None)
        return config

    def read(self) -> tuple[Split, Split]:
        """The official training and test sets.

        Raises:
            DataError: with the file at fault and the ways out.
        """
        raise NotImplementedError

    @staticmethod
    def as_seen(examples: Tensor) -> Tensor:
        """uint8 images in [0, 255] as float32 in [0, 1]."""
        return to_unit_range(examples)

    def setup(self, stage: str | None = None) -> None:
        """Divides the data and puts it on the training device. Cheap to call again."""
        if hasattr(self, "train"):
            return
        official, test = self.read()
        order = torch.from_numpy(np.random.default_rng(SPLIT_SEED).permutation(len(official.images)))
        val, train = order[: self.val_size], order[self.val_size :].sort().values
        self.labelled = Split(official.images[train], official.targets[train])
        self.train = self.labelled
        if self.train_subset is not None:
            try:
                subset = torch.from_numpy(
                    draw_labels(self.labelled.targets.numpy(), self.train_subset, self.label_seed)
                )
            except ValueError as error:
                raise ValueError(str(error).replace("n_labels", "dataset.train_subset", 1)) from None
            self.train = Split(self.labelled.images[subset], self.labelled.targets[subset])
        self.val = Split(official.images[val], official.targets[val])
        self.test = test
        for name in ("labelled", "train", "val", "test"):
            images, targets = getattr(self, name)
            setattr(self, name, Split(images.to(self.device), targets.to(self.device)))


def to_unit_range(images: Tensor) -> Tensor:
    """uint8 images in [0, 255] as float32 in [0, 1]."""
    return images.to(torch.float32).div_(255)


class MNIST(Images):
    """Handwritten digits (LeCun et al. 1998): 60,000 + 10,000 images of 28x28."""

    name = "MNIST"
    image_shape = (1, 28, 28)
    train_total, test_total = 60_000, 10_000
    # What tells MNIST's files from Fashion-MNIST's: the training pixels' mean, and how many images each class has
    train_mean = 0.1307
    class_counts = {
        "train": (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
        "t10k": (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
    }

    def __init__(self, batch_size: int = 128, val_size: int = 5000, **kwargs):
        super().__init__(batch_size, val_size, **kwargs)

    @property
    def _raw(self) -> Path:
        return self.root / self.name / "raw"

    def prepare_data(self) -> None:
        """Downloads what is absent, through torchvision (mirrors and checksums are its own).

        Raises:
            DataError: if it can't be had.
        """
        if all((self._raw / f"{f}-ubyte").exists() for f in _IDX_FILES):
            return
        import torchvision

        try:
            self._raw.mkdir(parents=True, exist_ok=True)
            with FileLock(self._raw / ".download.lock"), contextlib.redirect_stdout(io.StringIO()):
                getattr(torchvision.datasets, self.name)(str(self.root), download=True)
        except (OSError, RuntimeError) as error:
            missing = next((f for f in _IDX_FILES if not (self._raw / f"{f}-ubyte").exists()), _IDX_FILES[0])
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(
                f"{self._raw / missing}-ubyte: absent, and the download failed ({reason}); put the four IDX files "
                f"there, say where they lie with paths.data=DIR, or try dataset=digits, which needs no download"
            ) from None

    def read(self) -> tuple[Split, Split]:
        self.prepare_data()
        return _read_official(type(self), self._raw.resolve())


class FashionMNIST(MNIST):
    """Articles of clothing (Xiao et al. 2017): 60,000 + 10,000 images of 28x28."""

    name = "FashionMNIST"
    train_mean = 0.2860
    class_counts = {"train": (6000,) * 10, "t10k": (1000,) * 10}
    class_names = ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"]


_IDX_FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


@lru_cache(maxsize=4)  # the jobs of a sweep share the tensors
def _read_official(dataset: type[MNIST], raw: Path) -> tuple[Split, Split]:
    remedy = "remove it to have it downloaded again, or name another folder with paths.data=DIR"
    arrays = []
    for file in _IDX_FILES:
        total = dataset.train_total if file.startswith("train") else dataset.test_total
        shape = (total, *dataset.image_shape[1:]) if "images" in file else (total,)
        arrays.append(read_idx(raw / f"{file}-ubyte", shape, remedy))
    for array, file in zip(arrays, _IDX_FILES, strict=True):
        counts = tuple(np.bincount(array, minlength=10).tolist()) if "labels" in file else None
        if counts and counts != dataset.class_counts[file.split("-")[0]]:
            raise DataError(
                f"{raw / file}-ubyte: not {dataset.name}'s labels, of class 0 there are {counts[0]} "
                f"(another data set's file?); {remedy}"
            )
        if "images" in file and abs(array.mean() / 255 - dataset.train_mean) > 0.02:
            raise DataError(
                f"{raw / file}-ubyte: mean pixel {array.mean() / 255:.3f} where {dataset.name} has "
                f"{dataset.train_mean:.3f} (another data set's file?); {remedy}"
            )
    splits = []
    for images, targets in (arrays[:2], arrays[2:]):
        splits.append(Split(torch.from_numpy(images)[:, None], torch.from_numpy(targets.astype(np.int64))))
    return splits[0], splits[1]


class Digits(Images):
    """The 1,797 handwritten digits of 8x8 that ship with scikit-learn (Alpaydin & Kaynak 1998): no download.

    There is no official division: a fixed seed sets 500 aside for testing. Pixels 0..16 are scaled to 0..255.
    """

    name = "Digits"
    image_shape = (1, 8, 8)
    train_total, test_total = 1297, 500

    def __init__(self, batch_size: int = 64, val_size: int = 197, **kwargs):
        super().__init__(batch_size, val_size, **kwargs)

    def read(self) -> tuple[Split, Split]:
        from sklearn.datasets import load_digits

        bunch = load_digits()
        images = torch.from_numpy(np.rint(bunch.images * (255 / 16)).astype(np.uint8))[:, None]
        targets = torch.from_numpy(bunch.target.astype(np.int64))
        order = torch.from_numpy(np.random.default_rng(SPLIT_SEED).permutation(len(images)))
        test, train = order[: self.test_total], order[self.test_total :]
        return Split(images[train], targets[train]), Split(images[test], targets[test])
