"""Accuracy over the number of labels: our heads as lines, published figures as points. The axis is logarithmic in the
error, so that 98.2 and 98.5 are told apart where others are at 75."""

import math
from typing import TYPE_CHECKING

from callbacks.drawing.colours import MARKERS, SERIES
from latent_lab.escaping import in_chart
from latent_lab.head_table import Block, Head
from latent_lab.references import Reference
from latent_lab.rows import Spread

if TYPE_CHECKING:  # matplotlib is imported where it draws: a table needs none
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (*SERIES, *SERIES[: len(MARKERS) - len(SERIES)])  # of the heads, each with a marker of its own
STYLES = ("-", "--", ":", "-.")  # of the models
FILLS = {"supervised": "full", "semi-supervised": "none", "transductive": "left"}  # of the markers
OTHER_FILL, OTHER_MARKER = "bottom", "."
PUBLISHED = "x"
TICKS = (0, 20, 40, 50, 60, 70, 75, 80, 85, 90, 92, 94, 95, 96, 97, 98, 98.5, 99, 99.5, 99.8, 99.9)
FROM = 50  # per cent, where the axis begins at the latest: from 88 % on, a small gap would fill it
LEAST_ERROR = 0.01  # per cent: one image of ten thousand, the top of the axis
DODGE, MOST_DODGE = 0.012, 0.12  # decades between two lines' error bars, and from the first to the last
LABEL_GAP = 0.03  # of the axes' height, between the names of published figures


def accuracy_figure(tables: list[Block]) -> "Figure | None":
    """Accuracy over the number of labels, a panel a data set; None without figures.

    A colour and a marker a head, filled by what it saw, a line style a model; the axis begins at 50 %, or below if a
    figure lies there. Bars are the larger of the deviations over
    draws and seeds, none where one repetition shows none. Published figures are named where the fewest labels are;
    heads beyond the colours are grey.
    """
    tables = [block.numbered for block in tables if block.full and block.numbered.counts]
    if not tables:
        return None
    from matplotlib.figure import Figure

    heads = list(dict.fromkeys(head for block in tables for head in block.rows))
    marks = dict(zip(dict.fromkeys(head.name for head in heads), zip(COLOURS, MARKERS, strict=True), strict=False))
    models = dict.fromkeys(head.model for head in heads)
    styles = {model: STYLES[number % len(STYLES)] for number, model in enumerate(models)}
    figure = Figure(figsize=(5.4 * len(tables) + 2.2, 6), dpi=130, layout="constrained")
    for axes, block in zip(figure.subplots(1, len(tables), squeeze=False)[0], tables, strict=True):
        quoted = [r for r in block.published if block.counts[0] in r.figures]
        _scale(axes, block, quoted)
        _draw_heads(axes, block, marks, styles)
        _draw_published(axes, block, quoted)
        axes.set_title(in_chart(block.title))
    handles = _legend(heads, marks, styles, any(b.published for b in tables)) + _legend_of_bars(tables)
    figure.legend(handles=handles, loc="outside right center", fontsize=9, frameon=False)
    return figure


def _scale(axes: "Axes", block: Block, quoted: list[Reference]) -> None:
    """Both axes, wide enough for all points and their bars, with room for names at the left."""
    import numpy as np

    axes.set_yscale("function", functions=(_height, lambda height: 100 - 10 ** -np.asarray(height, float)))
    spreads = [cell.spread for row in block.rows.values() for cell in row.values() if not math.isnan(cell.spread.mean)]
    bars = [(100 * spread.mean, 100 * _deviation(spread)) for spread in spreads]
    ends = [mean + sign * (0 if math.isnan(bar) else bar) for mean, bar in bars for sign in (-1, 1)]
    points = ends + [float(mean) for r in quoted for n, (mean, _) in r.figures.items() if n in block.counts]
    low, high = (float(_height(value)) for value in (min([*points, FROM]), max([*points, FROM])))
    margin = 0.03 * (high - low) + 0.02
    bottom, top = 100 - 10 ** (margin - low), 100 - 10 ** (-margin - high)
    axes.set_ylim(max(bottom, 0), min(top, 100 - LEAST_ERROR))
    ticks = [tick for tick in TICKS if axes.get_ylim()[0] <= tick <= axes.get_ylim()[1]]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xscale("log")
    first, last = block.counts[0], block.counts[-1]
    room = (last / first) ** 0.5 if last > first else 2.5
    axes.set_xlim(first / (room if quoted else 1.3), last * 1.3)
    axes.set_xticks(block.counts, [str(count) for count in block.counts])
    axes.minorticks_off()
    axes.set_xlabel("labelled images")
    axes.set_ylabel("accuracy (%), logarithmic in the error")
    axes.grid(alpha=0.3)


def _height(accuracy):
    """Where an accuracy in per cent stands on the axis: minus the decades of the error."""
    import numpy as np

    return -np.log10(np.maximum(100 - np.asarray(accuracy, float), LEAST_ERROR))


def _draw_heads(axes: "Axes", block: Block, marks: dict[str, tuple[str, str]], styles: dict[str, str]) -> None:
    step = min(DODGE, MOST_DODGE / len(block.rows)) if len(block.counts) > 1 else 0.0
    for number, (head, row) in enumerate(block.rows.items()):
        spreads = {count: cell.spread for count, cell in sorted(row.items()) if not math.isnan(cell.spread.mean)}
        shift = 10 ** (step * (number - (len(block.rows) - 1) / 2))
        colour, marker = marks.get(head.name, ("0.7", OTHER_MARKER))
        bars = [100 * _deviation(spread) for spread in spreads.values()]
        axes.errorbar(
            [count * shift for count in spreads],
            [100 * spread.mean for spread in spreads.values()],
            yerr=bars,
            color=colour,
            linestyle=styles[head.model],
            marker=marker,
            fillstyle=FILLS.get(head.supervision, OTHER_FILL),
            label=in_chart(f"{head.name} on {head.model}"),
            markersize=6,
            linewidth=1.1,
            elinewidth=0.7,
            capsize=1.5,  # which a deviation of zero has too
            alpha=0.9,
        )


def _deviation(spread: Spread) -> float:
    """The larger of a figure's deviations; NaN, of which no bar is drawn, from one repetition."""
    return max((std for std in (spread.draws, spread.seeds) if not math.isnan(std)), default=math.nan)


def _draw_published(axes: "Axes", block: Block, quoted: list[Reference]) -> None:
    """Grey points, joined thinly; their names in a column at the left, none over another."""
    places = {}
    for reference in quoted:
        figures = sorted((n, float(figure[0])) for n, figure in reference.figures.items() if n in block.counts)
        axes.plot(*zip(*figures, strict=True), PUBLISHED, ls="-", lw=0.4, color="0.55", markersize=4, zorder=1)
        at = axes.transAxes.inverted().transform(axes.transData.transform(figures[0]))
        places[reference.name] = (float(at[0]), float(at[1]))
    ranked = sorted(places, key=lambda name: places[name][1])
    heights = spread_out([places[name][1] for name in ranked], LABEL_GAP)
    for name, height in zip(ranked, heights, strict=True):
        x, y = places[name]
        axes.text(0.01, height, name, transform=axes.transAxes, fontsize=6, color="0.35", va="center")
        axes.plot([0.26, x - 0.01], [height, y], transform=axes.transAxes, color="0.75", lw=0.4, zorder=0)


def spread_out(places: list[float], gap: float) -> list[float]:
    """Ascending places in [0, 1], moved as little as the gap between them and the ends ask for."""
    moved = list(places)
    for index in range(len(moved)):
        moved[index] = max(moved[index], gap / 2 if index == 0 else moved[index - 1] + gap)
    for index in reversed(range(len(moved))):
        moved[index] = min(moved[index], 1 - gap / 2 if index == len(moved) - 1 else moved[index + 1] - gap)
    return moved


def _legend(heads: list[Head], marks: dict[str, tuple[str, str]], styles: dict[str, str], quoted: bool) -> list:
    """What colours, markers, their fillings and line styles mean."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, lw=2, marker=marker, markersize=6, label=in_chart(name))
        for name, (colour, marker) in marks.items()
    ]
    if more := len({head.name for head in heads} - marks.keys()):
        handles.append(Line2D([], [], color="0.7", lw=2, label=f"{more} more"))
    for model, style in styles.items():
        handles.append(Line2D([], [], color="0.2", ls=style, label=in_chart(f"codes of {model}")))
    for saw in dict.fromkeys(head.supervision for head in heads):
        style = {"marker": "o", "markersize": 6, "fillstyle": FILLS.get(saw, OTHER_FILL)}
        handles.append(Line2D([], [], color="0.2", ls="", label=in_chart(saw), **style))
    if quoted:
        handles.append(Line2D([], [], color="0.55", ls="", marker=PUBLISHED, markersize=4, label="published"))
    return handles


def _legend_of_bars(tables: list[Block]) -> list:
    """What a bar is, and that a point without one is not certain."""
    from matplotlib.lines import Line2D

    cells = [cell for block in tables for row in block.rows.values() for cell in row.values() if cell.values]
    known = {not math.isnan(_deviation(cell.spread)) for cell in cells}
    words = {True: ("|", "bar: standard deviation"), False: ("", "ours without a bar: one repetition")}
    said = [words[has] for has in (True, False) if has in known]
    return [Line2D([], [], color="0.2", ls="", marker=marker, label=label) for marker, label in said]
