"""Drawings as distributions: the strokes of a PNG, or the points that a CSV or NPY file lists."""

import csv
import hashlib
import io
import logging
import math
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from datamodules.checks import require_positive
from datamodules.distributions import Mixture
from datamodules.files import size_of
from datamodules.strokes import strokes

MOST_BYTES = 2**26  # of a file: 4 million points as an array, 1.5 million as text
MOST_PIXELS = 2**23  # a camera's 8 megapixels; some 300 MB while they are looked at
MOST_ROWS = 2**21  # of a text, empty ones too: seconds, and some 300 MB while they are read
MOST_POINTS = 2**14  # blurred by .02, more can't be told apart
MOST_SAID = 80  # letters of what a header says
THINNING_SEED = 0  # which points are kept of more: the same ones in every run
log = logging.getLogger("train")


class DrawingError(ValueError):
    """A file of strokes or points that can't be used; the message names it and says what is wrong."""


class Drawing(Mixture):
    """Your own: the strokes of a PNG, or the points of a CSV or NPY file, each blurred (as GAN Lab's drawing).

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
        points = thinned(read_points(Path(path)), path)
        low, high = points.min(0), points.max(0)
        with np.errstate(over="ignore"):
            side = max(high - low) or 1.0
        if not math.isfinite(side):
            raise DrawingError(f"{path}: its points are farther apart than numbers reach")
        super().__init__(0.5 + 0.8 * (points - (low + high) / 2) / side, [sigma, sigma])

    @classmethod
    def identity(cls, config: dict) -> dict:
        """With the file's content in the place of its name: SHA-256, 16 hexadecimal digits."""
        return config | {"path": hashlib.sha256(_content(Path(config["path"]))).hexdigest()[:16]}


def thinned(points: np.ndarray, path: str) -> np.ndarray:
    """As many of the points ``(N, 2)`` as are learnt from, in their order, and a warning where these are not all."""
    if len(points) <= MOST_POINTS:
        return points
    log.warning(f"{path}: of its {len(points):,} points, {MOST_POINTS:,} drawn at random are learnt from")
    kept = np.random.default_rng(THINNING_SEED).choice(len(points), MOST_POINTS, replace=False)
    return points[np.sort(kept)]


def read_points(path: Path) -> np.ndarray:
    """The points ``(N, 2)`` in a file of strokes or points, in its own coordinates, y upwards.

    ``.png``: the pixels that stand out from the ground, whatever colour either has (:func:`strokes`).
    ``.csv``: two numbers a line, a header allowed. ``.npy``: an array ``(N, 2)``.

    What the file says of its size is held against the file, and against what is reasonable, before it is unpacked.

    Raises:
        DrawingError: for a file that is not there or does not say what points it holds.
    """
    readers = {".png": _read_png, ".csv": _read_csv, ".npy": _read_npy}
    if path.suffix.lower() not in readers:
        raise DrawingError(f"{path}: a drawing is a .png, .csv or .npy file")
    points = readers[path.suffix.lower()](path, io.BytesIO(_content(path)))
    if len(points) < 2:
        raise DrawingError(f"{path}: holds {len(points)} points, too few to learn from")
    if not np.isfinite(points).all():
        raise DrawingError(f"{path}: holds numbers that are not finite")
    return points


def _content(path: Path) -> bytes:
    try:
        size = size_of(path, MOST_BYTES)
        with open(path, "rb") as file:
            return file.read(size)
    except FileNotFoundError:
        raise DrawingError(f"{path}: no such file") from None
    except OSError as error:
        raise DrawingError(f"{path}: can't be read ({error.strerror or error})") from None


def _read_png(path: Path, content: io.BytesIO) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # of more pixels than we take
            image = Image.open(content, formats=["PNG"])  # other readers run more code: EPS runs Ghostscript
        width, height = image.size
        if width * height <= MOST_PIXELS:
            bands, opacity = _bands(image)
    except Image.DecompressionBombError:
        raise DrawingError(f"{path}: more than {MOST_PIXELS:,} pixels; scale it down") from None
    except Exception as error:  # a dozen kinds of a damaged file
        said = "" if isinstance(error, Image.UnidentifiedImageError) else f" that can be read ({error})"
        raise DrawingError(f"{path}: not a PNG image{said}") from None
    if width * height > MOST_PIXELS:
        size = f"{width:,} x {height:,} pixels"
        raise DrawingError(f"{path}: {size}, where at most {MOST_PIXELS:,} are read; scale it down")
    try:
        found, fainter = strokes(bands, opacity)
    except ValueError as error:
        raise DrawingError(f"{path}: {error}") from None
    if fainter:
        log.warning(f"{path}: its fainter marks are left out; to learn them too, draw them as strong as the others")
    rows, columns = np.nonzero(found)
    return np.stack([columns, len(found) - 1 - rows], axis=1).astype(np.float64)


def _bands(image: Image.Image) -> tuple[list[np.ndarray], np.ndarray]:
    """The colours of an image, one array ``(H, W)`` in [0, 1] or three, and how opaque it is, likewise."""
    if image.mode.startswith("I"):  # 16 bits a pixel, which a conversion would clip
        grey = np.asarray(image, dtype=np.float32) / 65535
        return [grey], np.ones_like(grey)
    *bands, opacity = (np.asarray(band, dtype=np.float32) / 255 for band in image.convert("RGBA").split())
    return bands, opacity


def _read_csv(path: Path, content: io.BytesIO) -> np.ndarray:
    points = []
    try:
        # a spreadsheet may begin with a byte-order mark
        lines = csv.reader(io.TextIOWrapper(content, encoding="utf-8-sig", newline=""))
        for number, row in enumerate(lines, start=1):
            if number > MOST_ROWS:
                raise DrawingError(f"{path}: more than {MOST_ROWS:,} lines; leave some out")
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


def _read_npy(path: Path, content: io.BytesIO) -> np.ndarray:
    try:
        version = np.lib.format.read_magic(content)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, by_columns, dtype = read_header[version](content)
    except Exception as error:  # np.load reads archives and pickles too, and believes what a header says
        raise DrawingError(f"{path}: not an array of numbers ({_in_short(error)})") from None
    if len(shape) != 2 or shape[1] != 2 or bool in map(type, shape) or dtype.kind not in "iuf":
        said = f"an array of shape {_in_short(shape)} and {_in_short(dtype)}"
        raise DrawingError(f"{path}: {said}, where (N, 2) numbers are due")
    held, due = content.read(), shape[0] * 2 * dtype.itemsize
    if len(held) != due:
        raise DrawingError(f"{path}: {len(held)} bytes of numbers where {_in_short(due)} are due")
    with np.errstate(over="ignore", invalid="ignore"):
        return np.frombuffer(held, dtype).reshape(shape, order="F" if by_columns else "C").astype(np.float64)


def _in_short(value: object) -> str:
    """What a header says may be of any length, and a number of more digits than Python writes."""
    try:
        said = " ".join(str(value).split())
    except ValueError:
        return "a number without end"
    return said if len(said) <= MOST_SAID else f"{said[:MOST_SAID]}..."
