"""Has an adversarial model learned its distribution in the plane? By stated rules, with the advice the field gives.

The frames of a fit's last quarter are judged (at least three). The fit is *near* in a frame if the JS divergence of its
averaged generator from the data is at most the limit, that of the data themselves with their curve or modes twice as
wide (:class:`metrics.plane.CellGrid`), and the average hits all modes. The fit has

    diverged     if the last frame's points or gradients are not finite
    converged    if it is near in the last frame and in nine tenths of those judged
    collapsed    if modes are missing in most of them
    been refused if a discriminator tells the two apart almost everywhere: |D - 1/2| > .4 in most of them (of decisions
                 that do not go from 0 to 1, as a share of their range)
    died         if the gradients have all but vanished, to a thousandth of their longest
    oscillated   if the highest JS of the learning generator is over twice the lowest, and over the limit
    not arrived  otherwise

in this order; what comes first is said. Beside it stand the signs that GAN Lab's readers are told to look for: an
undecided discriminator, losses at their equilibrium, short gradients.
"""

import math
import statistics
from typing import NamedTuple

NOT_IN_A_FIT = "rules, applied when a job looks at what a fit kept"

QUARTER, AT_LEAST = 4, 3
NEAR_SHARE = 0.9
SWING = 2.0  # highest JS over the lowest, from which on a fit oscillates
REFUSED = 0.4  # of |D - 1/2|
UNDECIDED = 0.1
AT_EQUILIBRIUM = 0.1  # of a loss's distance from its equilibrium, relative to it
VANISHED = 1e-3  # gradients, in their longest mean
SHORT = 0.25

HEADS = {
    "diverged": "diverged, its points are no numbers any more",
    "converged": "converged, near its distribution from update {since} on",
    "collapsed": "not converged, it misses modes",
    "refused": "not converged, the discriminator tells real from generated",
    "died": "not converged, nothing moves the generator any more",
    "oscillated": "not converged, it oscillates (JS lately {lowest:.3f} to {highest:.3f})",
    "not arrived": "not converged",
}
ADVICE = {
    "diverged": "lower both rates (model.lr_generator, model.lr_critic)",
    "converged": "",
    "collapsed": "give the critic more steps (model.n_critic) or a higher rate, or try model=wgan_gp",
    "refused": "the discriminator is too strong: lower model.lr_critic, or try model=wgan_gp",
    "died": "the critic says the same everywhere: lower model.lr_critic, or use act=leaky_relu",
    "oscillated": "lower the generator's rate (model.lr_generator), or let both decay (model.lr_decay=cosine)",
    "not arrived": "train longer (trainer.max_epochs), or with wider networks",
}


class Convergence(NamedTuple):
    """What :func:`convergence` found: the ``state`` (a key of ``HEADS``), since which update it is near, if it has
    converged, and a sentence that says so with the figures."""

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
    decided_as: str = "|D - 1/2|",
) -> Convergence:
    """Judges a fit by its frames.

    Args:
        updates: of the frames, ascending.
        scores: theirs: ``js``, ``js_averaged`` and ``w1``; ``modes_averaged`` of a distribution that has some;
            ``decided`` of a discriminator, ``critic_w1`` of a critic; ``gradient``.
        limit: of the JS divergence.
        floor: ``js`` and ``w1`` of points of the distribution itself.
        modes: how many the distribution has.
        losses: name of each loss to its recent mean and its equilibrium.
        decided_as: what ``decided`` is, as a formula.
    """
    judged, last = scores[-max(AT_LEAST, len(scores) // QUARTER) :], scores[-1]
    near = [s["js_averaged"] <= limit and (modes is None or s["modes_averaged"] == modes) for s in scores]
    longest = max((score["gradient"] for score in scores if math.isfinite(score["gradient"])), default=0.0)
    state, since = _state(judged, near[-len(judged) :], limit, modes, longest), None
    if state == "converged":
        since = next(u for i, u in enumerate(updates) if near[i] and sum(near[i:]) >= NEAR_SHARE * len(near[i:]))
    lately = [score["js"] for score in judged]
    head = HEADS[state].format(since=since, lowest=min(lately), highest=max(lately))
    figures = [
        f"JS {last['js_averaged']:.3f} bits averaged, {last['js']:.3f} as it learns (limit {limit:.3f}, floor "
        f"{floor['js']:.3f})",
        f"W1 {last['w1']:.4f} (floor {floor['w1']:.4f})",
        *([f"{last['modes_averaged']} of {modes} modes hit"] if modes else []),
        *_signs(judged, losses or {}, longest, decided_as),
    ]
    advice = ADVICE[state] and f". Advice: {ADVICE[state]}"
    return Convergence(state, since, f"{head}: {', '.join(figures)}{advice}")


def _state(judged: list[dict], near: list[bool], limit: float, modes: int | None, longest: float) -> str:
    if not math.isfinite(judged[-1]["w1"] + judged[-1]["gradient"]):
        return "diverged"
    if near[-1] and sum(near) >= NEAR_SHARE * len(near):
        return "converged"
    if modes is not None and statistics.median(score["modes_averaged"] for score in judged) < modes:
        return "collapsed"
    if statistics.median(score.get("decided", 0.0) for score in judged) > REFUSED:
        return "refused"
    if statistics.median(score["gradient"] for score in judged) < VANISHED * longest:
        return "died"
    highest, lowest = (pick(score["js"] for score in judged) for pick in (max, min))
    return "oscillated" if highest > limit and highest > SWING * lowest else "not arrived"


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
