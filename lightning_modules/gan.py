r"""The GAN (Goodfellow et al. 2014, arXiv 1406.2661), with its non-saturating loss or least squares.

The critic is a discriminator. With the non-saturating loss D(x) is the logit of "x is real"; with
sigma(t) = 1 / (1 + e^-t), it descends

    L_D = -E_x [log sigma(D(x))] - E_z [log(1 - sigma(D(G(z))))]

and the generator L_G = -E_z [log sigma(D(G(z)))] (section 3 there). Where the two distributions are equal, the best
discriminator says 1/2 everywhere: L_D = 2 ln 2 and L_G = ln 2. With least squares (Mao et al. 2017, arXiv 1611.04076,
eq. 2 with a = 0, b = c = 1)

    L_D = 1/2 E_x [(D(x) - 1)^2] + 1/2 E_z [D(G(z))^2],   L_G = 1/2 E_z [(D(G(z)) - 1)^2],

and where they are equal D = 1/2, L_D = 1/4 and L_G = 1/8. Real and generated examples go through D in batches of their
own, so that its batch norms see them apart. With convolutional networks this is the DCGAN (Radford et al. 2015, arXiv
1511.06434): model=dcgan.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.adversarial import Adversarial
from lightning_modules.networks import require_one_of

EQUILIBRIUM = {  # of the discriminator's loss and the generator's, with the lines' names in a chart
    "non_saturating": {"2 ln 2": 2 * math.log(2), "ln 2": math.log(2)},
    "least_squares": {"1/4": 0.25, "1/8": 0.125},
}


class GAN(Adversarial):
    """A generator against a discriminator; see the module's docstring, and :class:`Adversarial` for the arguments.

    Args:
        critic: the discriminator.
        loss: ``non_saturating`` or ``least_squares``.
    """

    critic_says = "probability"

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        loss: str = "non_saturating",
        z_dim: int = 100,
        n_critic: int = 1,
        lr_generator: float = 2e-4,
        lr_critic: float = 2e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        **common,
    ):
        super().__init__(generator, critic, z_dim, n_critic, lr_generator, lr_critic, betas, **common)
        require_one_of(EQUILIBRIUM, **{"model.loss": loss})
        self.loss = loss
        lines = EQUILIBRIUM[loss]
        self.equilibrium = dict(zip(("critic_loss", "generator_loss"), lines.values(), strict=True))
        whose = ("discriminator", "generator")
        self.charts = (
            {
                "title": "losses",
                "series": {"critic_loss": "discriminator", "generator_loss": "generator"},
                "lines": {f"{n}: {who} at chance": v for (n, v), who in zip(lines.items(), whose, strict=True)},
            },
            {
                "title": "mean probability of being real",
                "series": {"d_real": "D(x)", "d_fake": "D(G(z))"},
                "lines": {"1/2": 0.5},
            },
        )

    def critic_loss(self, real: Tensor, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """L_D, summed over its two halves (not their mean), with the mean decisions ``d_real`` and ``d_fake``."""
        real_scores, fake_scores = self.critic(real).float(), self.critic(fake).float()
        if self.loss == "least_squares":
            loss = 0.5 * (real_scores - 1).square().mean() + 0.5 * fake_scores.square().mean()
        else:
            loss = F.softplus(-real_scores).mean() + F.softplus(fake_scores).mean()
        decisions = (self.decision(scores.detach()).mean() for scores in (real_scores, fake_scores))
        return loss, dict(zip(("d_real", "d_fake"), decisions, strict=True))

    def decision(self, scores: Tensor) -> Tensor:
        """How likely the discriminator holds it that an example is real."""
        return scores if self.loss == "least_squares" else torch.sigmoid(scores)

    def compile(self, *args, **kwargs) -> None:
        super().compile(*args, **kwargs)
        self.critic_loss = torch.compile(self.critic_loss, *args, **kwargs)

    def generator_loss(self, scores: Tensor) -> Tensor:
        scores = scores.float()
        return 0.5 * (scores - 1).square().mean() if self.loss == "least_squares" else F.softplus(-scores).mean()

    def held_out_terms(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        loss, shown = self.critic_loss(real, fake)
        return shown | {"critic_loss": loss}
