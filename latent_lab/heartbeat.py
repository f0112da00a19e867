"""What a worker lets others know while a fit trains."""

import time

import pytorch_lightning as pl

from latent_lab.progress import Status


class ShowProgress(pl.Callback):
    """Tells a :class:`Status` how far the training is: ``epoch``, ``epochs``, ``updates``, ``images_per_second``,
    ``seconds_left``."""

    def __init__(self, status: Status):
        self.status = status

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start, self._from = time.monotonic(), trainer.global_step

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs, batch, batch_idx) -> None:
        updates, seconds = trainer.global_step, time.monotonic() - self._start
        rate = (updates - self._from) / max(seconds, 1e-9)
        budget = trainer.max_steps if trainer.max_steps > 0 else trainer.max_epochs * trainer.num_training_batches
        of_update = trainer.datamodule.batch_size * (getattr(pl_module, "batches_per_step", None) or 1)
        self.status.write(
            soon=True, epoch=trainer.current_epoch + 1, epochs=trainer.max_epochs, updates=updates,
            images_per_second=round(rate * of_update), seconds_left=round((budget - updates) / max(rate, 1e-9)),
        )  # fmt: skip
