"""Divergences, Wasserstein distance, modes and parts of points in the plane, in closed form, and their limits."""

import functools
import math

import pytest
import torch

from datamodules.distributions import (
    Disjoint,
    EightGaussians,
    Gaussians,
    Line,
    Mixture,
    Parabola,
    Ring,
    TwentyFiveGaussians,
)
from metrics.convergence import excess
from metrics.plane import CellGrid, kl_bits, mode_counts, wasserstein_1
from metrics.plane_yardstick import Parts, PlaneYardstick


@pytest.fixture(scope="module", autouse=True)
def fewer_draws():
    """Of the data themselves: eight, for speed, where twenty are taken."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("metrics.plane_yardstick.DRAWS", 8)
        yield


@pytest.mark.parametrize("kind", [Parabola, Ring, EightGaussians, TwentyFiveGaussians])
def test_equal_distributions_score_under_a_hundredth_of_a_bit(kind):
    """GAN Lab reads 0.69 bits for a perfect generator: 450 points, of which a splice leaves 151."""
    distribution = kind()
    floor = CellGrid(distribution).divergences(distribution.sample(100_000, torch.Generator().manual_seed(7)))
    assert 0 < floor["js"] < 0.01 and 0 < floor["kl"] < 0.01


def test_the_floor_falls_as_one_over_the_number_of_points():
    """The JS divergence of N points from where they come from is (cells - 1) / (8 N ln 2) to first order."""
    distribution = Mixture([[0.5, 0.5]], [[0.2, 0.2]])
    grid = CellGrid(distribution, cells=3)
    many = [grid.divergences(distribution.sample(20_000, torch.Generator().manual_seed(i))) for i in range(40)]
    expected = (int((grid.masses > 1e-4).sum()) - 1) / (8 * 20_000 * math.log(2))
    assert sum(d["js"] for d in many) / 40 == pytest.approx(expected, rel=0.25)


def test_divergences_are_exact_for_two_cells_and_bounded():
    p, q = torch.tensor([0.5, 0.5]).double(), torch.tensor([0.25, 0.75]).double()
    assert kl_bits(p, q) == pytest.approx(0.5 * math.log2(2) + 0.5 * math.log2(2 / 3))
    assert kl_bits(p, torch.tensor([0.0, 1.0]).double()) == math.inf
    assert kl_bits(torch.tensor([0.0, 1.0]).double(), q) == pytest.approx(math.log2(4 / 3))
    far = CellGrid(Ring()).divergences(torch.full((1000, 2), 99.0))
    assert far["js"] == pytest.approx(1, abs=1e-3) and far["kl"] == pytest.approx(math.log2(1001), abs=0.01)


def test_all_mass_is_counted_also_outside_the_window_and_of_no_number():
    grid = CellGrid(Ring())
    low, high = grid.window[0], grid.window[1]
    points = torch.tensor([[low, grid.window[2]], [high, 0.5], [math.nan, 0.5], [0.5, math.inf], [0.5, 0.5]])
    q = grid.frequencies(points)
    assert q.sum() == pytest.approx(1) and q[0] == pytest.approx(0.2) and q[-1] == pytest.approx(0.6)
    assert grid.masses.sum().item() == pytest.approx(1)


def test_cells_are_counted_where_they_lie():
    grid = CellGrid(Disjoint(), cells=10)
    x_low, x_high, y_low, y_high = grid.window
    point = torch.tensor([[x_low + 0.72 * (x_high - x_low), y_low + 0.31 * (y_high - y_low)]])
    assert grid.frequencies(point).nonzero().item() == 3 * 10 + 7


def test_w1_of_two_shifted_sets_is_the_shift():
    points = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(300, generator=torch.Generator().manual_seed(1))
    assert wasserstein_1(points, points[order]) == 0
    assert wasserstein_1(points, points[order] + torch.tensor([0.3, 0.4])) == pytest.approx(0.5, rel=1e-6)
    assert wasserstein_1(torch.zeros(2, 2), torch.tensor([[1.0, 0.0], [0.0, 3.0]])) == pytest.approx(2)
    assert wasserstein_1(torch.full((2, 2), math.nan), torch.zeros(2, 2)) == math.inf


def draw(distribution, count=20_000, seed=11):
    return distribution.sample(count, torch.Generator().manual_seed(seed))


def test_modes_are_hit_by_points_within_three_sigmas():
    distribution = EightGaussians()
    assert mode_counts(draw(distribution), distribution) == {"modes": 8}
    sigma = distribution.mode_sigma
    three = distribution.modes[:3].float().repeat(100, 1)
    assert mode_counts(three, distribution) == {"modes": 3}
    assert mode_counts(three + torch.tensor([2.9 * sigma, 0.0]), distribution) == {"modes": 3}
    assert mode_counts(three + torch.tensor([3.1 * sigma, 0.0]), distribution) == {"modes": 0}
    few = torch.cat([three, distribution.modes[7:].float()])  # one point of 301 is no mode hit
    assert mode_counts(few, distribution)["modes"] == 3
    assert mode_counts(three, Ring()) == {}


def test_the_limit_is_between_the_floor_and_a_shift_of_two_sigmas():
    for kind in (Parabola, Ring, EightGaussians):
        distribution = kind()
        grid, points = CellGrid(distribution), draw(distribution, 50_000)
        sigma = float(distribution.components()[2].mean())
        assert grid.divergences(points)["js"] < grid.limit < grid.divergences(points + 2 * sigma)["js"]


def test_parts_are_modes_or_hills_or_stretches_of_equal_mass():
    for distribution, count in ((Disjoint(), 3), (Gaussians(), 2), (TwentyFiveGaussians(), 25), (Line(), 20)):
        parts = Parts(distribution, draw(distribution))
        assert parts.count == count
        assert parts.shares.tolist() == pytest.approx([1 / count] * count, abs=0.02)
    which, sigmas = Parts(Line(), draw(Line())).places(torch.tensor([[0.8, 0.6], [0.05, 0.9], [math.nan, 0.0]]))
    assert which[:2].tolist() == [0, 19] and sigmas[:2].tolist() == pytest.approx([0, 0], abs=0.2)
    assert sigmas[2] == math.inf
    which, sigmas = Parts(Gaussians(), draw(Gaussians())).places(torch.tensor([[0.7, 0.8], [0.8, 0.4], [0.3, 0.9]]))
    assert which.tolist() == [1, 1, 0] and sigmas.tolist() == pytest.approx([2, 2, 2], rel=1e-5), "each axis its own"


def test_scores_of_parts_are_what_they_say():
    distribution = Disjoint(sigma=0.02)
    parts = Parts(distribution, draw(distribution, 200_000))
    a, b, c = (0.02 * torch.randn(10_000, 2, generator=torch.Generator().manual_seed(i)) for i in range(3))
    a, b, c = (spot + mean.float() for spot, mean in zip((a, b, c), distribution.modes, strict=True))
    even = parts.scores(torch.cat([a, b, c]))
    assert even == pytest.approx(
        {"near": 1 - math.exp(-4.5), "misplaced": 0, "least": 1, "narrowest": 1, "width": 1, "widest": 1}, abs=0.03
    )
    uneven = parts.scores(torch.cat([a, b[:4000], c[:6000]]))
    assert uneven["misplaced"] == pytest.approx(1 / 2 - 1 / 3, abs=0.01)
    assert uneven["least"] == pytest.approx(0.6, abs=0.02)
    wide = parts.scores(torch.cat([a, 0.25 * (b - b.mean(0)) + b.mean(0), 1.5 * (c - c.mean(0)) + c.mean(0)]))
    assert (wide["narrowest"], wide["width"], wide["widest"]) == pytest.approx((0.25, 1, 1.5), rel=0.03)
    assert wide["near"] == pytest.approx(1 - (math.exp(-4.5) + math.exp(-2)) / 3, abs=0.01)
    away = parts.scores(torch.cat([a, b, c - torch.tensor([0.0, 0.25])]))  # in the third part, but near no mode
    assert away["least"] == 0 and away["misplaced"] == pytest.approx(1 / 3, abs=0.01)
    far = parts.scores(torch.full((100, 2), math.nan))
    assert far["near"] == far["least"] == 0 and far["widest"] == math.inf


def spoilt(distribution, how, strength, count=10_000):
    """The distribution's points, spoilt in one way."""
    generator = torch.Generator().manual_seed(12)
    points, u = draw(distribution, count), torch.rand(count, generator=generator)
    hit = torch.rand(count, generator=generator) < strength
    modes, sigma = distribution.modes, float(distribution.components()[2].mean())
    match how:
        case "nothing":
            return points
        case "heavy":  # so much of the mass on the first part
            place = torch.where(u < strength, u / strength / 2, (u - strength) / (1 - strength) / 2 + 0.5)
        case "gap":  # in a curve
            place = strength + (1 - strength) * u + 0.37
        case "light mode":  # one, at so much of its share
            gone = (torch.cdist(points.double(), modes).argmin(1) == 3) & (u > strength)
            points[gone] = points[~gone][: int(gone.sum())]
            return points
        case "half the modes":  # at so much of their share
            gone = (torch.cdist(points.double(), modes).argmin(1) < len(modes) // 2) & (u > strength)
            points[gone] = points[~gone][: int(gone.sum())]
            return points
        case "width":
            nearest = modes[torch.cdist(points.double(), modes).argmin(1)].float()
            return nearest + strength * (points - nearest)
        case "one width":
            which = torch.cdist(points.double(), modes).argmin(1)
            nearest = modes[which].float()
            return torch.where((which == 2)[:, None], nearest + strength * (points - nearest), points)
        case "bridges":
            between = torch.lerp(points, points.flip(0), u[:, None])
            return torch.where(hit[:, None], between, points)
        case "scaled":
            return points.mean(0) + strength * (points - points.mean(0))
        case "shifted":  # by so many sigmas
            return points + strength * sigma
        case "uniform":
            low, high = points.min(0).values, points.max(0).values
            return torch.where(hit[:, None], low + (high - low) * torch.rand(count, 2, generator=generator), points)
    return distribution.transport(place.double() % 1, torch.randn(count, 2, generator=generator).double()).float()


ALL = (Parabola, Line, Ring, Gaussians, Disjoint, EightGaussians, TwentyFiveGaussians)
SPOILT = [  # distribution, how, near up to and not from these strengths, and what the latter fails by
    *((kind, "nothing", 0, None, None) for kind in ALL),
    (Gaussians, "heavy", 0.55, 0.7, "least"),
    (Gaussians, "heavy", 0.55, 0.95, "w1"),
    (Parabola, "gap", 0.01, 0.05, "least"),
    (Parabola, "gap", 0.01, 0.2, "misplaced"),
    (Ring, "gap", 0.01, 0.05, "least"),
    (EightGaussians, "half the modes", 0.85, 0.5, "misplaced"),
    (EightGaussians, "light mode", 0.85, 0.5, "least"),
    (TwentyFiveGaussians, "light mode", 0.85, 0.25, "least"),
    (TwentyFiveGaussians, "light mode", 0.85, 0.0, "modes"),
    (EightGaussians, "width", 1.3, 1.6, "near"),
    (EightGaussians, "width", 1.3, 2.2, "widest"),
    (EightGaussians, "width", 0.6, 0.4, "width"),
    (EightGaussians, "one width", 0.35, 0.15, "narrowest"),
    (EightGaussians, "one width", 1.5, 2.5, "widest"),
    (TwentyFiveGaussians, "bridges", 0.05, 0.2, "near"),
    (EightGaussians, "scaled", 1.005, 1.05, "modes"),
    (Parabola, "scaled", 1.01, 1.2, "near"),
    (Ring, "shifted", 0.4, 2.5, "near"),
    (Gaussians, "shifted", 0.1, 0.5, "w1"),
    (EightGaussians, "uniform", 0.05, 0.2, "near"),
    (Parabola, "uniform", 0.05, 0.2, "near"),
]


@functools.cache
def yardstick(kind):
    return PlaneYardstick(kind(), 10_000)


@pytest.mark.parametrize("kind, how, near, far, by", SPOILT)
def test_limits_hold_what_they_mean(kind, how, near, far, by):
    def beyond(strength):
        scores, bounds = yardstick(kind).scores(spoilt(kind(), how, strength), 4), yardstick(kind).bounds
        return {name for name, bound in bounds.items() if excess(scores[name], bound) > 1}

    assert beyond(near) == set()
    assert far is None or by in beyond(far)


def test_the_floor_is_that_of_draws_and_its_spread_is_theirs():
    """Its mean falls with more points, its spread too, and the limits stand off from it."""
    found = yardstick(EightGaussians).bounds
    assert found["w1"].floor == pytest.approx(0.105, abs=0.03) and 0.01 < found["w1"].spread < 0.06
    assert found["w1"].floor + found["w1"].spread < found["w1"].limit < 3 * found["w1"].floor
    assert found["modes"] == (8, 0, 8) and found["near"].floor == pytest.approx(1 - math.exp(-4.5), abs=1e-3)
    assert found["misplaced"].limit == pytest.approx(found["misplaced"].floor + 0.1)
    fewer = PlaneYardstick(EightGaussians(), 500, 50).bounds
    assert fewer["misplaced"].spread > 2 * found["misplaced"].spread and fewer["w1"].floor > 1.5 * found["w1"].floor
    again = PlaneYardstick(EightGaussians(), 500, 50).bounds
    assert again == fewer


def test_mass_is_misplaced_where_none_is_near():
    """All of it: 0 would be the score of the data themselves."""
    found = PlaneYardstick(Ring(), 1000).scores(torch.full((1000, 2), 50.0))
    assert found["misplaced"] == pytest.approx(1) and found["near"] == 0 and found["least"] == 0
