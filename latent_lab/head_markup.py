"""The table of heads (:mod:`latent_lab.head_table`) as Markdown, as LaTeX and as CSV."""

import csv
import io

from latent_lab import head_table
from latent_lab.escaping import in_csv, in_latex, in_markdown
from latent_lab.head_table import Block, Line
from latent_lab.references import sources
from latent_lab.results import sortable
from latent_lab.rows import OVER

WORDS_OF_HEAD = 3  # columns before the figures
WORDS = (
    "Setting: what the classifier saw. Supervised: labelled images only; semi-supervised: training images without "
    "labels too; transductive: also the images it is scored on, without labels. The encoder of our codes is trained on "
    "training images without labels, but for a model with a classifier of its own, which learns from the same labels."
)
PAIRED = (
    "Differences are means over pairs of the same draw of labels and the same seed, in points of per cent, ± the "
    "largest half-width of their 95 % intervals (Student's t) over pairs, draws and seeds: within it none is shown. "
    "Transductive heads are compared with each other only."
)


def caption(block: Block) -> str:
    """What the figures of a table are, and of how many repetitions."""
    split = "Test" if block.on_test else "Validation"
    over = ", then over the ".join(OVER[name] for name in block.over)
    of = f"{block.full} repetitions" if block.full > 1 else "one repetition"
    spread = f"mean ± sample standard deviation over the {over}" if block.full > 1 else "no deviation is known"
    pooled = " (the former pooled over the seeds, the latter of the means over draws)" if len(block.over) > 1 else ""
    full = " with the most repetitions" if block.uneven else ""
    if not block.full:
        return f"{split} accuracy in per cent on {block.dataset}: none is known yet."
    return (
        f"{split} accuracy in per cent on {block.dataset}, {of} in a cell unless it says otherwise; {spread}{pooled}. "
        f"Bold: of ours{full}, the best mean of those that do not see the images they are scored on, and of those that "
        "do."
    )


def markdown(tables: list[Block]) -> list[str]:
    """The tables of all data sets, what is best where, and the sources of what is quoted, as lines.

    Args:
        tables: of one kind of results.
    """
    text = []
    for block in tables:
        text += [f"**{in_markdown(block.title)}**", "", *_table(head_table.header(block), _cells(block))]
        text += ["", in_markdown(caption(block)), ""]
    text += [WORDS, ""]
    if said := [line for block in tables for line in head_table.standing(block)]:
        text += [PAIRED, "", *(f"- {in_markdown(line)}" for line in said), ""]
    for title, listed in (("Chosen by cross-validation", head_table.chosen), ("Warnings", head_table.warnings)):
        if said := [line for block in tables for line in listed(block)]:
            text += [f"{title}, how often in brackets:" if listed is head_table.chosen else f"{title}:", ""]
            text += [*(f"- {in_markdown(line)}" for line in said), ""]
    counts = sorted({count for block in tables for count in block.counts}, key=sortable)
    if quoted := sources([block.dataset for block in tables if block.published], counts):
        text += ["Published:", "", *(f"- {line}" for line in quoted), ""]
    return text[:-1]


def _cells(block: Block) -> list[list[str]]:
    return [
        [f"**{cell}**" if number in line.bold else cell for number, cell in enumerate(map(in_markdown, line.cells))]
        for line in head_table.lines(block)
    ]


def markdown_table(header: list[str], rows: list[list[str]]) -> list[str]:
    """A table of plain text as lines of Markdown."""
    return _table([*map(in_markdown, header)], [[*map(in_markdown, cells)] for cells in rows])


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(cells) + " |" for cells in rows]


def latex(tables: list[Block]) -> str:
    """The tables of all data sets as LaTeX, which needs booktabs."""
    text = [r"% \usepackage{booktabs}"]
    for block in tables:
        found = head_table.lines(block)
        text += ["", r"\begin{table}", r"\centering", rf"\caption{{{in_latex(caption(block))}}}"]
        text += [rf"\begin{{tabular}}{{lll{'r' * len(block.counts)}}}", r"\toprule"]
        text += [" & ".join(map(in_latex, head_table.header(block))) + r" \\", r"\midrule"]
        text += [_latex_row(line) for line in found if not line.published]
        if any(line.published for line in found):
            text += [r"\midrule", *(_latex_row(line) for line in found if line.published)]
        text += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(text) + "\n"


def _latex_row(line: Line) -> str:
    cells = map(in_latex, line.cells)
    cells = [rf"\textbf{{{cell}}}" if number in line.bold else cell for number, cell in enumerate(cells)]
    return " & ".join(cells) + r" \\"


def csv_text(rows: list[dict]) -> str:
    """Rows as CSV, each a line, with a column for every key that any of them has; no text is a
    spreadsheet's formula."""
    out = io.StringIO()
    fields = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(in_csv, fields))
    for row in rows:
        cells = (row.get(key, "") for key in fields)
        writer.writerow(in_csv(cell) if isinstance(cell, str) else cell for cell in cells)
    return out.getvalue()
