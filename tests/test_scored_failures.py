"""Scores rank the synthetic failures of scikit-learn's digits rightly, and verdicts call them by their names: at
strengths on both sides of the limits, and failures that no limit was made of. Of MNIST and Fashion-MNIST:
``test_verdicts_of_real_data.py``."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from callbacks.observers.epoch_scores import Yardstick
from datamodules.digits import Digits
from datamodules.images import Split, to_unit_range
from metrics import failures
from metrics.failures import Generator, make
from metrics.verdict import Limits, label, reasons


class SmallScorer(nn.Module):
    """Trained to tell digits of 8x8 pixels apart, with two hidden layers."""

    def __init__(self, images: torch.Tensor, targets: torch.Tensor):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())
            self.head = nn.Linear(32, 10)
        generator, optimizer = Generator().manual_seed(0), torch.optim.Adam(self.parameters(), 3e-3)
        for _ in range(30):
            for at in torch.randperm(len(images), generator=generator).split(100):
                optimizer.zero_grad()
                F.cross_entropy(self.head(self.body(images[at])), targets[at]).backward()
                optimizer.step()

    @torch.no_grad()
    def describe(self, images, batch_size=1000):
        features = self.body(images)
        return features, self.head(features).softmax(1)


class Scored:
    """The digits in thirds: the reference, the training images that limits are made of, and others to try them on."""

    def __init__(self):
        data = Digits()
        data.setup()
        official = data.labelled, data.val, data.test
        images, targets = (torch.cat(parts) for parts in zip(*official, strict=True))
        order = torch.randperm(len(images), generator=Generator().manual_seed(0))[: 3 * 599]
        order = order[targets[order].argsort(stable=True)]  # so that the thirds have the classes alike
        thirds = [Split(images[order[i::3]], targets[order[i::3]]) for i in range(3)]
        self.scorer = SmallScorer(to_unit_range(official[0].images), official[0].targets)
        self.yardstick = Yardstick(self.scorer, thirds[0], thirds[1], 599, torch.device("cpu"))
        measures = self.yardstick.measures()
        self.floor, self.failures, self.limits = measures["floor"], measures["failures"], Limits.of(measures)
        self.training, self.tried = (Split(to_unit_range(t.images), t.targets) for t in thirds[1:])

    def __call__(self, images):
        """The label, and what is wrong."""
        scores = self.yardstick.score(images)
        return label(scores, self.limits), reasons(scores, self.limits)


@pytest.fixture(scope="module")
def digits() -> Scored:
    return Scored()


def mixed(images: torch.Tensor, spoiled: torch.Tensor, share: float) -> torch.Tensor:
    return failures.mixed(images, share, spoiled, Generator().manual_seed(3))


# Scores rank the failures rightly


def test_the_failures_that_are_far_are_ranked(digits):
    fcd = {name: [scores["fcd"] for scores in of.values()] for name, of in digits.failures.items()}
    for name in ("noise_images", "averages", "blur", "half_classes", "dropped_class"):
        assert fcd[name] == sorted(fcd[name]), name
    assert digits.floor["fcd"] < fcd["dropped_class"][-1] < fcd["half_classes"][-1] < fcd["one_mode"][-1]


def test_the_floor_is_that_of_like_sets(digits):
    assert digits.floor["coverage"] == pytest.approx(1 - 2**-5, abs=0.02)
    assert digits.floor["density"] == pytest.approx(1, abs=0.1)
    assert digits.floor["realism"] == pytest.approx(0.55, abs=0.1)
    assert digits.floor["class_distance"] < 0.1
    assert digits.floor["inception_score"] > 8
    assert digits.floor["kid_std"] > 0
    assert digits.floor["copies"] == 1


def test_uniform_noise_lies_where_no_data_lie(digits):
    pure, real = digits.failures["noise_images"][1.0], digits.floor
    assert pure["realism"] < 0.03 < 0.4 < real["realism"]
    assert pure["knn_precision"] < 0.6 * real["knn_precision"]
    assert pure["artefacts"] > 0.98 and real["artefacts"] < 0.04


def test_one_mode_covers_least_though_it_is_precise(digits):
    one = digits.failures["one_mode"][1.0]
    assert one["coverage"] < 0.1 and one["knn_precision"] > 0.95 and one["knn_recall"] < 0.05
    assert one["inception_score"] == pytest.approx(1, abs=0.05)
    assert one["class_distance"] == pytest.approx(0.9, abs=0.05)
    assert one["duplicates"] == 1 and one["spread"] < 0.15


def test_missing_classes_cost_their_share(digits):
    one, half, real = digits.failures["dropped_class"][1.0], digits.failures["half_classes"][1.0], digits.floor
    assert one["class_distance"] == pytest.approx(0.1, abs=0.05)
    assert half["class_distance"] == pytest.approx(0.5, abs=0.05)
    assert half["rarest_class"] <= one["rarest_class"] < 0.3 < 0.6 < real["rarest_class"]
    for name in ("knn_recall", "coverage"):
        assert one[name] == pytest.approx(0.9 * real[name], abs=0.03), name
        assert half[name] == pytest.approx(0.5 * real[name], abs=0.08), name
    assert one["knn_precision"] == pytest.approx(real["knn_precision"], abs=0.03)


# Verdicts on images that the limits were not made of


def test_real_images_are_good(digits):
    assert digits(digits.tried.images) == ("good", [])


@pytest.mark.parametrize(
    ("name", "strength", "expected", "words"),
    [
        ("noise_images", 0.2, "not good", "artefacts"),
        ("noise_images", 1.0, "noise", "artefacts"),
        ("averages", 1.0, "not good", "unrealistic"),
        ("blur", 1.0, "not good", "blurred"),
        ("typical", 0.3, "collapsed within classes", "little variety within classes"),
        ("narrow_class", 0.05, "not good", "a class without variety"),
        ("repeats", 0.15, "not good", "duplicates"),
        ("dropped_class", 0.7, "not good", "a rare class"),
        ("half_classes", 0.4, "not good", "unbalanced classes"),
        ("half_classes", 1.0, "collapsed", "unbalanced classes"),
        ("one_mode", 1.0, "collapsed", "duplicates"),
    ],
)
def test_failures_are_named(digits, name, strength, expected, words):
    called, wrong = digits(make(name, *digits.tried, strength, seed=1))
    assert called == expected and words in wrong


@pytest.mark.parametrize(
    ("name", "strength", "words"),
    [
        ("noise_images", 0.05, "artefacts"),
        ("averages", 0.5, "unrealistic"),
        ("blur", 0.35, "blurred"),
        ("typical", 0.8, "little variety within classes"),
        ("narrow_class", 0.6, "a class without variety"),
        ("repeats", 0.02, "duplicates"),
        ("dropped_class", 0.1, "a rare class"),
        ("half_classes", 0.05, "unbalanced classes"),
    ],
)
def test_slight_failures_are_not(digits, name, strength, words):
    assert words not in digits(make(name, *digits.tried, strength, seed=1))[1]


def test_training_images_are_memorised_and_a_few_are_copies(digits):
    copies = digits.training.images
    assert digits(copies) == ("memorised", ["copies of training images"])
    for share, found in ((0.02, False), (0.1, True)):
        assert ("copies of training images" in digits(mixed(digits.tried.images, copies, share))[1]) == found
    slightly_noisy = (copies + 0.05 * torch.randn(copies.shape, generator=Generator().manual_seed(1))).clamp(0, 1)
    assert digits(slightly_noisy)[0] == "memorised"


@pytest.mark.parametrize("digit", [0, 1, 8])
def test_a_single_mode_of_any_class_is_a_collapse(digits, digit):
    images, targets = digits.tried
    one = make("one_mode", images, torch.where(targets == digit, -1, targets), 1.0)
    assert digits(one)[0] == "collapsed"


def test_one_image_of_each_class_is_a_collapse_within_classes(digits):
    images, targets = digits.tried
    one_each = torch.stack([images[targets == c][0] for c in range(10)]).repeat(60, 1, 1, 1)[:599]
    called, wrong = digits(one_each)
    assert called == "collapsed within classes"
    assert {"little variety within classes", "a class without variety", "duplicates"} <= set(wrong)


@pytest.mark.parametrize("odd", ["black", "one blob", "one noise"])
def test_images_that_are_all_alike_have_collapsed_however_ugly(digits, odd):
    generator, images = Generator().manual_seed(1), digits.tried.images
    one = {"black": images[:1] * 0, "one blob": images.mean(0, keepdim=True),
           "one noise": torch.rand(1, 1, 8, 8, generator=generator)}[odd]  # fmt: skip
    alike = one + 0.03 * torch.randn(images.shape, generator=generator) * (odd != "black")
    assert digits(alike.clamp(0, 1))[0] == "collapsed"


@pytest.mark.parametrize("odd", ["upside down", "inverted", "dim"])
def test_ugly_images_of_all_kinds_are_not_good_and_not_collapsed(digits, odd):
    images = digits.tried.images
    called, wrong = digits({"upside down": images.flip(2), "inverted": 1 - images, "dim": images / 2}[odd])
    assert called == "not good" and "unrealistic" in wrong


def test_a_non_finite_image_has_diverged(digits):
    images = digits.tried.images.clone()
    images[3, 0, 0, 0] = math.nan
    assert digits(images) == ("diverged", ["images not finite"])
