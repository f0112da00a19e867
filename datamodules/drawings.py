"""Drawings as distributions: the dark strokes of a PNG, or the points that a CSV or NPY file lists."""

import csv
import hashlib
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from datamodules.checks import require_positive
from datamodules.distributions import Mixture


class DrawingError(ValueError):
    """A file of strokes or points that can't be used; the message names it and says what is wrong."""


class Drawing(Mixture):
    """Your own: the dark strokes of a PNG, or the points of a CSV or NPY file, each blurred (as GAN Lab's drawing).

    Fitted into the unit square with a margin of a tenth, the larger side filling it, and upright.

    Args:
        path: of the file.
        sigma: of the blur, in units of that square.

    Raises:
        DrawingError: for a file that is not there or does not say what points it holds.
    """

    def __init__(self, path: str, sigma: float = 0.02):
        require_positive(**{"dataset.distribution.sigma": sigma})
        if path is None:
            raise DrawingError("dataset.distribution.path: names the drawing, a .png, .csv or .npy file")
        points = read_points(Path(path))
        low, high = points.min(0), points.max(0)
        side = max(high - low) or 1.0
        super().__init__(0.5 + 0.8 * (points - (low + high) / 2) / side, [sigma, sigma])

    @classmethod
    def identity(cls, config: dict) -> dict:
        """With the file's content in the place of its name: SHA-256, 16 hexadecimal digits."""
        return config | {"path": hashlib.sha256(Path(config["path"]).read_bytes()).hexdigest()[:16]}


def read_points(path: Path) -> np.ndarray:
    """The points ``(N, 2)`` in a file of strokes or points, in its own coordinates, y upwards.

    ``.png``: the pixels that are at least half dark, on a light or transparent ground; where none is dark, the opaque
    ones. ``.csv``: two numbers a line, a header allowed. ``.npy``: an array ``(N, 2)``.

    Raises:
        DrawingError: for a file that is not there or does not say what points it holds.
    """
    readers = {".png": _read_png, ".csv": _read_csv, ".npy": _read_npy}
    if path.suffix.lower() not in readers:
        raise DrawingError(f"{path}: a drawing is a .png, .csv or .npy file")
    if not path.is_file():
        raise DrawingError(f"{path}: no such file")
    try:
        points = readers[path.suffix.lower()](path)
    except OSError as error:
        raise DrawingError(f"{path}: can't be read ({error})") from None
    if len(points) < 2:
        raise DrawingError(f"{path}: holds {len(points)} points, too few to learn from")
    if not np.isfinite(points).all():
        raise DrawingError(f"{path}: holds numbers that are not finite")
    return points


def _read_png(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            ink = _ink(image)
    except UnidentifiedImageError:
        raise DrawingError(f"{path}: not an image") from None
    rows, columns = np.nonzero(ink >= 0.5)
    if len(rows) == 0:
        raise DrawingError(f"{path}: no stroke in it; strokes are dark on a light or transparent ground")
    return np.stack([columns, len(ink) - 1 - rows], axis=1).astype(np.float64)


def _ink(image: Image.Image) -> np.ndarray:
    """How much of a stroke each pixel is, ``(H, W)`` in [0, 1]."""
    if image.mode.startswith("I"):  # 16 bits a pixel, which a conversion would clip
        return 1 - np.asarray(image, dtype=np.float64) / 65535
    grey, opacity = (np.asarray(band, dtype=np.float64) / 255 for band in image.convert("LA").split())
    ink = opacity * (1 - grey)
    return opacity if ink.max() < 0.5 and opacity.min() < 0.5 else ink


def _read_csv(path: Path) -> np.ndarray:
    points = []
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:  # a spreadsheet may begin with a byte-order mark
            for number, row in enumerate(csv.reader(file), start=1):
                if len(row) == 2 and all(map(_is_number, row)):
                    points.append((float(row[0]), float(row[1])))
                elif row and (number > 1 or any(map(_is_number, row))):  # the first line may be a header
                    raise DrawingError(f"{path}: line {number} is not two numbers: {','.join(row)[:40]}")
    except (UnicodeDecodeError, csv.Error):
        raise DrawingError(f"{path}: not a text file") from None
    return np.array(points, dtype=np.float64).reshape(-1, 2)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _read_npy(path: Path) -> np.ndarray:
    try:
        points = np.load(path, allow_pickle=False)
    except ValueError as error:
        raise DrawingError(f"{path}: not an array of numbers ({error})") from None
    if points.ndim != 2 or points.shape[1] != 2 or points.dtype.kind not in "iuf":
        raise DrawingError(f"{path}: an array of shape {points.shape} and {points.dtype}, where (N, 2) numbers are due")
    return points.astype(np.float64)
