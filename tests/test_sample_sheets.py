"""The pictures of an adversarial fit, and that drawing them changes nothing else."""

import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from callbacks.drawing import mosaics
from callbacks.drawing.output import save_png
from callbacks.observers import sample_sheets
from callbacks.observers.epoch_seed import EpochSeed
from callbacks.observers.sample_sheets import SampleSheets, nearest
from datamodules.digits import Digits
from lightning_modules.adversarial_networks import ConvCritic, ConvGenerator
from lightning_modules.wgan_gp import WGANGP

SHAPE = (1, 8, 8)


def model(**settings) -> WGANGP:
    torch.manual_seed(0)
    generator = ConvGenerator(SHAPE, 4, 2, norm="batch")  # whose running statistics would show a forward too many
    return WGANGP(generator, ConvCritic(SHAPE, 2), z_dim=4, n_critic=2, lr_generator=1e-2, ema_horizon=0.5, **settings)


def fit(callbacks: list[pl.Callback], epochs: int, logger=False) -> tuple[WGANGP, Digits]:
    module, data = model(), Digits(batch_size=128)
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
        save_png(torch.full((64, 64), epoch, dtype=torch.uint8), tmp_path / f"{epoch:04d}.png")
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


@pytest.mark.parametrize("noise", ["normal", "uniform"])
def test_all_that_is_shown_is_made_of_the_models_own_noise(fitted, monkeypatch, noise):
    """Uniform noise lies in [-1, 1]^d, and so does the way between two; a normal model's z leave that cube."""
    _, data, _ = fitted
    module, seen = model(noise=noise), []
    generate = module.generate
    monkeypatch.setattr(module, "generate", lambda z, averaged=True: seen.append(z) or generate(z, averaged))
    SampleSheets().draw(module, data)
    assert [len(z) for z in seen] == [64, 64, 8 * 14, 256]
    inside = (torch.cat(seen).abs() <= 1).all(1).float().mean()
    assert inside == 1 if noise == "uniform" else inside < 0.5
    ways = seen[2].view(8, 14, 4)
    torch.testing.assert_close(ways[:, 0], module.fixed_noise[:8])
    torch.testing.assert_close(ways[:, -1], module.fixed_noise[8:16])


def test_sheets_come_at_the_ends_of_epochs_whatever_is_validated(tmp_path):
    """Without a validation, and where a budget of updates ends within an epoch."""
    data, quiet = Digits(batch_size=128), {"enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(max_steps=6, max_epochs=-1, limit_val_batches=0, logger=False, accelerator="cpu",
                         enable_model_summary=False, callbacks=[SampleSheets(5, tmp_path)], **quiet)  # fmt: skip
    trainer.fit(model(), data)
    assert trainer.num_training_batches == 4 and trainer.global_step == 6
    assert [file.name for file in (tmp_path / "epochs").iterdir()] == ["0002.png"]


@pytest.mark.parametrize("every", [0, -1, 1.5, True, "2"])
def test_impossible_intervals_are_refused(every):
    with pytest.raises(ValueError, match=f"every_n_epochs={every}: expects a positive whole number"):
        SampleSheets(every)
