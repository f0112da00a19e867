"""The draw of the labels."""

import numpy as np
import pytest

from datamodules.labels import draw_labels, indices_sha256

TARGETS = np.random.default_rng(3).integers(0, 10, 5000)


def test_draws_are_balanced_and_without_repeats():
    drawn = draw_labels(TARGETS, 600, seed=4)
    assert np.bincount(TARGETS[drawn]).tolist() == [60] * 10
    assert len(set(drawn.tolist())) == 600


def test_draws_of_one_seed_are_nested():
    small, large = draw_labels(TARGETS, 100, seed=1), draw_labels(TARGETS, 3000, seed=1)
    assert small.tolist() == large[:100].tolist()


def test_draws_differ_by_seed_and_not_by_global_state():
    np.random.seed(1)
    one = draw_labels(TARGETS, 100, seed=1)
    np.random.seed(2)
    assert one.tolist() == draw_labels(TARGETS, 100, seed=1).tolist()
    assert one.tolist() != draw_labels(TARGETS, 100, seed=2).tolist()


def test_the_hash_is_of_little_endian_int64():
    assert indices_sha256(np.array([1, 2], dtype=np.int32)) == indices_sha256(np.array([1, 2], dtype=">i8"))
    expected = "0c730b69905c5ef7a4ca5269f72365400bde2dd2c04eaf9bbb3d1c4a265a0131"
    assert indices_sha256(np.array([1, 2])) == expected


@pytest.mark.parametrize(
    ("n", "message"),
    [
        (0, "n_labels=0: expects a positive whole number"),
        (-10, "n_labels=-10: expects a positive whole number"),
        (True, "n_labels=True: expects a positive whole number"),
        (105, "n_labels=105: not divisible into 10 classes of equal size; the nearest are 100 and 110"),
        (5010, "n_labels=5010: the training set has only 5000 images"),
        (5000, r"n_labels=5000: needs 500 images of each class, class \d has \d+; at most \d+"),
    ],
)
def test_impossible_numbers_are_refused(n, message):
    with pytest.raises(ValueError, match=message):
        draw_labels(TARGETS, n, seed=0)
