"""Where pictures go: into PNG files, there whole or not at all, and into every logger that shows pictures."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pytorch_lightning.loggers import Logger
from torch import Tensor

Picture = Any  # a figure of matplotlib's, or an array or a tensor, uint8 (H, W) or (H, W, 3)


def pixels(picture: Picture) -> np.ndarray:
    """A picture as uint8 ``(H, W)`` or ``(H, W, 3)``. Drawing a figure takes most of what a picture costs: call this
    once, and hand on what it returns."""
    if isinstance(picture, np.ndarray):
        return picture
    if isinstance(picture, Tensor):
        return picture.cpu().numpy()
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # which a picture that is no figure does without

    canvas = FigureCanvasAgg(picture)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def show(loggers: Iterable[Logger], pictures: dict[str, Picture], step: int | None = None) -> None:
    """Shows pictures under their names in each logger that can (TensorBoard, Weights & Biases); others get none."""
    showing = [logger for logger in loggers if hasattr(logger, "log_image") or hasattr(logger.experiment, "add_image")]
    for name, picture in pictures.items() if showing else ():
        image = pixels(picture)
        for logger in showing:
            if hasattr(logger, "log_image"):
                logger.log_image(name, [image], step)
            else:
                logger.experiment.add_image(name, image, step, dataformats="HW" if image.ndim == 2 else "HWC")


def show_histogram(loggers: Iterable[Logger], name: str, values: Tensor, step: int) -> None:
    """Shows how values ``(N,)`` are distributed in each logger that can (TensorBoard)."""
    for logger in loggers:
        if hasattr(logger.experiment, "add_histogram"):
            logger.experiment.add_histogram(name, values, step)


def save_png(picture: Picture, path: Path) -> None:
    """Writes a picture losslessly; the same pixels give the same bytes."""
    image = Image.fromarray(pixels(picture))
    write_whole(path, lambda temporary: image.save(temporary, format="PNG"))


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Calls ``write`` with a temporary path beside ``path`` and moves it into place: a kill leaves the old file, or the
    new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
