"""The pictures of a VAE's fit: when they are drawn, that they are drawn again alike, and that they leave no trace."""

from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from callbacks.drawing.figures import latent_figure
from callbacks.observers.epoch_seed import EpochSeed
from callbacks.observers.pictures import Pictures, all_pictures, fitted_codes, fitted_samples
from datamodules.digits import Digits
from lightning_modules.networks import MLPDecoder, MLPEncoder
from lightning_modules.vae import VAE


def fit(callbacks: list[pl.Callback], logger=False, **settings) -> tuple[VAE, Digits]:
    torch.manual_seed(0)
    vae, data = VAE(MLPEncoder((1, 8, 8), 3, [16]), MLPDecoder((1, 8, 8), 3, [16]), 3), Digits()
    trainer = pl.Trainer(logger=logger, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu",
                         enable_model_summary=False, callbacks=[EpochSeed(0), *callbacks], **settings)  # fmt: skip
    trainer.fit(vae, data)
    return vae, data


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A fit of five epochs with sheets every second, and no validation."""
    folder = tmp_path_factory.mktemp("fit")
    logger = TensorBoardLogger(folder, name="tb", version="")
    vae, data = fit([Pictures(2, folder)], logger, max_epochs=5, limit_val_batches=0)
    return vae, data, folder


def test_sheets_are_shown_every_few_epochs_and_all_at_the_end(fitted):
    _, _, folder = fitted
    events = EventAccumulator(str(folder / "tb"), size_guidance={"images": 0}).Reload()
    updates = 1100 // 64
    assert [event.step for event in events.Images("reconstructions")] == [2 * updates, 4 * updates, 5 * updates]
    assert [event.step for event in events.Images("codes")] == [5 * updates]
    assert sorted(file.name for file in (folder / "pictures").iterdir()) == [
        "codes.png", "interpolations.png", "kl_per_dimension.png", "prior_samples.png", "reconstructions.png",
        "samples.png",
    ]  # fmt: skip


def test_drawing_again_gives_the_same_bytes_and_leaves_modes_and_randomness(fitted):
    vae, data, folder = fitted
    before = {file: file.read_bytes() for file in (folder / "pictures").iterdir()}
    vae.train()
    vae.decoder.eval()
    state = torch.random.get_rng_state()
    files = Pictures(fit_folder=folder).redraw(SimpleNamespace(model=vae, datamodule=data))
    assert sorted(files) == sorted(before) and all(file.read_bytes() == before[file] for file in files)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert vae.encoder.training and vae.training and not vae.decoder.training
    assert set(all_pictures(vae, data)) == {file.stem for file in files}


def test_pictures_change_no_weight(fitted):
    without, _ = fit([], max_epochs=5, limit_val_batches=0)
    ours, theirs = fitted[0].state_dict(), without.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_fitted_codes_lie_where_codes_do_in_no_order():
    centres = np.array([[6.0, 0, 0], [-6, 0, 0], [0, 6, 0]])
    codes = np.repeat(centres, 100, axis=0) + np.random.default_rng(0).normal(0, [0.1, 0.1, 1], (300, 3))
    drawn = fitted_codes(codes.astype(np.float32), 3, 300)
    distances = np.linalg.norm(drawn[:, None, :2] - centres[:, :2], axis=2)
    nearest = distances.argmin(1)
    assert drawn.dtype == np.float32 and distances.min(1).max() < 0.6
    assert np.bincount(nearest).min() > 70 and 0.85 < drawn[:, 2].std() < 1.15  # as many of each, as wide as the codes
    assert (nearest[1:] != nearest[:-1]).mean() > 0.5  # and not one component after the other
    assert np.array_equal(drawn, fitted_codes(codes.astype(np.float32), 3, 300))


def test_a_sheet_says_of_how_many_gaussians_and_codes_it_is(fitted):
    vae, data, _ = fitted
    assert fitted_samples(vae, data).axes[0].get_title() == (
        "means of p(x | z), z from 10 Gaussians fitted to the codes of 1,100 training images"
    )
    few = SimpleNamespace(train=SimpleNamespace(images=data.train.images[:30]))
    assert fitted_samples(vae, few).axes[0].get_title().startswith("means of p(x | z), z from 1 Gaussian fitted to")


def test_codes_that_are_all_alike_are_drawn_without_a_warning(recwarn):
    drawn = fitted_codes(np.ones((300, 3), np.float32), 10, 64)
    assert drawn.shape == (64, 3) and np.abs(drawn - 1).max() < 0.3 and not recwarn.list


@pytest.mark.parametrize("classes", [10, 26])
def test_each_class_has_a_colour_of_its_own(classes):
    codes, targets = np.random.default_rng(0).normal(size=(520, 2)), np.arange(520) % classes
    figure = latent_figure(codes, targets, "codes", [chr(65 + i) for i in range(classes)])
    colours = {tuple(drawn.get_facecolor()[0]) for drawn in figure.axes[0].collections}
    assert len(colours) == classes
