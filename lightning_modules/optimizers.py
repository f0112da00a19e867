"""The optimizers, and the decay of their step size."""

import math
from collections.abc import Iterable, Sequence

import pytorch_lightning as pl
import torch
from torch import Tensor, nn


def adam(module: pl.LightningModule, parameters: Iterable[nn.Parameter], lr: float, **settings) -> torch.optim.Adam:
    """Adam (Kingma & Ba 2015) on a module's parameters, fused where that can be.

    Fused is one kernel for all weights. Not where gradients are clipped: Lightning's mixed precision refuses to clip
    before a fused step, which unscales them itself.

    Args:
        module: says the device, and through its trainer whether gradients are clipped.
        parameters: of the module.
        lr: the step size.
        settings: ``betas``, ``weight_decay``, as torch's.
    """
    clips = bool(getattr(module._trainer, "gradient_clip_val", None))
    fused = module.device.type in ("cpu", "cuda") and not clips
    return torch.optim.Adam(parameters, lr=lr, fused=fused, **settings)


def sgd(module: pl.LightningModule, parameters: Iterable[nn.Parameter], lr: float, **settings) -> torch.optim.SGD:
    """Plain gradient descent: takes what :func:`adam` takes, and makes use of the step size alone."""
    return torch.optim.SGD(parameters, lr=lr)


OPTIMIZERS = {"adam": adam, "sgd": sgd}
LR_DECAYS = ("none", "cosine")


def set_gradients(parameters: Sequence[nn.Parameter], gradients: Sequence[Tensor]) -> None:
    """Gives each parameter its gradient, laid out in memory as the parameter is.

    A fused Adam on the CPU goes through memory without a look at strides, and a double backward gives a channels-last
    weight a gradient of another layout: it would step in wrong directions without a word.
    """
    for parameter, gradient in zip(parameters, gradients, strict=True):
        same = gradient.stride() == parameter.stride()
        parameter.grad = gradient if same else torch.empty_like(parameter).copy_(gradient)


def cosine_decay(optimizer: torch.optim.Optimizer, steps: int) -> dict:
    """A step size that falls to zero over so many steps by half a cosine, as Lightning takes a scheduler."""
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
    )
    return {"scheduler": schedule, "interval": "step"}
