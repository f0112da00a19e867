"""The training steps of an adversarial model that throughput.py sets beside this project's.

Each is a function of one update's real images ``(n_critic B, C, H, W)``, in the generator's output range: n_critic
steps of the critic, each with B of them and fresh noise, then one of the generator.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torchvision import transforms

from lightning_modules.adversarial import Adversarial
from lightning_modules.wgan_gp import WGANGP


def _adams(model: Adversarial, **settings) -> tuple[torch.optim.Adam, torch.optim.Adam]:
    """The generator's and the critic's."""
    return (
        torch.optim.Adam(model.generator.parameters(), model.lr_generator, model.betas, **settings),
        torch.optim.Adam(model.critic.parameters(), model.lr_critic, model.betas, **settings),
    )


def bare(model: Adversarial) -> Callable[[Tensor], None]:
    """As fast as a plain loop gets: fakes without a graph, gradients for the network that steps alone, fused Adam."""
    adam_g, adam_d = _adams(model, fused=True)
    weights_g, weights_d = list(model.generator.parameters()), list(model.critic.parameters())

    def update(images: Tensor) -> None:
        reals = images.chunk(model.n_critic)
        for real in reals:
            with torch.no_grad():
                fake = model.generator(model.noise.sample(len(real), model.z_dim))
            adam_d.zero_grad()
            model.critic_loss(real, fake)[0].backward(inputs=weights_d)
            adam_d.step()
        adam_g.zero_grad()
        scores = model.critic(model.generator(model.noise.sample(len(reals[0]), model.z_dim)))
        model.generator_loss(scores).backward(inputs=weights_g)
        adam_g.step()

    return update


def common(model: Adversarial) -> Callable[[Tensor], None]:
    """As commonly published: fakes not detached, so that the critic's step also goes back through the generator, whose
    gradients are then zeroed; real, fake and interpolated images each a forward of their own; in the generator's step
    gradients for the critic too; Adam as it comes."""
    adam_g, adam_d = _adams(model)
    generator, critic = model.generator, model.critic

    def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
        loss = model.loss.critic(critic(real), critic(fake))
        if not isinstance(model, WGANGP):
            return loss
        eps = torch.rand(len(real), 1, 1, 1)
        between = (eps * real.detach() + (1 - eps) * fake.detach()).requires_grad_(True)
        scores = critic(between)
        (gradient,) = torch.autograd.grad(
            scores, between, grad_outputs=torch.ones_like(scores), create_graph=True, retain_graph=True
        )
        penalty = ((gradient.view(len(gradient), -1).norm(2, dim=1) - 1) ** 2).mean()
        return loss + model.penalty_weight * penalty

    def update(images: Tensor) -> None:
        for real in images.chunk(model.n_critic):
            adam_d.zero_grad()
            critic_loss(real, generator(model.noise.sample(len(real), model.z_dim))).backward()
            adam_d.step()
        adam_g.zero_grad()
        model.generator_loss(critic(generator(model.noise.sample(len(real), model.z_dim)))).backward()
        adam_g.step()

    return update


def common_transform(model: Adversarial) -> Callable:
    """From a PIL image to a tensor in the generator's output range."""
    low, high = model.generator.output_range
    scale = 1 / (high - low)
    return transforms.Compose([transforms.ToTensor(), transforms.Normalize([-low * scale], [scale])])
