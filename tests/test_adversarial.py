"""The adversarial modules against closed forms, and against the bugs that public code has had: each is here as a
mutation, which the check that passes for ours must refuse."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lightning_modules.adversarial import Adversarial
from lightning_modules.adversarial_networks import ConvCritic, ConvGenerator
from lightning_modules.gan import GAN
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


# One update


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
    reals = torch.arange(2 * n_critic, dtype=torch.float).view(-1, 1, 1, 1).expand(-1, 1, 4, 4) / 10
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
        assert torch.equal(torch.cat([x[:2] for x in seen]), reals[:, 0, 0, 0])


class FakesNotDetached(WGANGP):
    def training_step(self, batch, batch_idx):
        generator_optimizer, critic_optimizer = self.optimizers()
        for real in batch[0].chunk(self.n_critic):
            loss, _ = self.critic_loss(real, self.generator(self.noise(len(real))))
            self._step(loss, self.critic, critic_optimizer)
        self._step(self.generator_loss(self.critic(self.generator(self.noise(2)))), self.generator, generator_optimizer)


class SameNoise(WGANGP):
    def training_step(self, batch, batch_idx):
        generator_optimizer, critic_optimizer = self.optimizers()
        for real in batch[0].chunk(self.n_critic):
            z = self.noise(len(real))
            with torch.no_grad():
                fake = self.generator(z)
            self._step(self.critic_loss(real, fake)[0], self.critic, critic_optimizer)
        self._step(self.generator_loss(self.critic(self.generator(z))), self.generator, generator_optimizer)


class GeneratorStepsFirst(WGANGP):
    def training_step(self, batch, batch_idx):
        generator_optimizer, critic_optimizer = self.optimizers()
        for i, real in enumerate(batch[0].chunk(self.n_critic)):
            with torch.no_grad():
                fake = self.generator(self.noise(len(real)))
            self._step(self.critic_loss(real, fake)[0], self.critic, critic_optimizer)
            if i % self.n_critic == 0:
                loss = self.generator_loss(self.critic(self.generator(self.noise(len(real)))))
                self._step(loss, self.generator, generator_optimizer)


class OneRealBatch(WGANGP):
    def training_step(self, batch, batch_idx):
        super().training_step((batch[0][: len(batch[0]) // self.n_critic].repeat(self.n_critic, 1, 1, 1), None), 0)


def test_an_update_follows_algorithm_1():
    follows_algorithm_1(*spied(n_critic=3))


@pytest.mark.parametrize("bug", [FakesNotDetached, SameNoise, GeneratorStepsFirst, OneRealBatch])
def test_no_bug_of_the_update_passes_for_algorithm_1(bug):
    with pytest.raises(AssertionError):
        follows_algorithm_1(*spied(bug, n_critic=3))


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


def test_a_discriminator_at_chance_loses_2_ln_2():
    module, events = spied(GAN)
    nn.init.zeros_(module.critic.net.weight)
    nn.init.zeros_(module.critic.net.bias)
    loss, shown = module.critic_loss(torch.rand(5, 1, 4, 4), torch.rand(5, 1, 4, 4))
    assert loss.item() == pytest.approx(2 * math.log(2))
    assert shown["d_real"].item() == shown["d_fake"].item() == 0.5
    assert module.generator_loss(torch.zeros(5)).item() == pytest.approx(math.log(2))
    # apart, so that batch norms see real and generated images in batches of their own
    assert [len(x) for name, _, x in events if name == "D"] == [5, 5]


def test_dcgan_losses_are_cross_entropies():
    module, _ = spied(GAN)
    real, fake = torch.randn(7, 1, 4, 4), torch.randn(7, 1, 4, 4)
    logits_real, logits_fake = module.critic(real), module.critic(fake)
    expected = F.binary_cross_entropy_with_logits(logits_real, torch.ones(7))
    expected = expected + F.binary_cross_entropy_with_logits(logits_fake, torch.zeros(7))
    assert module.critic_loss(real, fake)[0].item() == pytest.approx(expected.item(), rel=1e-6)
    non_saturating = F.binary_cross_entropy_with_logits(logits_fake, torch.ones(7))
    assert module.generator_loss(logits_fake).item() == pytest.approx(non_saturating.item(), rel=1e-6)


def test_a_step_reaches_one_network_only():
    """The generator's step leaves no gradient on the critic, the critic's none on the generator."""
    module, _ = spied(n_critic=1)
    critic = [p.clone() for p in module.critic.parameters()]
    module._step(module.generator_loss(module.critic(module.generator(module.noise(4)))), module.generator,
                 module.optimizers()[0])  # fmt: skip
    assert all(torch.equal(a, b) for a, b in zip(critic, module.critic.parameters(), strict=True))
    assert all(p.grad is None for p in module.critic.parameters())
    assert all(p.grad is not None for p in module.generator.parameters())


def test_the_average_is_exponential_after_its_first_updates(monkeypatch):
    module, _ = spied(n_critic=1, ema_decay=0.5)
    weight = module.generator.net.weight
    path, expected = [0.0, 1.0, 2.0, 5.0, 3.0], weight.detach().clone()
    for updates, value in enumerate(path, start=1):
        monkeypatch.setattr(Adversarial, "global_step", updates)
        with torch.no_grad():
            weight.fill_(value)
        module._average()
        decay = min(0.5, (1 + updates) / (10 + updates))
        expected = decay * expected + (1 - decay) * value
        torch.testing.assert_close(module.averaged.net.weight, expected)
    assert not any(p.requires_grad for p in module.averaged.parameters())


def test_a_batch_norms_statistics_are_averaged_too(monkeypatch):
    generator = ConvGenerator((1, 8, 8), 4, 2, norm="batch")
    module = GAN(generator, ConvCritic((1, 8, 8), 2), z_dim=4, ema_decay=0.0)
    monkeypatch.setattr(Adversarial, "global_step", 1)
    generator(torch.randn(50, 4) * 3)
    module._average()
    for name, value in generator.state_dict().items():
        if value.is_floating_point():
            assert torch.equal(module.averaged.state_dict()[name], value), name


# Networks


@pytest.mark.parametrize("side", [8, 28, 30])
def test_networks_fit_any_side(side):
    images = ConvGenerator((1, side, side), 5, 2, norm="batch", output="tanh", init="normal")(torch.randn(3, 5))
    assert images.shape == (3, 1, side, side) and images.min() >= -1
    assert ConvCritic((1, side, side), 2)(images).shape == (3,)


def test_the_official_script_has_its_parameter_counts():
    import compose
    import fitting

    config = fitting.plain(compose.read_command("train", ["model=wgan_gp_official", "dataset=mnist"]).jobs[0])
    module = fitting.build(config["model"])
    assert sum(p.numel() for p in module.generator.parameters()) == 1_554_177
    assert sum(p.numel() for p in module.critic.parameters()) == 1_030_145
    assert (module.z_dim, module.n_critic, module.penalty_weight, module.betas) == (128, 5, 10.0, (0.5, 0.9))
    assert (module.lr_generator, config["dataset"]["batch_size"], config["dataset"]["batches_per_step"]) == (
        1e-4,
        50,
        5,
    )


def test_dcgan_starts_as_its_paper_says():
    torch.manual_seed(0)
    generator = ConvGenerator((1, 28, 28), 100, 16, norm="batch", output="tanh", init="normal")
    weights = torch.cat(
        [m.weight.flatten() for m in generator.modules() if isinstance(m, nn.Linear | nn.ConvTranspose2d)]
    )
    assert weights.std().item() == pytest.approx(0.02, rel=0.02) and abs(weights.mean().item()) < 1e-3
    gains = torch.cat([m.weight for m in generator.modules() if isinstance(m, nn.BatchNorm2d)])
    assert gains.mean().item() == pytest.approx(1, abs=0.01) and 0.01 < gains.std().item() < 0.03


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_critic": 0}, "model.n_critic=0: expects a positive number"),
        ({"n_critic": 1.5}, "model.n_critic=1.5: expects a whole number"),
        ({"ema_decay": 1.0}, "model.ema_decay=1.0: expects a number from 0 to below 1"),
        ({"betas": (0.5, 1.0)}, "model.betas=.*: expects two numbers from 0 to below 1"),
        ({"penalty_weight": -1}, "model.penalty_weight=-1: expects a number from 0"),
        ({"lr_critic": 0}, "model.lr_critic=0: expects a positive number"),
    ],
)
def test_impossible_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        WGANGP(ConvGenerator((1, 8, 8), 4, 2), ConvCritic((1, 8, 8), 2), z_dim=4, **settings)


def test_generated_images_are_in_the_unit_range_and_modes_stay():
    generator = ConvGenerator((1, 8, 8), 4, 2, norm="batch", output="tanh", init="normal")
    module = GAN(generator, ConvCritic((1, 8, 8), 2), z_dim=4).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    made = module.generate(torch.randn(9, 4), averaged=False)
    assert made.min() >= 0 and made.max() <= 1 and made.dtype == torch.float32
    assert generator.training and module.averaged.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert torch.equal(module.scaled(torch.tensor([0.0, 0.5, 1.0])), torch.tensor([-1.0, 0.0, 1.0]))


def test_held_out_images_are_judged_as_training_images_are():
    """With the batch's own statistics in the norms, whatever the mode, and nothing left behind."""
    network = {"norm": "batch", "init": "normal"}
    module = GAN(ConvGenerator((1, 8, 8), 4, 2, output="tanh", **network), ConvCritic((1, 8, 8), 2, **network), z_dim=4)
    x = torch.rand(32, 1, 8, 8)
    torch.manual_seed(0)
    expected = module.train().critic_loss(module.scaled(x), module.generator(module.noise(32)))[0].item()
    before = {name: value.clone() for name, value in module.eval().state_dict().items()}
    torch.manual_seed(0)
    assert module.evaluate(x)["critic_loss"].item() == pytest.approx(expected, rel=1e-5)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert not any(layer.training for layer in module.modules())
