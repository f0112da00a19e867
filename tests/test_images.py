"""Data sets of images: how they are divided, and the digits."""

import pytest
import torch

from datamodules.digits import Digits
from datamodules.images import Images, Split
from datamodules.labels import draw_labels


def test_the_same_images_are_held_out_whatever_the_seed():
    one, two = Digits(seed=0), Digits(seed=5)
    one.setup()
    two.setup()
    assert torch.equal(one.val.images, two.val.images)
    held_out = {tuple(i.flatten().tolist()) for i in one.val.images}
    trained = [tuple(i.flatten().tolist()) for i in one.train.images]
    tested = [tuple(i.flatten().tolist()) for i in one.test.images]
    assert (len(trained), len(held_out), len(tested)) == (1100, 197, 500)
    assert not held_out & set(trained) and not held_out & set(tested) and not set(trained) & set(tested)


def test_the_digits_are_divided_as_ever():
    """Fits compare only as long as these stay."""
    digits = Digits()
    digits.setup()
    prints = {name: digits.fingerprint(name) for name in ("train", "val", "test")}
    assert prints == {"train": "16b89fa3a411dcd4", "val": "91d74f92a6bb8e8c", "test": "040b5612d97bbdc0"}
    assert digits.fingerprint("labelled") == prints["train"] != digits.fingerprint("train", "val")
    assert digits.class_counts.tolist() == torch.bincount(digits.train.targets).tolist()


def test_train_subset_trains_on_the_images_that_are_labelled():
    for rule in ("equal", "proportional"):
        module = Digits(train_subset=100, label_seed=3, labels=rule)
        module.setup()
        drawn = draw_labels(module.labelled.targets.numpy(), 100, 3, rule)
        assert torch.equal(module.train.images, module.labelled.images[drawn])
        assert len(module.labelled.images) == module.class_counts.sum() == 1100


def test_the_draw_is_in_a_fits_identity_only_with_a_subset():
    config = {"batch_size": 5, "label_seed": 3, "labels": "equal", "eval_batch_size": 9, "seed": 1}
    assert Digits.identity(config | {"train_subset": None}) == {"batch_size": 5, "seed": 1, "train_subset": None}
    with_subset = Digits.identity(config | {"train_subset": 50})
    assert (with_subset["label_seed"], with_subset["labels"]) == (3, "equal")


def test_models_are_offered_what_the_images_are():
    digits = Digits()
    digits.setup()
    assert digits.offers == {"image_shape": (1, 8, 8), "num_classes": 10}


def test_images_are_scaled_whatever_stands_before_them():
    batches = torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1, 1).expand(3, 2, 1, 4, 4)
    assert Images.as_seen(batches)[:, 1, 0, 3, 3].tolist() == pytest.approx([0.0, 0.2, 1.0])


def test_what_two_splits_share_is_on_the_device_once():
    digits = Digits()
    digits.setup()
    assert digits.train.images.data_ptr() == digits.labelled.images.data_ptr()
    assert isinstance(digits.train, Split)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "dataset.batch_size=0: expects a positive whole number"),
        ({"batch_size": 5000}, "dataset.batch_size=5000: there are only 1100 images to train on"),
        ({"val_size": 1297}, "dataset.val_size=1297: Digits has 1297 training images"),
        ({"seed": -1}, "dataset.seed=-1: expects a whole number from 0"),
        ({"labels": "fair"}, "labels=fair: accepted are equal, proportional"),
        ({"train_subset": 105, "batch_size": 5}, "dataset.train_subset=105: not divisible"),
        ({"train_subset": 5, "batch_size": 5}, "dataset.train_subset=5: there are 10 classes"),
        ({"train_subset": 50}, "dataset.batch_size=64: there are only 50 images to train on"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Digits(**settings).setup()
