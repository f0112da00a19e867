"""One update: the order of its steps, each against the bugs that public code has had, and what a step reaches."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from contracts_model import trainer
from lightning_modules.adversarial import Adversarial
from lightning_modules.adversarial_networks import ConvCritic, ConvGenerator
from lightning_modules.gan import GAN
from lightning_modules.wgan_gp import WGANGP


class Spy(nn.Module):
    """A linear network that writes down how it was called."""

    output_range = (0.0, 1.0)

    def __init__(self, name, events, sizes, shape=()):
        super().__init__()
        self.net, self.name, self.events, self.shape = nn.Linear(*sizes), name, events, shape

    def forward(self, x):
        self.events.append((self.name, torch.is_grad_enabled(), x.detach().clone()))
        out = self.net(x.flatten(1))
        return out.unflatten(1, self.shape) if self.shape else out.squeeze(1)


def spied(model=WGANGP, **settings) -> tuple[Adversarial, list]:
    """A model whose networks and optimizers write into the list what happens."""
    events: list = []
    generator = Spy("G", events, (4, 16), (1, 4, 4))
    module = model(generator, Spy("D", events, (16, 1)), z_dim=4, **settings)
    optimizers = module.configure_optimizers()

    class Wrapped:
        def __init__(self, name, optimizer):
            self.name, self.optimizer = name, optimizer
            optimizer.register_step_post_hook(lambda *_: events.append((f"step {name}", None, None)))

        def step(self):
            self.optimizer.step()

    wrapped = [Wrapped(name, optimizer) for name, optimizer in zip("GD", optimizers, strict=True)]
    module.optimizers = lambda: wrapped
    return module, events


def follows_algorithm_1(module, events, n_critic=3):
    """n_critic critic steps on fresh real batches and noise, without a generator graph; then one of the generator."""
    reals = torch.arange(2 * n_critic, dtype=torch.float).view(n_critic, 2, 1, 1, 1).expand(-1, -1, 1, 4, 4) / 10
    for _ in range(2):
        events.clear()
        module.training_step((reals, None), 0)
        steps = [name for name, _, _ in events if name.startswith("step")]
        assert steps == ["step D"] * n_critic + ["step G"]
        calls = [event for event in events if event[0] == "G"]
        assert [with_graph for _, with_graph, _ in calls] == [False] * n_critic + [True]
        noises = torch.cat([z for _, _, z in calls])
        assert len(noises) == 2 * (n_critic + 1) == len(noises.unique(dim=0))
        seen = [x.flatten(1)[:, 0] for name, _, x in events if name == "D" and len(x) == 4]  # real and fake together
        assert torch.equal(torch.cat([x[:2] for x in seen]), reals[..., 0, 0, 0].flatten())


class FakesNotDetached(WGANGP):
    def training_step(self, batch, batch_idx):
        generator_optimizer, critic_optimizer = self.optimizers()
        for real in batch[0]:
            loss, _ = self.critic_loss(real, self.generator(self._draw(len(real))))
            self._step(loss, self.critic, critic_optimizer)
        self._step(self.generator_loss(self.critic(self.generator(self._draw(2)))), self.generator, generator_optimizer)


class SameNoise(WGANGP):
    def training_step(self, batch, batch_idx):
        generator_optimizer, critic_optimizer = self.optimizers()
        for real in batch[0]:
            z = self._draw(len(real))
            with torch.no_grad():
                fake = self.generator(z)
            self._step(self.critic_loss(real, fake)[0], self.critic, critic_optimizer)
        self._step(self.generator_loss(self.critic(self.generator(z))), self.generator, generator_optimizer)


class GeneratorStepsFirst(WGANGP):
    def training_step(self, batch, batch_idx):
        generator_optimizer, critic_optimizer = self.optimizers()
        for i, real in enumerate(batch[0]):
            with torch.no_grad():
                fake = self.generator(self._draw(len(real)))
            self._step(self.critic_loss(real, fake)[0], self.critic, critic_optimizer)
            if i % self.n_critic == 0:
                loss = self.generator_loss(self.critic(self.generator(self._draw(len(real)))))
                self._step(loss, self.generator, generator_optimizer)


class OneRealBatch(WGANGP):
    def training_step(self, batch, batch_idx):
        super().training_step((batch[0][:1].expand_as(batch[0]), None), 0)


def test_an_update_follows_algorithm_1():
    follows_algorithm_1(*spied(n_critic=3))


@pytest.mark.parametrize("bug", [FakesNotDetached, SameNoise, GeneratorStepsFirst, OneRealBatch])
def test_no_bug_of_the_update_passes_for_algorithm_1(bug):
    with pytest.raises(AssertionError):
        follows_algorithm_1(*spied(bug, n_critic=3))


@pytest.mark.parametrize(
    ("n_critic", "shape"),
    [(5, (64, 1, 4, 4)), (5, (5, 1, 4, 4)), (2, (1, 8, 1, 4, 4)), (1, (2, 8, 1, 4, 4)), (1, (4, 4))],
)
def test_an_update_takes_exactly_its_batches(n_critic, shape):
    """A flat batch of 64 was once taken for batches of 13 and 12; of five images it could pass for five batches."""
    module, events = spied(n_critic=n_critic)
    message = f"^model.n_critic={n_critic}: an update learns from so many batches, stacked, and was given .{shape[0]}, "
    with pytest.raises(ValueError, match=message + ".*; use this project's data modules, or n_critic=1$"):
        module.training_step((torch.rand(shape), None), 0)
    assert not any(name.startswith("step") for name, _, _ in events)


def test_one_critic_step_takes_a_flat_batch_or_a_stack_of_one():
    images, weights = torch.rand(6, 1, 4, 4), []
    for batch in (images, images[None]):
        torch.manual_seed(0)
        module, _ = spied(n_critic=1)
        module.training_step((batch, torch.zeros(6)), 0)
        weights.append(module.state_dict())
    torch.testing.assert_close(*weights, rtol=0, atol=0)


def test_a_loaders_flat_batches_are_an_update_each_where_the_critic_steps_once():
    data = TensorDataset(torch.rand(20, 1, 8, 8), torch.zeros(20))
    networks = ConvGenerator((1, 8, 8), 4, 2), ConvCritic((1, 8, 8), 2)
    fit = trainer(max_epochs=3)
    fit.fit(GAN(*networks, z_dim=4), DataLoader(data, batch_size=5))
    assert fit.global_step == 12
    with pytest.raises(ValueError, match="^model.n_critic=5: .*stacked.*was given"):
        trainer(max_epochs=3).fit(WGANGP(*networks, z_dim=4), DataLoader(data, batch_size=5))


def test_a_step_reaches_one_network_only():
    """The generator's step leaves no gradient on the critic, the critic's none on the generator."""
    module, _ = spied(n_critic=1)
    critic = [p.clone() for p in module.critic.parameters()]
    module._step(module.generator_loss(module.critic(module.generator(module._draw(4)))), module.generator,
                 module.optimizers()[0])  # fmt: skip
    assert all(torch.equal(a, b) for a, b in zip(critic, module.critic.parameters(), strict=True))
    assert all(p.grad is None for p in module.critic.parameters())
    assert all(p.grad is not None for p in module.generator.parameters())


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
