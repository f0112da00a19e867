"""What constructors ask of their arguments: ``ValueError``, in one line that names the setting.

Every package takes them from here. The names are those a user knows: ``require_whole(**{"dataset.batch_size": 0})``.
"""

import math
from collections.abc import Iterable

NOT_IN_A_FIT = "it only raises"


def require_whole(least: int = 1, of: str = "", or_null: bool = False, **numbers: int | None) -> None:
    """Raises ValueError for the first that is not a whole number, or less than ``least`` (0 or 1), by its name."""
    expected = ("a positive whole number" if least else "a whole number from 0") + (of and f" of {of}")
    expected += ", or null" * or_null
    for name, number in numbers.items():
        if or_null and number is None:
            continue
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise ValueError(f"{name}={number}: expects {expected}")


def require_positive(**numbers: float) -> None:
    """Raises ValueError for the first number that is not greater than zero, by its name."""
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < math.inf:
            raise ValueError(f"{name}={number}: expects a positive number")


def require_non_negative(**numbers: float) -> None:
    """Raises ValueError for the first number that is less than zero or none at all, by its name."""
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < math.inf:
            raise ValueError(f"{name}={number}: expects a number from 0")


def require_share(**numbers: float) -> None:
    """Raises ValueError for the first number that is not from 0 to below 1, by its name."""
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < 1:
            raise ValueError(f"{name}={number}: expects a number from 0 to below 1")


def require_one_of(accepted: Iterable, **chosen) -> None:
    """Raises ValueError for the first choice that is none of the accepted ones, by its name."""
    for name, choice in chosen.items():
        if choice not in accepted:
            raise ValueError(f"{name}={choice}: accepted are {', '.join(map(str, accepted))}")


def require_range(name: str, ends) -> None:
    """Raises ValueError for what is not two finite numbers in ascending order."""
    numbers = isinstance(ends, list | tuple) and all(type(end) in (int, float) and math.isfinite(end) for end in ends)
    if not numbers or len(ends) != 2 or not ends[0] < ends[1]:
        shown = list(ends) if isinstance(ends, tuple) else ends
        raise ValueError(f"{name}={shown}: expects two numbers, the lower one first")
