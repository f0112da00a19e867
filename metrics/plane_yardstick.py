"""A yardstick for generated points in the plane: scores beside those of draws of the data themselves, and the limits up
to which a generator is near.

Beside the scores of :mod:`metrics.plane` it has those by parts, modes or stretches of a curve: their shares of the
points, and their widths.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.distributions import Distribution
from metrics.plane import NEAR_SIGMAS, WIDENED, CellGrid, mode_counts, wasserstein_1

PAIRED = 300  # points of each sample whose Wasserstein distance is taken at once: some 15 ms
IN_PARTS = 10_000  # points, the first ones, that are looked up in the parts: some 20 ms
MOST_MODES, STRETCHES = 32, 20  # components that are a part each; of more, stretches of equal mass in their order
MOST_PLACES = 512  # along a curve, of which the nearest is sought
CHUNK = 2**17  # points times places in one step, which stay in a core's cache: 1 MB
FEWEST = 10  # points of a part that a width is taken of

SEED, DRAWS = 3, 20  # of the distribution itself, whose scores are the floor
MOVED = 0.1  # of the mass: what may be in the wrong part, what may be near none, what sets the limit of W1
LEAST_SHARE = 0.7  # that a part has of the mass it should have


class Parts:
    """A distribution cut into parts: each of its modes or hills, or stretches of a curve of equal mass.

    A point belongs to the part of the component (:mod:`datamodules.distributions`) that is nearest in the component's
    standard deviations; so its place has two coordinates, which part it is in and how many sigmas from its middle.

    Args:
        distribution: that is cut.
        own: points of it, many, whose shares and distances the others' are compared with: ``(N, 2)``.
    """

    def __init__(self, distribution: Distribution, own: Tensor):
        weights, means, stds = distribution.components()
        before = weights.cumsum(0) - weights / 2
        part = (before * STRETCHES).long() if len(weights) > MOST_MODES else torch.arange(len(weights))
        kept = slice(None, None, math.ceil(len(weights) / MOST_PLACES))
        self._part, self.count = part[kept], int(part.max()) + 1
        # sum over the axes of ((x - m) / s)^2 as a product of matrices: a constant, and factors of x^2 and x
        precisions = stds[kept] ** -2
        self._constant = (means[kept].square() * precisions).sum(1)
        self._linear = torch.cat([precisions, -2 * means[kept] * precisions], dim=1).T.contiguous()
        parts, sigmas = self.places(own)
        self.shares = torch.bincount(parts, minlength=self.count).double() / len(own)
        self._widths = torch.stack([sigmas[parts == part].median() for part in range(self.count)])

    def places(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Of points ``(N, 2)``, the part that each belongs to and its distance in sigmas, ``(N,)`` both."""
        points = points.double().cpu()
        finite = torch.isfinite(points).all(dim=1, keepdim=True)
        squares, nearest = [], []
        for chunk in torch.where(finite, points, 0).split(max(1, CHUNK // len(self._part))):
            least = torch.addmm(self._constant, torch.cat([chunk.square(), chunk], dim=1), self._linear).min(1)
            squares.append(least.values)
            nearest.append(least.indices)
        sigmas = torch.cat(squares).clamp_min(0).sqrt()
        return self._part[torch.cat(nearest)], torch.where(finite[:, 0], sigmas, math.inf)

    def scores(self, points: Tensor) -> dict[str, float]:
        """What is amiss with the shares and widths of points ``(N, 2)``.

        ``near``: the share within three sigmas of a mode or the curve. ``misplaced``: the mass in the wrong part, the
        total variation distance of the shares, and 1 if no point is near. ``least``: the smallest share of a part, in
        what it should be.
        ``narrowest``, ``width`` and ``widest``: the median distance in a part, in the data's own, the least of the
        parts', the median and the largest; 0 and infinite if no part has points.
        """
        parts, sigmas = self.places(points)
        near = sigmas <= NEAR_SIGMAS
        counts = torch.bincount(parts[near], minlength=self.count).double()
        shares = counts / counts.sum().clamp_min(1)
        inside = [sigmas[parts == part] for part in range(self.count)]
        widths = sorted(
            float(found.median() / own) for found, own in zip(inside, self._widths, strict=True) if len(found) >= FEWEST
        )
        return {
            "near": float(near.double().mean()),
            "misplaced": float((self.shares - shares).clamp_min(0).sum()),
            "least": float((shares / self.shares).min()),
            "narrowest": widths[0] if widths else 0.0,
            "width": widths[len(widths) // 2] if widths else 0.0,
            "widest": widths[-1] if widths else math.inf,
        }


class Bound(NamedTuple):
    """Of a score: the mean and the standard deviation of draws of the data themselves, and how far a near generator
    may go, above that or below it."""

    floor: float
    spread: float
    limit: float


class PlaneYardstick:
    """Scores points against a distribution, and knows what its own points score and what is near.

    A generator is near if it is within the limit of every score:

    - ``js``: that of the distribution itself with its curve or modes twice as wide, exactly;
    - ``w1``: what draws of the data score of which a tenth is moved to one place, the mean over draws and places;
    - ``near``: a tenth of the mass less than the data have is near a mode or the curve;
    - ``misplaced``: a tenth of the mass, beside what chance makes of as many points, is in the wrong part;
    - ``least``: each part has .7 of its share;
    - ``widest``: no part is over twice as wide as the data's; ``width``: the median part is at least half as wide, and
      ``narrowest``: each at least a quarter, for a fold of the generator thins a curve in places;
    - ``modes``: all are hit.

    Args:
        distribution: what points are compared with.
        points: that are scored at a time.
        paired: of each sample in one Wasserstein distance, which falls with their number.

    Attributes:
        bounds: score to its :class:`Bound`, over twenty draws.
    """

    def __init__(self, distribution: Distribution, points: int, paired: int = PAIRED):
        generator = torch.Generator().manual_seed(SEED)
        self.distribution, self.grid = distribution, CellGrid(distribution)
        self._real = [_even_sample(distribution, paired, generator) for _ in range(DRAWS)]
        pairs = [distribution.sample(paired, generator) for _ in range(DRAWS)]
        draws = [distribution.sample(points, generator) for _ in range(DRAWS)]
        self._parts = Parts(distribution, torch.cat([draw[:IN_PARTS] for draw in draws]))
        own = [self.scores(draw, 0) for draw in draws]
        distances = [self.w1_of(pair, index) for index, pair in enumerate(pairs)]
        found = {name: torch.tensor([float(scores[name]) for scores in own]) for name in own[0]}
        found["w1"] = torch.tensor(distances)
        self.bounds = {
            name: Bound(float(values.mean()), float(values.std()), self._limit(name, float(values.mean()), pairs))
            for name, values in found.items()
        }

    def _limit(self, name: str, floor: float, pairs: list[Tensor]) -> float:
        match name:
            case "js":
                return self.grid.limit
            case "kl":
                return math.inf
            case "w1":
                spoiled = [self.w1_of(self._moved(pair, index), index) for index, pair in enumerate(pairs)]
                return sum(spoiled) / len(spoiled)
            case "near":
                return floor - MOVED
            case "misplaced":
                return floor + MOVED
            case "least":
                return LEAST_SHARE
            case "width":
                return 1 / WIDENED
            case "narrowest":
                return 1 / WIDENED**2
            case "widest":
                return WIDENED
            case "modes":
                return len(self.distribution.modes)

    def _moved(self, points: Tensor, index: int) -> Tensor:
        """Points of which a tenth is moved to one place of the distribution, another for each draw."""
        place, _ = self.distribution.place(torch.tensor([(index + 0.5) / DRAWS], dtype=torch.float64))
        moved = points.clone()
        moved[: math.ceil(MOVED * len(points))] = place.to(points)
        return moved

    def w1_of(self, points: Tensor, index: int) -> float:
        """The Wasserstein-1 distance of points ``(paired, 2)`` from the real ones of a draw."""
        return wasserstein_1(points, self._real[index])

    def scores(self, points: Tensor, distances: int = 1) -> dict[str, float]:
        """Those of points ``(N, 2)`` by name, ``kl`` beside them.

        Args:
            points: that are scored.
            distances: how many samples of them, disjoint, ``w1`` is the mean of: up to twenty.
        """
        points = points.cpu()
        found = self.grid.divergences(points) | self._parts.scores(points[:IN_PARTS])
        found |= mode_counts(points, self.distribution)
        if distances:
            size = len(self._real[0])
            w1 = [self.w1_of(sample, i) for i, sample in enumerate(points[: distances * size].split(size))]
            found["w1"] = sum(w1) / len(w1)
        return found


def _even_sample(distribution: Distribution, count: int, generator: torch.Generator) -> Tensor:
    """Points ``(count, 2)`` whose u are evenly spread, a random one in each of so many intervals: each mode has its
    share of them, so that a distance from them varies less than one from random points."""
    u = (torch.arange(count) + torch.rand(count, generator=generator, dtype=torch.float64)) / count
    return distribution.transport(u, torch.randn(count, 2, generator=generator, dtype=torch.float64)).float()
