r"""The hinge loss (Lim & Ye 2017, arXiv 1705.02894; Miyato et al. 2018, arXiv 1802.05957, eq. 16 and 17).

    L_D = E_x [max(0, 1 - D(x))] + E_z [max(0, 1 + D(G(z)))],    L_G = -E_z [D(G(z))]

An example beyond the margin, real with D >= 1 or generated with D <= -1, has nothing more to teach. Where the two
distributions are equal, an example x adds p(x) (max(0, 1 - D) + max(0, 1 + D)) to L_D: 2 p(x) for every D in [-1, 1],
1 + |D| times p(x) beyond. So L_D = 2; the best discriminator may be any within the margin, 0 in its middle, and L_G is
what that makes it, from -1 to 1: it has no equilibrium.
"""

import torch.nn.functional as F
from torch import Tensor

from lightning_modules.losses.base import AdversarialLoss


class Hinge(AdversarialLoss):
    """See the module's docstring. A score is no estimate of a distance: it stops to matter at the margin."""

    meaning = "margin"
    decision_range, undecided = (-1.0, 1.0), 0.0
    equilibrium = {"critic_loss": 2.0}
    lines = {"2: discriminator at chance": 2.0}
    decision_chart = ("mean score: real from 1, generated to -1", {"1": 1.0, "0": 0.0, "-1": -1.0})

    def critic(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        return F.relu(1 - real_scores).mean() + F.relu(1 + fake_scores).mean()

    def generator(self, fake_scores: Tensor) -> Tensor:
        return -fake_scores.mean()
