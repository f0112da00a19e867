"""The tables and charts of a sweep: a pure function of the files in its folder, so they can be rebuilt at any time,
with one job lost as with all present. It imports no torch: ten thousand results are read in seconds."""

import re
from pathlib import Path
from urllib.parse import quote

from rich.text import Text

from latent_lab import charts
from latent_lab.escaping import as_code, in_chart, in_markdown, one_line
from latent_lab.head_markup import csv_text, latex, markdown, markdown_table
from latent_lab.head_table import Block, blocks, standing, tidy
from latent_lab.results import (
    NO_RESULT,
    ended,
    forms,
    headline,
    kinds,
    left,
    read_result,
    read_results,
    repeats,
    settings,
    split,
    supervision,
    titled,
)
from latent_lab.rows import aggregate, in_column, in_words, lost, of_spreads, varying
from latent_lab.storage import DamagedFile, NoSpace, read_json, write_atomically, write_text
from latent_lab.terminal_tables import (
    OF_A_JOB,
    OF_A_SWEEP,
    Cells,
    console,
    from_here,
    show_files,
    show_heads,
    show_metrics,
    show_settings,
)
from latent_lab.written_plan import NOT_BEGUN, with_planned

FEW_LABELS = dict.fromkeys(("accuracy", "precision", "recall", "f1"), "percent")
MOST_LINES = 40  # of failures and verdicts in a terminal; results.md has them all


def _table(results: list[dict]) -> tuple[list[str], list[list[str]], str]:
    """Header and cells of the table of one kind of results, without metrics that none has, and what its spreads are."""
    shown, rows = aggregate(results)
    over, figures = varying(rows, repeats(results[0])), forms(results)
    header = [*shown, *over, *(f"{name} %" if form == "percent" else name for name, form in figures.items())]
    lines = []
    for row in rows:
        cells = [in_column(row[key]) for key in shown] + [str(row[name]) for name in over]
        cells[-1] += lost(row)
        lines.append(cells + [in_words(row[name], form, over) for name, form in figures.items()])
    return header, lines, of_spreads(over, rows)


def heads_of(kind: list[dict]) -> list[Block]:
    """The tables of heads of one kind of results; none where these are not of few labels."""
    return blocks(kind) if headline(kind[0]) == FEW_LABELS else []


def build(folder: Path) -> list[dict]:
    """Writes ``results.csv`` (a row a job), ``results.md`` (the heads against each other, and a row a setting), the
    charts, and of few labels ``heads.csv`` and ``heads.tex``; returns the results."""
    results = with_planned(folder, read_results(folder))
    heads = [(kind, of) for kind in kinds(results) if (of := heads_of(kind))]
    histories = {
        in_chart(result["job_name"]): read_json(file)
        for result in results
        if (file := left(folder / result["job_name"], result, "history.json"))
    }
    panels = [
        (settings(r), file)
        for r in results
        if r["status"] == "ok" and (file := left(folder / r["job_name"], r, "panel.png"))
    ]
    figures = {
        "accuracy": charts.accuracy_figure([block for _, of in heads for block in of]),
        "losses": charts.losses_figure(histories),
        "panels": charts.panels_figure(panels),
    }
    figures = {name: figure for name, figure in figures.items() if figure is not None}
    for name, figure in figures.items():
        write_atomically(folder / f"{name}.png", lambda temporary, f=figure: f.savefig(temporary, format="png"))
    write_text(folder / "results.csv", _csv(results))
    if heads:
        write_text(
            folder / "heads.csv",
            csv_text([row | {"scored_on": split(kind).lower()} for kind, of in heads for row in tidy(of)]),
        )
        write_text(folder / "heads.tex", "\n".join(latex(of) for _, of in heads))
    write_text(folder / "results.md", _markdown(folder, results, list(figures)))
    from latent_lab import html_report  # made of the same results

    html_report.write_sweep_page(folder, results)
    return results


def _csv(results: list[dict]) -> str:
    flat = []
    for result in results:
        row = {"job": result["job_name"], "status": result["status"]} | settings(result)
        row |= {
            k: result.get(k) for k in ("seed", "fit", "fit_reused", "labels_sha256", "summary", "statement", "error")
        }
        row |= {k: result[k] for k in ("unlabelled", "chosen", "warning") if result.get(k) is not None}
        row |= {"supervision": saw} if (saw := supervision(result)) else {}
        row |= result.get("metrics", {}) | {f"seconds_{k}": v for k, v in result.get("seconds", {}).items()}
        flat.append(row)
    return csv_text(flat)


def _markdown(folder: Path, results: list[dict], figures: list[str]) -> str:
    lines = [f"# {in_markdown(folder.name)}", "", *tables(results)]
    failures = [f"- {as_code(r['job_name'])}: {in_markdown(ended(r))}" for r in results if r["status"] != "ok"]
    lines += ["", "Not done:", *failures] if failures else []
    for name in figures:
        lines += ["", f"![{name}]({name}.png)"]
    for result in results:
        if result["status"] == "ok" and (report := left(folder / result["job_name"], result, "report.md")):
            lines += ["", f"## {in_markdown(result['job_name'])}", "", _embedded(report, result["job_name"])]
    return "\n".join(lines) + "\n"


def tables(results: list[dict], shortest: bool = False) -> list[str]:
    """The tables of a sweep as lines of Markdown: of few labels the heads against each other first; then, unless the
    ``shortest`` are asked for, which say the same in a fifth of the lines, a row a setting."""
    lines = []
    for kind in kinds(results):
        if heads := heads_of(kind):
            lines += [*markdown(heads), ""]
    for kind in kinds(results):
        if shortest and heads_of(kind):
            continue
        header, rows, spreads = _table(kind)
        lines += [*markdown_table(header, rows), "", *_footnotes(kind, spreads), ""]
    return lines[:-1]


def _footnotes(kind: list[dict], spreads: str) -> list[str]:
    unit = " in per cent" * ("percent" in headline(kind[0]).values())
    lines = [f"{titled(kind)}{unit}; {spreads}"]
    saw = {supervision(result) for result in kind if result["status"] == "ok"}
    return [*lines, "Supervised: the classifier was given labelled images only."] if saw == {"supervised"} else lines


def _embedded(report: Path, job: str) -> str:
    """A job's own part of the report, its pictures found from the folder above; whoever wrote it, it is no HTML."""
    text = re.sub(r"(?<!\\)<", r"\\<", report.read_text(encoding="utf-8", errors="replace").rstrip())
    folder = quote(job.encode(errors="surrogateescape"), safe="=,+~")
    return re.sub(r"\]\((?=[\w.-]+\))", lambda _: f"]({folder}/", text)


def show(folder: Path) -> list[dict]:
    """Builds a sweep's tables, prints them, the verdict on each job, and where to look; returns the results."""
    try:
        results = build(folder) if folder.is_dir() else []
    except (OSError, NoSpace) as error:  # another user's, or a full disk
        results = read_results(folder)
        print(one_line(f"{folder}: can't be written, so its tables are as they were ({error})"))
    print(f"\n{one_line(from_here(folder))}")
    screen = console()
    for kind in kinds(results):
        if all(result["status"] != "ok" for result in kind):
            continue  # a table of dashes
        heads = heads_of(kind)
        if any(len(block.rows) > 1 for block in heads):
            for block in heads:
                show_heads(screen, block)
            for line in (line for block in heads for line in standing(block)):
                screen.print(Text(one_line(line)))
            continue
        header, rows, _ = _table(kind)
        if split(kind) == "Validation":
            screen.print("on validation images:")
        shown, of = aggregate(kind)
        first = len(shown) + len(varying(of, repeats(kind[0])))
        show_settings(screen, Cells(header[:first], header[first:], rows))
    planned = (folder / "plan").is_dir()  # which knows more of jobs without a result
    told = {NOT_BEGUN, NO_RESULT} if planned else set()
    said = [
        ended(r, r["job_name"]) for r in results if r["status"] != "ok" and not told & {r["status"], r.get("error")}
    ]
    said += [f"{r['job_name']}: {found}" for r in results if r["status"] == "ok" and (found := verdict_on(r))]
    for line in said[:MOST_LINES]:
        print(one_line(line))
    if len(said) > MOST_LINES:
        print(f"... and {len(said) - MOST_LINES} more in results.md")
    show_files(folder, OF_A_SWEEP)
    return results


def show_single(folder: Path) -> list[dict]:
    """Prints what a single job came to, and where to look; returns its result in a list."""
    result = {"status": "failed", "error": "no result"}
    if (folder / "result.json").exists():
        try:
            result = read_result(folder)
        except DamagedFile as error:
            result = {"status": "failed", "error": str(error)}
    if result["status"] == "ok":
        print(f"\n{one_line(from_here(folder))}")
        show_metrics(console(), result["metrics"])
    elif result["status"] != "interrupted":  # of which there is no more to be said
        print(one_line(f"{result['status']}: {result.get('error')}"))
    if (folder / "result.json").exists():
        from latent_lab import html_report

        try:
            html_report.write_job_page(folder)
        except (OSError, NoSpace) as error:  # the job is done without its page
            print(one_line(f"{folder / html_report.NAME}: can't be written ({error})"))
    show_end(folder, result)
    return [result | {"job_name": folder.name}]


def show_end(folder: Path, result: dict) -> None:
    """The verdict on a job, in a line, and where to look."""
    if result["status"] == "ok" and (found := verdict_on(result)):
        print(f"verdict: {one_line(found)}")
    show_files(folder, OF_A_JOB)


def verdict_on(result: dict) -> str | None:
    """In a line what a job's fit came to. The ``statement`` has all of it; earlier jobs have no other."""
    return result.get("summary") or (result.get("statement") or "").partition(": ")[0] or None
