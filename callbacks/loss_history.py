"""What an adversarial model's losses did, over generator updates: in TensorBoard, and kept in the checkpoint, so that a
resumed fit's history is an uninterrupted one's."""

from collections.abc import Callable

import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks.loss_charts import LARGEST_NORM

NORM_BINS = 60  # of the histogram of gradient norms
NORMS = "gradient_norms"


class LossHistory(pl.Callback):
    """Means of what :meth:`Adversarial.training_step` shows, over windows of ``log_every_n_steps`` updates.

    After each epoch, what the critic makes of held-out images and of as many training images with the same weights: the
    distance between the two is its overfitting.
    """

    def __init__(self):
        self._charts: list[dict] = []
        self._names: list[str] = []
        self._updates: list[int] = []
        self._rows: list[Tensor] = []
        self._epochs: list[dict[str, float]] = []
        self._norm_counts: list[Tensor] = []
        self._start_window()

    def _start_window(self) -> None:
        self._sum, self._count = None, 0

    def state_dict(self) -> dict:
        """The history: plain lists and tensors.

        ``charts``: what the model says it should be drawn as. ``names`` and ``rows`` ``(W, len(names))``: the window
        means, at ``updates`` ``(W,)``. ``epochs``: for each epoch its number, ``updates``, and terms named
        ``train/...`` and ``val/...``. ``norm_counts`` ``(E, NORM_BINS)``: histograms of the gradients' norms on
        [0, LARGEST_NORM], the last bin with all above it; empty for models that show none.
        """
        rows = torch.stack(self._rows) if self._rows else torch.empty(0, len(self._names))
        counts = torch.stack(self._norm_counts) if self._norm_counts else torch.empty(0, NORM_BINS)
        return {
            "charts": self._charts, "names": self._names, "updates": self._updates, "rows": rows,
            "epochs": self._epochs, "norm_counts": counts,
        }  # fmt: skip

    def load_state_dict(self, state: dict) -> None:
        self._charts, self._names = state["charts"], state["names"]
        self._updates, self._epochs = state["updates"], state["epochs"]
        self._rows, self._norm_counts = list(state["rows"].cpu()), list(state["norm_counts"].cpu())

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._charts = [dict(chart) for chart in pl_module.charts]

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start_window()
        self._norms: list[Tensor] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs, batch, batch_idx) -> None:
        scalars = {name: value for name, value in outputs.items() if value.dim() == 0}
        values = torch.stack(list(scalars.values()))
        self._sum = values if self._sum is None else self._sum + values
        self._count += 1
        last = batch_idx + 1 == trainer.num_training_batches
        if self._count < trainer.log_every_n_steps and not last:
            return
        self._names = list(scalars)
        means = (self._sum / self._count).cpu()
        self._rows.append(means)
        self._updates.append(trainer.global_step)
        if NORMS in outputs:
            self._norms.append(outputs[NORMS].cpu())
        self._start_window()
        shown = dict(zip(self._names, means.tolist(), strict=True))
        for logger in trainer.loggers:
            logger.log_metrics({f"train/{name}": value for name, value in shown.items()}, step=trainer.global_step)
        pl_module.log_dict(shown, prog_bar=True, logger=False)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        data = trainer.datamodule
        terms = {
            f"{stage}/{name}": value
            for stage, split in {"train": data.train, "val": data.val}.items()
            for name, value in _mean_terms(pl_module, data.as_seen, split[0][: len(data.val[0])]).items()
        }
        self._epochs.append({"epoch": trainer.current_epoch + 1, "updates": trainer.global_step} | terms)
        counts = None
        if self._norms:
            norms = torch.cat(self._norms)
            norms = norms[norms.isfinite()]  # a critic that diverged has none
            counts = torch.histc(norms.clamp(max=LARGEST_NORM), NORM_BINS, 0, LARGEST_NORM)
            self._norm_counts.append(counts)
        for logger in trainer.loggers:
            logger.log_metrics({f"epoch/{name}": value for name, value in terms.items()}, step=trainer.global_step)
            if counts is not None and counts.any() and hasattr(logger.experiment, "add_histogram"):
                logger.experiment.add_histogram("gradient_norms", norms, trainer.global_step)


def _mean_terms(
    module: pl.LightningModule, as_seen: Callable[[Tensor], Tensor], examples: Tensor, batch_size: int = 1000
) -> dict[str, float]:
    """The critic's terms on a data set's examples ``(N, ...)``, weighted means over batches."""
    sums: dict[str, Tensor] = {}
    for batch in examples.split(batch_size):
        for name, value in module.evaluate(as_seen(batch.to(module.device))).items():
            sums[name] = sums.get(name, 0) + value * len(batch)
    return {name: float(total / len(examples)) for name, total in sums.items()}
