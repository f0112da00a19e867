"""Reading the IDX files of MNIST and its relatives, with errors that name the file and the way out."""

import math
from pathlib import Path

import numpy as np

from datamodules.files import size_of

MOST_BYTES = 2**32  # of a file: a data set is held in memory whole
MAGIC = {3: 2051, 1: 2049}  # by the number of dimensions: images (N, H, W), labels (N,)


class DataError(ValueError):
    """The data set's files are missing, damaged, or not what their names say; or its class breaks the contract."""


def read_idx(path: Path, dimensions: int, remedy: str, due: tuple[int, ...] | None = None) -> np.ndarray:
    """The array in an IDX file of unsigned bytes, of the shape that its header says.

    Format (LeCun et al.): big-endian int32 magic (2051 images, 2049 labels), one int32 per dimension, then the bytes.

    Args:
        path: the uncompressed file.
        dimensions: 3 for images ``(N, H, W)``, 1 for labels ``(N,)``.
        remedy: what the user can do about a bad file; ends every message.
        due: the shape it must have, where that is known.

    Raises:
        DataError: missing, no file, too large, truncated, wrong magic, or another shape than is due. The header is held
            to the file's size before anything else is read.
    """
    header = 4 * (1 + dimensions)
    try:
        size = size_of(path, MOST_BYTES)
        raw = np.fromfile(path, dtype=np.uint8, count=header)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}; {remedy}") from None
    if raw.size < header:
        raise DataError(f"{path}: truncated, {raw.size} bytes are not even a header; {remedy}")
    magic, *found = (int(v) for v in raw.view(">u4"))
    if magic != MAGIC[dimensions]:
        kinds = {MAGIC[3]: "an image file", MAGIC[1]: "a label file"}
        what = kinds.get(magic, "a gzip archive, unpack it" if raw[:2].tolist() == [0x1F, 0x8B] else "no IDX file")
        raise DataError(f"{path}: magic number {magic} where {MAGIC[dimensions]} is due (this is {what}); {remedy}")
    if due is not None and tuple(found) != due:
        raise DataError(
            f"{path}: holds {'x'.join(map(str, found))} where {'x'.join(map(str, due))} is due "
            f"(train and test files swapped?); {remedy}"
        )
    if size != header + math.prod(found):
        raise DataError(
            f"{path}: {size} bytes where {header + math.prod(found)} are due (truncated or damaged); {remedy}"
        )
    return np.fromfile(path, dtype=np.uint8, offset=header).reshape(found)
