"""Sheets of small grey images, exact to the pixel, and animations of them.

A canvas here is a uint8 tensor ``(H, W)``; lengths are screen pixels. No matplotlib, which resamples.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

CELL = 84  # largest side of a zoomed image: 28x28 at 3 screen pixels a pixel, 8x8 at 10
PAPER, INK, LINE = 255, 0, 96  # greys of the background, of letters, and between the images of a mosaic
FONT = 14  # size of letters
MARGIN = 4  # around letters
FRAMES = 100  # of an animation, at most
GREYS = 32  # of an animation: the eye sees no difference, and the file is two thirds as large


def zoom_for(height: int, width: int, cell: int = CELL) -> int:
    """Screen pixels a pixel, such that an image's larger side fills at most ``cell`` of them; at least 1."""
    return max(1, cell // max(height, width))


def as_uint8(images: Tensor) -> Tensor:
    """Greys in [0, 1] of any shape, on the CPU as uint8; what is no number (a diverged generator) is black."""
    if images.dtype == torch.uint8:
        return images.detach().cpu()
    greys = images.detach().cpu().float().nan_to_num(nan=0.0).clamp(0, 1)
    return (greys * 255).round().to(torch.uint8)


def mosaic(images: Tensor, columns: int, zoom: int, gap: int = 1) -> Tensor:
    """Images in rows from the top left, each pixel a square.

    Args:
        images: ``(N, 1, h, w)``, floats in [0, 1] or uint8.
        columns: images a row.
        zoom: the side of a pixel's square.
        gap: width of the lines between the images.

    Returns:
        a canvas ``(rows (h zoom + gap) - gap, columns (w zoom + gap) - gap)``; lines and places without an image are
        ``LINE``.
    """
    zoomed = as_uint8(images)[:, 0].repeat_interleave(zoom, 1).repeat_interleave(zoom, 2)
    count, height, width = zoomed.shape
    rows = -(-count // columns)
    canvas = torch.full((rows, height + gap, columns, width + gap), LINE, dtype=torch.uint8)
    for index, image in enumerate(zoomed):
        canvas[index // columns, :height, index % columns, :width] = image
    canvas = canvas.reshape(rows * (height + gap), columns * (width + gap))
    return canvas[: len(canvas) - gap, : canvas.shape[1] - gap].contiguous()


def cut(canvas: Tensor, height: int, width: int) -> Tensor:
    """The images ``(N, 1, height, width)`` of a mosaic that has neither zoom nor gaps.

    Raises:
        ValueError: if the canvas is not made of whole images of that size.
    """
    if canvas.shape[0] % height or canvas.shape[1] % width:
        raise ValueError(f"a mosaic of {list(canvas.shape)} pixels: expects whole images of {height}x{width}")
    rows, columns = canvas.shape[0] // height, canvas.shape[1] // width
    return canvas.reshape(rows, height, columns, width).transpose(1, 2).reshape(-1, 1, height, width)


def beside(*canvases: Tensor, gap: int = 16) -> Tensor:
    """Canvases from left to right with ``gap`` of paper between them; lower ones get paper below."""
    height = max(len(canvas) for canvas in canvases)
    columns = [_paper(height, gap)] * (2 * len(canvases) - 1)
    columns[::2] = [_on_paper(canvas, height, canvas.shape[1]) for canvas in canvases]
    return torch.cat(columns, 1)


def stacked(*canvases: Tensor, gap: int = 16) -> Tensor:
    """Canvases from top to bottom with ``gap`` of paper between them; narrower ones get paper on the right."""
    return beside(*(canvas.T for canvas in canvases), gap=gap).T.contiguous()


def captioned(canvas: Tensor, text: str) -> Tensor:
    """A strip with the text above the canvas; lines break at spaces where they would be wider than the canvas."""
    font = ImageFont.load_default(FONT)
    lines: list[str] = []
    for paragraph in text.split("\n"):
        lines.append("")
        for word in paragraph.split():
            longer = f"{lines[-1]} {word}".strip()
            if lines[-1] and font.getlength(longer) > canvas.shape[1] - 2 * MARGIN:
                lines.append(word)
            else:
                lines[-1] = longer
    return stacked(*map(_written, lines), canvas, gap=0)


def row_labels(labels: Sequence[str], pitch: int) -> Tensor:
    """A column of texts, one every ``pitch`` pixels, each in the middle of its row: ``(len(labels) pitch, W)``."""
    texts = [_written(label) for label in labels]
    column = _paper(len(texts) * pitch, max(text.shape[1] for text in texts))
    for row, text in enumerate(texts):
        text = text[:pitch]
        top = row * pitch + (pitch - len(text)) // 2
        column[top : top + len(text), column.shape[1] - text.shape[1] :] = text
    return column


def _written(text: str) -> Tensor:
    """One line of text, black on paper; every line has the same height."""
    font = ImageFont.load_default(FONT)
    ascent, descent = font.getmetrics()
    size = (int(font.getlength(text)) + 1 + 2 * MARGIN, ascent + descent + MARGIN)
    image = Image.new("L", size, PAPER)
    ImageDraw.Draw(image).text((MARGIN, MARGIN // 2), text, INK, font)
    return torch.from_numpy(np.array(image))


def _paper(height: int, width: int) -> Tensor:
    return torch.full((height, width), PAPER, dtype=torch.uint8)


def _on_paper(canvas: Tensor, height: int, width: int) -> Tensor:
    paper = _paper(height, width)
    paper[: canvas.shape[0], : canvas.shape[1]] = canvas
    return paper


def thinned(items: Sequence, most: int) -> list:
    """At most ``most`` of the items (2 or more), evenly spaced, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[index * (len(items) - 1) // (most - 1)] for index in range(most)]


def load_png(path: Path) -> Tensor:
    """The canvas in a grey PNG.

    Raises:
        ValueError: if the file is damaged.
    """
    try:
        with Image.open(path) as image:
            return torch.from_numpy(np.array(image.convert("L")))
    except (OSError, SyntaxError, ValueError) as error:  # by the kind of damage
        raise ValueError(f"{path}: damaged or unreadable ({error}); remove it, and all is drawn without it") from None


def save_animation(
    epochs: Sequence[int], frame: Callable[[int], Tensor], path: Path, milliseconds: int = 150, hold: int = 2500
) -> None:
    """Writes an endless GIF of one frame an epoch under its caption.

    Args:
        epochs: in order; if there are more than ``FRAMES``, that many of them, evenly spaced.
        frame: the canvas of an epoch, of one size for all; called for the epochs that are shown.
        path: of the file.
        milliseconds: that a frame lasts.
        hold: that the last one lasts, in milliseconds.
    """
    shown = thinned(epochs, FRAMES)
    palette = np.rint(np.linspace(0, 255, GREYS)).astype(np.uint8).repeat(3).tobytes()

    def indexed(epoch: int) -> Image.Image:
        canvas = captioned(frame(epoch), f"epoch {epoch}").numpy()
        image = Image.fromarray(np.rint(canvas * ((GREYS - 1) / 255)).astype(np.uint8))
        image.putpalette(palette)
        return image

    save_gif([indexed(epoch) for epoch in shown], path, milliseconds, hold, "epochs " + " ".join(map(str, shown)))


def save_gif(frames: list[Image.Image], path: Path, milliseconds: int, hold: int, comment: str = "") -> None:
    """Writes an endless GIF of frames that last so long each, the last one ``hold`` milliseconds, and a comment."""
    durations = [milliseconds] * (len(frames) - 1) + [hold]
    how = {"duration": durations, "loop": 0, "comment": comment.encode()}
    frames[0].save(path, format="GIF", save_all=True, append_images=frames[1:], **how)
