"""Warnings of a fit that would be said after each of its validations: of the same words the first."""

import contextlib
import re
import warnings
from collections.abc import Iterator

_said: dict[str, set[tuple]] = {}  # of each fit of this process


@contextlib.contextmanager
def warned_once(fit: str) -> Iterator[None]:
    """Within it, a warning is shown unless this process has shown one from the same line of code, of the same words
    with whatever figures, within another such context of this fit.

    Args:
        fit: its name.
    """
    said, show = _said.setdefault(fit, set()), warnings.showwarning

    def show_new(message, category, filename, lineno, file=None, line=None) -> None:
        of = category, filename, lineno, re.sub(r"\d+(\.\d+)?", "", str(message))
        if of not in said:
            said.add(of)
            show(message, category, filename, lineno, file, line)

    warnings.showwarning = show_new
    try:
        yield
    finally:
        warnings.showwarning = show
