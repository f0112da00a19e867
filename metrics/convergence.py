"""Has an adversarial model learned its distribution in the plane? By stated rules; what is then said and advised is in
:mod:`metrics.advice`.

Its averaged generator is *near* in a frame if each score is within its limit (:mod:`metrics.plane_yardstick` says which
these are). How far a score has come is told by its *excess*, 0 at what the data themselves score and 1 at the limit; a
frame's is that of its worst score. The frames of the fit's last quarter are judged (at least three). It has

    diverged     if the last frame's points, the averaged generator's, or the critic's gradients there are not finite
    converged    if it is near in all of them: since the first frame from which on it is near in all
    drifted      if it is near in all of them, but since it is, one score's excess rose by a third, steadily, over the
                 last quarter of all frames, the last half, or all; or if it is not, and its excess rose steadily
    outpaced     if it is far from the data (JS of the learning generator over half a bit in most of them) and the
                 critic does not see it: its loss is above its equilibrium, or its distance below zero, or W1 is a tenth
                 larger than in the first frame while no discriminator tells the two apart; also if it makes out less
                 than half of how far it is, unless it comes nearer
    collapsed    if most points are near the data, but a mode, or a stretch of the curve, has under a tenth of its
                 share in most of them, and the mass in the wrong part does not fall steadily
    improving    if its excess falls steadily
    arrived      if it has become near among these frames and stayed so
    overpowered  if a discriminator tells the two apart almost everywhere: |D - 1/2| > .4 in most of them (of decisions
                 that do not go from 0 to 1, as a share of their range)
    vanished     if the gradients have all but vanished, to a thousandth of their longest
    left         if it was near in the first of them, until a frame from which on it is not
    oscillated   if it is near in some of them and not in others; or if the highest excess, or the highest JS of the
                 learning generator, where that is over the limit, is over one and a half times the lowest
    stuck        otherwise

in the order of ``_state``; what comes first is said. *Steadily* is told by direction: Spearman's rank correlation of
the frames with their order beyond .7, and the mean of the last third a tenth off that of the first. Beside it stand the
signs that GAN Lab's readers are told to look for: an undecided discriminator, losses at their equilibrium, short
gradients.
"""

import itertools
import math
import statistics
from typing import NamedTuple

from metrics.advice import (
    ALWAYS,
    AT_EQUILIBRIUM,
    FASTER,
    OR_WGAN_GP,
    SCORES,
    WORDS,
    YOUNG,
    beyond,
    figure,
    in_short,
    signs,
)
from metrics.plane import HIT_SHARE
from metrics.plane_yardstick import Bound

NOT_IN_A_FIT = "rules, applied when a job looks at what a fit kept"

QUARTER, AT_LEAST = 4, 3
STEADY = 0.7  # rank correlation
CHANGED = 0.1  # of the mean of the first third, that the last third's differs by
ON_THE_WAY = 1 / 3  # of the way from the floor to the limit, that a score of a near generator may rise
SWING = 1.5  # highest over lowest, from which on a fit oscillates
FAR = 0.5  # bits of JS: the best discriminator's loss would be at most half of that at the equilibrium
SEEN = 0.5  # of the distance, or of the JS, that a critic should make out
MOST = 0.5  # of the points near the data: then what lacks is a mode, and not all
OVERPOWERED = 0.4  # of |D - 1/2|
VANISHED = 1e-3  # gradients, in their longest mean
LOST = {  # scores that are no numbers where something else is none
    "w1": "its points",
    "w1_averaged": "the averaged generator's points",
    "gradient": "the critic's gradients at its points",
}


class Convergence(NamedTuple):
    """What :func:`convergence` found: the ``state`` (a key of ``WORDS``), since which update it is near, if it has
    converged, a ``sentence`` that says so with the figures, and a line that says so in short."""

    state: str
    since: int | None
    sentence: str
    summary: str


def convergence(
    updates: list[int],
    scores: list[dict[str, float]],
    bounds: dict[str, Bound],
    losses: dict[str, tuple[float, float]] | None = None,
    decided_as: str = "|D - 1/2|",
    final: tuple[dict[str, float], dict[str, Bound]] | None = None,
) -> Convergence:
    """Judges a fit by its frames.

    Args:
        updates: of the frames, ascending.
        scores: theirs: each of ``bounds`` of the averaged generator, with ``_averaged`` to its name; ``js`` of the one
            that learns; ``gradient``; ``decided`` of a discriminator, ``critic_w1`` of a critic.
        bounds: of the scores: floor, spread and limit.
        losses: name of each loss to its recent mean and its equilibrium.
        decided_as: what ``decided`` is, as a formula.
        final: the averaged generator's scores of a larger sample after the last update, and the bounds of such: they
            count in the place of the last frame's.
    """
    bounds = {name: bounds[name] for name in SCORES if name in bounds}
    averaged = [({name: frame[f"{name}_averaged"] for name in bounds}, bounds) for frame in scores]
    averaged[-1] = last, last_bounds = final or averaged[-1]
    excesses = [{name: excess(found[name], allowed[name]) for name in bounds} for found, allowed in averaged]
    worst = [max(found.values()) for found in excesses]
    count = min(len(scores), max(AT_LEAST, len(scores) // QUARTER))
    judged, lately = scores[-count:], excesses[-count:]
    longest = max((frame["gradient"] for frame in scores if math.isfinite(frame["gradient"])), default=0.0)
    near = [i for i, value in enumerate(worst) if value <= 1]
    start = 1 + max((i for i, value in enumerate(worst) if not value <= 1), default=-1)  # of those at the end
    drifting = {name for name in bounds if _drifts([found[name] for found in excesses[start:]], count)}
    losses = losses or {}
    unseen = _unseen(judged, scores[0], losses)
    state = _state(judged, lately, worst[-count:], longest, unseen, bounds)
    state = "drifted" if state == "converged" and drifting else state
    since = updates[start] if state == "converged" else None
    figures = [
        figure(name, last[name], last_bounds[name], [found[name] for found in lately], name in drifting)
        for name in bounds
        if name in ALWAYS or name in drifting or beyond(found[name] for found in lately)
    ]
    least = max(bounds, key=excesses[-1].get)
    advice = WORDS[state].advice
    if state == "stuck":  # what helps the worst score; far away, first of all to move
        advice = FASTER if _far(judged) else SCORES[least][2]
    if state == "outpaced" and unseen < 2:
        advice += YOUNG
    facts = {
        "since": since, "arrived": updates[min(start, len(updates) - 1)], "judged": count,
        "until": updates[near[-1]] if near else None,
        "near": sum(value <= 1 for value in worst[-count:]), "lost": " and ".join(_lost(judged[-1])),
        "worst": in_short(least, last[least], last_bounds[least]), "help": advice,
    }  # fmt: skip
    head, line, _ = (words and words.format(**facts) for words in WORDS[state])
    sentence = f"{head}: {', '.join([*figures, *signs(judged, losses, longest, decided_as)])}"
    sentence += f". Advice: {advice}" if advice else ""
    if "critic_w1" in judged[-1]:  # it is one
        sentence, line = (text.replace(OR_WGAN_GP, "") for text in (sentence, line))
    return Convergence(state, since, sentence, f"{state}: {line}")


def excess(value: float, bound: Bound) -> float:
    """How far a score has gone from the floor, 0, to the limit, 1, in whichever direction that is; infinite for NaN.
    Where the data score the limit itself, as of modes hit, it is 1 more than what is missing."""
    if math.isnan(value):
        return math.inf
    way = bound.limit - bound.floor
    if way == 0:
        return 1 + bound.limit - value if value < bound.limit else 0.0
    return (value - bound.floor) / way


def trend(values: list[float]) -> int:
    """1 if values rise steadily, -1 if they fall, 0 if they do neither (see the module's docstring)."""
    first, last = _ends(values)
    if not math.isfinite(last - first) or abs(last - first) <= CHANGED * abs(first):
        return 0
    return int(math.copysign(1, last - first)) if abs(_rank_correlation(values)) >= STEADY else 0


def _ends(values: list[float]) -> tuple[float, float]:
    """The means of the first and of the last third."""
    third = max(1, len(values) // 3)
    return statistics.fmean(values[:third]), statistics.fmean(values[-third:])


def _rank_correlation(values: list[float]) -> float:
    """Spearman's, of values with their order; 0 if they are all equal."""
    ranks = [sum(other < value for other in values) + values.count(value) / 2 for value in values]
    return statistics.correlation(range(len(values)), ranks) if len(set(ranks)) > 1 else 0.0


def _far(judged: list[dict]) -> bool:
    return statistics.median(frame["js"] for frame in judged) > FAR


def _decided(judged: list[dict]) -> float:
    return statistics.median(frame.get("decided", 0.0) for frame in judged)


def _unseen(judged: list[dict], first: dict, losses: dict[str, tuple[float, float]]) -> int:
    """How wrong the critic is of a generator that is far away: 2 if it takes generated points for real, or, undecided,
    has led them farther away than they were in the ``first`` frame; 1 if it makes out less than half of how far they
    are; else 0.

    The best discriminator's loss is its equilibrium times 1 - JS (Goodfellow et al. 2014, theorem 1), the best critic's
    estimate the distance.
    """
    if not _far(judged):
        return 0
    distance, js = (statistics.median(frame[name] for frame in judged) for name in ("w1", "js"))
    if "critic_w1" in judged[-1]:
        seen = statistics.median(frame["critic_w1"] for frame in judged) / distance
    elif "critic loss" in losses:
        value, expected = losses["critic loss"]
        seen = (1 - value / expected) / js
        seen += AT_EQUILIBRIUM if value > expected else 0  # where it is at its equilibrium, it is not fooled
    else:
        seen = 1.0
    led_away = distance > (1 + CHANGED) * first["w1"] and _decided(judged) <= OVERPOWERED
    return 2 if seen < 0 or led_away else 1 if seen < SEEN else 0


def _state(
    judged: list[dict], excesses: list[dict], worst: list[float], longest: float, unseen: int, bounds: dict[str, Bound]
) -> str:
    if _lost(judged[-1]):
        return "diverged"
    near = [value <= 1 for value in worst]
    if all(near):
        return "converged"
    if unseen > 1:
        return "outpaced"
    missing = statistics.median(frame["least_averaged"] for frame in judged) < HIT_SHARE
    elsewhere = statistics.median(frame.get("near_averaged", 1.0) for frame in judged) > MOST
    if missing and elsewhere and trend([found["misplaced"] for found in excesses]) != -1:
        return "outpaced" if unseen else "collapsed"
    crossings = sum(a != b for a, b in itertools.pairwise(near))
    if near[-1] and crossings == 1:
        return "arrived"
    if trend(worst) == -1:
        return "improving"
    if unseen:
        return "outpaced"
    if _decided(judged) > OVERPOWERED:
        return "overpowered"
    if statistics.median(frame["gradient"] for frame in judged) < VANISHED * longest:
        return "vanished"
    if near[0] and crossings == 1:
        return "left"
    if trend(worst) == 1:
        return "drifted"
    learning = [frame["js"] for frame in judged]
    swings = _swings(worst) or ("js" in bounds and max(learning) > bounds["js"].limit and _swings(learning))
    return "oscillated" if any(near) or swings else "stuck"


def _lost(frame: dict[str, float]) -> list[str]:
    """What of a frame is not finite, in words."""
    return [words for name, words in LOST.items() if not math.isfinite(frame[name])]


def _drifts(excesses: list[float], count: int) -> bool:
    """Whether those of a score of frames that are near rise, over so many frames, twice, or four times as many."""
    spans = [excesses[-count * times :] for times in (1, 2, QUARTER)] if excesses else []
    return any(trend(span) == 1 and (ends := _ends(span))[1] - ends[0] >= ON_THE_WAY for span in spans)


def _swings(values: list[float]) -> bool:
    return max(values) > SWING * min(values)
