"""Pictures as matplotlib figures. Figures are made without pyplot, so nothing global is left behind."""

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from torch import Tensor

from callbacks.drawing.codes_map import PALETTE

SHEET_WIDTH = 960
MANY_COLOURS = colormaps["turbo"]  # of more classes than the palette has colours


def sheet(rows: list[Tensor], columns: int = 16, title: str = "") -> Figure:
    """Rows of images ``(N, 1, H, W)`` in [0, 1], grey, one block a tensor, at one pixel scale.

    Several blocks are interleaved: the first row of each, then the second of each.
    """
    blocks = [block.detach().cpu().clamp(0, 1).numpy()[:, 0] for block in rows]
    count = len(blocks[0])
    columns = min(columns, count)
    lines = []
    for start in range(0, count - count % columns, columns):
        for block in blocks:
            lines.append(np.concatenate(list(np.pad(block[start : start + columns], ((0, 0), (1, 1), (1, 1)))), axis=1))
    canvas = np.concatenate(lines, axis=0)
    zoom = max(1, SHEET_WIDTH // canvas.shape[1])  # screen pixels a pixel
    size = (canvas.shape[1] * zoom / 120 + 0.2, canvas.shape[0] * zoom / 120 + 0.4)
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.imshow(canvas, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=8)
    return figure


def latent_figure(points: np.ndarray, targets: np.ndarray, title: str, class_names: list[str]) -> Figure:
    """Codes in the plane ``(N, 2)``, coloured by class ``(N,)``."""
    figure = Figure(figsize=(6.4, 5.4), dpi=120, layout="constrained")
    axes = figure.subplots()
    size = 4 if len(points) > 1000 else 16
    for index, name in enumerate(class_names):
        chosen = points[targets == index]
        colour = PALETTE[index] if len(class_names) <= len(PALETTE) else MANY_COLOURS(index / (len(class_names) - 1))
        axes.scatter(chosen[:, 0], chosen[:, 1], s=size, linewidths=0, alpha=0.7, color=colour, label=name)
    axes.set_title(title, fontsize=9)
    axes.legend(markerscale=2, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    axes.set_aspect("equal", adjustable="datalim")
    return figure


def kl_figure(kl: np.ndarray) -> Figure:
    """KL per latent dimension in nats, largest first."""
    figure = Figure(figsize=(6.4, 2.8), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.bar(np.arange(len(kl)), np.sort(kl)[::-1], width=1.0)
    axes.set_xlabel("latent dimension, sorted")
    axes.set_ylabel("KL (nats)")
    axes.set_title(f"KL per dimension on the validation images, {kl.sum():.1f} nats in all", fontsize=9)
    return figure
