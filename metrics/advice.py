"""What is said of a fit in the plane (:mod:`metrics.convergence`): a word, a line, the figures, and the advice that the
field gives."""

import math
import statistics
from collections.abc import Iterable
from typing import NamedTuple

from metrics.plane_yardstick import Bound

NOT_IN_A_FIT = "words, found when a job looks at what a fit kept"

UNDECIDED = 0.1  # of |D - 1/2|
AT_EQUILIBRIUM = 0.1  # of a loss's distance from its equilibrium, relative to it
SHORT = 0.25  # gradients, in their longest mean
IN_A_FRAME = 10_000  # generated points whose divergences a frame has


class Words(NamedTuple):
    """Of a state: the ``head`` of the sentence, the ``line`` behind the state's name, and the ``advice``."""

    head: str
    line: str
    advice: str | None


LOWER = "lower the rates (model.lr_generator first), or let them decay where they do not yet (model.lr_decay=cosine)"
OR_WGAN_GP = ", or model=wgan_gp"  # which is not said of one
EPOCHS = "trainer.max_epochs"  # as the budget is called here; said is the one in force
LONGER = f"train longer ({EPOCHS})"
FASTER = "raise model.lr_generator, or train longer"
YOUNG = f"first {LONGER}, for {{updates}} updates are few; if that does not help, "
YOUNG_LINE = f"it comes no nearer yet; {LONGER}, or raise model.lr_critic"
WORDS = {
    "diverged": Words(
        "diverged, {lost} are not finite any more",
        "points or gradients are not finite any more; lower both rates",
        "lower both rates (model.lr_generator, model.lr_critic)",
    ),
    "unstable": Words(
        "not converged, {lost} were not finite at update {lost_at}",
        "points or gradients were not finite at update {lost_at}; lower both rates",
        "lower both rates (model.lr_generator, model.lr_critic)",
    ),
    "converged": Words(
        "converged, within all limits from update {since} on", "within all limits from update {since} on", None
    ),
    "drifted": Words("not converged, it drifts away", "{drifts}, moves away; lower model.lr_generator", LOWER),
    "outpaced": Words(
        "not converged, the critic does not lead the generator to the data",
        "the critic leads it nowhere; raise model.lr_critic, above .01 lower it",
        "the critic is too weak: give it more steps (model.n_critic), a higher rate (model.lr_critic) or a larger "
        "network (model.critic.hidden), or lower model.lr_generator; but a rate above .01 makes it jump: lower that",
    ),
    "collapsed": Words(
        "not converged, it misses modes or stretches",
        "it misses modes or stretches; raise model.n_critic, or model=wgan_gp",
        "give the critic more steps (model.n_critic) or a higher rate (model.lr_critic), or model=wgan_gp",
    ),
    "improving": Words("not converged yet, it still comes nearer", f"it still comes nearer; {LONGER}", LONGER),
    "early": Words(
        "not converged yet, and {updates} updates are too few to say more",
        f"{{updates}} updates are few; {LONGER}",
        LONGER,
    ),
    "arrived": Words(
        "not converged yet, within all limits only since update {arrived}",
        "within all limits only since update {arrived}; train longer to see whether it stays",
        f"{LONGER}, to see whether it stays",
    ),
    "overpowered": Words(
        "not converged, the discriminator tells real from generated",
        "the discriminator is too strong; lower model.lr_critic or raise model.lr_generator",
        "the discriminator is too strong: lower model.lr_critic or raise model.lr_generator, or model=wgan_gp",
    ),
    "vanished": Words(
        "not converged, nothing moves the generator any more",
        "the critic's gradients have vanished; lower model.lr_critic",
        "the critic says the same everywhere: lower model.lr_critic, or use model.critic.act=leaky_relu",
    ),
    "left": Words(
        "not converged, it was within all limits until update {until} and left them",
        "within all limits until update {until}, and no more; lower model.lr_generator",
        LOWER,
    ),
    "borderline": Words(
        "not converged: within all limits in the frames from update {arrived} to {until}, but not in the larger sample "
        "of the end",
        "near in its last frames, not in a larger sample, {worst}",
        f"{LONGER}, or lower the rates (model.lr_generator first)",
    ),
    "oscillated": Words(
        "not converged, it oscillates (within all limits in {near} of the last {judged} frames)",
        "near in {near} of {judged} frames, {worst}; lower model.lr_generator",
        LOWER,
    ),
    "stuck": Words("not converged, and it comes no nearer", "{worst}; {help}", None),
}
SCORES = {  # in the order in which they are said: what a score is called, its form, what helps where it stays
    "modes": ("modes hit", "{:.0f}", "raise model.n_critic, or model=wgan_gp"),
    "least": ("least share of a part, in its due", "{:.2f}", "larger batches (dataset.batch_size), or model=wgan_gp"),
    "misplaced": ("mass in the wrong part", "{:.3f}", "larger batches (dataset.batch_size), or model=wgan_gp"),
    "near": ("share of points within 3 sigma", "{:.3f}", "wider networks (model.generator.hidden)"),
    "narrowest": ("narrowest part, in the data's width", "{:.2f}", "raise model.n_critic"),
    "width": ("width of the median part, in the data's", "{:.2f}", "raise model.n_critic"),
    "widest": ("widest part, in the data's width", "{:.2f}", f"{LONGER}, or wider networks"),
    "js": ("JS in bits", "{:.4f}", f"{LONGER}, or wider networks"),
    "w1": ("W1", "{:.4f}", "larger batches (dataset.batch_size), or train longer"),
}
ALWAYS = ("js", "w1")  # said also where they are within their limits


def beyond(excesses: Iterable[float]) -> int:
    """How many excesses are beyond the limit."""
    return sum(not value <= 1 for value in excesses)


def in_short(name: str, value: float, bound: Bound) -> str:
    """``w1_averaged 0.0557, limit 0.0459``, by the name that the metric has in tables."""
    form = SCORES[name][1]
    return f"{name}_averaged {form.format(value)}, limit {form.format(bound.limit)}"


def figure(name: str, value: float, bound: Bound, excesses: list[float], drifting: bool) -> str:
    """A score with its limit and what the data score; where it was beyond the limit lately, or drifts, with a word."""
    label, form, _ = SCORES[name]
    over = "under" if bound.limit < bound.floor or name == "modes" else "over"
    limit = f"{over if excesses[-1] > 1 else 'within'} its limit {form.format(bound.limit)}"
    spread = f" ± {form.format(bound.spread)}" if bound.spread else ""
    words = [limit, f"floor {form.format(bound.floor)}{spread}"]
    if excesses[-1] <= 1 and beyond(excesses):
        words.append(f"beyond it in {beyond(excesses)} of the last {len(excesses)} frames")
    if drifting:
        words.append("drifting away")
    return f"{label} {form.format(value)} ({', '.join(words)})"


def signs(judged: list[dict], losses: dict[str, tuple[float, float]], longest: float, decided_as: str) -> list[str]:
    """The signs that GAN Lab's readers are told to look for.

    Args:
        judged: scores of the frames that are.
        losses: name of each to its recent mean and its equilibrium.
        longest: mean of the gradients in any frame.
        decided_as: what ``decided`` is, as a formula.
    """
    learning = [frame["js"] for frame in judged]
    found = [f"JS of the learning generator, {IN_A_FRAME:,} points, lately {min(learning):.3f} to {max(learning):.3f}"]
    if "decided" in judged[-1]:
        decided = statistics.median(score["decided"] for score in judged)
        word = "undecided" if decided <= UNDECIDED else "not undecided"
        found.append(f"the discriminator {word} (mean {decided_as} {decided:.2f})")
    if "critic_w1" in judged[-1]:
        estimate = statistics.median(score["critic_w1"] for score in judged)
        found.append("the critic's estimate of W1 " + (f"{estimate:.4f}" if math.isfinite(estimate) else "not finite"))
    for name, (value, expected) in losses.items():
        at = math.isclose(value, expected, rel_tol=AT_EQUILIBRIUM)
        found.append(f"{name} {value:.3f}, {'at' if at else 'off'} its equilibrium {expected:.3f}")
    if longest > 0:
        share = statistics.median(score["gradient"] for score in judged) / longest
        found.append(f"gradients {'down to' if share <= SHORT else 'still'} {100 * share:.0f} % of their longest")
    return found
