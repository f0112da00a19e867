"""Has an adversarial model learned its distribution in the plane? By stated rules, with the advice the field gives.

The frames of a fit's last quarter are judged (at least three). The generator is *near* in a frame if its JS divergence
from the data is at most the limit, that of the data themselves with their curve or modes twice as wide
(:class:`metrics.plane.CellGrid`), and all modes are hit. The fit has

    converged    if it is near in the last frame and in nine tenths of those judged
    oscillated   if the highest JS among them is over twice the lowest, and over the limit
    collapsed    if modes are missing in most of them
    been refused if a discriminator tells the two apart almost everywhere: |D - 1/2| > .4 in most of them
    not arrived  otherwise

in this order; what comes first is said. Beside it stand the signs that GAN Lab's readers are told to look for: an
undecided discriminator, losses at their equilibrium, short gradients.
"""

import math
import statistics
from typing import NamedTuple

QUARTER, AT_LEAST = 4, 3
NEAR_SHARE = 0.9
SWING = 2.0  # highest JS over the lowest, from which on a fit oscillates
REFUSED = 0.4  # |D - 1/2|
UNDECIDED = 0.1
AT_EQUILIBRIUM = 0.1  # of a loss's distance from its equilibrium, relative to it
SHORT = 0.25  # gradients, in their longest mean

ADVICE = {
    "converged": "",
    "oscillated": "lower the generator's rate (model.lr_generator), or let both decay (model.lr_decay=cosine)",
    "collapsed": "give the critic more steps (model.n_critic) or a higher rate, or try model=wgan_gp",
    "refused": "the discriminator is too strong: lower model.lr_critic, or try model=wgan_gp",
    "not arrived": "train longer (trainer.max_epochs), or with wider networks",
}


class Convergence(NamedTuple):
    """What :func:`convergence` found: the ``state`` (a key of ``ADVICE``), since which update, if it has converged, and a
    sentence that says so with the figures."""

    state: str
    since: int | None
    sentence: str


def convergence(
    updates: list[int],
    scores: list[dict[str, float]],
    limit: float,
    floor: dict[str, float],
    modes: int | None = None,
    losses: dict[str, tuple[float, float]] | None = None,
) -> Convergence:
    """Judges a fit by its frames.

    Args:
        updates: of the frames, ascending.
        scores: theirs: ``js`` and ``w1``; ``modes`` of a distribution that has some; ``decided`` of a discriminator,
            ``critic_w1`` of a critic; ``gradient``.
        limit: of the JS divergence.
        floor: ``js`` and ``w1`` of points of the distribution itself.
        modes: how many the distribution has.
        losses: name of each loss to its recent mean and its equilibrium.
    """
    judged = scores[-max(AT_LEAST, len(scores) // QUARTER) :]
    near = [_near(score, limit, modes) for score in scores]
    state, since = _state(judged, near[-len(judged) :], limit, modes), None
    if state == "converged":
        since = next(
            update for i, update in enumerate(updates) if sum(near[i:]) >= NEAR_SHARE * len(near[i:]) and near[i]
        )
    last = scores[-1]
    figures = [
        f"JS {last['js']:.3f} bits (limit {limit:.3f}, floor {floor['js']:.3f})",
        f"W1 {last['w1']:.4f} (floor {floor['w1']:.4f})",
        *([f"{last['modes']} of {modes} modes hit"] if modes else []),
        *_signs(scores, judged, losses or {}),
    ]
    heads = {
        "converged": f"converged, near its distribution from update {since} on",
        "oscillated": f"not converged, it oscillates: JS from {min(_js(judged)):.3f} to {max(_js(judged)):.3f} bits lately",
        "collapsed": "not converged, it misses modes",
        "refused": "not converged, the discriminator tells real from generated",
        "not arrived": "not converged",
    }
    sentence = (
        f"{heads[state]}: {', '.join(figures)}" if ":" not in heads[state] else f"{heads[state]}; {', '.join(figures)}"
    )
    return Convergence(
        state, since, sentence + (f". {ADVICE[state][0].upper()}{ADVICE[state][1:]}" if ADVICE[state] else "")
    )


def _js(scores: list[dict]) -> list[float]:
    return [score["js"] for score in scores]


def _near(score: dict, limit: float, modes: int | None) -> bool:
    return score["js"] <= limit and (modes is None or score["modes"] == modes)


def _state(judged: list[dict], near: list[bool], limit: float, modes: int | None) -> str:
    if near[-1] and sum(near) >= NEAR_SHARE * len(near):
        return "converged"
    highest, lowest = max(_js(judged)), min(_js(judged))
    if highest > limit and highest > SWING * lowest:
        return "oscillated"
    if modes is not None and statistics.median(score["modes"] for score in judged) < modes:
        return "collapsed"
    if statistics.median(score.get("decided", 0.0) for score in judged) > REFUSED:
        return "refused"
    return "not arrived"


def _signs(scores: list[dict], judged: list[dict], losses: dict[str, tuple[float, float]]) -> list[str]:
    signs = []
    if "decided" in scores[-1]:
        decided = statistics.median(score["decided"] for score in judged)
        word = "undecided" if decided <= UNDECIDED else "not undecided"
        signs.append(f"the discriminator {word} (mean |D - 1/2| {decided:.2f})")
    if "critic_w1" in scores[-1]:
        signs.append(f"the critic's estimate of W1 {statistics.median(score['critic_w1'] for score in judged):.4f}")
    for name, (value, expected) in losses.items():
        at = math.isclose(value, expected, rel_tol=AT_EQUILIBRIUM)
        signs.append(f"{name} {value:.3f}, {'at' if at else 'off'} its equilibrium {expected:.3f}")
    longest = max(score["gradient"] for score in scores)
    if longest > 0:
        share = statistics.median(score["gradient"] for score in judged) / longest
        signs.append(f"gradients {'down to' if share <= SHORT else 'still'} {100 * share:.0f} % of their longest")
    return signs
