"""Batch norms that judge held-out examples as they judge those of the training."""

import contextlib
from collections.abc import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextlib.contextmanager
def batch_statistics(*networks: nn.Module) -> Iterator[None]:
    """Batch norms take their statistics of the batch at hand and keep nothing of it. With the running ones, in which a
    discriminator's real and generated batches are mixed, it would judge otherwise than it does in training."""
    layers = [layer for network in networks for layer in network.modules() if isinstance(layer, _BatchNorm)]
    before = [(layer.training, layer.track_running_stats) for layer in layers]
    for layer in layers:
        layer.training, layer.track_running_stats = True, False
    try:
        yield
    finally:
        for layer, (training, tracking) in zip(layers, before, strict=True):
            layer.training, layer.track_running_stats = training, tracking
