"""Pseudo-labels: which targets count when, what the teacher is, what is learnt from 50 labels of the digits."""

from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from callbacks.observers.epoch_seed import EpochSeed
from classifiers.spreading import SpreadingHead
from datamodules.digits import Digits
from lightning_modules.corruption import Jitter
from lightning_modules.pseudo_labels import PseudoLabels, conv_classifier, surest_of_each


class Pixels(nn.Module):
    """Stands in for a VAE: its codes are the pixels, and a weight to look for."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def encode(self, x):
        return x.flatten(1) * self.weight


class Spread:
    """A head that gives all codes what it is told."""

    def __init__(self, classes=(), confidence=()):
        self.classes, self.confidence_ = np.array(classes), np.array(confidence, np.float32)

    def fit(self, codes, labels):
        self.transduction_ = np.where(labels >= 0, labels, self.classes)


def model(spread=None, **settings):
    small = {"channels": 8, "hidden": 32, "jitter": Jitter(shift=0.1, scale=0.1), "spread": spread or Spread()}
    return PseudoLabels(**{"image_shape": (1, 8, 8), "num_classes": 10, "vae": Pixels()} | small | settings)


def digits(n_labels=50):
    return Digits(batch_size=64, n_labels=n_labels, labelled_batch_size=16)


def trainer(**settings):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return pl.Trainer(**quiet | {"enable_checkpointing": False, "callbacks": [EpochSeed(0)]} | settings)


def at_step(step, **settings):
    """A model that believes to be at that step of 10."""
    built = model(**settings)
    built._trainer = SimpleNamespace(global_step=step, estimated_stepping_batches=10)
    return built


def test_of_each_class_the_surest_count():
    classes = torch.tensor([0, 0, 0, 0, 2, 2, 1])
    confidence = torch.tensor([0.1, 0.4, 0.3, 0.2, 0.9, 0.8, 0.0])
    # half of four, half of two, and at least one
    assert surest_of_each(classes, confidence, 0.5).tolist() == [0, 1, 1, 0, 1, 0, 1]
    assert surest_of_each(classes, confidence, 1.0).tolist() == [1] * 7
    assert surest_of_each(classes, torch.zeros(7), 0.5).tolist() == [1, 1, 0, 0, 1, 0, 1]  # of equal ones the first


def test_targets_are_the_spread_classes_and_the_surest_count():
    built = model(Spread([3, 3, 4, 4], [0.1, 0.2, 0.4, 0.3]))
    built.spread_labels(torch.zeros(4, 2), torch.tensor([-1, 7, -1, -1]), 0.5)
    assert built.targets.tolist() == [3, 7, 4, 4] and built.weights.tolist() == [1, 1, 1, 0]
    built.spread_labels(torch.zeros(4, 2), torch.tensor([-1, 7, -1, -1]), 1.0)
    assert built.weights.tolist() == [1, 1, 1, 1]


def test_labels_are_spread_over_the_codes_first_then_every_few_epochs_over_the_teachers_features():
    seen = []

    class Watched(Spread):
        def fit(self, codes, labels):
            self.classes = self.confidence_ = np.zeros(len(codes), np.float32)
            super().fit(codes, labels)
            self.transduction_ = self.transduction_.astype(np.int64)
            seen.append((fit.current_epoch, codes, int((labels >= 0).sum())))

    built, data = model(Watched(), surest=0.5, spread_every_n_epochs=2), digits()
    fit = trainer(max_epochs=5, limit_train_batches=1, limit_val_batches=0)
    counts = []
    fit.callbacks.append(pl.callbacks.LambdaCallback(on_train_epoch_end=lambda *_: counts.append(built.weights.mean())))
    fit.fit(built, data)
    assert [(epoch, labelled) for epoch, _, labelled in seen] == [(0, 50), (2, 50), (4, 50)]
    images = data.as_seen(data.given(built.supervision).images)
    np.testing.assert_array_equal(seen[0][1], images.flatten(1).numpy())
    assert seen[1][1].shape == (len(images), 32) and np.allclose(np.linalg.norm(seen[1][1], axis=1), 1)
    assert counts[0] == counts[1] and 0.45 < counts[0] < 0.5 and counts[2:] == [1, 1, 1]


def test_the_classifier_is_the_teachers_mean_over_nine_shifted_views():
    built, x = model(view_shift=1), torch.rand(3, 1, 8, 8)
    padded, expected = torch.zeros(3, 1, 10, 10), 0
    padded[:, :, 1:9, 1:9] = x
    for top in range(3):
        for left in range(3):
            expected = expected + built.teacher(padded[:, :, top : top + 8, left : left + 8]).softmax(1) / 9
    torch.testing.assert_close(built.class_probabilities(x), expected.detach())
    alone = model(view_shift=0)
    torch.testing.assert_close(alone.class_probabilities(x), alone.teacher(x).softmax(1).detach())


def test_the_teacher_is_an_average_of_the_weights_and_has_the_networks_statistics():
    built = at_step(1000, decay=0.9)
    with torch.no_grad():
        for parameter in built.network.parameters():
            parameter.fill_(1)
        for parameter in built.teacher.parameters():
            parameter.fill_(0)
        built.network[1].running_mean.fill_(5)
    built.on_train_batch_end(None, None, 0)
    assert all(torch.allclose(p, torch.tensor(0.1)) for p in built.teacher.parameters())
    assert torch.equal(built.teacher[1].running_mean, torch.full((8,), 5.0))
    built._trainer.global_step = 1
    built.on_train_batch_end(None, None, 0)  # after the first step: nine tenths of it
    assert all(torch.allclose(p, torch.tensor(0.91)) for p in built.teacher.parameters())


def test_the_loss_is_the_mean_over_the_images_that_count():
    built = at_step(0, jitter=nn.Identity(), dropout=0.0)
    built._trainer.log_every_n_steps = 2
    built.targets, built.weights = torch.tensor([1, 2, 3, 4]), torch.tensor([1.0, 0.0, 1.0, 0.0])
    known, classes, x = torch.rand(2, 1, 8, 8), torch.tensor([5, 6]), torch.rand(4, 1, 8, 8)
    loss = built.training_step(((known, classes), (x, None), torch.arange(4)), 1)
    log_p = built.network(torch.cat([known, x])).log_softmax(1)  # batch norms see all of it
    torch.testing.assert_close(loss, -(log_p[0, 5] + log_p[1, 6] + log_p[2, 1] + log_p[4, 3]) / 4)


@pytest.fixture(scope="module")
def learnt():
    torch.manual_seed(0)
    built, data = model(SpreadingHead(neighbours=7, alpha=0.99), channels=16, lr=1e-2, decay=0.9), digits()
    fit = trainer(max_epochs=20)
    fit.fit(built, data)
    return built, data, fit


def test_it_learns_from_fifty_labels_and_its_classifier_is_what_it_is_tested_by(learnt):
    built, data, fit = learnt
    accuracy = fit.test(built, data, verbose=False)[0]["test/accuracy"]
    assert accuracy > 0.9
    images = data.as_seen(data.test.images)
    probabilities = built.train().class_probabilities(images)
    assert probabilities.dtype == torch.float32 and torch.equal(probabilities, built.eval().class_probabilities(images))
    torch.testing.assert_close(probabilities.sum(1), torch.ones(len(images)))
    assert (probabilities.argmax(1) == data.test.targets).float().mean().item() == pytest.approx(accuracy)


def test_the_vae_is_no_part_of_it_and_learns_nothing(learnt):
    built, _, _ = learnt
    assert {name.partition(".")[0] for name in built.state_dict()} == {"network", "teacher"}
    assert not any(p is built._outside[0].weight for p in built.parameters())
    assert built._outside[0].weight == 1 and not built._outside[0].weight.requires_grad
    assert not any(p.requires_grad for p in built.teacher.parameters())


class Garbled(Digits):
    """Whoever looks at an unlabelled image's class finds another one."""

    def given(self, supervision):
        if not hasattr(self, "kept"):
            self.kept = super().given(supervision)
            hidden = self.kept.targets < 0
            self.train = self.train._replace(
                targets=torch.where(hidden, (self.train.targets + 3) % 10, self.train.targets)
            )
        return self.kept


def weights_after(data, epochs=2, **settings):
    torch.manual_seed(0)
    built = model(SpreadingHead(neighbours=7))
    trainer(max_epochs=epochs, limit_val_batches=0, limit_train_batches=8, **settings).fit(built, data)
    return built.state_dict()


def test_no_label_leaks():
    given = {"batch_size": 64, "n_labels": 50, "labelled_batch_size": 16}
    plain, garbled = weights_after(Digits(**given)), weights_after(Garbled(**given))
    assert all(torch.equal(plain[name], garbled[name]) for name in plain)


@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_a_continued_fit_is_bit_equal(tmp_path, epoch):
    """Stopped after any epoch of four; labels are spread anew before the third."""

    def built():
        torch.manual_seed(0)
        return model(SpreadingHead(neighbours=7), spread_every_n_epochs=2)

    def kept():
        return pl.callbacks.ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)

    whole, again = built(), built()
    together = {"limit_val_batches": 0, "limit_train_batches": 6, "max_epochs": 4}
    trainer(**together, enable_checkpointing=True, callbacks=[EpochSeed(0), kept()]).fit(whole, digits())
    trainer(**together, callbacks=[EpochSeed(0)]).fit(again, digits(), ckpt_path=tmp_path / f"epoch={epoch}.ckpt")
    assert torch.equal(whole.targets, again.targets)
    whole, again = whole.state_dict(), again.state_dict()
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_the_network_takes_any_sides():
    for sides in ((7, 8), (28, 28), (9, 17)):
        network = conv_classifier((1, *sides), 7, channels=2, hidden=5, dropout=0.0)
        assert network(torch.rand(3, 1, *sides)).shape == (3, 7)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"surest": 1.5}, "model.surest=1.5: expects a share of the images, at most 1"),
        ({"surest": 0}, "model.surest=0: expects a positive number"),
        ({"decay": 1.0}, "model.decay=1.0: expects a number from 0 to below 1"),
        ({"spread_every_n_epochs": 0}, "model.spread_every_n_epochs=0: expects a positive whole number"),
        ({"view_shift": -1}, "model.view_shift=-1: expects a whole number from 0"),
        ({"lr": 0}, "model.lr=0: expects a positive number"),
        ({"vae": nn.Identity()}, r"model.vae: Identity has no encode\(\)"),
        ({"image_shape": (1, 8, 6)}, r"image_shape=\[1, 8, 6\]: this network needs sides of at least 7"),
        ({"image_shape": (2,)}, r"image_shape=\[2\]: expects channels, height and width"),
    ],
)
def test_impossible_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        model(**settings)
