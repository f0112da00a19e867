"""The rows that a table makes of results: what is averaged, over what, and how a figure is written."""

import math
import statistics
from collections.abc import Iterable
from typing import NamedTuple

from latent_lab.results import LEADING, headline, repeats, settings, sortable
from latent_lab.rounding import rounded, with_spreads

OVER = {"draws": "draws of the labels", "seeds": "seeds of the fit"}  # what figures vary over


class Spread(NamedTuple):
    """A metric over repetitions: its mean, a whole number where counts have one; the sample standard deviation over
    draws of the labels, pooled over seeds of the fit; and over seeds, of the means over draws. NaN where there is one
    only."""

    mean: float
    draws: float
    seeds: float


def aggregate(results: list[dict]) -> tuple[list[str], list[dict]]:
    """Jobs of one kind that differ only in what is repeated become one row: those of one ``setting``, whatever words
    their commands had for it (a default may be named, a logger decides nothing); of results from before there were
    settings, those of equal words.

    Returns:
        the settings in which rows differ, and the rows: these settings (None where no command named it, ``null`` where
        one did), how many ``draws`` and ``seeds``, for each metric a :class:`Spread`; ``failed`` counts the failures,
        ``diverged`` the jobs with a metric that is no number; rows of one ``curve`` differ in the labels only;
        ``members`` are the results behind a row, by (seed, draw of the labels).
    """
    with_settings = [(result, values) for result in results if (values := settings(result))]
    repeated = repeats(results[0]) if results else []
    keys = list(dict.fromkeys(key for _, values in with_settings for key in values if key not in repeated))
    keys = [*(k for k in LEADING if k in keys), *(k for k in keys if k not in LEADING)]
    groups: dict[object, dict[tuple, dict]] = {}
    for result, values in sorted(with_settings, key=lambda pair: pair[0].get("created", "")):
        words = tuple(str(values.get(k)) for k in keys)
        repetition = tuple(result.get(k) for k in ("seed", "label_seed"))
        groups.setdefault(result.get("setting") or words, {})[repetition] = result  # one counts once, the newest
    called = [(_named(keys, members.values()), members) for members in groups.values()]
    shown = [k for k in keys if k in LEADING or len({str(words[k]) for words, _ in called}) > 1]
    rows = []
    for words, members in sorted(called, key=lambda of: [sortable(of[0][k]) for k in shown]):
        good = {repetition: m for repetition, m in members.items() if m["status"] == "ok"}
        first = next(iter(members.values()))
        row = {k: words[k] for k in shown} | {"failed": sum(m["status"] == "failed" for m in members.values())}
        row |= {"diverged": sum(None in [m["metrics"].get(k, 0) for k in headline(first)] for m in good.values())}
        row |= {"seeds": len({seed for seed, _ in good}), "draws": len({draw for _, draw in good})}
        row |= {"curve": first.get("curve"), "members": members}
        for metric in headline(first):
            row[metric] = spread({k: m["metrics"][metric] for k, m in good.items() if metric in m["metrics"]})
        rows.append(row)
    return shown, rows


def _named(keys: list[str], members: Iterable[dict]) -> dict[str, object]:
    """What the newest command that named a setting called it: the others meant the same."""
    found = dict.fromkeys(keys)
    for member in members:
        for key, value in settings(member).items():
            if value is not None or key in member.get("settings", {}):
                found[key] = "null" if value is None else value
    return {key: found[key] for key in keys}


def in_column(value: object) -> str:
    """A setting of a row as a table has it: a dash where no command named it."""
    return "-" if value is None else str(value)


def lost(row: dict) -> str:
    """`` (1 failed)``, beside how many repetitions a row has: of these, what has no figure, so that a mean has none."""
    said = [f"{row[how]} {how}" for how in ("failed", "diverged") if row[how]]
    return f" ({', '.join(said)})" if said else ""


def spread(values: dict[tuple, float]) -> Spread:
    """The spread of a metric by (seed, draw)."""
    by_seed: dict = {}
    values = {key: math.nan if value is None else value for key, value in values.items()}  # of what diverged
    for (seed, _), value in values.items():
        by_seed.setdefault(seed, []).append(value)
    if not by_seed:
        return Spread(math.nan, math.nan, math.nan)
    means = [statistics.fmean(draws) for draws in by_seed.values()]
    free = [len(draws) - 1 for draws in by_seed.values()]  # degrees of freedom
    squares = [n * statistics.variance(draws) for n, draws in zip(free, by_seed.values(), strict=True) if n]
    mean = statistics.fmean(values.values())
    counts = all(isinstance(value, int) for value in values.values())
    return Spread(
        int(mean) if counts and mean.is_integer() else mean,
        math.sqrt(sum(squares) / sum(free)) if squares else math.nan,
        math.sqrt(statistics.variance(means)) if len(means) > 1 else math.nan,  # stdev takes no NaN
    )


def in_words(value: Spread, form: str, over: list[str]) -> str:
    """``90.57 ± 1.24``: the mean and those spreads (``draws``, ``seeds``) that a table shows; a dash for no figure.

    Args:
        value: the figure.
        form: ``percent`` of a figure in [0, 1], or ``number``.
        over: the spreads.
    """
    return with_spreads(value.mean, [getattr(value, name) for name in over], percent=form == "percent")


def in_unit(value: float, form: str) -> str:
    """A metric as its table has it: ``77.60 %``, or a number."""
    return f"{100 * value:.2f} %" if form == "percent" else rounded(value)


def varying(rows: list[dict], repeated: list[str]) -> list[str]:
    """Over what the figures of rows vary: ``draws``, ``seeds``, those of which any row has several; at least one."""
    possible = [name for name in ("draws", "seeds") if name != "draws" or "label_seed" in repeated]
    return [name for name in possible if any(row[name] > 1 for row in rows)] or possible[:1]


def of_spreads(over: list[str], rows: list[dict]) -> str:
    """What stands behind ± in a table of these rows; one repetition shows no deviation."""
    alone = [row for row in rows if max(row[name] for name in over) == 1]
    if not any(row[name] > 1 for row in rows for name in over):
        return "of one repetition each, so no deviation is known."
    words = ", then over the ".join(OVER[name] for name in over)
    pooled = " The former is pooled over the seeds, the latter of the means over draws." if len(over) > 1 else ""
    none = " A figure without ± is of one repetition, and its deviation unknown." if alone else ""
    return f"mean ± sample standard deviation over the {words}.{pooled}{none}"
