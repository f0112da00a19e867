r"""Distributions in the plane whose density and cell masses are known.

All have one form. With u ~ U[0, 1) and n ~ N(0, I_2),

    x = m(u) + s(u) * n

where m(u) runs along a curve, or jumps from mode to mode, and s(u) are the two standard deviations there. So

    p(x) = int_0^1 N(x; m(u), diag s(u)^2) du,

a mixture of normal distributions: of K modes exactly, of a curve by the midpoint rule. The mass of a cell is a sum
of products of differences of the normal distribution function.
"""

import math

import torch
from torch import Tensor

from datamodules.checks import require_positive

CURVE_POINTS, MOST_CURVE_POINTS = 2048, 65_536  # of the midpoint rule, at most half a sigma apart
WINDOW_SIGMAS = 4.0  # from the outermost means to the window's edge
DENSITY_CHUNK = 2**21  # points times components in one step: 34 MB
MARGIN = 0.08  # of the window's side, around that


class Distribution:
    """The common form; a subclass has ``place`` and ``components``."""

    modes: Tensor | None = None  # (K, 2) where the distribution has modes that can be hit or missed
    mode_sigma: float | None = None  # standard deviation of each

    def place(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """m(u) and s(u) ``(N, 2)`` for u in [0, 1) ``(N,)``."""
        raise NotImplementedError

    def components(self) -> tuple[Tensor, Tensor, Tensor]:
        """Weights ``(K,)``, means and standard deviations ``(K, 2)`` of the mixture, in float64."""
        raise NotImplementedError

    def transport(self, u: Tensor, n: Tensor) -> Tensor:
        """The points ``(N, 2)`` that u ~ U[0, 1) ``(N,)`` and n ~ N(0, I) ``(N, 2)`` become."""
        mean, std = self.place(u)
        return mean + std * n

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """``(count, 2)`` independent points in float32, on the CPU."""
        u = torch.rand(count, generator=generator, dtype=torch.float64)
        return self.transport(u, torch.randn(count, 2, generator=generator, dtype=torch.float64)).float()

    def density(self, points: Tensor) -> Tensor:
        """p(x) of points ``(N, 2)``: ``(N,)`` in float64."""
        weights, means, stds = self.components()
        parts = []
        for chunk in points.double().split(max(1, DENSITY_CHUNK // len(weights))):
            z = (chunk[:, None] - means) / stds
            normal = torch.exp(-0.5 * z.square().sum(2)) / (2 * math.pi * stds.prod(1))
            parts.append(normal @ weights)
        return torch.cat(parts)

    def cell_masses(self, x_edges: Tensor, y_edges: Tensor, widened: float = 1.0) -> Tensor:
        """The probability of each cell between ascending edges ``(X + 1,)`` and ``(Y + 1,)``: ``(Y, X)`` in float64.

        With ``widened``, of the distribution whose standard deviations s(u) are so many times as large.
        """
        weights, means, stds = self.components()
        stds = stds * widened
        across, up = (
            torch.special.ndtr((edges.double()[:, None] - means[:, axis]) / stds[:, axis]).diff(dim=0)
            for axis, edges in enumerate((x_edges, y_edges))
        )
        return (up * weights) @ across.T

    def window(self) -> tuple[float, float, float, float]:
        """A square to look at it through: x from, x to, y from, y to. Less than 1e-4 of the mass lies outside."""
        _, means, stds = self.components()
        low = (means - WINDOW_SIGMAS * stds).min(0).values
        high = (means + WINDOW_SIGMAS * stds).max(0).values
        centre, half = (low + high) / 2, float((high - low).max()) / 2 * (1 + 2 * MARGIN)
        (x, y) = centre.tolist()
        return x - half, x + half, y - half, y + half


class Mixture(Distribution):
    """Normal distributions with axes along the coordinates' (see the module's docstring).

    Args:
        means: ``(K, 2)``.
        stds: ``(K, 2)``.
        weights: ``(K,)``, equal if not given.
    """

    def __init__(self, means, stds, weights=None):
        self._means = torch.as_tensor(means, dtype=torch.float64)
        self._stds = torch.as_tensor(stds, dtype=torch.float64).expand_as(self._means)
        equal = torch.ones(len(self._means), dtype=torch.float64)
        weights = equal if weights is None else torch.as_tensor(weights, dtype=torch.float64)
        self._weights = weights / weights.sum()
        self._upto = self._weights.cumsum(0)[:-1].contiguous()

    def place(self, u: Tensor) -> tuple[Tensor, Tensor]:
        which = torch.searchsorted(self._upto.to(u), u, right=True)
        return self._means.to(u)[which], self._stds.to(u)[which]

    def components(self) -> tuple[Tensor, Tensor, Tensor]:
        return self._weights, self._means, self._stds


class Modes(Mixture):
    """A mixture of equal round modes, which a generator can hit or miss.

    Args:
        means: ``(K, 2)``.
        sigma: standard deviation of each.
    """

    def __init__(self, means, sigma: float):
        require_positive(**{"dataset.distribution.sigma": sigma})
        super().__init__(means, [sigma, sigma])
        self.modes, self.mode_sigma = self._means, sigma


class Curve(Distribution):
    """A curve, blurred: m(u) as a subclass says, s(u) = sigma."""

    def __init__(self, sigma: float):
        require_positive(**{"dataset.distribution.sigma": sigma})
        self.sigma = sigma

    def curve(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """x and y of the curve at u ``(N,)``."""
        raise NotImplementedError

    def place(self, u: Tensor) -> tuple[Tensor, Tensor]:
        mean = torch.stack(self.curve(u), dim=1)
        return mean, torch.full_like(mean, self.sigma)

    def components(self) -> tuple[Tensor, Tensor, Tensor]:
        count = CURVE_POINTS
        while True:
            u = (torch.arange(count, dtype=torch.float64) + 0.5) / count
            means, stds = self.place(u)
            widest = torch.linalg.vector_norm(means.diff(dim=0), dim=1).max()
            if widest <= self.sigma / 2 or count >= MOST_CURVE_POINTS:
                return torch.full_like(u, 1 / count), means, stds
            count *= 2


class Parabola(Curve):
    """x = .1 + .8 u, y = .15 + .7 (2 u - 1)^2: even in x."""

    def __init__(self, sigma: float = 0.02):
        super().__init__(sigma)

    def curve(self, u: Tensor) -> tuple[Tensor, Tensor]:
        return 0.1 + 0.8 * u, 0.15 + 0.7 * (2 * u - 1).square()


class Line(Curve):
    """GAN Lab's line (Kahng et al. 2018)."""

    def __init__(self, sigma: float = 0.01):
        super().__init__(sigma)

    def curve(self, u: Tensor) -> tuple[Tensor, Tensor]:
        return 0.8 - 0.75 * u, 0.6 + 0.3 * u


class Ring(Curve):
    """GAN Lab's ring (Kahng et al. 2018), an ellipse."""

    def __init__(self, sigma: float = 0.025):
        super().__init__(sigma)

    def curve(self, u: Tensor) -> tuple[Tensor, Tensor]:
        angle = 2 * math.pi * u
        return 0.5 + 0.3 * angle.cos(), 0.45 + 0.25 * angle.sin()


class SwissRoll(Curve):
    """The toy script's of Gulrajani et al. 2017: scikit-learn's roll from the side, noise .25, all over 7.5."""

    def __init__(self, sigma: float = 0.25 / 7.5):
        super().__init__(sigma)

    def curve(self, u: Tensor) -> tuple[Tensor, Tensor]:
        t = 1.5 * math.pi * (1 + 2 * u)
        return t * t.cos() / 7.5, t * t.sin() / 7.5


class Gaussians(Mixture):
    """GAN Lab's two normal distributions (Kahng et al. 2018)."""

    def __init__(self):
        super().__init__([[0.3, 0.7], [0.7, 0.4]], [[0.1, 0.1], [0.05, 0.2]])


class Disjoint(Modes):
    """GAN Lab's three separate spots (Kahng et al. 2018)."""

    def __init__(self, sigma: float = 0.025):
        super().__init__([[0.35, 0.75], [0.75, 0.6], [0.45, 0.35]], sigma)


class EightGaussians(Modes):
    """Modes on a circle: radius 2, sigma .02, all over 1.414, the toy script's of Gulrajani et al. 2017."""

    def __init__(self, sigma: float = 0.02 / 1.414):
        angles = [math.pi * k / 4 for k in range(8)]
        super().__init__([[2 / 1.414 * math.cos(a), 2 / 1.414 * math.sin(a)] for a in angles], sigma)


class TwentyFiveGaussians(Modes):
    """Modes on a grid: 2 {-2..2}, sigma .05, all over 2.828, the toy script's of Gulrajani et al. 2017."""

    def __init__(self, sigma: float = 0.05 / 2.828):
        steps = [2 * k / 2.828 for k in range(-2, 3)]
        super().__init__([[x, y] for x in steps for y in steps], sigma)
