"""How a fit is getting on: a bar on a terminal; where none can be drawn a line now and then, without escape codes. How
long it still takes is reckoned here for all who say it."""

import logging
import math
import sys
import time
import warnings

import pytorch_lightning as pl
from tqdm import tqdm

from callbacks.observers.watching import last_epoch
from latent_lab.rounding import duration, rounded

LINES = 10  # of a fit
FIGURES = 3  # of those that an epoch's end shows
REFRESH = 0.2  # seconds between two drawings of the bar

log = logging.getLogger("train")


class Pace:
    """How far a fit has come, and how long it still takes: the whole of it, not the epoch."""

    def __init__(self, trainer: pl.Trainer):
        self._start, self._from = time.monotonic(), share(trainer, 0)

    def seconds_left(self, trainer: pl.Trainer, batches: int) -> float:
        """Until the budget is spent, at the mean pace of this process; infinite where that isn't known.

        Args:
            trainer: of the fit.
            batches: of this epoch, that are done.
        """
        now = share(trainer, batches)
        return (time.monotonic() - self._start) * (1 - now) / (now - self._from) if now > self._from else math.inf


def share(trainer: pl.Trainer, batches: int) -> float:
    """Of the budget, in updates or epochs, that is spent after so many batches of this epoch: from 0 to 1; 0 where only
    time ends the fit."""
    if trainer.max_steps > 0:
        return trainer.global_step / trainer.max_steps
    epochs = trainer.current_epoch + batches / trainer.num_training_batches
    return epochs / trainer.max_epochs if (trainer.max_epochs or -1) > 0 else 0.0


def how_far(trainer: pl.Trainer) -> str:
    """``epoch 6 of 60``; ``update 1,200 of 20,000`` where that is the budget."""
    if trainer.max_steps > 0:
        return f"update {trainer.global_step:,} of {trainer.max_steps:,}"
    return f"epoch {trainer.current_epoch + 1}" + (
        f" of {trainer.max_epochs}" if (trainer.max_epochs or -1) > 0 else ""
    )


def left(seconds: float) -> list[str]:
    """``12 s left``, where that is known."""
    return [f"{duration(seconds)} left"] if math.isfinite(seconds) else []


class EpochLines(pl.Callback):
    """Logs ``epoch 6 of 60, val/elbo -50.4, 12 s left`` after each tenth of the budget, be it in epochs or updates."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._pace, self._said = Pace(trainer), int(share(trainer, 0) * LINES)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        tenth = int(share(trainer, trainer.num_training_batches) * LINES)
        if not trainer.is_global_zero or tenth <= self._said:
            return
        self._said = tenth
        shown = {name: value for name, value in trainer.progress_bar_metrics.items() if name.startswith("val/")}
        figures = [f"{name} {rounded(value)}" for name, value in list(shown.items())[:FIGURES]]
        seconds = self._pace.seconds_left(trainer, trainer.num_training_batches)
        log.info(", ".join([how_far(trainer), *figures, *left(seconds)]))


class FitBar(pl.Callback):
    """Draws ``epoch 6 of 60 |###       | 12 s left``: one bar for the whole fit, as wide as the terminal; a warning
    stands above it, in lines of its own."""

    _bar: tqdm | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._pace, self._drawn = Pace(trainer), time.monotonic()
        if trainer.is_global_zero:
            form = f"{how_far(trainer)} |{{bar}}|"
            self._bar = tqdm(total=1.0, bar_format=form, dynamic_ncols=True, file=sys.stderr)
            self._warn, warnings.showwarning = warnings.showwarning, self._warn_above

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs, batch, batch_idx) -> None:
        if time.monotonic() - self._drawn > REFRESH:
            self._draw(trainer, batch_idx + 1)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if last_epoch(trainer):
            self._draw(trainer, trainer.num_training_batches)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._close()

    def _draw(self, trainer: pl.Trainer, batches: int) -> None:
        if self._bar is not None:
            self._drawn = time.monotonic()
            still = ", ".join(left(self._pace.seconds_left(trainer, batches)))
            self._bar.n, self._bar.bar_format = share(trainer, batches), f"{how_far(trainer)} |{{bar}}| {still}"
            self._bar.refresh()

    def _warn_above(self, *warning) -> None:
        with tqdm.external_write_mode():
            self._warn(*warning)

    def _close(self) -> None:
        if self._bar is not None:
            warnings.showwarning = self._warn
            self._bar.close()
            self._bar = None
