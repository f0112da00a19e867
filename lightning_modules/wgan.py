r"""The Wasserstein GAN with weight clipping (Arjovsky et al. 2017, arXiv 1701.07875, algorithm 1), to compare with.

The critic descends L_D = E_z [D(G(z))] - E_x [D(x)], and after each of its steps its weights are clipped to [-c, c],
which makes it Lipschitz with a constant that nobody chose; the generator descends L_G = -E_z [D(G(z))]. The
paper steps by RMSProp: Adam with betas (0, .99) is that but for its correction of the first steps.
"""

import torch
from torch import Tensor, nn

from datamodules.checks import require_positive
from lightning_modules.adversarial import Adversarial
from lightning_modules.losses.base import AdversarialLoss
from lightning_modules.losses.wasserstein import Wasserstein


class WGAN(Adversarial):
    """A generator against a critic with clipped weights; the other arguments are those of :class:`Adversarial`.

    Args:
        loss: of both; :class:`Wasserstein` if None.
        clip: c.
    """

    scored_together = True

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        loss: AdversarialLoss | None = None,
        z_dim: int = 128,
        n_critic: int = 5,
        clip: float = 0.01,
        lr_generator: float = 5e-5,
        lr_critic: float = 5e-5,
        betas: tuple[float, float] = (0.0, 0.99),
        **common,
    ):
        loss = Wasserstein() if loss is None else loss
        super().__init__(generator, critic, loss, z_dim, n_critic, lr_generator, lr_critic, betas, **common)
        require_positive(**{"model.clip": clip})
        self.clip = clip
        self._clip()

    def _step(self, loss: Tensor, network: nn.Module, optimizer) -> None:
        super()._step(loss, network, optimizer)
        if network is self.critic:
            self._clip()

    @torch.no_grad()
    def _clip(self) -> None:
        for parameter in self.critic.parameters():
            parameter.clamp_(-self.clip, self.clip)
