"""The generator's image of a grid: its density in closed form."""

import math

import pytest
import torch

from lightning_modules.noise import NOISES
from metrics.pushforward import density_and_orientation, manifold

NORMAL, UNIFORM = NOISES["normal"], NOISES["uniform"]
A = torch.tensor([[2.0, 1.0], [0.0, -1.5]])  # |det| 3, orientation reversed


def test_a_linear_generator_has_the_same_density_everywhere():
    found = manifold(lambda z: z @ A.T + 5, 2, UNIFORM, 6)
    assert torch.allclose(found.density, torch.full((36,), 0.25 / 3)) and not found.fold.any()
    assert found.vertices[0].tolist() == pytest.approx((A @ torch.tensor([-1.0, -1.0]) + 5).tolist())
    assert found.vertices[1].tolist() == pytest.approx((A @ torch.tensor([-2 / 3, -1.0]) + 5).tolist())
    area = 4 * 3 / 36
    assert (found.density * area).sum().item() == pytest.approx(1)


def test_of_normal_noise_it_is_the_change_of_variables():
    z = torch.tensor([[0.3, -1.2], [0.0, 0.0]])
    density, sign = density_and_orientation(lambda z: z @ A.T, z, NORMAL)
    normal = torch.exp(-0.5 * z.square().sum(1)) / (2 * math.pi)
    assert torch.allclose(density, normal / 3) and sign.tolist() == [-1, -1]


def test_a_fold_is_where_the_orientation_turns():
    found = manifold(lambda z: torch.stack([(z[:, 0] - 0.5).abs(), z[:, 1]], 1), 2, UNIFORM, 8)
    folded = found.fold.view(8, 8)  # rows are the second number's
    assert folded.tolist() == [[False] * 6 + [True] * 2] * 8


def test_one_number_of_noise_makes_a_curve():
    found = manifold(lambda z: torch.cat([3 * z, 4 * z], 1), 1, UNIFORM, 10)
    assert found.vertices.shape == (11, 2) and found.vertices[-1].tolist() == pytest.approx([3, 4])
    assert torch.allclose(found.density, torch.full((10,), 0.5 / 5))
    assert not found.fold.any()


def test_more_numbers_have_no_grid_and_a_flat_generator_an_infinite_density():
    assert manifold(lambda z: z[:, :2], 3, NORMAL, 4) is None
    assert density_and_orientation(lambda z: 0 * z, torch.zeros(1, 2), UNIFORM)[0].item() == math.inf
