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


SIDE = 200
ACROSS, DOWN = np.meshgrid(np.linspace(0, 1, SIDE), np.linspace(0, 1, SIDE))
FROM_CENTRE = (ACROSS - 0.5) ** 2 + (DOWN - 0.5) ** 2
LINES = (abs(np.sqrt(FROM_CENTRE) - 0.3) < 0.01) & (ACROSS > 0.3) | (abs(DOWN - 0.55) < 0.01) & (
    abs(ACROSS - 0.5) < 0.3
)
LEFT, CARD = LINES & (ACROSS < 0.5), (abs(ACROSS - 0.5) < 0.32) & (abs(DOWN - 0.5) < 0.32)
FAINTER = "a.png: its fainter marks are left out; to learn them too, draw them as strong as the others"


def learnt(tmp_path, *bands) -> np.ndarray:
    """What is learnt of a picture of these bands, each in [0, 1], as a mask."""
    pixels = np.stack([np.broadcast_to(np.clip(band, 0, 1) * 255, LINES.shape) for band in bands], -1).astype(np.uint8)
    Image.fromarray(pixels.squeeze()).save(tmp_path / "a.png")
    columns, rows = read_points(tmp_path / "a.png").astype(int).T
    found = np.zeros(LINES.shape, bool)
    found[SIDE - 1 - rows, columns] = True
    return found


def framed(width: int, frame: float, ground: float, ink: float) -> np.ndarray:
    picture = np.where(LINES, ink, ground)
    picture[:width] = picture[-width:] = picture[:, :width] = picture[:, -width:] = frame
    return picture


@pytest.mark.parametrize(
    ("light", "ink"),
    [
        (0.95 - 0.6 * ACROSS, 0.1),
        (0.95 - 0.9 * FROM_CENTRE, 0.1),
        (0.95 - 1.4 * FROM_CENTRE, 0.1),
        (0.95 - 0.45 * ACROSS, 0.55 * (0.95 - 0.45 * ACROSS)),  # pencil
        (0.3 - 0.25 * DOWN, 0.8),  # a slate
    ],
)
def test_light_that_falls_off_is_no_stroke(tmp_path, light, ink):
    assert (learnt(tmp_path, np.where(LINES, ink, light)) == LINES).all()


def test_a_coloured_stroke_on_a_gradient_is_learnt(tmp_path):
    ground = 0.9 - 0.8 * ACROSS
    assert (learnt(tmp_path, *(np.where(LINES, ink, ground) for ink in (1, 0, 0))) == LINES).all()


def test_specks_do_not_hide_the_strokes(tmp_path):
    pencil = np.where(LINES, 0.6, 0.93)
    specks = ([5, 190, 100], [5, 12, 3])
    pencil[specks] = 0
    found = learnt(tmp_path, pencil)
    assert found[LINES].all() and found.sum() == LINES.sum() + 3
    pencil[LINES] = 0.77
    with pytest.raises(DrawingError, match="a.png: only specks stand out, and its strokes are faint"):
        learnt(tmp_path, pencil)


def test_noise_is_no_stroke(tmp_path):
    noise = np.random.default_rng(0).normal(0, 1, LINES.shape)
    found = learnt(tmp_path, np.where(LINES, 0.5, 0.8) + 0.04 * noise)
    assert found[LINES].mean() > 0.95 and found[~LINES].mean() < 0.001
    with pytest.raises(DrawingError, match="a.png: its strokes can't be told from shade or noise"):
        learnt(tmp_path, 0.6 + 0.1 * noise)


@pytest.mark.parametrize("frame", [(1, 1, 0, 1), (8, 1, 0, 1), (8, 0.8, 0.2, 1), (1, 0, 1, 0), (8, 0, 1, 0)])
def test_a_slate_or_paper_in_a_frame_is_refused(tmp_path, frame):
    with pytest.raises(DrawingError, match="a.png: its border is of another colour than most of it; leave a margin"):
        learnt(tmp_path, framed(*frame))


@pytest.mark.parametrize(
    "shade",
    [
        ACROSS + DOWN < 0.6,
        ACROSS + DOWN < 0.2,
        ACROSS < 0.45,
        FROM_CENTRE < 0.06,
    ],
)
def test_a_shadow_is_not_learnt(tmp_path, shade):
    with pytest.raises(DrawingError, match="a.png: its strokes can't be told from shade or noise; light it evenly"):
        learnt(tmp_path, np.where(LINES, 0.15, np.where(shade, 0.5, 0.95)))


@pytest.mark.parametrize(
    "picture", [ACROSS, 0.95 - 1.4 * FROM_CENTRE, 0.2 + 3 * FROM_CENTRE.clip(0, 0.25), 10 * ACROSS]
)
def test_a_gradient_is_not_learnt(tmp_path, picture):
    with pytest.raises(DrawingError, match="no stroke in it|can't be told from shade|its border is of another colour"):
        learnt(tmp_path, picture)


def test_a_thick_shape_in_uneven_light_is_refused(tmp_path):
    with pytest.raises(DrawingError, match="its strokes can't be told from shade or noise"):
        learnt(tmp_path, np.where(CARD, 0.1, 0.95 - 0.6 * ACROSS))


@pytest.mark.parametrize("pale", [(0.68, 0.85, 0.9), (1, 0.75, 0.8), (0.56, 0.93, 0.56), (0.6, 0.6, 0.6)])
def test_a_line_says_that_pale_strokes_beside_dark_ones_are_left_out(tmp_path, caplog, pale):
    found = learnt(tmp_path, *(np.where(LEFT, 0, np.where(LINES, band, 1)) for band in pale))
    assert (found == LEFT).all() and caplog.messages == [f"{tmp_path}/{FAINTER}"]


def test_no_such_line_where_all_is_learnt(tmp_path, caplog):
    assert (learnt(tmp_path, *(np.where(LEFT, 0, np.where(LINES, band, 1)) for band in (1, 0.6, 0))) == LINES).all()
    assert not caplog.messages


@pytest.mark.parametrize("light", [1, 0.95, 0.5])
def test_strokes_of_any_colour_on_nothing_are_learnt(tmp_path, light):
    assert (learnt(tmp_path, *[np.where(LEFT, 0, light)] * 3, LINES) == LINES).all()


@pytest.mark.parametrize(("card", "ink"), [(0, 1), (0.85, 0), (1, 0), (0.2, 0.9)])
def test_a_card_on_nothing_is_no_stroke(tmp_path, card, ink):
    assert (learnt(tmp_path, *[np.where(LINES, ink, card)] * 3, CARD) == LINES & CARD).all()


@pytest.mark.parametrize("inner", [ACROSS < 0.5, FROM_CENTRE < 0.09])
def test_a_filled_shape_of_two_colours_on_nothing_is_refused(tmp_path, inner):
    with pytest.raises(DrawingError, match="a.png: it is of several colours on nothing"):
        learnt(tmp_path, *[np.where(inner, 0.7, 0)] * 3, CARD)
