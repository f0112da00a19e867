r"""The Wasserstein GAN with gradient penalty (Gulrajani et al. 2017, arXiv 1704.00028), algorithm 1.

The critic's value D estimates, up to its Lipschitz constant, the Wasserstein-1 distance sup_D E_x[D(x)] - E_z[D(G(z))].
It descends

    L_D = E_z [D(G(z))] - E_x [D(x)] + lambda E_x^ [(||grad D(x^)||_2 - 1)^2],   x^ = eps x + (1 - eps) G(z),

with one eps ~ U[0, 1] for each pair of images and the norm over all of an image's pixels; the generator descends
L_G = -E_z [D(G(z))], whose offset is arbitrary. The penalty is on each image's own gradient, which a batch norm in the
critic would make undefined: such a critic is refused.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from datamodules.checks import require_non_negative
from lightning_modules.adversarial import Adversarial
from lightning_modules.checks import require_own_gradients
from lightning_modules.gradients import example_gradients
from lightning_modules.losses.base import AdversarialLoss
from lightning_modules.losses.wasserstein import Wasserstein
from lightning_modules.parallel import own_share


def gradient_norms(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """||grad D(x^)||_2 at one random point between each real image and a generated one: ``(B,)``, float32 or wider.

    Differentiable with respect to the critic's weights. At a gradient of zero the norm is 0 and so is the derivative
    taken for it: exact, with no epsilon under a root.
    """
    return norms_at(critic, points_between(real, fake))


def points_between(real: Tensor, fake: Tensor) -> Tensor:
    """x^: for each real image a point at a random share of the way from a generated one, of the images' shape."""
    eps = own_share(torch.rand, len(real), *[1] * (real.dim() - 1), dtype=real.dtype, device=real.device)
    return torch.lerp(fake, real, eps)


def norms_at(critic: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """||grad D||_2 at points ``(B, C, H, W)``, each image's: ``(B,)``."""
    points = points.detach().requires_grad_()
    return torch.linalg.vector_norm(example_gradients(critic(points), points), dim=1)


def penalty(norms: Tensor) -> Tensor:
    """E[(||grad D|| - 1)^2] of norms ``(B,)``: two-sided, as the paper's equation 3."""
    return (norms - 1).square().mean()


class WGANGP(Adversarial):
    """A generator against a critic whose gradient is held at norm 1; see the module's docstring.

    The defaults are algorithm 1's. The other arguments are those of :class:`Adversarial`.

    Args:
        loss: of both, to which the critic's adds the penalty; :class:`Wasserstein` if None.
        penalty_weight: lambda.
    """

    scored_together = True  # without batch norms each image's score is its own

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        loss: AdversarialLoss | None = None,
        z_dim: int = 128,
        n_critic: int = 5,
        penalty_weight: float = 10.0,
        lr_generator: float = 1e-4,
        lr_critic: float = 1e-4,
        betas: tuple[float, float] = (0.0, 0.9),
        **common,
    ):
        loss = Wasserstein() if loss is None else loss
        super().__init__(generator, critic, loss, z_dim, n_critic, lr_generator, lr_critic, betas, **common)
        require_non_negative(**{"model.penalty_weight": penalty_weight})
        require_own_gradients(critic, "the penalty is")
        self.penalty_weight = penalty_weight
        first, *others = loss.charts
        if "critic_loss" in first["series"]:
            first = first | {"title": f"{first['title']}, penalty included", "lines": {}}
        else:
            first = first | {"title": f"{first['title']}, penalty apart"}
        self.charts = (
            first,
            {"title": "penalty E[(|grad D| - 1)^2], not weighted", "series": {"penalty": "penalty"}, "lines": {}},
            {"title": "mean gradient norm", "series": {"gradient_norm": "E|grad D|"}, "lines": {"1": 1.0}},
            *others,
        )
        # The penalty draws the critic away from the best there is, and the losses from their equilibrium; the distance
        # of equal distributions is 0 to any critic.
        losses = ("critic_loss", "generator_loss")
        self.equilibrium = {name: value for name, value in loss.equilibrium.items() if name not in losses}

    def critic_loss(self, real: Tensor, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """L_D, with what the loss shows, the ``penalty`` and the ``gradient_norms``."""
        points = points_between(real, fake)
        loss, shown = super().critic_loss(real, fake)
        norms = norms_at(self.critic, points)
        squared, norms = penalty(norms), norms.detach()
        shown |= {"penalty": squared.detach(), "gradient_norm": norms.mean(), "gradient_norms": norms}
        return self.penalty_weight * squared + loss, shown
