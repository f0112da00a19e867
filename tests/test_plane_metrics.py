"""Divergences, Wasserstein distance and modes of points in the plane, and the verdict on a fit, in closed form."""

import math

import pytest
import torch

from datamodules.distributions import Disjoint, EightGaussians, Mixture, Parabola, Ring, TwentyFiveGaussians
from metrics.convergence import ADVICE, convergence
from metrics.plane import CellGrid, kl_bits, mode_counts, real_sample, wasserstein_1


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


def test_modes_are_hit_by_points_within_three_sigmas():
    distribution = EightGaussians()
    real = mode_counts(real_sample(distribution, 50_000), distribution)
    assert real["modes"] == 8 and real["near_modes"] == pytest.approx(1 - math.exp(-4.5), abs=0.002)
    sigma = distribution.mode_sigma
    three = distribution.modes[:3].float().repeat(100, 1)
    assert mode_counts(three, distribution) == {"modes": 3, "near_modes": 1.0}
    edge = three + torch.tensor([2.9 * sigma, 0.0])
    assert mode_counts(edge, distribution)["modes"] == 3
    assert mode_counts(three + torch.tensor([3.1 * sigma, 0.0]), distribution) == {"modes": 0, "near_modes": 0.0}
    few = torch.cat([three, distribution.modes[7:].float()])  # one point of 301 is no mode hit
    assert mode_counts(few, distribution)["modes"] == 3
    assert mode_counts(three, Ring()) == {}


def test_the_limit_is_between_the_floor_and_a_shift_of_two_sigmas():
    for kind in (Parabola, Ring, EightGaussians):
        distribution = kind()
        grid, points = CellGrid(distribution), real_sample(distribution, 50_000)
        sigma = float(distribution.components()[2].mean())
        assert grid.divergences(points)["js"] < grid.limit < grid.divergences(points + 2 * sigma)["js"]


FLOOR = {"js": 0.002, "w1": 0.02}


def judge(js, learning=None, modes=None, decided=0.05, total=None, gradient=None, losses=None):
    scores = [
        {"js_averaged": value, "js": raw, "w1": value, "gradient": g, "decided": decided}
        | ({"modes_averaged": m} if m is not None else {})
        for value, raw, m, g in zip(
            js, learning or js, modes or [None] * len(js), gradient or [1.0] * len(js), strict=True
        )
    ]
    return convergence([10 * (i + 1) for i in range(len(js))], scores, 0.1, FLOOR, total, losses)


FALLING = [0.9, 0.7, 0.5, 0.3, 0.2, 0.12, 0.09, 0.08, 0.07, 0.06, 0.05, 0.05]


@pytest.mark.parametrize(
    "state, case",
    [
        ("diverged", {"js": [*FALLING[:-1], math.inf]}),
        ("diverged", {"js": FALLING, "gradient": [math.nan] + [1.0] * 10 + [math.nan]}),
        ("converged", {"js": FALLING}),
        ("converged", {"js": FALLING, "modes": [2] * 6 + [8] * 6, "total": 8}),
        ("converged", {"js": FALLING, "learning": [0.3, 0.05] * 6}),
        ("oscillated", {"js": [0.2] * 12, "learning": [0.3, 0.1] * 6}),
        ("oscillated", {"js": [*FALLING[:9], 0.4, 0.05, 0.3]}),
        ("collapsed", {"js": [0.2] * 12, "modes": [5] * 12, "total": 8}),
        ("collapsed", {"js": FALLING, "modes": [7] * 12, "total": 8}),
        ("refused", {"js": [0.9] * 12, "decided": 0.49}),
        ("died", {"js": [0.3] * 12, "gradient": [1.0] * 4 + [1e-6] * 8, "decided": 0.0}),
        ("not arrived", {"js": [0.3] * 12}),
    ],
)
def test_states_follow_from_the_rules(state, case):
    found = judge(**case)
    assert found.state == state
    assert found.sentence.endswith(f". Advice: {ADVICE[state]}") == (state != "converged")


def test_convergence_says_since_when_and_with_which_figures():
    losses = {"critic loss": (1.38, 2 * math.log(2)), "generator loss": (0.9, math.log(2))}
    found = judge(FALLING, learning=[*FALLING[:-1], 0.06], gradient=[4.0] + [1.0] * 11, losses=losses)
    assert found.since == 70
    assert found.sentence == (
        "converged, near its distribution from update 70 on: JS 0.050 bits averaged, 0.060 as it learns (limit 0.100, "
        "floor 0.002), W1 0.0500 (floor 0.0200), the discriminator undecided (mean |D - 1/2| 0.05), critic loss 1.380, "
        "at its equilibrium 1.386, generator loss 0.900, off its equilibrium 0.693, gradients down to 25 % of their "
        "longest"
    )
