"""When observers look at a fit, and that they leave no trace in its model."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import pytorch_lightning as pl


def last_epoch(trainer: pl.Trainer) -> bool:
    """At the end of an epoch: whether the budget, of epochs (``max_epochs``) or of updates (``max_steps``), is spent or
    the training was told to stop (``max_time``)."""
    epochs = trainer.current_epoch + 1 >= (trainer.max_epochs or -1) > 0
    return epochs or trainer.global_step >= trainer.max_steps > 0 or trainer.should_stop


def budget(trainer: pl.Trainer) -> float:
    """How many updates the fit is to have; infinite where only time or a rule ends it."""
    epochs, updates = trainer.max_epochs or -1, trainer.max_steps
    return min(
        epochs * trainer.num_training_batches if epochs > 0 else math.inf,
        updates if updates > 0 else math.inf,
    )


@contextmanager
def evaluating(module: pl.LightningModule) -> Iterator[None]:
    """Puts all of a module into evaluation mode, and each part back into its own."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training
