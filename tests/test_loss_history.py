"""Histories are means over windows of updates, survive in a checkpoint, and are drawn with the lines that mean
something."""

import io
import math

import pytest
import pytorch_lightning as pl
import torch

from callbacks.loss_charts import losses_figure, plain_history
from callbacks.loss_history import LARGEST_NORM, NORM_BINS, LossHistory
from datamodules.images import Digits
from lightning_modules.adversarial_networks import ConvCritic, ConvGenerator
from lightning_modules.gan import GAN
from lightning_modules.wgan_gp import WGANGP

SHAPE = (1, 8, 8)


class Shown(pl.Callback):
    """Writes down what each update showed."""

    def __init__(self):
        self.shown = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.shown.append({name: value.clone() for name, value in outputs.items()})


def fitted(model, n_critic=1, epochs=2):
    torch.manual_seed(0)
    module = model(ConvGenerator(SHAPE, 4, 2), ConvCritic(SHAPE, 2), z_dim=4, n_critic=n_critic)
    history, shown = LossHistory(), Shown()
    trainer = pl.Trainer(max_epochs=epochs, logger=False, enable_checkpointing=False, enable_progress_bar=False,
                         enable_model_summary=False, accelerator="cpu", log_every_n_steps=7, num_sanity_val_steps=0,
                         callbacks=[history, shown])  # fmt: skip
    trainer.fit(module, Digits(batch_size=50, batches_per_step=n_critic))
    return history, shown.shown, module


def test_rows_are_means_over_windows_of_updates():
    history, shown, _ = fitted(GAN)
    state = plain_history(history.state_dict())
    assert len(shown) == 44 and state["updates"] == [7, 14, 21, 22, 29, 36, 43, 44]  # an epoch of 22 ends its window
    assert state["names"] == ["d_real", "d_fake", "critic_loss", "generator_loss"]
    for name, column in zip(state["names"], zip(*state["rows"], strict=True), strict=True):
        values = [step[name].item() for step in shown]
        expected = [sum(values[a:b]) / (b - a) for a, b in ((0, 7), (7, 14), (14, 21), (21, 22), (22, 29))]
        assert column[:5] == pytest.approx(expected, rel=1e-4), name
    assert [entry["updates"] for entry in state["epochs"]] == [22, 44]


def test_gradient_norms_are_counted_and_large_ones_not_lost():
    history, shown, _ = fitted(WGANGP, n_critic=2)
    counts = history.state_dict()["norm_counts"]
    assert counts.shape == (2, NORM_BINS)
    kept = torch.cat([shown[i]["gradient_norms"] for i in (6, 10)])  # the last of each window of the first epoch
    assert counts[0].sum() == len(kept) == 100
    assert torch.equal(counts[0], torch.histc(kept.clamp(max=LARGEST_NORM), NORM_BINS, 0, LARGEST_NORM))


def test_a_history_survives_its_checkpoint():
    history, _, _ = fitted(WGANGP, epochs=1)
    buffer = io.BytesIO()
    torch.save(history.state_dict(), buffer)
    buffer.seek(0)
    again = LossHistory()
    again.load_state_dict(torch.load(buffer, weights_only=True))
    assert plain_history(again.state_dict()) == plain_history(history.state_dict())


def test_charts_have_their_equilibria_and_held_out_images():
    histories = {model.__name__: plain_history(fitted(model, epochs=1)[0].state_dict()) for model in (GAN, WGANGP)}
    figure = losses_figure(histories)
    visible = [axes for axes in figure.axes if axes.get_visible()]
    lines = [{round(float(line.get_ydata()[0]), 6) for line in axes.lines if len(set(line.get_ydata())) == 1}
             for axes in visible]  # fmt: skip
    assert {round(2 * math.log(2), 6), round(math.log(2), 6)} <= lines[0] and 0.5 in lines[1]
    labels = [[text.get_text() for text in axes.get_legend().get_texts()] for axes in visible]
    assert "discriminator, held-out" in labels[0] and "discriminator, training set" in labels[0]
    assert "E[D(x)] - E[D(G(z))], held-out" in labels[2]
    assert all(axes.get_xlabel() == "generator updates" for axes in visible[:-1])
    assert "arbitrary offset" in visible[5].get_title() and "gradient norms" in visible[6].get_title()
    assert losses_figure({}) is None
