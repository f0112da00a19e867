r"""The deep convolutional GAN (Radford et al. 2015, arXiv 1511.06434) with its non-saturating loss.

The critic is a discriminator: D(x) is the logit of "x is real". With sigma(t) = 1 / (1 + e^-t), it descends

    L_D = -E_x [log sigma(D(x))] - E_z [log(1 - sigma(D(G(z))))]

and the generator L_G = -E_z [log sigma(D(G(z)))] (Goodfellow et al. 2014, section 3). Where the two distributions are
equal, the best discriminator says 1/2 everywhere: L_D = 2 ln 2 and L_G = ln 2. Real and generated images go through D
in batches of their own, so that its batch norms see them apart.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.adversarial import Adversarial

CRITIC_AT_CHANCE, GENERATOR_AT_CHANCE = 2 * math.log(2), math.log(2)


class DCGAN(Adversarial):
    """A generator against a discriminator; see the module's docstring, and :class:`Adversarial` for the arguments.

    Args:
        critic: the discriminator, which gives logits.
    """

    charts = (
        {
            "title": "losses",
            "series": {"critic_loss": "discriminator", "generator_loss": "generator"},
            "lines": {
                "2 ln 2: discriminator at chance": CRITIC_AT_CHANCE,
                "ln 2: generator at chance": GENERATOR_AT_CHANCE,
            },
        },
        {
            "title": "mean probability of being real",
            "series": {"d_real": "D(x)", "d_fake": "D(G(z))"},
            "lines": {"1/2": 0.5},
        },
    )

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        z_dim: int = 100,
        n_critic: int = 1,
        lr_generator: float = 2e-4,
        lr_critic: float = 2e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        ema_decay: float = 0.999,
    ):
        super().__init__(generator, critic, z_dim, n_critic, lr_generator, lr_critic, betas, ema_decay)

    def critic_loss(self, real: Tensor, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """L_D, summed over its two halves (not their mean), with the mean probabilities ``d_real`` and ``d_fake``."""
        real_logits, fake_logits = self.critic(real).float(), self.critic(fake).float()
        loss = F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
        return loss, _probabilities(real_logits.detach(), fake_logits.detach())

    def compile(self, *args, **kwargs) -> None:
        super().compile(*args, **kwargs)
        self.critic_loss = torch.compile(self.critic_loss, *args, **kwargs)

    def generator_loss(self, scores: Tensor) -> Tensor:
        return F.softplus(-scores.float()).mean()

    def held_out_terms(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        loss, shown = self.critic_loss(real, fake)
        return shown | {"critic_loss": loss}


def _probabilities(real_logits: Tensor, fake_logits: Tensor) -> dict[str, Tensor]:
    return {"d_real": torch.sigmoid(real_logits).mean(), "d_fake": torch.sigmoid(fake_logits).mean()}
