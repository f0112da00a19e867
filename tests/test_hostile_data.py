"""Data files that lie of themselves: each is refused in one line, before what it claims is made room for."""

import io
import os
import resource
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from datamodules import drawings
from datamodules.drawings import MOST_POINTS, Drawing, DrawingError
from datamodules.idx import DataError, read_idx
from datamodules.mnist import MNIST

ROOM = 200 * 2**20  # bytes that a refusal may take in all: 12,000 x 12,000 pixels take 144 MB a byte a pixel


def array(shape: str, descr: str = "'<f8'", numbers: bytes = b"", version: int = 1) -> bytes:
    """An NPY file with any header."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + len(header).to_bytes(2 * version, "little") + header + numbers


def png(width: int, height: int, rows: bytes = b"", more: bytes = b"") -> bytes:
    """A grey PNG of any size it likes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + more + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def other_kind(kind: str) -> bytes:
    """A black image in another format."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, kind)
    return file.getvalue()


def archive() -> bytes:
    file = io.BytesIO()
    np.savez(file, a=np.zeros((3, 2)))
    return file.getvalue()


@pytest.fixture
def little_room():
    """This process may take that much more memory than it has."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


needs_limits = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="Linux says how much memory is used")


@needs_limits
@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.png", png(12_000, 12_000), "12,000 x 12,000 pixels, where at most 8,388,608 are read; scale it down"),
        ("a.png", png(10_000, 10_000), "10,000 x 10,000 pixels, where at most 8,388,608 are read; scale it down"),
        ("a.png", png(20_000, 20_000), "more than 8,388,608 pixels; scale it down"),
        ("a.png", png(2**31 - 1, 2**31 - 1), "more than 8,388,608 pixels; scale it down"),
        ("a.png", png(400, 400, os.urandom(400 * 401))[:90_000], "not a PNG image that can be read"),
        ("a.png", png(4, 4)[:-30], "not a PNG image"),
        ("a.png", png(0, 5), "not a PNG image"),
        ("a.png", other_kind("EPS"), "not a PNG image"),
        ("a.png", other_kind("TIFF"), "not a PNG image"),
        ("a.npy", array("(1000000000000, 2)"), "0 bytes of numbers where 16000000000000 are due"),
        ("a.npy", array("(1000000000000, 2)", version=2), "0 bytes of numbers where 16000000000000 are due"),
        ("a.npy", array("(3, 2)", numbers=bytes(47)), "47 bytes of numbers where 48 are due"),
        ("a.npy", array("(-3, 2)", numbers=bytes(48)), "48 bytes of numbers where -48 are due"),
        ("a.npy", array("(0, 2)"), "holds 0 points, too few"),
        ("a.npy", array("(3, 2)", "'|O'"), "an array of shape (3, 2) and object, where (N, 2) numbers are due"),
        ("a.npy", array("(3, 2)", "'<c16'"), "an array of shape (3, 2) and complex128, where"),
        ("a.npy", array("(2,)", "[('x', '<f8')]"), "where (N, 2) numbers are due"),
        ("a.npy", array("()"), "an array of shape () and float64, where (N, 2) numbers are due"),
        ("a.npy", array("(2, 2)", numbers=struct.pack("<4d", 0, 1, float("inf"), 1)), "numbers that are not finite"),
        ("a.npy", array("(2, 2)", numbers=struct.pack("<4d", 0, 1, float("nan"), 1)), "numbers that are not finite"),
        ("a.npy", array("(2, 2)", numbers=struct.pack("<4d", 1e308, 1, -1e308, 1)), "farther apart than numbers reach"),
        ("a.npy", array("(True, 2)", numbers=bytes(16)), "an array of shape (True, 2) and float64, where (N, 2)"),
        ("a.npy", array("(2.0, 2)", numbers=bytes(32)), "not an array of numbers"),
        ("a.npy", array(f"({'9' * 4000}, 2)", numbers=bytes(16)), "16 bytes of numbers where 1599999"),
        ("a.npy", array(f"({'9' * 4299}, 2)", numbers=bytes(16)), "16 bytes of numbers where a number without end are"),
        ("a.npy", array(f"(2, {'9' * 4000})", numbers=bytes(16)), "9999... and float64, where (N, 2) numbers are due"),
        ("a.npy", array("(" * 9000), "not an array of numbers"),
        ("a.npy", array("__import__('os')"), "not an array of numbers"),
        ("a.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "not an array of numbers"),
        ("a.npy", b"\x93NUMPY\x09\x00", "not an array of numbers"),
        ("a.npy", archive(), "not an array of numbers"),
        ("a.csv", b"1" * 200_000, "not a text file"),
        ("a.csv", b"\n" * (2**21 + 1), "more than 2,097,152 lines; leave some out"),
        ("a.csv", b"1,1e999\n2,2\n", "holds numbers that are not finite"),
    ],
)  # fmt: skip
def test_a_drawing_that_claims_too_much_is_refused_in_one_line_and_little_memory(
    tmp_path, little_room, name, content, message
):
    (tmp_path / name).write_bytes(content)
    start = time.monotonic()
    with pytest.raises(DrawingError) as error:
        Drawing(str(tmp_path / name))
    assert message in str(error.value) and "\n" not in str(error.value)
    assert len(str(error.value)) < len(str(tmp_path)) + 250
    assert str(error.value).startswith(str(tmp_path / name)) and time.monotonic() - start < 5


@pytest.mark.parametrize("kind", ["<f4", ">f8", ">i2", "<f2", "<u8"])
def test_numbers_of_any_kind_and_order_are_the_same_points(tmp_path, kind):
    points = np.array([[0, 0], [4, 1], [2, 2]])
    np.save(tmp_path / "a.npy", points.astype(kind))
    np.save(tmp_path / "b.npy", np.asfortranarray(points.astype(kind)))
    for name in ("a.npy", "b.npy"):
        assert drawings.read_points(tmp_path / name).tolist() == points.tolist()


def test_of_more_points_than_are_learnt_from_some_are_drawn_and_a_line_says_so(tmp_path, caplog):
    line = np.stack([np.arange(100_000), np.zeros(100_000)], axis=1)
    np.save(tmp_path / "a.npy", line)
    _, means, _ = Drawing(str(tmp_path / "a.npy")).components()
    assert len(means) == MOST_POINTS == 16_384
    assert caplog.messages == [f"{tmp_path}/a.npy: of its 100,000 points, 16,384 drawn at random are learnt from"]
    x = means[:, 0]
    assert (x.diff() > 0).all() and abs(x.mean() - 0.5) < 0.01  # in their order, and from all of the line
    assert (Drawing(str(tmp_path / "a.npy")).components()[1] == means).all()
    caplog.clear()
    np.save(tmp_path / "b.npy", line[:MOST_POINTS])
    assert len(Drawing(str(tmp_path / "b.npy")).components()[1]) == MOST_POINTS and not caplog.messages


def test_an_image_of_a_camera_is_read_though_many_of_its_pixels_be_dark(tmp_path):
    paper, stroke = b"\0" + b"\xff" * 2000, b"\0" + b"\xff" * 350 + bytes(1300) + b"\xff" * 350
    (tmp_path / "a.png").write_bytes(png(2000, 2000, paper * 350 + stroke * 1300 + paper * 350))
    _, means, _ = Drawing(str(tmp_path / "a.png")).components()
    assert len(means) == MOST_POINTS and abs(means.min() - 0.1) < 1e-3 > abs(means.max() - 0.9)


def no_file(path, kind: str) -> str:
    """Something that is no file; returns what is said of it."""
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a link to a pipe":
        os.mkfifo(path.with_name("pipe"))
        path.symlink_to(path.with_name("pipe"))
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    elif kind == "a folder":
        path.mkdir()
        return "a folder, not a file"
    else:
        with open(path, "wb") as file:
            file.truncate(2**40)
        return "1,099,511,627,776 bytes, where at most "
    return "a pipe or a device, not a file"


NO_FILES = ["a folder"] + ["a pipe", "a link to a pipe", "a device", "a terabyte of nothing"] * (os.name == "posix")


@pytest.mark.parametrize("kind", NO_FILES)
@pytest.mark.parametrize("name", ["a.csv", "a.npy", "a.png"])
def test_what_is_no_file_is_not_waited_for(tmp_path, kind, name):
    said = no_file(tmp_path / name, kind)
    with pytest.raises(DrawingError) as error:
        Drawing(str(tmp_path / name))
    assert str(error.value).startswith(f"{tmp_path / name}: can't be read ({said}")


@pytest.mark.parametrize("kind", NO_FILES)
def test_nor_as_a_file_of_images(tmp_path, kind):
    """Where all four are there, and where one is to be downloaded: torchvision would write into a pipe."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    said = no_file(raw / "train-images-idx3-ubyte", kind)
    for complete in (False, True):
        if complete:
            for name in ("train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
                (raw / name).write_bytes(b"")
        with pytest.raises(DataError) as error:
            MNIST(50, 60, root=str(tmp_path)).setup()
        assert str(error.value).startswith(f"{raw}/train-images-idx3-ubyte: {said}")
        assert str(error.value).count("paths.data=DIR") == 1


@needs_limits
@pytest.mark.parametrize("claimed", [(2**32 - 1, 28, 28), (2**32 - 1,) * 3, (60_000, 28, 28)])
def test_a_header_that_claims_more_than_is_there_is_refused_before_there_is_room_for_it(tmp_path, little_room, claimed):
    (tmp_path / "a").write_bytes(struct.pack(">4I", 2051, *claimed) + bytes(784))
    due = 16 + int(np.prod(claimed, dtype=object))
    with pytest.raises(DataError, match=rf"a: 800 bytes where {due} are due \(truncated or damaged\); go"):
        read_idx(tmp_path / "a", 3, "go")
