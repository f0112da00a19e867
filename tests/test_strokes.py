"""What of a picture is learnt: its strokes, on paper or on black, grey or coloured, opaque or not; never the ground."""

import numpy as np
import pytest
from PIL import Image

from datamodules.drawings import DrawingError, read_points

WHITE, BLACK, NAVY, CREAM, CLEAR = (255, 255, 255), (0, 0, 0), (0, 0, 70), (250, 240, 200), (0, 0, 0, 0)
STROKE = np.zeros((20, 30), bool)
STROKE[4, 5:25] = STROKE[4:16, 24] = True


def picture(tmp_path, ground, ink, where=STROKE):
    """The file of a picture with a stroke."""
    pixels = np.where(where[..., None], np.array(ink, np.uint8), np.array(ground, np.uint8)).astype(np.uint8)
    Image.fromarray(pixels.squeeze()).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def expected(where=STROKE) -> list:
    rows, columns = np.nonzero(where)
    return np.stack([columns, len(where) - 1 - rows], 1).tolist()


@pytest.mark.parametrize(
    ("ground", "ink"),
    [
        (WHITE, BLACK),
        (BLACK, WHITE),  # a blackboard
        (BLACK, (90, 90, 90)),  # in weak chalk
        ([110], [10]),  # grey paper
        ([170], [60]),
        ([60], [200]),
        (WHITE, (255, 230, 0)),  # a highlighter, which a grey scale hardly sees
        (WHITE, (0, 200, 255)),
        (CREAM, (120, 20, 20)),
        (NAVY, (0, 255, 255)),
        ((128, 128, 128), (128, 220, 128)),
        (CLEAR, (0, 0, 0, 255)),
        (CLEAR, (255, 255, 255, 255)),
        (CLEAR, (255, 230, 0, 255)),
        ((255, 255, 255, 0), (200, 0, 0, 255)),
        ((255, 255, 255, 255), (0, 0, 0, 255)),
    ],
)
def test_the_stroke_is_learnt_whatever_it_is_drawn_on(tmp_path, ground, ink):
    assert read_points(picture(tmp_path, ground, ink)).tolist() == expected()


def test_a_picture_of_a_palette_and_one_of_16_bits_are_read_so_too(tmp_path):
    Image.open(picture(tmp_path, BLACK, WHITE)).convert("P").save(tmp_path / "p.png")
    Image.fromarray(np.where(STROKE, 60000, 9000).astype(np.uint16)).save(tmp_path / "i.png")
    for name in ("p.png", "i.png"):
        assert read_points(tmp_path / name).tolist() == expected()


def test_strokes_of_several_colours_are_all_learnt(tmp_path):
    pixels = np.full((20, 30, 4), 0, np.uint8)
    pixels[4, 5:25], pixels[4:16, 24] = (255, 0, 0, 255), (255, 230, 0, 255)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert read_points(tmp_path / "a.png").tolist() == expected()
    Image.fromarray(np.where(pixels[..., 3:] > 0, pixels[..., :3], 255).astype(np.uint8)).save(tmp_path / "a.png")
    assert read_points(tmp_path / "a.png").tolist() == expected()


def test_white_around_dark_strokes_on_nothing_is_paper(tmp_path):
    pixels = np.zeros((40, 60, 4), np.uint8)
    pixels[5:25, 5:35] = 255
    pixels[5:25, 5:35][STROKE] = (0, 0, 0, 255)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = read_points(tmp_path / "a.png")
    assert len(found) == STROKE.sum() and found.min(0).tolist() == [10, 40 - 1 - 20]


def test_a_blackboard_with_clear_corners_is_no_stroke(tmp_path):
    pixels = np.zeros((20, 30, 4), np.uint8)
    pixels[1:-1, 1:-1] = (20, 20, 20, 255)
    pixels[STROKE] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert read_points(tmp_path / "a.png").tolist() == expected()


def test_much_of_a_light_paper_may_be_covered(tmp_path):
    disc = np.zeros((20, 30), bool)
    disc[2:-2, 2:-2] = True
    assert disc.mean() > 0.5
    assert read_points(picture(tmp_path, WHITE, BLACK, disc)).tolist() == expected(disc)


def test_paper_in_a_dark_frame_is_refused(tmp_path):
    """Its border would be the ground, and the paper what is learnt."""
    frame = np.ones((20, 30), bool)
    frame[1:-1, 1:-1] = False
    with pytest.raises(DrawingError, match="a.png: its border is of another colour than most of it"):
        read_points(picture(tmp_path, WHITE, BLACK, frame | STROKE))


@pytest.mark.parametrize("grounds", [(WHITE, WHITE), (BLACK, BLACK), ([120], [110]), (CLEAR, CLEAR)])
def test_a_picture_without_a_stroke_is_refused(tmp_path, grounds):
    with pytest.raises(DrawingError, match="a.png: no stroke in it; strokes differ from their ground"):
        read_points(picture(tmp_path, *grounds))
