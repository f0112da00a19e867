"""What this project's models are: LightningModules that cost less a step."""

import pytorch_lightning as pl

from datamodules.labels import UNSUPERVISED


class Module(pl.LightningModule):
    """A LightningModule that says what it learns from, and in which Lightning writes down quickly what it calls next.

    It does so some thirty times a step, in an attribute. ``nn.Module`` looks for that among parameters, buffers and
    modules each time, which took a tenth of a millisecond a step; networks this small make ten steps in a tenth of a
    second.

    Attributes:
        supervision: ``unsupervised``, ``supervised`` or ``semi-supervised``: the data module hands out what a model of
            that kind may know, and nothing else (:mod:`datamodules.in_memory`).
    """

    supervision = UNSUPERVISED

    def __setattr__(self, name: str, value) -> None:
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)
