"""The tables and charts of a sweep: a pure function of the files in its folder, so they can be rebuilt at any time,
with one job lost as with all present. It imports no torch: ten thousand results are read in seconds."""

import csv
import io
import math
import re
from pathlib import Path

from rich.console import Console
from rich.table import Table

from latent_lab import charts
from latent_lab.results import NO_RESULT, Spread, aggregate, headline, kinds, read_results, repeats, settings
from latent_lab.storage import read_json, write_atomically, write_text

FEW_LABELS = dict.fromkeys(("accuracy", "precision", "recall", "f1"), "percent")
OVER = {"draws": "draws of the labels", "seeds": "seeds of the fit"}
MOST_LINES = 40  # of failures and statements in a terminal; results.md has them all


def _cell(value: Spread, form: str, spreads: list[str]) -> str:
    """``90.57 ± 1.24``: the mean and the spreads that the table shows."""
    if math.isnan(value.mean):
        return "-"
    scale, main, side = (100, ".2f", ".2f") if form == "percent" else (1, ".3g", ".2g")
    parts = [f"{scale * value.mean:{main}}"]
    found = [getattr(value, name) for name in spreads]
    if not all(map(math.isnan, found)):
        parts += ["-" if math.isnan(std) else f"{scale * std:{side}}" for std in found]
    return " ± ".join(parts)


def _spreads(rows: list[dict], repeated: list[str]) -> list[str]:
    """Over what a table's figures vary: ``draws``, ``seeds``, those of which any row has several; at least one."""
    possible = [name for name in ("draws", "seeds") if name != "draws" or "label_seed" in repeated]
    return [name for name in possible if any(row[name] > 1 for row in rows)] or possible[:1]


def _table(results: list[dict]) -> tuple[list[str], list[list[str]], list[str]]:
    """Header and cells of the table of one kind of results, and over what its figures vary."""
    shown, rows = aggregate(results)
    forms, spreads = headline(results[0]), _spreads(rows, repeats(results[0]))
    quoted = charts.published(rows) if "accuracy" in forms else []
    header = [*shown, *spreads, *(f"{name} %" if form == "percent" else name for name, form in forms.items()), *quoted]
    lines = []
    for row in rows:
        cells = [str(row[key]) for key in shown] + [str(row[name]) for name in spreads]
        cells[-1] += f" ({row['failed']} failed)" if row["failed"] else ""
        cells += [_cell(row[name], form, spreads) for name, form in forms.items()]
        lines.append(cells + [charts.reference(row["dataset"], row["n_labels"], name) for name in quoted])
    return header, lines, spreads


def build(folder: Path) -> list[dict]:
    """Writes ``results.csv`` (a row a job), ``results.md`` (a row a setting) and the charts; returns the results."""
    results = read_results(folder)
    few_labels = [result for result in results if headline(result) == FEW_LABELS]
    histories = {
        result["job_name"]: read_json(folder / result["job_name"] / "history.json")
        for result in results
        if (folder / result["job_name"] / "history.json").exists()
    }
    panels = [(settings(r), folder / r["job_name"] / "panel.png") for r in results if r["status"] == "ok"]
    figures = {
        "accuracy": charts.accuracy_figure(aggregate(few_labels)[1]),
        "losses": charts.losses_figure(histories),
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
        header, rows, spreads = _table(kind)
        lines += ["", "| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
        lines += ["| " + " | ".join(cells) + " |" for cells in rows]
        lines += ["", *_footnotes(kind, spreads)]
    failures = [f"- `{r['job_name']}`: {r.get('error')}" for r in results if r["status"] != "ok"]
    lines += ["", "Not done:", *failures] if failures else []
    for name in figures:
        lines += ["", f"![{name}]({name}.png)"]
    for result in results:
        report = folder / result["job_name"] / "report.md"
        if result["status"] == "ok" and report.exists():
            lines += ["", f"## {result['job_name']}", "", _embedded(report, result["job_name"])]
    return "\n".join(lines) + "\n"


def _footnotes(kind: list[dict], spreads: list[str]) -> list[str]:
    split = "Validation" if any(result.get("scored_on") == "validation" for result in kind) else "Test"
    over = ", then over the ".join(OVER[name] for name in spreads)
    pooled = " The former is pooled over the seeds, the latter of the means over draws." if len(spreads) > 1 else ""
    unit = " in per cent" * ("percent" in headline(kind[0]).values())
    lines = [f"{split}-set figures{unit}; mean ± sample standard deviation over the {over}.{pooled}"]
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
    try:
        results = build(folder) if folder.is_dir() else []
    except PermissionError:  # another user's
        results = read_results(folder)
        print(f"{folder}: can't be written, so its tables are as they were")
    print(f"\n{folder}")
    console = Console(width=None if Console().is_terminal else 140)
    narrow = ["precision %", "recall %"] if console.width < 110 else []  # results.md has them all
    for kind in kinds(results):
        header, rows, _ = _table(kind)
        table = Table()
        for name in header:
            if name not in narrow:
                numeric = name.endswith("%") or name in headline(kind[0])
                table.add_column(name, justify="right" if numeric else "left", no_wrap=name.endswith("%"))
        for cells in rows:
            table.add_row(*(cell for name, cell in zip(header, cells, strict=True) if name not in narrow))
        console.print(table)
    planned = (folder / "plan").is_dir()  # which knows more of jobs without a result
    said = [f"{r['status']}: {r['job_name']}: {r.get('error')}" for r in results
            if r["status"] != "ok" and not (planned and r.get("error") == NO_RESULT)]  # fmt: skip
    said += [f"{r['job_name']}: {r['statement']}" for r in results if r["status"] == "ok" and r.get("statement")]
    for line in said[:MOST_LINES]:
        print(line)
    if len(said) > MOST_LINES:
        print(f"... and {len(said) - MOST_LINES} more in results.md")
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
        print(f"{result['status']}: {result.get('error')}")
    return [result | {"job_name": folder.name}]
