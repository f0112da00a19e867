"""Canvases to the pixel, and the files they become."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from callbacks.drawing import mosaics
from callbacks.drawing.mosaics import INK, LINE, PAPER
from callbacks.drawing.output import pixels, save_png, show, write_whole


def canvas(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def test_each_image_lands_in_its_place():
    images = torch.tensor([[[10, 20]], [[30, 40]], [[50, 60]]], dtype=torch.uint8)[:, None]  # three of 1x2
    assert mosaics.mosaic(images, columns=2, zoom=2, gap=1).tolist() == [
        [10, 10, 20, 20, LINE, 30, 30, 40, 40],
        [10, 10, 20, 20, LINE, 30, 30, 40, 40],
        [LINE] * 9,
        [50, 50, 60, 60, LINE, LINE, LINE, LINE, LINE],
        [50, 50, 60, 60, LINE, LINE, LINE, LINE, LINE],
    ]
    assert mosaics.mosaic(images[:2], columns=2, zoom=1, gap=0).tolist() == [[10, 20, 30, 40]]


def test_floats_are_rounded_and_what_is_no_number_is_black():
    images = torch.tensor([0.0, 0.5, 1.0, -3.0, 7.0, float("nan"), 100.4 / 255]).view(1, 1, 1, 7)
    assert mosaics.mosaic(images, 1, 1).tolist() == [[0, 128, 255, 0, 255, 0, 100]]


@pytest.mark.parametrize(("side", "zoom"), [(28, 3), (8, 10), (200, 1)])
def test_the_pixel_scale_depends_on_the_size_alone(side, zoom):
    assert mosaics.zoom_for(side, side) == mosaics.zoom_for(side, 1) == mosaics.zoom_for(1, side) == zoom


def test_cut_undoes_a_mosaic():
    images = canvas(6, 1, 3, 5)
    whole = mosaics.mosaic(images, columns=3, zoom=1, gap=0)
    assert whole.shape == (6, 15) and torch.equal(mosaics.cut(whole, 3, 5), images)
    with pytest.raises(ValueError, match=r"a mosaic of \[6, 15\] pixels: expects whole images of 4x5"):
        mosaics.cut(whole, 4, 5)


def test_beside_and_stacked_leave_paper_between():
    tall, low = torch.zeros(2, 1, dtype=torch.uint8), torch.full((1, 2), 7, dtype=torch.uint8)
    assert mosaics.beside(tall, low, gap=1).tolist() == [[0, PAPER, 7, 7], [0, PAPER, PAPER, PAPER]]
    assert mosaics.stacked(tall, low, gap=1).tolist() == [[0, PAPER], [0, PAPER], [PAPER, PAPER], [7, 7]]


def test_a_caption_stands_above_and_breaks_at_spaces():
    image = canvas(20, 120)
    one, two = mosaics.captioned(image, "short"), mosaics.captioned(image, "many words that need another line")
    assert torch.equal(one[-20:], image) and torch.equal(two[-20:], image)
    line = len(one) - 20
    assert len(two) - 20 in (2 * line, 3 * line) and one.shape[1] == two.shape[1] == 120
    for top in range(0, len(two) - 20, line):
        assert two[top : top + line].min() == INK and two[top : top + line, -mosaics.MARGIN :].min() == PAPER
    assert len(mosaics.captioned(image, "a\nb")) == 20 + 2 * line
    assert mosaics.captioned(canvas(4, 10), "unbreakable").shape[1] > 10  # grows, cuts no letters off


def test_row_labels_stand_in_their_rows():
    labels = mosaics.row_labels(["", "epoch 7", "", "epoch 10"], pitch=30)
    assert len(labels) == 4 * 30
    assert [int(row.min()) for row in labels.split(30)] == [PAPER, INK, PAPER, INK]
    assert (labels[45:75] == PAPER).any() and not torch.equal(labels[30:60], labels[90:])


def test_thinning_is_even_and_keeps_the_ends():
    assert mosaics.thinned(range(1, 8), 7) == [1, 2, 3, 4, 5, 6, 7]
    assert mosaics.thinned(range(1, 10), 5) == [1, 3, 5, 7, 9]
    kept = mosaics.thinned(range(910), 100)
    assert len(set(kept)) == 100 and kept[0] == 0 and kept[-1] == 909
    assert set(np.diff(kept)) == {9, 10}


def test_a_png_keeps_every_pixel_and_repeats_its_bytes(tmp_path):
    save_png(canvas(17, 31), tmp_path / "a.png")
    save_png(canvas(17, 31), tmp_path / "b.png")
    assert torch.equal(mosaics.load_png(tmp_path / "a.png"), canvas(17, 31))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert Image.open(tmp_path / "a.png").mode == "L"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize(("epochs", "shown"), [([4], [4]), ([1, 2, 3], [1, 2, 3]), (list(range(1, 251)), None)])
def test_an_animation_has_a_frame_an_epoch_and_rests_at_the_last(tmp_path, epochs, shown):
    shown = shown or mosaics.thinned(epochs, mosaics.FRAMES)
    drawn = []

    def frame(epoch: int) -> torch.Tensor:
        drawn.append(epoch)
        return canvas(12, 90, seed=epoch)

    mosaics.save_animation(epochs, frame, tmp_path / "epochs.gif", milliseconds=100, hold=900)
    assert drawn == shown and len(shown) <= 100
    with Image.open(tmp_path / "epochs.gif") as gif:
        assert getattr(gif, "n_frames", 1) == len(shown)
        durations = []
        for index, epoch in enumerate(shown):
            gif.seek(index)
            durations.append(gif.info.get("duration"))
            pixels = np.array(gif.convert("L")).astype(int)
            expected = mosaics.captioned(canvas(12, 90, seed=epoch), f"epoch {epoch}").numpy().astype(int)
            assert np.abs(pixels - expected).max() <= 255 / (mosaics.GREYS - 1) / 2 + 1
        if len(shown) > 1:
            assert durations == [100] * (len(shown) - 1) + [900]


def test_a_figure_becomes_the_pixels_that_matplotlib_saves(tmp_path):
    def drawn() -> Figure:
        figure = Figure(figsize=(2, 1), dpi=50, layout="constrained")
        figure.subplots().plot([0, 1], [1, 0])
        return figure

    save_png(drawn(), tmp_path / "ours.png")
    drawn().savefig(tmp_path / "theirs.png")
    ours, theirs = (np.array(Image.open(tmp_path / f"{name}.png").convert("RGB")) for name in ("ours", "theirs"))
    assert np.array_equal(ours, theirs) and ours.shape == (50, 100, 3) and np.array_equal(ours, pixels(drawn()))


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "page.html").write_text("old")

    def half(temporary):
        temporary.write_text("ne")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        write_whole(tmp_path / "page.html", half)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("page.html", "old")]


def test_each_logger_shows_pictures_as_it_can(tmp_path):
    """TensorBoard by its writer, Weights & Biases by ``log_image``, and a CSV not at all; a figure is drawn once."""
    from types import SimpleNamespace

    from pytorch_lightning.loggers import CSVLogger

    board, biases, drawn = [], [], []

    class Counted(Figure):
        def draw(self, renderer):
            drawn.append(1)
            super().draw(renderer)

    figure = Counted(figsize=(1, 1), dpi=30)
    writer = SimpleNamespace(add_image=lambda name, image, step, dataformats: board.append((name, step, dataformats)))
    tensorboard = SimpleNamespace(experiment=writer)
    wandb = SimpleNamespace(log_image=lambda key, images, step: biases.append((key, images[0].shape, step)))
    csv = CSVLogger(tmp_path, name="csv", version="")
    show([csv, tensorboard, wandb], {"sheet": canvas(4, 6), "figure": figure}, 7)
    assert board == [("sheet", 7, "HW"), ("figure", 7, "HWC")]
    assert biases == [("sheet", (4, 6), 7), ("figure", (30, 30, 3), 7)] and drawn == [1]
    show([csv], {"figure": figure}, 7)
    assert drawn == [1], "nobody to show it to"
