"""A finished fit, as callbacks see it: in a folder (``latent_lab.opened``) or in a notebook (``analyses.base``)."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import pytorch_lightning as pl

NOT_IN_A_FIT = "what is asked of a fit once it is finished"

Make = Callable[[], dict[str, np.ndarray]]


class Fitted(Protocol):
    """A finished fit.

    Attributes:
        name: of the fit.
        model: its last weights, in evaluation mode, on its device.
        datamodule: what it was trained on, set up.
        settings: of its model and its data as they were configured, by their full names; none in a notebook.
        budget: the setting of the trainer that ended it (``trainer.max_steps``); empty in a notebook.
    """

    name: str
    model: pl.LightningModule
    datamodule: pl.LightningDataModule
    settings: dict[str, str]
    budget: str

    def best(self) -> pl.LightningModule:
        """A second model, with the weights of the epoch that scored best. Raises ValueError where none was kept."""
        ...

    def observed(self, observer: type[pl.Callback]) -> dict:
        """The state that an observer of that class kept. Raises ValueError where the fit was trained without one."""
        ...

    def derived(self, name: str, make: Make, by: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
        """What ``make`` makes of the weights: made once for a fit and the code of the modules ``by``, or of the whole
        analysis if none are named, and kept under that name."""
        ...

    def files(self, pattern: str) -> list[Path]:
        """The files in the fit's folder that match, sorted; none in a notebook."""
        ...
