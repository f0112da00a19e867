"""Scores of generated images that count neighbours in a space of features: who lies among whom.

Each image has a ball that reaches to its k-th nearest neighbour among the images of its own set, and is closed.

    knn_precision   share of samples inside the ball of some real image (Kynkäänniemi et al. 2019, eq. 2)
    knn_recall      share of real images inside the ball of some sample
    realism         share of samples inside the ball of some real image whose ball is no larger than the median one: a
                    realism score of 1 or more (ibid., eq. 3). Outliers have balls so large that even uniform noise may
                    lie in one and count for the precision: .96 of it did with a scorer for Fashion-MNIST
    density         how many real balls a sample lies in, over k; may exceed 1 (Naeem et al. 2020, eq. 4)
    coverage        share of real balls with a sample inside (ibid., eq. 5); of like sets about 1 - 2^-k
    least_recall    the least knn_recall of any class, its real images and its samples taken alone: a class that has
                    become one image has none, while balls of other classes' samples would hide it

They assume as many samples as real images. Distances are |a|^2 + |b|^2 - 2 ab in float64. In float32 this formula loses
those of near-identical points, which are just what a collapsed generator makes (with |x| = 30, a distance of .01 keeps
no digit); without the matrix product, from differences, they cost several times what float64 does.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

ROWS = 500  # of a distance matrix held at a time: 40 MB against 10,000 columns


def squared_distances(a: Tensor, b: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Squared distances of the rows of ``a (N, D)`` to all of ``b (M, D)``, both float64.

    Yields:
        a slice of rows of ``a``, and their distances ``(rows, M)``.
    """
    b_norms = b.square().sum(1)
    for start in range(0, len(a), ROWS):
        rows = a[start : start + ROWS]
        squared = torch.addmm(b_norms, rows, b.T, alpha=-2).add_(rows.square().sum(1, keepdim=True))
        yield slice(start, start + len(rows)), squared.clamp_min_(0)


def squared_radii(features: Tensor, k: int) -> Tensor:
    """Squared distance of each point of ``(N, D)`` to its k-th nearest neighbour among the others: ``(N,)`` float64."""
    features = features.double()
    # the nearest of all is the point itself: one neighbour more
    rows = [d.topk(k + 1, dim=1, largest=False).values[:, k] for _, d in squared_distances(features, features)]
    return torch.cat(rows)


def neighbour_scores(real: Tensor, real_radii2: Tensor, samples: Tensor, k: int) -> dict[str, float]:
    """The five scores, from two distance matrices with one pass over each.

    Args:
        real: features of the real images, ``(N, D)``.
        real_radii2: their :func:`squared_radii`, ``(N,)``.
        samples: features of the samples, ``(M, D)``.
        k: the neighbour that a ball reaches to.
    """
    real, samples = real.double(), samples.double()
    radii2 = squared_radii(samples, k)
    typical = real_radii2 <= real_radii2.median()
    balls = torch.zeros(len(samples), dtype=torch.long, device=samples.device)
    realistic = torch.zeros(len(samples), dtype=torch.bool, device=samples.device)
    recalled = covered = 0
    for rows, squared in squared_distances(real, samples):
        inside = squared <= real_radii2[rows, None]
        balls += inside.sum(0)
        realistic |= inside[typical[rows]].any(0)
        covered += inside.any(1).sum().item()
        recalled += (squared <= radii2).any(1).sum().item()
    return {
        "knn_precision": (balls > 0).double().mean().item(),
        "knn_recall": recalled / len(real),
        "realism": realistic.double().mean().item(),
        "density": balls.double().mean().item() / k,
        "coverage": covered / len(real),
    }


def least_recall(real: Tensor, real_classes: Tensor, samples: Tensor, sample_classes: Tensor, k: int) -> float:
    """The least recall of any class of the real images, which are ``(N, D)``, their classes ``(N,)``; samples likewise.

    A class of no more than k samples has none: its balls have no k-th neighbour.
    """
    recalls = []
    for c in real_classes.unique():
        ours, theirs = real[real_classes == c].double(), samples[sample_classes == c].double()
        if len(theirs) <= k:
            return 0.0
        radii2 = squared_radii(theirs, k)
        inside = [(squared <= radii2).any(1) for _, squared in squared_distances(ours, theirs)]
        recalls.append(torch.cat(inside).double().mean().item())
    return min(recalls)
