"""Where good ends: the aspects of a generator, each with one score, and one limit measured on real images.

A limit is the score that real images have when they are spoiled in that one way at a stated strength
(``metrics.failures``), with the scorer, the data set and the number of samples in use: samples have artefacts if they
have more than real images of which a tenth is uniform noise. Four limits need no spoiled images: those of copies and
duplicates follow from what real images have, those of a rare class and of unbalanced ones from the classes' shares.
"""

import math
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from metrics.pixels import RARE as HELD_OUT_COPIES

NOT_IN_A_FIT = "rules, applied when a job looks at what a fit kept"


class Aspect(NamedTuple):
    """One thing that may be wrong.

    Attributes:
        words: that say so.
        score: by which it is told.
        failure: that it is like, of ``metrics.failures``, or one of the four below.
        strength: of the failure whose score is the limit.
        most: whether the limit is the most that is allowed, or the least.
    """

    words: str
    score: str
    failure: str
    strength: float
    most: bool


COPIED = "copied"  # a share of held-out images replaced by training images: follows from what both have
REPEATED = "repeated"  # a share of the images replaced by copies of others: each of these has a twin then
RARE = "rare_class"  # a share of one class's images is missing: the median over the classes, from their shares
SKEWED = "skewed_classes"  # weights that fall from 1 to this from class to class: the median over where they begin
FAR = "far from the data by FCD"
ASPECTS = (
    Aspect(FAR, "fcd", "noise_images", 0.1, True),
    Aspect("artefacts", "artefacts", "noise_images", 0.1, True),
    Aspect("unrealistic", "realism", "averages", 0.6, False),
    Aspect("blurred", "sharpness", "blur", 0.5, False),
    Aspect("little variety within classes", "knn_recall", "typical", 0.5, False),
    Aspect("a class without variety", "least_recall", "typical", 0.5, False),
    Aspect("duplicates", "duplicates", REPEATED, 0.025, True),
    Aspect("unbalanced classes", "class_distance", SKEWED, 0.55, True),
    Aspect("a rare class", "rarest_class", RARE, 0.4, False),
    Aspect("copies of training images", "copies", COPIED, 0.05, True),
)


HALF = 0.5  # of the samples are copies: memorised
NEARLY = 0.9  # of the class distance without half of the classes: a collapse; from draw to draw it varies by .02
FLOORS = 2  # times the floor an FCD may always be: of few images it varies by that much from draw to draw


@dataclass(frozen=True)
class Limits:
    """Where good ends, and where a generator is broken.

    Attributes:
        good: limit of each aspect, by its words.
        half_classes: nearly the class distance of data without half of the classes.
        memorised: the copies of images half of which are training images.
        coverage: of data as little varied as may be good.
        floor: the scores of real images: of training images, but for their copies, which are those of held-out ones.
    """

    good: dict[str, float]
    half_classes: float
    memorised: float
    coverage: float
    floor: dict[str, float]

    @classmethod
    def of(cls, measures: dict) -> "Limits":
        """From ``floor``, ``failures`` and ``shares`` that ``EpochScores`` measures at the beginning of a fit.

        A limit is not stricter than the floor: of few images real ones may score worse than many spoiled ones.

        Raises:
            ValueError: if one is not finite, or if the scores do not tell the failures apart.
        """
        floor, failures = measures["floor"], measures["failures"]
        of_all = [floor, *(scores for strengths in failures.values() for scores in strengths.values())]
        if not all(math.isfinite(value) for scores in of_all for value in scores.values()):
            raise ValueError("limits need finite scores of real images: the scorer gives others")
        without_one, without_half = failures["dropped_class"][1.0], failures["half_classes"][1.0]
        for name in ("fcd", "class_distance"):
            if not floor[name] < without_one[name] < without_half[name]:
                raise ValueError(
                    f"{name} {figure(floor[name])} with all classes, {figure(without_one[name])} without one, "
                    f"{figure(without_half[name])} without half of them does not rise: the scorer is too weak, or the "
                    f"images too few, for a verdict"
                )
        real = floor | {"fcd": FLOORS * floor["fcd"], "copies": HELD_OUT_COPIES}
        good = {}
        for a in ASPECTS:
            if a.failure == COPIED:
                limit = _copied(a.strength)
            elif a.failure == REPEATED:
                limit = 2 * a.strength + (1 - 2 * a.strength) * floor["duplicates"]
            elif a.failure == RARE:
                limit = _rare(measures["shares"], a.strength)
            elif a.failure == SKEWED:
                limit = _skewed(measures["shares"], a.strength)
            else:
                limit = failures[a.failure][a.strength][a.score]
            good[a.words] = (max if a.most else min)(limit, real[a.score])
        return cls(
            good=good,
            half_classes=NEARLY * without_half["class_distance"],
            memorised=_copied(HALF),
            coverage=failures["typical"][0.5]["coverage"],
            floor=floor | {"copies": HELD_OUT_COPIES},
        )


def _copied(share: float) -> float:
    """The copies of held-out images of which that share is replaced by training images."""
    return share + (1 - share) * HELD_OUT_COPIES


def _rare(shares: dict[str, list[float]], missing: float) -> float:
    """The rarest class of training images where that share of one class is missing: the median over the classes."""
    real, training = shares["held_out"], shares["training"]
    rarest = []
    for c in range(len(real)):
        left = [share * (1 - missing * (i == c)) for i, share in enumerate(training)]
        rarest.append(min(share / sum(left) / r for share, r in zip(left, real, strict=True) if r > 0))
    return median(rarest)


def _skewed(shares: dict[str, list[float]], lightest: float) -> float:
    """The class distance of training images whose classes are weighted from 1 to that, geometrically: the median over
    the class that is weighted most."""
    real, training = shares["held_out"], shares["training"]
    classes, distances = len(real), []
    for first in range(classes):
        left = [training[c] * lightest ** ((c - first) % classes / (classes - 1)) for c in range(classes)]
        distances.append(sum(abs(share / sum(left) - r) for share, r in zip(left, real, strict=True)) / 2)
    return median(distances)


def limits_table(limits: Limits, samples: int | None = None) -> str:
    """A GitHub-markdown table of the limits, and the failures whose scores they are, of so many ``samples``."""
    lines = [["what is wrong", "score", "good", "as of real images with", "floor"], [":--", ":--", "--:", ":--", "--:"]]
    for a in ASPECTS:
        bound = f"{'at most' if a.most else 'at least'} {score_figure(a.score, limits.good[a.words])}"
        lines.append(
            [
                a.words,
                name_of(a.score, samples),
                bound,
                f"{a.failure} {a.strength:g}",
                score_figure(a.score, limits.floor[a.score]),
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def name_of(score: str, samples: int | None) -> str:
    """A score's name in a table; of one that fewer samples make larger, with their number: ``fcd (n = 2,000)``."""
    return f"{score} (n = {samples:,})" if score == "fcd" and samples else score


def figure(value: float) -> str:
    """Three digits, more where the whole part has more: 1245.8, 57.1, 0.36."""
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"


def score_figure(score: str, value: float) -> str:
    """A score in a table."""
    return f"{value:.1f}" if score in ("fcd", "kid", "kid_std") else f"{value:.3f}"
