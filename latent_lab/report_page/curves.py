"""The charts of a page as plain values, which ``script.js`` draws at the width there is.

A chart is ``{title, x, y, series, lines, commands}``; an axis ``{label, scale, range, ticks}`` with the scales
``linear``, ``log``, ``error`` (logarithmic in 100 - y) and ``rows`` (a name each, ``names``); a series ``{name, colour,
dash, marker, line, points}``; a point ``[x, y, deviation, text, command]``, the last an index into ``commands``.
"""

import math
from collections.abc import Iterable
from itertools import cycle

from callbacks.drawing.colours import role
from latent_lab.accuracy_chart import FROM, LEAST_ERROR, TICKS
from latent_lab.head_table import Block, Cell, in_cell
from latent_lab.page import commands_of
from latent_lab.results import headline, is_bound, short
from latent_lab.rows import Spread, in_column, in_words

COLOURS, DASHES = 7, 4  # of the style sheet, of the script: lines are told apart by each of them
OF_ROLE = {"real": (0, 8), "generated": (1, 9), "average": (7, 7)}  # colours of a curve, and of its held-out values
FREE = (2, 3, 4, 5, 6)  # colours of other curves
PUBLISHED = -1  # the colour of what is quoted: grey
MARKERS = {"supervised": "circle", "semi-supervised": "square", "transductive": "triangle"}
MOST_VALUES = 200  # of a curve
MOST_MARKED = 40  # values, each with a marker
MOST_ROWS = 60  # of a chart of scores
MOST_COMMANDS = 3  # beside a point
CLIPPED = 0.01  # share of values at either end that don't set an axis: the first updates' extremes
RUNNING, EPOCH_STAGES = "running", {"train": "training set", "val": "held-out"}


def accuracy_chart(block: Block) -> dict | None:
    """Accuracy over the number of labels: a line a head, published figures grey; None without figures."""
    block, commands, series = block.numbered, [], []
    for number, (head, row) in enumerate(block.rows.items()):
        points = [
            [count, 100 * cell.spread.mean, _percent(_deviation(cell.spread)), _of_cell(block, cell),
             _numbered(commands, cell.results)]
            for count, cell in sorted(row.items()) if not math.isnan(cell.spread.mean)
        ]  # fmt: skip
        style = {"colour": number % COLOURS, "dash": number % DASHES, "line": True}
        name = f"{head.name} on {head.model}, {head.supervision}"
        series.append({"name": name, **style, "marker": MARKERS.get(head.supervision, "circle"), "points": points})
    series = [one for one in series if one["points"]]
    if not series:
        return None
    for reference in block.published:
        figures = sorted((n, figure) for n, figure in reference.figures.items() if n in block.counts)
        points = [[n, float(mean), None, f"{mean} ± {std}" if std else str(mean), None] for n, (mean, std) in figures]
        style = {"colour": PUBLISHED, "dash": 0, "line": True, "marker": "cross"}
        series.append({"name": f"published: {reference.name}", **style, "points": points})
    reach = [y + sign * (std or 0) for one in series for _, y, std, *_ in one["points"] for sign in (-1, 1)]
    bottom, top = (min(end, 100 - LEAST_ERROR) for end in (min(*reach, FROM), max(reach)))
    margin = 1.25  # of the error, at either end
    limits = [max(0.0, 100 - margin * (100 - bottom)), 100 - (100 - top) / margin]
    return {
        "title": f"{block.title}: accuracy over the number of labels (upright: logarithmic in the error)",
        "x": {"label": "labelled images", "scale": "log", "range": _around(block.counts), "ticks": block.counts},
        "y": {"label": "accuracy %", "scale": "error", "range": limits, "ticks": list(TICKS)},
        "series": series,
        "lines": [],
        "commands": commands,
    }


def _of_cell(block: Block, cell: Cell) -> str:
    return f"{in_cell(block, cell)} %"


def _around(counts: list[int]) -> list[float]:
    return [counts[0] / 1.3, counts[-1] * 1.3]


def _deviation(spread: Spread) -> float | None:
    """The larger of a figure's deviations; None of one repetition, which shows none."""
    return max((std for std in (spread.draws, spread.seeds) if not math.isnan(std)), default=None)


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _numbered(commands: list[str], results: Iterable[dict]) -> int:
    """Adds the command that makes these results, unless it is there; where."""
    found = commands_of(list(results))
    more = [f"# and {len(found) - MOST_COMMANDS} more"] * (len(found) > MOST_COMMANDS)
    text = "\n".join(found[:MOST_COMMANDS] + more)
    if text not in commands:
        commands.append(text)
    return commands.index(text)


def score_charts(rows: list[dict], shown: list[str], over: list[str]) -> list[dict]:
    """Each metric of a table, but for floors and limits, as a chart with a line a row; none for a single row.

    Args:
        rows: of :func:`latent_lab.rows.aggregate`.
        shown: the settings that name a row.
        over: what the figures vary over.
    """
    rows = rows[:MOST_ROWS]
    differing = [key for key in shown if len({in_column(row[key]) for row in rows}) > 1]
    names = [", ".join(f"{short(key)} {in_column(row[key])}" for key in differing) or "all" for row in rows]
    members = [list(row["members"].values()) for row in rows]
    commands: list[str] = []
    numbers = [_numbered(commands, of) for of in members] if len(rows) > 1 else []
    charts = []
    metrics = [(name, form) for name, form in headline(members[0][0]).items() if not is_bound(name)] if numbers else []
    for metric, form in metrics:
        unit = 100 if form == "percent" else 1
        points = []
        for at, row in enumerate(rows):
            spread: Spread = row.get(metric, Spread(math.nan, math.nan, math.nan))
            if math.isfinite(spread.mean):
                deviation = _deviation(spread)
                text = in_words(spread, form, over)
                points.append([unit * spread.mean, at, deviation and unit * deviation, text, numbers[at]])
        if points:
            reach = [x + sign * (std or 0) for x, _, std, *_ in points for sign in (-1, 1)]
            charts.append({
                "title": metric + " %" * (form == "percent"),
                "x": {"label": "", "scale": "linear", "range": _wide(reach, form), "ticks": None},
                "y": {"label": "", "scale": "rows", "names": names, "range": [0, len(rows)], "ticks": None},
                "series": [{"name": metric, "colour": 0, "dash": 0, "marker": "circle", "line": False,
                            "points": points}],
                "lines": [], "commands": commands,
            })  # fmt: skip
    return charts


def score_curves(history: dict, command: str) -> list[dict]:
    """The scores of a fit over its generator updates, logarithmic where they say so.

    Args:
        history: a job's ``history.json``, whose ``scores`` are charts as
            :func:`callbacks.drawing.plane_scores.score_series` has them; older ones have none.
        command: that made it.
    """
    found = []
    for chart in history.get("scores", ()):
        series = [
            (label, [(x, y) for x, y in zip(chart["updates"], values, strict=True) if _is_finite(y)])
            for label, values in chart["series"].items()
        ]
        if chart["log"]:
            series = [(label, [point for point in points if point[1] > 0]) for label, points in series]
        found += _over_updates(chart["title"], series, list(chart["lines"].items()), command, chart["log"])
    return found


def loss_charts(history: dict, command: str) -> list[dict]:
    """The losses of a fit over its generator updates, as :mod:`callbacks.drawing.loss_charts` draws them.

    Args:
        history: a job's ``history.json``.
        command: that made it.
    """
    columns = dict(zip(history["names"], zip(*history["rows"], strict=True), strict=True)) if history["rows"] else {}
    found = []
    for chart in history["charts"]:
        series = []
        for name, label in chart["series"].items():
            if name in columns:
                series.append((f"{label}, {RUNNING}", list(zip(history["updates"], columns[name], strict=True))))
            for stage, what in EPOCH_STAGES.items():
                key = f"{stage}/{name}"
                points = [(epoch["updates"], epoch[key]) for epoch in history["epochs"] if key in epoch]
                series.append((f"{label}, {what}", points))
        series = [(name, kept) for name, points in series if (kept := [p for p in points if _is_finite(p[1])])]
        found += _over_updates(chart["title"], series, list(chart.get("lines", {}).items()), command)
    return found


def _over_updates(
    title: str, series: list[tuple[str, list]], lines: list[tuple[str, float]], command: str, log: bool = False
) -> list[dict]:
    """A chart of curves over updates; none without a point."""
    series = [(name, _thinned(points)) for name, points in series if points]
    if not series:
        return []
    ordered = sorted(y for _, points in series for _, y in points)
    ends = [ordered[round(share * (len(ordered) - 1))] for share in (CLIPPED, 1 - CLIPPED)]
    reach = [*ends, *(value for _, value in lines)]
    updates = [x for _, points in series for x, _ in points]
    log = log and min(reach) > 0
    across = [min(0, *updates), max(updates) or 1]
    upright = [min(reach) / 1.2, max(reach) * 1.2] if log else _padded(min(reach), max(reach))
    return [{
        "title": title,
        "x": {"label": "generator updates", "scale": "linear", "range": across, "ticks": None},
        "y": {"label": "", "scale": "log" if log else "linear", "range": upright,
              "ticks": _decades(*upright) if log else None},
        "series": [
            {"name": name, "colour": colour, "dash": number % DASHES, "line": True,
             "marker": None if name.endswith(RUNNING) or len(points) > MOST_MARKED else "circle",
             "points": [[x, float(f"{y:.4g}"), None, None, 0] for x, y in points]}
            for number, ((name, points), colour) in enumerate(zip(series, _colours(series), strict=True))
        ],
        "lines": [list(line) for line in lines], "commands": [command],
    }]  # fmt: skip


def _colours(series: list[tuple[str, list]]) -> list[int]:
    """A colour a curve: the critic's and the generator's as everywhere, others free ones; of one term's curves the
    running means and those of the training set share one, and dashes tell them apart."""
    free, taken, found = cycle(FREE), {}, []
    for name, _ in series:
        term, _, stage = name.rpartition(", ")
        term = term if stage in (RUNNING, *EPOCH_STAGES.values()) else name
        if term not in taken:
            own = OF_ROLE.get(role(term))
            taken[term] = own if own and own not in taken.values() else (next(free), next(free))
        found.append(taken[term][stage == EPOCH_STAGES["val"]])
    return found


def _decades(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten between two positive numbers."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [tick for power in powers for digit in (1, 2, 5) if low <= (tick := float(f"{digit}e{power}")) <= high]


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)  # a diverged loss is null, or NaN in older files


def _thinned(points: list) -> list:
    step = math.ceil((len(points) - 1) / (MOST_VALUES - 1)) or 1
    return [*points[:-1:step], *points[-1:]]  # the last is what the fit came to


def _wide(reach: list[float], form: str) -> list[float]:
    """The range of scores, so wide that no small gap fills it: shares from 50 % or lower to 100 %, others from 0."""
    if form == "percent":
        return [max(0, min(*reach, FROM + 1) - 1), 100]
    return _padded(min(*reach, 0), max(*reach, 0))


def _padded(low: float, high: float) -> list[float]:
    pad = 0.08 * (high - low) or 0.1 * abs(high) or 0.1
    return [low - pad, high + pad]
