"""The noises that generators are fed: how to draw one, go from one to another, and lay a grid over them."""

import math

import torch
from torch import Tensor

TAIL = 0.005  # of a normal noise's probability that a grid leaves out on each side of an axis


class Normal:
    """N(0, I)."""

    def sample(
        self,
        count: int,
        dim: int,
        generator: torch.Generator | None = None,
        device: torch.device | None = None,
    ) -> Tensor:
        """z, ``(count, dim)``; ``generator`` is torch's global one unless given, and of the device."""
        return torch.randn(count, dim, generator=generator, device=device)

    def path(self, starts: Tensor, ends: Tensor, steps: int) -> Tensor:
        """Points on great circles between noises ``(N, d)``: ``(N, steps, d)``, starts and ends included.

        Almost all of N(0, I) lies near the sphere of radius sqrt(d). A straight line cuts through the inside (its
        middle has norm sqrt(d / 2)), where the generator has seen no noise; an arc stays where it has (White 2016,
        arXiv 1609.04468).
        """
        angle = torch.cosine_similarity(starts, ends, dim=1).clamp(-1, 1).acos()[:, None, None]
        at = torch.linspace(0, 1, steps, device=starts.device)[:, None]
        arc = [torch.sin(share * angle) / torch.sin(angle) for share in (1 - at, at)]
        # between parallel noises, as d = 1 has them, there is no circle but a line
        flat = torch.sin(angle).abs() < 1e-3
        a, b = (torch.where(flat, line, share) for line, share in zip((1 - at, at), arc, strict=True))
        return a * starts[:, None] + b * ends[:, None]

    def ticks(self, count: int, device: torch.device | None = None) -> Tensor:
        """Ascending values ``(count,)`` of one number of the noise, with equal probability between any two of them."""
        return torch.special.ndtri(TAIL + (1 - 2 * TAIL) * torch.linspace(0, 1, count, device=device))

    def density(self, z: Tensor) -> Tensor:
        """p(z) of noises ``(N, d)``: ``(N,)``."""
        return torch.exp(-0.5 * z.square().sum(1)) / (2 * math.pi) ** (z.shape[1] / 2)


class Uniform:
    """Uniform on [-1, 1)^d; shapes as :class:`Normal`."""

    def sample(
        self,
        count: int,
        dim: int,
        generator: torch.Generator | None = None,
        device: torch.device | None = None,
    ) -> Tensor:
        return torch.rand(count, dim, generator=generator, device=device).mul_(2).sub_(1)

    def path(self, starts: Tensor, ends: Tensor, steps: int) -> Tensor:
        """Points on straight lines: a cube is convex, so they stay where the generator has seen noise; an arc may not.

        From (1, 0) to (1, 1) a great circle would leave the square.
        """
        at = torch.linspace(0, 1, steps, device=starts.device)[:, None]
        return (1 - at) * starts[:, None] + at * ends[:, None]

    def ticks(self, count: int, device: torch.device | None = None) -> Tensor:
        return 2 * torch.linspace(0, 1, count, device=device) - 1

    def density(self, z: Tensor) -> Tensor:
        return (z.abs() <= 1).all(1).to(z.dtype) * 0.5 ** z.shape[1]


NOISES = {"normal": Normal(), "uniform": Uniform()}
