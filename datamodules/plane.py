"""Points in the plane as a data set: drawn once from a distribution that is known."""

from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.checks import require_range, require_whole
from datamodules.distributions import Distribution
from datamodules.in_memory import InMemoryData

DRAW_SEEDS = {"train": 0, "val": 1, "test": 2}  # the same for every run, so that fits compare; one moves no other


class Points(NamedTuple):
    """Points ``(N, 2)`` float32, and zeros ``(N,)``, for there are no classes."""

    points: Tensor
    targets: Tensor


class Plane(InMemoryData):
    """Training, validation and test points, drawn from a distribution by fixed seeds.

    Args:
        distribution: what they are drawn from.
        batch_size: training points per step of an optimizer, in each process.
        train_size: training points.
        val_size: validation points.
        test_size: test points.
        seed: of the shuffle.
        eval_batch_size: points per step of validation and test.
        network_range: what [0, 1] becomes inside the networks, which learn best from coordinates of about unit
            variance; (0, 1) leaves points as they are. Offered to networks as their ``output_range``.
    """

    unit = "points"

    def __init__(
        self,
        distribution: Distribution,
        batch_size: int = 256,
        train_size: int = 100_000,
        val_size: int = 2000,
        test_size: int = 10_000,
        seed: int = 0,
        eval_batch_size: int = 10_000,
        network_range: tuple[float, float] = (0.0, 1.0),
    ):
        super().__init__(batch_size, val_size, seed, eval_batch_size)
        require_whole(**{"dataset.train_size": train_size, "dataset.test_size": test_size})
        require_range("dataset.network_range", network_range)
        self.distribution, self.network_range = distribution, tuple(network_range)
        self.train_size, self.test_size = train_size, test_size

    @classmethod
    def identity(cls, config: dict) -> dict:
        """The part of the configuration that decides which points are trained on; what the networks make of
        ``network_range`` is theirs."""
        return {k: v for k, v in config.items() if k not in ("eval_batch_size", "test_size", "network_range")}

    @property
    def offers(self) -> dict:
        return {"output_range": self.network_range}

    def divide(self) -> dict[str, Points]:
        counts = {"train": self.train_size, "val": self.val_size, "test": self.test_size}
        splits = {}
        for name, count in counts.items():
            points = self.distribution.sample(count, torch.Generator().manual_seed(DRAW_SEEDS[name]))
            splits[name] = Points(points, torch.zeros(count, dtype=torch.int64))
        return splits
