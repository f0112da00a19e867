"""What is asked of a file that others made, before it is read: what it says of itself is a claim, its size is not."""

import stat
from pathlib import Path

NOT_IN_A_FIT = "it only raises"


def size_of(path: Path, most: int) -> int:
    """The bytes of a file on disk, which is opened by nobody before that: a pipe or a device would be waited for.

    Args:
        path: of the file, or a link to it.
        most: bytes that it may have.

    Raises:
        OSError: it is not there, it is no regular file, or it is larger.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError("a folder, not a file" if stat.S_ISDIR(found.st_mode) else "a pipe or a device, not a file")
    if found.st_size > most:
        raise OSError(f"{found.st_size:,} bytes, where at most {most:,} are read")
    return found.st_size
