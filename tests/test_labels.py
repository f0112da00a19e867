"""The draw of the labels."""

import time

import numpy as np
import pytest

from datamodules.labels import draw_labels, indices_sha256, require_drawable

TARGETS = np.random.default_rng(3).integers(0, 10, 5000)


UNEQUAL = np.repeat(np.arange(26), 10 + 3 * np.arange(26))  # 10 of the first class, 85 of the last


def test_draws_are_balanced_and_without_repeats():
    drawn = draw_labels(TARGETS, 600, seed=4)
    assert np.bincount(TARGETS[drawn]).tolist() == [60] * 10
    assert len(set(drawn.tolist())) == 600


def test_draws_stay_what_they_were():
    """Published figures are of these images."""
    assert draw_labels(TARGETS, 20, seed=0)[:10].tolist() == [2667, 2364, 2420, 4083, 4432, 1210, 411, 1021, 159, 3756]
    assert indices_sha256(draw_labels(TARGETS, 600, seed=4))[:16] == "56cd8d89e6ec9c4d"
    assert indices_sha256(draw_labels(UNEQUAL, 100, 4, "proportional"))[:16] == "7abbac5eb26990f2"


@pytest.mark.parametrize("targets", [TARGETS, UNEQUAL])
def test_proportional_draws_have_every_class_by_its_share(targets):
    counts = np.bincount(targets)
    for n in (len(counts), 100, 500, len(targets)):
        drawn = draw_labels(targets, n, 1, "proportional")
        found = np.bincount(targets[drawn], minlength=len(counts))
        assert len(set(drawn.tolist())) == n and found.min() >= 1
        assert np.abs(found - n * counts / len(targets)).max() < 1


def test_proportional_draws_take_an_image_once_its_class_has_come_so_far():
    """Three of class 0 at 0, 1/3, 2/3, six of class 1 at 0, 1/6, ...: by that, of equals the lower class."""
    targets = np.array([1, 0, 1, 1, 0, 1, 0, 1, 1])
    assert targets[draw_labels(targets, 9, 5, "proportional")].tolist() == [0, 1, 1, 0, 1, 1, 0, 1, 1]


@pytest.mark.parametrize("seed", [0, 7])
def test_of_equal_classes_both_rules_draw_the_same(seed):
    targets = np.arange(500) % 10
    assert draw_labels(targets, 70, seed).tolist() == draw_labels(targets, 70, seed, "proportional").tolist()


@pytest.mark.parametrize("rule", ["equal", "proportional"])
def test_draws_of_one_seed_are_nested(rule):
    small, large = (draw_labels(TARGETS, n, 1, rule) for n in (100, 3000))
    assert small.tolist() == large[:100].tolist()


@pytest.mark.parametrize("rule", ["equal", "proportional"])
def test_draws_differ_by_seed_and_not_by_global_state(rule):
    np.random.seed(1)
    one = draw_labels(TARGETS, 100, 1, rule)
    np.random.seed(2)
    assert one.tolist() == draw_labels(TARGETS, 100, 1, rule).tolist()
    assert one.tolist() != draw_labels(TARGETS, 100, 2, rule).tolist()


def test_the_hash_is_of_little_endian_int64():
    assert indices_sha256(np.array([1, 2], dtype=np.int32)) == indices_sha256(np.array([1, 2], dtype=">i8"))
    expected = "0c730b69905c5ef7a4ca5269f72365400bde2dd2c04eaf9bbb3d1c4a265a0131"
    assert indices_sha256(np.array([1, 2])) == expected


EQUAL, BY_SHARE = ("equal", "proportional")


@pytest.mark.parametrize(
    ("targets", "n", "seed", "labels", "message"),
    [
        (TARGETS, 0, 0, EQUAL, "n_labels=0: expects a positive whole number of labelled images"),
        (TARGETS, -10, 0, EQUAL, "n_labels=-10: expects a positive whole number of labelled images"),
        (TARGETS, True, 0, BY_SHARE, "n_labels=True: expects a positive whole number of labelled images"),
        (TARGETS, 10, -1, BY_SHARE, "label_seed=-1: expects a whole number from 0"),
        (TARGETS, 10, 0, "fair", "labels=fair: accepted are equal, proportional"),
        (TARGETS, 105, 0, EQUAL, "n_labels=105: not divisible into 10 classes of equal size; the nearest are 100 and "
         "110, or labels=proportional"),
        (TARGETS, 5010, 0, EQUAL, "n_labels=5010: the training set has only 5000 images"),
        (TARGETS, 5010, 0, BY_SHARE, "n_labels=5010: the training set has only 5000 images"),
        (TARGETS, 9, 0, EQUAL, "n_labels=9: there are 10 classes, and each needs a labelled image"),
        (UNEQUAL, 25, 0, BY_SHARE, "n_labels=25: there are 26 classes, and each needs a labelled image"),
        (UNEQUAL, 100, 0, EQUAL, "n_labels=100: not divisible into 26 classes of equal size; the nearest are 78 and "
         "104, or labels=proportional"),
        (UNEQUAL, 261, 0, EQUAL, "n_labels=261: needs 11 images of each class, class 0 has 10; at most 260, or "
         "labels=proportional"),
        (np.array([0, 2, 2]), 2, 0, BY_SHARE, "n_labels=2: there is no image of class 1"),
    ],
)  # fmt: skip
def test_impossible_draws_are_refused_from_the_counts_alone(targets, n, seed, labels, message):
    for refuse in (lambda: draw_labels(targets, n, seed, labels),
                   lambda: require_drawable(np.bincount(targets), n, seed, labels)):  # fmt: skip
        with pytest.raises(ValueError) as error:
            refuse()
        assert str(error.value) == message


def test_what_can_be_drawn_passes_and_costs_microseconds():
    counts = np.bincount(UNEQUAL)
    require_drawable(counts, 260, 0)
    require_drawable(counts, int(counts.sum()), 0, "proportional")
    start = time.process_time()
    for seed in range(10_000):
        require_drawable(counts, 26, seed)
    assert time.process_time() - start < 1
