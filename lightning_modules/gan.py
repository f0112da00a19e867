r"""The GAN (Goodfellow et al. 2014, arXiv 1406.2661, algorithm 1 with k = ``n_critic``).

The critic is a discriminator, and what the two descend is one of ``lightning_modules.losses``: by default the
non-saturating loss. Real and generated examples go through D in batches of their own, so that its batch norms see them
apart. With convolutional networks this is the DCGAN (Radford et al. 2015, arXiv 1511.06434): model=dcgan.
"""

from torch import nn

from lightning_modules.adversarial import Adversarial
from lightning_modules.losses.base import AdversarialLoss
from lightning_modules.losses.non_saturating import NonSaturating


class GAN(Adversarial):
    """A generator against a discriminator; see :class:`Adversarial` for the arguments.

    Args:
        critic: the discriminator.
        loss: of both; :class:`NonSaturating` if None.
    """

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        loss: AdversarialLoss | None = None,
        z_dim: int = 100,
        n_critic: int = 1,
        lr_generator: float = 2e-4,
        lr_critic: float = 2e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        **common,
    ):
        loss = NonSaturating() if loss is None else loss
        super().__init__(generator, critic, loss, z_dim, n_critic, lr_generator, lr_critic, betas, **common)
