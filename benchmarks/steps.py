"""One update of each model: as bare as a plain loop has it, and of adversarial models as commonly published.

A step is called with a batch as a data module hands it to a model: examples, in [0, 1] if images, and targets. Those of
an adversarial model are the n_critic batches of an update one after another, ``(n_critic B, ...)``.
"""

import contextlib
from collections.abc import Callable

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision import transforms

from lightning_modules.adversarial import Adversarial
from lightning_modules.scorer import Scorer
from lightning_modules.vae import VAE
from lightning_modules.wgan_gp import WGANGP

Batch = tuple[Tensor, Tensor]


def as_is(function: Callable) -> Callable:
    """What stands where torch.compile may."""
    return function


class Descent:
    """An update of a model that descends one loss.

    Args:
        optimizer: of the model's parameters.
        loss: of a batch, 0-d.
        cast: makes the context in which the loss is computed, as Lightning's precision makes it.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, loss: Callable[[Tensor, Tensor], Tensor], cast: Callable):
        self.optimizers, self.loss, self.cast = (optimizer,), loss, cast

    def __call__(self, batch: Batch) -> None:
        with self.cast():
            loss = self.loss(*batch)
        (optimizer,) = self.optimizers
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


class Contest:
    """An update of an adversarial model: fakes without a graph, gradients for the network that steps alone.

    Args:
        model: with the losses.
        cast: makes the context of the whole update.
        compiled: what each of the three functions that make it up goes through.
        averaging: keep up the averaged generator too, with the decay that it has in the end.
        settings: of both Adams.
    """

    def __init__(self, model: Adversarial, cast: Callable, compiled: Callable, averaging: bool, **settings):
        self.model, self.cast, self.averaging = model, cast, averaging
        self.optimizers = _adams(model, **settings)
        self.weights_g, self.weights_d = list(model.generator.parameters()), list(model.critic.parameters())
        self.generate = compiled(lambda z: model.generator(z).float())
        self.critic_loss = compiled(lambda real, fake: model.critic_loss(real, fake)[0])

        def generator_loss(z: Tensor, real: Tensor) -> Tensor:
            return model.generator_loss(model.critic(model.generator(z)), model.real_scores(real))

        self.generator_loss = compiled(generator_loss)

    def __call__(self, batch: Batch) -> None:
        adam_g, adam_d = self.optimizers
        with self.cast():
            reals = self.model.scaled(batch[0]).chunk(self.model.n_critic)
            for real in reals:
                with torch.no_grad():
                    fake = self.generate(self._noise(real))
                adam_d.zero_grad()
                self.critic_loss(real, fake).backward(inputs=self.weights_d)
                adam_d.step()
            adam_g.zero_grad()
            self.generator_loss(self._noise(reals[0]), reals[-1]).backward(inputs=self.weights_g)
            adam_g.step()
        if self.averaging:
            self._average()

    def _noise(self, real: Tensor) -> Tensor:
        return self.model.noise.sample(len(real), self.model.z_dim, device=real.device)

    @torch.no_grad()
    def _average(self) -> None:
        networks = self.model.averaged, self.model.generator
        torch._foreach_lerp_(*(list(network.parameters()) for network in networks), 0.01)  # some weight: all cost alike


def _adams(model: Adversarial, **settings) -> tuple[torch.optim.Adam, torch.optim.Adam]:
    """The generator's and the critic's."""
    return (
        torch.optim.Adam(model.generator.parameters(), model.lr_generator, model.betas, **settings),
        torch.optim.Adam(model.critic.parameters(), model.lr_critic, model.betas, **settings),
    )


def bare(
    model: pl.LightningModule,
    precision: str = "32-true",
    compiled: Callable = as_is,
    averaging: bool = False,
    **settings,
) -> Descent | Contest:
    """The update of a model with nothing that it does not need: no log, no schedule.

    Args:
        model: one of this project's that is in training mode: VAE, Scorer, Adversarial.
        precision: ``32-true``, or ``bf16-mixed`` as Lightning has it, which keeps no cast weights.
        compiled: what each loss goes through, as ``torch.compile``.
        averaging: of an adversarial model, keep up its averaged generator.
        settings: of a fused Adam.
    """

    def cast():
        mixed = precision == "bf16-mixed"
        on = torch.autocast(model.device.type, torch.bfloat16, cache_enabled=False)
        return on if mixed else contextlib.nullcontext()

    settings = {"fused": True, **settings}
    if isinstance(model, Adversarial):
        return Contest(model, cast, compiled, averaging, **settings)
    if isinstance(model, VAE):
        adam = torch.optim.Adam(model.parameters(), model.lr, model.betas, weight_decay=model.weight_decay, **settings)
        return Descent(adam, compiled(lambda x, _: model.loss(model(model.see((x, None))), model.beta)), cast)
    if isinstance(model, Scorer):
        adam = torch.optim.Adam(model.parameters(), model.lr, **settings)
        return Descent(adam, compiled(lambda x, targets: F.cross_entropy(model(x).float(), targets)), cast)
    raise TypeError(f"{type(model).__name__}: no bare update of it is written here")


def common(model: Adversarial) -> Callable[[Batch], None]:
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

    def update(batch: Batch) -> None:
        for real in batch[0].chunk(model.n_critic):
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
