"""The step on a gradient, which torch's fused Adam takes wrongly without a word if the gradient's layout is another."""

import copy

import pytest
import torch

from lightning_modules.adversarial_networks import ConvCritic, ConvGenerator
from lightning_modules.gan import GAN
from lightning_modules.wgan_gp import WGANGP


@pytest.mark.parametrize("name", ["dcgan", "wgan_gp"])
def test_a_fused_step_is_a_plain_one(name):
    """The penalty's second derivative gives channels-last weights gradients of another memory order."""
    torch.manual_seed(0)
    generator = ConvGenerator((1, 28, 28), 8, 4, init="scaled")
    model = (GAN if name == "dcgan" else WGANGP)(generator, ConvCritic((1, 28, 28), 4, init="scaled"), z_dim=8)
    real, noise = torch.rand(6, 1, 28, 28), torch.randn(6, 8)
    weights = []
    for fused in (False, True):
        one = copy.deepcopy(model)
        optimizers = [torch.optim.Adam(n.parameters(), lr=1e-3, fused=fused) for n in (one.critic, one.generator)]
        torch.manual_seed(1)
        one._step(one.critic_loss(real, one.generator(noise).detach())[0], one.critic, optimizers[0])
        one._step(one.generator_loss(one.critic(one.generator(noise))), one.generator, optimizers[1])
        weights.append(dict(one.named_parameters()))
    for key, plain in weights[0].items():
        # a step is 1e-3; where a gradient is near Adam's eps of 1e-8, rounding shows
        torch.testing.assert_close(weights[1][key], plain, rtol=0, atol=2e-5)
