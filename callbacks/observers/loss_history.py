"""What an adversarial model's losses did, over generator updates: in the loggers, and kept in the checkpoint, so that a
resumed fit's history is an uninterrupted one's."""

from collections.abc import Callable

import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks.drawing.output import show_histogram
from callbacks.observers.watching import evaluating
from datamodules.checks import require_whole

NORM_BINS = 60  # of the histogram of gradient norms
LARGEST_NORM = 3.0  # where it ends, with all above in its last bin
NORMS = "gradient_norms"
NOISE_SEED = 7  # of what is generated beside the held-out images: the same in every epoch and for both sets
BATCH = 1000


class LossHistory(pl.Callback):
    """Means of what :meth:`Adversarial.training_step` shows, over windows of updates: ``train/...``.

    After each epoch, what the critic makes of held-out images, ``val/...``, and of as many training images with the
    same weights, ``epoch/train/...``: the distance between the two is its overfitting. The former is what Lightning's
    validation would show of the same images at the same time, so a fit has none (no ``on_validation_end``), and what
    monitors ``val/...`` looks at the epoch's end. Where the trainer or a callback asks for validations at other times,
    these show ``val/...``, and this does not.

    Args:
        every_n_updates: updates in a window; an epoch's end closes the last one of it.
    """

    def __init__(self, every_n_updates: int = 50):
        require_whole(**{"history.every_n_updates": every_n_updates})
        self.every_n_updates = every_n_updates
        self._charts: list[dict] = []
        self._names: list[str] = []
        self._updates: list[int] = []
        self._rows: list[Tensor] = []
        self._epochs: list[dict[str, float]] = []
        self._norm_counts: list[Tensor] = []
        self._limit_val_batches: int | float | None = None  # of the trainer, while this does without
        self._start_window()

    @classmethod
    def identity(cls, config: dict) -> dict:
        """What decides the history that jobs read: all of it."""
        return dict(config)

    def _start_window(self) -> None:
        self._sum, self._count, self._last = None, 0, {}

    def state_dict(self) -> dict:
        """The history: plain lists and tensors.

        ``charts``: what the model says it should be drawn as. ``names`` and ``rows`` ``(W, len(names))``: the window
        means, at ``updates`` ``(W,)``. ``epochs``: for each epoch its number, ``updates``, and terms named
        ``train/...`` and ``val/...``. ``norm_counts`` ``(E, NORM_BINS)``: histograms of the gradients' norms on
        [0, ``largest_norm``], the last bin with all above it; empty for models that show none.
        """
        rows = torch.stack(self._rows) if self._rows else torch.empty(0, len(self._names))
        counts = torch.stack(self._norm_counts) if self._norm_counts else torch.empty(0, NORM_BINS)
        return {
            "charts": self._charts, "names": self._names, "updates": self._updates, "rows": rows,
            "epochs": self._epochs, "norm_counts": counts, "largest_norm": LARGEST_NORM,
        }  # fmt: skip

    def load_state_dict(self, state: dict) -> None:
        self._charts, self._names = state["charts"], state["names"]
        self._updates, self._epochs = state["updates"], state["epochs"]
        self._rows, self._norm_counts = list(state["rows"].cpu()), list(state["norm_counts"].cpu())

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit" and not _asks_for_validation(trainer):
            self._limit_val_batches, trainer.limit_val_batches = trainer.limit_val_batches, 0

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Leaves the trainer as it was: its ``validate`` has something to show."""
        if self._in_its_place:
            trainer.limit_val_batches, self._limit_val_batches = self._limit_val_batches, None

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self.teardown(trainer, pl_module, "fit")

    @property
    def _in_its_place(self) -> bool:
        """Whether this shows what Lightning's validation would."""
        return self._limit_val_batches is not None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._charts = [dict(chart) for chart in pl_module.charts]

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start_window()
        self._norms: list[Tensor] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs, batch, batch_idx) -> None:
        scalars = {name: value for name, value in outputs.items() if value.dim() == 0}
        values = torch.stack(list(scalars.values()))
        self._names, self._last = list(scalars), outputs
        self._sum = values if self._sum is None else self._sum + values
        self._count += 1
        if self._count == self.every_n_updates:
            self._close_window(trainer, pl_module)

    def _close_window(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        means = (self._sum / self._count).cpu()
        self._rows.append(means)
        self._updates.append(trainer.global_step)
        if NORMS in self._last:
            self._norms.append(self._last[NORMS].cpu())
        self._start_window()
        shown = dict(zip(self._names, means.tolist(), strict=True))
        for logger in trainer.loggers:
            logger.log_metrics({f"train/{name}": value for name, value in shown.items()}, step=trainer.global_step)
        pl_module.log_dict(shown, prog_bar=True, logger=False)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._count:
            self._close_window(trainer, pl_module)
        data = trainer.datamodule
        with evaluating(pl_module):
            terms = {
                f"{stage}/{name}": value
                for stage, split in {"train": data.train, "val": data.val}.items()
                for name, value in _mean_terms(pl_module, data.as_seen, split[0][: len(data.val[0])]).items()
            }
        self._epochs.append({"epoch": trainer.current_epoch + 1, "updates": trainer.global_step} | terms)
        shown = {f"epoch/{name}": value for name, value in terms.items() if name.startswith("train/")}
        if self._in_its_place:
            held_out = {name: value for name, value in terms.items() if name.startswith("val/")}
            pl_module.log_dict(held_out, logger=False)  # for what monitors them
            shown |= held_out
        for logger in trainer.loggers:
            logger.log_metrics(shown, step=trainer.global_step)
        if self._norms:
            norms = torch.cat(self._norms)
            norms = norms[norms.isfinite()]  # a critic that diverged has none
            self._norm_counts.append(torch.histc(norms.clamp(max=LARGEST_NORM), NORM_BINS, 0, LARGEST_NORM))
            if len(norms):
                show_histogram(trainer.loggers, NORMS, norms, trainer.global_step)


def _asks_for_validation(trainer: pl.Trainer) -> bool:
    """Whether each epoch's end is not the time to validate, or a callback of Lightning's is told to wait for it."""
    waiting = ("_check_on_train_epoch_end", "_save_on_train_epoch_end")  # of EarlyStopping, of ModelCheckpoint
    told = any(getattr(callback, name, None) is False for callback in trainer.callbacks for name in waiting)
    return told or trainer.val_check_interval != 1.0 or trainer.check_val_every_n_epoch != 1


def _mean_terms(module: pl.LightningModule, as_seen: Callable[[Tensor], Tensor], examples: Tensor) -> dict[str, float]:
    """The critic's terms on a data set's examples ``(N, ...)``, weighted means over batches."""
    generator = torch.Generator().manual_seed(NOISE_SEED)
    sums: dict[str, Tensor] = {}
    for batch in examples.split(BATCH):
        noise = module.draw_noise(len(batch), generator).to(module.device)
        for name, value in module.evaluate(as_seen(batch.to(module.device)), noise).items():
            sums[name] = sums.get(name, 0) + value * len(batch)
    return {name: float(total / len(examples)) for name, total in sums.items()}
