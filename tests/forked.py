"""A command in a copy of this process, which has imported all it needs, as somebody else or under a limit."""

import os
import sys
from collections.abc import Callable
from typing import NamedTuple

from commands import ROOT

from conftest import run


class Said(NamedTuple):
    code: int
    text: str


def forked(before: Callable[[], None], program: str, *words: str) -> Said:
    """What a command came to, in a process that has called ``before``: which may call any function, too, and end it."""
    read, write = os.pipe()
    if not (child := os.fork()):
        code = 70
        try:
            os.dup2(write, 1)
            os.dup2(write, 2)
            sys.stdout = sys.stderr = os.fdopen(1, "w", buffering=1, closefd=False)
            os.chdir(ROOT)
            before()
            code = run(program, *words)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    os.close(write)
    with open(read, errors="replace") as said:
        text = said.read()
    return Said(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text)
