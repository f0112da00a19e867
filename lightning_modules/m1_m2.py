r"""M1+M2 (Kingma et al. 2014, arXiv 1406.5298, section 2.3): M2 on the codes of a VAE that was trained without labels.

The VAE, M1, stays as it is. Its codes z1 ~ q(z1 | x) are what M2 explains, drawn anew whenever an image is seen:

    y ~ p(y), uniform over the K classes
    z2 ~ N(0, I)
    z1 ~ N(m(y, z2), diag v(y, z2))   over the active dimensions of M1
    x ~ p(x | z1)                     M1's decoder

Dimensions of M1 that say nothing of the image are noise around the prior, which M2 would spend its effort on: they are
left out, by the variance of the posterior mean over the training images (:func:`lightning_modules.vae.active_units`).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.class_conditional import ClassConditionalVAE
from lightning_modules.vae import VAE, active_units

# Of the variance of p(z1 | y, z2), below any that M1's posterior leaves in its samples: the likelihood of a density
# has no upper bound otherwise.
LEAST_LOG_VARIANCE = math.log(1e-4)


class M1M2(ClassConditionalVAE):
    """See the module's docstring; examples in batches are what :meth:`prepare` makes of images.

    Args:
        m1: the VAE, which is put into evaluation mode for good. It is no part of this module: its weights are neither
            among the parameters nor in the state dict, and who restores this module gives it again.
        num_classes: as :class:`lightning_modules.class_conditional.ClassConditionalVAE`, like all others.

    Attributes:
        active: which dimensions of M1's codes count, ``(D1,)`` bool; all, until :meth:`prepare` has seen the training
            images.
    """

    active: Tensor

    def __init__(self, m1: VAE, num_classes: int, **shared):
        if not isinstance(m1, VAE):
            raise ValueError(f"model.m1: expects a VAE, not {type(m1).__name__}")
        size = m1.latent_dim
        super().__init__(size, 2 * size, num_classes, **shared)
        self._outside = (m1.eval().requires_grad_(False),)  # a module in a tuple is in no registry
        self.register_buffer("active", torch.ones(size, dtype=torch.bool))

    @property
    def m1(self) -> VAE:
        return self._outside[0].to(self.device)

    @torch.no_grad()
    def examples(self, images: Tensor) -> Tensor:
        """Mean and log variance of M1's q(z1 | x) of images ``(B, 1, H, W)``: ``(B, 2, D1)``."""
        with torch.autocast(images.device.type, enabled=False):
            parts = [torch.stack(self.m1.posterior(part), dim=1) for part in images.split(1000)]
        return torch.cat(parts)

    def prepare(self, images: Tensor, training: bool) -> Tensor:
        """What stands in batches in place of the images ``(N, 1, H, W)`` of a split: :meth:`examples` of them.

        The training images say which dimensions are active.

        Args:
            images: all of the split's, in [0, 1].
            training: whether these are the training images.

        Raises:
            ValueError: if none is.
        """
        examples = self.examples(images)
        if training:
            self.active = active_units(examples[:, 0])
            if not self.active.any():
                raise ValueError("model.m1: not one dimension of its codes is active, there is nothing to learn from")
        return examples

    def see(self, examples: Tensor) -> Tensor:
        mean, log_var = examples.unbind(1)
        return (mean + torch.randn_like(mean) * (0.5 * log_var).exp()) * self.active

    def expected(self, examples: Tensor) -> Tensor:
        return examples[:, 0] * self.active

    def log_likelihood(self, x: Tensor, output: Tensor) -> Tensor:
        """Gaussian over the active dimensions; the decoder gives means and, bounded below, log variances."""
        mean, log_var = output.chunk(2, dim=-1)
        log_var = LEAST_LOG_VARIANCE + F.softplus(log_var - LEAST_LOG_VARIANCE)
        density = -0.5 * ((x - mean).square() * (-log_var).exp() + log_var + math.log(2 * math.pi))
        return (density * self.active).sum(-1)

    @torch.no_grad()
    def generate_class(self, z: Tensor, y: Tensor) -> Tensor:
        """Through the mean of p(z1 | y, z2) and M1's decoder, its inactive dimensions at their prior's mean."""
        return self.m1.decode(self.decoder(z, y).float().chunk(2, dim=1)[0] * self.active)
