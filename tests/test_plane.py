"""Points in the plane as a data set."""

import pytest
import torch

from datamodules import distributions as d
from datamodules.plane import Plane


def plane(**settings) -> Plane:
    module = Plane(d.Ring(), batch_size=50, train_size=200, val_size=60, test_size=70, **settings)
    module.setup()
    return module


def test_points_are_the_same_for_every_run_and_splits_differ():
    one, two = plane(seed=0), plane(seed=1)
    assert torch.equal(one.train.points, two.train.points) and torch.equal(one.test.points, two.test.points)
    assert [len(split[0]) for split in (one.train, one.val, one.test)] == [200, 60, 70]
    more = Plane(d.Ring(), batch_size=50, train_size=200, val_size=50, test_size=7)
    more.setup()
    assert torch.equal(more.train.points, one.train.points), "sizes of other splits do not move the training points"
    assert not set(map(tuple, one.train.points.tolist())) & set(map(tuple, one.test.points.tolist()))
    batch = one.on_after_batch_transfer(next(iter(one.train_dataloader())), 0)
    assert batch[0].shape == (50, 2) and batch[0].dtype == torch.float32
    assert set(map(tuple, batch[0].tolist())) <= set(map(tuple, one.train.points.tolist()))


def test_points_are_drawn_as_ever():
    """Fits compare only as long as these stay: the means of the splits."""
    means = {name: getattr(plane(), name).points.double().mean(0).tolist() for name in ("train", "val", "test")}
    assert means["train"] == pytest.approx([0.48447, 0.44708], abs=1e-5)
    assert means["val"] == pytest.approx([0.48891, 0.48623], abs=1e-5)
    assert means["test"] == pytest.approx([0.4713, 0.43957], abs=1e-5)


def test_networks_are_offered_the_range_and_no_fit_is_named_by_it():
    assert plane(network_range=[-2, 2]).offers == {"output_range": (-2, 2)}
    described = {"_target_": "datamodules.distributions.Ring", "sigma": 0.025}
    config = {"_target_": "datamodules.plane.Plane", "distribution": described, "val_size": 60}
    assert Plane.identity(config | {"network_range": [-2, 2], "test_size": 1, "eval_batch_size": 1}) == config


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"train_size": 0}, "dataset.train_size=0: expects a positive whole number"),
        ({"batch_size": 300}, "dataset.batch_size=300: there are only 200 points to train on"),
        ({"network_range": (1, 1)}, r"dataset.network_range=\[1, 1\]: expects two numbers, the lower one first"),
        ({"network_range": 2}, "dataset.network_range=2: expects two numbers, the lower one first"),
        ({"network_range": ["a", "b"]}, r"dataset.network_range=\['a', 'b'\]: expects two numbers"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Plane(d.Ring(), **{"batch_size": 50, "train_size": 200} | settings).setup()
