r"""What adversarial models have in common: a generator, a critic, and the order in which they learn.

A generator G turns noise z into images, or points in the plane; a critic D gives each a number. One update, which is
what every chart, checkpoint and budget counts, is

    n_critic times:     a fresh real batch x and fresh noise z; D steps on its loss, G(z) being made without a graph
    n_generator times:  fresh noise z; G steps on its loss

as in algorithm 1 of Gulrajani et al. 2017 with n_generator = 1; n_critic = 1 is that of Goodfellow et al. 2014 with
k = 1. A batch from the data set holds the n_critic real batches, so N updates are exactly n_critic N critic steps, also
across the end of an epoch or a resumption. Beside the generator runs an exponential moving average of its weights.
"""

import contextlib
import copy
from collections.abc import Iterator

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightning_modules.networks import (
    cosine_decay,
    require_betas,
    require_non_negative,
    require_one_of,
    require_positive,
)
from lightning_modules.parallel import averaged, own_share, whole

FIXED_NOISE = 64  # samples in a sheet


def uniform(*shape: int, **kwargs) -> Tensor:
    """U[-1, 1), as ``torch.randn`` is N(0, 1)."""
    return torch.rand(*shape, **kwargs).mul_(2).sub_(1)


NOISES = {"normal": torch.randn, "uniform": uniform}
OPTIMIZERS = ("adam", "sgd")
LR_DECAYS = ("none", "cosine")


class Adversarial(pl.LightningModule):
    """The common ground; a model adds its two losses. Several processes may train one (``several_processes``).

    Args:
        generator: maps noise ``(B, z_dim)`` to images ``(B, C, H, W)``, or points ``(B, 2)``, for which [0, 1] in the
            data is its ``output_range``, a pair of numbers.
        critic: maps such images or points to ``(B,)``.
        z_dim: of the noise.
        n_critic: critic steps an update.
        lr_generator: the generator's step size.
        lr_critic: the critic's step size.
        betas: Adam's decay rates, of both.
        ema_decay: of the averaged generator; 0 makes it the generator itself. Early on it is (1 + n) / (10 + n) after n
            updates where that is less, so that the first weights are forgotten.
        n_generator: generator steps an update; 0 leaves the generator as it is.
        noise: ``normal``, N(0, I), or ``uniform``, on [-1, 1]^z_dim.
        optimizer_generator: ``adam``, or ``sgd``, which makes no use of ``betas``.
        optimizer_critic: likewise.
        lr_decay: ``cosine``, of both step sizes to zero over the budget, or ``none``.
    """

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        z_dim: int,
        n_critic: int,
        lr_generator: float,
        lr_critic: float,
        betas: tuple[float, float],
        ema_decay: float = 0.999,
        n_generator: int = 1,
        noise: str = "normal",
        optimizer_generator: str = "adam",
        optimizer_critic: str = "adam",
        lr_decay: str = "none",
    ):
        super().__init__()
        self.automatic_optimization = False
        if generator is None or critic is None:
            raise ValueError("model.generator and model.critic: an adversarial model needs both")
        positive = {"z_dim": z_dim, "n_critic": n_critic, "lr_generator": lr_generator, "lr_critic": lr_critic}
        require_positive(**{f"model.{name}": value for name, value in positive.items()})
        require_non_negative(**{"model.ema_decay": ema_decay, "model.n_generator": n_generator})
        for name, steps in {"n_critic": n_critic, "n_generator": n_generator}.items():
            if not isinstance(steps, int):
                raise ValueError(f"model.{name}={steps}: expects a whole number of steps")
        require_one_of(NOISES, **{"model.noise": noise})
        optimizers = {"model.optimizer_generator": optimizer_generator, "model.optimizer_critic": optimizer_critic}
        require_one_of(OPTIMIZERS, **optimizers)
        require_one_of(LR_DECAYS, **{"model.lr_decay": lr_decay})
        if ema_decay >= 1:
            raise ValueError(f"model.ema_decay={ema_decay}: expects a number from 0 to below 1")
        require_betas(betas)
        self.generator, self.critic, self.lr_decay = generator, critic, lr_decay
        self.averaged = copy.deepcopy(generator).requires_grad_(False)
        self.z_dim, self.n_critic, self.betas, self.ema_decay = z_dim, n_critic, tuple(map(float, betas)), ema_decay
        self.lr_generator, self.lr_critic = lr_generator, lr_critic
        self.n_generator, self.noise_kind = n_generator, noise
        self.optimizer_generator, self.optimizer_critic = optimizer_generator, optimizer_critic
        self.register_buffer("fixed_noise", self.draw_noise(FIXED_NOISE, torch.Generator().manual_seed(0)))
        self._compiled = False

    several_processes = True  # what they exchange is in training_step

    # What a model adds

    charts: tuple[dict, ...]  # each: title, series (name of a term to its label), lines (label to value)
    equilibrium: dict[str, float]  # term to the value it has where generated and real are equally distributed
    critic_says: str  # ``probability`` of being real, where 1/2 is undecided, or ``value``, of arbitrary offset

    def critic_loss(self, real: Tensor, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one critic step, and what to show of it: detached, 0-d (or ``(B,)``, for a histogram)."""
        raise NotImplementedError

    def generator_loss(self, scores: Tensor) -> Tensor:
        """The generator's loss from the critic's scores of its images ``(B,)``."""
        raise NotImplementedError

    def decision(self, scores: Tensor) -> Tensor:
        """What the critic says, as ``critic_says`` has it, from its scores ``(B,)``."""
        return scores

    def held_out_terms(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """What :meth:`critic_loss` shows that needs no gradient, for images that the critic does not learn from now."""
        raise NotImplementedError

    # Images and noise

    def noise(self, count: int) -> Tensor:
        """z to learn from, ``(count, z_dim)``; of several processes each has its share of one draw."""
        return own_share(NOISES[self.noise_kind], count, self.z_dim, device=self.device)

    def draw_noise(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """z to look at, ``(count, z_dim)`` on the CPU, from a generator of its own."""
        return NOISES[self.noise_kind](count, self.z_dim, generator=generator)

    def scaled(self, images: Tensor) -> Tensor:
        """Images in [0, 1], or points, as the critic sees them: in the generator's output range."""
        low, high = self.generator.output_range
        return images if (low, high) == (0, 1) else images * (high - low) + low

    def unscaled(self, outputs: Tensor) -> Tensor:
        """What :meth:`scaled` makes of images or points, back as they were."""
        low, high = self.generator.output_range
        return (outputs - low) / (high - low)

    @torch.no_grad()
    def generate(self, z: Tensor, averaged: bool = True) -> Tensor:
        """Images in [0, 1] from noise ``(N, z_dim)``, float32 ``(N, C, H, W)``, or points ``(N, 2)``; norms in
        evaluation mode.

        Args:
            z: the noise.
            averaged: by the averaged generator or by the one that learns.
        """
        network = self.averaged if averaged else self.generator
        was_training = network.training
        network.eval()
        with torch.autocast(z.device.type, enabled=False), self._eager():
            images = self.unscaled(network(z).float())
        network.train(was_training)
        return images

    # Training

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """One update; returns what the last critic step and the generator's step showed."""
        generator_optimizer, critic_optimizer = self.optimizers()
        # What steps last does so through Lightning's wrapper, which counts, the others beneath it: its global_step is
        # then the number of updates.
        reals = self.scaled(batch[0]).chunk(self.n_critic)
        for number, real in enumerate(reals, start=1):
            with torch.no_grad():
                fake = self.generator(self.noise(len(real))).float()
            loss, shown = self.critic_loss(real, fake)
            last = number == len(reals) and not self.n_generator
            self._step(loss, self.critic, critic_optimizer if last else critic_optimizer.optimizer)
        shown = shown | {"critic_loss": loss.detach()}
        for number in range(1, self.n_generator + 1):
            generator_loss = self.generator_loss(self.critic(self.generator(self.noise(len(reals[0])))))
            last = number == self.n_generator
            self._step(generator_loss, self.generator, generator_optimizer if last else generator_optimizer.optimizer)
            shown = shown | {"generator_loss": generator_loss.detach()}
        self._average()
        if self.lr_decay != "none":
            generator_schedule, critic_schedule = self.lr_schedulers()
            for schedule in (generator_schedule, critic_schedule) if self.n_generator else (critic_schedule,):
                schedule.step()
        return whole(shown)

    def _step(self, loss: Tensor, network: nn.Module, optimizer) -> None:
        """Steps on the gradient with respect to this network alone: none is computed for the other.

        Of several processes each has the gradient of its share's loss; their mean is that of the whole batch.
        """
        parameters = list(network.parameters())
        gradients = averaged(torch.autograd.grad(loss, parameters))
        for parameter, gradient in zip(parameters, gradients, strict=True):
            # Laid out as the weight: a fused Adam on the CPU goes through memory without a look at strides, and the
            # penalty's double backward gives a channels-last weight a gradient of another layout.
            same = gradient.stride() == parameter.stride()
            parameter.grad = gradient if same else torch.empty_like(parameter).copy_(gradient)
        optimizer.step()

    @torch.no_grad()
    def _average(self) -> None:
        updates = self.global_step
        decay = min(self.ema_decay, (1 + updates) / (10 + updates))
        for average, current in ((self.averaged.parameters(), self.generator.parameters()),
                                 (self.averaged.buffers(), self.generator.buffers())):  # fmt: skip
            pairs = [(a, c) for a, c in zip(average, current, strict=True) if a.is_floating_point()]
            if pairs:
                torch._foreach_lerp_(*map(list, zip(*pairs, strict=True)), 1 - decay)

    def configure_optimizers(self):
        optimizers = (
            self._optimizer(self.optimizer_generator, self.generator, self.lr_generator),
            self._optimizer(self.optimizer_critic, self.critic, self.lr_critic),
        )
        if self.lr_decay == "none":
            return optimizers
        updates = int(self.trainer.estimated_stepping_batches)
        return list(optimizers), [cosine_decay(optimizer, updates) for optimizer in optimizers]

    def _optimizer(self, name: str, network: nn.Module, lr: float) -> torch.optim.Optimizer:
        if name == "sgd":
            return torch.optim.SGD(network.parameters(), lr=lr)
        fused = self.device.type in ("cpu", "cuda")
        return torch.optim.Adam(network.parameters(), lr=lr, betas=self.betas, fused=fused)

    def compile(self, *args, **kwargs) -> None:
        """Compiles what training calls: the generator's forward, and what a model adds to it.

        In place, as ``nn.Module.compile``, whose arguments (those of ``torch.compile``) it takes: the state dict keeps
        its keys. That method itself would compile this module's forward, which nothing calls.
        """
        self.generator.compile(*args, **kwargs)
        self._compiled = True

    def _eager(self) -> contextlib.AbstractContextManager:
        """Where sizes and modes are not the training's, and a compilation for each would cost more than it brings."""
        return torch.compiler.set_stance("force_eager") if self._compiled else contextlib.nullcontext()

    # Held-out images, in float32 whatever the precision of the training; norms take the statistics they take there

    @torch.no_grad()
    def evaluate(self, images: Tensor) -> dict[str, Tensor]:
        """The critic's terms on images in [0, 1] it does not learn from now, against as many generated ones."""
        norms = _batch_statistics(self.generator, self.critic)
        with torch.autocast(images.device.type, enabled=False), self._eager(), norms:
            noise = NOISES[self.noise_kind](len(images), self.z_dim, device=self.device)
            return self.held_out_terms(self.scaled(images), self.generator(noise))

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.log_dict({f"val/{name}": value for name, value in self.evaluate(batch[0]).items()})

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.log_dict({f"test/{name}": value for name, value in self.evaluate(batch[0]).items()})


@contextlib.contextmanager
def _batch_statistics(*networks: nn.Module) -> Iterator[None]:
    """Batch norms take their statistics of the batch at hand and keep nothing of it. With the running ones, in which a
    discriminator's real and generated batches are mixed, it would judge otherwise than it does in training."""
    layers = [layer for network in networks for layer in network.modules() if isinstance(layer, _BatchNorm)]
    before = [(layer.training, layer.track_running_stats) for layer in layers]
    for layer in layers:
        layer.training, layer.track_running_stats = True, False
    try:
        yield
    finally:
        for layer, (training, tracking) in zip(layers, before, strict=True):
            layer.training, layer.track_running_stats = training, tracking
