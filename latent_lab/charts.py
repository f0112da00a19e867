"""The charts of a sweep: accuracy over the number of labels beside published figures, and a sheet of jobs' panels."""

import csv
import math
from pathlib import Path
from typing import TYPE_CHECKING

from callbacks.drawing.loss_charts import losses_figure as losses_figure

if TYPE_CHECKING:  # matplotlib is imported where it draws: a table needs none
    from matplotlib.figure import Figure

NOT_IN_A_NAME = ("n_labels", "dataset", "draws", "seeds", "failed", "curve")  # of a curve
MOST_CURVES = 10  # with a colour and a name of their own
REFERENCES = Path(__file__).resolve().parent.parent / "docs" / "references.csv"


def references() -> list[dict]:
    """Published accuracies in per cent, each with its source."""
    with open(REFERENCES, newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        return [row | {"n_labels": int(row["n_labels"]), "accuracy": float(row["accuracy"])} for row in rows]


def reference(dataset: str, n_labels: int, name: str) -> str:
    """The published accuracy of that name in per cent, or a dash."""
    for row in references():
        if (row["dataset"], row["n_labels"], row["name"]) == (dataset, n_labels, name):
            return f"{row['accuracy']:.2f}"
    return "-"


def published(rows: list[dict]) -> list[str]:
    """The names of the published results that any of the rows can be compared with."""
    datasets = {row["dataset"] for row in rows if row.get("n_labels") is not None}
    return list(dict.fromkeys(r["name"] for r in references() if r["dataset"] in datasets))


def sources(datasets: set[str]) -> list[str]:
    """Where the published results on these data sets are from, as a list in markdown."""
    used = [r for r in references() if r["dataset"] in datasets]
    return sorted({f"- {r['name']}: {r['source']} ({r['setting']})" for r in used})


def accuracy_figure(rows: list[dict]) -> "Figure | None":
    """Accuracy over the number of labels, one panel a data set, with the quoted figures as lines; None without rows.

    Args:
        rows: of :func:`results.aggregate`.
    """
    rows = [row for row in rows if row.get("n_labels") is not None and not math.isnan(row["accuracy"].mean)]
    if not rows:
        return None
    from matplotlib.figure import Figure

    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    figure = Figure(figsize=(5.2 * len(datasets), 4), dpi=130, layout="constrained")
    for axes, dataset in zip(figure.subplots(1, len(datasets), squeeze=False)[0], datasets, strict=True):
        curves: dict[tuple[str, str | None], list[dict]] = {}
        for row in (row for row in rows if row["dataset"] == dataset):
            settings = [v for k, v in row.items() if k not in NOT_IN_A_NAME]
            label = ", ".join(str(v) for v in settings if not isinstance(v, tuple))
            curves.setdefault((label or "this sweep", row.get("curve")), []).append(row)
        curves = _named_apart(curves)
        for number, (label, points) in enumerate(curves.items()):
            points = sorted(points, key=lambda row: row["n_labels"])
            xs = [row["n_labels"] for row in points]
            means = [100 * row["accuracy"].mean for row in points]
            if number >= MOST_CURVES:  # more than an eye tells apart, and a legend of which would take seconds
                rest = f"{len(curves) - MOST_CURVES} more" if number == MOST_CURVES else None
                axes.plot(xs, means, color="0.8", lw=0.7, zorder=0, label=rest)
                continue
            stds = [100 * max((s for s in row["accuracy"][1:] if not math.isnan(s)), default=0.0) for row in points]
            axes.errorbar(xs, means, yerr=stds, marker="o", capsize=3, label=label)
        quoted: dict[str, list[tuple[int, float]]] = {}
        for reference in references():
            if reference["dataset"] == dataset:
                quoted.setdefault(reference["name"], []).append((reference["n_labels"], reference["accuracy"]))
        for (name, points), style in zip(quoted.items(), ("--", ":", "-."), strict=False):
            axes.plot(*zip(*points, strict=True), style, color="0.4", marker=".", label=name)
        axes.set_xscale("log")
        ticks = sorted({row["n_labels"] for row in rows if row["dataset"] == dataset})
        axes.set_xticks(ticks, [str(t) for t in ticks])
        axes.minorticks_off()
        axes.set_xlabel("labelled images")
        axes.set_ylabel("accuracy (%)")
        axes.set_title(dataset)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    return figure


def _named_apart(curves: dict[tuple[str, str | None], list[dict]]) -> dict[str, list[dict]]:
    """Curves by their labels, numbered where several have one: what sets these apart, no setting says."""
    named: dict[str, list[dict]] = {}
    for (label, _), points in curves.items():
        alike = sum(other == label for other, _ in curves)
        number = 1
        while alike > 1 and f"{label} ({number})" in named:
            number += 1
        named[f"{label} ({number})" if alike > 1 else label] = points
    return named


def panels_figure(panels: list[tuple[dict, Path]]) -> "Figure | None":
    """The panels of a sweep's jobs as one sheet; None for fewer than two.

    What varies first makes the rows, all else the columns; where one thing varies, the sheet is about square.

    Args:
        panels: of each job, its settings and its picture.
    """
    if len(panels) < 2:
        return None
    from matplotlib.figure import Figure
    from PIL import Image

    keys = dict.fromkeys(key for settings, _ in panels for key in settings)
    varying = [key for key in keys if len({str(settings.get(key)) for settings, _ in panels}) > 1]
    down, across = (varying[:1], varying[1:]) if len(varying) > 1 else ([], varying)
    row_names = list(dict.fromkeys(_named(settings, down) for settings, _ in panels))
    column_names = list(dict.fromkeys(_named(settings, across) for settings, _ in panels))
    width = len(column_names) if down else math.ceil(math.sqrt(len(panels)))
    height = len(row_names) if down else math.ceil(len(panels) / width)
    figure = Figure(figsize=(2.2 * width + 0.5, 2.5 * height), dpi=130, layout="constrained")
    grid = figure.subplots(height, width, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for number, (settings, path) in enumerate(panels):
        row, column = row_names.index(_named(settings, down)), column_names.index(_named(settings, across))
        axes = grid[row, column] if down else grid.flat[number]
        with Image.open(path) as panel:
            axes.imshow(panel.convert("RGB"))
        if not down:
            axes.set_title(_named(settings, across), fontsize=7)
    if down:
        for axes, name in zip(grid[0], column_names, strict=True):
            axes.set_title(name, fontsize=7)
    for axes, name in zip(grid[:, 0], row_names, strict=False):
        axes.text(-0.04, 0.5, name, transform=axes.transAxes, fontsize=7, rotation=90, ha="right", va="center")
    return figure


def _named(settings: dict, keys: list[str]) -> str:
    """The values of some settings, a line each: ``lr_critic 0.001``."""
    return "\n".join(f"{key.rpartition('.')[2]} {settings.get(key)}" for key in keys)
