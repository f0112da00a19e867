"""Scores rank the synthetic failures of scikit-learn's digits rightly, and verdicts call them by their names."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from datamodules.digits import Digits
from datamodules.images import to_unit_range
from metrics.failures import FAILURES, Generator, dropped_class, make, one_mode
from metrics.samples import Reference, score
from metrics.verdict import Limits, label


class Scored:
    """The digits, a small scorer, and the scores of the training images and of the failures made of half of them."""

    def __init__(self):
        data = Digits()
        data.setup()
        generator = torch.Generator().manual_seed(0)
        official = [(to_unit_range(s.images), s.targets) for s in (data.labelled, data.val, data.test)]
        images, targets = (torch.cat(parts) for parts in zip(*official, strict=True))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())
            self.head = nn.Linear(32, 10)
        # thirds: the reference, what limits are made of, and what they are tried on
        order = torch.randperm(len(images), generator=generator)[: 3 * 599].view(3, 599)
        self.thirds = [(images[at], targets[at]) for at in order]
        self._train(*official[0], generator)
        self.reference = Reference.of(*self.see(self.thirds[0][0]))
        self.floor = self.score(self.thirds[1][0])
        self.failures = {name: self.score(make(name, *self.thirds[1])) for name in FAILURES}
        self.limits = Limits.from_scores(self.floor, self.failures)

    def _train(self, images, targets, generator):
        optimizer = torch.optim.Adam([*self.body.parameters(), *self.head.parameters()], 3e-3)
        for _ in range(30):
            for at in torch.randperm(len(images), generator=generator).split(100):
                optimizer.zero_grad()
                F.cross_entropy(self.head(self.body(images[at])), targets[at]).backward()
                optimizer.step()

    @torch.no_grad()
    def see(self, images):
        features = self.body(images)
        return features, self.head(features).softmax(1)

    def score(self, images):
        return score(self.reference, *self.see(images))

    def label(self, images):
        return label(self.score(images), self.limits)


@pytest.fixture(scope="module")
def digits() -> Scored:
    return Scored()


# Scores rank the failures rightly


def test_every_failure_is_well_above_the_floor(digits):
    for name, scores in digits.failures.items():
        assert scores["fcd"] > 3 * digits.floor["fcd"], name
        assert scores["kid"] > 10 * abs(digits.floor["kid"]), name
    fcd = {name: scores["fcd"] for name, scores in digits.failures.items()}
    assert fcd["dropped_class"] < fcd["half_classes"] < fcd["one_mode"]
    assert fcd["noise"] < fcd["pure_noise"]


def test_the_floor_is_that_of_like_sets(digits):
    assert digits.floor["coverage"] == pytest.approx(1 - 2**-5, abs=0.02)
    assert digits.floor["density"] == pytest.approx(1, abs=0.1)
    assert digits.floor["realism"] == pytest.approx(0.55, abs=0.1)
    assert digits.floor["class_distance"] < 0.08
    assert digits.floor["inception_score"] > 8


def test_pure_noise_lies_where_no_data_lie(digits):
    pure, real = digits.failures["pure_noise"], digits.floor
    assert pure["realism"] < 0.02 < 0.4 < real["realism"]
    assert pure["knn_precision"] < 0.5 * real["knn_precision"]
    assert pure["density"] < 0.2 * real["density"]


def test_one_mode_covers_least_though_it_is_precise(digits):
    one = digits.failures["one_mode"]
    assert one["coverage"] == min(scores["coverage"] for scores in digits.failures.values()) < 0.1
    assert one["knn_precision"] > 0.95 and one["knn_recall"] < 0.05
    assert one["inception_score"] == pytest.approx(1, abs=0.05)
    assert one["class_distance"] == pytest.approx(0.9, abs=0.05)


def test_missing_classes_cost_their_share(digits):
    one, half, real = (digits.failures["dropped_class"], digits.failures["half_classes"], digits.floor)
    assert one["class_distance"] == pytest.approx(0.1, abs=0.04)
    assert half["class_distance"] == pytest.approx(0.5, abs=0.05)
    assert half["rarest_class"] <= one["rarest_class"] < 0.3 < 0.6 < real["rarest_class"]
    for name in ("knn_recall", "coverage"):
        assert one[name] == pytest.approx(0.9 * real[name], abs=0.03), name
        assert half[name] == pytest.approx(0.5 * real[name], abs=0.08), name
    assert one["knn_precision"] == pytest.approx(real["knn_precision"], abs=0.03)


# Labels, of images that the limits were not made of


@pytest.mark.parametrize(
    "name, expected",
    {
        "blur": "still learning",
        "pure_noise": "noise",
        "dropped_class": "still learning",
        "half_classes": "collapsed",
        "one_mode": "collapsed",
    }.items(),
)
def test_labels_of_failures(digits, name, expected):
    assert digits.label(make(name, *digits.thirds[2], seed=1)) == expected


def test_label_of_real_images(digits):
    assert digits.label(digits.thirds[2][0]) == "good"


@pytest.mark.parametrize("mode", [0, 1, 8])
def test_any_single_mode_is_a_collapse(digits, mode):
    images, targets = digits.thirds[2]
    one = one_mode(images, torch.where(targets == mode, -1, targets), Generator().manual_seed(1))
    assert digits.label(one) == "collapsed"


def test_one_image_of_each_class_is_a_collapse(digits):
    """Balanced and precise: only coverage and recall tell."""
    images, targets = digits.thirds[2]
    one_each = torch.stack([images[targets == c][0] for c in range(10)]).repeat(60, 1, 1, 1)[:599]
    scores = digits.score(one_each)
    assert scores["class_distance"] < digits.limits.class_distance
    assert label(scores, digits.limits) == "collapsed"


def test_any_dropped_class_is_not_good(digits):
    for dropped in (0, 2, 4):  # 2 is the one that the scores notice least, 4 the most
        made = dropped_class(*digits.thirds[2], Generator().manual_seed(1), dropped)
        assert digits.label(made) == "still learning", dropped


def test_black_images_are_noise(digits):
    assert digits.label(torch.zeros_like(digits.thirds[2][0])) == "noise"


def test_a_non_finite_image_has_diverged(digits):
    images = digits.thirds[2][0].clone()
    images[3, 0, 0, 0] = math.nan
    assert digits.label(images) == "diverged"


def test_a_non_finite_loss_has_diverged(digits):
    assert label(digits.floor | {"critic_loss": math.inf}, digits.limits) == "diverged"
    assert label(digits.floor | {"critic_loss": -1e9}, digits.limits) == "good"
