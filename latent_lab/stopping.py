"""Being told to stop, by a launcher, or by Slurm ahead of a limit or a preemption."""

import signal

STOPPED = 75  # EX_TEMPFAIL, the exit code of a process that was told to stop and has written that down
SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)]
_told: list[int] = []


def heed() -> None:
    """From now on a signal ends this process by ``SystemExit``, once: what is then written down is not disturbed."""
    for signum in SIGNALS:
        signal.signal(signum, _stop)


def require_not_told() -> None:
    """Raises SystemExit again if there was a signal: Python drops an exception that comes while it clears up (in a
    ``__del__``, in a callback of C)."""
    if _told:
        raise SystemExit(STOPPED)


def _stop(signum: int, _) -> None:
    if not _told:
        _told.append(signum)
        raise SystemExit(STOPPED)
