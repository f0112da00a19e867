"""The tables and charts of a sweep: a pure function of the result files in its folder, so they can be rebuilt at any
time, with one job lost as with all present."""

import csv
import io
import math
import statistics
from pathlib import Path

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from storage import DamagedFile, read_json, write_atomically, write_text

METRICS = ("accuracy", "precision", "recall", "f1")
REPEATS = ("label_seed",)  # what is averaged over
LEADING = ("model", "dataset", "n_labels")  # shown first, and always
REFERENCES = Path(__file__).resolve().parent / "docs" / "references.csv"


def read_results(folder: Path) -> list[dict]:
    """The results of the jobs in a sweep's folder, each with its ``job`` folder's name; a job that wrote none, or
    wrote one that can't be read, is there as failed."""
    results = []
    for job in sorted(path for path in folder.iterdir() if path.is_dir()):
        if (job / "result.json").exists():
            try:
                results.append(read_json(job / "result.json") | {"job_name": job.name})
            except DamagedFile as error:
                results.append({"status": "failed", "job_name": job.name, "error": str(error)})
        elif (job / "train.log").exists() or (job / "config.yaml").exists():
            results.append({"status": "failed", "job_name": job.name, "error": "no result (running, or killed)"})
    return results


def settings(result: dict) -> dict[str, str]:
    """What a job was: its choices of groups, ``n_labels`` and the swept or overridden values."""
    if "choices" not in result:
        return {}
    values = dict(result["choices"]) | {"n_labels": result["n_labels"], "label_seed": result["label_seed"]}
    for override in result["overrides"]:
        key, _, value = override.lstrip("+").partition("=")
        if key not in values and key not in ("sweep", "fresh") and not key.startswith(("paths.", "~")):
            values[key] = value
    return values


def aggregate(results: list[dict]) -> tuple[list[str], list[dict]]:
    """Jobs that differ only in the label draw become one row of means.

    Returns:
        the settings in which rows differ, and the rows: these settings, ``draws``, and for each metric a pair of mean
        and sample standard deviation (NaN for one draw); ``status`` counts the failures.
    """
    with_settings = [(result, settings(result)) for result in results if settings(result)]
    keys = list(dict.fromkeys(key for _, values in with_settings for key in values if key not in REPEATS))
    keys = [*(k for k in LEADING if k in keys), *(k for k in keys if k not in LEADING)]
    varying = [k for k in keys if len({str(values.get(k)) for _, values in with_settings}) > 1]
    shown = [k for k in keys if k in varying or k in LEADING]
    groups: dict[tuple, dict] = {}
    for result, values in sorted(with_settings, key=lambda pair: pair[0].get("created", "")):
        # One setting is one row, even where its name in the table is another's; one draw counts once, the newest.
        key = (*(values.get(k) for k in shown), result.get("setting"))
        groups.setdefault(key, {})[result["label_seed"]] = result
    rows = []
    for key, draws in sorted(groups.items(), key=lambda item: [_sortable(v) for v in item[0]]):
        members = list(draws.values())
        good = [m for m in members if m["status"] == "ok"]
        row = dict(zip(shown, key, strict=False)) | {"draws": len(good), "failed": len(members) - len(good)}
        for metric in METRICS:
            row[metric] = _mean_std([m["metrics"][metric] for m in good if metric in m["metrics"]])
        rows.append(row)
    return shown, rows


def _sortable(value) -> tuple:
    return (0, float(value), "") if isinstance(value, int | float) else (1, 0.0, str(value))


def _mean_std(values: list[float]) -> tuple[float, float]:
    if not values:
        return math.nan, math.nan
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else math.nan


def references() -> list[dict]:
    """Published accuracies in per cent, each with its source."""
    with open(REFERENCES, newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        return [row | {"n_labels": int(row["n_labels"]), "accuracy": float(row["accuracy"])} for row in rows]


def _reference(dataset: str, n_labels: int, name: str) -> str:
    for row in references():
        if (row["dataset"], row["n_labels"], row["name"]) == (dataset, n_labels, name):
            return f"{row['accuracy']:.2f}"
    return "-"


def _percent(pair: tuple[float, float]) -> str:
    mean, std = pair
    if math.isnan(mean):
        return "-"
    return f"{100 * mean:.2f}" + ("" if math.isnan(std) else f" ± {100 * std:.2f}")


def _cells(shown: list[str], quoted: list[str], row: dict) -> list[str]:
    cells = [str(row[key]) for key in shown]
    cells += [f"{row['draws']}" + (f" ({row['failed']} failed)" if row["failed"] else "")]
    cells += [_percent(row[metric]) for metric in METRICS]
    cells += [_reference(row["dataset"], row["n_labels"], name) for name in quoted]
    return cells


def _quoted(rows: list[dict]) -> list[str]:
    """The published results that any of the rows can be compared with."""
    datasets = {row["dataset"] for row in rows}
    return list(dict.fromkeys(r["name"] for r in references() if r["dataset"] in datasets))


def _header(shown: list[str], quoted: list[str]) -> list[str]:
    return [*shown, "draws", *(f"{metric} %" for metric in METRICS), *quoted]


def build(folder: Path) -> list[dict]:
    """Writes ``results.csv`` (a row a job), ``results.md`` (a row a setting), ``accuracy.png``; returns the results."""
    results = read_results(folder)
    shown, rows = aggregate(results)
    write_text(folder / "results.csv", _csv(results))
    write_text(folder / "results.md", _markdown(folder, results, shown, rows))
    if figure := accuracy_figure(rows):
        write_atomically(folder / "accuracy.png", lambda temporary: figure.savefig(temporary, format="png"))
    return results


def _csv(results: list[dict]) -> str:
    flat = []
    for result in results:
        row = {"job": result["job_name"], "status": result["status"]} | settings(result)
        row |= {k: result.get(k) for k in ("seed", "fit", "fit_reused", "labels_sha256", "error")}
        row |= result.get("metrics", {}) | {f"seconds_{k}": v for k, v in result.get("seconds", {}).items()}
        flat.append(row)
    fields = list(dict.fromkeys(key for row in flat for key in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, fields, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return out.getvalue()


def _markdown(folder: Path, results: list[dict], shown: list[str], rows: list[dict]) -> str:
    quoted = _quoted(rows)
    header = _header(shown, quoted)
    lines = [f"# {folder.name}", "", "| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(_cells(shown, quoted, row)) + " |" for row in rows]
    split = "Validation" if any(result.get("scored_on") == "validation" for result in results) else "Test"
    lines += ["", f"{split}-set figures in per cent; mean ± sample standard deviation over the draws of the labels."]
    if all(result.get("inductive", True) for result in results):
        lines += ["Inductive: no test image was used in training."]
    datasets = {row["dataset"] for row in rows}
    used = [r for r in references() if r["dataset"] in datasets]
    sources = sorted({f"- {r['name']}: {r['source']} ({r['setting']})" for r in used})
    lines += ["", "Quoted for comparison:", *sources] if sources else []
    failures = [f"- `{r['job_name']}`: {r.get('error')}" for r in results if r["status"] != "ok"]
    lines += ["", "Failed:", *failures] if failures else []
    lines += ["", "![accuracy](accuracy.png)"] if accuracy_figure(rows) else []
    return "\n".join(lines) + "\n"


def accuracy_figure(rows: list[dict]) -> Figure | None:
    """Accuracy over the number of labels, one panel a data set, with the quoted figures as lines; None without rows."""
    rows = [row for row in rows if not math.isnan(row["accuracy"][0]) and "n_labels" in row and "dataset" in row]
    if not rows:
        return None
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    figure = Figure(figsize=(5.2 * len(datasets), 4), dpi=130, layout="constrained")
    for axes, dataset in zip(figure.subplots(1, len(datasets), squeeze=False)[0], datasets, strict=True):
        curves: dict[str, list[dict]] = {}
        for row in (row for row in rows if row["dataset"] == dataset):
            metrics = ("n_labels", "dataset", "draws", "failed", *METRICS)
            label = ", ".join(str(v) for k, v in row.items() if k not in metrics)
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


def show(folder: Path) -> list[dict]:
    """Builds a sweep's tables and prints them; returns the results."""
    results = build(folder)
    shown, rows = aggregate(results)
    print(f"\n{folder}")
    table = Table()
    quoted = _quoted(rows)
    header = _header(shown, quoted)
    console = Console(width=None if Console().is_terminal else 140)
    narrow = ["precision %", "recall %"] if console.width < 110 else []  # results.md has them all
    for name in header:
        if name in narrow:
            continue
        table.add_column(name, justify="right" if name.endswith("%") else "left", no_wrap=name not in quoted)
    for row in rows:
        cells = zip(header, _cells(shown, quoted, row), strict=True)
        table.add_row(*(cell for name, cell in cells if name not in narrow))
    console.print(table)
    for result in results:
        if result["status"] != "ok":
            print(f"failed: {result['job_name']}: {result.get('error')}")
    files = [folder / name for name in ("results.md", "results.csv", "accuracy.png") if (folder / name).exists()]
    print(f"tables and chart: {', '.join(map(str, files))}")
    return results


def show_single(folder: Path) -> list[dict]:
    """Prints what a single job came to; returns its result in a list."""
    path = folder / "result.json"
    result = read_json(path) if path.exists() else {"status": "failed", "error": "no result"}
    if result["status"] == "ok":
        print(f"\n{folder}")
        table = Table()
        table.add_column("metric")
        table.add_column("value", justify="right")
        for name, value in result["metrics"].items():
            table.add_row(name, f"{value:.4f}" if isinstance(value, float) else str(value))
        Console().print(table)
    else:
        print(f"failed: {result.get('error')}")
    return [result | {"job_name": folder.name}]
