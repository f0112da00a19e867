"""Data sets in the IDX files of MNIST: MNIST itself, Fashion-MNIST, and any other that comes in such files."""

import contextlib
import io
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from filelock import FileLock

from datamodules.files import size_of
from datamodules.idx import MOST_BYTES, DataError, read_idx
from datamodules.images import Images, Split

FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")  # and -ubyte


class Contents(NamedTuple):
    """What tells a data set's files from another's."""

    sides: tuple[int, int]  # of an image, pixels
    class_counts: dict[str, tuple[int, ...]]  # images of each class in the training and in the test files
    mean: float  # of the training pixels, in [0, 1]


# Data sets whose files are checked against what they must hold, and are torchvision's to download, by name
KNOWN = {
    "MNIST": Contents(
        (28, 28),
        {
            "train": (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
            "t10k": (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
        },
        0.1307,
    ),
    "FashionMNIST": Contents((28, 28), {"train": (6000,) * 10, "t10k": (1000,) * 10}, 0.2860),
}


class IdxImages(Images):
    """A data set in four IDX files ``ROOT/NAME/raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte``, not compressed.

    How many images there are and how large is what the files say.

    Args:
        batch_size: as :class:`datamodules.images.Images`, like ``val_size`` and all others that are not named here.
        root: the folder of the data sets, as torchvision lays it out.
        name: of the data set and of its folder; that of the class, if not given.
        class_names: its classes; those of the class, if not given.
    """

    def __init__(
        self,
        batch_size: int = 128,
        val_size: int = 5000,
        root: str = "data",
        name: str | None = None,
        class_names: list[str] | None = None,
        **kwargs,
    ):
        self.name = name or self.name
        self.class_names = class_names or self.class_names
        super().__init__(batch_size, val_size, **kwargs)
        self.root = Path(root)

    @classmethod
    def identity(cls, config: dict) -> dict:
        """Without where the files lie and what their classes are called: how many there are is in the targets."""
        return {k: v for k, v in super().identity(config).items() if k not in ("root", "class_names")}

    @property
    def _raw(self) -> Path:
        return self.root / self.name / "raw"

    def prepare_data(self) -> None:
        """Downloads what is absent, through torchvision (mirrors and checksums are its own), if it knows the data set.

        Raises:
            DataError: if it can't be had.
        """
        absent = [f"{file}-ubyte" for file in FILES if not (self._raw / f"{file}-ubyte").exists()]
        if not absent:
            return
        ways_out = "put the four IDX files there, or say where they lie with paths.data=DIR"
        if self.name not in KNOWN:
            raise DataError(f"{self._raw / absent[0]}: absent; {ways_out}")
        try:
            for file in FILES:
                if f"{file}-ubyte" not in absent:  # a download would write over what is there, and wait at a pipe
                    size_of(self._raw / f"{file}-ubyte", MOST_BYTES)
        except OSError as error:
            raise DataError(f"{self._raw / file}-ubyte: {error.strerror or error}; {ways_out}") from None
        import torchvision

        made = [folder for folder in (self._raw, self._raw.parent, self.root) if not folder.exists()]
        lock = self._raw / ".download.lock"
        try:
            self._raw.mkdir(parents=True, exist_ok=True)
            with FileLock(lock), contextlib.redirect_stdout(io.StringIO()):
                getattr(torchvision.datasets, self.name)(str(self.root), download=True)
        except (OSError, RuntimeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            lock.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # one that holds a part of the files stays
                for folder in made:
                    folder.rmdir()
            raise DataError(
                f"{self._raw / absent[0]}: absent, and the download failed ({reason}); {ways_out}, or try "
                "dataset=digits, which needs no download"
            ) from None

    def read(self) -> tuple[Split, Split]:
        self.prepare_data()
        return _read_files(self.name, self._raw.resolve())


class MNIST(IdxImages):
    """Handwritten digits (LeCun et al. 1998): 60,000 + 10,000 images of 28x28."""

    class_names = [str(digit) for digit in range(10)]


class FashionMNIST(IdxImages):
    """Articles of clothing (Xiao et al. 2017): 60,000 + 10,000 images of 28x28."""

    class_names = ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"]


@lru_cache(maxsize=4)  # the jobs of a sweep share the tensors
def _read_files(name: str, raw: Path) -> tuple[Split, Split]:
    known = KNOWN.get(name)
    remedy = "remove it to have it downloaded again, or name another folder with paths.data=DIR"
    if known is None:
        remedy = "name another folder with paths.data=DIR"
    arrays = []
    for file in FILES:
        due = None
        if known:
            total = sum(known.class_counts[file.split("-")[0]])
            due = (total, *known.sides) if "images" in file else (total,)
        arrays.append(read_idx(raw / f"{file}-ubyte", 3 if "images" in file else 1, remedy, due))
    if known:
        for array, file in zip(arrays, FILES, strict=True):
            _require_content(array, raw / f"{file}-ubyte", name, known, remedy)
    splits = []
    for images, targets in (arrays[:2], arrays[2:]):
        splits.append(Split(torch.from_numpy(images)[:, None], torch.from_numpy(targets.astype(np.int64))))
    return splits[0], splits[1]


def _require_content(array: np.ndarray, path: Path, name: str, known: Contents, remedy: str) -> None:
    """Raises DataError for labels or images of another data set."""
    if array.ndim == 1:
        counts = tuple(np.bincount(array, minlength=10).tolist())
        if counts != known.class_counts[path.name.split("-")[0]]:
            raise DataError(
                f"{path}: not {name}'s labels, of class 0 there are {counts[0]} (another data set's file?); {remedy}"
            )
    elif abs(array.mean() / 255 - known.mean) > 0.02:
        raise DataError(
            f"{path}: mean pixel {array.mean() / 255:.3f} where {name} has {known.mean:.3f} (another data set's "
            f"file?); {remedy}"
        )
