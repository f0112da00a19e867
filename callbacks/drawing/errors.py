"""What a classifier gets wrong, as a sheet of images: each job of a sweep draws one, so it is quick (no matplotlib)."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from callbacks.drawing.mosaics import MARGIN, as_uint8, captioned, thinned, zoom_for

CELL = 56  # largest side of an image: 28x28 at 2 screen pixels a pixel, 8x8 at 7; a short class name fits beneath
LABELLED_COLUMNS, COLUMNS = 5, 8  # labelled images in a row on the left, wrong ones on the right
MANY_CLASSES = 13  # from which on a class has one row of images, where it has two otherwise
GAP, GUTTER = 2, 24  # between images, and between the two sides
NAME, FONT, SMALL = 17, 14, 12  # letters of a class's name, of the other headings, and beneath the images
HEADING, SAID = 24, 17  # heights of a line of each
BLACK, GREY, RED, RULE = "black", (96, 96, 96), (190, 0, 30), (200, 200, 200)


class _Block(NamedTuple):
    """What the sheet says of one class."""

    labels: str
    drawn: np.ndarray  # of its labelled images, those that are shown
    wrong: np.ndarray  # all its errors, sorted
    shown: list[int]
    count: str


def errors_sheet(
    images: Tensor,
    targets: np.ndarray,
    predicted: np.ndarray,
    labelled_images: Tensor,
    labelled_targets: np.ndarray,
    class_names: Sequence[str],
    caption: str,
) -> np.ndarray:
    """For each class the images that were taken for another, each with which, beside those that were labelled.

    Of a class with many errors 16 are shown, 8 if there are 13 classes or more: sorted by what they were taken for, the
    commonest confusion first, they are evenly spaced, so that each confusion gets about its share. Of its labelled
    images the first 10, or 5, are shown.

    Args:
        images: the scored ones, uint8 or floats in [0, 1] ``(N, 1, h, w)``.
        targets: their classes ``(N,)``, numbers from 0.
        predicted: what the classifier said ``(N,)``.
        labelled_images: those it was given with their class, ``(n, 1, h, w)``.
        labelled_targets: their classes ``(n,)``.
        class_names: of the K classes.
        caption: stands above all.

    Returns:
        uint8 ``(H, W, 3)``.
    """
    rows = 2 if len(class_names) < MANY_CLASSES else 1
    height, width = images.shape[2:]
    zoom = zoom_for(height, width, CELL)
    high, wide = height * zoom + GAP, max(width * zoom, CELL) + GAP  # from an image to the next
    bold, font, small = (ImageFont.load_default(size) for size in (NAME, FONT, SMALL))
    short = [_fitting(name, small, wide) for name in class_names]

    blocks = []
    for label in range(len(class_names)):
        drawn = np.flatnonzero(labelled_targets == label)
        few = drawn[: rows * LABELLED_COLUMNS]
        labels = f"{len(few)} of {len(drawn)} labelled" if len(few) < len(drawn) else f"{len(drawn)} labelled"
        wrong = errors_of(label, targets, predicted)
        count = f"{len(wrong)} of {np.sum(targets == label)} wrong"
        blocks.append(_Block(labels, few, wrong, thinned(wrong, rows * COLUMNS), count))
    depths = [
        max(-(-len(block.drawn) // LABELLED_COLUMNS) * high, -(-len(block.shown) // COLUMNS) * (high + SAID))
        for block in blocks
    ]
    heads = [
        bold.getlength(f"{name} ") + font.getlength(block.labels)
        for name, block in zip(class_names, blocks, strict=True)
    ]
    right = MARGIN + int(max(LABELLED_COLUMNS * wide, *heads)) + GUTTER
    breadth = right + COLUMNS * wide + MARGIN

    strip = captioned(torch.empty(0, breadth, dtype=torch.uint8), f"{caption}\n{_key(targets, predicted, rows)}")
    top = len(strip) + MARGIN
    size = (max(breadth, strip.shape[1]), top + sum(depth + HEADING + 3 * MARGIN for depth in depths))
    sheet = Image.new("RGB", size, "white")
    sheet.paste(Image.fromarray(strip.numpy()))
    draw = ImageDraw.Draw(sheet)

    for name, block, depth in zip(class_names, blocks, depths, strict=True):
        draw.line((0, top, sheet.width, top), RULE)
        line = top + MARGIN + HEADING  # where the images begin
        behind = right + font.getlength(f"{block.count}  ")
        confusions = _confusions(predicted[block.wrong], class_names, font, breadth - behind)
        for x, text, colour, size in (
            (MARGIN, name, BLACK, bold),
            (MARGIN + bold.getlength(f"{name} "), block.labels, GREY, font),
            (right, block.count, RED if len(block.wrong) else BLACK, font),
            (behind, confusions, GREY, font),
        ):
            draw.text((x, line - 2 * MARGIN), text, colour, size, anchor="ls")
        grid = _grid(MARGIN, line, LABELLED_COLUMNS, wide, high)
        for image, corner in zip(_zoomed(labelled_images[block.drawn], zoom), grid, strict=False):
            sheet.paste(image, corner)
        grid = _grid(right, line, COLUMNS, wide, high + SAID)
        for image, said, (x, y) in zip(_zoomed(images[block.shown], zoom), predicted[block.shown], grid, strict=False):
            sheet.paste(image, (x + (wide - GAP - image.width) // 2, y))
            draw.text((x + (wide - GAP) // 2, y + high - GAP), short[said], RED, small, anchor="ma")
        top += depth + HEADING + 3 * MARGIN
    return np.array(sheet)


def errors_of(label: int, targets: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Indices of the images of a class that were taken for another: those of the commonest confusion first."""
    wrong = np.flatnonzero((targets == label) & (predicted != label))
    said = predicted[wrong]
    return wrong[np.lexsort((said, -np.bincount(said)[said]))] if len(wrong) else wrong


def _key(targets: np.ndarray, predicted: np.ndarray, rows: int) -> str:
    """How to read the sheet."""
    wrong = int(np.sum(targets != predicted))
    return (
        f"{wrong} of {len(targets)} images wrong. Left: images that were labelled. Right: images that were taken for "
        f"the class beneath them; at most {rows * COLUMNS} a class, each confusion by its share."
    )


def _confusions(said: np.ndarray, class_names: Sequence[str], font: ImageFont.FreeTypeFont, room: float) -> str:
    """``as Shirt (180), Coat (66), others (3)``: what a class was taken for, as far as there is room."""
    counts = np.bincount(said, minlength=len(class_names))
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    parts = [f"{class_names[label]} ({counts[label]})" for label in order]
    for kept in range(len(parts), -1, -1):
        rest = counts[order[kept:]].sum()
        text = ", ".join(parts[:kept] + [f"others ({rest})"] * bool(rest))
        if font.getlength(f"as {text}") <= room:
            return f"as {text}" if text else ""
    return ""


def _grid(left: int, top: int, columns: int, wide: int, high: int) -> Iterator[tuple[int, int]]:
    """Upper left corners, row by row, without end."""
    return ((left + place % columns * wide, top + place // columns * high) for place in itertools.count())


def _fitting(text: str, font: ImageFont.FreeTypeFont, room: float) -> str:
    """The text, or the beginning of it that there is room for."""
    if font.getlength(text) <= room:
        return text
    return next(cut for end in range(len(text) - 1, -1, -1) if font.getlength(cut := text[:end] + "…") <= room)


def _zoomed(images: Tensor, zoom: int) -> list[Image.Image]:
    pixels = as_uint8(images)[:, 0].repeat_interleave(zoom, 1).repeat_interleave(zoom, 2)
    return [Image.fromarray(image) for image in pixels.numpy()]
