"""Tables and closing lines for a terminal of any width: a value of a setting is wrapped, and nothing is ever cut."""

import os
import re
import shlex
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from latent_lab.escaping import one_line
from latent_lab.head_markup import WORDS_OF_HEAD
from latent_lab.head_table import Block, Line, header, lines
from latent_lab.results import BOUNDS, is_bound
from latent_lab.rounding import rounded

OFF_A_TERMINAL = 140  # columns
LEAST = 8  # letters of a setting's column where the terminal has no room for its longest word
BREAKS = r"(?<=[._ ])"  # where a column's name may go on in the next line
BREAKS_OF_VALUES = r"(?<=[ /-])(?=\D)"  # where a setting's value may: not within a name or a number
EVENTS, TICKED = "events.out.tfevents", 40  # TensorBoard's files; runs of which its SCALARS ticks all, of more none
BORDERS = 3  # columns of a terminal that a column of a table takes beside its text
# Of a job and of a sweep, what is worth a look, the most worth it last
OF_A_JOB = {
    "report.md": "figures", "losses.png": "losses", "codes.png": "codes", "confusion_matrix.png": "confusion",
    "view.gif": "film", "errors.png": "errors", "samples.png": "sheet", "report.html": "report", "page.html": "page",
}  # fmt: skip
OF_A_SWEEP = {
    "results.csv": "data", "heads.csv": "data", "heads.tex": "LaTeX", "losses.png": "losses", "results.md": "table",
    "panels.png": "sheet", "accuracy.png": "chart", "report.html": "report",
}  # fmt: skip


class Cells(NamedTuple):
    """A table as text: of each row its ``settings`` and its ``figures``, under their names; ``bold`` and ``quoted``
    are rows' columns, and rows, that stand out."""

    settings: list[str]
    figures: list[str]
    rows: list[list[str]]
    bold: Sequence[set[int]] = ()
    quoted: Sequence[bool] = ()


def console() -> Console:
    """The terminal."""
    return Console(width=None if Console().is_terminal else OFF_A_TERMINAL)


def show_settings(screen: Console, cells: Cells) -> None:
    """A row a setting. What all rows agree in stands above, floors and limits below; figures that the terminal has no
    room for are named."""
    settings, figures, rows = cells.settings, cells.figures, cells.rows
    columns = dict(zip([*settings, *figures], zip(*rows, strict=True), strict=True))
    same = [name for name in settings if len(set(columns[name])) == 1]
    bounds = [name for name in figures if is_bound(name)]
    shown = [name for name in figures if name not in bounds]
    differing = [name for name in settings if name not in same]
    if same:
        screen.print(Text(one_line(", ".join(f"{name} {columns[name][0]}" for name in same))))
    part = Cells(differing, shown, list(zip(*(columns[name] for name in [*differing, *shown]), strict=True)))
    first = _parts(part, screen.width)[0] if shown else slice(0)
    _print(screen, part, first)
    alike = [name for name in bounds if len(set(columns[name])) == 1]
    if alike:
        screen.print(Text(one_line(", ".join(f"{name} {columns[name][0]}" for name in alike))))
    if left_out := [*shown[first.stop :], *(name for name in bounds if name not in alike)]:
        screen.print(Text(one_line(f"in results.md also: {', '.join(left_out)}")))


def show_heads(screen: Console, block: Block) -> None:
    """The heads against each other on one data set; where the spreads have no room without them, which is said, and in
    several tables where the numbers of labels have none."""
    screen.print(Text(one_line(f"{block.title}, accuracy %"), style="italic"))
    wide, narrow = (_of_heads(block, lines(block, means_only=means)) for means in (False, True))
    fits = 1 + sum(words + BORDERS for words in [*_longest_words(wide), *_widths(wide)]) <= screen.width
    cells = wide if fits else narrow
    for part in _parts(cells, screen.width):
        _print(screen, cells, part)
    if cells.rows != wide.rows:
        screen.print(Text("results.md has the ± of each"))


def _of_heads(block: Block, found: list[Line]) -> Cells:
    names = header(block)
    return Cells(
        names[:WORDS_OF_HEAD], names[WORDS_OF_HEAD:], [line.cells for line in found],
        [line.bold for line in found], [line.published for line in found],
    )  # fmt: skip


def show_metrics(screen: Console, metrics: dict[str, float | None]) -> None:
    """A job's metrics, each with its floor and its limit where it has such."""
    bounds = {ending: [name for name in metrics if name.endswith(ending)] for ending in BOUNDS}
    plain = [name for name in metrics if not name.endswith((*BOUNDS, *(f"{ending}_sd" for ending in BOUNDS)))]
    used = {ending: title for ending, title in BOUNDS.items() if bounds[ending]}
    rows = [[name, rounded(metrics[name]), *(_bound(name, metrics, ending) for ending in used)] for name in plain]
    names = ["value", *used.values()]
    longest = [max(map(len, column)) for column in zip(["metric", *names], *rows, strict=True)]
    if sum(longest) + BORDERS * len(longest) + 1 > screen.width:
        for name, *found in rows:
            figures = ", ".join(f"{word} {text}" for word, text in zip(names, found, strict=True) if text)
            screen.print(Text(one_line(f"{name}: {figures.removeprefix('value ')}")))
        return
    table = Table("metric", *names)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    screen.print(table)


def _bound(name: str, metrics: dict[str, float | None], ending: str) -> str:
    """The floor or limit of a metric: that of ``w1`` is also that of ``w1_averaged``; the longest such name counts."""
    stems = [other.removesuffix(ending) for other in metrics if other.endswith(ending)]
    of = max((stem for stem in stems if f"{name}_".startswith(f"{stem}_")), key=len, default=None)
    return "" if of is None else rounded(metrics[of + ending])


def show_files(folder: Path, names: dict[str, str]) -> None:
    """Where to look: a line for each file that is there, as the working directory sees it."""
    for name, word in names.items():
        if (folder / name).exists():
            print(f"{word:<10}{one_line(from_here(folder / name))}")


def show_tensorboard(outputs: Path, folder: Path) -> None:
    """How TensorBoard shows what lies below ``outputs``; where that is more than its SCALARS ticks by itself, the fits'
    curves apart from the jobs of ``folder``."""
    runs = (place for place, _, files in os.walk(outputs) if any(name.startswith(EVENTS) for name in files))
    if len(list(islice(runs, TICKED + 1))) <= TICKED:
        print(f"\ntensorboard --logdir {_quoted(outputs)}")
        return
    print()
    named = {"curves": outputs / "fits", "HPARAMS": folder}
    commands = [f"tensorboard --logdir {_quoted(path)}" for path in named.values()]
    for command, what in zip(commands, named, strict=True):
        print(f"{command:<{max(map(len, commands))}}  # {what}")


def _quoted(path: Path) -> str:
    return shlex.quote(one_line(from_here(path)))


def from_here(path: Path) -> Path:
    """A path from the working directory, where it lies below that."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _texts(cells: Cells, at: int) -> list[str]:
    """What stands in a column, its name first."""
    return [one_line(text) for text in ([*cells.settings, *cells.figures][at], *(row[at] for row in cells.rows))]


def _longest_words(cells: Cells) -> list[int]:
    """Of each setting's column the length of what can't be broken well."""
    columns = [_texts(cells, at) for at in range(len(cells.settings))]
    parts = [
        [*re.split(BREAKS, name), *(part for value in values for part in re.split(BREAKS_OF_VALUES, value))]
        for name, *values in columns
    ]
    return [max(len(part.rstrip()) for part in of) for of in parts]


def _least(cells: Cells, width: int) -> list[int]:
    """Of the settings' columns in a table of that width: their longest words, where these leave room for a figure; else
    the widest are narrowed, to 8 letters at the most, and their words broken."""
    words = _longest_words(cells)
    room = width - 1 - BORDERS * len(words) - max((wide + BORDERS for wide in _widths(cells)), default=0)
    capped = ([min(most, word) for word in words] for most in range(max(words, default=0), LEAST, -1))
    return next((found for found in capped if sum(found) <= room), [min(LEAST, word) for word in words])


def _widths(cells: Cells) -> list[int]:
    """Of the figures' columns: a name may be broken at its underscores and blanks, a figure not."""
    first = len(cells.settings)
    found = []
    for at, name in enumerate(cells.figures, first):
        words = [len(word.rstrip()) for word in re.split(BREAKS, one_line(name))]
        found.append(max(*words, *(len(one_line(row[at])) for row in cells.rows)))
    return found


def _parts(cells: Cells, width: int) -> list[slice]:
    """Which figures stand in one table of that width beside the settings; all where not even one does."""
    room = width - 1 - sum(least + BORDERS for least in _least(cells, width))
    parts, start, taken, widths = [], 0, 0, _widths(cells)
    if not widths or room < widths[0] + BORDERS:
        return [slice(0, len(widths))]  # as a list
    for at, wide in enumerate(widths):
        if at > start and taken + wide + BORDERS > room:
            parts.append(slice(start, at))
            start, taken = at, 0
        taken += wide + BORDERS
    return [*parts, slice(start, len(cells.figures))]


def _print(screen: Console, cells: Cells, part: slice) -> None:
    """A table of the settings and a part of the figures; where the terminal is too narrow for one, a list."""
    first, wide = len(cells.settings), _widths(cells)[part]
    room = screen.width - 1 - sum(width + BORDERS for width in wide) - BORDERS * first
    natural = [max(map(len, _texts(cells, at))) for at in range(first)]
    given = _least(cells, screen.width)
    if room < sum(given):
        for row in cells.rows:
            screen.print(Text(one_line(" ".join(f"{n}={v}" for n, v in zip(cells.settings, row, strict=False)))))
            for name, value in list(zip(cells.figures, row[first:], strict=True))[part]:
                screen.print(Text(one_line(f"  {name} {value}")))
        return
    while sum(given) < room and given != natural:  # a letter each in turn to those that lack some
        for at in sorted(range(first), key=lambda at: given[at])[:first]:
            if given[at] < natural[at] and sum(given) < room:
                given[at] += 1
    table = Table()
    for name, width in zip(cells.settings, given, strict=True):
        table.add_column(Text(_broken(one_line(name), width, BREAKS)), width=width, overflow="fold")
    for name, width in zip(cells.figures[part], wide, strict=True):
        table.add_column(Text(_broken(one_line(name), width, BREAKS)), justify="right", no_wrap=True, width=width)
    for number, row in enumerate(cells.rows):
        quoted = bool(cells.quoted) and cells.quoted[number]
        if quoted and not (number and cells.quoted[number - 1]):
            table.add_section()
        settings = [_broken(one_line(text), width, BREAKS_OF_VALUES) for text, width in zip(row, given, strict=False)]
        figures = [(at, one_line(text)) for at, text in list(enumerate(row))[first:][part]]
        bold = cells.bold[number] if cells.bold else ()
        table.add_row(
            *(Text(text, style="bold" if at in bold else "") for at, text in [*enumerate(settings), *figures]),
            style="dim" if quoted else "",
        )
    screen.print(table)


def _broken(text: str, width: int, breaks: str) -> str:
    """A text in lines of at most that width, broken where it may be."""
    found = [""]
    for word in re.split(breaks, text):
        if found[-1] and len(found[-1]) + len(word.rstrip()) > width:
            found.append("")
        found[-1] += word
    return "\n".join(line.rstrip() for line in found)
