"""What the scores of a generator's epochs say: a label for each, and a sentence.

The rules, the first that holds:

    diverged         a score, or a loss given among the scores, is not finite
    noise            hardly any sample looks like data: the realistic ones are fewer than 3 per cent of the floor's
    collapsed        the classes are as unbalanced as in the data without half of them; or samples look like data, with
                     half of the floor's realism or more, but coverage and recall are both less than half of what
                     those have
    good             three quarters of the FCD of slightly blurred and of noisy data or less, half of the floor's
                     realism or more, and the rarest class nearer to its share than to missing
    still learning   anything else

No limit is a figure of its own right; each is measured with the scorer, the data set and the number of samples in use.
The floor is the score of training images against held-out ones; blurred or noisy data, and the data without one class
or half of them, are synthetic failures made of the same training images (``metrics.failures``). "Realism" is that of
``metrics.neighbours`` and not k-NN precision, which a few outliers among the real images can spoil. Coverage and
recall alone do not tell a collapse: the coarse but diverse images of a generator's first epochs have little of both.
A generator that always makes the same image of nothing is called noise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

NOT_IN_A_FIT = "rules, applied when a job looks at what a fit kept"

DIVERGED, NOISE, COLLAPSED, GOOD, LEARNING = LABELS = ("diverged", "noise", "collapsed", "good", "still learning")
FAILED = (DIVERGED, NOISE, COLLAPSED)
NOISE_SHARE = 0.03  # of the floor's realism: additive noise of .2 on Fashion-MNIST has 1.4 to 2.6 per cent
ROUGH_SHARE = 0.75  # of the FCD of blurred and of noisy images, which must not be good themselves
GOOD_SHARE = 0.5  # of the floor's realism
COLLAPSE_SHARE = 0.5  # of coverage and recall with half of the classes
COLUMNS = ("fcd", "kid", "class_distance", "rarest_class")
COLUMNS += ("knn_precision", "knn_recall", "realism", "density", "coverage")


@dataclass(frozen=True)
class Limits:
    """Where one label ends and the next begins, and the floor.

    Attributes:
        realism: below it, noise.
        coverage: below it and ``recall``, collapsed if realistic.
        recall: the other of the two.
        class_distance: from it on, collapsed.
        fcd: good up to it only.
        realistic: the realism from which on samples look like data: they may be good, or collapsed.
        rarest_class: good above it only.
        floor: the scores of real images.
    """

    realism: float
    coverage: float
    recall: float
    class_distance: float
    fcd: float
    realistic: float
    rarest_class: float
    floor: dict[str, float]

    @classmethod
    def from_scores(cls, floor: dict[str, float], failures: dict[str, dict[str, float]]) -> "Limits":
        """From the scores of real images, and of the failures ``blur``, ``noise``, ``dropped_class``, ``half_classes``.

        Raises:
            ValueError: if one is missing or not finite, or if the scores do not tell them apart.
        """
        missing = [name for name in ("blur", "noise", "dropped_class", "half_classes") if name not in failures]
        if missing:
            raise ValueError(f"limits need the scores of the failures: {', '.join(missing)} missing")
        one, half = failures["dropped_class"], failures["half_classes"]
        rough = min(failures["blur"], failures["noise"], key=lambda scores: scores["fcd"])
        if not all(math.isfinite(value) for scores in (floor, rough, one, half) for value in scores.values()):
            raise ValueError("limits need finite scores of real images: the scorer gives others")
        if not floor["fcd"] < rough["fcd"]:
            raise ValueError(
                f"fcd {floor['fcd']:.3g} of real images, {rough['fcd']:.3g} of blurred or noisy ones: the scorer is "
                f"too weak, or the images too few, for a verdict"
            )
        for name in ("fcd", "class_distance"):
            if not floor[name] < one[name] < half[name]:
                raise ValueError(
                    f"{name} {floor[name]:.3g} with all classes, {one[name]:.3g} without one, {half[name]:.3g} without "
                    f"half of them does not rise: the scorer is too weak, or the images too few, for a verdict"
                )
        return cls(
            realism=NOISE_SHARE * floor["realism"],
            coverage=COLLAPSE_SHARE * half["coverage"],
            recall=COLLAPSE_SHARE * half["knn_recall"],
            class_distance=half["class_distance"],
            fcd=max(floor["fcd"], ROUGH_SHARE * rough["fcd"]),  # few images have a high floor
            realistic=GOOD_SHARE * floor["realism"],
            rarest_class=(floor["rarest_class"] + one["rarest_class"]) / 2,
            floor=floor,
        )


@dataclass(frozen=True)
class Verdict:
    """What became of a generator.

    Attributes:
        labels: of each scored epoch.
        best: the epoch of least FCD among the good ones; if none is good, among those that did not diverge; ``None`` if
            all did.
        good_from: the first epoch from which on every scored one is good, or ``None``.
        sentence: the same in words.
    """

    labels: list[str]
    best: int | None
    good_from: int | None
    sentence: str


def label(scores: dict[str, float], limits: Limits) -> str:
    """The label of one epoch. Losses may stand among the scores, by any other name, and must be finite too."""
    if not all(math.isfinite(value) for value in scores.values()):
        return DIVERGED
    if scores["realism"] < limits.realism:
        return NOISE
    realistic = scores["realism"] >= limits.realistic
    few = scores["coverage"] < limits.coverage and scores["knn_recall"] < limits.recall
    if (few and realistic) or scores["class_distance"] >= limits.class_distance:
        return COLLAPSED
    close = scores["fcd"] <= limits.fcd and realistic
    return GOOD if close and scores["rarest_class"] > limits.rarest_class else LEARNING


def verdict(epochs: Sequence[int], scores: Sequence[dict[str, float]], limits: Limits) -> Verdict:
    """The verdict on epochs, in rising order, by the scores of each.

    Raises:
        ValueError: for no epochs, epochs that do not rise, or another number of scores.
    """
    epochs = list(epochs)
    if not epochs or len(epochs) != len(scores) or epochs != sorted(set(epochs)):
        raise ValueError(f"epochs {epochs} with {len(scores)} scores: expects rising epochs, and the scores of each")
    labels = [label(s, limits) for s in scores]
    bad = [i for i, name in enumerate(labels) if name != GOOD]
    first = bad[-1] + 1 if bad else 0
    good_from = epochs[first] if first < len(epochs) else None
    rank = {GOOD: 0, DIVERGED: 2}
    order = sorted(range(len(epochs)), key=lambda i: (rank.get(labels[i], 1), scores[i]["fcd"]))
    at = order[0] if labels[order[0]] != DIVERGED else None
    parts = [*_failures(epochs, labels), _goodness(epochs, labels, first)]
    if at is None:
        parts.append("no epoch has finite scores")
    else:
        figures = f"(FCD {scores[at]['fcd']:.3g}, floor {limits.floor['fcd']:.3g})"
        parts.append(f"{'best' if labels[at] == GOOD else 'least bad'} at epoch {epochs[at]} {figures}")
    return Verdict(labels, None if at is None else epochs[at], good_from, "; ".join(parts))


def table(epochs: Sequence[int], scores: Sequence[dict[str, float]], limits: Limits) -> str:
    """A GitHub-markdown table: the floor, then a row for each epoch with its label and scores."""
    rows = [(str(epoch), label(s, limits), s) for epoch, s in zip(epochs, scores, strict=True)]
    return _markdown("epoch", [("floor", "real images", limits.floor), *rows])


def failures_table(failures: dict[str, dict[str, float]], limits: Limits) -> str:
    """The same of synthetic failures, by their names."""
    rows = [(name, label(s, limits), s) for name, s in failures.items()]
    return _markdown("images", [("floor", "real images", limits.floor), *rows])


def _markdown(first: str, rows: list[tuple[str, str, dict[str, float]]]) -> str:
    lines = [[first, "label", *COLUMNS], [":--"] * 2 + ["--:"] * len(COLUMNS)]
    for name, called, s in rows:
        lines.append([name, called, *(f"{s[c]:.1f}" if c in ("fcd", "kid") else f"{s[c]:.3f}" for c in COLUMNS)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _failures(epochs: list[int], labels: list[str]) -> list[str]:
    """Where it failed: "failed at epochs 1-3 (noise) and 17 (collapsed)", "diverged from epoch 20 on"."""
    end = len(labels)
    while end and labels[end - 1] == DIVERGED:
        end -= 1
    groups = []
    for name in sorted(set(labels[:end]) & set(FAILED), key=labels.index):
        at = [i for i in range(end) if labels[i] == name]
        groups.append(f"{_ranges(epochs, at)} ({name})")
    plural = "s" if sum(name in FAILED for name in labels[:end]) > 1 else ""
    parts = [f"failed at epoch{plural} {' and '.join(groups)}"] if groups else []
    if end < len(labels):
        parts.append(f"diverged {'at' if len(labels) == 1 else 'from'} epoch {epochs[end]}{' on' * (len(labels) > 1)}")
    return parts or ["never failed"]


def _goodness(epochs: list[int], labels: list[str], first: int) -> str:
    """Since when it is good: "good from epoch 9 on", and when else."""
    before = [i for i in range(first) if labels[i] == GOOD]
    if not before and first == len(labels):
        return "never good" + ("; still learning at the end" if labels[-1] == LEARNING else "")
    earlier = f"epoch{'s' * (len(before) > 1)} {_ranges(epochs, before)}"
    if first == len(labels):
        return f"good only at {earlier}"
    if first == len(labels) - 1:
        since = f"good at epoch {epochs[first]}, the {'last one' if len(labels) > 1 else 'only one'} scored"
    else:
        since = f"good from epoch {epochs[first]} on"
    return since + (f", and at {earlier}" if before else "")


def _ranges(epochs: list[int], at: list[int]) -> str:
    """The epochs at these positions, neighbours among the scored ones joined: "1-3, 7"."""
    parts = []
    for i in at:
        start = parts.pop()[0] if parts and parts[-1][1] == i - 1 else i
        parts.append((start, i))
    return ", ".join(f"{epochs[a]}-{epochs[b]}" if b > a else f"{epochs[a]}" for a, b in parts)
