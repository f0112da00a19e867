"""Distributions in the plane against closed forms; that their parts agree is tests/test_contracts_data.py's."""

import math

import pytest
import torch

from datamodules import distributions as d


def test_one_normal_distribution_has_the_masses_and_density_of_the_books():
    one = d.Mixture([[1.0, -2.0]], [[0.5, 2.0]])
    assert one.density(torch.tensor([[1.0, -2.0]])).item() == pytest.approx(1 / (2 * math.pi * 0.5 * 2.0))
    sigma = one.cell_masses(torch.tensor([0.5, 1.5]), torch.tensor([-4.0, 0.0]))  # one sigma each way
    assert sigma.item() == pytest.approx(0.6826894921**2, rel=1e-9)
    assert one.cell_masses(torch.tensor([0.0, 2.0]), torch.tensor([-6.0, 2.0]), widened=2.0).item() == pytest.approx(
        0.6826894921**2, rel=1e-9
    )


def test_curves_and_modes_lie_where_they_are_said_to():
    u = torch.tensor([0.0, 0.25, 0.5], dtype=torch.float64)
    assert d.Parabola().place(u)[0].tolist() == [
        pytest.approx([0.1, 0.85]), pytest.approx([0.3, 0.325]), pytest.approx([0.5, 0.15])
    ]  # fmt: skip
    assert d.Line().place(u)[0].tolist()[0] == pytest.approx([0.8, 0.6])
    assert d.Ring().place(u)[0].tolist()[1] == pytest.approx([0.5, 0.7])
    assert torch.linalg.vector_norm(d.EightGaussians().modes, dim=1).tolist() == pytest.approx([2 / 1.414] * 8)
    assert d.TwentyFiveGaussians().modes.abs().max().item() == pytest.approx(4 / 2.828)
    assert d.TwentyFiveGaussians().mode_sigma == pytest.approx(0.05 / 2.828)
    t = 1.5 * math.pi * 2
    assert d.SwissRoll().place(u)[0].tolist()[2] == pytest.approx([t * math.cos(t) / 7.5, t * math.sin(t) / 7.5])


def test_weights_are_kept():
    mixture = d.Mixture([[0.0, 0.0], [1.0, 0.0]], [0.01, 0.01], [3, 1])
    points = mixture.sample(40_000, torch.Generator().manual_seed(1))
    assert (points[:, 0] > 0.5).float().mean().item() == pytest.approx(0.25, abs=0.01)


def test_a_thin_curve_is_summed_at_points_closer_than_its_width():
    thin = d.SwissRoll(sigma=0.002)
    means = thin.components()[1]
    assert (
        torch.linalg.vector_norm(means.diff(dim=0), dim=1).max() <= 0.001 and len(d.SwissRoll().components()[0]) == 2048
    )
    u = torch.linspace(0.5, 0.501, 7, dtype=torch.float64)
    along = thin.density(thin.place(u)[0])
    assert along.max() < 1.05 * along.min(), "no row of dots"


@pytest.mark.parametrize("sigma", [0, -1.0, float("inf"), float("nan"), True, "wide", None])
def test_a_standard_deviation_is_a_positive_number(sigma):
    with pytest.raises(ValueError, match=f"dataset.distribution.sigma={sigma}: expects a positive number"):
        d.Ring(sigma)
