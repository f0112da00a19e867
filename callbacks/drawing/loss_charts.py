"""Adversarial losses as charts that do not mislead: over generator updates, with the lines that mean something,
held-out images beside training images, and no line where there is no meaning."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # matplotlib is imported where it draws
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EPOCH_STYLES = {"train": ("o-", "training set"), "val": ("s--", "held-out")}


def plain_history(state: dict) -> dict:
    """A :class:`callbacks.observers.loss_history.LossHistory`'s state as lists, for JSON."""
    return state | {"rows": state["rows"].tolist(), "norm_counts": state["norm_counts"].tolist()}


def losses_figure(histories: dict[str, dict]) -> "Figure | None":
    """Charts of one or several fits, a row each; None if there is none.

    Args:
        histories: title of the row to a history as :func:`plain_history` gives it.
    """
    histories = {title: _with_charts_shown(history) for title, history in histories.items() if history["updates"]}
    if not histories:
        return None
    from matplotlib.figure import Figure

    columns = max(len(history["charts"]) + bool(history["norm_counts"]) for history in histories.values())
    figure = Figure(figsize=(4.6 * columns, 3.5 * len(histories)), dpi=110, layout="constrained")
    grid = figure.subplots(len(histories), columns, squeeze=False)
    for row, (title, history) in zip(grid, histories.items(), strict=True):
        for axes in row:
            axes.set_visible(False)
        for axes, chart in zip(row, history["charts"], strict=False):
            _draw_chart(axes, chart, history)
        if history["norm_counts"]:
            _draw_norms(row[len(history["charts"])], history)
        row[0].text(0, 1.13, title, transform=row[0].transAxes, fontsize=10, fontweight="bold")
    return figure


def _with_charts_shown(history: dict) -> dict:
    """A history without the charts of terms it has none of: a generator that never steps has no loss."""
    charts = [chart for chart in history["charts"] if set(chart["series"]) & set(history["names"])]
    return history | {"charts": charts}


def _draw_chart(axes: "Axes", chart: dict, history: dict) -> None:
    axes.set_visible(True)
    rows = np.asarray(history["rows"])
    window = {name: rows[:, i] for i, name in enumerate(history["names"])}
    limits = []
    for number, (name, label) in enumerate(chart["series"].items()):
        colour = f"C{number}"
        if name in window:
            axes.plot(history["updates"], window[name], color=colour, lw=0.8, alpha=0.55, label=f"{label}, running")
            limits.append(window[name])
        for stage, (style, what) in EPOCH_STYLES.items():
            points = [(e["updates"], e[f"{stage}/{name}"]) for e in history["epochs"] if f"{stage}/{name}" in e]
            if points:
                axes.plot(*zip(*points, strict=True), style, ms=3, lw=1, label=f"{label}, {what}",
                          color=colour if stage == "train" else f"C{number + 3}")  # fmt: skip
                limits.append(np.asarray([value for _, value in points]))
    for label, value in chart.get("lines", {}).items():
        axes.axhline(value, color="0.3", lw=0.9, ls=":")
        axes.annotate(
            label,
            (1, value),
            xycoords=("axes fraction", "data"),
            fontsize=7,
            ha="right",
            va="bottom",
            bbox={"facecolor": "white", "alpha": 0.7, "pad": 0.5, "linewidth": 0},
        )
    _clip(axes, limits, list(chart.get("lines", {}).values()))
    axes.set_xlabel("generator updates")
    axes.set_title(chart["title"], fontsize=9)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=6.5)


def _clip(axes: "Axes", series: list[np.ndarray], lines: list[float]) -> None:
    """Limits that the first updates' extremes do not set: 1 % to 99 % of all points, and every line of meaning."""
    values = np.concatenate(series) if series else np.empty(0)
    values = values[np.isfinite(values)]
    if len(values):
        low, high = min([*np.quantile(values, [0.01]), *lines]), max([*np.quantile(values, [0.99]), *lines])
        pad = 0.08 * (high - low) or 0.1
        axes.set_ylim(low - pad, high + pad)


def _draw_norms(axes: "Axes", history: dict) -> None:
    """Histograms of the gradients' norms: the last epoch's over the first's."""
    axes.set_visible(True)
    counts = np.asarray(history["norm_counts"])
    edges = np.linspace(0, history.get("largest_norm", 3.0), counts.shape[1] + 1)  # older histories do not say
    for at, colour in ((0, "0.7"), (len(counts) - 1, "C0")):
        density = counts[at] / max(1, counts[at].sum()) / (edges[1] - edges[0])
        axes.stairs(density, edges, fill=True, alpha=0.6, color=colour, label=f"epoch {history['epochs'][at]['epoch']}")
    axes.axvline(1, color="0.3", lw=0.9, ls=":")
    axes.annotate("1", (1, 0.95), xycoords=("data", "axes fraction"), fontsize=7)
    axes.set_xlabel(r"$\|\nabla D(\hat x)\|_2$")
    axes.set_title("gradient norms between real and generated (density)", fontsize=9)
    axes.legend(fontsize=6.5)
