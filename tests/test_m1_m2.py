"""M2 on the codes of a VAE: what is M1's stays M1's, and its bound where that is known exactly."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal, Normal
from torch.utils.data import DataLoader

from contracts_model import check_model, trainer
from datamodules.batches import Mixed
from lightning_modules.m1_m2 import LEAST_LOG_VARIANCE, M1M2
from lightning_modules.networks import MLPDecoder, MLPEncoder
from lightning_modules.vae import VAE

SHAPE, CLASSES = (1, 2, 3), 3


def small_m1(latent_dim: int = 4) -> VAE:
    """With codes of which the second and the last are the same of every image."""
    torch.manual_seed(0)
    vae = VAE(MLPEncoder(SHAPE, latent_dim, [8]), MLPDecoder(SHAPE, latent_dim, [8]), latent_dim)
    with torch.no_grad():
        last = vae.encoder.net[-1]
        last.weight[:latent_dim] *= 5
        last.weight[[1, latent_dim - 1]] = 0
    return vae


def small(m1: VAE | None = None, **settings) -> M1M2:
    m1 = m1 or small_m1()
    torch.manual_seed(1)
    sizes = {"latent_dim": 2, "classifier_hidden": [5], "encoder_hidden": [5], "decoder_hidden": [5]}
    return M1M2(m1, CLASSES, **{"labelled_share": 0.1} | sizes | settings)


def images(count: int = 40) -> torch.Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(2))


def test_training_images_say_which_dimensions_are_active_and_the_state_keeps_it():
    model = small()
    assert model.active.tolist() == [True] * 4
    held_out = model.prepare(images()[:5], training=False)
    assert model.active.all()
    examples = model.prepare(images(), training=True)
    assert model.active.tolist() == [True, False, True, False]
    mean, log_var = model.m1.posterior(images())
    torch.testing.assert_close(examples, torch.stack([mean, log_var], dim=1))
    torch.testing.assert_close(held_out, examples[:5])
    other = small()
    other.load_state_dict(model.state_dict())
    assert other.active.tolist() == [True, False, True, False]
    with pytest.raises(ValueError, match="not one dimension of its codes is active"):
        model.prepare(images(1).expand(9, -1, -1, -1), training=True)


def test_codes_are_drawn_at_each_sight_of_the_active_dimensions_by_torchs_own_generator():
    model = small()
    examples = model.prepare(images(), training=True)
    torch.manual_seed(0)
    first, second = model.see(examples), model.see(examples)
    torch.manual_seed(0)
    assert torch.equal(model.see(examples), first)
    assert (first != second).any(0).tolist() == [True, False, True, False] == first.any(0).tolist()
    many = torch.stack([model.see(examples) for _ in range(4000)])
    mean, std = examples[:, 0], (0.5 * examples[:, 1]).exp()
    torch.testing.assert_close(many.mean(0), mean * model.active, rtol=0, atol=0.1)
    torch.testing.assert_close(many.std(0), std * model.active, rtol=0.1, atol=0)
    torch.testing.assert_close(model.expected(examples), mean * model.active)


def test_the_likelihood_is_gaussian_over_the_active_dimensions_with_a_variance_that_has_a_floor():
    model = small()
    model.prepare(images(), training=True)
    x, output = torch.randn(6, 4), torch.randn(6, 8, requires_grad=True)
    std = (0.5 * output[:, 4:]).exp()  # of log variances well above the floor
    due = Normal(output[:, :4], std).log_prob(x)[:, [0, 2]].sum(1)
    found = model.log_likelihood(x, output)
    torch.testing.assert_close(found, due, rtol=1e-3, atol=1e-3)
    (gradient,) = torch.autograd.grad(found.sum(), output)
    assert (gradient != 0).any(0).tolist() == [True, False, True, False] * 2
    sure = torch.cat([x, torch.full((6, 4), -1e3)], dim=1)  # at the mean, without any doubt
    highest = 2 * Normal(0.0, math.exp(0.5 * LEAST_LOG_VARIANCE)).log_prob(torch.tensor(0.0)).item()
    torch.testing.assert_close(model.log_likelihood(x, sure), torch.full((6,), highest))
    classes = torch.randn(6, CLASSES, 8)
    each = torch.stack([model.log_likelihood(x, classes[:, y]) for y in range(CLASSES)], dim=1)
    torch.testing.assert_close(model.log_likelihood(x[:, None], classes), each)


class Linear(nn.Module):
    """Of an input and a class: W x + b_y, and constants after it."""

    def __init__(self, weight: torch.Tensor, biases: torch.Tensor, beside: torch.Tensor):
        super().__init__()
        self.weight, self.biases, self.beside = weight, biases, beside

    def forward(self, x, y=None):
        moved = x @ self.weight.T
        if y is None and x.dim() == 2:
            moved = moved[:, None]
        moved = moved + (self.biases if y is None else self.biases[y])
        return torch.cat([moved, self.beside.expand(*moved.shape[:-1], -1)], dim=-1)


def linear_gaussian(sigma: float = 0.5) -> tuple[M1M2, torch.Tensor, torch.Tensor]:
    """One with z1 = W z2 + b_y + sigma eps and its exact posterior; inputs; their exact log p(z1, y), ``(B, K)``."""
    model = small()
    torch.manual_seed(3)
    # orthogonal columns make the exact posterior diagonal, as the encoder's is
    w = torch.linalg.qr(torch.randn(4, 2))[0] * torch.tensor([2.0, 0.7])
    offsets = torch.randn(CLASSES, 4)
    precision = 1 + w.square().sum(0) / sigma**2
    to_mean = (w / sigma**2 / precision).T
    raw = torch.tensor(2 * math.log(sigma) - LEAST_LOG_VARIANCE).expm1().log() + LEAST_LOG_VARIANCE
    model.decoder = Linear(w, offsets, raw.expand(4))
    model.encoder = Linear(to_mean, -offsets @ to_mean.T, -precision.log())
    x = torch.randn(10, 4)
    covariance = w @ w.T + sigma**2 * torch.eye(4)
    exact = torch.stack([MultivariateNormal(b, covariance).log_prob(x) for b in offsets], dim=1) - math.log(CLASSES)
    return model, x, exact


@torch.no_grad()
def test_bounds_with_exact_posteriors_are_log_p():
    model, x, exact = linear_gaussian()
    many = x.repeat(3000, 1)
    sampled = -model.negative_bound(many).view(3000, 10, CLASSES).mean(0)
    torch.testing.assert_close(sampled, exact, rtol=0, atol=0.15)
    of_class = -model.negative_bound(many, torch.full((len(many),), 1)).view(3000, 10).mean(0)
    torch.testing.assert_close(of_class, exact[:, 1], rtol=0, atol=0.15)
    model.log_classes = lambda x: exact.repeat(len(x) // 10, 1).log_softmax(1)
    marginal = -model.marginal_bound(many).view(3000, 10).mean(0)
    torch.testing.assert_close(marginal, exact.logsumexp(1), rtol=0, atol=0.15)
    model.encoder.biases = model.encoder.biases + 0.5  # a posterior that is another
    worse = -model.negative_bound(many).view(3000, 10, CLASSES).mean(0)
    assert (worse < exact - 0.15).all()


def fitted(m1: VAE) -> M1M2:
    model = small(m1, lr=1e-2)
    examples = model.prepare(images(), training=True)
    labelled, nothing = (examples[:3], torch.arange(3)), torch.full((37,), -1)
    steps = DataLoader([Mixed(labelled, (examples[3:], nothing), nothing)] * 3, batch_size=None)
    held_out = model.prepare(images()[:9], training=False), torch.arange(9) % 3
    torch.manual_seed(4)
    fit = trainer(max_epochs=2)
    fit.fit(model, steps, DataLoader([held_out], batch_size=None))
    share = (model.class_probabilities(images()[:9]).argmax(1) == held_out[1]).float().mean()
    assert fit.callback_metrics["val/accuracy"].item() == pytest.approx(share.item())
    assert all(math.isfinite(value) for value in fit.callback_metrics.values())
    return model


def test_m1_is_no_part_of_it_and_stays_as_it_is():
    m1 = small_m1()
    before = {name: value.clone() for name, value in m1.state_dict().items()}
    start = small(m1).state_dict()
    model = fitted(m1)
    assert model.m1 is m1 and not model.train().m1.training
    assert all(torch.equal(m1.state_dict()[name], value) for name, value in before.items())
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in m1.parameters())
    tops = {name.partition(".")[0] for name in model.state_dict()}
    assert tops == {"active", "classifier", "encoder", "decoder"}
    own = {id(parameter) for parameter in model.parameters()}
    assert own.isdisjoint(id(parameter) for parameter in m1.parameters())
    weights = [name for name in start if name.endswith("weight")]
    assert all(not torch.equal(start[name], model.state_dict()[name]) for name in weights)


def test_two_fits_from_the_same_seeds_are_equal():
    one, two = fitted(small_m1()), fitted(small_m1())
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


@torch.no_grad()
def test_images_go_through_m1_both_ways():
    model = small()
    model.prepare(images(), training=True)
    x, y = images(5), torch.tensor([0, 1, 2, 0, 1])
    codes = model.m1.encode(x) * torch.tensor([1.0, 0, 1, 0])
    q = model.class_probabilities(x)
    torch.testing.assert_close(q, model.classifier(codes).softmax(1))
    styles = torch.stack([model.style(x, torch.full((5,), k)) for k in range(CLASSES)], dim=1)
    torch.testing.assert_close(styles[torch.arange(5), y], model.posterior(codes, y)[0])
    torch.testing.assert_close(model.encode(x), (q[..., None] * styles).sum(1))
    z = torch.randn(5, 2)
    means = model.decoder(z, y)[:, :4] * torch.tensor([1.0, 0, 1, 0])
    made = model.generate_class(z, y)
    torch.testing.assert_close(made, model.m1.decode(means))
    assert made.shape == (5, *SHAPE)
    assert not torch.equal(made[:1], model.generate_class(z[:1], y[:1] + 1))


def test_it_keeps_the_contract():
    m1, sizes = small_m1(), {"latent_dim": 2, "classifier_hidden": [5], "encoder_hidden": [5], "decoder_hidden": [5]}
    check_model(lambda: M1M2(m1, 10, labelled_share=0.3, **sizes), SHAPE)


def test_it_needs_a_vae():
    with pytest.raises(ValueError, match="model.m1: expects a VAE, not Linear"):
        small(nn.Linear(2, 2))
