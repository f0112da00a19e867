"""How close generated images are to real ones, from what a scorer network sees in them.

The scorer is a small classifier trained on the data set: of each image it gives features ``(N, D)``, of its last hidden
layer, and class probabilities ``(N, C)``. Read every score beside its floor, the score of training images against
held-out ones, and never beside Inception figures: the features are others.

    fcd               Fréchet distance of Gaussians fitted to the features (Heusel et al. 2017, eq. 6); fewer samples
                      give a larger one, so compare equal numbers
    kid               squared maximum mean discrepancy, cubic kernel; unbiased, so it may fall below 0 (Bińkowski et al.
                      2018, section 3); the mean over random subsets of the images, and kid_std its deviation over them
    inception_score   exp E KL(p(y | x) || p(y)) (Salimans et al. 2016), from 1 to C; blind to the real images
    class_distance    total variation between the histograms of predicted classes, from 0 to 1
    rarest_class      the least share of any class over its share among the real images: near 0 if one is missing
    knn_precision, knn_recall, realism, density, coverage, least_recall: see ``metrics.neighbours``

Draw subsets of a data set at random: MNIST's first test images are easier than its last, which alone makes a floor of
FCD 17 where random ones have 3. All is computed in float64 on the device of the features (Apple's MPS has no float64:
pass CPU tensors there).
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from metrics.neighbours import least_recall, neighbour_scores, squared_radii

KID_SUBSETS, KID_SUBSET_SIZE = 10, 1000
SUBSET_SEED = 0  # of KID's subsets: always the same, so that scoring again gives the same figure
NAMES = ("fcd", "kid", "kid_std", "inception_score", "class_distance", "rarest_class")
NAMES += ("knn_precision", "knn_recall", "realism", "density", "coverage", "least_recall")


@dataclass(frozen=True)
class Reference:
    """The real images that samples are scored against; made once by :meth:`of`, used for many sets of samples.

    Attributes:
        features: ``(N, D)`` float64.
        classes: the most probable class of each, ``(N,)``.
        class_histogram: share of each class among these, ``(C,)``.
        radii2: squared distance of each image to its k-th nearest neighbour among the others, ``(N,)``.
        k: the neighbours of all k-NN scores.
    """

    features: Tensor
    classes: Tensor
    class_histogram: Tensor
    radii2: Tensor
    k: int

    @classmethod
    def of(cls, features: Tensor, probabilities: Tensor, k: int = 5) -> "Reference":
        """From features ``(N, D)`` and class probabilities ``(N, C)`` of real images.

        Raises:
            ValueError: for shapes that do not fit, a non-finite feature, or no more than k images.
        """
        _check(features, probabilities, k)
        if not (features.isfinite().all() and probabilities.isfinite().all()):
            raise ValueError("the features of the real images are not finite")
        features = features.double()
        classes = probabilities.argmax(1)
        return cls(features, classes, class_histogram(probabilities), squared_radii(features, k), k)


def score(reference: Reference, features: Tensor, probabilities: Tensor) -> dict[str, float]:
    """All scores of samples, by the names in ``NAMES``.

    Changes no random state, and gives the same figures each time.

    Args:
        reference: the real images.
        features: of the samples, ``(M, D)``.
        probabilities: of the samples' classes, ``(M, C)``.

    Returns:
        the scores; every one NaN if a feature or a probability is not finite.

    Raises:
        ValueError: for shapes that do not fit, or no more than k samples.
    """
    _check(features, probabilities, reference.k)
    for name, given, real in (
        ("features", features.shape[1], reference.features.shape[1]),
        ("classes", probabilities.shape[1], len(reference.class_histogram)),
    ):
        if given != real:
            raise ValueError(f"{given} {name} a sample, where real images have {real}")
    if not (features.isfinite().all() and probabilities.isfinite().all()):
        return dict.fromkeys(NAMES, math.nan)
    real, features, histogram = reference.features, features.double(), class_histogram(probabilities)
    kid, kid_std = kernel_distance(real, features)
    return {
        "fcd": frechet_distance(real, features),
        "kid": kid,
        "kid_std": kid_std,
        "inception_score": inception_score(probabilities),
        "class_distance": class_distance(reference.class_histogram, histogram),
        "rarest_class": rarest_class(reference.class_histogram, histogram),
        **neighbour_scores(real, reference.radii2, features, reference.k),
        "least_recall": least_recall(real, reference.classes, features, probabilities.argmax(1), reference.k),
    }


class _Computed(nn.Identity):
    """Stands where torchmetrics expects a network from images to features: the features are computed already."""

    def __init__(self, num_features: int):
        super().__init__()
        self.num_features = num_features


@contextmanager
def _repeatable() -> Iterator[None]:
    """torchmetrics draws from the global generator and warns of what does not matter here: both stay inside."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*will save all extracted features in buffer.*")
        warnings.filterwarnings("ignore", ".*degrees of freedom.*")  # a deviation over one split, which nobody reads
        torch.manual_seed(SUBSET_SEED)
        yield


def frechet_distance(real: Tensor, samples: Tensor) -> float:
    """|m - m'|^2 + tr(S + S' - 2 (S S')^1/2) of two sets of features, ``(N, D)`` and ``(M, D)``, in float64.

    Costs an eigendecomposition of D x D. Rounding can take the distance of equal sets below 0; it is then 0.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance  # here: it imports matplotlib

    metric = FrechetInceptionDistance(feature=_Computed(real.shape[1])).to(real.device)
    metric.update(real.double(), real=True)
    metric.update(samples.double(), real=False)
    return max(metric.compute().item(), 0.0)


def kernel_distance(real: Tensor, samples: Tensor) -> tuple[float, float]:
    """The kernel distance of two sets of features: mean and deviation over random subsets of up to 1,000, by
    a fixed seed; of fewer than 2,000 images subsets are halves, so that they differ.

    In float64: the kernel is cubic in the features, and the distance a small difference of its means.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    size = min(KID_SUBSET_SIZE, len(real) // 2, len(samples) // 2)
    with _repeatable():
        metric = KernelInceptionDistance(feature=_Computed(real.shape[1]), subsets=KID_SUBSETS, subset_size=size)
        metric.update(real.double(), real=True)
        metric.update(samples.double(), real=False)
        mean, deviation = metric.compute()
        return mean.item(), deviation.item()


def inception_score(probabilities: Tensor) -> float:
    """exp of the mean KL of each row of ``(N, C)`` from their mean, over all samples at once.

    One split, not the customary ten: its mean over tenths is too low for few samples, and depends on a permutation.
    """
    from torchmetrics.image.inception import InceptionScore

    # torchmetrics takes logits; those of p are log p, and 0 log 0 must not be NaN
    logits = probabilities.double().clamp_min(torch.finfo(torch.float64).tiny).log()
    with _repeatable():
        metric = InceptionScore(feature=_Computed(probabilities.shape[1]), splits=1)
        metric.update(logits)
        return metric.compute()[0].item()


def class_histogram(probabilities: Tensor) -> Tensor:
    """The share of each class among the most probable ones of ``(N, C)``: ``(C,)`` float64."""
    counts = probabilities.argmax(1).bincount(minlength=probabilities.shape[1])
    return counts.double() / len(probabilities)


def class_distance(p: Tensor, q: Tensor) -> float:
    """Total variation distance of two histograms ``(C,)``: the share of one that would have to change its class."""
    return 0.5 * (p - q).abs().sum().item()


def rarest_class(real: Tensor, samples: Tensor) -> float:
    """The least ratio of a class's share ``samples (C,)`` to its share ``real (C,)``, of the classes that are real."""
    return (samples / real)[real > 0].min().item()


def _check(features: Tensor, probabilities: Tensor, k: int) -> None:
    if features.dim() != 2 or probabilities.dim() != 2 or len(features) != len(probabilities):
        shapes = f"{list(features.shape)} and {list(probabilities.shape)}"
        raise ValueError(f"features and probabilities of shapes {shapes}: expects [N, D] and [N, C]")
    if not 1 <= k < len(features):
        raise ValueError(f"k={k}: expects a number of neighbours from 1 to below the {len(features)} images given")
