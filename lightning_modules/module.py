"""What this project's models are: LightningModules that cost less a step."""

import pytorch_lightning as pl


class Module(pl.LightningModule):
    """A LightningModule in which Lightning writes down quickly what it is about to call.

    It does so some thirty times a step, in an attribute. ``nn.Module`` looks for that among parameters, buffers and
    modules each time, which took a tenth of a millisecond a step; networks this small make ten steps in a tenth of a
    second.
    """

    def __setattr__(self, name: str, value) -> None:
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)
