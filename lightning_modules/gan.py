r"""The GAN (Goodfellow et al. 2014, arXiv 1406.2661, algorithm 1 with k = ``n_critic``).

The critic is a discriminator, and what the two descend is one of ``lightning_modules.losses``: by default the
non-saturating loss. Real and generated examples go through D in batches of their own, so that its batch norms see them
apart. With convolutional networks this is the DCGAN (Radford et al. 2015, arXiv 1511.06434): model=dcgan.

D's loss may have zero-centred penalties on its gradients besides, at real and at generated examples,

    R_1 = gamma_1 / 2 E_x [||grad D(x)||^2],    R_2 = gamma_2 / 2 E_z [||grad D(G(z))||^2]

(Mescheder et al. 2018, arXiv 1801.04406, section 4.1). With both, the relativistic loss, and networks without batch
norms it is the R3GAN (Huang et al. 2024, arXiv 2501.05441): model=r3gan.
"""

import torch
from torch import Tensor, nn

from datamodules.checks import require_non_negative
from lightning_modules.adversarial import Adversarial
from lightning_modules.checks import require_own_gradients
from lightning_modules.gradients import example_gradients
from lightning_modules.losses.base import AdversarialLoss
from lightning_modules.losses.non_saturating import NonSaturating


class GAN(Adversarial):
    """A generator against a discriminator; see :class:`Adversarial` for the arguments.

    Args:
        critic: the discriminator.
        loss: of both; :class:`NonSaturating` if None.
        r1: gamma_1, of the penalty at real examples; 0 for none.
        r2: gamma_2, of that at generated ones.
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
        r1: float = 0.0,
        r2: float = 0.0,
        **common,
    ):
        loss = NonSaturating() if loss is None else loss
        super().__init__(generator, critic, loss, z_dim, n_critic, lr_generator, lr_critic, betas, **common)
        require_non_negative(**{"model.r1": r1, "model.r2": r2})
        self.r1, self.r2 = r1, r2
        if not self.penalised:
            return
        require_own_gradients(critic, "the penalties r1 and r2 are")
        losses, *others = loss.charts
        norms = {"title": "mean gradient norms", "series": {"real_norm": "at real", "fake_norm": "at generated"}}
        self.charts = (losses | {"title": f"{losses['title']}, penalties included"}, *others, norms | {"lines": {}})

    @property
    def penalised(self) -> bool:
        return bool(self.r1 or self.r2)

    def critic_loss(self, real: Tensor, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """L_D; with penalties these besides, and shown are ``real_norm``, ``fake_norm`` and all ``gradient_norms``."""
        if not self.penalised:
            return super().critic_loss(real, fake)
        examples = torch.cat([real, fake]).requires_grad_()
        scores = self.critic(examples)  # together: without batch norms each one's score is its own
        squared = example_gradients(scores, examples).square().sum(1)
        at_real, at_fake = squared.split([len(real), len(fake)])
        penalties = self.r1 / 2 * at_real.mean() + self.r2 / 2 * at_fake.mean()
        scores = scores.float().split([len(real), len(fake)])
        norms = squared.detach().sqrt()
        shown = self.loss.shown(*(score.detach() for score in scores))
        shown |= {"real_norm": norms[: len(real)].mean(), "fake_norm": norms[len(real) :].mean()}
        return self.loss.critic(*scores) + penalties, shown | {"gradient_norms": norms}
