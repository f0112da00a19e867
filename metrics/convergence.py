"""Has an adversarial model learned its distribution in the plane? By stated rules, with the advice the field gives.

Its averaged generator is *near* in a frame if each score is within its limit (:mod:`metrics.plane_yardstick` says which
these are). How far a score has come is told by its *excess*, 0 at what the data themselves score and 1 at the limit; a
frame's is that of its worst score. The frames of the fit's last quarter are judged (at least three). It has

    diverged    if the last frame's points, the averaged generator's, or the critic's gradients there are not finite
    converged   if it is near in all of them: since the first frame from which on it is near in all
    drifted     if it is near in all of them, but since it is, one score's excess rose by a third, steadily, over the
                last quarter of all frames, the last half, or all; or if it is not, and its excess rose steadily
    collapsed   if a mode, or a stretch of the curve, has under a tenth of its share in most of them, and the mass in
                the wrong part does not fall steadily
    kept on     if its excess falls steadily, or it has become near among these frames and stayed so
    refused     if a discriminator tells the two apart almost everywhere: |D - 1/2| > .4 in most of them (of decisions
                that do not go from 0 to 1, as a share of their range)
    died        if the gradients have all but vanished, to a thousandth of their longest
    left        if it was near in the first of them, until a frame from which on it is not
    oscillated  if it is near in some of them and not in others; or if the highest excess, or the highest JS of the
                learning generator, is over one and a half times the lowest
    stayed      otherwise

in the order of ``_state``; what comes first is said. *Steadily* is told by direction: Spearman's rank correlation of
the frames with their order beyond .7, and the mean of the last third a tenth off that of the first. Beside it stand the
signs that GAN Lab's readers are told to look for: an undecided discriminator, losses at their equilibrium, short
gradients.
"""

import itertools
import math
import statistics
from collections.abc import Iterable
from typing import NamedTuple

from metrics.plane import HIT_SHARE
from metrics.plane_yardstick import Bound

NOT_IN_A_FIT = "rules, applied when a job looks at what a fit kept"

QUARTER, AT_LEAST = 4, 3
STEADY = 0.7  # rank correlation
CHANGED = 0.1  # of the mean of the first third, that the last third's differs by
ON_THE_WAY = 1 / 3  # of the way from the floor to the limit, that a score of a near generator may rise
SWING = 1.5  # highest over lowest, from which on a fit oscillates
REFUSED = 0.4  # of |D - 1/2|
UNDECIDED = 0.1
AT_EQUILIBRIUM = 0.1  # of a loss's distance from its equilibrium, relative to it
VANISHED = 1e-3  # gradients, in their longest mean
SHORT = 0.25

HEADS = {
    "diverged": "diverged, {lost} are not finite any more",
    "converged": "converged, within all limits from update {since} on",
    "drifted": "not converged, it drifts away",
    "collapsed": "not converged, it misses modes or stretches",
    "kept on": "not converged yet, it still comes nearer",
    "refused": "not converged, the discriminator tells real from generated",
    "died": "not converged, nothing moves the generator any more",
    "left": "not converged, it was within all limits until update {until} and left them",
    "oscillated": "not converged, it oscillates (within all limits in {near} of the last {judged} frames)",
    "stayed": "not converged, and it comes no nearer",
}
LOST = {  # scores that are no numbers where something else is none
    "w1": "its points",
    "w1_averaged": "the averaged generator's points",
    "gradient": "the critic's gradients at its points",
}
LOWER = "lower the rates (model.lr_generator first), or let them decay (model.lr_decay=cosine)"
ADVICE = {
    "diverged": "lower both rates (model.lr_generator, model.lr_critic)",
    "drifted": LOWER,
    "collapsed": "give the critic more steps (model.n_critic) or a higher rate, or try model=wgan_gp",
    "kept on": "train longer (trainer.max_epochs)",
    "refused": "the discriminator is too strong: lower model.lr_critic, or try model=wgan_gp",
    "died": "the critic says the same everywhere: lower model.lr_critic, or use act=leaky_relu",
    "left": LOWER,
    "oscillated": LOWER,
}
SCORES = {  # in the order in which they are said: what a score is called, its form, what helps where it stays
    "modes": ("modes hit", "{:.0f}", "more critic steps an update (model.n_critic), or model=wgan_gp"),
    "least": ("least share of a part, in its due", "{:.2f}", "larger batches (dataset.batch_size), model=wgan_gp"),
    "misplaced": ("mass in the wrong part", "{:.3f}", "larger batches (dataset.batch_size), or model=wgan_gp"),
    "near": ("share of points within 3 sigma", "{:.3f}", "wider networks (model.generator.hidden)"),
    "narrowest": ("narrowest part, in the data's width", "{:.2f}", "more critic steps an update (model.n_critic)"),
    "width": ("width of the median part, in the data's", "{:.2f}", "more critic steps an update (model.n_critic)"),
    "widest": ("widest part, in the data's width", "{:.2f}", "wider networks, or longer (trainer.max_epochs)"),
    "js": ("JS in bits", "{:.4f}", "wider networks, or longer (trainer.max_epochs)"),
    "w1": ("W1", "{:.4f}", "larger batches (dataset.batch_size), or longer (trainer.max_epochs)"),
}
ALWAYS = ("js", "w1")


class Convergence(NamedTuple):
    """What :func:`convergence` found: the ``state`` (a key of ``HEADS``), since which update it is near, if it has
    converged, and a sentence that says so with the figures."""

    state: str
    since: int | None
    sentence: str


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
    state = _state(judged, lately, worst[-count:], longest)
    state = "drifted" if state == "converged" and drifting else state
    since = updates[start] if state == "converged" else None
    until = updates[near[-1]] if near else None
    inside = sum(value <= 1 for value in worst[-count:])
    lost = " and ".join(_lost(judged[-1]))
    head = HEADS[state].format(since=since, until=until, near=inside, judged=count, lost=lost)
    figures = [
        _figure(name, last[name], last_bounds[name], [found[name] for found in lately], name in drifting)
        for name in bounds
        if name in ALWAYS or name in drifting or _beyond(found[name] for found in lately)
    ]
    learning = [frame["js"] for frame in judged]
    figures.append(f"JS of the learning generator lately {min(learning):.3f} to {max(learning):.3f}")
    advice = SCORES[max(bounds, key=excesses[-1].get)][2] if state == "stayed" else ADVICE.get(state)
    sentence = f"{head}: {', '.join([*figures, *_signs(judged, losses or {}, longest, decided_as)])}"
    return Convergence(state, since, sentence + (f". Advice: {advice}" if advice else ""))


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


def _state(judged: list[dict], excesses: list[dict], worst: list[float], longest: float) -> str:
    if _lost(judged[-1]):
        return "diverged"
    near = [value <= 1 for value in worst]
    if all(near):
        return "converged"
    missing = statistics.median(frame["least_averaged"] for frame in judged) < HIT_SHARE
    if missing and trend([found["misplaced"] for found in excesses]) != -1:
        return "collapsed"
    crossings = sum(a != b for a, b in itertools.pairwise(near))
    if trend(worst) == -1 or (near[-1] and crossings == 1):
        return "kept on"
    if statistics.median(frame.get("decided", 0.0) for frame in judged) > REFUSED:
        return "refused"
    if statistics.median(frame["gradient"] for frame in judged) < VANISHED * longest:
        return "died"
    if near[0] and crossings == 1:
        return "left"
    if trend(worst) == 1:
        return "drifted"
    learning = [frame["js"] for frame in judged]
    return "oscillated" if any(near) or _swings(worst) or _swings(learning) else "stayed"


def _lost(frame: dict[str, float]) -> list[str]:
    """What of a frame is not finite, in words."""
    return [words for name, words in LOST.items() if not math.isfinite(frame[name])]


def _drifts(excesses: list[float], count: int) -> bool:
    """Whether those of a score of frames that are near rise, over so many frames, twice, or four times as many."""
    spans = [excesses[-count * times :] for times in (1, 2, QUARTER)] if excesses else []
    return any(trend(span) == 1 and (ends := _ends(span))[1] - ends[0] >= ON_THE_WAY for span in spans)


def _swings(values: list[float]) -> bool:
    return max(values) > SWING * min(values)


def _beyond(excesses: Iterable[float]) -> int:
    return sum(not value <= 1 for value in excesses)


def _figure(name: str, value: float, bound: Bound, excesses: list[float], drifting: bool) -> str:
    """A score with its limit and what the data score; where it was beyond the limit lately, or drifts, with a word."""
    label, form, _ = SCORES[name]
    over = "under" if bound.limit < bound.floor or name == "modes" else "over"
    limit = f"{over if excesses[-1] > 1 else 'within'} its limit {form.format(bound.limit)}"
    spread = f" ± {form.format(bound.spread)}" if bound.spread else ""
    words = [limit, f"floor {form.format(bound.floor)}{spread}"]
    if excesses[-1] <= 1 and _beyond(excesses):
        words.append(f"beyond it in {_beyond(excesses)} of the last {len(excesses)} frames")
    if drifting:
        words.append("drifting away")
    return f"{label} {form.format(value)} ({', '.join(words)})"


def _signs(judged: list[dict], losses: dict[str, tuple[float, float]], longest: float, decided_as: str) -> list[str]:
    signs = []
    if "decided" in judged[-1]:
        decided = statistics.median(score["decided"] for score in judged)
        word = "undecided" if decided <= UNDECIDED else "not undecided"
        signs.append(f"the discriminator {word} (mean {decided_as} {decided:.2f})")
    if "critic_w1" in judged[-1]:
        signs.append(f"the critic's estimate of W1 {statistics.median(score['critic_w1'] for score in judged):.4f}")
    for name, (value, expected) in losses.items():
        at = math.isclose(value, expected, rel_tol=AT_EQUILIBRIUM)
        signs.append(f"{name} {value:.3f}, {'at' if at else 'off'} its equilibrium {expected:.3f}")
    if longest > 0:
        share = statistics.median(score["gradient"] for score in judged) / longest
        signs.append(f"gradients {'down to' if share <= SHORT else 'still'} {100 * share:.0f} % of their longest")
    return signs
