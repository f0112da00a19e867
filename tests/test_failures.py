"""Each synthetic failure is what its name says."""

import pytest
import torch

from metrics.failures import BLUR, FAILURES, MODE_NOISE, NOISE, Generator, dropped_class, make


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(400, 1, 28, 28, generator=Generator().manual_seed(9))


@pytest.fixture
def targets() -> torch.Tensor:
    return torch.arange(400) % 10


def sources(made: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Which of the images each one is: its index; an image that is none of them fails."""
    distances = torch.cdist(made.flatten(1), images.flatten(1), compute_mode="donot_use_mm_for_euclid_dist")
    assert distances.min(1).values.max() == 0
    return distances.argmin(1)


@pytest.mark.parametrize("name", FAILURES)
def test_every_failure_repeats_and_changes_nothing_else(name, images, targets):
    kept, state = images.clone(), torch.get_rng_state()
    first = make(name, images, targets)
    assert torch.equal(first, make(name, images, targets))
    assert torch.equal(images, kept) and torch.equal(torch.get_rng_state(), state)
    assert (first.shape, first.dtype) == (images.shape, images.dtype)
    assert first.min() >= 0 and first.max() <= 1
    assert not torch.equal(first, images)
    if name != "blur":  # which draws nothing
        assert not torch.equal(first, make(name, images, targets, seed=1))


def test_blur_of_a_point_is_a_gaussian_of_one_pixel_of_28(targets):
    point = torch.zeros(1, 1, 28, 28)
    point[..., 14, 10] = 1
    blurred = make("blur", point, targets[:1])[0, 0]
    assert blurred.sum().item() == pytest.approx(1, abs=1e-5)
    at = torch.arange(28)
    for axis, centre in ((1, 14), (0, 10)):
        profile = blurred.sum(axis)
        assert (profile * at).sum().item() == pytest.approx(centre, abs=1e-4)
        assert (profile * (at - centre) ** 2).sum().item() == pytest.approx((28 * BLUR) ** 2, rel=0.01)


def test_blur_of_small_images_is_still_a_blur(targets):
    """1/28 of a side of 8 would be .3 pixels, which a grid can't tell from none."""
    point = torch.zeros(1, 1, 8, 8)
    point[..., 4, 4] = 1
    assert make("blur", point, targets[:1])[0, 0, 4, 4] < 0.5


def test_blur_leaves_a_flat_image_alone(targets):
    flat = torch.full((2, 1, 8, 8), 0.7)
    torch.testing.assert_close(make("blur", flat, targets[:2]), flat)


def test_noise_is_gaussian_and_clipped(images, targets):
    grey = torch.full_like(images, 0.5)
    made = make("noise", grey, targets)
    inside = (made > 0) & (made < 1)
    assert (made - 0.5)[inside].abs().mean().item() == pytest.approx(NOISE * 0.78, rel=0.02)  # of |N(0, 1)| below 2.5
    assert (~inside).float().mean().item() == pytest.approx(0.0124, abs=0.002)  # beyond 2.5 deviations


def test_pure_noise_has_nothing_of_the_images(images, targets):
    made = make("pure_noise", images, targets)
    assert torch.equal(made, make("pure_noise", torch.zeros_like(images), targets))
    assert made.mean().item() == pytest.approx(0.5, abs=0.01)
    assert made.var().item() == pytest.approx(1 / 12, abs=0.002)


@pytest.mark.parametrize("dropped", [None, 0, 7])
def test_dropped_class_is_replaced_by_others(images, targets, dropped):
    generator = Generator().manual_seed(0)
    made = dropped_class(images, targets, generator, dropped)
    gone = targets == (dropped or 0)
    assert torch.equal(made[~gone], images[~gone])
    of = targets[sources(made[gone], images)]
    assert (dropped or 0) not in of
    assert len(of.unique()) >= 7  # of 9, in 40 draws


def test_half_classes_are_left(images, targets):
    left = targets[sources(make("half_classes", images, targets), images)]
    assert left.unique().tolist() == [0, 1, 2, 3, 4]


def test_of_an_odd_number_of_classes_the_larger_half_is_left(images, targets):
    left = (targets % 3)[sources(make("half_classes", images, targets % 3), images)]
    assert left.unique().tolist() == [0, 1]


def test_one_mode_is_five_images_of_one_class(images, targets):
    made = make("one_mode", images, targets)
    distances = torch.cdist(made.flatten(1), images.flatten(1))
    assert distances.max(1).values.min() > 5  # other images are far
    assert (distances.min(1).values / 28).max() < 1.2 * MODE_NOISE
    of = distances.argmin(1)
    assert targets[of].unique().tolist() == [0]
    assert of.bincount(minlength=400).sort().values[-6:].tolist() == [0, 80, 80, 80, 80, 80]


def test_an_unknown_failure_is_answered_by_the_known_ones(images, targets):
    with pytest.raises(ValueError, match="failure=blurr: accepted are blur, noise, pure_noise, dropped_class"):
        make("blurr", images, targets)
