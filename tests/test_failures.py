"""Each synthetic failure is what its name and its strength say."""

import pytest
import torch

from metrics.failures import FAILURES, MODE_NOISE, SIDE, STRENGTHS, Generator, make


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(400, 1, 28, 28, generator=Generator().manual_seed(9))


@pytest.fixture
def targets() -> torch.Tensor:
    return torch.arange(400) % 10


def sources(made: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Which of the images each one is: its index; -1 of one that is none of them."""
    distances = torch.cdist(made.flatten(1), images.flatten(1), compute_mode="donot_use_mm_for_euclid_dist")
    return torch.where(distances.min(1).values == 0, distances.argmin(1), -1)


def test_every_failure_has_strengths():
    assert set(STRENGTHS) == set(FAILURES) and all(STRENGTHS.values())


@pytest.mark.parametrize("name", FAILURES)
def test_every_failure_repeats_and_changes_nothing_else(name, images, targets):
    strength, kept, state = STRENGTHS[name][-1], images.clone(), torch.get_rng_state()
    first = make(name, images, targets, strength)
    assert torch.equal(first, make(name, images, targets, strength))
    assert torch.equal(images, kept) and torch.equal(torch.get_rng_state(), state)
    assert (first.shape, first.dtype) == (images.shape, images.dtype)
    assert first.min() >= 0 and first.max() <= 1
    assert not torch.equal(first, images)
    if name not in ("blur", "typical", "narrow_class"):  # which draw nothing
        assert not torch.equal(first, make(name, images, targets, strength, seed=1))


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_blur_of_a_point_is_a_gaussian_of_so_many_pixels_of_28(targets, strength):
    point = torch.zeros(1, 1, 56, 56)
    point[..., 28, 20] = 1
    blurred = make("blur", point, targets[:1], strength)[0, 0]
    assert blurred.sum().item() == pytest.approx(1, abs=1e-5)
    at = torch.arange(56)
    for axis, centre in ((1, 28), (0, 20)):
        profile = blurred.sum(axis)
        assert (profile * at).sum().item() == pytest.approx(centre, abs=1e-4)
        assert (profile * (at - centre) ** 2).sum().item() == pytest.approx((strength * 56 / SIDE) ** 2, rel=0.01)


def test_blur_of_small_images_is_still_a_blur(targets):
    """1/28 of a side of 8 would be .3 pixels, which a grid can't tell from none."""
    point = torch.zeros(1, 1, 8, 8)
    point[..., 4, 4] = 1
    assert make("blur", point, targets[:1], 1.0)[0, 0, 4, 4] < 0.3


def test_blur_leaves_a_flat_image_alone(targets):
    flat = torch.full((2, 1, 8, 8), 0.7)
    torch.testing.assert_close(make("blur", flat, targets[:2], 1.0), flat)


def test_noise_is_gaussian_and_clipped(images, targets):
    grey = torch.full_like(images, 0.5)
    made = make("noise", grey, targets, 0.2)
    inside = (made > 0) & (made < 1)
    assert (made - 0.5)[inside].abs().mean().item() == pytest.approx(0.2 * 0.78, rel=0.02)  # of |N(0, 1)| below 2.5
    assert (~inside).float().mean().item() == pytest.approx(0.0124, abs=0.002)  # beyond 2.5 deviations


@pytest.mark.parametrize("share", [0.05, 0.25, 1.0])
def test_so_many_images_are_uniform_noise(images, targets, share):
    made = make("noise_images", images / 4, targets, share)
    gone = sources(made, images / 4) == -1
    assert gone.sum() == share * 400
    assert made[gone].mean().item() == pytest.approx(0.5, abs=0.01)
    assert made[gone].var().item() == pytest.approx(1 / 12, abs=0.002)


def test_so_many_images_are_averages_of_two(images, targets):
    bright = images.round()  # an average of two different ones has pixels of a half
    made = make("averages", bright, targets, 0.25)
    assert ((made == 0.5).flatten(1).any(1)).sum() in (99, 100)  # one may be averaged with itself
    assert (sources(made, bright) >= 0).sum() in (300, 301)


def test_of_each_class_the_images_nearest_to_its_mean_are_left(targets):
    """Class c is images of one brightness each, c/20 on average: the nearest to that are known."""
    offset = (torch.arange(400) // 10 - 19.5) / 1000
    grey = (targets / 20 + 0.2 + offset).view(-1, 1, 1, 1).expand(-1, 1, 4, 4).contiguous()
    left = sources(make("typical", grey, targets, 0.25), grey)
    assert torch.equal(targets[left], targets)
    assert offset[left].abs().max() <= 0.00451 and all((left == i).sum() == 4 for i in left.unique())
    narrow = sources(make("narrow_class", grey, targets, 0.1), grey)
    assert torch.equal(narrow[targets > 0], torch.arange(400)[targets > 0])
    assert len(narrow[targets == 0].unique()) == 4
    assert len(sources(make("narrow_class", grey, targets, 0.001), grey)[targets == 0].unique()) == 1


@pytest.mark.parametrize(("share", "copied", "times"), [(0.05, 20, 2), (0.5, 200, 2), (0.75, 100, 4)])
def test_repeats_are_copies_of_others(images, targets, share, copied, times):
    counts = sources(make("repeats", images, targets, share), images).bincount(minlength=400)
    assert (counts == 0).sum() == share * 400
    assert (counts == times).sum() == copied and counts.max() == times


@pytest.mark.parametrize("share", [0.4, 1.0])
def test_a_share_of_the_first_class_is_replaced_by_others(images, targets, share):
    made = make("dropped_class", images, targets, share)
    assert torch.equal(made[targets != 0], images[targets != 0])
    of = targets[sources(made, images)]
    assert (of == 0).sum() == round(40 * (1 - share))
    assert len(of[(targets == 0)].unique()) >= 7  # of 10, in 40 draws


def test_a_share_of_half_of_the_classes_is_replaced_by_the_others(images, targets):
    of = targets[sources(make("half_classes", images, targets, 0.2), images)]
    assert (of >= 5).sum() == 160
    of = targets[sources(make("half_classes", images, targets, 1.0), images)]
    assert of.unique().tolist() == [0, 1, 2, 3, 4]


def test_of_an_odd_number_of_classes_the_larger_half_is_left(images, targets):
    left = (targets % 3)[sources(make("half_classes", images, targets % 3, 1.0), images)]
    assert left.unique().tolist() == [0, 1]


def test_one_mode_is_five_images_of_one_class(images, targets):
    made = make("one_mode", images, targets, 1.0)
    distances = torch.cdist(made.flatten(1), images.flatten(1))
    assert distances.max(1).values.min() > 5  # other images are far
    assert (distances.min(1).values / 28).max() < 1.2 * MODE_NOISE
    of = distances.argmin(1)
    assert targets[of].unique().tolist() == [0]
    assert of.bincount(minlength=400).sort().values[-6:].tolist() == [0, 80, 80, 80, 80, 80]


def test_an_unknown_failure_is_answered_by_the_known_ones(images, targets):
    with pytest.raises(ValueError, match="failure=blurr: accepted are noise_images, averages, noise, blur, typical"):
        make("blurr", images, targets, 1.0)
