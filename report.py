"""The tables and charts of a sweep: a pure function of the files in its folder, so they can be rebuilt at any time,
with one job lost as with all present.

A result says itself how it is shown: which metrics make a table (``headline``: name to ``percent`` or ``number``) and
over what they are averaged (``repeats``: the draw of the labels, or the seed). Those that agree in both share a table.
"""

import csv
import io
import math
import re
import statistics
from pathlib import Path

from rich.console import Console
from rich.table import Table

import charts
from callbacks.loss_charts import losses_figure
from storage import DamagedFile, read_json, write_atomically, write_text

LEADING = ("model", "dataset", "n_labels")  # shown first, and always where a job has them
FEW_LABELS = dict.fromkeys(("accuracy", "precision", "recall", "f1"), "percent")
REPEATS_OF = {"label_seed": "draws", "seed": "seeds"}
NOT_SHOWN = ("sweep", "fresh")


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
    labels = {k: result[k] for k in ("n_labels", "label_seed") if result[k] is not None}
    values = dict(result["choices"]) | labels
    for override in result["overrides"]:
        key, _, value = override.lstrip("+").partition("=")
        if key not in values and key not in NOT_SHOWN and not key.startswith(("paths.", "~")):
            values[key] = value
    return values


def kinds(results: list[dict]) -> list[list[dict]]:
    """The results in groups that share a table; what can't be read belongs to none."""
    groups: dict[tuple, list[dict]] = {}
    for result in results:
        if "choices" in result:
            key = (*_headline(result).items(), _repeats(result))
            groups.setdefault(key, []).append(result)
    return list(groups.values())


def _headline(result: dict) -> dict[str, str]:
    return result.get("headline", FEW_LABELS) or dict.fromkeys(result["metrics"], "number")


def _repeats(result: dict) -> str:
    return result.get("repeats", "label_seed")


def aggregate(results: list[dict]) -> tuple[list[str], list[dict]]:
    """Jobs of one kind that differ only in what is repeated become one row of means.

    Returns:
        the settings in which rows differ, and the rows: these settings, ``draws`` (or seeds), and for each metric a
        pair of mean and sample standard deviation (NaN for one draw); ``failed`` counts the failures.
    """
    with_settings = [(result, settings(result)) for result in results if settings(result)]
    repeats = _repeats(with_settings[0][0]) if with_settings else ""
    keys = list(dict.fromkeys(key for _, values in with_settings for key in values if key != repeats))
    keys = [*(k for k in LEADING if k in keys), *(k for k in keys if k not in LEADING)]
    varying = [k for k in keys if len({str(values.get(k)) for _, values in with_settings}) > 1]
    shown = [k for k in keys if k in varying or k in LEADING]
    groups: dict[tuple, dict] = {}
    for result, values in sorted(with_settings, key=lambda pair: pair[0].get("created", "")):
        # One setting is one row, even where its name in the table is another's; one draw counts once, the newest.
        key = (*(values.get(k) for k in shown), result.get("setting"))
        groups.setdefault(key, {})[result[repeats]] = result
    rows = []
    for key, draws in sorted(groups.items(), key=lambda item: [_sortable(v) for v in item[0]]):
        members = list(draws.values())
        good = [m for m in members if m["status"] == "ok"]
        row = dict(zip(shown, key, strict=False)) | {"draws": len(good), "failed": len(members) - len(good)}
        for metric in _headline(members[0]):
            row[metric] = _mean_std([m["metrics"][metric] for m in good if metric in m["metrics"]])
        rows.append(row)
    return shown, rows


def _sortable(value) -> tuple:
    return (0, float(value), "") if isinstance(value, int | float) else (1, 0.0, str(value))


def _mean_std(values: list[float]) -> tuple[float, float]:
    if not values:
        return math.nan, math.nan
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else math.nan


def _figure(pair: tuple[float, float], form: str) -> str:
    mean, std = pair
    if math.isnan(mean):
        return "-"
    if form == "percent":
        return f"{100 * mean:.2f}" + ("" if math.isnan(std) else f" ± {100 * std:.2f}")
    return f"{mean:.3g}" + ("" if math.isnan(std) else f" ± {std:.2g}")


def _table(results: list[dict]) -> tuple[list[str], list[list[str]]]:
    """Header and cells of the table of one kind of results."""
    shown, rows = aggregate(results)
    headline = _headline(results[0])
    quoted = charts.quoted(rows) if "accuracy" in headline else []
    header = [*shown, REPEATS_OF[_repeats(results[0])]]
    header += [f"{name} %" if form == "percent" else name for name, form in headline.items()] + quoted
    lines = []
    for row in rows:
        cells = [str(row[key]) for key in shown]
        cells += [f"{row['draws']}" + (f" ({row['failed']} failed)" if row["failed"] else "")]
        cells += [_figure(row[name], form) for name, form in headline.items()]
        lines.append(cells + [charts.reference(row["dataset"], row["n_labels"], name) for name in quoted])
    return header, lines


def build(folder: Path) -> list[dict]:
    """Writes ``results.csv`` (a row a job), ``results.md`` (a row a setting) and the charts; returns the results."""
    results = read_results(folder)
    few_labels = [result for result in results if _headline(result) == FEW_LABELS]
    histories = {
        result["job_name"]: read_json(folder / result["job_name"] / "history.json")
        for result in results
        if (folder / result["job_name"] / "history.json").exists()
    }
    panels = [(settings(r), folder / r["job_name"] / "panel.png") for r in results if r["status"] == "ok"]
    figures = {
        "accuracy": charts.accuracy_figure(aggregate(few_labels)[1]),
        "losses": losses_figure(histories),
        "panels": charts.panels_figure([(values, path) for values, path in panels if path.exists()]),
    }
    figures = {name: figure for name, figure in figures.items() if figure is not None}
    for name, figure in figures.items():
        write_atomically(folder / f"{name}.png", lambda temporary, f=figure: f.savefig(temporary, format="png"))
    write_text(folder / "results.csv", _csv(results))
    write_text(folder / "results.md", _markdown(folder, results, list(figures)))
    return results


def _csv(results: list[dict]) -> str:
    flat = []
    for result in results:
        row = {"job": result["job_name"], "status": result["status"]} | settings(result)
        row |= {k: result.get(k) for k in ("seed", "fit", "fit_reused", "labels_sha256", "statement", "error")}
        row |= result.get("metrics", {}) | {f"seconds_{k}": v for k, v in result.get("seconds", {}).items()}
        flat.append(row)
    fields = list(dict.fromkeys(key for row in flat for key in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, fields, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return out.getvalue()


def _markdown(folder: Path, results: list[dict], figures: list[str]) -> str:
    lines = [f"# {folder.name}"]
    for kind in kinds(results):
        header, rows = _table(kind)
        lines += ["", "| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
        lines += ["| " + " | ".join(cells) + " |" for cells in rows]
        lines += ["", *_footnotes(kind)]
    failures = [f"- `{r['job_name']}`: {r.get('error')}" for r in results if r["status"] != "ok"]
    lines += ["", "Failed:", *failures] if failures else []
    for name in figures:
        lines += ["", f"![{name}]({name}.png)"]
    for result in results:
        report = folder / result["job_name"] / "report.md"
        if result["status"] == "ok" and report.exists():
            lines += ["", f"## {result['job_name']}", "", _embedded(report, result["job_name"])]
    return "\n".join(lines) + "\n"


def _footnotes(kind: list[dict]) -> list[str]:
    split = "Validation" if any(result.get("scored_on") == "validation" for result in kind) else "Test"
    over = {"label_seed": "draws of the labels", "seed": "seeds of the fit"}[_repeats(kind[0])]
    unit = " in per cent" * ("percent" in _headline(kind[0]).values())
    lines = [f"{split}-set figures{unit}; mean ± sample standard deviation over the {over}."]
    if all(result.get("inductive") for result in kind):
        lines += ["Inductive: no test image was used in training."]
    sources = (
        charts.sources({settings(result)["dataset"] for result in kind}) if "n_labels" in settings(kind[0]) else []
    )
    return [*lines, *(["", "Quoted for comparison:", *sources] if sources else [])]


def _embedded(report: Path, job: str) -> str:
    """A job's own part of the report, its pictures found from the folder above."""
    return re.sub(r"\]\((?=[\w.-]+\))", f"]({job}/", report.read_text(encoding="utf-8").rstrip())


def show(folder: Path) -> list[dict]:
    """Builds a sweep's tables and prints them; returns the results."""
    results = build(folder)
    print(f"\n{folder}")
    console = Console(width=None if Console().is_terminal else 140)
    narrow = ["precision %", "recall %"] if console.width < 110 else []  # results.md has them all
    for kind in kinds(results):
        header, rows = _table(kind)
        table = Table()
        for name in header:
            if name not in narrow:
                numeric = name.endswith("%") or name in _headline(kind[0])
                table.add_column(name, justify="right" if numeric else "left", no_wrap=name.endswith("%"))
        for cells in rows:
            table.add_row(*(cell for name, cell in zip(header, cells, strict=True) if name not in narrow))
        console.print(table)
    for result in results:
        if result["status"] != "ok":
            print(f"failed: {result['job_name']}: {result.get('error')}")
        elif result.get("statement"):
            print(f"{result['job_name']}: {result['statement']}")
    names = ("results.md", "results.csv", "accuracy.png", "losses.png", "panels.png")
    print(f"tables and charts: {', '.join(str(folder / name) for name in names if (folder / name).exists())}")
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
        if result.get("statement"):
            print(result["statement"])
    else:
        print(f"failed: {result.get('error')}")
    return [result | {"job_name": folder.name}]
