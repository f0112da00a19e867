"""Has an adversarial model learned its distribution in the plane? By stated rules; what is then said and advised is in
:mod:`metrics.advice`.

Its averaged generator is *near* in a frame if each score is within its limit (:mod:`metrics.plane_yardstick` says which
these are). How far a score has come is told by its *excess*, 0 at what the data themselves score and 1 at the limit; a
frame's as a whole is the geometric mean over the scores that are beyond their limits in most of the frames judged, of 1
where one is within; of a fit that is near in some of these frames, it is that of the worst score, which decides that.
The frames of the fit's last quarter are judged (at least three). It has

    diverged     if the last frame's points, the averaged generator's, or the critic's gradients there are not finite
    unstable     if those of another of them are not
    converged    if it is near in all of them: since the first frame from which on it is near in all
    drifted      if it is near in all of them, but since it is, one score's excess rose by a third, steadily, over the
                 last quarter of all frames, the last half, or all; or if it is not, and its excess as a whole rose
                 steadily, or if that did neither, JS or W1, while neither of these fell
    outpaced     if it is far from the data (JS of the learning generator over half a bit in most of them) and the
                 critic does not see it: its loss is above its equilibrium, or its distance below zero, or W1 is a tenth
                 larger than in the first frame while no discriminator tells the two apart; also if it makes out less
                 than half of how far it is, unless it comes nearer
    collapsed    if most points are near the data, but a mode, or a stretch of the curve, has under a tenth of its
                 share in most of them, and the mass in the wrong part does not fall steadily
    arrived      if it has become near among these frames and stayed so
    borderline   if it is near in the last of them, but not by the larger sample after them
    improving    if its excess as a whole falls steadily, and neither JS nor W1 rises
    early        if it has had less than a hundred updates and was not led away to twice its distance; or less than a
                 thousand, is near in none of them, does not drift, and is nearer than in the first frame: JS or W1 is a
                 tenth less, neither a tenth more
    overpowered  if a discriminator tells the two apart almost everywhere: |D - 1/2| > .4 in most of them (of decisions
                 that do not go from 0 to 1, as a share of their range)
    vanished     if the gradients have all but vanished, to a thousandth of their longest
    left         if it was near in the first of them, until a frame from which on it is not
    oscillated   if it is near in some of them and not in others; or if the highest excess, or the highest JS of the
                 learning generator, where that is over the limit, is over one and a half times the lowest
    stuck        otherwise

in the order of ``_state``; what comes first is said. A thousand updates are less than half of what any recipe has, and
rates that decay over so few stop it before it has come anywhere. *Steadily*: see :func:`metrics.courses.trend`.
Beside it stand the signs that GAN Lab's readers are told to look for: an undecided discriminator, losses at their
equilibrium, short gradients.
"""

import itertools
import math
import statistics
from typing import NamedTuple

from metrics.advice import (
    ALWAYS,
    AT_EQUILIBRIUM,
    EPOCHS,
    FASTER,
    OR_WGAN_GP,
    SCORES,
    WORDS,
    YOUNG,
    YOUNG_LINE,
    beyond,
    figure,
    in_short,
    signs,
)
from metrics.courses import CHANGED, QUARTER, drifts, excess, swings, trend, whole
from metrics.plane import HIT_SHARE
from metrics.plane_yardstick import Bound

NOT_IN_A_FIT = "rules, applied when a job looks at what a fit kept"

AT_LEAST = 3  # frames
FEW, MANY = 100, 1000  # updates: too few to judge anything by; enough
AWAY = 2.0  # times W1 of the first frame
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
    budget: str = EPOCHS,
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
        budget: the setting that ended the fit, which is named where it should have been longer; empty if unknown.
    """
    bounds = {name: bounds[name] for name in SCORES if name in bounds}
    averaged = [({name: frame[f"{name}_averaged"] for name in bounds}, bounds) for frame in scores]
    seen_near = max(excess(value, bounds[name]) for name, value in averaged[-1][0].items()) <= 1  # in the last frame
    averaged[-1] = last, last_bounds = final or averaged[-1]
    scores = [*scores[:-1], scores[-1] | {f"{name}_averaged": last[name] for name in bounds}]
    excesses = [{name: excess(found[name], allowed[name]) for name in bounds} for found, allowed in averaged]
    worst = [max(found.values()) for found in excesses]
    count = min(len(scores), max(AT_LEAST, len(scores) // QUARTER))
    judged, lately = scores[-count:], excesses[-count:]
    longest = max((frame["gradient"] for frame in scores if math.isfinite(frame["gradient"])), default=0.0)
    near = [i for i, value in enumerate(worst) if value <= 1]
    start = 1 + max((i for i, value in enumerate(worst) if not value <= 1), default=-1)  # of those at the end
    losses = losses or {}
    unseen = _unseen(judged, scores[0], losses, updates[-1])
    state = _state(judged, lately, longest, unseen, bounds, scores[0], updates[-1], seen_near)
    if state == "converged":
        drifting = {name for name in bounds if drifts([found[name] for found in excesses[start:]], count)}
    else:
        drifting = {name for name in bounds if trend([found[name] for found in lately]) == 1 and lately[-1][name] > 1}
    state = "drifted" if state == "converged" and drifting else state
    since = updates[start] if state == "converged" else None
    figures = [
        figure(name, last[name], last_bounds[name], [found[name] for found in lately], name in drifting)
        for name in bounds
        if name in ALWAYS or name in drifting or beyond(found[name] for found in lately)
    ]
    least, farther = (max(names, key=excesses[-1].get) for names in (bounds, drifting or bounds))
    head, line, advice = WORDS[state]
    if state == "stuck":  # what helps the worst score; far away, first of all to move
        advice = FASTER if _far(judged) else SCORES[least][2]
    if updates[-1] < MANY and state == "collapsed":
        advice = YOUNG + advice
    if updates[-1] < MANY and state == "outpaced" and unseen < 2 and drifting.isdisjoint(ALWAYS):
        advice, line = YOUNG + advice, YOUNG_LINE
    lost = [i for i in range(-count, 0) if _lost(scores[i])]
    arrived = start
    if state == "borderline":
        arrived = 1 + max((i for i, value in enumerate(worst[:-1]) if not value <= 1), default=-1)
    facts = {
        "since": since, "arrived": updates[min(arrived, len(updates) - 1)], "judged": count, "updates": updates[-1],
        "until": updates[-1] if state == "borderline" else updates[near[-1]] if near else None,
        "near": sum(value <= 1 for value in worst[-count:]),
        "lost": " and ".join(_lost(scores[lost[-1]])) if lost else "", "lost_at": updates[lost[-1]] if lost else None,
        "worst": in_short(least, last[least], last_bounds[least]), "help": advice,
        "drifts": in_short(farther, last[farther], last_bounds[farther]),
    }  # fmt: skip
    head, line, advice = (words and words.format(**facts) for words in (head, line, advice))
    sentence = f"{head}: {', '.join([*figures, *signs(judged, losses, longest, decided_as)])}"
    sentence += f". Advice: {advice}" if advice else ""
    ended = f" ({budget})" if budget else ""
    unsaid = OR_WGAN_GP if "critic_w1" in judged[-1] else ""  # where it is one
    sentence, line = (text.replace(f" ({EPOCHS})", ended).replace(unsaid, "") for text in (sentence, line))
    return Convergence(state, since, sentence, f"{state}: {line}")


def _far(judged: list[dict]) -> bool:
    return statistics.median(frame["js"] for frame in judged) > FAR


def _decided(judged: list[dict]) -> float:
    return statistics.median(frame.get("decided", 0.0) for frame in judged)


def _unseen(judged: list[dict], first: dict, losses: dict[str, tuple[float, float]], updates: int) -> int:
    """How wrong the critic is of a generator that is far away: 2 if it takes generated points for real, or, undecided,
    has led them farther away than they were in the ``first`` frame; 1 if it makes out less than half of how far they
    are; else 0, also of one that is too young to say, unless it was led far away.

    The best discriminator's loss is its equilibrium times 1 - JS (Goodfellow et al. 2014, theorem 1), the best critic's
    estimate the distance.
    """
    if not _far(judged):
        return 0
    distance, js = (statistics.median(frame[name] for frame in judged) for name in ("w1", "js"))
    if updates < FEW and distance <= AWAY * first["w1"]:
        return 0
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
    judged: list[dict],
    excesses: list[dict],
    longest: float,
    unseen: int,
    bounds: dict[str, Bound],
    first: dict,
    updates: int,
    seen_near: bool,
) -> str:
    if _lost(judged[-1]):
        return "diverged"
    if any(map(_lost, judged)):
        return "unstable"
    worst = [max(found.values()) for found in excesses]
    near = [value <= 1 for value in worst]
    if all(near):
        return "converged"
    if unseen > 1:
        return "outpaced"
    missing = statistics.median(frame["least_averaged"] for frame in judged) < HIT_SHARE
    elsewhere = statistics.median(frame.get("near_averaged", 1.0) for frame in judged) > MOST
    few = updates < FEW
    if missing and elsewhere and not few and trend([found["misplaced"] for found in excesses]) != -1:
        return "outpaced" if unseen else "collapsed"
    crossings = sum(a != b for a, b in itertools.pairwise(near))
    if near[-1] and crossings == 1:
        return "arrived"
    if seen_near and not near[-1] and sum(a != b for a, b in itertools.pairwise([*near[:-1], True])) <= 1:
        return "borderline"
    way = trend(worst if any(near) else whole(excesses))
    # of what measures all of a distribution: it has a say in each, and the last word where the whole has none
    ways = [trend([found[name] for found in excesses]) for name in ALWAYS if name in bounds and excesses[-1][name] > 1]
    way = way or (sum(ways) > 0) - (sum(ways) < 0)
    if way == -1 and 1 not in ways:
        return "improving"
    if few:
        return "early"
    away = way == 1 and -1 not in ways
    early = updates < MANY and not any(near) and not away and _nearer(judged, first)
    if unseen:
        return "early" if early else "outpaced"
    if _decided(judged) > OVERPOWERED:
        return "overpowered"
    if statistics.median(frame["gradient"] for frame in judged) < VANISHED * longest:
        return "vanished"
    if near[0] and crossings == 1:
        return "left"
    if away:
        return "drifted"
    if early:
        return "early"
    learning = [frame["js"] for frame in judged]
    swinging = swings(worst) or ("js" in bounds and max(learning) > bounds["js"].limit and swings(learning))
    return "oscillated" if any(near) or swinging else "stuck"


def _nearer(judged: list[dict], first: dict) -> bool:
    """Whether JS or W1 is a tenth less than in the first frame, and neither a tenth more."""
    then = [first[f"{name}_averaged"] for name in ALWAYS]
    now = [statistics.median(frame[f"{name}_averaged"] for frame in judged) for name in ALWAYS]
    less, more = ([b < (1 + change) * a for a, b in zip(then, now, strict=True)] for change in (-CHANGED, CHANGED))
    return any(less) and all(more)


def _lost(frame: dict[str, float]) -> list[str]:
    """What of a frame is not finite, or is no number, in words."""
    lost = [words for name, words in LOST.items() if not math.isfinite(frame[name])]
    numbers = not any(math.isnan(value) for name, value in frame.items() if name.endswith("_averaged"))
    return lost if lost or numbers else ["the averaged generator's scores"]
