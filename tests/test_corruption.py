"""The denoising VAE's corruption, within the bounds that its arguments say."""

import math

import torch

from lightning_modules.corruption import Jitter


def test_jitter_of_nothing_is_the_identity():
    x = torch.rand(3, 1, 8, 8)
    torch.testing.assert_close(Jitter()(x), x)


def test_jitter_shifts_by_a_share_of_the_side():
    """A point in the middle of 101 pixels, shifted by up to 0.1 of the side: never more than 10 pixels away."""
    torch.manual_seed(0)
    x = torch.zeros(400, 1, 101, 101)
    x[:, :, 50, 50] = 1
    moved = Jitter(shift=0.1)(x)[:, 0]
    rows = (moved.sum(2) * torch.arange(101)).sum(1) / moved.sum((1, 2)) - 50
    assert rows.abs().max() <= 10.2
    assert rows.abs().max() > 9
    assert rows.mean().abs() < 1


def test_jitter_changes_the_tone_within_its_bounds():
    """gain * x ** gamma of a grey of 0.5, with gain in 1 ± 0.2 and log gamma in ± 0.2."""
    torch.manual_seed(0)
    toned = Jitter(tone=0.2)(torch.full((2000, 1, 4, 4), 0.5))
    low, high = 0.8 * 0.5 ** math.exp(0.2), 1.2 * 0.5 ** math.exp(-0.2)
    assert low <= toned.min() < low + 0.02 and high - 0.02 < toned.max() <= high
    assert torch.equal(toned[:, 0, 0, 0], toned[:, 0, 3, 3])


def test_jitter_draws_for_each_image():
    torch.manual_seed(0)
    x = torch.rand(1, 1, 16, 16).repeat(5, 1, 1, 1)
    moved = Jitter(rotation=20)(x)
    assert len({tuple(image.flatten().tolist()) for image in moved}) == 5
