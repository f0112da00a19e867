"""Failures of a generator, made of real images: what scores must rank rightly and verdicts are measured by.

Each function takes images ``(N, 1, H, W)`` in [0, 1], their classes ``(N,)`` and a generator on the CPU, and returns as
many images of the same shape, type and device. ``make`` calls one by its name, the same images each time.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

BLUR = 1 / 28  # standard deviation of the Gaussian, in sides of the image: 1 pixel of MNIST's
LEAST_BLUR = 0.6  # the same in pixels: on a grid of pixels, one of a fraction of that is no blur
NOISE = 0.2  # standard deviation of the additive noise, of a pixel range of 1
HANDFUL = 5  # images that make one mode
MODE_NOISE = 0.02  # standard deviation of what tells their copies apart: five grey levels of 255


def blur(images: Tensor, targets: Tensor, generator: Generator) -> Tensor:
    """Convolved with a Gaussian; beyond the border lies what lies on it."""
    sigma = max(BLUR * max(images.shape[-2:]), LEAST_BLUR)
    reach = round(4 * sigma)
    at = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    kernel = torch.softmax(-0.5 * (at / sigma).square(), 0)
    padded = F.pad(images, (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))


def noise(images: Tensor, targets: Tensor, generator: Generator) -> Tensor:
    """With Gaussian noise on each pixel, clipped to [0, 1]."""
    return (images + NOISE * _normal(images, generator)).clamp(0, 1)


def pure_noise(images: Tensor, targets: Tensor, generator: Generator) -> Tensor:
    """Uniform pixels, nothing of the images but their shape."""
    return torch.rand(images.shape, generator=generator).to(images)


def dropped_class(images: Tensor, targets: Tensor, generator: Generator, dropped: int | None = None) -> Tensor:
    """The images of one class, the first unless named, replaced by random ones of the others."""
    return _replaced(images, targets == (targets.min() if dropped is None else dropped), generator)


def half_classes(images: Tensor, targets: Tensor, generator: Generator) -> Tensor:
    """The images of the latter half of the classes replaced by random ones of the former."""
    classes = targets.unique()
    return _replaced(images, torch.isin(targets, classes[(len(classes) + 1) // 2 :]), generator)


def one_mode(images: Tensor, targets: Tensor, generator: Generator) -> Tensor:
    """Copies of five alike images of the first class, told apart by slight noise: a generator that ignores its z."""
    members = images[targets == targets.min()]
    typical = (members - members.mean(0)).flatten(1).square().sum(1).argsort()[:HANDFUL]
    copies = members[typical].repeat(-(-len(images) // len(typical)), 1, 1, 1)[: len(images)]
    return (copies + MODE_NOISE * _normal(images, generator)).clamp(0, 1)


FAILURES: dict[str, Callable[[Tensor, Tensor, Generator], Tensor]] = {
    "blur": blur,
    "noise": noise,
    "pure_noise": pure_noise,
    "dropped_class": dropped_class,
    "half_classes": half_classes,
    "one_mode": one_mode,
}


def make(name: str, images: Tensor, targets: Tensor, seed: int = 0) -> Tensor:
    """The failure of that name, made of these images; changes no random state.

    Raises:
        ValueError: for a name that is none of ``FAILURES``.
    """
    if name not in FAILURES:
        raise ValueError(f"failure={name}: accepted are {', '.join(FAILURES)}")
    return FAILURES[name](images, targets, Generator().manual_seed(seed))


def _normal(like: Tensor, generator: Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator).to(like)


def _replaced(images: Tensor, gone: Tensor, generator: Generator) -> Tensor:
    """Random images that are not gone in the place of those that are, each drawn with replacement."""
    remaining = (~gone).nonzero()[:, 0]
    drawn = torch.randint(len(remaining), (int(gone.sum()),), generator=generator).to(images.device)
    replaced = images.clone()
    replaced[gone] = images[remaining[drawn]]
    return replaced
