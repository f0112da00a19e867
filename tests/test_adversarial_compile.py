"""compile=true of the adversarial models: the eager gradients, the penalty's among them, or an error."""

import copy

import pytest
import torch

from lightning_modules import wgan_gp
from lightning_modules.adversarial_networks import ConvCritic, ConvGenerator
from lightning_modules.compiled_gradients import gradient
from lightning_modules.gan import GAN
from lightning_modules.wgan_gp import WGANGP, functional_norms_at, norms_at

SHAPE = (1, 8, 8)


def dcgan() -> GAN:
    torch.manual_seed(0)
    generator = ConvGenerator(SHAPE, 4, 2, norm="batch", output="tanh", init="normal")
    return GAN(generator, ConvCritic(SHAPE, 2, norm="batch", init="normal"), z_dim=4)


def wgan(norm: str = "layer") -> WGANGP:
    """With a weight of the penalty that leaves nothing of the loss's gradient without it."""
    torch.manual_seed(0)
    return WGANGP(ConvGenerator(SHAPE, 4, 2), ConvCritic(SHAPE, 2, norm=norm), z_dim=4, penalty_weight=1e4)


def losses_and_gradients(model) -> dict[str, torch.Tensor]:
    """Of both networks, as in a training step, with the same images, noise and interpolation each time."""
    torch.manual_seed(1)
    real = torch.rand(16, *SHAPE)
    with torch.no_grad():
        fake = model.generator(model.noise(16))
    loss, shown = model.critic_loss(real, fake)
    generator_loss = model.generator_loss(model.critic(model.generator(model.noise(16))))
    return shown | {
        "loss": loss.detach(),
        "critic": gradient(loss, model.critic),
        "generator": gradient(generator_loss, model.generator),
    }


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
@pytest.mark.parametrize("make", [dcgan, wgan])
def test_compiled_gradients_are_the_eager_ones(make, backend):
    model = make()
    reference, keys = copy.deepcopy(model), list(model.state_dict())
    model.compile(backend=backend)
    expected, found = losses_and_gradients(reference), losses_and_gradients(model)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-3, atol=1e-5)
    assert list(model.state_dict()) == keys
    # batch norms' statistics are collected as often
    torch.testing.assert_close(model.state_dict(), reference.state_dict())
    # other sizes, in evaluation: nothing is compiled for them
    with torch.compiler.set_stance("fail_on_recompile"):
        assert model.generate(torch.randn(7, 4), averaged=False).shape == (7, *SHAPE)
        model.evaluate(torch.rand(9, *SHAPE))


def test_the_penaltys_gradient_is_what_the_comparison_is_about():
    """Without it the loss's gradient would be another one altogether, so that the test above must notice its loss."""
    model, real, fake = wgan(), torch.rand(16, *SHAPE), torch.rand(16, *SHAPE)
    loss, shown = model.critic_loss(real, fake)
    whole, rest = gradient(loss, model.critic), gradient(-model._terms(real, fake, real)[0], model.critic)
    assert shown["penalty"] > 0 and rest.norm() < 0.01 * whole.norm()


def test_the_two_forms_of_the_norms_agree():
    critic, points = ConvCritic(SHAPE, 2, norm="layer").double(), torch.rand(16, *SHAPE).double()
    expected, found = norms_at(critic, points), functional_norms_at(critic, points)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient(found.sum(), critic), gradient(expected.sum(), critic))


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
@pytest.mark.parametrize("share", [0, 0.5])
def test_a_penalty_whose_compiled_gradient_is_lost_is_refused(share, backend, monkeypatch):
    """The value is right, as in pytorch#181581, and of the gradient there is a share; nothing is learnt from it."""

    def with_part_of_its_gradient(critic, points):
        norms = functional_norms_at(critic, points)
        return share * norms + (1 - share) * norms.detach()

    monkeypatch.setattr(wgan_gp, "functional_norms_at", with_part_of_its_gradient)
    model = wgan(norm="none")
    model.compile(backend=backend)
    message = (
        rf"^compile=true: compiled, the penalty's gradient differs .* by {1 - share:.2g} of .*; use compile=false$"
    )
    with pytest.raises(RuntimeError, match=message):
        losses_and_gradients(model)
