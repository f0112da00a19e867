"""How a figure is written where people read it: in tables, sentences and a terminal. Files for programs
(``result.json``, CSV) have all digits.

A figure alone has four significant digits, and never fewer than stand before its point. One with a spread has the
decimals that the spread deserves, two significant digits of it, and so has the spread.
"""

import math
from collections.abc import Sequence
from decimal import Decimal  # which divides by powers of ten as far as floats reach

NONE = "-"  # where there is no figure
DIGITS = 4  # significant ones of a figure alone
SPREAD_DIGITS = 2
MOST_DIGITS = 7  # of any figure, those of a float32: a spread below them is one of rounding
PLAIN = range(-4, 6)  # exponents of ten of the figures that are written without one
PERCENT_DECIMALS = 2  # one image of ten thousand


def rounded(value: float | None) -> str:
    """A figure alone: ``1246``, ``94.12``, ``0.01234``, ``1.234e-07``; whole numbers as they are, no figure as a dash.

    Anything else than a number, such as a truth value, is written as it is.
    """
    if value is None:
        return NONE
    return str(value) if isinstance(value, bool | int | str) else _with_spreads(value, ())


def duration(seconds: float) -> str:
    """``12 s``, ``5 min``, ``1.5 h``."""
    return (
        f"{seconds / 3600:.1f} h"
        if seconds > 5400
        else f"{seconds / 60:.0f} min"
        if seconds > 90
        else f"{seconds:.0f} s"
    )


def finite(content):
    """Plain values as JSON has them: with None for each number that is not finite, at every depth."""
    if isinstance(content, dict):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def with_spreads(mean: float, spreads: Sequence[float], percent: bool = False) -> str:
    """A mean and its spreads, all to the same decimals: ``1245.8 ± 3.2``.

    Args:
        mean: NaN, which is no figure, becomes a dash.
        spreads: what follows ±, in order; a dash for one that is NaN. Where all are, there is no ±.
        percent: these are shares, written in per cent to one image of ten thousand: ``90.57 ± 1.24``.
    """
    known = () if all(map(math.isnan, spreads)) else tuple(spreads)
    if percent and not math.isnan(mean):
        return " ± ".join(_fixed(100 * value, PERCENT_DECIMALS) for value in (mean, *known))
    return _with_spreads(mean, known)


def _with_spreads(mean: float, spreads: tuple[float, ...]) -> str:
    if math.isnan(mean):
        return NONE
    values = (mean, *spreads)
    if isinstance(mean, int) and not any(spreads):
        return " ± ".join(f"{value:.0f}" for value in values)
    decimals = _decimals(mean, spreads)
    shown = [round(value, decimals) for value in values if math.isfinite(value)]  # 9.9999e-5 is 1.000e-4, and no 10e-5
    largest = max((_exponent(value) for value in shown if value), default=0)
    power = 0 if largest in PLAIN else largest  # of ten, that is written once, behind all
    text = " ± ".join(_fixed(Decimal(float(value)).scaleb(-power), max(0, decimals + power)) for value in values)
    if not power:
        return text
    return f"({text})e{power:+03d}" if spreads else f"{text}e{power:+03d}"


def _decimals(mean: float, spreads: tuple[float, ...]) -> int:
    """How many the figures deserve, negative left of the point: by the smallest spread that is none of rounding, and
    not far beyond what the largest deserves."""
    sized = [value for value in (mean, *spreads) if _has_digits(value)]
    if not sized:
        return 1
    top = max(map(_exponent, sized))
    deserved = [SPREAD_DIGITS - 1 - _exponent(spread, SPREAD_DIGITS) for spread in spreads if _has_digits(spread)]
    deserved = [decimals for decimals in deserved if decimals < MOST_DIGITS - top]
    if deserved:
        return min(max(deserved), min(deserved) + SPREAD_DIGITS)
    return DIGITS - 1 - (_exponent(mean, DIGITS) if _has_digits(mean) else top)


def _has_digits(value: float) -> bool:
    return math.isfinite(value) and value != 0


def _exponent(value: float, digits: int = MOST_DIGITS) -> int:
    """Of ten, of a figure rounded to that many significant digits: 1 of 9.99 with two, which is written 10."""
    return int(f"{value:.{digits - 1}e}".partition("e")[2])


def _fixed(value: float | Decimal, decimals: int) -> str:
    """``0.00`` also of what is negative and rounds to that."""
    if not math.isfinite(value):
        return NONE if math.isnan(value) else str(float(value))
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if text.startswith("-0") and not float(text) else text
