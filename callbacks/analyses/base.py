"""The contract of the analyses: what is made of a finished fit, once a job.

An analysis is given a fit as :class:`Fitted`, and gives an :class:`Outcome`; it knows no folder and writes no file. In
a notebook it is a Lightning callback: put it among the trainer's, and its ``outcome`` is there when the fit has ended.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from callbacks.fitted import Fitted, Make
from callbacks.observers.watching import evaluating

NOT_IN_A_FIT = "what is asked of a fit once it is finished"

Stored = Callable[[str], dict[str, np.ndarray]]


@dataclass
class Outcome:
    """What an analysis found.

    Attributes:
        metrics: numbers, by the names they have in tables; the same each time, to the bit.
        facts: plain values that stand beside them in the result.
        figures: name to a matplotlib figure, or an image uint8 ``(H, W)`` or ``(H, W, 3)``: shown, and kept as PNG.
        artefacts: file name to what it shall hold: a text, plain values (``.json``), a dictionary of arrays
            (``.safetensors``), the path of a file to copy, or a function that writes to the path it is given.
        seconds: that the analysis took, without what is made once a fit.
    """

    metrics: dict[str, float]
    facts: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    artefacts: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


class Analysis(pl.Callback):
    """An analysis adds :meth:`run`, the rest where it has more to say.

    Models of other fits that it requires are arguments of its constructor, by the names that ``requires`` gives
    them; they are None in a check before there is anything.

    Attributes:
        headline: the metrics that make a table, each with its form: ``percent`` or ``number``.
        needs: the observers whose states it looks at.
        repeats: the settings that a table averages over, the one that changes fastest first.
        outcome: after the fit, in a notebook.
    """

    headline: dict[str, str] = {}
    repeats: tuple[str, ...] = ("seed",)
    needs: tuple[type[pl.Callback], ...] = ()
    outcome: Outcome | None = None

    def check(self, datamodule: pl.LightningDataModule) -> None:
        """Raises ValueError, before any training, for what can't be done with a data set."""

    def run(self, fitted: Fitted) -> Outcome:
        """Looks at a finished fit."""
        raise NotImplementedError

    def reload(self, fitted: Fitted, stored: Stored) -> dict[str, float]:
        """The metrics anew, from the weights and from what a run left: they must come out the same.

        Args:
            fitted: the same fit.
            stored: gives the arrays of an artefact, by its file name.
        """
        return self.run(fitted).metrics

    @property
    def metrics(self) -> dict[str, float]:
        """Those of the outcome; none before there is one."""
        return self.outcome.metrics if self.outcome else {}

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        with evaluating(pl_module):
            self.outcome = self.run(InTraining(trainer, pl_module))


class InTraining:
    """A fit that just ended in this process, as a notebook has it: :class:`Fitted` without a folder."""

    def __init__(self, trainer: pl.Trainer, module: pl.LightningModule):
        self.name, self.model, self.datamodule = type(module).__name__, module, trainer.datamodule
        self.settings: dict[str, str] = {}
        self.budget = ""
        self._trainer = trainer

    def best(self) -> pl.LightningModule:
        """That of a ``ModelCheckpoint`` with a ``monitor``; without one the last is all there is."""
        kept = [c for c in self._trainer.callbacks if isinstance(c, ModelCheckpoint) and c.monitor]
        if not (kept and kept[0].best_model_path):
            return self.model
        state = torch.load(kept[0].best_model_path, map_location=self.model.device, weights_only=True)
        best = copy.deepcopy(self.model, {id(self._trainer): self._trainer})  # the trainer itself is not copied
        best.load_state_dict(state["state_dict"])
        return best.eval()

    def observed(self, observer: type[pl.Callback]) -> dict:
        for callback in self._trainer.callbacks:
            if isinstance(callback, observer):
                return callback.state_dict()
        raise ValueError(f"{self.name}: trained without the callback {observer.__name__}; give the trainer one")

    def derived(self, name: str, make: Make, by: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
        return make()

    def files(self, pattern: str) -> list[Path]:
        return []
