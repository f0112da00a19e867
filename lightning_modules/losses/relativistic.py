r"""The relativistic pairing loss (Jolicoeur-Martineau 2019, arXiv 1807.00734; Huang et al. 2024, arXiv 2501.05441).

    L_D = E_x,z [f(D(x) - D(G(z)))],    L_G = E_x,z [f(D(G(z)) - D(x))],    f(t) = log(1 + e^-t)

Each generated example is judged beside a real one: a generator that drops part of the data can't win by being far on
the real side of one threshold. D is determined but for an offset. Where the two distributions are equal, the best D is
constant, and L_D = L_G = ln 2. Alone it need not converge; R3GAN adds penalties on the critic's gradients at real and
at generated examples (``r1``, ``r2`` of :class:`lightning_modules.gan.GAN`).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.losses.base import AdversarialLoss


class Relativistic(AdversarialLoss):
    """See the module's docstring. Real and generated scores are pairs, as many of the one as of the other."""

    meaning = "comparison"
    relative = True
    decision_range = undecided = None
    equilibrium = {"critic_loss": math.log(2), "generator_loss": math.log(2), "pairs": 0.5}
    lines = {"ln 2: both at chance": math.log(2)}
    decision_chart = ("mean probability that the real one of a pair is it", {"1/2": 0.5})

    def critic(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        return F.softplus(fake_scores - real_scores).mean()

    def generator(self, fake_scores: Tensor, real_scores: Tensor) -> Tensor:
        return F.softplus(real_scores - fake_scores).mean()

    def shown(self, real_scores: Tensor, fake_scores: Tensor) -> dict[str, Tensor]:
        """``pairs``: how likely the discriminator holds it, on average, that the real one of a pair is the real one."""
        return {"pairs": torch.sigmoid(real_scores - fake_scores).mean()}

    @property
    def charts(self) -> tuple[dict, ...]:
        losses, _ = super().charts
        title, lines = self.decision_chart
        return losses, {"title": title, "series": {"pairs": "sigmoid(D(x) - D(G(z)))"}, "lines": lines}
