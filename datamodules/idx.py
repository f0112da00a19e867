"""Reading the IDX files of MNIST and its relatives, with errors that name the file and the way out."""

from pathlib import Path

import numpy as np

IMAGES_MAGIC, LABELS_MAGIC = 2051, 2049


class DataError(ValueError):
    """The data set's files are missing, damaged, or not what their names say."""


def read_idx(path: Path, shape: tuple[int, ...], remedy: str) -> np.ndarray:
    """The array in an IDX file of unsigned bytes, checked against the shape it must have.

    Format (LeCun et al.): big-endian int32 magic (2051 images, 2049 labels), one int32 per dimension, then the bytes.

    Args:
        path: the uncompressed file.
        shape: what it must hold, ``(N, H, W)`` for images or ``(N,)`` for labels.
        remedy: what the user can do about a bad file; ends every message.

    Raises:
        DataError: missing, truncated, wrong magic, or another number of images than the data set has.
    """
    try:
        raw = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}; {remedy}") from None
    header = 4 * (1 + len(shape))
    if raw.size < header:
        raise DataError(f"{path}: truncated, {raw.size} bytes are not even a header; {remedy}")
    magic, *found = (int(v) for v in raw[:header].view(">i4"))
    expected = IMAGES_MAGIC if len(shape) == 3 else LABELS_MAGIC
    if magic != expected:
        kinds = {IMAGES_MAGIC: "an image file", LABELS_MAGIC: "a label file"}
        what = kinds.get(magic, "a gzip archive, unpack it" if raw[:2].tolist() == [0x1F, 0x8B] else "no IDX file")
        raise DataError(f"{path}: magic number {magic} where {expected} is due (this is {what}); {remedy}")
    if tuple(found) != shape:
        raise DataError(
            f"{path}: holds {'x'.join(map(str, found))} where {'x'.join(map(str, shape))} is due "
            f"(train and test files swapped?); {remedy}"
        )
    size = header + int(np.prod(shape))
    if raw.size != size:
        raise DataError(f"{path}: {raw.size} bytes where {size} are due (truncated or damaged); {remedy}")
    return raw[header:].reshape(shape)
