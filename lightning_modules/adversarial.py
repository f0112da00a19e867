r"""What adversarial models have in common: a generator, a critic, and the order in which they learn.

A generator G turns noise z into images, or points in the plane; a critic D gives each a number. One update, which is
what every chart, checkpoint and budget counts, is

    n_critic times:     a fresh real batch x and fresh noise z; D steps on its loss, G(z) being made without a graph
    n_generator times:  fresh noise z; G steps on its loss

as in algorithm 1 of Gulrajani et al. 2017 with n_generator = 1; n_critic = 1 is that of Goodfellow et al. 2014 with
k = 1. What the data module hands out as one are the n_critic real batches, stacked, so N updates are exactly n_critic N
critic steps, also across the end of an epoch or a resumption.

Beside the generator runs an average of its weights: after n updates the weights of update i count by i^gamma, the
power function of Karras et al. 2024 (arXiv 2312.02696, section 3), whose mean age is a share h = 1 / (gamma + 2) of n,
so that it fits a budget of any length. Running statistics of batch norms are not averaged: averaged weights have
activations of their own, and the statistics are taken from these anew where the average is looked at.
"""

import copy
import functools

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from datamodules.checks import require_non_negative, require_one_of, require_positive
from lightning_modules.batch_norms import batch_statistics
from lightning_modules.checks import require_betas, require_horizon, require_steps
from lightning_modules.losses.base import AdversarialLoss
from lightning_modules.module import Module
from lightning_modules.noise import NOISES
from lightning_modules.optimizers import LR_DECAYS, OPTIMIZERS, cosine_decay, set_gradients
from lightning_modules.parallel import averaged, own_share, whole

FIXED_NOISE = 64  # samples in a sheet
STATISTICS_BATCHES, STATISTICS_BATCH, STATISTICS_SEED = 20, 250, 8  # that the averaged generator's batch norms see


class Adversarial(Module):
    """The common ground of models; what they descend is their loss's. Several processes may train one.

    Args:
        generator: maps noise ``(B, z_dim)`` to images ``(B, C, H, W)``, or points ``(B, 2)``, for which [0, 1] in the
            data is its ``output_range``, a pair of numbers.
        critic: maps such images or points to ``(B,)``.
        loss: what the two descend, from the critic's scores.
        z_dim: of the noise.
        n_critic: critic steps an update.
        lr_generator: the generator's step size.
        lr_critic: the critic's step size.
        betas: Adam's decay rates, of both.
        ema_horizon: h, the mean age of the averaged generator's weights as a share of the updates so far, up to .5,
            where all updates count alike; 0 makes it the generator itself.
        n_generator: generator steps an update; 0 leaves the generator as it is.
        noise: ``normal``, N(0, I), or ``uniform``, on [-1, 1]^z_dim.
        optimizer_generator: ``adam``, or ``sgd``, which makes no use of ``betas``.
        optimizer_critic: likewise.
        lr_decay: ``cosine``, of both step sizes to zero over the budget, or ``none``.

    Attributes:
        charts: how what :meth:`training_step` gives is to be drawn; like ``equilibrium`` and ``decision`` the loss's.
        noise: the noise itself; ``noise_name`` is the word for it.
        averaged: the generator of averaged weights.
    """

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        loss: AdversarialLoss,
        z_dim: int,
        n_critic: int,
        lr_generator: float,
        lr_critic: float,
        betas: tuple[float, float],
        ema_horizon: float = 0.05,
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
        if not isinstance(loss, AdversarialLoss):
            raise ValueError(f"model.loss={loss}: expects one of lightning_modules.losses; a command says loss=NAME")
        positive = {"z_dim": z_dim, "n_critic": n_critic, "lr_generator": lr_generator, "lr_critic": lr_critic}
        require_positive(**{f"model.{name}": value for name, value in positive.items()})
        require_non_negative(**{"model.n_generator": n_generator})
        require_steps(**{"model.n_critic": n_critic, "model.n_generator": n_generator})
        require_horizon(**{"model.ema_horizon": ema_horizon})
        require_one_of(NOISES, **{"model.noise": noise})
        optimizers = {"model.optimizer_generator": optimizer_generator, "model.optimizer_critic": optimizer_critic}
        require_one_of(OPTIMIZERS, **optimizers)
        require_one_of(LR_DECAYS, **{"model.lr_decay": lr_decay})
        require_betas(betas)
        self.generator, self.critic, self.loss, self.lr_decay = generator, critic, loss, lr_decay
        self.charts, self.equilibrium, self.decision = loss.charts, loss.equilibrium, loss.decision
        self.averaged = copy.deepcopy(generator).requires_grad_(False)
        self._stale = True  # the averaged generator's batch norms have other weights' statistics
        self.register_load_state_dict_post_hook(_has_other_weights)
        self.register_state_dict_pre_hook(_has_own_statistics)  # whoever looked before, a checkpoint is the same
        self.z_dim, self.n_critic, self.betas, self.ema_horizon = z_dim, n_critic, tuple(map(float, betas)), ema_horizon
        self.lr_generator, self.lr_critic = lr_generator, lr_critic
        self.n_generator, self.noise, self.noise_name = n_generator, NOISES[noise], noise
        self.optimizer_generator, self.optimizer_critic = optimizer_generator, optimizer_critic
        self.register_buffer("fixed_noise", self.draw_noise(FIXED_NOISE, torch.Generator().manual_seed(0)))

    several_processes = True  # what they exchange is in training_step
    compiles = False
    scored_together = False  # real and generated examples in one batch: for critics without batch norms

    def compile(self, *args, **kwargs) -> None:
        """Refuses. WGAN-GP compiled was .8 times as fast on a CPU, after a minute or more of compiling; on a GPU the
        many small kernels of an update would have to be captured as one graph."""
        raise ValueError(f"compile=true: without gain on {type(self).__name__}, whose updates are many small steps")

    @property
    def batches_per_step(self) -> int:
        """Real batches of an update, which a data module is to stack."""
        return self.n_critic

    # What a model may have otherwise

    def scores(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """The critic's of both, ``(B,)`` in float32; its batch norms see the two apart."""
        if self.scored_together:
            return self.critic(torch.cat([real, fake])).float().chunk(2)
        return self.critic(real).float(), self.critic(fake).float()

    def critic_loss(self, real: Tensor, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one critic step, and what to show of it: detached, 0-d (or ``(B,)``, for a histogram)."""
        scores = self.scores(real, fake)
        return self.loss.critic(*scores), self.loss.shown(*(score.detach() for score in scores))

    def generator_loss(self, scores: Tensor, real_scores: Tensor | None = None) -> Tensor:
        """The generator's loss from the critic's scores of its images ``(B,)``, and, where the loss is relative, from
        those of as many real ones."""
        others = (real_scores.detach().float(),) if self.loss.relative else ()
        return self.loss.generator(scores.float(), *others)

    # Images and noise

    def _draw(self, count: int) -> Tensor:
        """z to learn from, ``(count, z_dim)``; of several processes each has its share of one draw."""
        return own_share(self.noise.sample, count, self.z_dim, device=self.device)

    def draw_noise(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """z to look at, ``(count, z_dim)`` on the CPU, from a generator of its own."""
        return self.noise.sample(count, self.z_dim, generator)

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
        if averaged and self._stale:
            self._renew_statistics()
        was_training = network.training
        network.eval()
        with torch.autocast(z.device.type, enabled=False):
            images = self.unscaled(network(z).float())
        network.train(was_training)
        return images

    # Training

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """One update; returns what the last critic step and the generator's step showed.

        Args:
            batch: the real examples ``(n_critic, B, ...)`` in [0, 1], or points, and targets that nothing is learnt
                from.
            batch_idx: of no use here.
        """
        generator_optimizer, critic_optimizer = self.optimizers()
        # What steps last does so through Lightning's wrapper, which counts, the others beneath it: its global_step is
        # then the number of updates.
        reals = self.scaled(self._stacked(batch[0]))
        for number, real in enumerate(reals, start=1):
            with torch.no_grad():
                fake = self.generator(self._draw(len(real))).float()
            loss, shown = self.critic_loss(real, fake)
            last = number == len(reals) and not self.n_generator
            self._step(loss, self.critic, critic_optimizer if last else critic_optimizer.optimizer)
        shown = shown | {"critic_loss": loss.detach()}
        for number in range(1, self.n_generator + 1):
            generator_loss = self.generator_loss(
                self.critic(self.generator(self._draw(len(reals[0])))), self.real_scores(reals[-1])
            )
            last = number == self.n_generator
            self._step(generator_loss, self.generator, generator_optimizer if last else generator_optimizer.optimizer)
            shown = shown | {"generator_loss": generator_loss.detach()}
        self._average()
        if self.lr_decay != "none":
            generator_schedule, critic_schedule = self.lr_schedulers()
            for schedule in (generator_schedule, critic_schedule) if self.n_generator else (critic_schedule,):
                schedule.step()
        return whole(shown)

    def _stacked(self, examples: Tensor) -> Tensor:
        """As they are; examples ``(B, ...)`` become ``(1, B, ...)``, which is an update's if n_critic is 1."""
        stacked = examples[None] if examples.dim() == self._dims else examples
        if stacked.dim() != self._dims + 1 or len(stacked) != self.n_critic:
            raise ValueError(
                f"model.n_critic={self.n_critic}: an update learns from so many batches, stacked, and was given "
                f"{tuple(examples.shape)}; use this project's data modules, or n_critic=1"
            )
        return stacked

    @functools.cached_property
    def _dims(self) -> int:
        """Of a batch of examples, 4 for images, 2 for points: as the generator makes them, whatever it makes."""
        network, was_training = self.averaged, self.averaged.training
        with torch.no_grad():
            dims = network.eval()(self.fixed_noise[:1]).dim()
        network.train(was_training)
        return dims

    @torch.no_grad()
    def real_scores(self, real: Tensor) -> Tensor | None:
        """What a generator's step takes of real examples: nothing, unless its loss is relative to them."""
        return self.critic(real) if self.loss.relative else None

    def _step(self, loss: Tensor, network: nn.Module, optimizer) -> None:
        """Steps on the gradient with respect to this network alone: none is computed for the other.

        Of several processes each has the gradient of its share's loss; their mean is that of the whole batch.
        """
        parameters = list(network.parameters())
        set_gradients(parameters, averaged(torch.autograd.grad(loss, parameters)))
        optimizer.step()

    @torch.no_grad()
    def _average(self) -> None:
        """Karras et al. 2024, section 3: beta_n = (1 - 1/n)^(gamma + 1), and gamma + 1 = 1/h - 1."""
        updates = max(1, self.global_step)  # a step without a trainer counts nothing
        decay = (1 - 1 / updates) ** (1 / self.ema_horizon - 1) if self.ema_horizon else 0.0
        average, current = (list(network.parameters()) for network in (self.averaged, self.generator))
        torch._foreach_lerp_(average, current, 1 - decay)
        self._stale = True

    def _renew_statistics(self) -> None:
        """Gives the averaged generator's batch norms the statistics of its own activations, always from the same noise:
        they are a function of its weights alone, whoever looks and when."""
        noise = self.draw_noise(STATISTICS_BATCHES * STATISTICS_BATCH, torch.Generator().manual_seed(STATISTICS_SEED))
        noise = noise.to(self.fixed_noise)  # its device and precision are the networks'
        with torch.autocast(self.device.type, enabled=False):
            update_bn(noise.split(STATISTICS_BATCH), self.averaged)
        self._stale = False

    def configure_optimizers(self):
        optimizers = tuple(
            OPTIMIZERS[name](self, network.parameters(), lr, betas=self.betas)
            for name, network, lr in (
                (self.optimizer_generator, self.generator, self.lr_generator),
                (self.optimizer_critic, self.critic, self.lr_critic),
            )
        )
        if self.lr_decay == "none":
            return optimizers
        updates = int(self.trainer.estimated_stepping_batches)
        return list(optimizers), [cosine_decay(optimizer, updates) for optimizer in optimizers]

    # Held-out images, in float32 whatever the precision of the training; norms take the statistics they take there

    @torch.no_grad()
    def evaluate(self, images: Tensor, noise: Tensor | None = None) -> dict[str, Tensor]:
        """The critic's terms on images in [0, 1] it does not learn from now, against as many generated ones.

        Args:
            images: ``(N, C, H, W)``, or points.
            noise: that these are generated from, ``(N, z_dim)``; of torch's global generator unless given.
        """
        if noise is None:
            noise = self.noise.sample(len(images), self.z_dim, device=self.device)
        with torch.autocast(images.device.type, enabled=False), batch_statistics(self.generator, self.critic):
            real, fake = self.scaled(images), self.generator(noise)
            return self.loss.held_out(self.critic(real).float(), self.critic(fake).float())

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.log_dict({f"val/{name}": value for name, value in self.evaluate(batch[0]).items()})

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.log_dict({f"test/{name}": value for name, value in self.evaluate(batch[0]).items()})


def _has_other_weights(module: Adversarial, incompatible_keys) -> None:
    module._stale = True


def _has_own_statistics(module: Adversarial, prefix: str, keep_vars: bool) -> None:
    if module._stale:
        module._renew_statistics()
