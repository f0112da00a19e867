"""Adversarial losses as charts that do not mislead: over generator updates, with the lines that mean something,
held-out images beside training images, and no line where there is no meaning."""

from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from callbacks.drawing.colours import BLACK, BLUE, GREEN, GREY, NAVY, PURPLE, RUST, SKY, VERMILLION, role

if TYPE_CHECKING:  # matplotlib is imported where it draws
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EPOCH_STYLES = {"train": ("o-", "training set"), "val": ("s--", "held-out")}
PAIRS = {"real": (BLUE, NAVY), "generated": (VERMILLION, RUST)}  # of a term: of training, held-out
OTHER_PAIRS = ((GREEN, PURPLE), (BLACK, GREY))  # of terms that are neither's
GENERATORS = {"averaged": "averaged generator", "raw": "generator"}
LINES = (":", (0, (1, 4)), "-.")  # styles of what a loss is held against
COLUMNS = 2  # panels a row: the sheet is WIDTH inches of 100 pixels wide, as a page shows it
WIDTH, HEIGHT, TITLE = 9.0, 3.3, 0.35  # inches; of the sheet, of a row, of a fit's name
MOST_FITS = 12  # on a sheet; each job's folder has its own
LOG_FROM = 20  # times the least value, in positive values: the axis is logarithmic
CLIPPED = 0.01  # share of values at either end that don't set an axis: the first updates' extremes


def plain_history(state: dict) -> dict:
    """A :class:`callbacks.observers.loss_history.LossHistory`'s state as lists, for JSON."""
    return state | {"rows": state["rows"].tolist(), "norm_counts": state["norm_counts"].tolist()}


def fcd_chart(kept: dict) -> dict:
    """FCD over updates, as :func:`callbacks.drawing.plane_scores.score_series` has charts.

    Args:
        kept: the state of :class:`callbacks.observers.epoch_scores.EpochScores`.
    """
    series = {label: [entry[name]["fcd"] for entry in kept["epochs"]] for name, label in GENERATORS.items()}
    return {
        "title": f"FCD of {kept['samples']:,} samples from as many held-out images",
        "updates": [entry["updates"] for entry in kept["epochs"]],
        "series": series,
        "lines": {"floor: training images": kept["floor"]["fcd"]},
        "log": True,
    }


def losses_figure(histories: dict[str, dict]) -> "Figure | None":
    """Charts of one or several fits, the first 12, each under its name; None if there is none.

    Args:
        histories: the fit's name to a history as :func:`plain_history` gives it.
    """
    histories = {title: _with_charts_shown(history) for title, history in histories.items() if history["updates"]}
    if not histories:
        return None
    from matplotlib.figure import Figure

    shown = dict(list(histories.items())[:MOST_FITS])
    panels = [len(history["charts"]) + bool(history["norm_counts"]) for history in shown.values()]
    rows = [-(-count // COLUMNS) for count in panels]
    heights = [HEIGHT * count + TITLE * bool(title) for count, title in zip(rows, shown, strict=True)]
    figure = Figure(figsize=(WIDTH, sum(heights)), dpi=100, layout="constrained")
    blocks = figure.subfigures(len(shown), 1, height_ratios=heights, squeeze=False)[:, 0]
    for block, (title, history), of_block, count in zip(blocks, shown.items(), rows, panels, strict=True):
        places = list(block.subplots(of_block, COLUMNS, squeeze=False).flat)
        for axes, chart in zip(places, history["charts"], strict=False):
            _draw_chart(axes, chart, history)
        if history["norm_counts"]:
            _draw_norms(places[count - 1], history)
        for axes in places[count:]:
            axes.set_visible(False)
        block.suptitle(title, fontsize=10, fontweight="bold")
    if len(histories) > len(shown):
        said = f"the first {len(shown)} of {len(histories)} fits; the folder of each job has its own losses.png"
        figure.suptitle(said, fontsize=9)
    figure.get_layout_engine().execute(figure)  # panels that are laid out have other ticks: the next layout is of those
    return figure


def _with_charts_shown(history: dict) -> dict:
    """A history without the charts of terms it has none of: a generator that never steps has no loss."""
    charts = [chart for chart in history["charts"] if set(chart["series"]) & set(history["names"])]
    return history | {"charts": charts}


def _draw_chart(axes: "Axes", chart: dict, history: dict) -> None:
    """A chart, and beneath it, where they cover no curve, what its lines are."""
    rows = np.asarray(history["rows"])
    window = {name: rows[:, i] for i, name in enumerate(history["names"])}
    drawn, free, kept = [], cycle(OTHER_PAIRS), dict(PAIRS)
    for name, label in chart["series"].items():
        colours = kept.pop(role(label), None) or next(free)
        if name in window:
            axes.plot(history["updates"], window[name], color=colours[0], lw=1, alpha=0.55, label=f"{label}, running")
            drawn.append(window[name])
        for (stage, (style, what)), colour in zip(EPOCH_STYLES.items(), colours, strict=True):
            points = [(e["updates"], e[f"{stage}/{name}"]) for e in history["epochs"] if f"{stage}/{name}" in e]
            if points:
                axes.plot(*zip(*points, strict=True), style, ms=3.5, lw=1, color=colour, label=f"{label}, {what}")
                drawn.append(np.asarray([value for _, value in points]))
    for number, (label, value) in enumerate(chart.get("lines", {}).items()):
        axes.axhline(value, color=GREY, lw=1.2, ls=LINES[number % len(LINES)], label=label)
    _scale(axes, drawn, list(chart.get("lines", {}).values()))
    axes.set_xlabel("generator updates", fontsize=8)
    _finish(axes, chart["title"])


def _finish(axes: "Axes", title: str) -> None:
    axes.set_title(title, fontsize=9)
    axes.tick_params(which="both", labelsize=8)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.19), frameon=False)


def _scale(axes: "Axes", series: list[np.ndarray], lines: list[float]) -> None:
    """Limits that the first updates' extremes do not set: 1 % to 99 % of all points, and every line of meaning;
    logarithmic where all are positive and far apart."""
    values = np.concatenate(series) if series else np.empty(0)
    values = values[np.isfinite(values)]
    if not len(values):
        return
    low, high = min([*np.quantile(values, [CLIPPED]), *lines]), max([*np.quantile(values, [1 - CLIPPED]), *lines])
    if min(values.min(), low) > 0 and high > LOG_FROM * low:
        log_axis(axes)
        axes.set_ylim(low / 1.3, high * 1.3)
        return
    pad = 0.08 * (high - low) or 0.1
    axes.set_ylim(low - pad, high + pad)


def log_axis(axes: "Axes") -> None:
    """A logarithmic y axis whose numbers are written out: 0.02, 0.05, 0.1."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def _draw_norms(axes: "Axes", history: dict) -> None:
    """Histograms of the gradients' norms: the last epoch's, and the first's, if another, as an outline. The last bin,
    which has all larger norms too, is no density: its share is said instead."""
    counts = np.asarray(history["norm_counts"])
    edges = np.linspace(0, history.get("largest_norm", 3.0), counts.shape[1] + 1)  # older histories do not say
    for at, colour, filled in ((-1, SKY, True), (0, GREY, False))[: len(counts)]:
        density = counts[at] / max(1, counts[at].sum()) / (edges[1] - edges[0])
        beyond = counts[at][-1] / max(1, counts[at].sum())
        said = f", {beyond:.1%} beyond {edges[-2]:.3g}" if beyond else ""
        epoch = f"epoch {history['epochs'][at]['epoch']}{said}"
        axes.stairs(density[:-1], edges[:-1], fill=filled, alpha=0.8, color=colour, label=epoch)
    axes.axvline(1, color=GREY, lw=1.2, ls=":", label="norm 1")
    axes.set_xlabel(r"$\|\nabla D(\hat x)\|_2$", fontsize=8)
    _finish(axes, "gradient norms between real and generated (density)")
