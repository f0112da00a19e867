r"""The GAN's loss as its paper advises it (Goodfellow et al. 2014, arXiv 1406.2661, section 3).

D(x) is the logit of "x is real"; with sigma(t) = 1 / (1 + e^-t),

    L_D = -E_x [log sigma(D(x))] - E_z [log(1 - sigma(D(G(z))))],    L_G = -E_z [log sigma(D(G(z)))].

Where the two distributions are equal, the best discriminator says 1/2 everywhere: L_D = 2 ln 2 and L_G = ln 2.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.losses.base import AdversarialLoss


class NonSaturating(AdversarialLoss):
    """See the module's docstring. L_D is the sum of its two halves, not their mean."""

    meaning = "probability"
    decision_range, undecided = (0.0, 1.0), 0.5
    equilibrium = {"critic_loss": 2 * math.log(2), "generator_loss": math.log(2)}
    lines = {"2 ln 2: discriminator at chance": 2 * math.log(2), "ln 2: generator at chance": math.log(2)}
    decision_chart = ("mean probability of being real", {"1/2": 0.5})

    def critic(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        return F.softplus(-real_scores).mean() + F.softplus(fake_scores).mean()

    def generator(self, fake_scores: Tensor) -> Tensor:
        return F.softplus(-fake_scores).mean()

    def decision(self, scores: Tensor) -> Tensor:
        """How likely the discriminator holds it that an example is real."""
        return torch.sigmoid(scores)
