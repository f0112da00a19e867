r"""Least squares (Mao et al. 2017, arXiv 1611.04076, eq. 2 with a = 0, b = c = 1).

    L_D = 1/2 E_x [(D(x) - 1)^2] + 1/2 E_z [D(G(z))^2],    L_G = 1/2 E_z [(D(G(z)) - 1)^2]

Where the two distributions are equal the best discriminator is 1/2 everywhere: L_D = 1/4 and L_G = 1/8.
"""

from torch import Tensor

from lightning_modules.losses.base import AdversarialLoss


class LeastSquares(AdversarialLoss):
    """See the module's docstring. D is drawn towards 0 and 1 but not confined to what lies between."""

    meaning = "probability"
    decision_range, undecided = (0.0, 1.0), 0.5
    equilibrium = {"critic_loss": 0.25, "generator_loss": 0.125}
    lines = {"1/4: discriminator at chance": 0.25, "1/8: generator at chance": 0.125}
    decision_chart = ("mean probability of being real", {"1/2": 0.5})

    def critic(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        return 0.5 * (real_scores - 1).square().mean() + 0.5 * fake_scores.square().mean()

    def generator(self, fake_scores: Tensor) -> Tensor:
        return 0.5 * (fake_scores - 1).square().mean()
