"""How a fit is getting on where no bar can be drawn: a log, a pipe. A line now and then, and no escape codes."""

import logging
import time

import pytorch_lightning as pl

from latent_lab.rounding import rounded

LINES = 10  # of a fit
FIGURES = 3  # of those that a bar would show

log = logging.getLogger("train")


class EpochLines(pl.Callback):
    """Logs ``epoch 6 of 60, val/elbo -50.4, 12 s left`` after each tenth of the budget, be it in epochs or updates."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start, self._from = time.monotonic(), self._share(trainer, trainer.current_epoch)
        self._said = int(self._from * LINES)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        share = self._share(trainer, trainer.current_epoch + 1)
        if not trainer.is_global_zero or int(share * LINES) <= self._said:
            return
        self._said = int(share * LINES)
        shown = {name: value for name, value in trainer.progress_bar_metrics.items() if name.startswith("val/")}
        figures = [f"{name} {rounded(value)}" for name, value in list(shown.items())[:FIGURES]]
        left = (time.monotonic() - self._start) * (1 - share) / (share - self._from)
        of = f" of {trainer.max_epochs}" if trainer.max_epochs > 0 else f", update {trainer.global_step:,}"
        log.info(", ".join([f"epoch {trainer.current_epoch + 1}{of}", *figures, f"{left:.0f} s left"]))

    @staticmethod
    def _share(trainer: pl.Trainer, epochs: int) -> float:
        """Of the budget that is spent after so many epochs, from 0 to 1."""
        return trainer.global_step / trainer.max_steps if trainer.max_steps > 0 else epochs / trainer.max_epochs
