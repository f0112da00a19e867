"""Scores of generated images by their pixels: what the features of a classifier do not tell.

    sharpness    the texture of samples over that of real images, each quantile at most 1, on average: 1 of real images,
                 below .6 of images blurred by half a pixel; what is rougher than real does not make up for it
    rough        share of samples of a texture above that of nearly all real images
    spread       variance of samples, summed over pixels, over that of real images: near 0 if all samples are alike
    artefacts    share of the first thousand samples that are unlike every real image: of a texture that hardly a
                 held-out image has, or farther from all training images than these are
    duplicates   share of samples whose nearest other sample is nearer than all but 1 % of real images have one
    copies       share of the same that belong to one training image: the second nearest is so much farther than the
                 nearest as with 1 % of held-out images only

Texture is the energy of an image's Laplacian over that of its differences of neighbouring pixels, free of contrast.
Distances are those of spectra, the absolute Fourier coefficients of low frequencies, which shifts do not change and
noise of single pixels hardly. Copies are told by the ratio of two distances, as in Lowe 2004 (section 7.1), because
simple images have near neighbours also where they are new, and a noisy copy is far from all, but from one least.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from metrics.neighbours import squared_radii

NAMES = ("sharpness", "rough", "spread", "artefacts", "duplicates", "copies")
RARE = 0.01  # share of real images that are taken for duplicates, for copies, and for artefacts
LEVELS = 100  # quantiles of the texture that are compared
SAME = 1e-3  # distance of spectra, or ratio of two, below which images are the same: rounding stays below it
CHUNK = 5000  # training images compared at a time
LOOKED_UP = 1000  # samples whose nearest training images are sought: half of the cost of a score
FRAME = 2  # black pixels around an image before its spectrum is taken: a shift brings in what lies beyond the border
BAND = 1 / 3  # frequencies kept, per axis, as a share of the side


def texture(images: Tensor) -> Tensor:
    """Energy of the Laplacian over that of the gradient, of images ``(N, 1, H, W)``: ``(N,)``; 0 of a flat image."""
    laplacian = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=images.dtype, device=images.device)
    rough = F.conv2d(images, laplacian[None, None]).square().mean((1, 2, 3))
    steps = images.diff(dim=2).square().mean((1, 2, 3)) + images.diff(dim=3).square().mean((1, 2, 3))
    return rough / steps.clamp_min(torch.finfo(images.dtype).tiny)


def spectra(images: Tensor) -> Tensor:
    """Absolute Fourier coefficients of low frequencies of images ``(N, 1, H, W)``: ``(N, D)``, in units of pixels."""
    height, width = (side + 2 * FRAME for side in images.shape[2:])
    down, across = (round(BAND * side) + 1 for side in images.shape[2:])
    whole = torch.fft.rfft2(F.pad(images, (FRAME,) * 4)[:, 0]).abs() / math.sqrt(height * width)
    return torch.cat([whole[:, :down, :across], whole[:, 1 - down :, :across]], 1).flatten(1)


def two_nearest(points: Tensor, others: Tensor) -> Tensor:
    """Distances of points ``(N, D)`` to the nearest and the second nearest of others ``(M, D)``: ``(N, 2)``.

    They are sought by a matrix product in the points' precision, and measured from differences: of a copy it is 0.
    """
    best = points.new_full((len(points), 2), math.inf)
    index = torch.zeros(best.shape, dtype=torch.long, device=points.device)
    for start in range(0, len(others), CHUNK):
        chunk = others[start : start + CHUNK]
        squared = torch.addmm(chunk.square().sum(1), points, chunk.T, alpha=-2)  # without |point|^2, the same for all
        least, at = squared.min(1, keepdim=True)
        squared.scatter_(1, at, math.inf)
        next_least, next_at = squared.min(1, keepdim=True)
        best, order = torch.cat([best, least, next_least], 1).topk(2, 1, largest=False)
        index = torch.cat([index, start + at, start + next_at], 1).gather(1, order)
    return torch.linalg.vector_norm(points[:, None] - others[index], dim=2).sort(1).values


@dataclass(frozen=True)
class PixelReference:
    """The real images that samples' pixels are scored against; made once by :meth:`of`.

    Attributes:
        training: spectra of the training images, ``(M, D)``.
        textures: quantiles of held-out images' texture, ``(LEVELS,)``.
        usual: the least and the greatest texture of all but the rare ones.
        variance: of held-out images, summed over pixels.
        far: distance to the nearest training image that only rare ones exceed.
        twins: distance to the nearest other image below which only rare ones lie.
        own: ratio of the distances to the two nearest training images below which only rare ones lie.
    """

    training: Tensor
    textures: Tensor
    usual: tuple[float, float]
    variance: float
    far: float
    twins: float
    own: float

    @classmethod
    def of(cls, held_out: Tensor, train: Tensor) -> "PixelReference":
        """From held-out images ``(N, 1, H, W)`` in [0, 1] and all training images ``(M, 1, H, W)`` uint8.

        Raises:
            ValueError: for fewer than two of either.
        """
        if min(len(held_out), len(train)) < 2:
            raise ValueError(f"{len(held_out)} held-out and {len(train)} training images: expects two or more of each")
        training = torch.cat([spectra(c.to(held_out.device).float() / 255) for c in train.split(CHUNK)])
        textures, seen = texture(held_out), spectra(held_out)
        nearest, second = two_nearest(seen, training).T
        apart = squared_radii(seen, 1).sqrt()
        usual = textures.quantile(RARE / 4).item(), textures.quantile(1 - RARE / 4).item()
        return cls(
            training,
            _levels(textures),
            usual,
            _variance(held_out),
            far=nearest.quantile(1 - RARE / 2).item(),  # and the other half of the artefacts by their texture
            twins=max(SAME, apart.quantile(RARE).item()),  # where more images than the rare ones are there twice, 0
            own=max(SAME, _ratio(nearest, second).quantile(RARE).item()),
        )

    def score(self, images: Tensor) -> dict[str, float]:
        """The scores of samples ``(N, 1, H, W)`` in [0, 1], two or more, by ``NAMES``; NaN if a pixel is not finite."""
        if not images.isfinite().all():
            return dict.fromkeys(NAMES, math.nan)
        textures, seen, tiny = texture(images), spectra(images), torch.finfo(images.dtype).tiny
        nearest, second = two_nearest(seen[:LOOKED_UP], self.training).T
        looked_up = textures[:LOOKED_UP]
        unlike = (looked_up < self.usual[0]) | (looked_up > self.usual[1]) | (nearest > self.far)
        return {
            "sharpness": (_levels(textures).clamp_min(tiny) / self.textures.clamp_min(tiny)).clamp(max=1).mean().item(),
            "rough": _share(textures > self.usual[1]),
            "spread": _variance(images) / self.variance,
            "artefacts": _share(unlike),
            "duplicates": _share(squared_radii(seen, 1).sqrt() < self.twins),
            "copies": _share(_ratio(nearest, second) < self.own),
        }


def _levels(values: Tensor) -> Tensor:
    return values.quantile((torch.arange(LEVELS, dtype=values.dtype, device=values.device) + 0.5) / LEVELS)


def _variance(images: Tensor) -> float:
    return images.var(0).sum().item()


def _ratio(nearest: Tensor, second: Tensor) -> Tensor:
    """0 where the nearest is a copy, also of an image that the training set has twice."""
    return torch.where(nearest > 0, nearest / second, 0)


def _share(which: Tensor) -> float:
    return which.double().mean().item()
