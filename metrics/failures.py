"""Failures of a generator, made of real images at a strength: what scores must rank and limits are measured by.

Each function takes images ``(N, 1, H, W)`` in [0, 1], their classes ``(N,)``, a strength and a generator on the CPU,
and returns as many images of the same shape, type and device. ``make`` calls one by its name, the same each time.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

SIDE = 28  # pixels: what a blur's strength is counted in
LEAST_PIXEL = 0.9  # of a blur on smaller images: a Gaussian of a fraction of a pixel is no blur
HANDFUL = 5  # images that make one mode
MODE_NOISE = 0.02  # standard deviation of what tells their copies apart: five grey levels of 255


def noise_images(images: Tensor, targets: Tensor, share: float, generator: Generator) -> Tensor:
    """A share of the images is uniform noise."""
    return mixed(images, share, torch.rand(images.shape, generator=generator).to(images), generator)


def averages(images: Tensor, targets: Tensor, share: float, generator: Generator) -> Tensor:
    """A share of the images is the average of itself and another: a generator that has not parted two things."""
    others = images[torch.randperm(len(images), generator=generator).to(images.device)]
    return mixed(images, share, (images + others) / 2, generator)


def noise(images: Tensor, targets: Tensor, deviation: float, generator: Generator) -> Tensor:
    """With Gaussian noise of that standard deviation on each pixel, clipped to [0, 1]."""
    return (images + deviation * _normal(images, generator)).clamp(0, 1)


def blur(images: Tensor, targets: Tensor, deviation: float, generator: Generator) -> Tensor:
    """Convolved with a Gaussian, its deviation in pixels of 28 a side; beyond the border lies what lies on it."""
    sigma = deviation * max(max(images.shape[-2:]) / SIDE, LEAST_PIXEL)
    reach = max(1, round(4 * sigma))
    at = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    kernel = torch.softmax(-0.5 * (at / sigma).square(), 0)
    padded = F.pad(images, (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))


def typical(images: Tensor, targets: Tensor, kept: float, generator: Generator) -> Tensor:
    """Of each class the images nearest to its mean, that share of them, in the place of all: with repeats."""
    made = images
    for c in targets.unique():
        made = _narrowed(made, targets == c, kept, generator)
    return made


def narrow_class(images: Tensor, targets: Tensor, kept: float, generator: Generator) -> Tensor:
    """The same of the first class alone."""
    return _narrowed(images, targets == targets.min(), kept, generator)


def repeats(images: Tensor, targets: Tensor, share: float, generator: Generator) -> Tensor:
    """A share of the images is replaced by copies of the others, each of which has as many copies as another."""
    order = torch.randperm(len(images), generator=generator).to(images.device)
    gone, left = order.tensor_split([round(share * len(images))])
    made = images.clone()
    made[gone] = images[left[torch.arange(len(gone), device=images.device) % len(left)]]
    return made


def dropped_class(images: Tensor, targets: Tensor, share: float, generator: Generator) -> Tensor:
    """A share of the first class's images replaced by random ones of the others; of strength 1 it is missing."""
    return _replaced(images, targets == targets.min(), share, generator)


def half_classes(images: Tensor, targets: Tensor, share: float, generator: Generator) -> Tensor:
    """A share of the images of the latter half of the classes replaced by random ones of the former."""
    classes = targets.unique()
    return _replaced(images, torch.isin(targets, classes[(len(classes) + 1) // 2 :]), share, generator)


def one_mode(images: Tensor, targets: Tensor, share: float, generator: Generator) -> Tensor:
    """A share of the images is copies of five alike ones of the first class, told apart by slight noise: of strength 1
    a generator that ignores its noise."""
    members = images[targets == targets.min()]
    copies = members[_by_typicality(members)[:HANDFUL]].repeat(-(-len(images) // HANDFUL), 1, 1, 1)[: len(images)]
    return mixed(images, share, (copies + MODE_NOISE * _normal(images, generator)).clamp(0, 1), generator)


FAILURES: dict[str, Callable[[Tensor, Tensor, float, Generator], Tensor]] = {
    failure.__name__: failure
    for failure in (
        noise_images,
        averages,
        noise,
        blur,
        typical,
        narrow_class,
        repeats,
        dropped_class,
        half_classes,
        one_mode,
    )
}
# Of each failure those that are scored at the beginning of a fit: between them lie the limits.
STRENGTHS: dict[str, tuple[float, ...]] = {
    "noise_images": (0.05, 0.1, 0.2, 1.0),
    "averages": (0.4, 0.6, 1.0),
    "noise": (0.2,),
    "blur": (0.5, 1.0),
    "typical": (0.5, 0.3),
    "narrow_class": (0.3, 0.1),
    "repeats": (0.05, 0.1),
    "dropped_class": (0.4, 1.0),
    "half_classes": (0.2, 1.0),
    "one_mode": (1.0,),
}


def make(name: str, images: Tensor, targets: Tensor, strength: float, seed: int = 0) -> Tensor:
    """The failure of that name and strength, made of these images; changes no random state.

    Raises:
        ValueError: for a name that is none of ``FAILURES``.
    """
    if name not in FAILURES:
        raise ValueError(f"failure={name}: accepted are {', '.join(FAILURES)}")
    return FAILURES[name](images, targets, strength, Generator().manual_seed(seed))


def mixed(images: Tensor, share: float, by: Tensor, generator: Generator) -> Tensor:
    """A random share of the images replaced by those at their places."""
    at = torch.randperm(len(images), generator=generator)[: round(share * len(images))].to(images.device)
    made = images.clone()
    made[at] = by[at]
    return made


def _normal(like: Tensor, generator: Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator).to(like)


def _by_typicality(members: Tensor) -> Tensor:
    return (members - members.mean(0)).flatten(1).square().sum(1).argsort()


def _narrowed(images: Tensor, members: Tensor, kept: float, generator: Generator) -> Tensor:
    """These members' places taken by the most typical share of them, at least one, each as often as another."""
    at = members.nonzero()[:, 0]
    left = at[_by_typicality(images[at])[: max(1, round(kept * len(at)))]]
    made = images.clone()
    made[at] = images[left[torch.arange(len(at), device=images.device) % len(left)]]
    return made


def _replaced(images: Tensor, group: Tensor, share: float, generator: Generator) -> Tensor:
    """A random share of a group's images replaced by ones of the others, each drawn with replacement."""
    within, others = group.nonzero()[:, 0], (~group).nonzero()[:, 0]
    gone = within[torch.randperm(len(within), generator=generator).to(images.device)[: round(share * len(within))]]
    drawn = torch.randint(len(others), (len(gone),), generator=generator).to(images.device)
    made = images.clone()
    made[gone] = images[others[drawn]]
    return made
