"""Histories are means over windows of updates, survive in a checkpoint, and are drawn with the lines that mean
something."""

import io
import math

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger

from callbacks.drawing.colours import GENERATED, REAL, role
from callbacks.drawing.loss_charts import losses_figure, plain_history
from callbacks.observers.loss_history import LARGEST_NORM, NORM_BINS, LossHistory, _mean_terms
from callbacks.observers.watching import evaluating
from datamodules.digits import Digits
from latent_lab.report_page.curves import loss_charts
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


def small(model, n_critic=1):
    torch.manual_seed(0)
    return model(ConvGenerator(SHAPE, 4, 2), ConvCritic(SHAPE, 2), z_dim=4, n_critic=n_critic)


def trainer_with(*callbacks, **settings):
    settings = {"max_epochs": 2, "logger": False, "log_every_n_steps": 3, "num_sanity_val_steps": 0} | settings
    return pl.Trainer(enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
                      accelerator="cpu", callbacks=[*callbacks], **settings)  # fmt: skip


def fitted(model, n_critic=1, epochs=2, **settings):
    module = small(model, n_critic)
    history, shown = LossHistory(every_n_updates=7), Shown()
    trainer_with(history, shown, **{"max_epochs": epochs} | settings).fit(module, Digits(batch_size=50))
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


def test_a_budget_that_ends_within_an_epoch_ends_a_window():
    state = fitted(GAN, max_epochs=-1, max_steps=25)[0].state_dict()
    assert state["updates"] == [7, 14, 21, 22, 25]
    assert [(entry["epoch"], entry["updates"]) for entry in state["epochs"]] == [(1, 22), (2, 25)]


def test_held_out_terms_are_of_noise_of_their_own():
    """Neither a validation, nor how often there is one, nor what torch's generator is at, has a way into them."""
    usual = fitted(GAN)[0].state_dict()
    for settings in ({"limit_val_batches": 0}, {"check_val_every_n_epoch": 2}):
        entries = fitted(GAN, **settings)[0].state_dict()["epochs"]
        assert [entry["epoch"] for entry in entries] == [1, 2], settings
        assert entries[0] == usual["epochs"][0], settings
    module = fitted(GAN, epochs=1)[2]
    data = Digits(batch_size=50)
    data.setup()
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        found.append(_mean_terms(module, data.as_seen, data.val.images))
    assert found[0] == found[1] and set(found[0]) == {"d_real", "d_fake", "critic_loss"}
    assert usual["epochs"][0].keys() == {"epoch", "updates"} | {f"{s}/{n}" for s in ("train", "val") for n in found[0]}


class Told(CSVLogger):
    """Writes down what it is told, and at which step."""

    def __init__(self, folder):
        super().__init__(folder)
        self.told = []

    def log_metrics(self, metrics, step=None):
        self.told += [(name, step, value) for name, value in metrics.items() if name != "epoch"]


def test_held_out_terms_are_made_and_shown_once_an_epoch(tmp_path):
    """Once as ``val/*`` by Lightning's validation, and a step later as ``epoch/val/*``."""
    module, data, logger = small(GAN), Digits(batch_size=50), Told(tmp_path)
    asked, evaluate = [], module.evaluate
    module.evaluate = lambda images, noise=None: asked.append(len(images)) or evaluate(images, noise)
    history = LossHistory(every_n_updates=7)
    trainer = trainer_with(history, logger=logger)
    trainer.fit(module, data)
    held_out = len(data.val.images)
    assert asked == [held_out] * 4, "of each epoch's training and held-out images, in one batch"
    shown = [(name, step) for name, step, _ in logger.told]
    assert len(shown) == len(set(shown))
    epochs = history.state_dict()["epochs"]
    for name in ("d_real", "d_fake", "critic_loss"):
        for stage, tag in (("val", f"val/{name}"), ("train", f"epoch/train/{name}")):
            told = [(step, value) for of, step, value in logger.told if of == tag]
            assert told == [(entry["updates"], entry[f"{stage}/{name}"]) for entry in epochs], tag
        assert trainer.callback_metrics[f"val/{name}"] == pytest.approx(epochs[-1][f"val/{name}"])
    assert not [name for name, _ in shown if name.startswith("epoch/val/")]
    (found,) = trainer.validate(module, data, verbose=False)
    assert found.keys() == {"val/d_real", "val/d_fake", "val/critic_loss"}


def test_a_fit_that_failed_leaves_its_trainer_as_it_was():
    module, history = small(GAN), LossHistory()
    trainer = trainer_with(history, limit_val_batches=3)
    module.training_step = lambda batch, batch_idx: 1 / 0
    with pytest.raises(ZeroDivisionError):
        trainer.fit(module, Digits(batch_size=50))
    assert trainer.limit_val_batches == 3


@pytest.mark.parametrize(
    ("asked", "waits", "epoch", "steps"),
    [
        ({}, None, 1, [22]),
        ({}, False, 1, [21]),
        ({"check_val_every_n_epoch": 2}, None, 2, [43]),
        ({"val_check_interval": 0.5}, None, 1, [10]),
    ],
    ids=["usual", "told to wait", "every other epoch", "twice an epoch"],
)
def test_what_monitors_held_out_terms_finds_them_whenever_they_are_asked_for(tmp_path, asked, waits, epoch, steps):
    """Where validations come at other times, they alone show ``val/*``: nothing is shown twice."""
    stop = pl.callbacks.EarlyStopping("val/critic_loss", stopping_threshold=1e9, check_on_train_epoch_end=waits)
    logger = Told(tmp_path)
    trainer = trainer_with(LossHistory(), stop, max_epochs=4, logger=logger, **asked)
    trainer.fit(small(GAN), Digits(batch_size=50))
    assert stop.stopped_epoch == epoch - 1 and trainer.current_epoch == epoch
    assert [step for name, step, _ in logger.told if name == "val/critic_loss"] == steps


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


def test_the_bin_of_all_large_norms_is_said_and_not_drawn():
    history = plain_history(fitted(WGANGP, epochs=1)[0].state_dict())
    history["norm_counts"] = [[30, 10] + [0] * 57 + [60]]
    axes = next(axes for axes in losses_figure({"": history}).axes if "gradient norms" in axes.get_title())
    drawn = axes.patches[0].get_data()
    assert len(drawn.values) == 59 and drawn.values.max() == pytest.approx(0.3 / 0.05) and not drawn.values[2:].any()
    assert legend(axes) == ["epoch 1, 60.0% beyond 2.95", "norm 1"], "the only epoch once"


def test_of_several_epochs_the_norms_of_the_last_and_the_first_are_drawn():
    history = plain_history(fitted(WGANGP, epochs=3)[0].state_dict())
    axes = next(axes for axes in losses_figure({"": history}).axes if "gradient norms" in axes.get_title())
    assert legend(axes) == ["epoch 3", "epoch 1", "norm 1"]


def legend(axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_the_critic_is_blue_and_the_generator_vermillion_in_every_chart():
    history = plain_history(fitted(GAN, epochs=1)[0].state_dict())
    figure = losses_figure({"": history})
    colour = {line.get_label(): line.get_color() for axes in figure.axes for line in axes.lines}
    for end in ("running", "training set"):
        assert {colour[f"{name}, {end}"] for name in ("discriminator", "D(x)")} == {REAL}
        assert colour[f"D(G(z)), {end}"] == GENERATED
    assert colour["generator, running"] == GENERATED
    numbers = {one["name"]: one["colour"] for chart in loss_charts(history, "") for one in chart["series"]}
    assert {numbers[name] for name in colour if name in numbers and colour[name] == REAL} == {0}
    assert {numbers[name] for name in colour if name in numbers and colour[name] == GENERATED} == {1}
    assert numbers["discriminator, held-out"] == 8 and numbers["D(G(z)), held-out"] == 9
    assert [role(name) for name in ("its average", "critic's estimate", "penalty")] == ["average", "real", None]


def test_no_label_is_cut_off_at_the_left():
    """The numbers of an axis change by its layout, so that it is laid out once before it is drawn."""
    history = plain_history(fitted(GAN, epochs=1)[0].state_dict())
    for least, most in ((0.61, 0.81), (0.49, 0.6), (0.0072, 0.023), (1.0, 1.037)):
        rows = np.linspace(least, most, np.size(history["rows"])).reshape(-1, len(history["names"]))
        changed = history | {"rows": rows.tolist()}
        figure = losses_figure({"one": changed, "other": changed | {"charts": changed["charts"][:1]}})
        laid_out = [axes.get_position().bounds for axes in figure.axes]
        figure.draw_without_rendering()
        assert np.abs(np.subtract(laid_out, [axes.get_position().bounds for axes in figure.axes])).max() < 0.02
        assert min(axes.get_tightbbox().x0 for axes in figure.axes if axes.get_visible()) >= 0


def test_looking_at_the_critic_leaves_every_mode_as_it_was():
    """A part of a model that stands in evaluation mode while it trains is still there afterwards."""
    module = GAN(ConvGenerator(SHAPE, 4, 2), ConvCritic(SHAPE, 2), z_dim=4)
    module.averaged.eval()
    modes = [part.training for part in module.modules()]
    with evaluating(module):
        assert not any(part.training for part in module.modules())
    assert [part.training for part in module.modules()] == modes and len(set(modes)) == 2


@pytest.mark.parametrize("every", [0, -1, 1.5, True, "2"])
def test_impossible_windows_are_refused(every):
    with pytest.raises(ValueError, match=f"history.every_n_updates={every}: expects a positive whole number"):
        LossHistory(every)
