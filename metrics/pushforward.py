"""What a generator makes of a grid in its noise space: where the grid comes to lie, and how dense, exactly.

By the change of variables, noise of density p(z) arrives at G(z) with density p(z) / |det J(z)| where G is one to one;
where it folds, the layers' densities add up. Of a one-dimensional noise the image is a curve, and p(z) / |G'(z)| the
probability per length along it.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.func import jacrev, vmap


class Noise(Protocol):
    """A noise, as far as a grid needs one: ``lightning_modules.noise`` has two."""

    def ticks(self, count: int, device: torch.device | None = None) -> Tensor:
        """Ascending values ``(count,)`` of one number of the noise, with equal probability between any two of them."""

    def density(self, z: Tensor) -> Tensor:
        """p(z) of noises ``(N, d)``: ``(N,)``."""


class Manifold(NamedTuple):
    """The image of a grid.

    vertices: ``((n + 1)^2, 2)`` row by row, or ``(n + 1, 2)`` along a curve.
    density: of the ``n^2`` cells or ``n`` segments, at their centres.
    fold: where the map's orientation is not that of most cells: boolean, as ``density``. A curve has none.
    """

    vertices: Tensor
    density: Tensor
    fold: Tensor


def density_and_orientation(generator: Callable[[Tensor], Tensor], z: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
    """The density at the images of noises ``(N, d)``, d = 1 or 2, and the sign of det J (1 for d = 1): both ``(N,)``.

    Infinite where the generator does not move with its noise at all.
    """
    jacobian = vmap(jacrev(lambda one: generator(one[None])[0]))(z)
    if z.shape[1] == 1:
        stretch, sign = torch.linalg.vector_norm(jacobian[..., 0], dim=1), torch.ones(len(z), device=z.device)
    else:
        determinant = torch.linalg.det(jacobian)
        stretch, sign = determinant.abs(), determinant.sign()
    return noise.density(z) / stretch, sign


def manifold(
    generator: Callable[[Tensor], Tensor],
    dim: int,
    noise: Noise,
    cells: int,
    device: torch.device | None = None,
) -> Manifold | None:
    """The image of a grid of ``cells`` a side, or of ``cells`` segments; None for a noise of more than two numbers.

    Args:
        generator: noises ``(N, dim)`` to points ``(N, 2)``.
        dim: of the noise.
        noise: what its numbers are drawn from.
        cells: how many.
        device: of the generator.
    """
    if dim > 2:
        return None
    ticks = noise.ticks(2 * cells + 1, device)  # every other one a centre
    corners, centres = ticks[::2], ticks[1::2]
    if dim == 1:
        corners, centres = corners[:, None], centres[:, None]
    else:
        corners, centres = (torch.cartesian_prod(t, t).flip(1) for t in (corners, centres))
    with torch.no_grad():
        vertices = generator(corners)
        density, sign = density_and_orientation(generator, centres, noise)
    majority = 1.0 if sign.sum() >= 0 else -1.0
    return Manifold(vertices, density, (sign == -majority) if dim == 2 else torch.zeros_like(sign, dtype=torch.bool))
