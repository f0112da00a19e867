"""Words of others (names, settings, errors) in each medium that shows them: nothing in them is a command to it.

A class, a folder or an error may be called ``<script>``, ``a|b``, ``[/red]``, ``$x$``, or contain a line's end or the
bytes that clear a terminal. What a medium can't show is written as Python writes it: ``\\x1b``.
"""

import re

NUMBER = r"[+-]?[\d.]+(e[+-]?\d+)?|-"  # and the dash of no value
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "<": r"$<$", ">": r"$>$", "|": r"$|$",
    "[": "{[}", "*": "{*}",  # which a line's end would take for an argument of its own
}  # fmt: skip


def one_line(text: object) -> str:
    """Text for a terminal, and the beginning of all others: one line, every character of which can be seen."""
    return "".join(
        letter if letter.isprintable() else " " if letter.isspace() else letter.encode("unicode_escape").decode()
        for letter in str(text)
    )


def visible(text: str) -> str:
    """As :func:`one_line`, with its line ends and tabs: what a log says."""
    return "".join(letter if letter in "\n\t" else one_line(letter) for letter in text)


def in_markdown(text: object) -> str:
    """Text in a paragraph, a heading, an item of a list or a cell of a table."""
    return re.sub(r"[\\`*\[\]<>|&~$]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", one_line(text))


def in_csv(text: str) -> str:
    """Text in a cell of CSV: before what a spreadsheet would run as a formula stands an apostrophe (OWASP, "CSV
    injection")."""
    line = one_line(text)
    return f"'{line}" if line.lstrip()[:1] in ("=", "+", "-", "@") and not re.fullmatch(NUMBER, line) else line


def as_code(text: object) -> str:
    """Text as code in Markdown, whatever backticks are in it."""
    line = one_line(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    space = " " if line[:1] in ("`", " ") or line[-1:] in ("`", " ") else ""
    return f"{fence}{space}{line}{space}{fence}"


def in_latex(text: object) -> str:
    """Text in a paragraph or a cell of a table."""
    return "".join(LATEX.get(letter, letter) for letter in one_line(text))


def in_chart(text: object) -> str:
    """Text in a figure of matplotlib's, to which what stands between two dollars is a formula."""
    return one_line(text).replace("$", r"\$")
