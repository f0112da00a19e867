"""The losses against closed forms, against the contract, and the contract against losses that break it."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from contracts_model import check_loss
from lightning_modules.gan import GAN
from lightning_modules.losses.base import AdversarialLoss
from lightning_modules.losses.hinge import Hinge
from lightning_modules.losses.least_squares import LeastSquares
from lightning_modules.losses.non_saturating import NonSaturating
from lightning_modules.losses.relativistic import Relativistic
from lightning_modules.losses.wasserstein import Wasserstein
from lightning_modules.plane_networks import MLPCritic, MLPGenerator
from lightning_modules.wgan_gp import WGANGP

LOSSES = (NonSaturating(), LeastSquares(), Hinge(), Wasserstein(), Relativistic())
REAL, FAKE = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-2.0, 0.25])


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_every_loss_keeps_the_contract(loss):
    check_loss(loss)


def test_non_saturating_is_two_cross_entropies():
    loss = NonSaturating()
    expected = F.binary_cross_entropy_with_logits(REAL, torch.ones(3)) + (
        F.binary_cross_entropy_with_logits(FAKE, torch.zeros(2))
    )
    assert loss.critic(REAL, FAKE).item() == pytest.approx(expected.item(), rel=1e-6)
    expected = F.binary_cross_entropy_with_logits(FAKE, torch.ones(2))
    assert loss.generator(FAKE).item() == pytest.approx(expected.item(), rel=1e-6)
    assert loss.equilibrium == {"critic_loss": 2 * math.log(2), "generator_loss": math.log(2)}


def test_the_losses_by_hand():
    assert LeastSquares().critic(REAL, FAKE).item() == pytest.approx((1 + 0.25 + 4) / 6 + (4 + 0.0625) / 4)
    assert LeastSquares().generator(FAKE).item() == pytest.approx((9 + 0.5625) / 4)
    # max(0, 1 - 2) = 0, .5 and 2; max(0, 1 - 2) = 0 and 1.25
    assert Hinge().critic(REAL, FAKE).item() == pytest.approx((0 + 0.5 + 2) / 3 + (0 + 1.25) / 2)
    assert Hinge().generator(FAKE).item() == pytest.approx(1.75 / 2)
    assert Wasserstein().critic(REAL, FAKE).item() == pytest.approx(-1.75 / 2 - 0.5)
    assert Wasserstein().shown(REAL, FAKE)["wasserstein"].item() == pytest.approx(0.5 + 1.75 / 2)


def test_a_relativistic_loss_is_of_pairs():
    """log(1 + e^-t) of each pair's difference, by hand; an offset common to both changes nothing."""
    real, fake = torch.tensor([2.0, 0.0]), torch.tensor([1.0, 3.0])
    loss = Relativistic()
    expected = (math.log1p(math.exp(-1)) + math.log1p(math.exp(3))) / 2
    assert loss.critic(real, fake).item() == pytest.approx(expected)
    expected = (math.log1p(math.exp(1)) + math.log1p(math.exp(-3))) / 2
    assert loss.generator(fake, real).item() == pytest.approx(expected)
    assert loss.generator(fake + 5, real + 5).item() == pytest.approx(expected)
    pairs = loss.shown(real, fake)["pairs"].item()
    assert pairs == pytest.approx((1 / (1 + math.exp(-1)) + 1 / (1 + math.exp(3))) / 2)


def test_a_relative_generator_learns_beside_the_real_examples_of_its_update():
    """Its step's loss is that of the scores of the same real batch, from which no gradient comes to it."""
    module = GAN(MLPGenerator(2, [4]), MLPCritic([4]), Relativistic(), z_dim=2)
    real = torch.rand(6, 2)
    beside = module.real_scores(real)
    assert torch.equal(beside, module.critic(real).detach()) and not beside.requires_grad
    scores = module.critic(module.generator(torch.randn(6, 2)))
    expected = F.softplus(beside - scores).mean().item()
    assert module.generator_loss(scores, beside).item() == pytest.approx(expected)
    assert GAN(MLPGenerator(2, [4]), MLPCritic([4]), z_dim=2).real_scores(real) is None


def test_beyond_the_margin_a_hinge_has_nothing_to_teach():
    real, fake = torch.tensor([1.5, 0.5], requires_grad=True), torch.tensor([-3.0, 3.0], requires_grad=True)
    gradients = torch.autograd.grad(Hinge().critic(real, fake), (real, fake))
    assert [gradient.tolist() for gradient in gradients] == [[0, -0.5], [0, 0.5]]


def test_where_all_is_equal_any_score_within_the_margin_is_a_hinge_critics_best():
    """So L_D has an equilibrium, 2, and L_G, the score itself, none."""
    at = {d: Hinge().critic(torch.tensor([d]), torch.tensor([d])).item() for d in (-2.0, -1.0, 0.3, 1.0, 1.5)}
    assert at == {-2.0: 3, -1.0: 2, 0.3: pytest.approx(2), 1.0: 2, 1.5: 2.5}
    assert Hinge().equilibrium == {"critic_loss": 2.0}


def test_only_a_distance_may_be_taken_for_one():
    assert [loss.meaning for loss in LOSSES] == [
        "probability", "probability", "margin", "distance", "comparison"
    ]  # fmt: skip
    assert ["wasserstein" in loss.shown(REAL[:2], FAKE) for loss in LOSSES] == [False, False, False, True, False]


class CalledADistance(Hinge):
    meaning = "distance"
    decision_range = undecided = None


class PairsTurnedRound(Relativistic):
    def critic(self, real_scores, fake_scores):
        return super().critic(fake_scores, real_scores)


class WithAnOffset(Relativistic):
    def critic(self, real_scores, fake_scores):
        return F.softplus(-real_scores).mean() + F.softplus(fake_scores).mean()


class Summed(LeastSquares):
    def critic(self, real_scores, fake_scores):
        return (0.5 * (real_scores - 1).square()).sum() + (0.5 * fake_scores.square()).sum()


class Saturating(NonSaturating):
    def generator(self, fake_scores):
        return F.softplus(-fake_scores).sum()


class TurnedRound(Wasserstein):
    def generator(self, fake_scores):
        return fake_scores.mean()


class LabelsSwapped(NonSaturating):
    def critic(self, real_scores, fake_scores):
        return super().critic(fake_scores, real_scores)


class HalvedEquilibrium(NonSaturating):
    equilibrium = {"critic_loss": math.log(2), "generator_loss": math.log(2)}
    lines = {}


class LogitsCalledProbabilities(NonSaturating):
    def decision(self, scores):
        return scores


class OneScoreEach(Hinge):
    def critic(self, real_scores, fake_scores):
        return F.relu(1 - real_scores) + F.relu(1 + fake_scores)


@pytest.mark.parametrize(
    "bug",
    [CalledADistance, Summed, Saturating, TurnedRound, LabelsSwapped, HalvedEquilibrium, LogitsCalledProbabilities,
     OneScoreEach, PairsTurnedRound, WithAnOffset],
)  # fmt: skip
def test_no_bug_of_a_loss_keeps_the_contract(bug):
    with pytest.raises((AssertionError, RuntimeError)):
        check_loss(bug())


# With models


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("kind", [GAN, WGANGP])
def test_a_model_descends_its_loss_and_says_what_it_means(kind, loss):
    module = kind(MLPGenerator(2, [4]), MLPCritic([4]), loss, z_dim=2)
    real, fake = torch.rand(6, 2), torch.rand(6, 2)
    scores = module.critic(real).detach(), module.critic(fake).detach()
    found, shown = module.critic_loss(real, fake)
    beside = scores[:1] if loss.relative else ()
    penalty = 10 * shown["penalty"] if kind is WGANGP else 0
    assert found.item() == pytest.approx((loss.critic(*scores) + penalty).item(), rel=1e-5)
    assert module.generator_loss(scores[1], scores[0]).item() == loss.generator(scores[1], *beside).item()
    assert torch.equal(module.decision(scores[0]), loss.decision(scores[0]))
    assert loss.shown(*scores).keys() <= shown.keys()


def test_scores_are_taken_in_float32_whatever_the_critic_gives():
    class Coarse(nn.Module):
        def forward(self, x):
            return x.sum(1).to(torch.bfloat16)

    module = GAN(MLPGenerator(2, [4]), Coarse(), z_dim=2)
    loss, shown = module.critic_loss(torch.rand(5, 2), torch.rand(5, 2))
    terms = [loss, *shown.values(), module.generator_loss(torch.zeros(3, dtype=torch.bfloat16))]
    assert {term.dtype for term in terms} == {torch.float32}


def test_a_penalised_loss_does_not_come_to_the_losss_equilibrium():
    networks = MLPGenerator(2, [4]), MLPCritic([4])
    assert WGANGP(*networks, Hinge(), z_dim=2).equilibrium == {}
    assert WGANGP(*networks, z_dim=2).equilibrium == {"wasserstein": 0.0}
    titles = [WGANGP(*networks, loss, z_dim=2).charts[0]["title"] for loss in (Hinge(), None)]
    assert titles == ["losses, penalty included", "negative critic loss, penalty apart"]


def test_a_loss_by_name_is_refused_with_the_way_to_say_it():
    with pytest.raises(ValueError, match="^model.loss=hinge: expects one of lightning_modules.losses; a command says "):
        GAN(MLPGenerator(2, [4]), MLPCritic([4]), "hinge", z_dim=2)


def test_a_loss_without_its_two_functions_does_not_pass_for_one():
    class Nothing(AdversarialLoss):
        meaning = "margin"

    with pytest.raises(NotImplementedError):
        check_loss(Nothing())
