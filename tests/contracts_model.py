"""What the rest of the project relies on of a model, for anyone's class to be held to.

    check_model(lambda: MyModel(...), shape=(1, 8, 8))   whatever train.py is to train; (2,) for points in the plane
    check_loss(MyLoss())                                 a loss of adversarial models

Each raises an AssertionError that says what is missing. No data set is needed: examples are drawn.
"""

import io
import math
from collections.abc import Callable

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules.batches import Mixed
from datamodules.labels import SEMI_SUPERVISED, SUPERVISED, UNLABELLED, UNSUPERVISED
from lightning_modules.adversarial import Adversarial
from lightning_modules.losses.base import MEANINGS, AdversarialLoss

BATCH, UPDATES, EPOCHS, CLASSES, LABELLED = 12, 3, 2, 10, 7


def examples(count: int, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Random ones in [0, 1]: ``(count, *shape)``."""
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed))


def batches(model: pl.LightningModule, shape: tuple[int, ...]) -> list:
    """An epoch as the data modules hand it out: by the model's supervision, and stacked where it says how many batches
    it takes at once."""
    stacked = getattr(model, "batches_per_step", None)
    size = (BATCH,) if stacked is None else (stacked, BATCH)
    targets = torch.arange(torch.Size(size).numel()).remainder(CLASSES).view(size)
    hidden = torch.full_like(targets, UNLABELLED)
    epoch = [prepared(model, examples(targets.numel(), shape, seed)) for seed in range(UPDATES)]
    supervision = getattr(model, "supervision", UNSUPERVISED)
    if supervision == SEMI_SUPERVISED:
        return [Mixed((seen[:LABELLED], targets[:LABELLED]), (seen, hidden), torch.arange(BATCH)) for seen in epoch]
    given = targets if supervision == SUPERVISED else hidden
    return [(seen.unflatten(0, size), given) for seen in epoch]


def prepared(model: pl.LightningModule, x: Tensor) -> Tensor:
    """What stands in batches for examples."""
    return model.prepare(x, training=True) if hasattr(model, "prepare") else x


def trainer(**settings) -> pl.Trainer:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return pl.Trainer(**quiet, enable_model_summary=False, accelerator="cpu", num_sanity_val_steps=0, **settings)


def fitted(make: Callable[[], pl.LightningModule], shape: tuple[int, ...], **settings):
    """A model after two epochs of three updates, and its trainer."""
    torch.manual_seed(0)
    model = make()
    torch.manual_seed(1)
    fit = trainer(max_epochs=EPOCHS, **settings)
    epoch = batches(model, shape)
    held_out = [(prepared(model, examples(9, shape, seed=7)), torch.arange(9))]
    fit.fit(model, DataLoader(epoch, batch_size=None), DataLoader(held_out, batch_size=None))
    return model, fit


def check_model(make: Callable[[], pl.LightningModule], shape: tuple[int, ...] = (1, 8, 8)) -> None:
    """Holds a model to what is relied on.

    Args:
        make: builds it anew, its weights drawn from torch's global generator.
        shape: of an example.
    """
    start = [parameter.clone() for parameter in _seeded(make).parameters()]
    model, fit = fitted(make, shape)
    assert fit.global_step == EPOCHS * UPDATES, "an update must be one step of Lightning's count, which budgets are in"
    _same(model.state_dict(), fitted(make, shape)[0].state_dict(), "two fits from the same seeds differ")
    weights = list(model.parameters())
    assert all(torch.isfinite(weight).all() for weight in weights), "weights are not finite after six updates"
    assert any(not torch.equal(a, b) for a, b in zip(start, weights, strict=True)), "no weight has changed"

    held_out = [(prepared(model, examples(9, shape)), torch.arange(9))]
    logged = fit.test(model, DataLoader(held_out, batch_size=None), verbose=False)[0]
    assert logged and all(name.startswith("test/") for name in logged), f"test_step logs test/...; here: {list(logged)}"
    assert all(torch.isfinite(torch.tensor(value)) for value in logged.values()), f"not finite: {logged}"

    other = _seeded(make, 2)
    other.load_state_dict(_through_a_file(model.state_dict()))
    _same(model.state_dict(), other.state_dict(), "a model built anew is not the stored one with its state dict")
    if identity := getattr(model, "identity", None):
        assert identity.__self__ is type(model), "identity(config) must be a class method"
        assert identity({"lr": 1}).items() <= {"lr": 1}.items(), "identity(config) may only leave something out"
    if hasattr(model, "decode"):
        check_codes(model.eval(), other.eval(), shape)
    if hasattr(model, "class_probabilities"):
        check_classes(model.eval(), other.eval(), shape)
    if isinstance(model, Adversarial):
        check_adversarial(model, other, shape)


def check_codes(model: pl.LightningModule, again: pl.LightningModule, shape: tuple[int, ...]) -> None:
    """Of an autoencoder and another with its weights, in evaluation mode: what classifiers learn from, and pictures."""
    x = examples(BATCH, shape)
    with torch.no_grad():
        codes, decoded = model.encode(x), model.decode(model.encode(x))
        mean, log_var = model.posterior(x)
        assert codes.shape == (BATCH, model.latent_dim) and codes.dtype == torch.float32, "encode: (B, D) in float32"
        assert torch.equal(codes, again.encode(x)), "encode must be deterministic, and all of it in the state dict"
        torch.testing.assert_close(codes[:5], model.encode(x[:5]), msg="encode: a code depends on the others' images")
        assert torch.equal(mean, codes) and log_var.shape == codes.shape, "posterior: the codes, and log variances"
        assert decoded.shape == x.shape, f"decode: {tuple(x.shape)} is due, not {tuple(decoded.shape)}"


def check_classes(model: pl.LightningModule, again: pl.LightningModule, shape: tuple[int, ...]) -> None:
    """Of a classifier and another with its weights, in evaluation mode."""
    x = examples(BATCH, shape)
    with torch.no_grad():
        found = model.class_probabilities(x)
        right = found.shape == (BATCH, CLASSES) and found.dtype == torch.float32
        assert right, "class_probabilities: (B, K) in float32"
        torch.testing.assert_close(found.sum(1), torch.ones(BATCH), msg="class_probabilities: do not sum to 1")
        same = torch.equal(found, again.class_probabilities(x))
        assert same, "class_probabilities must be deterministic, and all they come from in the state dict"
        alone = model.class_probabilities(x[:5])
        torch.testing.assert_close(found[:5], alone, msg="class_probabilities: they depend on the others' images")


def check_adversarial(model: Adversarial, again: Adversarial, shape: tuple[int, ...]) -> None:
    """Of an adversarial model and another with its weights: samples, terms, charts, steps."""
    assert model.batches_per_step == model.n_critic and model.several_processes in (True, False)
    low, high = model.generator.output_range
    assert low < high, "generator.output_range: what 0 and 1 of the data are to it"
    x, z = examples(BATCH, shape), model.draw_noise(BATCH)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for averaged in (True, False):
        made = model.train().generate(z, averaged)
        assert made.shape == x.shape and made.dtype == torch.float32, f"generate: {tuple(x.shape)} in float32 is due"
        assert torch.equal(made, again.generate(z, averaged)), "generate: not the same with the same weights"
        assert len(shape) == 1 or (made.min() >= 0 and made.max() <= 1), "generate: images outside of [0, 1]"
    torch.testing.assert_close(model.unscaled(model.scaled(x)), x)
    scores = model.critic(model.scaled(x))
    assert scores.shape == (BATCH,), f"the critic gives (B,), here {tuple(scores.shape)}"

    model.load_state_dict(before)
    state, held_out = torch.get_rng_state(), model.evaluate(x, z)
    assert torch.equal(state, torch.get_rng_state()), "evaluate: with its noise given it must draw nothing"
    _same(model.state_dict(), before, "evaluate leaves something behind")
    _, shown = model.critic_loss(model.scaled(x), model.generator(z).detach())
    terms = {**held_out, **shown, "critic_loss": scores.sum(), "generator_loss": model.generator_loss(scores, scores)}
    assert not any(value.requires_grad for value in (held_out | shown).values()), "what is shown must be detached"
    assert all(torch.isfinite(value).all() for value in terms.values())
    for chart in model.charts:
        assert chart.keys() == {"title", "series", "lines"} and chart["series"].keys() <= terms.keys(), chart
    assert model.equilibrium.keys() <= terms.keys(), f"equilibrium of {list(model.equilibrium)}: not among the terms"

    learnt = {name.partition(".")[0] for name, value in model.named_parameters() if value.requires_grad}
    assert learnt <= {"generator", "critic"}, f"parameters that no optimizer has: {learnt - {'generator', 'critic'}}"
    if model.n_critic > 1:
        flat = DataLoader([(x, torch.zeros(BATCH))], batch_size=None)
        try:
            trainer(max_epochs=1, limit_val_batches=0).fit(model, flat)
        except ValueError as error:
            assert "n_critic" in str(error)
        else:
            raise AssertionError("a flat batch was taken for several batches")
    check_loss(model.loss)


def check_loss(loss: AdversarialLoss) -> None:
    """Holds a loss to what its class says."""
    assert loss.meaning in MEANINGS, f"meaning={loss.meaning}: one of {MEANINGS}"
    torch.manual_seed(0)
    real, fake = torch.randn(5 if loss.relative else 7), torch.randn(5)

    def generator(scores: Tensor, beside: Tensor) -> Tensor:
        return loss.generator(scores, beside) if loss.relative else loss.generator(scores)

    for value in (loss.critic(real, fake), generator(fake, real), *loss.shown(real, fake).values()):
        assert value.dim() == 0 and value.dtype == torch.float32 and torch.isfinite(value)
    repeats = (2, 2) if loss.relative else (2, 3)
    twice = loss.critic(real.repeat(repeats[0]), fake.repeat(repeats[1]))
    torch.testing.assert_close(twice, loss.critic(real, fake), msg="critic: the means over either are due")
    each = torch.stack([generator(f[None], r[None]) for f, r in zip(fake, real, strict=False)])
    torch.testing.assert_close(each.mean(), generator(fake, real), msg="generator: a mean over examples is due")

    levels = torch.linspace(-3, 3, 601)
    at = levels[300]  # where the critic is undecided
    if loss.meaning in ("distance", "comparison"):
        assert loss.decision_range is None and loss.undecided is None, f"{loss.meaning}: a single score decides nothing"
        moved = loss.critic(real + 10, fake + 10)
        offset = f"{loss.meaning}: offset matters"
        torch.testing.assert_close(moved, loss.critic(real, fake), rtol=0, atol=1e-5, msg=offset)
    else:
        low, high = loss.decision_range
        assert low < loss.undecided < high
        decisions = loss.decision(levels)
        assert (decisions.diff() > 0).all(), "decision: does not rise with the score"
        # where decisions cross the middle, between two levels
        above = int((decisions >= loss.undecided).nonzero()[0])
        share = (loss.undecided - decisions[above - 1]) / (decisions[above] - decisions[above - 1])
        at = torch.lerp(levels[above - 1], levels[above], share)
        alike = torch.stack([loss.critic(level[None], level[None]) for level in levels])
        torch.testing.assert_close(alike.min(), loss.critic(at[None], at[None]), rtol=0, atol=1e-4,
                                   msg="undecided: not what is best where real and generated are alike")  # fmt: skip
    a, b = (at.clone().expand(4).clone().requires_grad_() for _ in range(2))
    down, up = torch.autograd.grad(loss.critic(a, b), (a, b))
    assert (down < 0).all() and (up > 0).all(), "critic: real scores up and generated ones down must lower its loss"
    (gradient,) = torch.autograd.grad(generator(b, a.detach()), b)
    assert (gradient < 0).all(), "generator: generated scores up must lower its loss"

    values = {"critic_loss": loss.critic(a, b), "generator_loss": generator(b, a), **loss.shown(a, b)}
    for name, value in loss.equilibrium.items():
        close = math.isclose(values[name].item(), value, rel_tol=1e-4, abs_tol=1e-6)
        assert close, f"equilibrium: {name} comes to {values[name]:.4f}"
    assert set(loss.lines.values()) <= set(loss.equilibrium.values())
    assert all(chart["series"].keys() <= values.keys() for chart in loss.charts)
    assert loss.held_out(real, fake).keys() <= values.keys()


def _seeded(make: Callable[[], pl.LightningModule], seed: int = 0) -> pl.LightningModule:
    torch.manual_seed(seed)
    return make()


def _through_a_file(state: dict) -> dict:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def _same(a: dict, b: dict, otherwise: str) -> None:
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a), otherwise
