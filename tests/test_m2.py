"""M2 against numerical integration and loops. Each test named ``..._bug`` fails for a mistake published in other
people's code."""

import itertools
import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Bernoulli, Normal
from torch.utils.data import DataLoader

from contracts_model import check_model, trainer
from datamodules.batches import Mixed
from lightning_modules.class_conditional import Terms
from lightning_modules.conditional_networks import ClassConditionalMLP
from lightning_modules.m2 import M2

SHAPE, CLASSES = (1, 2, 3), 3


def small_m2(**settings) -> M2:
    """Six pixels, one dimension, three classes; weights large enough that all of them matter."""
    torch.manual_seed(0)
    sizes = {"latent_dim": 1, "classifier_hidden": [5], "encoder_hidden": [4], "decoder_hidden": [4]}
    model = M2(SHAPE, CLASSES, **{"labelled_share": 0.25} | sizes | settings)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model


def binary(count: int) -> torch.Tensor:
    return torch.randint(2, (count, 6), generator=torch.Generator().manual_seed(1)).float()


def integrated(model: M2, x: torch.Tensor, y: int) -> tuple[torch.Tensor, torch.Tensor]:
    """log p(x, y) and -L(x, y) of inputs ``(B, 6)``, by sums over z, from the densities as torch has them."""
    z, of_class = torch.linspace(-12, 12, 4001), torch.full((4001,), y)
    one_hot = F.one_hot(of_class, CLASSES).float()
    logits = model.decoder.rest(model.decoder.first(torch.cat([z[:, None], one_hot], 1)))
    joint = Normal(0.0, 1.0).log_prob(z) + Bernoulli(logits=logits).log_prob(x[:, None]).sum(-1) - math.log(CLASSES)
    one_hot = F.one_hot(torch.full((len(x),), y), CLASSES).float()
    mean, log_var = model.encoder.rest(model.encoder.first(torch.cat([x, one_hot], 1))).split(1, dim=1)
    posterior = Normal(mean, (0.5 * log_var).exp()).log_prob(z)
    width = z[1] - z[0]
    bound = (posterior.exp() * (joint - posterior) * width).sum(1)
    return joint.logsumexp(1) + width.log(), bound


@torch.no_grad()
def test_the_labelled_bound_is_below_log_p_by_what_an_integral_says():
    """One that drops log p(y), or forgets a term of the KL, is elsewhere."""
    model, x = small_m2(), binary(6)
    for y in range(CLASSES):
        exact, bound = integrated(model, x, y)
        many = x.repeat(5_000, 1)
        sampled = -model.negative_bound(many, torch.full((len(many),), y)).view(5_000, 6).mean(0)
        torch.testing.assert_close(sampled, bound, rtol=0, atol=0.1)
        assert (bound < exact).all() and (exact - bound).max() > 0.1


@torch.no_grad()
def test_with_an_exact_posterior_the_bounds_are_log_p_bug():
    """Where z says nothing its posterior is the prior: log p(x, y), and log p(x) with q(y | x) = p(y | x), without
    any error of sampling. A log p(y) dropped shows here as log 3."""
    model, x = small_m2(), binary(6)
    model.decoder.first.weight[:, 0] = 0
    for parameter in model.encoder.rest[-1].parameters():
        parameter.zero_()
    joint = torch.stack([integrated(model, x, y)[0] for y in range(CLASSES)], dim=1)
    torch.testing.assert_close(-model.negative_bound(x), joint, rtol=0, atol=1e-4)
    for y in range(CLASSES):
        torch.testing.assert_close(-model.negative_bound(x, torch.full((6,), y)), joint[:, y], rtol=0, atol=1e-4)
    model.log_classes = lambda x: joint.log_softmax(1)
    torch.testing.assert_close(-model.marginal_bound(x), joint.logsumexp(1), rtol=0, atol=1e-4)


def test_the_marginalised_bound_and_its_gradient_are_those_of_a_loop_over_classes(monkeypatch):
    model, x = small_m2(latent_dim=2), binary(7)
    noise = torch.randn(7, CLASSES, 2)  # of each image, class and dimension its own
    monkeypatch.setattr(torch, "randn_like", lambda like: noise.view(like.shape))
    together = model.marginal_bound(x)
    together.sum().backward()
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    q = model.classifier(x).softmax(1)
    loop = (q * q.log()).sum(1)  # -H(q)
    for y in range(CLASSES):
        monkeypatch.setattr(torch, "randn_like", lambda like, y=y: noise[:, y].reshape(like.shape))
        loop = loop + q[:, y] * model.negative_bound(x, torch.full((7,), y))
    loop.sum().backward()
    torch.testing.assert_close(together, loop, rtol=1e-6, atol=1e-6)
    for gradient, parameter in zip(gradients, model.parameters(), strict=True):
        assert parameter.grad.abs().max() > 0
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-5, atol=1e-6 * parameter.grad.abs().max().item())


def test_a_class_stands_beside_the_input_as_one_hot():
    torch.manual_seed(0)
    net = ClassConditionalMLP(4, 3, [5, 6], 2)
    x, y = torch.randn(8, 4), torch.randint(3, (8,))
    one_hot = F.one_hot(y, 3).float()
    expected = net.rest(net.first(torch.cat([x, one_hot], 1)))
    torch.testing.assert_close(net(x, y), expected)
    every = net(x)
    assert every.shape == (8, 3, 2)
    torch.testing.assert_close(every[torch.arange(8), y], expected)
    torch.testing.assert_close(net(x[:, None].expand(-1, 3, -1)), every)  # an input for each class
    assert [layer.out_features for layer in net.rest if hasattr(layer, "out_features")] == [6, 2]


def training_loss(model: M2, batch: Mixed) -> torch.Tensor:
    model._trainer = SimpleNamespace(log_every_n_steps=1)
    model.log = lambda *args, **kwargs: None
    model.on_train_epoch_start()
    return model.training_step(batch, 0)


def test_the_loss_is_the_papers_whatever_the_batchs_composition_bug():
    """Over all batches of a composition, the mean is (sum L + sum U + .1 N mean(-log q)) / N: of 4 labelled and 8 other
    images. Means of both parts alike would make a labelled one weigh twice as much, and a weight .1 of the labelled
    images' number a third of the classification."""
    model = small_m2(labelled_share=4 / 12)
    bound, marginal, log_q = torch.randn(4), torch.randn(8), torch.randn(4, CLASSES).log_softmax(1)
    at = lambda x: x[:, 0].long()  # noqa: E731 an example is its number
    model.see = lambda x: x
    model.log_classes = lambda x: log_q[at(x)]
    model.negative_bound = lambda x, y: bound[at(x)]
    model.marginal_bound = lambda x: marginal[at(x)]
    targets = torch.tensor([0, 1, 2, 0])
    cross_entropy = -log_q[torch.arange(4), targets].mean()
    due = (bound.sum() + marginal.sum() + 0.1 * 12 * cross_entropy) / 12
    for some, others in ((1, 1), (1, 2), (3, 2), (4, 8), (2, 1)):
        losses = []
        for labelled in itertools.combinations(range(4), some):
            rows = torch.tensor(labelled)
            for unlabelled in itertools.combinations(range(8), others):
                unknown = (torch.tensor(unlabelled)[:, None].float(), torch.full((others,), -1))
                batch = Mixed((rows[:, None].float(), targets[rows]), unknown, unknown[1])
                losses.append(training_loss(model, batch))
        torch.testing.assert_close(torch.stack(losses).mean(), due, rtol=1e-5, atol=1e-5)


def test_only_labelled_images_are_classified_and_no_unlabelled_target_is_looked_at_bug():
    model, losses = small_m2(), []
    images = torch.rand(9, *SHAPE)
    for garbage in (torch.full((6,), -1), torch.arange(6).flip(0), None):
        torch.manual_seed(3)
        labelled = (images[:3], torch.tensor([0, 1, 2]))
        losses.append(training_loss(model, Mixed(labelled, (images[3:], garbage), None)))
    assert losses[0] == losses[1] == losses[2]
    torch.manual_seed(3)
    other = Mixed((images[:3], torch.tensor([0, 1, 1])), (images[3:], None), None)
    assert training_loss(model, other) != losses[0]


@torch.no_grad()
def test_the_class_reaches_the_decoder_bug():
    model, z = small_m2(), torch.full((CLASSES, 1), 0.3)
    images = model.generate_class(z, torch.arange(CLASSES))
    assert images.shape == (CLASSES, *SHAPE)
    assert torch.pdist(images.flatten(1)).min() > 0.05
    model.encoder.first.weight[:, -CLASSES:] = 0  # so that z has nothing of the class
    torch.manual_seed(0)
    bounds = model.negative_bound(binary(1).expand(CLASSES, 6) * 0 + 1, torch.arange(CLASSES))
    assert bounds.diff().abs().min() > 0.01


def test_images_are_binarised_at_each_sight_by_torchs_own_generator():
    model, images = small_m2(), torch.full((500, *SHAPE), 0.3)
    torch.manual_seed(0)
    first, second = model.see(images), model.see(images)
    torch.manual_seed(0)
    assert torch.equal(model.see(images), first) and not torch.equal(first, second)
    assert set(first.unique().tolist()) == {0.0, 1.0} and first.shape == (500, 6)
    assert first.mean().item() == pytest.approx(0.3, abs=0.03)
    torch.testing.assert_close(model.expected(images), images.flatten(1))


def test_the_optimizer_is_the_configured_adam_bug():
    """One public M2 has (0.1, 0.001): 1 - beta."""
    group = small_m2(lr_decay="none").configure_optimizers().param_groups[0]
    assert group["betas"] == (0.9, 0.999) and group["weight_decay"] == 0
    set_otherwise = small_m2(lr=2e-4, betas=(0.8, 0.99), weight_decay=1e-5, lr_decay="none")
    optimizer = set_otherwise.configure_optimizers()
    group = optimizer.param_groups[0]
    assert type(optimizer) is torch.optim.Adam
    assert (group["lr"], group["betas"], group["weight_decay"]) == (2e-4, (0.8, 0.99), 1e-5)
    assert sum(p.numel() for p in group["params"]) == sum(p.numel() for p in set_otherwise.parameters())


@torch.no_grad()
def test_codes_classes_and_styles_are_the_posteriors():
    model, images = small_m2(latent_dim=2).eval(), torch.rand(5, *SHAPE)
    q = model.class_probabilities(images)
    torch.testing.assert_close(q, model.classifier(images.flatten(1)).softmax(1))
    styles = torch.stack([model.style(images, torch.full((5,), y)) for y in range(CLASSES)], dim=1)
    torch.testing.assert_close(styles[:, 1], model.posterior(images.flatten(1), torch.ones(5).long())[0])
    torch.testing.assert_close(model.encode(images), (q[..., None] * styles).sum(1))
    assert torch.equal(model.encode(images), model.encode(images)) and model.encode(images).dtype == torch.float32


def bars(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of one of three bright columns, and which."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % 3
    columns = F.one_hot(targets, 3).float()[:, None, None].expand(-1, 1, 4, -1)
    noise = torch.rand(count, 1, 4, 3, generator=generator)
    return 0.7 * columns + 0.3 * noise, targets


def fitted(epochs: int) -> tuple[M2, dict[str, float]]:
    """A small one after so many epochs of 10 steps, and what it logged at its end."""
    torch.manual_seed(0)
    sizes = {"latent_dim": 2, "classifier_hidden": [16], "encoder_hidden": [16], "decoder_hidden": [16]}
    model = M2((1, 4, 3), 3, labelled_share=3 / 303, lr=1e-2, **sizes)
    images, targets = bars(303, seed=0)
    labelled, nothing = (images[:3], targets[:3]), torch.full((30,), -1)
    steps = [Mixed(labelled, (part, nothing), nothing) for part in images[3:].split(30)]
    torch.manual_seed(1)
    fit = trainer(max_epochs=epochs)
    fit.fit(model, DataLoader(steps, batch_size=None), DataLoader([bars(90, seed=1)], batch_size=None))
    return model, {name: value.item() for name, value in fit.callback_metrics.items()}


def test_three_labels_are_enough_for_three_bars():
    model, logged = fitted(30)
    assert logged["val/accuracy"] == 1
    assert logged["train/cross_entropy"] < 0.9 < math.log(3)
    # the floor is the entropy of the pixels, and that of the classes
    assert -8 < logged["val/elbo"] < -4
    assert logged["train/elbo"] == pytest.approx(logged["val/elbo"], abs=0.5)
    assert logged["val/labelled_elbo"] < logged["val/elbo"] + 0.5
    made = model.eval().generate_class(torch.zeros(3, 2), torch.arange(3))
    assert made.mean((1, 2)).argmax(1).tolist() == [0, 1, 2]


def test_two_fits_from_the_same_seeds_are_equal_and_restored_from_their_state():
    (one, logged), (two, _) = fitted(2), fitted(2)
    sizes = {"latent_dim": 2, "classifier_hidden": [16], "encoder_hidden": [16], "decoder_hidden": [16]}
    other = M2((1, 4, 3), 3, labelled_share=0.5, **sizes)
    other.load_state_dict(one.state_dict())
    images = bars(6, seed=2)[0]
    for again in (two, other):
        assert torch.equal(one.class_probabilities(images), again.class_probabilities(images))
        assert torch.equal(one.encode(images), again.encode(images))
    assert logged["val/accuracy"] == pytest.approx(
        (one.class_probabilities(bars(90, seed=1)[0]).argmax(1) == bars(90, seed=1)[1]).float().mean().item()
    )


def test_it_keeps_the_contract():
    sizes = {"latent_dim": 2, "classifier_hidden": [5], "encoder_hidden": [4], "decoder_hidden": [4]}
    check_model(lambda: M2((1, 4, 4), 10, labelled_share=0.3, **sizes), (1, 4, 4))


def test_terms_are_weighed_as_the_docstring_says():
    model = small_m2(labelled_share=0.2, alpha=0.5)
    assert model.loss(Terms(torch.tensor(10.0), torch.tensor(20.0), torch.tensor(3.0))).item() == pytest.approx(19.5)


def test_a_diverged_training_ends_in_an_error():
    model = small_m2()
    model.encoder.first.weight.data[0, 0] = math.nan
    training_loss(model, Mixed((torch.ones(2, *SHAPE), torch.tensor([0, 1])), (torch.ones(2, *SHAPE), None), None))
    with pytest.raises(RuntimeError, match="the bounds are no longer finite: .* lower model.lr"):
        model.on_train_epoch_end()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labelled_share": 1.0}, "labelled_share=1.0: some of the training images must be labelled, and not all"),
        ({"alpha": -1}, "model.alpha=-1: expects a number from 0"),
        ({"decoder_hidden": []}, r"hidden=\[\]: a class and an input meet in a hidden layer"),
        ({"betas": (0.9, 1.0)}, r"model.betas=\[0.9, 1.0\]"),
        ({"lr_decay": "linear"}, "model.lr_decay=linear: accepted are none, cosine"),
        ({"act": "swish"}, "activation=swish: accepted are"),
    ],
)
def test_impossible_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        small_m2(**settings)
