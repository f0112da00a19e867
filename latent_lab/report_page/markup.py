"""HTML in which nothing that a name contains becomes markup: a text is escaped where it is put into an element. What
can't be seen (control characters, marks that turn the direction of writing) is written as Python writes it."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable
from pathlib import Path

from latent_lab.escaping import visible

HERE = Path(__file__).parent
VOID = ("img", "meta", "input")  # elements without content


class Html(str):
    """Markup, as the functions here make it. Any other text is escaped where it is put into a page."""


def _escaped(text: str) -> str:
    return html.escape(visible(text))


def joined(parts: Iterable[str | None]) -> Html:
    """Parts one after another; those that are None are left out."""
    return Html("".join(part if isinstance(part, Html) else _escaped(part) for part in parts if part is not None))


def element(name: str, /, *content: str | None, **attributes: str | int | float | bool | None) -> Html:
    """An element, e.g. ``element("td", text, class_="number")``.

    Args:
        name: of the element.
        content: what is in it; None is left out.
        attributes: by their names, ``_`` for ``-``; True stands without a value, False and None don't stand at all.
    """
    said = []
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if value is True:
            said.append(f" {key}")
        elif value is not None and value is not False:
            said.append(f' {key}="{_escaped(str(value))}"')
    start = f"<{name}{''.join(said)}>"
    return Html(start if name in VOID else f"{start}{joined(content)}</{name}>")


def table(header: list[str], rows: list[list[tuple[str, float | None]]], bold: Iterable[tuple[int, int]] = ()) -> Html:
    """A table that a click on a column's name sorts.

    Args:
        header: the names of the columns.
        rows: cells, each its text and what it is sorted by as a number; None sorts by the text.
        bold: the cells (row, column) that stand out.
    """
    numeric = [any(row[column][1] is not None for row in rows) for column in range(len(header))]
    heads = [
        element("th", element("button", name, type="button"), scope="col", class_="number" if right else None)
        for name, right in zip(header, numeric, strict=True)
    ]
    bold = set(bold)
    lines = [
        element("tr", *(
            element("td", element("b", text) if (at, column) in bold else text, data_by=value,
                    class_="number" if numeric[column] else None)
            for column, (text, value) in enumerate(row)
        ))
        for at, row in enumerate(rows)
    ]  # fmt: skip
    inside = element("table", element("thead", element("tr", *heads)), element("tbody", *lines), class_="sortable")
    return element("div", inside, class_="wide", tabindex="0", role="region", aria_label="table")


def sentence(text: str) -> str:
    """Words with a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def command(words: str) -> Html:
    """A command line that a click copies."""
    return element("div", element("code", words), element("button", "copy", type="button"), class_="command")


def page(title: str, body: Html, charts: list[dict]) -> str:
    """A page with our style and our script in it, and a policy that lets no other script run and nothing be fetched.

    Args:
        title: of the page.
        body: what it shows; an element with ``data-chart=N`` is where chart N is drawn.
        charts: as :mod:`latent_lab.report_page.curves` makes them.
    """
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("style.css", "script.js"))
    policy = (
        f"default-src 'none'; img-src data:; style-src {_digest(style)}; script-src {_digest(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    data = json.dumps(_visible(charts), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    head = [
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Html(style)),
    ]
    end = [element("script", Html(data), type="application/json", id="charts"), element("script", Html(script))]
    text = element("html", element("head", *head), element("body", body, *end), lang="en")
    return f"<!DOCTYPE html>\n{text}\n".encode(errors="replace").decode()  # a folder's name may be no UTF-8


def _visible(content):
    """Plain values whose texts a script puts into the page."""
    if isinstance(content, dict):
        return {key: _visible(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_visible(value) for value in content]
    return visible(content) if isinstance(content, str) else content


def _digest(text: str) -> str:
    """How a policy names an inline style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def from_markdown(text: str) -> Html:
    """What our reports are written in: paragraphs, tables, bold words. Pictures and links are left out."""
    parts, rows = [], []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
            continue
        if len(rows) > 2:
            parts.append(table(rows[0], [[(cell, leading_number(cell)) for cell in row] for row in rows[2:]]))
        rows = []
        if line and not re.match(r"!?\[.*\]\(.*\)$", line):
            words = re.split(r"\*\*(.+?)\*\*", line)
            parts.append(element("p", *(element("b", w) if at % 2 else w for at, w in enumerate(words))))
    return joined(parts)


def sorted_by(value) -> float | None:
    """What a figure is sorted by; None, which comes last, for what is no number."""
    return float(value) if isinstance(value, int | float) and value == value else None


def leading_number(text: str) -> float | None:
    """The number that a text begins with; None for a text that does not."""
    found = re.match(r"-?\d[\d,]*(\.\d+)?(e[+-]\d+)?(?=\s|$)", text)
    return float(found[0].replace(",", "")) if found else None
