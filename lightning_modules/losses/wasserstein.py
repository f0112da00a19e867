r"""The Wasserstein loss (Arjovsky et al. 2017, arXiv 1701.07875, eq. 2 and 3).

    L_D = E_z [D(G(z))] - E_x [D(x)],    L_G = -E_z [D(G(z))]

Over all critics of Lipschitz constant 1 the least L_D is minus the Wasserstein-1 distance of the two distributions, 0
where they are equal. How the critic is held to that constant is the model's affair. D is determined but for an offset,
and so is L_G: it says nothing by itself.
"""

from torch import Tensor

from lightning_modules.losses.base import AdversarialLoss


class Wasserstein(AdversarialLoss):
    """See the module's docstring."""

    meaning = "distance"
    decision_range = undecided = None
    equilibrium = {"wasserstein": 0.0}
    lines = {}
    charts = (
        {"title": "negative critic loss", "series": {"wasserstein": "E[D(x)] - E[D(G(z))]"}, "lines": lines},
        {
            "title": "generator's loss: of arbitrary offset, says nothing by itself",
            "series": {"generator_loss": "-E[D(G(z))]"},
            "lines": {},
        },
    )

    def critic(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        return fake_scores.mean() - real_scores.mean()

    def generator(self, fake_scores: Tensor) -> Tensor:
        return -fake_scores.mean()

    def shown(self, real_scores: Tensor, fake_scores: Tensor) -> dict[str, Tensor]:
        """The estimate E[D(x)] - E[D(G(z))] of the distance."""
        return {"wasserstein": real_scores.mean() - fake_scores.mean()}

    def held_out(self, real_scores: Tensor, fake_scores: Tensor) -> dict[str, Tensor]:
        """The estimate alone: the critic's loss is its negative."""
        return self.shown(real_scores, fake_scores)
