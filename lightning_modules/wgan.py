r"""The Wasserstein GAN with weight clipping (Arjovsky et al. 2017, arXiv 1701.07875, algorithm 1), to compare with.

The critic descends L_D = E_z [D(G(z))] - E_x [D(x)], and after each of its steps its weights are clipped to [-c, c],
which makes it Lipschitz with a constant that nobody chose; the generator descends L_G = -E_z [D(G(z))]. The
paper steps by RMSProp: Adam with betas (0, .99) is that but for its correction of the first steps.
"""

import torch
from torch import Tensor, nn

from lightning_modules.adversarial import Adversarial
from lightning_modules.networks import require_positive

GENERATOR_CHART = {
    "title": "generator's loss: of arbitrary offset, says nothing by itself",
    "series": {"generator_loss": "-E[D(G(z))]"},
    "lines": {},
}


class Wasserstein(Adversarial):
    """What models have in common whose critic's value estimates the Wasserstein-1 distance."""

    critic_says = "value"
    equilibrium = {"wasserstein": 0.0}

    def generator_loss(self, scores: Tensor) -> Tensor:
        return -scores.float().mean()

    def held_out_terms(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """The ``wasserstein`` estimate E[D(x)] - E[D(G(z))] alone, the negative critic loss."""
        return {"wasserstein": self.critic(real).mean() - self.critic(fake).mean()}


class WGAN(Wasserstein):
    """A generator against a critic with clipped weights; the other arguments are those of :class:`Adversarial`.

    Args:
        clip: c.
    """

    charts = (
        {"title": "negative critic loss", "series": {"wasserstein": "E[D(x)] - E[D(G(z))]"}, "lines": {}},
        GENERATOR_CHART,
    )

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        z_dim: int = 128,
        n_critic: int = 5,
        clip: float = 0.01,
        lr_generator: float = 5e-5,
        lr_critic: float = 5e-5,
        betas: tuple[float, float] = (0.0, 0.99),
        **common,
    ):
        super().__init__(generator, critic, z_dim, n_critic, lr_generator, lr_critic, betas, **common)
        require_positive(**{"model.clip": clip})
        self.clip = clip
        self._clip()

    def critic_loss(self, real: Tensor, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """L_D, with the ``wasserstein`` estimate E[D(x)] - E[D(G(z))]."""
        real_scores, fake_scores = self.critic(torch.cat([real, fake])).float().chunk(2)
        wasserstein = real_scores.mean() - fake_scores.mean()
        return -wasserstein, {"wasserstein": wasserstein.detach()}

    def _step(self, loss: Tensor, network: nn.Module, optimizer) -> None:
        super()._step(loss, network, optimizer)
        if network is self.critic:
            self._clip()

    @torch.no_grad()
    def _clip(self) -> None:
        for parameter in self.critic.parameters():
            parameter.clamp_(-self.clip, self.clip)
