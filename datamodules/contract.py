"""What a data set of images is held to before anything is trained on it."""

import torch
from torch import Tensor

from datamodules.idx import DataError

NOT_IN_A_FIT = "it only raises"


def require_images(name: str, class_names: list[str], read) -> None:
    """Holds what a data set of images reads to its contract (:meth:`datamodules.images.Images.read`).

    Args:
        name: of the data set, for the messages.
        class_names: its K classes.
        read: what ``read()`` gave.

    Raises:
        DataError: with the first thing that is wrong.
    """
    if not class_names or isinstance(class_names, str):
        raise DataError(f"{name}: has no class_names, a list of as many names as there are classes")
    if not isinstance(read, tuple | list) or [_is_pair(part) for part in read] != [True, True]:
        raise DataError(f"{name}: read() gives {_described(read)} where two (images, targets) pairs are due")
    for part, (images, targets) in zip(("training", "test"), read, strict=True):
        if not isinstance(images, Tensor) or images.dtype != torch.uint8 or images.dim() != 4 or images.shape[1] != 1:
            raise DataError(
                f"{name}: read() gives {part} images as {_described(images)} where uint8 (N, 1, H, W) are due"
            )
        if not isinstance(targets, Tensor) or targets.dtype != torch.int64 or targets.dim() != 1:
            raise DataError(f"{name}: read() gives {part} targets as {_described(targets)} where int64 (N,) are due")
        if len(images) != len(targets):
            raise DataError(f"{name}: {len(images)} {part} images and {len(targets)} targets for them")
        if images.numel() == 0:
            raise DataError(f"{name}: no {part} images, read() gives {_described(images)}")
        low, high = int(targets.min()), int(targets.max())
        if low < 0 or high >= len(class_names):
            raise DataError(
                f"{name}: {part} targets from {low} to {high} where 0 to {len(class_names) - 1} are due, for "
                f"class_names has {len(class_names)}"
            )
    sides = [tuple(images.shape[2:]) for images, _ in read]
    if sides[0] != sides[1]:
        raise DataError(f"{name}: training images are {_by(sides[0])} and test images {_by(sides[1])}")


def require_all_classes(name: str, class_names: list[str], counts) -> None:
    """Raises DataError for the first class without a training image, of ``counts`` ``(K,)``."""
    for number, count in enumerate(counts):
        if count == 0:
            raise DataError(
                f"{name}: no training image of class {number} ({class_names[number]}); class_names has "
                f"{len(class_names)}"
            )


def _is_pair(part) -> bool:
    return isinstance(part, tuple | list) and len(part) == 2


def _by(sides: tuple[int, int]) -> str:
    return "x".join(map(str, sides))


def _described(value) -> str:
    """A tensor's or an array's type and shape, or what else it is, in a few words."""
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    if not hasattr(value, "dtype") or not hasattr(value, "shape"):
        return f"a {type(value).__name__}"
    array = "" if isinstance(value, Tensor) else f"a {type(value).__module__} array of "
    return f"{array}{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
