"""The noises: their draws, the paths between two of them, ticks and densities."""

import math

import pytest
import torch

from lightning_modules.noise import NOISES

NORMAL, UNIFORM = NOISES["normal"], NOISES["uniform"]


@pytest.mark.parametrize("noise", [NORMAL, UNIFORM])
def test_draws_are_torchs_own_by_either_generator(noise):
    """The order and the number of draws are part of every stored figure."""

    def expected(**where):
        return torch.randn(7, 3, **where) if noise is NORMAL else torch.rand(7, 3, **where) * 2 - 1

    def own():
        return torch.Generator().manual_seed(4)

    assert torch.equal(noise.sample(7, 3, own()), expected(generator=own()))
    torch.manual_seed(4)
    drawn = noise.sample(7, 3, device=torch.device("cpu"))
    torch.manual_seed(4)
    assert torch.equal(drawn, expected())


def test_uniform_noise_lies_in_its_cube_and_normal_noise_does_not():
    z = UNIFORM.sample(10_000, 3, torch.Generator().manual_seed(0))
    assert z.min() >= -1 and z.max() < 1 and z.std().item() == pytest.approx(1 / math.sqrt(3), abs=0.01)
    assert NORMAL.sample(10_000, 3, torch.Generator().manual_seed(0)).abs().max() > 3


def test_normal_noises_are_joined_by_great_circles():
    torch.manual_seed(0)
    a, b = torch.randn(5, 64), torch.randn(5, 64)
    a, b = 8 * a / a.norm(dim=1, keepdim=True), 8 * b / b.norm(dim=1, keepdim=True)
    points = NORMAL.path(a, b, 9)
    assert points.shape == (5, 9, 64)
    torch.testing.assert_close(points[:, 0], a)
    torch.testing.assert_close(points[:, -1], b)
    torch.testing.assert_close(points.norm(dim=2), torch.full((5, 9), 8.0))  # a straight line's middle: near 5.7
    steps = torch.cosine_similarity(points[:, 1:], points[:, :-1], dim=2)
    torch.testing.assert_close(steps, steps[:, :1].expand_as(steps))  # of equal angles
    # parallel noises, as one number of noise always is, have no circle
    line = NORMAL.path(torch.tensor([[1.0], [1.0]]), torch.tensor([[3.0], [-1.0]]), 3)
    assert line.flatten().tolist() == pytest.approx([1, 2, 3, 1, 0, -1])


def test_uniform_noises_are_joined_within_the_cube():
    """A great circle from (1, 0) to (1, 1) would leave the square the generator has seen: 1.08 in the middle."""
    a, b = torch.tensor([[1.0, 0.0], [-1.0, -1.0]]), torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    points = UNIFORM.path(a, b, 5)
    assert points.shape == (2, 5, 2) and points.abs().max() == 1
    assert points[0].tolist() == [[1, 0], [1, 0.25], [1, 0.5], [1, 0.75], [1, 1]]
    torch.testing.assert_close(points[:, -1], b)
    assert NORMAL.path(a, b, 5).abs().max() > 1.05


def test_ticks_hold_equal_probability():
    masses = torch.special.ndtr(NORMAL.ticks(5)).diff()
    assert torch.allclose(masses, masses[0].expand(4), atol=1e-5)
    assert masses.sum().item() == pytest.approx(0.99, abs=1e-5)
    assert UNIFORM.ticks(3).tolist() == [-1, 0, 1]


def test_densities_are_the_closed_forms():
    z = torch.tensor([[0.3, -1.2], [0.0, 0.0]])
    expected = torch.distributions.Normal(0, 1).log_prob(z).sum(1).exp()
    assert torch.allclose(NORMAL.density(z), expected)
    assert UNIFORM.density(torch.tensor([[0.0], [1.5]])).tolist() == [0.5, 0]
    assert UNIFORM.density(torch.zeros(1, 3)).item() == 0.125
