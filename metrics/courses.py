"""Scores of a fit over its frames: how far they are from their limits, and where they go."""

import math
import statistics

from metrics.advice import beyond
from metrics.plane_yardstick import Bound

NOT_IN_A_FIT = "rules, applied when a job looks at what a fit kept"

QUARTER = 4  # of the frames, one in so many is judged
STEADY = 0.7  # rank correlation
CHANGED = 0.1  # of the mean of the first third, that the last third's differs by
ON_THE_WAY = 1 / 3  # of the way from the floor to the limit, that a score of a near generator may rise
SWING = 1.5  # highest over lowest, from which on a fit oscillates


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
    """1 if values rise steadily, -1 if they fall, 0 if they do neither: Spearman's rank correlation with their
    order is beyond .7, and the mean of the last third a tenth off that of the first."""
    first, last = _ends(values)
    if not math.isfinite(last - first) or abs(last - first) <= CHANGED * abs(first):
        return 0
    way = int(math.copysign(1, last - first))
    return way if way * _rank_correlation(values) >= STEADY else 0


def whole(excesses: list[dict[str, float]]) -> list[float]:
    """Of each frame, its excess as a whole (:mod:`metrics.convergence`), without scores that are infinite in one."""
    names = [
        name
        for name in excesses[0]
        if 2 * beyond(found[name] for found in excesses) >= len(excesses)
        and all(math.isfinite(found[name]) for found in excesses)
    ]
    return [statistics.geometric_mean([max(1.0, found[name]) for name in names] or [1.0]) for found in excesses]


def _ends(values: list[float]) -> tuple[float, float]:
    """The means of the first and of the last third."""
    third = max(1, len(values) // 3)
    return statistics.fmean(values[:third]), statistics.fmean(values[-third:])


def _rank_correlation(values: list[float]) -> float:
    """Spearman's, of values with their order; 0 if they are all equal."""
    ranks = [sum(other < value for other in values) + values.count(value) / 2 for value in values]
    return statistics.correlation(range(len(values)), ranks) if len(set(ranks)) > 1 else 0.0


def drifts(excesses: list[float], count: int) -> bool:
    """Whether those of a score of frames that are near rise, over so many frames, twice, or four times as many."""
    spans = [excesses[-count * times :] for times in (1, 2, QUARTER)] if excesses else []
    return any(trend(span) == 1 and (ends := _ends(span))[1] - ends[0] >= ON_THE_WAY for span in spans)


def swings(values: list[float]) -> bool:
    return max(values) > SWING * min(values)
