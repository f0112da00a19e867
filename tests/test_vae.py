"""The VAE against closed forms. Each test named ``..._bug`` fails for a mistake published in other people's code."""

import math
import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, MultivariateNormal, Normal, kl_divergence
from torch.utils.data import DataLoader

from contracts_model import batches, check_model, trainer
from lightning_modules.corruption import Jitter
from lightning_modules.networks import ConvEncoder, MLPDecoder, MLPEncoder
from lightning_modules.vae import VAE, Terms, active_units, gaussian_kl

SHAPE = (1, 8, 8)


def small_vae(**settings) -> VAE:
    torch.manual_seed(0)
    latent = settings.pop("latent_dim", 4)
    return VAE(MLPEncoder(SHAPE, latent, [32]), MLPDecoder(SHAPE, latent, [32]), latent, **settings).eval()


class Linear(nn.Module):
    """A linear map to an image, or from one: with it a VAE is factor analysis, and log p(x) is known."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, out_shape: tuple[int, ...]):
        super().__init__()
        self.weight, self.bias, self.out_shape = weight, bias, out_shape

    def forward(self, x):
        return (x.flatten(1) @ self.weight.T + self.bias).unflatten(1, self.out_shape)


def linear_gaussian(sigma: float = 0.5, log_var_shift: float = 0.0) -> tuple[VAE, torch.Tensor, torch.Tensor]:
    """A VAE with x = W z + b + sigma eps and its exact posterior, images, and their exact log p(x)."""
    torch.manual_seed(1)
    # orthogonal columns make the exact posterior diagonal, as the encoder's is
    w = torch.linalg.qr(torch.randn(64, 3))[0] * torch.tensor([2.0, 1.0, 0.5])
    b = torch.randn(64)
    precision = 1 + w.square().sum(0) / sigma**2
    to_mean = (w / sigma**2 / precision).T
    weight = torch.cat([to_mean, torch.zeros(3, 64)])
    bias = torch.cat([-to_mean @ b, -precision.log() + log_var_shift])
    vae = VAE(Linear(weight, bias, (6,)), Linear(w, b, SHAPE), 3, likelihood="gaussian", sigma=sigma).eval()
    x = (torch.randn(40, 3) @ w.T + b + sigma * torch.randn(40, 64)).view(40, *SHAPE)
    exact = MultivariateNormal(b, w @ w.T + sigma**2 * torch.eye(64)).log_prob(x.flatten(1))
    return vae, x, exact


def test_kl_is_the_closed_form():
    mean, log_var = torch.randn(5, 3), torch.randn(5, 3)
    expected = kl_divergence(Normal(mean, (0.5 * log_var).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(gaussian_kl(mean, log_var), expected)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_log_likelihood_is_summed_over_pixels(likelihood):
    vae = small_vae(likelihood=likelihood, sigma=0.3)
    x, output = torch.rand(5, *SHAPE).round(), torch.randn(5, *SHAPE)
    density = Bernoulli(logits=output) if likelihood == "bernoulli" else Normal(output, 0.3)
    torch.testing.assert_close(vae.log_likelihood(x, output), density.log_prob(x).sum((1, 2, 3)))


def test_mean_reduced_reconstruction_bug():
    """A reconstruction averaged over pixels is beta = 784: its gradient would be 1/64 of this one's here."""
    vae = small_vae()
    x = torch.rand(6, *SHAPE)
    output = torch.zeros(6, *SHAPE, requires_grad=True)
    vae.log_likelihood(x, output).sum().backward()
    torch.testing.assert_close(output.grad, x - 0.5)


def test_loss_does_not_depend_on_the_batch_size_bug():
    vae, x, _ = linear_gaussian()
    torch.manual_seed(0)
    one = [term.mean() for term in vae(x)[:2]]
    torch.manual_seed(0)
    many = [term.mean() for term in vae(x.repeat(50, 1, 1, 1))[:2]]
    torch.testing.assert_close(one[1], many[1])
    torch.testing.assert_close(one[0], many[0], rtol=0.05, atol=0)


def training_loss(vae: VAE, x: torch.Tensor, epoch: int = 0) -> float:
    """The loss of ``training_step`` at the first batch of an epoch."""
    vae._trainer = SimpleNamespace(log_every_n_steps=1, num_training_batches=1, current_epoch=epoch)
    vae.log = lambda *args, **kwargs: None
    vae.on_train_epoch_start()
    torch.manual_seed(0)
    return vae.train().training_step((x, None), 0).item()


def test_batch_summed_training_loss_bug():
    vae, x, _ = linear_gaussian()
    assert training_loss(vae, x.repeat(50, 1, 1, 1)) == pytest.approx(training_loss(vae, x), rel=0.05)


def test_training_minimises_reconstruction_plus_weighted_kl():
    vae, x, _ = linear_gaussian()
    torch.manual_seed(0)
    reconstruction, kl = (term.mean().item() for term in (vae(x)[0], vae(x)[1].sum(1)))
    vae.beta, vae.warmup_epochs = 3.0, 4.0
    losses = [training_loss(vae, x, epoch) for epoch in (0, 2, 4, 8)]
    assert losses == pytest.approx([reconstruction + w * kl for w in (0, 1.5, 3, 3)], rel=1e-5)


def test_training_sees_binarised_images():
    vae, seen = small_vae(binarize=True), []
    vae.encoder.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    training_loss(vae, torch.full((9, *SHAPE), 0.4))
    assert set(seen[0].unique().tolist()) == {0.0, 1.0}


def plain() -> VAE:
    return VAE(MLPEncoder(SHAPE, 4, [16]), MLPDecoder(SHAPE, 4, [16]), 4, nll_samples=2)


def denoising() -> VAE:
    networks = ConvEncoder(SHAPE, 5, 4, 16), MLPDecoder(SHAPE, 5, [16])
    return VAE(*networks, 5, likelihood="gaussian", corruption=Jitter(0.1, 10, 0.1, 0.1), warmup_epochs=1.0)


class MMD(VAE):
    """The InfoVAE with beta = 0 (Zhao et al. 2019): the codes' distribution as a whole, not each image's, is drawn to
    the prior, by the maximum mean discrepancy with a Gaussian kernel."""

    def loss(self, terms: Terms, weight: float) -> torch.Tensor:
        def kernel(a, b):
            return (-torch.cdist(a, b).square() / a.shape[1]).exp().mean()

        z, prior = terms.z, torch.randn_like(terms.z)
        discrepancy = kernel(z, z) + kernel(prior, prior) - 2 * kernel(z, prior)
        return terms.reconstruction.mean() + 1000 * weight * discrepancy


class SamplesItsCodes(VAE):
    def encode(self, x):
        mean, log_var = self.posterior(x)
        return mean + torch.randn_like(mean) * (0.5 * log_var).exp()


class CentresItsCodes(VAE):
    def posterior(self, x):
        mean, log_var = super().posterior(x)
        return mean - mean.mean(0), log_var


@pytest.mark.parametrize("make", [plain, denoising, lambda: MMD(plain().encoder, plain().decoder, 4)])
def test_every_vae_keeps_the_contract(make):
    check_model(make, SHAPE)


@pytest.mark.parametrize(
    ("bug", "message"), [(SamplesItsCodes, "deterministic"), (CentresItsCodes, "depends on the others' images")]
)
def test_no_broken_vae_keeps_the_contract(bug, message):
    with pytest.raises(AssertionError, match=message):
        check_model(lambda: bug(plain().encoder, plain().decoder, 4), SHAPE)


def test_another_loss_is_one_method():
    """It is given the sample that the reconstruction is of, and what it gives is what training descends."""
    vae, x, _ = linear_gaussian()
    vae.loss = lambda terms, weight: 7 * terms.z.square().sum() + weight
    torch.manual_seed(0)
    terms = vae(x)
    torch.testing.assert_close(terms.reconstruction, -vae.log_likelihood(x, vae.decoder(terms.z)))
    assert training_loss(vae, x) == pytest.approx(7 * terms.z.square().sum().item() + 1, rel=1e-5)


def test_the_training_elbo_is_the_mean_of_the_batches_seen():
    """Also where the budget ends within an epoch: after two of three batches."""
    means = {}
    for updates in (2, 3):
        torch.manual_seed(0)
        vae, seen = plain(), []
        forward = vae.forward
        vae.forward = lambda x, forward=forward, seen=seen: (seen.append(terms := forward(x)), terms)[1]
        fit = trainer(max_steps=updates, limit_val_batches=0)
        fit.fit(vae, DataLoader(batches(vae, SHAPE), batch_size=None))
        each = torch.stack([-(terms.reconstruction.mean() + terms.kl.sum(1).mean()) for terms in seen])
        means[updates] = fit.callback_metrics["train/elbo"].item()
        assert len(seen) == updates and means[updates] == pytest.approx(each.mean().item(), rel=1e-5)
    assert means[2] != means[3]


def test_the_optimizer_is_the_configured_adam():
    vae = small_vae(weight_decay=2e-5, lr=3e-4, betas=(0.8, 0.99), lr_decay="none")
    optimizer = vae.configure_optimizers()
    group = optimizer.param_groups[0]
    assert type(optimizer) is torch.optim.Adam
    assert (group["weight_decay"], group["lr"], group["betas"]) == (2e-5, 3e-4, (0.8, 0.99))
    assert sum(p.numel() for p in group["params"]) == sum(p.numel() for p in vae.parameters())


def logged_at_test(vae: VAE) -> dict[str, float]:
    """What ``trainer.test`` logs on the digits."""
    import pytorch_lightning as pl

    from callbacks.observers.epoch_seed import EpochSeed
    from datamodules.digits import Digits

    trainer = pl.Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False,
                         enable_model_summary=False, accelerator="cpu", callbacks=[EpochSeed(0)])  # fmt: skip
    return trainer.test(vae, Digits(), verbose=False)[0]


def test_the_logged_elbo_has_no_beta():
    one, weighted = (
        logged_at_test(small_vae(beta=1.0, nll_samples=1)),
        logged_at_test(small_vae(beta=0.1, nll_samples=1)),
    )
    assert one["test/elbo"] == weighted["test/elbo"] == pytest.approx(-one["test/reconstruction"] - one["test/kl"])


def test_the_test_uses_the_configured_importance_samples_bug():
    vae, asked = small_vae(nll_samples=7, nll_images=300), []
    log_marginal = vae.log_marginal
    vae.log_marginal = lambda x, samples: asked.append((len(x), samples)) or log_marginal(x, samples)
    logged = logged_at_test(vae)
    assert asked == [(300, 7)]
    assert (logged["test/pixel_cross_entropy_samples"], logged["test/pixel_cross_entropy_images"]) == (7, 300)
    # -log p, of 64 pixels at chance about 64 ln 2
    assert logged["test/pixel_cross_entropy"] == pytest.approx(64 * math.log(2), rel=0.2)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"binarize": True}, "nll"),
        ({}, "pixel_cross_entropy"),
        ({"likelihood": "gaussian", "sigma": 0.3}, "density_nll"),
    ],
    ids=["binarised", "grey Bernoulli", "Gaussian"],
)
def test_a_figure_is_named_by_what_it_is(settings, name):
    """Only of binarised pixels is it a likelihood; one name a model, and its counts by the same."""
    logged = logged_at_test(small_vae(nll_samples=3, nll_images=50, **settings))
    of_bound = {key.removeprefix("test/") for key in logged if "nll" in key or "entropy" in key}
    assert of_bound == {name, f"{name}_samples", f"{name}_images"}


def test_grey_pixels_have_a_floor_that_no_likelihood_has():
    """A decoder that gives each image's own pixels has their entropy as its cross-entropy, not 0; and a density of
    pixels of which it is nearly sure has less than 0."""
    x = torch.full((1, *SHAPE), 0.3)
    exact, entropy = torch.logit(x), -64 * (0.3 * math.log(0.3) + 0.7 * math.log(0.7))
    assert -small_vae().log_likelihood(x, exact).item() == pytest.approx(entropy, rel=1e-5)
    assert -small_vae(likelihood="gaussian", sigma=0.1).log_likelihood(x, x).item() < 0


def test_elbo_with_the_exact_posterior_is_log_p():
    vae, x, exact = linear_gaussian()
    torch.manual_seed(0)
    terms = [vae(x)[:2] for _ in range(2000)]
    elbo = -torch.stack([reconstruction + kl.sum(1) for reconstruction, kl in terms]).mean(0)
    torch.testing.assert_close(elbo, exact, rtol=0, atol=0.2)


def test_importance_weighted_nll_is_exact_with_the_exact_posterior():
    """With q = p(z | x) every importance weight is p(x): one sample is enough, and the sign is that of log p."""
    vae, x, exact = linear_gaussian()
    for samples in (1, 7):
        torch.testing.assert_close(vae.log_marginal(x, samples), exact, rtol=1e-4, atol=1e-3)


def test_more_importance_samples_tighten_the_bound_bug():
    """A function that ignores the number of samples, or returns +log p as NLL, fails here."""
    vae, x, exact = linear_gaussian(log_var_shift=1.0)
    torch.manual_seed(0)
    gaps = [(exact - vae.log_marginal(x, samples)).mean().item() for samples in (1, 10, 2000)]
    assert gaps[0] > 2 * gaps[1] > 4 * abs(gaps[2])
    assert gaps[2] == pytest.approx(0, abs=0.01)


def test_importance_weights_carry_no_gradient_bug():
    vae = small_vae()
    assert not vae.log_marginal(torch.rand(2, *SHAPE), 3).requires_grad


def test_encode_returns_the_means_bug():
    vae = small_vae(corruption=Jitter(0.2, 30, 0.2, 0.5))
    x = torch.rand(4, *SHAPE)
    torch.testing.assert_close(vae.encode(x), vae.encode(x), rtol=0, atol=0)
    torch.testing.assert_close(vae.encode(x), vae.encoder(x)[:, :4])


def test_corruption_is_for_training_only_and_the_target_stays_clean():
    seen = []

    class Blank(nn.Module):
        def forward(self, x):
            seen.append(len(x))
            return torch.zeros_like(x)

    vae = small_vae(corruption=Blank())
    x = torch.rand(3, *SHAPE)
    clean = vae(x).mean
    assert seen == []
    vae.train()
    reconstruction, _, mean, _ = vae(x)
    assert seen == [3]
    assert not torch.equal(mean, clean)
    torch.testing.assert_close(mean, vae.encode(torch.zeros_like(x)))
    assert reconstruction.std() > 0  # blank targets would give equal terms but for the sample; these are of x
    torch.manual_seed(0)
    z_terms = vae(x)[0]
    torch.manual_seed(0)
    mean, log_var = vae.posterior(torch.zeros_like(x))
    z = mean + torch.randn_like(mean) * (0.5 * log_var).exp()
    torch.testing.assert_close(z_terms, -vae.log_likelihood(x, vae.decoder(z)))


def test_dynamic_binarisation_redraws_at_each_sight():
    vae = small_vae(binarize=True)
    x = torch.full((500, *SHAPE), 0.3)
    first, second = vae.see((x, None)), vae.see((x, None))
    assert set(first.unique().tolist()) == {0.0, 1.0}
    assert first.mean().item() == pytest.approx(0.3, abs=0.01)
    assert not torch.equal(first, second)
    assert torch.equal(small_vae().see((x, None)), x)


def test_kl_warm_up_rises_linearly_to_beta():
    vae = small_vae(beta=0.5, warmup_epochs=4)
    assert [vae.kl_weight(e) for e in (0, 1, 2, 4, 9)] == [0, 0.125, 0.25, 0.5, 0.5]
    assert small_vae(beta=0.5).kl_weight(0) == 0.5


def test_active_units_by_the_variance_of_the_mean():
    means = torch.randn(10_000, 4) * torch.tensor([1.0, 0.11, 0.09, 0.0])
    assert active_units(means).tolist() == [True, True, False, False]


def test_settings_that_do_not_fit_are_refused_by_name():
    with pytest.raises(ValueError, match="model.likelihood=poisson: accepted are bernoulli, gaussian"):
        small_vae(likelihood="poisson")
    with pytest.raises(ValueError, match="model.binarize=true: .*bernoulli"):
        small_vae(likelihood="gaussian", binarize=True)


@pytest.mark.parametrize("budget", [{"max_epochs": 6}, {"max_steps": 6 * 11}])
def test_collapse_is_warned_of_loudly_after_half_the_budget(budget):
    """Whatever it is counted in: 11 batches an epoch."""
    vae = small_vae(lr=1e-12).train()
    nn.init.zeros_(vae.encoder.net[-1].weight)  # all codes are the same, from the first epoch to the last
    images, targets = torch.rand(11, 16, *SHAPE), torch.zeros(11, 16)
    loader = DataLoader(list(zip(images, targets, strict=True)), batch_size=None)
    fit = trainer(**budget)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit.fit(vae, loader, loader)
    messages = [str(w.message) for w in caught if "POSTERIOR COLLAPSE" in str(w.message)]
    assert len(messages) == 4 and "0 of 4 latent units are active" in messages[0]
    assert fit.callback_metrics["val/active_units"] == 0


def test_a_compiled_forward_gives_the_same_named_terms():
    vae, x = small_vae().train(), torch.rand(5, *SHAPE)
    torch.manual_seed(0)
    expected = vae(x)
    vae.compile(backend="eager")
    torch.manual_seed(0)
    found = vae(x)
    assert type(found) is Terms
    torch.testing.assert_close(tuple(found), tuple(expected))


def test_golden_loss_trace():
    """Three epochs on the digits, to six digits: a refactor must not move them. From torch 2.15 on a CPU, float32."""
    import pytorch_lightning as pl

    from callbacks.observers.epoch_seed import EpochSeed
    from datamodules.digits import Digits

    vae = small_vae(lr=3e-3).train()
    losses = []

    class Trace(pl.Callback):
        def on_train_epoch_end(self, trainer, module):
            losses.append(trainer.callback_metrics["val/elbo"].item())

    trainer = pl.Trainer(max_epochs=3, logger=False, enable_checkpointing=False, enable_progress_bar=False,
                         enable_model_summary=False, accelerator="cpu", num_sanity_val_steps=0,
                         callbacks=[EpochSeed(0), Trace()])  # fmt: skip
    trainer.fit(vae, Digits())
    assert losses == pytest.approx(GOLDEN, rel=1e-4)


GOLDEN = [-34.772636, -31.502079, -31.039080]  # of validation images, with the noise of their own pass
