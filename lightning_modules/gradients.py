"""Gradients of a critic's scores with respect to its examples, which penalties are of."""

import torch
from torch import Tensor


def example_gradients(scores: Tensor, examples: Tensor) -> Tensor:
    """grad D of scores ``(B,)`` at their examples ``(B, ...)``, each one's own and whole: ``(B, D)``, float32 or wider.

    Differentiable with respect to the critic's weights.
    """
    (gradient,) = torch.autograd.grad(scores.sum(), examples, create_graph=True)
    with torch.autocast(gradient.device.type, enabled=False):
        return gradient.to(torch.promote_types(gradient.dtype, torch.float32)).flatten(1)
