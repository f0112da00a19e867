"""The gradient penalty against closed forms, and against the bugs that public code has had: each is here as a mutation,
which the checks that pass for ours must refuse."""

import math

import pytest
import torch
from torch import nn

from lightning_modules.adversarial_networks import ConvCritic, ConvGenerator
from lightning_modules.wgan_gp import WGANGP, gradient_norms, penalty

SHAPE = (3, 4, 4)  # several channels, so that a norm over the channel axis is another number


class Linear(nn.Module):
    """D(x) = <w, x>, whose gradient is w everywhere."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight.double())

    def forward(self, x):
        return (x * self.weight).flatten(1).sum(1)


class Quadratic(nn.Module):
    """D(x) = 1/2 |x|^2, whose gradient is x itself."""

    def forward(self, x):
        return 0.5 * x.square().flatten(1).sum(1)


class BatchNormed(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.out = nn.BatchNorm2d(3).double(), nn.Linear(48, 1).double()

    def forward(self, x):
        return self.out(self.norm(x).tanh().flatten(1)).squeeze(1)


def images(count=64):
    return torch.rand(count, *SHAPE, dtype=torch.double)


# The gradient's norm: what ours must pass, and each mutation must not pass all of


def is_the_norm_of_the_whole_image(norms):
    weight = torch.randn(SHAPE)
    found = norms(Linear(weight), images(), images())
    torch.testing.assert_close(found, weight.norm().expand(64), check_dtype=False)


def draws_one_point_for_each_image(norms):
    """Between ones and zeros the point is eps in every pixel, and the quadratic critic's norm is eps sqrt(48)."""
    eps = norms(Quadratic(), torch.ones(4000, *SHAPE), torch.zeros(4000, *SHAPE)) / math.sqrt(48)
    assert eps.min() >= 0 and eps.max() <= 1
    assert eps.mean().item() == pytest.approx(1 / 2, abs=0.02)
    assert eps.std().item() == pytest.approx(1 / math.sqrt(12), abs=0.02)


def passes_its_gradient_to_the_critic(norms):
    """d (|w| - 1)^2 / dw = 2 (|w| - 1) w / |w|."""
    weight = torch.randn(SHAPE).double() + 1
    critic = Linear(weight)
    (found,) = torch.autograd.grad(penalty(norms(critic, images(), images()).double()), critic.parameters())
    torch.testing.assert_close(found, 2 * (weight.norm() - 1) * weight / weight.norm(), rtol=1e-6, atol=1e-9)


def is_finite_where_the_gradient_is_zero(norms):
    critic = Linear(torch.zeros(SHAPE))
    found = norms(critic, images(), images())
    assert (found == 0).all() and penalty(found).item() == 1
    (gradient,) = torch.autograd.grad(penalty(found), critic.parameters())
    assert torch.isfinite(gradient).all()


def is_each_images_own(norms):
    """Of real = fake, whatever eps: permuted with the batch, and the same in half of it."""
    torch.manual_seed(0)
    x, critic = images(), nn.Sequential(nn.Flatten(), nn.Linear(48, 9), nn.Tanh(), nn.Linear(9, 1), nn.Flatten(0))
    critic = critic.double()
    whole, order = norms(critic, x, x), torch.randperm(64)
    torch.testing.assert_close(norms(critic, x[order], x[order]), whole[order])
    torch.testing.assert_close(norms(critic, x[:32], x[:32]), whole[:32])


CHECKS = (
    is_the_norm_of_the_whole_image,
    draws_one_point_for_each_image,
    passes_its_gradient_to_the_critic,
    is_finite_where_the_gradient_is_zero,
    is_each_images_own,
)


def mutation(eps=lambda x: torch.rand(len(x), 1, 1, 1), norm=lambda g: torch.linalg.vector_norm(g.flatten(1), dim=1),
             create_graph=True):  # fmt: skip
    """The penalty's norm as it is written in many places, one thing at a time done as the bug has it."""

    def norms(critic, real, fake):
        e = eps(real)
        between = (e * real + (1 - e) * fake).requires_grad_()
        (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=create_graph)
        return norm(gradient)

    return norms


MUTATIONS = {
    "eps per pixel": mutation(eps=torch.rand_like),
    "one eps per batch": mutation(eps=lambda x: torch.rand(1)),
    "norm over the channel axis": mutation(norm=lambda g: g.norm(2, dim=1).flatten(1).mean(1)),
    "norm of the whole batch": mutation(norm=lambda g: g.norm().expand(len(g))),
    "penalty without a gradient to the critic": mutation(create_graph=False),
    "NaN at zero norm": mutation(norm=lambda g: g.square().flatten(1).sum(1).sqrt()),
    "epsilon inside the root": mutation(norm=lambda g: (g.square().flatten(1).sum(1) + 1e-12).sqrt()),
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_gradients_norm(check):
    torch.manual_seed(0)
    check(gradient_norms)
    torch.manual_seed(0)
    check(mutation())  # as it is written in many places, without a bug: the mutations differ by the bug alone


@pytest.mark.parametrize("bug", MUTATIONS)
def test_no_bug_of_the_gradients_norm_passes_the_checks(bug):
    def refused(check):
        torch.manual_seed(0)
        try:
            check(MUTATIONS[bug])
        except (AssertionError, RuntimeError):
            return True
        return False

    assert any(refused(check) for check in CHECKS)


def test_a_batch_norm_in_the_critic_is_refused_for_a_reason_that_holds():
    with pytest.raises(AssertionError):
        x = images()
        critic, order = BatchNormed(), torch.arange(32)
        torch.testing.assert_close(gradient_norms(critic, x[order], x[order]), gradient_norms(critic, x, x)[order])
    with pytest.raises(ValueError, match="model.critic.norm=batch: a batch norm makes each image's gradient depend"):
        WGANGP(ConvGenerator((1, 8, 8), 4, 2), ConvCritic((1, 8, 8), 2, norm="batch"))
    WGANGP(ConvGenerator((1, 8, 8), 4, 2, norm="batch"), ConvCritic((1, 8, 8), 2, norm="layer"))


def test_layer_norm_keeps_each_images_gradient_its_own():
    critic, x = ConvCritic((1, 8, 8), 2, norm="layer"), torch.rand(8, 1, 8, 8)
    torch.testing.assert_close(gradient_norms(critic, x[:4], x[:4]), gradient_norms(critic, x, x)[:4])


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_norms_have_their_usual_epsilon(norm):
    """``BatchNorm2d(c, 0.8)``, in much public code, sets not the momentum but an eps of 0.8."""

    def epsilons(module):
        return {layer.eps for layer in module.modules() if isinstance(layer, nn.BatchNorm2d | nn.GroupNorm)}

    for network in (ConvGenerator((1, 28, 28), 4, 2, norm=norm), ConvCritic((1, 28, 28), 2, norm=norm)):
        assert epsilons(network) == {1e-5}
    assert epsilons(nn.Sequential(nn.BatchNorm2d(4, 0.8))) != {1e-5}


def test_critic_losses_are_the_papers():
    """L = D(x~) - D(x) + 10 (|grad| - 1)^2 of a linear critic, and its gradient."""
    weight = torch.randn(1, 4, 4)
    module = WGANGP(ConvGenerator((1, 8, 8), 4, 2), Linear(weight))
    real, fake = torch.rand(6, 1, 4, 4).double(), torch.rand(6, 1, 4, 4).double()
    loss, shown = module.critic_loss(real, fake)
    difference = ((fake - real).mean(0) * weight).sum()
    expected = difference + 10 * (weight.norm() - 1) ** 2
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert shown["wasserstein"].item() == pytest.approx(-difference.item(), rel=1e-5)
    assert shown["penalty"].item() == pytest.approx((weight.norm() - 1).item() ** 2, rel=1e-5)
    assert not any(value.requires_grad for value in shown.values())
    assert module.generator_loss(torch.tensor([1.0, 3.0])).item() == -2


# The zero-centred penalties of a GAN


def penalised(r1, r2, critic, **settings):
    from lightning_modules.gan import GAN
    from lightning_modules.plane_networks import MLPGenerator

    return GAN(MLPGenerator(2, [4]), critic, z_dim=2, r1=r1, r2=r2, **settings)


class Parabola(nn.Module):
    """D(x) = a/2 |x|^2, whose gradient is a x."""

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return 0.5 * self.a * x.square().flatten(1).sum(1)


@pytest.mark.parametrize(("r1", "r2"), [(0.3, 0.0), (0.0, 0.7), (0.3, 0.7)])
def test_r1_is_at_real_examples_and_r2_at_generated_ones(r1, r2):
    """gamma / 2 E |a x|^2, and its derivative gamma a E |x|^2."""
    real, fake = torch.rand(5, 2), 3 + torch.rand(5, 2)
    plain, model = penalised(0, 0, Parabola()), penalised(r1, r2, Parabola())
    (loss, shown), (unpenalised, _) = model.critic_loss(real, fake), plain.critic_loss(real, fake)
    squares = [x.square().sum(1).mean().item() for x in (real, fake)]
    added = r1 / 2 * 4 * squares[0] + r2 / 2 * 4 * squares[1]
    assert loss.item() - unpenalised.item() == pytest.approx(added, rel=1e-5)
    (slope,), (before,) = (
        torch.autograd.grad(value, of.critic.parameters()) for value, of in ((loss, model), (unpenalised, plain))
    )
    assert (slope - before).item() == pytest.approx(2 * (r1 * squares[0] + r2 * squares[1]), rel=1e-5)
    norms = 2 * torch.cat([real, fake]).norm(dim=1)
    torch.testing.assert_close(shown["gradient_norms"], norms)
    assert shown["real_norm"].item() == pytest.approx(norms[:5].mean().item())
    assert shown["fake_norm"].item() == pytest.approx(norms[5:].mean().item())


def test_zero_centred_penalties_refuse_a_batch_norm_and_negative_weights():
    with pytest.raises(ValueError, match="model.critic.norm=batch: a batch norm makes each image's gradient depend on"):
        penalised(1, 0, BatchNormed())
    with pytest.raises(ValueError, match="model.r2=-1: expects a number from 0"):
        penalised(0, -1, Parabola())


def test_r3gan_is_the_relativistic_loss_with_both_penalties():
    """Huang et al. 2024: E f(D(x) - D(G(z))) + gamma / 2 (E |grad D(x)|^2 + E |grad D(G(z))|^2), written out."""
    from lightning_modules.losses.relativistic import Relativistic

    model = penalised(0.2, 0.2, Parabola(), loss=Relativistic())
    real, fake = torch.rand(5, 2), torch.rand(5, 2)
    expected = 0.0
    for x, y in zip(real, fake, strict=True):
        dx, dy = x.square().sum().item(), y.square().sum().item()
        expected += (math.log1p(math.exp(dy - dx)) + 0.1 * (4 * dx + 4 * dy)) / 5
    assert model.critic_loss(real, fake)[0].item() == pytest.approx(expected, rel=1e-5)
