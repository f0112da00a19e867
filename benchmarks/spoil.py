"""What do the scores make of spoiled images, and the verdict? Held-out images that no limit was made of, spoiled at
strengths on both sides of each limit and mixed with what nobody planned for: one row each, in Markdown.

    python benchmarks/spoil.py [dataset=mnist] [paths.data=DIR] [paths.outputs=DIR] [settings of train.py ...]

The data set's scorer is trained first where there is none. The validation images, 5,000 of MNIST and Fashion-MNIST, are
divided: 2,000 are the reference, as in a fit, of the others as many are spoiled. Copies are of training images. The
test set is not looked at. Some three minutes on one core.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from callbacks.observers.epoch_scores import SUBSET_SEED, Yardstick
from datamodules.images import Split, to_unit_range
from latent_lab.command import read_command
from latent_lab.mistakes import Mistake, fail
from latent_lab.opened import OpenFit
from latent_lab.plan import Planner
from latent_lab.training import find_or_train
from metrics.failures import make, mixed
from metrics.limits import Limits, limits_table
from metrics.verdict import scores_table

SAMPLES = 2000
SWEEP = {
    "noise_images": (0.02, 0.05, 0.1, 0.15, 0.2, 0.5, 1.0),
    "averages": (0.2, 0.4, 0.6, 1.0),
    "noise": (0.02, 0.05, 0.1, 0.2),
    "blur": (0.35, 0.4, 0.5, 0.6, 1.0),
    "typical": (0.9, 0.7, 0.5, 0.3, 0.1),
    "narrow_class": (0.5, 0.3, 0.1, 0.01),
    "repeats": (0.01, 0.02, 0.05, 0.1),
    "dropped_class": (0.2, 0.3, 0.5, 0.7, 1.0),
    "half_classes": (0.05, 0.1, 0.2, 0.3, 0.5, 1.0),
    "one_mode": (0.1, 0.5, 1.0),
}  # of metrics.failures; kept shares of typical and narrow_class fall
SHARES = (0.1, 0.2, 0.5, 1.0)  # of what is mixed in


def odd(images: Tensor, generator: Generator) -> dict[str, Tensor]:
    """What no limit was made of: each image spoiled in one way."""
    board = (torch.arange(images.shape[2])[:, None] + torch.arange(images.shape[3])) % 2
    others = images[torch.randperm(len(images), generator=generator)]
    half, reach = images.shape[3] // 2, images.shape[3] * 3 // 14  # 6 of 28
    erased = images.clone()
    erased[..., half - reach : half + reach, half - reach : half + reach] = 0
    return {
        "black": images * 0,
        "upside down": images.flip(2),
        "inverted": 1 - images,
        "half as bright": images / 2,
        "checkerboard of .2": (images + 0.2 * board).clamp(0, 1),
        "middle erased": erased,
        "thicker": F.max_pool2d(images, 3, 1, 1),
        "left half of another": torch.cat([others[..., :half], images[..., half:]], 3),
    }


def copies(images: Tensor, generator: Generator) -> dict[str, Tensor]:
    """Training images, as they are and hidden."""
    shifted = images.roll((1, -1), (2, 3))

    def noisy(clean: Tensor, deviation: float) -> Tensor:
        return (clean + deviation * torch.randn(clean.shape, generator=generator)).clamp(0, 1)

    return {
        "copies": images,
        "copies, noise .05": noisy(images, 0.05),
        "copies, noise .1": noisy(images, 0.1),
        "copies, shifted by (1, -1)": shifted,
        "copies, shifted, noise .05": noisy(shifted, 0.05),
        "copies, shifted, noise .1": noisy(shifted, 0.1),
    }


def few(split: Split, count: int, size: int) -> Tensor:
    """That many images of each class, again and again, as many as ``size`` says."""
    at = torch.cat([(split.targets == c).nonzero()[:, 0][:count] for c in split.targets.unique()])
    return split.images[at[torch.arange(size) % len(at)]]


def spoiled(held_out: Split, train: Split) -> Iterator[tuple[str, Tensor]]:
    """Every set of images with its name. Held-out images, as many training images, both in [0, 1]."""
    images, targets = held_out
    generator = Generator().manual_seed(1)
    yield "held-out images", images
    for name, strengths in SWEEP.items():
        for strength in strengths:
            yield f"{name} {strength:g}", make(name, images, targets, strength, seed=1)
    mixed_in = odd(images, generator) | copies(train.images[: len(images)], generator)
    for name, by in mixed_in.items():
        for share in SHARES if name != "copies" else (0.02, 0.05, *SHARES):
            yield f"{name} {share:g}", mixed(images, share, by, generator)
    for count in (1, 20, 50):
        yield f"{count} training images a class", few(train, count, len(images))
    for count in (1, 30):
        kept = count / (targets == targets.min()).sum().item()
        yield f"the {count} most typical of the first class", make("narrow_class", images, targets, kept)
    weights = 0.5 ** (targets / targets.max())
    yield "weights from 1 to .5", images[torch.multinomial(weights, len(images), True, generator=generator)]
    yield "one image", images[:1].expand_as(images)
    yield "the mean of all images", images.mean(0, keepdim=True).expand_as(images)


def sweep(words: list[str]) -> Iterator[str]:
    """The table of limits, then that of spoiled images, in Markdown."""
    unit = Planner().add(read_command("train", ["model=scorer", "logger=none", *words]).jobs[0], None)
    find_or_train(unit.fit, unit.datamodule)
    scorer, data = OpenFit(unit.fit.folder, unit.datamodule).model, unit.datamodule
    count = min(SAMPLES, len(data.val.images) // 2)
    yardstick = Yardstick(scorer, data.val, data.train, count, torch.device("cpu"))
    limits = Limits.of(yardstick.measures())
    yield limits_table(limits) + "\n"
    held_out, train = (Split(to_unit_range(s.images), s.targets) for s in (others(data.val, count), data.train))
    train = Split(*(part[torch.randperm(len(part), generator=Generator().manual_seed(2))] for part in train))
    yield scores_table({name: yardstick.score(images) for name, images in spoiled(held_out, train)}, limits)


def others(split: Split, count: int) -> Split:
    """As many images as the reference has, and none of it."""
    order = torch.randperm(len(split.images), generator=Generator().manual_seed(SUBSET_SEED))[count : 2 * count]
    return Split(split.images[order], split.targets[order])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for table in sweep(parser.parse_known_args()[1]):
        print(table, flush=True)


if __name__ == "__main__":
    try:
        main()
    except Mistake as mistake:
        fail(mistake, "spoil.py")
