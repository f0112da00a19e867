"""A sweep's tables in a page of documentation, between two marks, under the command that made them:

<!-- table: NAME OF THE SWEEP -->
<!-- end of table -->

All else on the page is left as it is.
"""

import math
import shlex
from pathlib import Path

from latent_lab.escaping import one_line
from latent_lab.mistakes import Mistake
from latent_lab.storage import write_text

END = "<!-- end of table -->"
OF_A_MACHINE = ("sweep=", "paths.", "hydra", "fresh=", "logger=", "logger.", "trainer.enable_progress_bar=")


def require_mark(page: Path, sweep: str) -> tuple[str, str]:
    """What stands on a page before and after a sweep's table; raises Mistake where that has no place."""
    mark = f"<!-- table: {sweep} -->"
    if not page.is_file():
        raise Mistake(f"into={page}: no such file")
    text = page.read_text(encoding="utf-8")
    if text.count(mark) != 1:
        found = f"has {text.count(mark)} times" if mark in text else "has no"
        raise Mistake(f"into={page}: {found} {mark}; the table stands between one such line and {END}")
    before, _, rest = text.partition(mark)
    inside, end, after = rest.partition(END)
    if not end or "<!-- table: " in inside:
        raise Mistake(f"into={page}: {mark} has no {END} of its own below it")
    return before + mark, END + after


def write_into(page: Path, sweep: str, results: list[dict], tables: list[str]) -> None:
    """Puts a sweep's tables (lines of Markdown) into a page, in place of what stood there.

    Raises:
        Mistake: the page has no place for them.
    """
    before, after = require_mark(page, sweep)
    commands = [f"    {command}" for command in commands_of(results)]
    lacking = sum(result["status"] != "ok" for result in results)
    note = ["", f"{lacking} of {len(results)} jobs are not done or failed."] if lacking else []
    write_text(page, "\n".join([before, "", *commands, *note, "", *tables, "", after]))


def commands_of(results: list[dict]) -> list[str]:
    """The fewest command lines found that name just these jobs, without what is of the machine only."""
    jobs: dict[tuple, dict[str, str]] = {}
    for result in results:
        words = [word for word in result.get("overrides", []) if not word.startswith(OF_A_MACHINE)]
        if "overrides" in result:
            jobs[tuple(words)] = dict(word.split("=", 1) if "=" in word else (word, None) for word in words)
    groups: dict[tuple, list[dict]] = {}
    for job in jobs.values():
        groups.setdefault(tuple(job), []).append(job)
    return [command for group in groups.values() for part in _products(group) for command in [_command(part)]]


def _products(jobs: list[dict]) -> list[dict[str, list]]:
    """Jobs of equal keys as products of values: as one, or divided by the key that makes the fewest."""
    values = {key: sorted({job[key] for job in jobs}, key=_order) for key in jobs[0]}
    if math.prod(map(len, values.values())) == len(jobs):
        return [values]
    divisions = []
    for key in (key for key in values if len(values[key]) > 1):
        parts = [_products([job for job in jobs if job[key] == value]) for value in values[key]]
        divisions.append([product for part in parts for product in part])
    return min(divisions, key=len)


def _order(value: str | None) -> tuple:
    try:
        return 0, float(value), ""
    except (TypeError, ValueError):
        return 1, 0.0, str(value)


def _command(values: dict[str, list]) -> str:
    words = [key if of == [None] else f"{key}={_listed(of)}" for key, of in values.items()]
    multirun = " -m" * any(len(of) > 1 for of in values.values())
    return one_line(f"python train.py{multirun} " + " ".join(shlex.quote(word) for word in words))


def _listed(values: list) -> str:
    """``0,1,2``; ``range(10)`` of many in a row from zero."""
    if len(values) > 3 and values == [str(number) for number in range(len(values))]:
        return f"range({len(values)})"
    return ",".join(map(str, values))
