"""M2: the class-conditional VAE of pixels (Kingma et al. 2014, arXiv 1406.5298, section 2.2).

    y ~ p(y), uniform;  z ~ N(0, I);  x ~ Bernoulli(sigmoid f(y, z)) per pixel

Its bounds and its loss stand in :mod:`lightning_modules.class_conditional`.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.checks import require_image_shape
from lightning_modules.class_conditional import ClassConditionalVAE


class M2(ClassConditionalVAE):
    """On pixels, binarised whenever an image is seen, by one hidden layer each (the paper's section 4.1).

    Args:
        image_shape: ``(1, H, W)``.
        num_classes: as :class:`ClassConditionalVAE`, like all others.
    """

    def __init__(self, image_shape: tuple[int, int, int], num_classes: int, **shared):
        require_image_shape(image_shape)
        pixels = math.prod(image_shape)
        super().__init__(pixels, pixels, num_classes, **shared)
        self.image_shape = tuple(image_shape)

    def see(self, examples: Tensor) -> Tensor:
        return (torch.rand_like(examples) < examples).to(examples.dtype).flatten(1)

    def expected(self, examples: Tensor) -> Tensor:
        return examples.flatten(1)

    def log_likelihood(self, x: Tensor, output: Tensor) -> Tensor:
        """Bernoulli; the decoder gives logits."""
        return -F.binary_cross_entropy_with_logits(output, x.expand_as(output), reduction="none").sum(-1)

    @torch.no_grad()
    def generate_class(self, z: Tensor, y: Tensor) -> Tensor:
        return self.decoder(z, y).float().sigmoid().unflatten(1, self.image_shape)
