"""A confusion matrix as an image: a hundred jobs of a sweep draw one each, so it has to be quick (no matplotlib)."""

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from callbacks.drawing.mosaics import captioned

CELL = 40  # side of a cell: four digits fit
FONT, SMALL = 13, 12  # sizes of the letters around the matrix, and of the counts in it
MARGIN = 6
WHITE, BLUE = (247, 251, 255), (8, 48, 107)  # of the shares 0 and 1: the ends of matplotlib's "Blues"
DARK = 0.5  # the share from which on a count is written in white


def confusion_image(counts: np.ndarray, class_names: list[str], caption: str = "") -> np.ndarray:
    """A confusion matrix ``(true, predicted)``: shares of the true class as colour, counts as numbers; above it the
    caption, how many are right, and what numbers and colours are.

    Returns:
        uint8 ``(H, W, 3)``.
    """
    font, small = ImageFont.load_default(FONT), ImageFont.load_default(SMALL)
    names = [_written(name, font) for name in class_names]
    widest, line = max(name.width for name in names), names[0].height
    left, top = line + widest + 3 * MARGIN, line + 2 * MARGIN
    side = CELL * len(counts)
    upright = widest > CELL - MARGIN  # long names stand
    below = (widest if upright else line) + line + 3 * MARGIN
    image = Image.new("RGB", (left + side + MARGIN, top + side + below), "white")

    shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
    colours = np.array(WHITE) + shares[..., None] * np.subtract(BLUE, WHITE)
    cells = np.rint(colours).astype(np.uint8).repeat(CELL, 0).repeat(CELL, 1)
    image.paste(Image.fromarray(cells), (left, top))

    draw = ImageDraw.Draw(image)
    for row, column in np.argwhere(counts):
        at = (left + (column + 0.5) * CELL, top + (row + 0.5) * CELL)
        fill = "white" if shares[row, column] > DARK else "black"
        draw.text(at, str(counts[row, column]), fill, small, anchor="mm")
    for index, name in enumerate(names):
        middle = round((index + 0.5) * CELL)
        image.paste(name, (left - MARGIN - name.width, top + middle - name.height // 2))
        turned = name.rotate(90, expand=True) if upright else name
        image.paste(turned, (left + middle - turned.width // 2, top + side + MARGIN))
    centre = left + side / 2
    draw.text((centre, MARGIN), f"{counts.trace()} of {counts.sum()} images right", "black", font, anchor="ma")
    draw.text((centre, image.height - MARGIN), "predicted", "black", font, anchor="md")
    true = _written("true", font).rotate(90, expand=True)
    image.paste(true, (MARGIN, round(top + side / 2 - true.height / 2)))
    words = "numbers: images; colour: their share of the true class, from 0 % (white) to 100 % (dark)"
    strip = captioned(torch.empty(0, image.width, dtype=torch.uint8), f"{caption}\n{words}".strip()).numpy()
    sheet = Image.new("RGB", (max(image.width, strip.shape[1]), len(strip) + image.height), "white")
    sheet.paste(Image.fromarray(strip))
    sheet.paste(image, (0, len(strip)))
    return np.array(sheet)


def _written(text: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    """One line of text, black on white; every line has the same height."""
    ascent, descent = font.getmetrics()
    image = Image.new("RGB", (int(font.getlength(text)) + 1, ascent + descent), "white")
    ImageDraw.Draw(image).text((0, 0), text, "black", font)
    return image
