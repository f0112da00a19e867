"""The charts of a sweep: accuracy over the number of labels, losses, and a sheet of jobs' panels."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from callbacks.drawing import loss_charts
from callbacks.drawing.colours import DECISIONS, GENERATED, REAL
from latent_lab.accuracy_chart import accuracy_figure as accuracy_figure
from latent_lab.escaping import in_chart
from latent_lab.results import short

if TYPE_CHECKING:  # matplotlib is imported where it draws: a table needs none
    import numpy as np
    from matplotlib.figure import Figure

PANEL, LEGEND, DPI = 2.9, 8.4, 110  # width of a panel, at least of their legend, both in inches; dots in one
NEARLY = 40  # of 255, between two shades of one colour


def losses_figure(histories: dict[str, dict]) -> "Figure | None":
    """:func:`callbacks.drawing.loss_charts.losses_figure` of histories from files, which have null where a number was
    not finite."""
    return loss_charts.losses_figure({title: _with_nan(history) for title, history in histories.items()})


def _with_nan(content):
    if isinstance(content, dict):
        return {key: _with_nan(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_with_nan(value) for value in content]
    return math.nan if content is None else content


def panels_figure(panels: list[tuple[dict, Path]]) -> "Figure | None":
    """The panels of a sweep's jobs as one sheet; None for fewer than two.

    What varies first makes the rows, all else the columns; where one thing varies, the sheet is about square.

    Args:
        panels: of each job, its settings and its picture.
    """
    if len(panels) < 2:
        return None
    import numpy as np
    from matplotlib.figure import Figure
    from PIL import Image

    keys = dict.fromkeys(key for settings, _ in panels for key in settings)
    varying = [key for key in keys if len({str(settings.get(key)) for settings, _ in panels}) > 1]
    down, across = (varying[:1], varying[1:]) if len(varying) > 1 else ([], varying)
    row_names = list(dict.fromkeys(_named(settings, down) for settings, _ in panels))
    column_names = list(dict.fromkeys(_named(settings, across) for settings, _ in panels))
    width = len(column_names) if down else math.ceil(math.sqrt(len(panels)))
    height = len(row_names) if down else math.ceil(len(panels) / width)
    figure = Figure(
        figsize=(max(PANEL * width + 0.4, LEGEND), 1.16 * PANEL * height + 0.6), dpi=DPI, layout="constrained"
    )
    grid = figure.subplots(height, width, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    generated = False
    for number, (settings, path) in enumerate(panels):
        row, column = row_names.index(_named(settings, down)), column_names.index(_named(settings, across))
        axes = grid[row, column] if down else grid.flat[number]
        with Image.open(path) as panel:
            pixels = np.asarray(panel.convert("RGB"))
        axes.imshow(pixels)
        generated |= _has(pixels, GENERATED)
        if not down:
            axes.set_title(_named(settings, across), fontsize=9)
    if down:
        for axes, name in zip(grid[0], column_names, strict=True):
            axes.set_title(name, fontsize=9)
    for axes, name in zip(grid[:, 0], row_names, strict=False):
        axes.text(-0.04, 0.5, name, transform=axes.transAxes, fontsize=9, rotation=90, ha="right", va="center")
    figure.legend(handles=_legend_of_panels(generated), loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def _has(pixels: "np.ndarray", colour: str) -> bool:
    """Whether a picture ``(H, W, 3)`` shows a colour, or nearly: marks are a little transparent."""
    wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return bool((abs(pixels.astype(int) - wanted).max(2) < NEARLY).any())


def _legend_of_panels(generated: bool) -> list:
    """What the points and the colours of :func:`callbacks.drawing.plane_pictures.panel_figure` mean; generated points
    only where panels show them."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    points = {"real points": ("o", REAL)}
    if generated:
        points["generated points, before the last update"] = ("D", GENERATED)
    ends = {"decided: generated (critic: low)": DECISIONS[0], "decided: real (critic: high)": DECISIONS[-1]}
    return [
        *(Line2D([], [], ls="", marker=mark, color=of, label=label) for label, (mark, of) in points.items()),
        *(Patch(facecolor=of, edgecolor="0.6", label=label) for label, of in ends.items()),
    ]


def _named(settings: dict, keys: list[str]) -> str:
    """The values of some settings, a line each: ``lr_critic 0.001``."""
    return "\n".join(in_chart(f"{short(key)} {settings.get(key)}") for key in keys)
