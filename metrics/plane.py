"""How far generated points are from a distribution in the plane that is known: on a grid of cells, by the exact
Wasserstein distance of samples, and by modes."""

import math

import torch
from torch import Tensor

from datamodules.distributions import Distribution

CELLS = 30  # on a side of the grid
WIDENED = 2.0  # standard deviations of the blurred data that set the limit, in those of the data
NEAR_SIGMAS = 3.0  # of a mode or a curve: within it, a point is near
HIT_SHARE = 0.1  # of a mode's share of points that it needs to count as hit


class CellGrid:
    """The cells of a distribution's window, and one cell more for all outside, with their exact probabilities.

    Args:
        distribution: what points are compared with.
        cells: on a side.

    Attributes:
        masses: of the cells row by row from the lowest, the last of all outside: ``(cells^2 + 1,)``.
        limit: the JS divergence of the distribution and the same with its curve or modes twice as wide, in bits.
    """

    def __init__(self, distribution: Distribution, cells: int = CELLS):
        self.window, self.cells = distribution.window(), cells
        self.masses = self._masses(distribution)
        self.limit = self._js(self._masses(distribution, WIDENED))

    def _masses(self, distribution: Distribution, widened: float = 1.0) -> Tensor:
        x_low, x_high, y_low, y_high = self.window
        edges = (
            torch.linspace(low, high, self.cells + 1, dtype=torch.float64)
            for low, high in ((x_low, x_high), (y_low, y_high))
        )
        inside = distribution.cell_masses(*edges, widened).flatten()
        return torch.cat([inside, (1 - inside.sum()).clamp_min(0)[None]])

    def _js(self, q: Tensor) -> float:
        middle = (self.masses + q) / 2
        return (kl_bits(self.masses, middle) + kl_bits(q, middle)) / 2

    def frequencies(self, points: Tensor) -> Tensor:
        """The share of points ``(N, 2)`` in each cell, the last one all outside: ``(cells^2 + 1,)`` in float64."""
        low = points.new_tensor([self.window[0], self.window[2]])
        high = points.new_tensor([self.window[1], self.window[3]])
        at = ((points - low) / (high - low) * self.cells).floor()
        inside = ((at >= 0) & (at < self.cells)).all(dim=1)  # false for NaN too
        column, row = at.nan_to_num(0).clamp(0, self.cells - 1).long().unbind(1)
        index = torch.where(inside, row * self.cells + column, self.cells**2)
        counts = torch.bincount(index, minlength=self.cells**2 + 1)
        return counts.double() / len(points)

    def divergences(self, points: Tensor) -> dict[str, float]:
        """``kl`` of the data from the generated points, and ``js`` of the two, in bits, by cells.

        One point more, spread like the data, keeps the KL finite where a cell is empty: it is at most log2(N + 1). With
        points of the distribution itself, the JS is about (cells that count) / (8 N ln 2).
        """
        q, weight = self.frequencies(points.cpu()), 1 / (len(points) + 1)
        smooth = torch.lerp(q, self.masses, weight)
        return {"kl": kl_bits(self.masses, smooth), "js": self._js(q)}


def kl_bits(p: Tensor, q: Tensor) -> float:
    """sum p log2(p / q) of probabilities; 0 where p is, infinite where only q is 0."""
    return float(torch.special.xlogy(p, p).sum() - torch.special.xlogy(p, q).sum()) / math.log(2)


def wasserstein_1(a: Tensor, b: Tensor) -> float:
    """The exact Wasserstein-1 distance between two samples of equal size ``(N, 2)``: the mean Euclidean length of the
    cheapest pairing, which is what transport between equal weights comes to (Birkhoff)."""
    from scipy.optimize import linear_sum_assignment

    cost = torch.cdist(a.double().cpu(), b.double().cpu(), compute_mode="donot_use_mm_for_euclid_dist")
    if not torch.isfinite(cost).all():
        return math.inf
    rows, columns = linear_sum_assignment(cost.numpy())
    return float(cost[rows, columns].mean())


def mode_counts(points: Tensor, distribution: Distribution) -> dict[str, int]:
    """``modes``, how many a distribution with modes has that are hit; nothing for another.

    A mode is hit by a tenth of its share of points within three standard deviations of it (Srivastava et al. 2017), a
    stricter reading than one point.
    """
    if distribution.modes is None:
        return {}
    distances, nearest = torch.cdist(points.double().cpu(), distribution.modes).min(1)
    count = len(distribution.modes)
    hits = torch.bincount(nearest[distances <= NEAR_SIGMAS * distribution.mode_sigma], minlength=count)
    return {"modes": int((hits >= HIT_SHARE / count * len(points)).sum())}
