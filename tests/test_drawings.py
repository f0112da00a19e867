"""Drawings: what points a file holds, and what bad ones are told by."""

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.drawings import Drawing, DrawingError, read_points
from datamodules.plane import Plane


def test_a_png_is_its_dark_pixels_upright(tmp_path):
    pixels = np.full((20, 40), 255, np.uint8)
    pixels[2, 5:35] = 0  # a stroke near the upper edge, and one pixel below its left end
    pixels[17, 5] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    _, means, _ = Drawing(str(tmp_path / "a.png")).components()
    assert len(means) == 31
    assert means[:, 0].min().item() == pytest.approx(0.1) and means[:, 0].max().item() == pytest.approx(0.9)
    low = means[means[:, 1].argmin()]
    assert low[0].item() == pytest.approx(0.1) and (means[:, 1] > 0.5).sum() == 30
    clear = np.zeros((20, 40, 4), np.uint8)
    clear[..., 3] = np.where(pixels == 0, 255, 0)
    Image.fromarray(clear).save(tmp_path / "b.png")
    assert torch.equal(Drawing(str(tmp_path / "b.png")).components()[1], means)


def test_one_clear_pixel_16_bits_and_white_ink_change_nothing(tmp_path):
    stroke = np.zeros((20, 20), bool)
    stroke[5, 4:14] = True

    def points(name, pixels):
        Image.fromarray(pixels).save(tmp_path / name)
        return Drawing(str(tmp_path / name)).components()[1]

    opaque = np.dstack([np.where(stroke, 0, 255)] * 3 + [np.full((20, 20), 255)]).astype(np.uint8)
    expected = points("a.png", opaque)
    opaque[0, 0, 3] = 254
    assert len(expected) == 10 and torch.equal(points("b.png", opaque), expected)
    assert torch.equal(points("c.png", np.where(stroke, 20000, 65535).astype(np.uint16)), expected)
    white = np.dstack([np.full((20, 20, 3), 255), np.where(stroke, 255, 0)]).astype(np.uint8)
    assert torch.equal(points("d.png", white), expected)


def test_csv_and_npy_hold_the_same_points(tmp_path):
    points = np.array([[0.0, 0.0], [4.0, 1.0], [2.0, 2.0]])
    (tmp_path / "p.csv").write_text("x,y\n0,0\n4,1\n\n2,2\n")
    np.save(tmp_path / "p.npy", points)
    means = [Drawing(str(tmp_path / name)).components()[1] for name in ("p.csv", "p.npy")]
    assert torch.equal(*means)
    assert means[0].tolist() == [pytest.approx(p) for p in ([0.1, 0.3], [0.9, 0.5], [0.5, 0.7])]


@pytest.mark.parametrize(
    "beginning", [b"", b"\xef\xbb\xbf", b"x,y\n", b"\xef\xbb\xbfx,y\n", b'\xef\xbb\xbf"x","y"\r\n']
)
def test_a_byte_order_mark_and_a_header_cost_no_point(tmp_path, beginning):
    (tmp_path / "a.csv").write_bytes(beginning + b"1,2\n3,4\n5,7\n")
    assert read_points(tmp_path / "a.csv").tolist() == [[1, 2], [3, 4], [5, 7]]


def test_a_drawing_is_told_by_its_content_not_its_name(tmp_path):
    """In an identity, wherever it stands; and by the data set's fingerprint, of what was drawn from it."""
    identities = []
    for name, text in (("a.csv", "0,0\n1,1\n"), ("b.csv", "0,0\n1,1\n"), ("a.csv", "0,0\n1,2\n")):
        (tmp_path / name).write_text(text)
        identities.append(Drawing.identity({"path": str(tmp_path / name), "sigma": 0.02}))
    assert identities[0] == identities[1] != identities[2] and name not in str(identities)
    prints = []
    for name, text in (("a.csv", "0,0\n1,1\n"), ("b.csv", "x,y\n0,0\n1,1\n"), ("a.csv", "0,0\n1,2\n")):
        (tmp_path / name).write_text(text)
        data = Plane(Drawing(str(tmp_path / name)), train_size=500)
        data.setup()
        prints.append(data.fingerprint("train"))
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("no.png", None, "no.png: no such file"),
        ("a.gif", b"", "a.gif: a drawing is a .png, .csv or .npy file"),
        ("a.png", b"hello", "a.png: not a PNG image"),
        ("a.csv", b"1,2\n3,four\n", "a.csv: line 2 is not two numbers: 3,four"),
        ("a.csv", b"1,2\n3\n", "a.csv: line 2 is not two numbers: 3"),
        ("a.csv", b"1,2\n", "a.csv: holds 1 points, too few to learn from"),
        ("a.csv", b"1,2\nnan,1\n", "a.csv: holds numbers that are not finite"),
        ("a.csv", b"0.5,O.5\n1,2\n3,4\n", "a.csv: line 1 is not two numbers: 0.5,O.5"),
        ("a.csv", b"1,2,3\n1,2\n3,4\n", "a.csv: line 1 is not two numbers: 1,2,3"),
        ("a.csv", b"\xef\xbb\xbf1,2,3\n1,2\n3,4\n", "a.csv: line 1 is not two numbers: 1,2,3"),
        ("a.csv", b"x;y\n1;2\n", "a.csv: line 2 is not two numbers: 1;2"),
        ("a.csv", b"\xff\xfe\x00", "a.csv: not a text file"),
        ("a.npy", b"hello", "a.npy: not an array of numbers"),
    ],
)
def test_a_bad_drawing_is_told_in_one_line(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DrawingError) as error:
        Drawing(str(tmp_path / name))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_arrays_of_other_shapes_and_white_images_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 3)))
    with pytest.raises(DrawingError, match=r"an array of shape \(3, 3\) and float64, where \(N, 2\) numbers are due"):
        Drawing(str(tmp_path / "a.npy"))
    np.save(tmp_path / "o.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DrawingError, match=r"an array of shape \(1,\) and object, where \(N, 2\) numbers are due"):
        Drawing(str(tmp_path / "o.npy"))
    Image.new("L", (8, 8), 255).save(tmp_path / "w.png")
    with pytest.raises(DrawingError, match="no stroke in it"):
        Drawing(str(tmp_path / "w.png"))
