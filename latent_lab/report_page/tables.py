"""The tables of a sweep with their charts: heads against each other, a row a setting, a line a job."""

from latent_lab.head_markup import PAIRED, WORDS, caption
from latent_lab.head_table import METRIC, Block, blocks, header, lines, standing
from latent_lab.references import sources
from latent_lab.report_page.curves import accuracy_chart, score_charts
from latent_lab.report_page.markup import Html, element, joined, leading_number, sentence, sorted_by, table
from latent_lab.results import forms, headline, is_bound, kinds, repeats, settings, sortable, titled
from latent_lab.rows import aggregate, in_column, in_unit, in_words, lost, of_spreads, varying

MOST_ROWS = 1000  # of a table with a row a setting
MOST_JOBS = 500  # of the table with a line a job
SORTS = "A click on a column's name sorts."


def of_kind(kind: list[dict], charts: list[dict]) -> Html:
    """The tables and charts of results that share a table.

    Args:
        kind: the results.
        charts: of the page, to which those drawn here are added.
    """
    heads = blocks(kind) if METRIC in headline(kind[0]) else []
    shown, rows = aggregate(kind)
    over, figures = varying(rows, repeats(kind[0])), forms(kind)
    names = [*shown, *over, *(name + " %" * (form == "percent") for name, form in figures.items())]
    scores = _scores(names, [_cells(row, shown, over, figures) for row in rows], {*shown, *filter(is_bound, names)})
    if len(rows) > MOST_ROWS:
        scores = joined([scores, element("p", f"{len(rows) - MOST_ROWS} more rows in results.md", class_="soft")])
    title, spreads = titled(kind), sentence(of_spreads(over, rows))
    if not heads:
        said = element("p", f"{spreads} {SORTS}", class_="soft")
        return joined([element("h2", title), said, scores, _switched(score_charts(rows, shown, over), charts)])
    counts = sorted({count for block in heads for count in block.counts}, key=sortable)
    quoted = sources([block.dataset for block in heads if block.published], counts)
    said = [element("summary", "published: sources"), *(element("p", line) for line in quoted)]
    each = [element("summary", f"{title}, a row a setting"), element("p", spreads, class_="soft"), scores]
    return joined([
        *(_of_block(block, charts) for block in heads),
        None if any(map(_makes_a_curve, heads)) else _switched(score_charts(rows, shown, over), charts),
        element("p", WORDS, class_="soft"),
        element("details", *said) if quoted else None,
        element("details", *each),
    ])  # fmt: skip


def _scores(names: list[str], rows: list[list[tuple[str, float | None]]], of_all: set[str]) -> Html:
    """A row a setting; what all rows agree in, of what may be ``of_all``, stands above, as it does in a terminal."""
    alike = [
        at for at, name in enumerate(names) if name in of_all and len(rows) > 1 and len({r[at] for r in rows}) == 1
    ]
    lines = [[part for at, part in enumerate(line) if at not in alike] for line in (names, *rows[:MOST_ROWS])]
    said = ", ".join(f"{names[at]} {rows[0][at][0]}" for at in alike)
    return joined([element("p", f"In all rows: {said}.", class_="soft") if alike else None, table(lines[0], lines[1:])])


def _cells(row: dict, shown: list[str], over: list[str], figures: dict[str, str]) -> list[tuple[str, float | None]]:
    """Of a row a setting, each with what it is sorted by."""
    cells = [(in_column(row[key]), leading_number(in_column(row[key]))) for key in shown]
    counts = [(str(row[name]), float(row[name])) for name in over]
    counts[-1] = (counts[-1][0] + lost(row), counts[-1][1])
    scores = [(in_words(row[name], form, over), sorted_by(row[name].mean)) for name, form in figures.items()]
    return [*cells, *counts, *scores]


def _of_block(block: Block, charts: list[dict]) -> Html:
    """The heads against each other on one data set: table, chart, who is best."""
    found, said, chart = lines(block), standing(block), accuracy_chart(block)
    cells = [
        [*((text, None) for text in line.cells[:3]), *((text, leading_number(text)) for text in line.cells[3:])]
        for line in found
    ]
    bold = [(at, column) for at, line in enumerate(found) for column in line.bold]
    return joined([
        element("h2", block.title),
        table(header(block), cells, bold),
        element("p", f"{caption(block)} {SORTS}", class_="soft"),
        _chart(chart, charts) if chart and _makes_a_curve(block) else None,
        element("ul", *(element("li", line) for line in said)) if said else None,
        element("p", PAIRED, class_="soft") if said else None,
    ])  # fmt: skip


def _makes_a_curve(block: Block) -> bool:
    return len(block.numbered.counts) > 1 or bool(block.published)


def _chart(chart: dict, charts: list[dict]) -> Html:
    charts.append(chart)
    return element("figure", data_chart=len(charts) - 1, class_="chart")


def _switched(found: list[dict], charts: list[dict]) -> Html | None:
    """Charts of which a list of their names shows one."""
    if not found:
        return None
    options = [element("option", chart["title"], value=number) for number, chart in enumerate(found)]
    choice = element("label", "scores by ", element("select", *options))
    figures = [element("div", _chart(chart, charts), hidden=number > 0) for number, chart in enumerate(found)]
    return element("div", choice, *figures, class_="switched")


def all_jobs(results: list[dict]) -> Html | None:
    """A line a job, for what the rows average over; nothing for a single one."""
    if len(results) < 2:
        return None
    keys = differing([result for result in results if "choices" in result])
    names = {name: form for kind in kinds(results) for name, form in headline(kind[0]).items()}
    rows = []
    for result in results[:MOST_JOBS]:
        said, metrics = settings(result), result.get("metrics", {})
        cells = [(text, leading_number(text)) for key in keys for text in [str(said.get(key, "-"))]]
        figures = [(metrics.get(name), form) for name, form in names.items()]
        cells += [
            ("-" if sorted_by(value) is None else in_unit(value, form), sorted_by(value)) for value, form in figures
        ]
        rows.append([(result["job_name"], None), (result["status"], None), *cells])
    title = f"all {len(results)} jobs" if len(results) <= MOST_JOBS else f"the first {MOST_JOBS} of {len(results)} jobs"
    return element("details", element("summary", title), table(["job", "status", *keys, *names], rows))


def differing(jobs: list[dict]) -> list[str]:
    """The settings that tell jobs apart."""
    said = [settings(job) for job in jobs]
    keys = dict.fromkeys(key for values in said for key in values)
    return [key for key in keys if len({str(values.get(key)) for values in said}) > 1]
