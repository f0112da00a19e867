"""The charts of a sweep: accuracy over the number of labels beside published figures, and adversarial losses."""

import csv
import math
from pathlib import Path

from matplotlib.figure import Figure

REFERENCES = Path(__file__).resolve().parent / "docs" / "references.csv"


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


def quoted(rows: list[dict]) -> list[str]:
    """The names of the published results that any of the rows can be compared with."""
    datasets = {row["dataset"] for row in rows if row.get("n_labels") is not None}
    return list(dict.fromkeys(r["name"] for r in references() if r["dataset"] in datasets))


def sources(datasets: set[str]) -> list[str]:
    """Where the published results on these data sets are from, as a list in markdown."""
    used = [r for r in references() if r["dataset"] in datasets]
    return sorted({f"- {r['name']}: {r['source']} ({r['setting']})" for r in used})


def accuracy_figure(rows: list[dict]) -> Figure | None:
    """Accuracy over the number of labels, one panel a data set, with the quoted figures as lines; None without rows.

    Args:
        rows: of :func:`report.aggregate`.
    """
    rows = [row for row in rows if row.get("n_labels") is not None and not math.isnan(row["accuracy"][0])]
    if not rows:
        return None
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    figure = Figure(figsize=(5.2 * len(datasets), 4), dpi=130, layout="constrained")
    for axes, dataset in zip(figure.subplots(1, len(datasets), squeeze=False)[0], datasets, strict=True):
        curves: dict[str, list[dict]] = {}
        for row in (row for row in rows if row["dataset"] == dataset):
            settings = [v for k, v in row.items() if k not in ("n_labels", "dataset", "draws", "failed")]
            label = ", ".join(str(v) for v in settings if not isinstance(v, tuple))
            curves.setdefault(label or "this sweep", []).append(row)
        for label, points in curves.items():
            points = sorted(points, key=lambda row: row["n_labels"])
            xs = [row["n_labels"] for row in points]
            means = [100 * row["accuracy"][0] for row in points]
            stds = [0 if math.isnan(row["accuracy"][1]) else 100 * row["accuracy"][1] for row in points]
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
