r"""The Wasserstein GAN with gradient penalty (Gulrajani et al. 2017, arXiv 1704.00028), algorithm 1.

The critic's value D estimates, up to its Lipschitz constant, the Wasserstein-1 distance sup_D E_x[D(x)] - E_z[D(G(z))].
It descends

    L_D = E_z [D(G(z))] - E_x [D(x)] + lambda E_x^ [(||grad D(x^)||_2 - 1)^2],   x^ = eps x + (1 - eps) G(z),

with one eps ~ U[0, 1] for each pair of images and the norm over all of an image's pixels; the generator descends
L_G = -E_z [D(G(z))], whose offset is arbitrary. The penalty is on each image's own gradient, which a batch norm in the
critic would make undefined: such a critic is refused.
"""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightning_modules.adversarial import Adversarial
from lightning_modules.networks import require_non_negative


def gradient_norms(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """||grad D(x^)||_2 at one random point between each real image and a generated one: ``(B,)``, float32.

    Differentiable with respect to the critic's weights. At a gradient of zero the norm is 0 and so is the derivative
    taken for it: exact, with no epsilon under a root.
    """
    eps = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device)
    between = torch.lerp(fake, real, eps).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    with torch.autocast(real.device.type, enabled=False):
        return torch.linalg.vector_norm(gradient.float().flatten(1), dim=1)


def penalty(norms: Tensor) -> Tensor:
    """E[(||grad D|| - 1)^2] of norms ``(B,)``: two-sided, as the paper's equation 3."""
    return (norms - 1).square().mean()


class WGANGP(Adversarial):
    """A generator against a critic whose gradient is held at norm 1; see the module's docstring.

    The defaults are algorithm 1's. The other arguments are those of :class:`Adversarial`.

    Args:
        penalty_weight: lambda.
    """

    charts = (
        {
            "title": "negative critic loss, penalty apart",
            "series": {"wasserstein": "E[D(x)] - E[D(G(z))]"},
            "lines": {},
        },
        {"title": "penalty E[(|grad D| - 1)^2], not weighted", "series": {"penalty": "penalty"}, "lines": {}},
        {"title": "mean gradient norm", "series": {"gradient_norm": "E|grad D|"}, "lines": {"1": 1.0}},
        {
            "title": "generator's loss: of arbitrary offset, says nothing by itself",
            "series": {"generator_loss": "-E[D(G(z))]"},
            "lines": {},
        },
    )

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        z_dim: int = 128,
        n_critic: int = 5,
        penalty_weight: float = 10.0,
        lr_generator: float = 1e-4,
        lr_critic: float = 1e-4,
        betas: tuple[float, float] = (0.0, 0.9),
        ema_decay: float = 0.999,
    ):
        super().__init__(generator, critic, z_dim, n_critic, lr_generator, lr_critic, betas, ema_decay)
        require_non_negative(**{"model.penalty_weight": penalty_weight})
        if any(isinstance(layer, _BatchNorm) for layer in critic.modules()):
            raise ValueError(
                "model.critic.norm=batch: a batch norm makes each image's gradient depend on the others', and the "
                "penalty is on each image's own; use layer or none"
            )
        self.penalty_weight = penalty_weight

    def critic_loss(self, real: Tensor, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """L_D, with the ``wasserstein`` estimate E[D(x)] - E[D(G(z))], the ``penalty`` and the ``gradient_norms``."""
        # One batch for both: without batch norms each image's score is its own.
        real_scores, fake_scores = self.critic(torch.cat([real, fake])).float().chunk(2)
        wasserstein = real_scores.mean() - fake_scores.mean()
        norms = gradient_norms(self.critic, real, fake)
        squared = penalty(norms)
        norms = norms.detach()
        shown = {"wasserstein": wasserstein.detach(), "penalty": squared.detach()}
        shown |= {"gradient_norm": norms.mean(), "gradient_norms": norms}
        return self.penalty_weight * squared - wasserstein, shown

    def generator_loss(self, scores: Tensor) -> Tensor:
        return -scores.float().mean()

    def held_out_terms(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """The ``wasserstein`` estimate alone: the negative critic loss, the penalty apart."""
        return {"wasserstein": self.critic(real).mean() - self.critic(fake).mean()}
