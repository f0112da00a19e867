"""Points in the plane as a data set: drawn once from a distribution that is known."""

from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.distributions import Distribution, Drawing
from datamodules.drawings import file_digest
from datamodules.in_memory import InMemoryData, require_counts

DRAW_SEEDS = {
    "train": 0,
    "val": 1,
    "test": 2,
}  # the same for every run, so that fits compare; one does not move another


class Points(NamedTuple):
    """Points ``(N, 2)`` float32, and zeros ``(N,)``, for there are no classes."""

    points: Tensor
    targets: Tensor


class Plane(InMemoryData):
    """Training, validation and test points, drawn from a distribution by fixed seeds.

    Args:
        distribution: what they are drawn from.
        train_size: training points.
        val_size: validation points.
        test_size: test points.
        shape: of a point, ``(2,)``: a check against a model configured for something else.
        network_range: what [0, 1] becomes inside the networks, which learn best from coordinates of about unit
            variance; (0, 1) leaves points as they are. The generator's ``output_range`` is taken from here.
    """

    unit = "points"
    point_shape = (2,)

    def __init__(
        self,
        distribution: Distribution,
        batch_size: int = 256,
        train_size: int = 100_000,
        val_size: int = 2000,
        test_size: int = 10_000,
        seed: int = 0,
        eval_batch_size: int = 10_000,
        shape: tuple[int] | None = None,
        batches_per_step: int = 1,
        network_range: tuple[float, float] = (0.0, 1.0),
    ):
        super().__init__(batch_size, val_size, seed, eval_batch_size, batches_per_step)
        require_counts(train_size=train_size, test_size=test_size)
        self.require_enough(train_size)
        if shape is not None and tuple(shape) != self.point_shape:
            raise ValueError(f"dataset.shape={list(shape)}: points in the plane are {list(self.point_shape)}")
        if len(network_range) != 2 or not network_range[0] < network_range[1]:
            raise ValueError(f"dataset.network_range={list(network_range)}: expects two numbers, the lower one first")
        self.distribution = distribution
        self.train_size, self.test_size = train_size, test_size

    @classmethod
    def identity(cls, config: dict) -> dict:
        """The part of the configuration that decides which points are trained on; a drawing counts by its content."""
        kept = {k: v for k, v in config.items() if k not in ("eval_batch_size", "shape", "test_size", "network_range")}
        described = dict(kept["distribution"])
        if described["_target_"].rpartition(".")[2] == Drawing.__name__:
            described["path"] = file_digest(described["path"])
        return kept | {"distribution": described}

    def setup(self, stage: str | None = None) -> None:
        """Draws the points and puts them on the training device. Cheap to call again."""
        if hasattr(self, "train"):
            return
        counts = {"train": self.train_size, "val": self.val_size, "test": self.test_size}
        for name, count in counts.items():
            generator = torch.Generator().manual_seed(DRAW_SEEDS[name])
            points = self.distribution.sample(count, generator).to(self.device)
            setattr(self, name, Points(points, torch.zeros(count, dtype=torch.int64, device=self.device)))
