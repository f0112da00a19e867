"""Being told to stop, by a user's Ctrl-C, by a launcher, or by Slurm ahead of a limit or a preemption."""

import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from latent_lab.escaping import one_line

STOPPED = 75  # EX_TEMPFAIL, the exit code of a process that was told to stop and has written that down
NAMES = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2")  # a terminal that is closed sends SIGHUP
SIGNALS = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
AGAIN = 5.0  # seconds after which a user may have to say it again: what was interrupted has been written down by then
# Who is interrupted in the middle of these leaves a lock taken, or half a module; TensorBoard's writer waits for ever.
NOT_IN = ("threading", "queue", "logging", "tensorboard", "torch.utils.tensorboard", "importlib", "_frozen_importlib")
PATIENCE, LOOK = 1.0, 0.01  # seconds that such a moment is waited for to pass, and between looks
_told: list[float] = []  # when


def heed() -> None:
    """From now on a signal ends this process by ``SystemExit``, once: what is then written down is not disturbed."""
    sys.unraisablehook = _but_for_stops(sys.unraisablehook)
    for signum in SIGNALS:
        signal.signal(signum, _stop)


@contextmanager
def heeded() -> Iterator[None]:
    """Within it Ctrl-C is a ``KeyboardInterrupt`` and any other signal a ``SystemExit``, and what follows within five
    seconds disturbs no writing down. An error after a signal is what a library made of it (OmegaConf does), and ends
    this as the signal does. A signal that is ignored, as a shell has its background processes do, stays so; all are
    after one that was heeded, for the process is about to end."""
    _told.clear()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    hook, sys.unraisablehook = sys.unraisablehook, _but_for_stops(sys.unraisablehook)
    before = {signum: handler for signum in SIGNALS if (handler := signal.getsignal(signum)) != signal.SIG_IGN}
    try:
        for signum in before:
            signal.signal(signum, _stop_at_first)
        yield
    except Exception:
        require_not_told()
        raise
    finally:
        sys.unraisablehook = hook
        for signum, handler in before.items():
            signal.signal(signum, signal.SIG_IGN if _told else handler or signal.SIG_DFL)


def until_told(run: Callable[[], int], then: Callable[[], str]) -> int:
    """A program, to its end or to a signal.

    Args:
        run: does what it is for; returns the exit code.
        then: what is printed after a signal that ``run`` has not answered itself; the exit code is 1.
    """
    try:
        with heeded():
            return run()
    except (SystemExit, KeyboardInterrupt) as stop:
        if isinstance(stop, SystemExit) and not told():
            raise
        print(then())
        return 1


def told() -> bool:
    """Whether there was a signal: what fails then has not failed, whatever error an interruption was made of."""
    return bool(_told)


def goes_on(*more: str) -> str:
    """What is said at the end of an interrupted command: that nothing is lost, and how to go on.

    Args:
        more: words that the command lacks.
    """
    command = one_line(shlex.join(["python", Path(sys.argv[0]).name, *sys.argv[1:], *more]))
    return f"interrupted: nothing is lost, the same command goes on from the last epoch:\n{command}"


def require_not_told() -> None:
    """Raises SystemExit again if there was a signal: Python drops an exception that comes while it clears up (in a
    ``__del__``, in a callback of C)."""
    if _told:
        _look_again_in(0)
        raise SystemExit(STOPPED)


def _but_for_stops(hook: Callable) -> Callable:
    """What says of an exception that Python dropped it, but for those of here: :func:`require_not_told` has them."""

    def say(dropped) -> None:
        if not (_told and isinstance(dropped.exc_value, SystemExit | KeyboardInterrupt)):
            hook(dropped)

    return say


def _stop(_, frame: FrameType | None) -> None:
    if not _told:
        _told.append(time.monotonic())
        _raise_at_a_good_moment(SystemExit(STOPPED), frame)


def _stop_at_first(signum: int, frame: FrameType | None) -> None:
    if not _told or time.monotonic() - _told[-1] > AGAIN:
        _told.append(time.monotonic())
        stop = KeyboardInterrupt() if signum == signal.SIGINT else SystemExit(STOPPED)
        _raise_at_a_good_moment(stop, frame)


def _raise_at_a_good_moment(stop: BaseException, frame: FrameType | None) -> None:
    if hasattr(signal, "setitimer") and time.monotonic() - _told[-1] < PATIENCE and _is_bad(frame):
        signal.signal(signal.SIGALRM, lambda _, later: _raise_at_a_good_moment(stop, later))
        _look_again_in(LOOK)
    else:
        raise stop


def _is_bad(frame: FrameType | None) -> bool:
    """Whether a frame, or one that called it, is in a module of ``NOT_IN``."""
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.startswith(NOT_IN):
            return True
        frame = frame.f_back
    return False


def _look_again_in(seconds: float) -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)
