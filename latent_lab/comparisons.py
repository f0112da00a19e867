"""Whether one head is better than another, from what both did on the same draws of the labels and the same seeds."""

import math
import statistics
from collections.abc import Hashable
from typing import NamedTuple

from latent_lab.rounding import with_spreads

# Student's t, two-sided 95 %, of 1, 2, ... degrees of freedom: three seeds are two, and 4.3 standard errors
QUANTILES = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12)


class Difference(NamedTuple):
    """What the better of two has ahead of the other.

    Attributes:
        mean: over the pairs; negative where the other is ahead.
        error: half the width of its 95 % interval; NaN from a single pair.
        pairs: how many (seed, draw of the labels) both have.
    """

    mean: float
    error: float
    pairs: int

    @property
    def within_noise(self) -> bool:
        """Whether no difference has been shown."""
        return math.isnan(self.error) or abs(self.mean) <= self.error


def difference(one: dict[tuple, float], other: dict[tuple, float]) -> Difference:
    """The paired difference of two heads' accuracies by (seed, draw).

    The pairs are not independent: those of one seed share the fit, those of one draw the labels. So the interval is the
    widest of three: of the pairs taken singly, of the means of each seed, of the means of each draw.
    """
    common = {key: one[key] - other[key] for key in one if key in other}
    if not common:
        return Difference(math.nan, math.nan, 0)
    groups = [list(common.values())]
    for position in (0, 1):
        parts: dict[Hashable, list[float]] = {}
        for key, value in common.items():
            parts.setdefault(key[position], []).append(value)
        groups.append([statistics.fmean(values) for values in parts.values()])
    errors = [_half_width(values) for values in groups if len(values) > 1]
    return Difference(statistics.fmean(common.values()), max(errors, default=math.nan), len(common))


def _half_width(values: list[float]) -> float:
    """Of the 95 % interval of the mean, by Student's t."""
    mean = math.fsum(values) / len(values)  # statistics.stdev reckons in fractions: seconds for 10,000 jobs
    error = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
    return QUANTILES[min(len(values) - 1, len(QUANTILES)) - 1] * error


def standings(best: Hashable, values: dict[Hashable, dict[tuple, float]], names: dict[Hashable, str]) -> str:
    """A sentence on the best of several heads, and on those within noise of it, else on the next; where some have fewer
    repetitions, by how many it is the best.

    Args:
        best: which is.
        values: of each head, accuracies in [0, 1] by (seed, draw).
        names: how they are called.
    """
    mean = statistics.fmean(values[best].values())
    most = len(values[best])  # a head with fewer repetitions may have a higher mean
    by = f" by {most} repetitions" if any(0 < len(of) < most for of in values.values()) else ""
    text = f"best{by} is {names[best]}, {with_spreads(mean, (), percent=True)}"
    rivals = {head: difference(values[best], of) for head, of in values.items() if head != best and of}
    apart = [names[head] for head, found in rivals.items() if not found.pairs]
    ranked = sorted(((found, head) for head, found in rivals.items() if found.pairs), key=lambda pair: pair[0].mean)
    # on the draws that both have, of which it may have more and harder ones
    ahead = [(found, head) for found, head in ranked if found.mean < 0 and not found.within_noise and found.pairs > 1]
    ranked = [pair for pair in ranked if pair not in ahead]
    near = [(found, head) for found, head in ranked if found.within_noise or found.mean < 0]
    counts = {found.pairs for found, _ in near or ranked[:1]}
    if ranked and all(found.pairs == 1 for found, _ in ranked):
        found, head = ranked[0]
        text += f"; next is {_behind(names[head], found, counts)}, by one draw and one fit, which show little"
        counts = set()
    elif near:
        text += "; not shown to be better than " + ", ".join(
            _behind(names[head], found, counts) for found, head in near
        )
    elif ranked:
        text += "; next is " + _behind(names[ranked[0][1]], ranked[0][0], counts)
    text += f"; {_pairs(*counts)}" if len(counts) == 1 else ""
    for found, head in reversed(ahead):
        lead, rest = with_spreads(-found.mean, [found.error], percent=True), "" if by else "of all repetitions "
        text = f"{names[head]} is ahead by {lead} where both were run ({_pairs(found.pairs)}); {rest}{text}"
    return text + (f"; without a common pair: {', '.join(apart)}" if apart else "")


def _behind(name: str, found: Difference, counts: set[int]) -> str:
    """``poisson (0.12 ± 0.06 behind)``; how many pairs, where these are not all as many."""
    by = with_spreads(abs(found.mean), [found.error], percent=True)
    where = "behind" if found.mean >= 0 else "ahead"
    of = f", {_pairs(found.pairs)}" if len(counts) > 1 else ""
    return f"{name} ({by} {where}{of})"


def _pairs(count: int) -> str:
    return f"{count} pair{'s' * (count > 1)}"
