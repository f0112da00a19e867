"""Mistakes of the user, and the one line that each of them costs."""

import difflib
import sys

from latent_lab.escaping import one_line
from latent_lab.stopping import require_not_told

LONGEST = 2000  # letters of a message: a value of the user's may have a million


class Mistake(ValueError):
    """The user's; its message is the one line that is printed."""


def fail(message: object, program: str, code: int = 2) -> None:
    """Ends the process as a mistake of the user does: one line, exit code 2.

    What fails after a signal is no mistake: an interruption ends by that.
    """
    require_not_told()
    line = one_line(" ".join(str(message).split()))
    print(f"{program}: {line if len(line) <= LONGEST else f'{line[:LONGEST]} ...'}", file=sys.stderr)
    raise SystemExit(code)


def nearest(word: str, accepted: list[str]) -> str:
    """`` (did you mean X?)``, or nothing if no accepted word is near."""
    close = difflib.get_close_matches(word, accepted, n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""
