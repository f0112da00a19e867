"""Scores of pixels against closed forms, and that copies and artefacts are found however they are hidden."""

import math

import pytest
import torch

from metrics import pixels
from metrics.failures import Generator, make
from metrics.pixels import NAMES, RARE, PixelReference, spectra, texture, two_nearest


def smooth(n: int, seed: int) -> torch.Tensor:
    """Images 16x16 in [0, 1]: three soft spots each, at random places off the border."""
    generator = Generator().manual_seed(seed)
    centres, sizes = 4 + 8 * torch.rand(n, 3, 2, generator=generator), 1 + torch.rand(n, 3, 1, 1, generator=generator)
    at = torch.arange(16.0)
    squared = (at[:, None] - centres[..., :1, None]).square() + (at - centres[..., 1:, None]).square()
    return torch.exp(-squared / (2 * sizes.square())).amax(1, keepdim=True)


def uint8(images: torch.Tensor) -> torch.Tensor:
    return (images * 255).round().to(torch.uint8)


def noisy(images: torch.Tensor, deviation: float) -> torch.Tensor:
    return make("noise", images, torch.zeros(len(images)), deviation)


TRAIN = uint8(smooth(3000, 0))
HELD_OUT = smooth(500, 1)
COPIES = TRAIN[:400].float() / 255


@pytest.fixture(scope="module")
def reference() -> PixelReference:
    return PixelReference.of(HELD_OUT, TRAIN)


# Parts


def test_texture_of_a_wave_is_its_frequency_and_free_of_contrast():
    """cos(wx): the Laplacian is (2 - 2 cos w) times it, a difference of neighbours has 2 - 2 cos w of its energy."""
    w = 2 * math.pi / 8
    wave = 0.5 + 0.4 * torch.cos(w * torch.arange(66.0)).expand(1, 1, 66, 66)
    assert texture(wave).item() == pytest.approx(2 - 2 * math.cos(w), rel=0.05)
    torch.testing.assert_close(texture(0.1 * wave), texture(wave))
    assert texture(torch.full((2, 1, 8, 8), 0.3)).tolist() == pytest.approx([0, 0])
    assert texture(torch.zeros(1, 1, 8, 8)).item() == 0


def test_spectra_keep_distances_and_do_not_see_a_shift():
    images = torch.zeros(2, 1, 12, 12)
    images[:, :, 4:8, 4:8] = smooth(2, 3)[:, :, 5:9, 5:9]
    shifted = images.roll((2, -3), (2, 3))
    torch.testing.assert_close(spectra(shifted), spectra(images), rtol=1e-4, atol=1e-5)
    assert (spectra(images)[0] - spectra(images)[1]).norm() > 0.1 * (images[0] - images[1]).norm()
    assert (spectra(images)[0] - spectra(images)[1]).norm() < (images[0] - images[1]).norm()


@pytest.mark.parametrize("chunk", [7, 1000])
def test_the_two_nearest_are_found_across_chunks(monkeypatch, chunk):
    monkeypatch.setattr(pixels, "CHUNK", chunk)
    generator = Generator().manual_seed(0)
    points, others = torch.randn(50, 6, generator=generator), torch.randn(90, 6, generator=generator)
    others[11], others[80], others[81] = points[3], points[4] + 1e-4, points[4]
    expected = torch.cdist(points.double(), others.double()).topk(2, 1, largest=False).values
    torch.testing.assert_close(two_nearest(points, others).double(), expected, rtol=1e-4, atol=1e-6)
    assert two_nearest(points, others)[3, 0] == 0


# Scores


def test_real_images_score_as_real_images(reference):
    scores = reference.score(smooth(500, 2))
    assert tuple(scores) == NAMES and all(type(value) is float for value in scores.values())
    assert scores["sharpness"] > 0.97 and scores["spread"] == pytest.approx(1, abs=0.05)
    assert max(scores[name] for name in ("rough", "artefacts", "duplicates", "copies")) < 4 * RARE


def test_the_reference_itself_has_the_rare_share_of_each(reference):
    scores = reference.score(HELD_OUT)
    assert scores["sharpness"] == pytest.approx(1, abs=1e-6) and scores["spread"] == pytest.approx(1)
    assert scores["copies"] == pytest.approx(RARE, abs=0.003) and scores["duplicates"] == pytest.approx(RARE, abs=0.003)
    assert scores["artefacts"] == pytest.approx(RARE, abs=0.005)


@pytest.mark.parametrize(
    ("hidden", "least"),
    [
        (lambda x: x, 1),
        (lambda x: noisy(x, 0.02), 0.95),
        (lambda x: noisy(x, 0.05), 0.4),
        (lambda x: x.roll((1, -1), (2, 3)), 0.9),
        (lambda x: noisy(x.roll(1, 2), 0.03), 0.7),
    ],
    ids=["plain", "noise", "more noise", "shift", "shift and noise"],
)
def test_copies_of_training_images_are_found(reference, hidden, least):
    assert reference.score(hidden(COPIES))["copies"] >= least


def test_a_training_image_that_is_there_twice_is_a_copy_too():
    twice = PixelReference.of(HELD_OUT, torch.cat([TRAIN, TRAIN]))
    assert twice.score(COPIES)["copies"] == 1 and twice.score(smooth(400, 2))["copies"] < 4 * RARE


def test_copies_count_as_many_as_there_are(reference):
    mixed = torch.cat([COPIES[:40], smooth(360, 2)])
    assert reference.score(mixed)["copies"] == pytest.approx(0.1 + 0.9 * RARE, abs=0.02)


@pytest.mark.parametrize("share", [0.1, 0.3])
@pytest.mark.parametrize("odd", ["noise", "black", "white", "inverted", "checkerboard"])
def test_artefacts_are_as_many_as_there_are(reference, share, odd):
    images, generator = smooth(500, 2), Generator().manual_seed(0)
    board = (torch.arange(16)[:, None] + torch.arange(16)) % 2
    spoiled = {"noise": torch.rand(images.shape, generator=generator), "black": images * 0, "white": images * 0 + 1,
               "inverted": 1 - images, "checkerboard": (images + 0.3 * board).clamp(0, 1)}[odd]  # fmt: skip
    count = round(share * 500)
    mixed = torch.cat([spoiled[:count], images[count:]])
    assert reference.score(mixed)["artefacts"] == pytest.approx(share + (1 - share) * RARE, abs=0.02)


@pytest.mark.parametrize(("deviation", "most"), [(0.5, 0.97), (1.0, 0.85), (2.0, 0.6)])
def test_blur_lowers_sharpness_and_noise_does_not_make_up_for_it(reference, deviation, most):
    blurred = make("blur", smooth(500, 2), torch.zeros(500), deviation)
    assert reference.score(blurred)["sharpness"] < most
    rough = torch.rand(100, 1, 16, 16, generator=Generator().manual_seed(0))
    assert reference.score(torch.cat([blurred[100:], rough]))["sharpness"] < most + 0.05
    assert reference.score(blurred)["rough"] == 0 and reference.score(rough)["rough"] == 1


def test_spread_is_of_the_samples_and_not_of_their_pixels(reference):
    one = smooth(1, 2)
    assert reference.score(one.repeat(300, 1, 1, 1))["spread"] == pytest.approx(0, abs=1e-6)
    assert reference.score(noisy(one.repeat(300, 1, 1, 1), 0.05))["spread"] < 0.05
    assert reference.score(smooth(300, 2))["spread"] == pytest.approx(1, abs=0.05)


def test_duplicates_have_a_twin_also_beneath_slight_noise(reference):
    images = smooth(500, 2)
    twins = torch.cat([images[:450], noisy(images[:50], 0.02)])
    assert reference.score(twins)["duplicates"] == pytest.approx(0.2, abs=0.03)
    noise = torch.rand(300, 1, 16, 16, generator=Generator().manual_seed(0))
    assert reference.score(noise)["duplicates"] == 0


def test_only_the_first_are_looked_up_in_the_training_images(monkeypatch, reference):
    monkeypatch.setattr(pixels, "LOOKED_UP", 100)
    scores = reference.score(torch.cat([smooth(100, 2), COPIES]))
    assert scores["copies"] <= 0.04


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_non_finite_pixel_scores_nan(reference, value):
    images = smooth(20, 2)
    images[7, 0, 3, 3] = value
    scores = reference.score(images)
    assert tuple(scores) == NAMES and all(math.isnan(v) for v in scores.values())


def test_too_few_images_are_refused():
    with pytest.raises(ValueError, match="500 held-out and 1 training images: expects two or more of each"):
        PixelReference.of(HELD_OUT, TRAIN[:1])


def test_more_than_rarely_the_same_images_do_not_hide_copies():
    """Where a data set has many images twice, the rare ratio and the rare distance of its own images are 0."""
    held_out = torch.cat([COPIES[:10], HELD_OUT[:490]])
    reference = PixelReference.of(held_out, TRAIN)
    assert (reference.own, reference.twins) == (pixels.SAME, pytest.approx(reference.twins))
    assert reference.score(COPIES)["copies"] == 1 and reference.score(held_out)["copies"] == pytest.approx(0.02)
    doubled = PixelReference.of(torch.cat([HELD_OUT[:490], HELD_OUT[:10]]), TRAIN)
    assert doubled.twins == pixels.SAME and doubled.score(HELD_OUT[:1].repeat(50, 1, 1, 1))["duplicates"] == 1
    assert doubled.score(HELD_OUT[:490])["duplicates"] == 0


def test_blank_images_are_as_sharp_as_blank_ones():
    """0 / 0 of a texture: real images, a tenth of them blank, have all the sharpness there is."""
    held_out = HELD_OUT.clone()
    held_out[:50] = 0
    reference = PixelReference.of(held_out, TRAIN)
    assert reference.score(held_out)["sharpness"] == pytest.approx(1)
    assert reference.score(HELD_OUT)["sharpness"] == pytest.approx(1)
