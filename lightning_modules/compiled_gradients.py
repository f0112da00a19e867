"""Compiled losses whose gradients are held against eager ones before anything is learnt from them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

# Largest error of a gradient, as a share of its norm. A lost one has 1; rounding makes 1e-6, with bfloat16 up to 0.2.
TOLERANCE, TOLERANCE_BFLOAT16 = 0.01, 0.3


def gradient(value: Tensor, network: nn.Module) -> Tensor:
    """Of a 0-d value with respect to all the network's weights, ``(P,)``; zero where it doesn't depend on them."""
    weights = list(network.parameters())
    if not value.requires_grad:
        return torch.cat([torch.zeros_like(weight).flatten() for weight in weights])
    gradients = torch.autograd.grad(value, weights, materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in gradients])


def checked(compiled: Callable, eager: Callable, network: nn.Module, names: tuple[str, ...]) -> Callable:
    """``compiled``, which at its first call must have the gradients that ``eager`` has for the same arguments.

    Args:
        compiled: gives a tuple of tensors; the first of them, as many as there are names, are 0-d.
        eager: the same, to be trusted.
        network: gradients are with respect to its weights.
        names: of these tensors.

    Raises:
        RuntimeError: when called, if a gradient differs.
    """
    unchecked = list(names)

    def call(*arguments):
        while unchecked:
            term = len(names) - len(unchecked)
            # a forward for each: a compiled graph may be gone through backward only once
            found, expected = (gradient(function(*arguments)[term], network) for function in (compiled, eager))
            bfloat16 = torch.is_autocast_enabled(expected.device.type)
            error, scale = float((found - expected).norm()), float(expected.norm())
            if not error <= (TOLERANCE_BFLOAT16 if bfloat16 else TOLERANCE) * scale:
                raise RuntimeError(
                    f"compile=true: compiled, the {names[term]}'s gradient differs from the eager one by "
                    f"{error / scale if scale else error:.2g} of its norm; use compile=false"
                )
            del unchecked[0]
        return compiled(*arguments)

    return call
