"""What the scores of a generator's epochs say: a label for each, what is wrong with it, and a sentence.

An epoch is good if no aspect of ``ASPECTS`` fails. Each has one score and one limit: the score that real images have
when they are spoiled in that one way at a stated strength (``metrics.failures``), measured with the scorer, the data
set and the number of samples in use. So "artefacts" means: more than if a tenth of the images were uniform noise.

What is not good is broken, by the first rule that holds, if it is

    diverged                  a score, or a loss given among the scores, is not finite
    collapsed                 all samples are nearly alike; or they look like data, but the classes are nearly as
                              unbalanced as in the data without half of them
    memorised                 half of the samples or more are copies of training images
    collapsed within classes  half of the samples have a twin, or nine in ten where they do not look like data, and
                              there is little variety; or they look like data and are sharp, but coverage and recall
                              are less than half of what variety asks for
    noise                     hardly any sample looks like data, and a quarter or more are rougher than data

Ugly samples are not good, and no more than that: early epochs' coarse images, or images that stand on their heads,
have little recall too, and the scorer sees odd classes in them.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from metrics.limits import ASPECTS, FAR, HALF, Limits, figure, name_of, score_figure

NOT_IN_A_FIT = "rules, applied when a job looks at what a fit kept"

DIVERGED, COLLAPSED, MEMORISED, WITHIN, NOISE = BROKEN = (
    "diverged",
    "collapsed",
    "memorised",
    "collapsed within classes",
    "noise",
)
GOOD, NOT_GOOD = "good", "not good"
MOST_WORDS = 2  # for what is not good, in a line
MOST_LISTED = 3  # epochs, of those that are scored every so many
COLUMNS = ("fcd", "kid", "realism", "knn_precision", "sharpness", "artefacts", "knn_recall", "least_recall", "coverage")
COLUMNS += ("duplicates", "class_distance", "rarest_class", "copies")
FEW = 0.5  # of the least recall and of its coverage that are varied enough: less is a collapse
ALIKE = 0.2  # of the floor's spread: less is a collapse
LOOKS_LIKE_DATA = 0.5  # of the floor's realism
NEARLY_ALL = 0.9  # of samples that do not look like data have a twin: paler images are nearer to each other too
MOST_ROUGH = 0.25  # of the samples: more is noise, if hardly any looks like data; of real images 1 in 400 is
HARDLY = 0.03  # of the floor's realism: additive noise of .2 on Fashion-MNIST has 1.4 to 2.6 per cent


@dataclass(frozen=True)
class Verdict:
    """What became of a generator.

    Attributes:
        labels: of each scored epoch.
        reasons: of each, the words of what is not good; none of one that is good.
        best: the epoch of least FCD, which is the one that ``best.ckpt`` is of, good or not; ``None`` if all diverged.
        good_from: the first epoch from which on every scored one is good, or ``None``.
        sentence: the same in words.
        summary: in a line, of the last epoch first.
    """

    labels: list[str]
    reasons: list[list[str]]
    best: int | None
    good_from: int | None
    sentence: str
    summary: str


def reasons(scores: dict[str, float], limits: Limits) -> list[str]:
    """The words of the aspects that fail; of scores that are not finite, what of it is lost."""
    if lost := _lost(scores, limits):
        return [f"{lost} not finite"]
    return [
        a.words
        for a in ASPECTS
        if (scores[a.score] > limits.good[a.words] if a.most else scores[a.score] < limits.good[a.words])
    ]


def label(scores: dict[str, float], limits: Limits) -> str:
    """The label of one epoch. Losses may stand among the scores, by any other name, and must be finite too."""
    if _lost(scores, limits):
        return DIVERGED
    floor, wrong = limits.floor, reasons(scores, limits)
    like_data = scores["realism"] >= LOOKS_LIKE_DATA * floor["realism"]
    if scores["spread"] < ALIKE * floor["spread"] or (like_data and scores["class_distance"] >= limits.half_classes):
        return COLLAPSED
    if scores["copies"] >= limits.memorised:
        return MEMORISED
    varied = limits.good["little variety within classes"]
    twins = scores["duplicates"] >= (HALF if like_data else NEARLY_ALL) and scores["knn_recall"] < varied
    few = scores["knn_recall"] < FEW * varied and scores["coverage"] < FEW * limits.coverage
    if twins or (few and like_data and "blurred" not in wrong):
        return WITHIN
    if scores["realism"] < HARDLY * floor["realism"] and scores["rough"] >= MOST_ROUGH:
        return NOISE
    return NOT_GOOD if wrong else GOOD


def verdict(
    epochs: Sequence[int], scores: Sequence[dict[str, float]], limits: Limits, samples: int | None = None
) -> Verdict:
    """The verdict on epochs, in rising order, by the scores of each, which are of so many ``samples``.

    Raises:
        ValueError: for no epochs, epochs that do not rise, or another number of scores.
    """
    epochs = list(epochs)
    if not epochs or len(epochs) != len(scores) or epochs != sorted(set(epochs)):
        raise ValueError(f"epochs {epochs} with {len(scores)} scores: expects rising epochs, and the scores of each")
    labels, wrong = [label(s, limits) for s in scores], [reasons(s, limits) for s in scores]
    bad = [i for i, name in enumerate(labels) if name != GOOD]
    first = bad[-1] + 1 if bad else 0
    good_from = epochs[first] if first < len(epochs) else None
    finite = [i for i, name in enumerate(labels) if name != DIVERGED]
    least = min(finite, key=lambda i: scores[i]["fcd"], default=None)
    good = _goodness(epochs, labels, first)
    parts = [*_broken(epochs, labels, wrong), *_shortcomings(epochs, labels, wrong), good]
    parts.append(
        _bestness(epochs, labels, wrong, scores, least, limits, f"FCD of {samples:,} images" if samples else "FCD")
    )
    best = None if least is None else epochs[least]
    if epochs[-1] - epochs[0] >= len(epochs):  # "from epoch 5 on" is of these
        parts.append(f"scored at epochs {_ranges(epochs, list(range(len(epochs))))}")
    return Verdict(labels, wrong, best, good_from, "; ".join(parts), _in_short(labels, wrong, epochs, good, best))


def _in_short(labels: list[str], wrong: list[list[str]], epochs: list[int], good: str, best: int | None) -> str:
    """``good: from epoch 9 on; least FCD at epoch 12``, ``not good: artefacts, blurred and 3 more; never good``."""
    if (often := labels.count(GOOD)) > 1 and good.startswith("good only"):
        good = f"good only at {often} epochs"  # the sentence has their numbers
    parts = [good.removeprefix("good ").partition(", and at ")[0]]
    if labels[-1] == NOT_GOOD:
        more = f" and {len(wrong[-1]) - MOST_WORDS} more" * (len(wrong[-1]) > MOST_WORDS)
        parts = [", ".join(wrong[-1][:MOST_WORDS]) + more, good]
    elif labels[-1] != GOOD:
        lost = f" ({', '.join(wrong[-1])})" if labels[-1] == DIVERGED else ""
        first = max((i + 1 for i, name in enumerate(labels) if name != labels[-1]), default=0)
        since = f"at epoch {epochs[-1]}" if first == len(labels) - 1 else f"from epoch {epochs[first]} on"
        parts = [f"{since}{lost}", good]
    least = [f"least FCD at epoch {best}"] if best is not None and len(epochs) > 1 else []
    return f"{labels[-1]}: {'; '.join([*parts, *least])}"


def table(epochs: Sequence[int], scores: Sequence[dict[str, float]], limits: Limits, samples: int | None = None) -> str:
    """A GitHub-markdown table: the floor, then a row for each epoch with its label, what is wrong, and its scores, of
    so many ``samples``."""
    return _markdown("epoch", [(str(epoch), s) for epoch, s in zip(epochs, scores, strict=True)], limits, samples)


def failures_table(
    failures: dict[str, dict[float, dict[str, float]]], limits: Limits, samples: int | None = None
) -> str:
    """The same of synthetic failures, by their names and strengths; of training images copies are no fault."""
    copies = {"copies": limits.floor["copies"]}
    rows = [(f"{name} {at:g}", scores | copies) for name, of in failures.items() for at, scores in of.items()]
    return _markdown("spoiled images", rows, limits, samples)


def scores_table(scores: dict[str, dict[str, float]], limits: Limits) -> str:
    """The same of any images, by their names."""
    return _markdown("images", list(scores.items()), limits)


def _lost(scores: dict[str, float], limits: Limits) -> str:
    """What of an epoch is not finite: its images, which then have no score, or a loss by its name."""
    lost = [name for name, value in scores.items() if not math.isfinite(value)]
    return " and ".join(dict.fromkeys("images" if name in limits.floor else name.replace("_", " ") for name in lost))


def _markdown(first: str, rows: list[tuple[str, dict[str, float]]], limits: Limits, samples: int | None = None) -> str:
    lines = [[first, "label", *(name_of(column, samples) for column in COLUMNS)], [":--"] * 2 + ["--:"] * len(COLUMNS)]
    for name, s in [("floor: real images", limits.floor), *rows]:
        called = "" if s is limits.floor else label(s, limits)
        if called in (NOT_GOOD, DIVERGED):
            called += f": {', '.join(reasons(s, limits))}"
        cells = [
            score_figure(c, s[c]) + (f" ± {score_figure('kid_std', s['kid_std'])}" if c == "kid" else "")
            for c in COLUMNS
        ]
        lines.append([name, called, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _broken(epochs: list[int], labels: list[str], wrong: list[list[str]]) -> list[str]:
    """Where it is broken, and how: "noise at epochs 1-3", "diverged from epoch 20 on (critic loss not finite)"."""
    end = len(labels)
    while end and labels[end - 1] == DIVERGED:
        end -= 1
    parts = []
    for name in sorted(set(labels[:end]) & set(BROKEN), key=labels.index):
        at = [i for i in range(end) if labels[i] == name]
        lost = f" ({', '.join(dict.fromkeys(words for i in at for words in wrong[i]))})" if name == DIVERGED else ""
        parts.append(f"{name} at epoch{'s' * (len(at) > 1)} {_ranges(epochs, at)}{lost}")
    if end < len(labels):
        when = f"from epoch {epochs[end]} on" if len(labels) > 1 else f"at epoch {epochs[end]}"
        parts.append(f"diverged {when} ({', '.join(wrong[end])})")
    return parts


def _shortcomings(epochs: list[int], labels: list[str], wrong: list[list[str]]) -> list[str]:
    """Where it is not good, without being broken, and why: "not good at epochs 1 (blurred, artefacts) and 2-4
    (blurred)"."""
    at = [i for i, name in enumerate(labels) if name == NOT_GOOD]
    if not at:
        return []
    alike: dict[tuple[str, ...], list[int]] = {}  # epochs by what is wrong with them, in the order of the first ones
    for i in at:
        alike.setdefault(tuple(wrong[i]), []).append(i)
    groups = [f"{_ranges(epochs, of)} ({', '.join(named)})" for named, of in alike.items()]
    return [f"not good at epoch{'s' * (len(at) > 1)} {' and '.join(groups)}"]


def _goodness(epochs: list[int], labels: list[str], first: int) -> str:
    """Since when it is good: "good from epoch 9 on", and when else."""
    before = [i for i in range(first) if labels[i] == GOOD]
    if not before and first == len(labels):
        return "never good"
    earlier = f"epoch{'s' * (len(before) > 1)} {_ranges(epochs, before)}"
    if first == len(labels):
        return f"good only at {earlier}"
    if first == len(labels) - 1:
        since = f"good at epoch {epochs[first]}, the {'last one' if len(labels) > 1 else 'only one'} scored"
    else:
        since = f"good from epoch {epochs[first]} on"
    return since + (f", and at {earlier}" if before else "")


def _bestness(epochs, labels, wrong, scores, least: int | None, limits: Limits, called: str) -> str:
    """The epoch of least FCD; where it is not good, why, and which of the good ones has the least."""
    if least is None:
        return "no epoch has finite scores"
    fcd = f"{called} {figure(scores[least]['fcd'])}, floor {figure(limits.floor['fcd'])}"
    if FAR in wrong[least]:
        fcd += f", good up to {figure(limits.good[FAR])}"
    if labels[least] == GOOD:
        return f"best at epoch {epochs[least]} ({fcd})"
    why = ", ".join(wrong[least]) if labels[least] == NOT_GOOD else labels[least]
    good = [i for i, name in enumerate(labels) if name == GOOD]
    if not good:
        return f"least bad at epoch {epochs[least]} ({fcd}: {why})"
    next_ = min(good, key=lambda i: scores[i]["fcd"])
    return (
        f"best FCD at epoch {epochs[least]} ({fcd}), which is not good ({why}); the least of good ones at epoch "
        f"{epochs[next_]} ({called} {figure(scores[next_]['fcd'])})"
    )


def _ranges(epochs: list[int], at: list[int]) -> str:
    """The epochs at these positions, all of which were scored: "1-3, 7"; of every fifth "5, 10", "5, 10, ..., 50"."""
    runs: list[list[int]] = []  # of positions, neighbours whose epochs are as far apart as the first two
    for i in at:
        last = runs[-1] if runs else []
        steps = [epochs[b] - epochs[a] for a, b in itertools.pairwise([*last[-2:], i])]
        if last and last[-1] == i - 1 and len(set(steps)) == 1:
            last.append(i)
        else:
            runs.append([i])
    return ", ".join(_range([epochs[i] for i in run]) for run in runs)


def _range(run: list[int]) -> str:
    if len(run) > 1 and run[1] == run[0] + 1:
        return f"{run[0]}-{run[-1]}"
    return ", ".join(map(str, run)) if len(run) <= MOST_LISTED else f"{run[0]}, {run[1]}, ..., {run[-1]}"
