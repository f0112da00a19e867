"""The pictures of an adversarial fit, and that drawing them changes nothing else."""

import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from callbacks import mosaics, sample_sheets
from callbacks.epoch_seed import EpochSeed
from callbacks.sample_sheets import SampleSheets, nearest, slerp
from datamodules.images import Digits
from lightning_modules.adversarial_networks import ConvCritic, ConvGenerator
from lightning_modules.wgan_gp import WGANGP

SHAPE = (1, 8, 8)


def model() -> WGANGP:
    torch.manual_seed(0)
    generator = ConvGenerator(SHAPE, 4, 2, norm="batch")  # whose running statistics would show a forward too many
    return WGANGP(generator, ConvCritic(SHAPE, 2), z_dim=4, n_critic=2, lr_generator=1e-2, ema_decay=0.5)


def fit(callbacks: list[pl.Callback], epochs: int, logger=False) -> tuple[WGANGP, Digits]:
    module, data = model(), Digits(batch_size=128, batches_per_step=2)
    quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    callbacks = [EpochSeed(0), *callbacks]
    pl.Trainer(max_epochs=epochs, logger=logger, accelerator="cpu", callbacks=callbacks, **quiet).fit(module, data)
    return module, data


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A fit of three epochs with a sheet every second: the model, its data, its folder."""
    folder = tmp_path_factory.mktemp("fit")
    module, data = fit([SampleSheets(2, folder)], epochs=3, logger=TensorBoardLogger(folder, name="tb", version=""))
    return module, data, folder


def test_the_files_of_a_fit(fitted):
    module, _, folder = fitted
    assert sorted(file.name for file in (folder / "epochs").iterdir()) == ["0002.png", "0003.png"]
    assert sorted(file.name for file in (folder / "pictures").iterdir()) == [
        "epochs.gif", "interpolations.png", "nearest.png", "samples.png", "samples_raw.png", "strip.png"
    ]  # fmt: skip
    assert Image.open(folder / "pictures" / "epochs.gif").n_frames == 2
    # the last epoch's file holds the images of the finished, averaged generator
    last = mosaics.cut(mosaics.load_png(folder / "epochs" / "0003.png"), 8, 8)
    assert torch.equal(last, mosaics.as_uint8(module.generate(module.fixed_noise)))
    assert not torch.equal(last, mosaics.as_uint8(module.generate(module.fixed_noise, averaged=False)))


def test_samples_and_real_images_stand_side_by_side_over_updates(fitted):
    """As TensorBoard has them: the right images, at the right step."""
    module, data, folder = fitted
    events = EventAccumulator(str(folder / "tb"), size_guidance={"images": 0}).Reload()
    updates = len(data.train.images) // 256
    sheets = events.Images("samples/averaged_left_real_right")
    assert [event.step for event in sheets] == [2 * updates, 3 * updates]
    (folder / "shown.png").write_bytes(sheets[-1].encoded_image_string)
    shown = mosaics.load_png(folder / "shown.png")
    left, right = (
        mosaics.mosaic(images, 8, zoom=10, gap=3)
        for images in (module.generate(module.fixed_noise), data.train.images[:64])
    )
    side = 8 * 83 - 3
    assert torch.equal(shown[:, :side], left) and torch.equal(shown[:, -side:], right)
    assert shown.shape == (side, 2 * side + 16) and (shown[:, side:-side] == mosaics.PAPER).all()
    assert {"samples/raw", "pictures/strip", "pictures/nearest", "pictures/samples"} <= set(events.Tags()["images"])
    # the finished fit's picture is the same under a caption
    assert torch.equal(mosaics.load_png(folder / "pictures" / "samples.png")[-side:], shown)


def test_each_row_of_the_strip_is_its_epochs_file(fitted):
    _, _, folder = fitted
    strip = mosaics.load_png(folder / "pictures" / "strip.png")
    width, pitch = 16 * 83 - 3, 83
    assert strip[-1, 0] == mosaics.PAPER  # the labels' column
    rows = strip[-(2 * pitch - 3) :, -width:]
    for row, epoch in enumerate((2, 3)):
        images = mosaics.cut(mosaics.load_png(folder / "epochs" / f"{epoch:04d}.png"), 8, 8)[:16]
        assert torch.equal(rows[row * pitch : row * pitch + 80], mosaics.mosaic(images, 16, zoom=10, gap=3))


def test_a_long_strip_is_thinned(tmp_path):
    for epoch in range(1, 91):
        mosaics.save_png(torch.full((64, 64), epoch, dtype=torch.uint8), tmp_path / f"{epoch:04d}.png")
    epochs = {epoch: tmp_path / f"{epoch:04d}.png" for epoch in range(1, 91)}
    greys = sample_sheets.strip(epochs, 8, 8)[-(40 * 83 - 3) :: 83, -1].tolist()
    assert greys == mosaics.thinned(range(1, 91), 40)


def test_drawing_again_gives_the_same_bytes_and_leaves_modes_and_randomness(fitted, tmp_path):
    """As ``evaluate.py fit=DIR`` does."""
    module, data, folder = fitted
    sheets = SampleSheets(fit_folder=folder)
    module.eval()
    module.generator.train()
    state = torch.random.get_rng_state()
    pictures = sheets.draw(module, data)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert module.generator.training and not module.averaged.training and not module.critic.training
    before = {file: file.read_bytes() for file in (folder / "pictures").iterdir()}
    assert sorted(before) == sorted(sheets.save(pictures, SHAPE))
    assert all(file.read_bytes() == content for file, content in before.items())
    assert "strip" not in SampleSheets().draw(module, data)


def test_drawing_leaves_training_bit_identical(fitted):
    with_sheets, _, _ = fitted
    without, _ = fit([], epochs=3)
    ours, theirs = with_sheets.state_dict(), without.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert not torch.equal(ours["generator.net.0.weight"], model().state_dict()["generator.net.0.weight"])


def test_the_nearest_training_image_is_found_across_chunks(monkeypatch):
    random = torch.Generator().manual_seed(0)
    train = torch.randint(0, 256, (50, 1, 3, 3), generator=random, dtype=torch.uint8)
    images = torch.rand(7, 1, 3, 3, generator=random)
    images[2] = train[31].float() / 255  # a copy
    images[5] = train[44].float() / 255
    images[5, 0, 1, 1] += 0.25  # and nearly one
    apart = (images.double()[:, None] - train.double()[None] / 255).flatten(2).norm(dim=2)
    for chunk in (5000, 8):
        monkeypatch.setattr(sample_sheets, "CHUNK", chunk)
        index, distances = nearest(images, train)
        assert index[2] == 31 and index[5] == 44
        assert distances[2] < 1e-7 and distances[5].item() == pytest.approx(0.25, abs=1e-6)
        assert torch.equal(index, apart.argmin(1))
        torch.testing.assert_close(distances, apart.min(1).values, rtol=0, atol=1e-12)


def test_copies_show_under_the_samples_and_in_the_medians(fitted, monkeypatch):
    """A generator that memorised: each sample equals the image below it, and the caption's median is 0.00."""
    module, data, _ = fitted
    copies = data.train.images[100:356].float() / 255
    texts = []
    monkeypatch.setattr(module, "generate", lambda z, averaged=True: copies[: len(z)])
    monkeypatch.setattr(sample_sheets, "captioned", lambda canvas, text: texts.append(text) or canvas)
    sheet = sample_sheets.nearest_picture(module, data)
    assert torch.equal(sheet[:80], sheet[83:163])
    assert torch.equal(sheet[:80], mosaics.mosaic(copies[:16], 16, zoom=10, gap=3))
    assert torch.equal(sheet[163 + 12 :][:80], mosaics.mosaic(copies[16:32], 16, zoom=10, gap=3))
    held_out = nearest(data.val.images.float() / 255, data.train.images)[1].median()
    assert "the nearest of 1100 training images" in texts[0]
    assert f"samples 0.00, held-out images {held_out:.2f};" in texts[0] and held_out > 0.5


def test_a_diverged_generator_is_drawn(fitted, monkeypatch):
    module, data, _ = fitted
    monkeypatch.setattr(module, "generate", lambda z, averaged=True: torch.full((len(z), *SHAPE), torch.nan))
    assert SampleSheets().draw(module, data)["samples"][-1, 0] == 0


def test_interpolations_stay_on_the_sphere():
    torch.manual_seed(0)
    a, b = (torch.nn.functional.normalize(torch.randn(5, 64), dim=1) * 8 for _ in range(2))
    points = slerp(a, b, 9)
    assert points.shape == (5, 9, 64)
    torch.testing.assert_close(points.norm(dim=2), torch.full((5, 9), 8.0))
    torch.testing.assert_close(points[:, 0], a)
    torch.testing.assert_close(points[:, -1], b)
    steps = (points[:, 1:] - points[:, :-1]).norm(dim=2)
    torch.testing.assert_close(steps, steps[:, :1].expand(-1, 8))  # at an even pace
    # parallel and opposite noises: a line
    line = slerp(torch.tensor([[1.0], [1.0]]), torch.tensor([[3.0], [-1.0]]), 3)
    torch.testing.assert_close(line[..., 0], torch.tensor([[1.0, 2, 3], [1, 0, -1]]))


@pytest.mark.parametrize("every", [0, -1, 1.5, True, "2"])
def test_impossible_intervals_are_refused(every):
    with pytest.raises(ValueError, match=f"every_n_epochs={every}: expects a positive whole number"):
        SampleSheets(every)
