"""What adversarial models have in common: the contract, averages, samples, held-out terms, settings."""

import math

import pytest
import torch
from torch import nn

from contracts_model import check_model
from lightning_modules.adversarial import Adversarial
from lightning_modules.adversarial_networks import ConvCritic, ConvGenerator
from lightning_modules.gan import GAN
from lightning_modules.losses.hinge import Hinge
from lightning_modules.losses.least_squares import LeastSquares
from lightning_modules.plane_networks import MLPCritic, MLPGenerator
from lightning_modules.wgan import WGAN
from lightning_modules.wgan_gp import WGANGP

SHAPE = (1, 8, 8)


def images(kind=GAN, norm="batch", critic_norm="none", output="tanh", **settings) -> Adversarial:
    networks = ConvGenerator(SHAPE, 4, 2, norm=norm, output=output), ConvCritic(SHAPE, 2, norm=critic_norm)
    return kind(*networks, z_dim=4, **settings)


def points(kind=GAN, **settings) -> Adversarial:
    return kind(MLPGenerator(2, [8], output_range=(-2, 2)), MLPCritic([8], act="leaky_relu"), z_dim=2, **settings)


CONTRACT = {
    "dcgan": (lambda: images(critic_norm="batch", n_critic=2), SHAPE),
    "hinge": (lambda: images(loss=Hinge(), critic_norm="layer"), SHAPE),
    "wgan_gp": (lambda: images(WGANGP, n_critic=3, output="sigmoid"), SHAPE),
    "uniform noise": (lambda: images(WGANGP, n_critic=2, noise="uniform", n_generator=2, lr_decay="cosine"), SHAPE),
    "gan, plane": (lambda: points(loss=LeastSquares(), lr_decay="cosine"), (2,)),
    "hinge, plane": (lambda: points(loss=Hinge(), n_critic=2), (2,)),
    "wgan, plane": (lambda: points(WGAN, clip=0.1, optimizer_critic="sgd"), (2,)),
    "wgan_gp, plane, one": (lambda: points(WGANGP, n_critic=1), (2,)),
}


@pytest.mark.parametrize("name", CONTRACT)
def test_every_model_keeps_the_contract(name):
    check_model(*CONTRACT[name])


class OutOfRange(MLPGenerator):
    """Images that are not in the range it says."""

    def forward(self, z):
        return super().forward(z).repeat(1, 32).unflatten(1, SHAPE) - 5


class Column(ConvCritic):
    def forward(self, x):
        return super().forward(x)[:, None]


class StepsTwice(GAN):
    """Both optimizers through Lightning's wrapper: its global_step, and every budget, counts each update twice."""

    def _step(self, loss, network, optimizer):
        wrapped = self.optimizers()[network is self.critic]
        super()._step(loss, network, wrapped)


class Undetached(GAN):
    def critic_loss(self, real, fake):
        loss, shown = super().critic_loss(real, fake)
        return loss, shown | {"half": loss / 2}


class DrawsToEvaluate(GAN):
    def evaluate(self, images, noise=None):
        return super().evaluate(images)


class ChunksFlatBatches(WGANGP):
    def _stacked(self, examples):
        return examples.flatten(0, -4).unflatten(0, (self.n_critic, -1))


class ChartOfNothing(GAN):
    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self.charts = (*self.charts, {"title": "?", "series": {"nothing": "nothing"}, "lines": {}})


BROKEN = {
    r"images outside of \[0, 1\]": lambda: GAN(OutOfRange(4, [8]), ConvCritic(SHAPE, 2), z_dim=4),
    r"the critic gives \(B,\)": lambda: GAN(ConvGenerator(SHAPE, 4, 2), Column(SHAPE, 2), z_dim=4),
    "one step of Lightning's count": lambda: images(StepsTwice),
    "must be detached": lambda: images(Undetached),
    "it must draw nothing": lambda: images(DrawsToEvaluate),
    "a flat batch was taken": lambda: images(ChunksFlatBatches, norm="none", n_critic=3),
    "nothing": lambda: images(ChartOfNothing),
}


@pytest.mark.parametrize("message", BROKEN)
def test_no_broken_model_keeps_the_contract(message):
    with pytest.raises(AssertionError, match=message):
        check_model(BROKEN[message], SHAPE)


def test_real_and_generated_examples_meet_batch_norms_apart():
    """And together where there are none, which is quicker."""
    for kind, seen in ((GAN, [5, 5]), (WGAN, [10]), (WGANGP, [10, 5])):
        module, sizes = images(kind), []
        module.critic.register_forward_hook(lambda _, inputs, __, sizes=sizes: sizes.append(len(inputs[0])))
        module.critic_loss(torch.rand(5, *SHAPE), torch.rand(5, *SHAPE))
        assert sizes == seen


def test_a_discriminator_at_chance_loses_2_ln_2():
    module = images()
    nn.init.zeros_(module.critic.net[-1].weight)
    loss, shown = module.critic_loss(torch.rand(5, *SHAPE), torch.rand(5, *SHAPE))
    assert loss.item() == pytest.approx(2 * math.log(2))
    assert shown["d_real"].item() == shown["d_fake"].item() == 0.5
    assert module.generator_loss(torch.zeros(5)).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize(("horizon", "power"), [(0.5, 0), (0.25, 2), (0.1, 8)])
def test_the_averages_weights_are_a_power_of_the_update(monkeypatch, horizon, power):
    """Karras et al. 2024: update i of n counts i^(gamma + 1) - (i - 1)^(gamma + 1), about i^gamma; the mean age is then
    the horizon's share of n."""
    module = points(ema_horizon=horizon)
    weight, n = module.generator.net[0].weight, 400
    for update in range(1, n + 1):
        monkeypatch.setattr(Adversarial, "global_step", update)
        with torch.no_grad():
            weight.fill_(n - update)  # the age at the end
        module._average()
    i = torch.arange(n + 1, dtype=torch.float64)
    shares = ((i / n) ** (power + 1)).diff()
    expected = (shares * (n - i[1:])).sum().item()
    found = module.averaged.net[0].weight.mean().item()
    assert found == pytest.approx(expected, rel=1e-4) and found / n == pytest.approx(horizon, abs=0.005)
    assert not any(p.requires_grad for p in module.averaged.parameters())


def test_a_horizon_of_zero_is_the_generator_itself(monkeypatch):
    module = points(ema_horizon=0)
    monkeypatch.setattr(Adversarial, "global_step", 7)
    with torch.no_grad():
        module.generator.net[0].weight.fill_(3.0)
    module._average()
    assert torch.equal(module.averaged.net[0].weight, module.generator.net[0].weight)


def batch_normed(**settings) -> GAN:
    torch.manual_seed(0)
    generator = ConvGenerator((1, 8, 8), 4, 2, norm="batch", init="normal")
    return GAN(generator, ConvCritic((1, 8, 8), 2), z_dim=4, **settings)


def test_the_averages_statistics_are_its_own_activations(monkeypatch):
    """What the first norm sees is W z: of normal z each channel's variance is the mean of its rows' squared norms."""
    module = batch_normed(ema_horizon=0.5)
    linear, norm = module.averaged.net[0], module.averaged.net[2]
    with torch.no_grad():
        module.generator.net[0].weight.mul_(30)
    for update in (1, 2):
        monkeypatch.setattr(Adversarial, "global_step", update)
        module._average()
    module.generate(torch.randn(2, 4))
    expected = linear.weight.square().sum(1).view(len(norm.running_var), -1).mean(1)
    torch.testing.assert_close(norm.running_var, expected, rtol=0.1, atol=0)
    assert norm.running_mean.abs().max() < 0.1 * expected.sqrt().max()


def test_the_averages_statistics_are_renewed_when_weights_are_and_only_then(monkeypatch):
    module, seen, z = batch_normed(), [], torch.randn(3, 4)
    monkeypatch.setattr(Adversarial, "global_step", 1)
    module.averaged.net[2].register_forward_hook(lambda *_: seen.append(1))
    module.generate(z)
    first = len(seen)
    module.generate(z)
    assert (first, len(seen)) == (21, 22)
    module._average()
    module.generate(z)
    assert len(seen) == 43
    other = batch_normed()
    with torch.no_grad():
        other.averaged.net[0].weight.mul_(30)
    module.load_state_dict(other.state_dict())
    made = module.generate(z)
    assert len(seen) == 64 and torch.equal(made, other.generate(z))


def test_who_looks_at_the_average_and_when_changes_nothing(monkeypatch):
    """Its statistics are of fixed noise: no global random number is drawn, and twice is as once."""
    module, again = batch_normed(), batch_normed()
    z, state = torch.randn(3, 4), torch.get_rng_state()
    module.generate(torch.randn(50, 4, generator=torch.Generator()))
    module._stale = True
    assert torch.equal(module.generate(z), again.generate(z)) and torch.equal(state, torch.get_rng_state())


def test_a_checkpoint_has_the_statistics_of_its_weights_whoever_looked(monkeypatch):
    """Else the bytes of an epoch that nobody scored would depend on when somebody last did."""
    monkeypatch.setattr(Adversarial, "global_step", 3)
    states = []
    for looks in (True, False):
        module = batch_normed(ema_horizon=0.5)
        if looks:
            module.generate(torch.randn(2, 4))
        with torch.no_grad():
            module.generator.net[0].weight.mul_(30)
        module._average()
        states.append({name: value.clone() for name, value in module.state_dict().items()})
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert states[0]["averaged.net.2.running_var"].max() > 0.01  # 30 times the first weights' at least


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_critic": 0}, "model.n_critic=0: expects a positive number"),
        ({"n_critic": 1.5}, "model.n_critic=1.5: expects a whole number"),
        ({"ema_horizon": 0.6}, "model.ema_horizon=0.6: expects a share of the updates, from 0 to 0.5"),
        ({"ema_horizon": "far"}, "model.ema_horizon=far: expects a share of the updates, from 0 to 0.5"),
        ({"betas": (0.5, 1.0)}, "model.betas=.*: expects two numbers from 0 to below 1"),
        ({"penalty_weight": -1}, "model.penalty_weight=-1: expects a number from 0"),
        ({"lr_critic": 0}, "model.lr_critic=0: expects a positive number"),
        ({"n_generator": True}, "model.n_generator=True: expects a number from 0"),
        ({"noise": "cauchy"}, "model.noise=cauchy: accepted are normal, uniform"),
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
    expected = module.train().critic_loss(module.scaled(x), module.generator(module._draw(32)))[0].item()
    before = {name: value.clone() for name, value in module.eval().state_dict().items()}
    torch.manual_seed(0)
    assert module.evaluate(x)["critic_loss"].item() == pytest.approx(expected, rel=1e-5)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert not any(layer.training for layer in module.modules())


def test_held_out_terms_are_of_the_noise_that_is_given():
    """So that whoever watches a fit need not draw from the generator that the fit learns by."""
    module, x = images(WGANGP, norm="none"), torch.rand(16, *SHAPE)
    noise = module.draw_noise(16, torch.Generator().manual_seed(5))
    state = torch.get_rng_state()
    found = module.evaluate(x, noise)
    assert torch.equal(state, torch.get_rng_state())
    expected = module.critic(module.scaled(x)).mean() - module.critic(module.generator(noise)).mean()
    assert found["wasserstein"].item() == pytest.approx(expected.item(), abs=1e-6)
    assert module.evaluate(x)["wasserstein"] != found["wasserstein"]


@pytest.mark.parametrize("noise", ["normal", "uniform"])
def test_noise_to_learn_from_and_to_look_at_is_the_models_own(noise):
    module = images(noise=noise)
    torch.manual_seed(0)
    drawn = module._draw(5)
    torch.manual_seed(0)
    assert torch.equal(drawn, torch.randn(5, 4) if noise == "normal" else torch.rand(5, 4) * 2 - 1)
    shown = module.draw_noise(64, torch.Generator().manual_seed(0))
    assert torch.equal(shown, module.fixed_noise) and (shown.abs().max() > 1) == (noise == "normal")


def test_compiling_is_refused_in_one_line():
    with pytest.raises(ValueError, match="^compile=true: without gain on WGANGP, .*$"):
        images(WGANGP).compile()
    assert not images().compiles
