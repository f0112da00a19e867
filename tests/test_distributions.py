"""Distributions in the plane: densities and masses against closed forms and against their own samples; drawings."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules import distributions as d
from datamodules.drawings import DrawingError
from datamodules.plane import Plane

ALL = (d.Parabola, d.Line, d.Ring, d.SwissRoll, d.Gaussians, d.Disjoint, d.EightGaussians, d.TwentyFiveGaussians)


def edges(distribution, cells):
    x_low, x_high, y_low, y_high = distribution.window()
    return torch.linspace(x_low, x_high, cells + 1).double(), torch.linspace(y_low, y_high, cells + 1).double()


@pytest.mark.parametrize("kind", ALL)
def test_samples_fall_into_cells_as_often_as_their_masses_say(kind):
    distribution, count = kind(), 200_000
    x, y = edges(distribution, 12)
    masses = distribution.cell_masses(x, y).numpy()
    points = distribution.sample(count, torch.Generator().manual_seed(0)).numpy()
    found, _, _ = np.histogram2d(points[:, 1], points[:, 0], bins=(y.numpy(), x.numpy()))
    assert masses.sum() == pytest.approx(1, abs=1e-4)
    assert np.abs(found / count - masses).max() < 5 * math.sqrt(masses.max() / count)


@pytest.mark.parametrize("kind", [d.Ring, d.Gaussians, d.Disjoint])
def test_the_density_sums_to_the_masses(kind):
    distribution = kind()
    x, y = edges(distribution, 120)
    centres = torch.cartesian_prod((y[1:] + y[:-1]) / 2, (x[1:] + x[:-1]) / 2).flip(1)
    area = float((x[1] - x[0]) * (y[1] - y[0]))
    summed = (distribution.density(centres) * area).view(6, 20, 6, 20).sum((1, 3))
    assert torch.allclose(summed, distribution.cell_masses(x[::20], y[::20]), atol=2e-3)


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


def test_a_png_is_its_dark_pixels_upright(tmp_path):
    pixels = np.full((20, 40), 255, np.uint8)
    pixels[2, 5:35] = 0  # a stroke near the upper edge, and one pixel below its left end
    pixels[17, 5] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    _, means, _ = d.Drawing(str(tmp_path / "a.png")).components()
    assert len(means) == 31
    assert means[:, 0].min().item() == pytest.approx(0.1) and means[:, 0].max().item() == pytest.approx(0.9)
    low = means[means[:, 1].argmin()]
    assert low[0].item() == pytest.approx(0.1) and (means[:, 1] > 0.5).sum() == 30
    clear = np.zeros((20, 40, 4), np.uint8)
    clear[..., 3] = np.where(pixels == 0, 255, 0)
    Image.fromarray(clear).save(tmp_path / "b.png")
    assert torch.equal(d.Drawing(str(tmp_path / "b.png")).components()[1], means)


def test_one_clear_pixel_16_bits_and_white_ink_change_nothing(tmp_path):
    stroke = np.zeros((20, 20), bool)
    stroke[5, 4:14] = True

    def points(name, pixels):
        Image.fromarray(pixels).save(tmp_path / name)
        return d.Drawing(str(tmp_path / name)).components()[1]

    opaque = np.dstack([np.where(stroke, 0, 255)] * 3 + [np.full((20, 20), 255)]).astype(np.uint8)
    expected = points("a.png", opaque)
    opaque[0, 0, 3] = 254
    assert len(expected) == 10 and torch.equal(points("b.png", opaque), expected)
    assert torch.equal(points("c.png", np.where(stroke, 20000, 65535).astype(np.uint16)), expected)
    white = np.dstack([np.full((20, 20, 3), 255), np.where(stroke, 255, 0)]).astype(np.uint8)
    assert torch.equal(points("d.png", white), expected)


def test_a_thin_curve_is_summed_at_points_closer_than_its_width():
    thin = d.SwissRoll(sigma=0.002)
    means = thin.components()[1]
    assert (
        torch.linalg.vector_norm(means.diff(dim=0), dim=1).max() <= 0.001 and len(d.SwissRoll().components()[0]) == 2048
    )
    u = torch.linspace(0.5, 0.501, 7, dtype=torch.float64)
    along = thin.density(thin.place(u)[0])
    assert along.max() < 1.05 * along.min(), "no row of dots"


def test_csv_and_npy_hold_the_same_points(tmp_path):
    points = np.array([[0.0, 0.0], [4.0, 1.0], [2.0, 2.0]])
    (tmp_path / "p.csv").write_text("x,y\n0,0\n4,1\n\n2,2\n")
    np.save(tmp_path / "p.npy", points)
    means = [d.Drawing(str(tmp_path / name)).components()[1] for name in ("p.csv", "p.npy")]
    assert torch.equal(*means)
    assert means[0].tolist() == [pytest.approx(p) for p in ([0.1, 0.3], [0.9, 0.5], [0.5, 0.7])]


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("no.png", None, "no.png: no such file"),
        ("a.gif", b"", "a.gif: a drawing is a .png, .csv or .npy file"),
        ("a.png", b"hello", "a.png: not an image"),
        ("a.csv", b"1,2\n3,four\n", "a.csv: line 2 is not two numbers: 3,four"),
        ("a.csv", b"1,2\n3\n", "a.csv: line 2 is not two numbers: 3"),
        ("a.csv", b"1,2\n", "a.csv: holds 1 points, too few to learn from"),
        ("a.csv", b"1,2\nnan,1\n", "a.csv: holds numbers that are not finite"),
        ("a.csv", b"\xff\xfe\x00", "a.csv: not a text file"),
        ("a.npy", b"hello", "a.npy: not an array of numbers"),
    ],
)
def test_a_bad_drawing_is_told_in_one_line(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DrawingError) as error:
        d.Drawing(str(tmp_path / name))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_arrays_of_other_shapes_and_white_images_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 3)))
    with pytest.raises(DrawingError, match=r"an array of shape \(3, 3\) and float64, where \(N, 2\) numbers are due"):
        d.Drawing(str(tmp_path / "a.npy"))
    np.save(tmp_path / "o.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DrawingError, match="not an array of numbers"):
        d.Drawing(str(tmp_path / "o.npy"))
    Image.new("L", (8, 8), 255).save(tmp_path / "w.png")
    with pytest.raises(DrawingError, match="no stroke in it"):
        d.Drawing(str(tmp_path / "w.png"))


def plane(**settings) -> Plane:
    module = Plane(d.Ring(), batch_size=50, train_size=200, val_size=60, test_size=70, **settings)
    module.setup()
    return module


def test_points_are_the_same_for_every_run_and_splits_differ():
    one, two = plane(seed=0), plane(seed=1)
    assert torch.equal(one.train.points, two.train.points) and torch.equal(one.test.points, two.test.points)
    assert [len(split[0]) for split in (one.train, one.val, one.test)] == [200, 60, 70]
    more = Plane(d.Ring(), batch_size=50, train_size=200, val_size=50, test_size=7)
    more.setup()
    assert torch.equal(more.train.points, one.train.points), "sizes of other splits do not move the training points"
    assert not set(map(tuple, one.train.points.tolist())) & set(map(tuple, one.test.points.tolist()))
    batch = one.on_after_batch_transfer(next(iter(one.train_dataloader())), 0)
    assert batch[0].shape == (50, 2) and batch[0].dtype == torch.float32
    assert set(map(tuple, batch[0].tolist())) <= set(map(tuple, one.train.points.tolist()))


def test_a_drawing_counts_by_its_content_not_its_name(tmp_path):
    def identity(name, text):
        (tmp_path / name).write_text(text)
        described = {"_target_": "datamodules.distributions.Drawing", "path": str(tmp_path / name), "sigma": 0.02}
        return Plane.identity({"_target_": "datamodules.plane.Plane", "distribution": described, "shape": [2]})

    assert identity("a.csv", "0,0\n1,1\n") == identity("b.csv", "0,0\n1,1\n") != identity("c.csv", "0,0\n1,2\n")


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"train_size": 0}, "dataset.train_size=0: expects a positive whole number"),
        ({"batch_size": 300}, "dataset.batch_size=300: there are only 200 points to train on"),
        ({"shape": (1, 8, 8)}, r"dataset.shape=\[1, 8, 8\]: points in the plane are \[2\]"),
        ({"network_range": (1, 1)}, r"dataset.network_range=\[1, 1\]: expects two numbers, the lower one first"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Plane(d.Ring(), **{"batch_size": 50, "train_size": 200} | settings)
