"""What may be said of Lightning's trainer, budgets in updates, and callbacks of Lightning's own."""

import inspect
import json

import pytest
import pytorch_lightning as pl
from commands import (
    DIGITS,
    IMAGES,
    PLANE,
    assert_same_fit,
    checkpoint_of,
    fit_of,
    fits_of,
    killed_after,
    metrics_of,
    record_of,
    run,
    same,
    trained,
)

from latent_lab import trainer_settings

VAE = (*DIGITS, "callbacks.analyses=null")  # 17 updates an epoch
GAN = (*IMAGES, "logger=none", "+requires.scorer.trainer.max_epochs=3")
SCORED = "+callbacks.observers.{}={{_target_:pytorch_lightning.callbacks.{}{}}}"
STOP = SCORED.format("stop", "EarlyStopping", ",monitor:val/elbo,mode:max,patience:1,min_delta:3.0")
RATE = SCORED.format("rate", "LearningRateMonitor", "")


def test_each_setting_of_the_trainer_stands_in_one_place():
    """A setting that a new Lightning brings is in none of the lists: until somebody decides, it decides weights."""
    names = set(inspect.signature(pl.Trainer.__init__).parameters) - {"self"}
    sets = trainer_settings.OURS, trainer_settings.HARMLESS, trainer_settings.VALIDATION
    deciding = {
        "accumulate_grad_batches", "benchmark", "deterministic", "devices", "fast_dev_run", "gradient_clip_algorithm",
        "gradient_clip_val", "limit_train_batches", "max_epochs", "max_steps", "max_time", "min_epochs", "min_steps",
        "precision",
    }  # fmt: skip
    assert sorted(name for group in (*sets, deciding) for name in group) == sorted(names)
    assert trainer_settings.accepted() == sorted(names - trainer_settings.OURS)


def test_the_validation_loop_decides_only_where_a_callback_acts_on_it():
    settings = {"max_epochs": 3, "limit_val_batches": 0.5, "devices": 1, "max_time": None, "log_every_n_steps": 7}
    assert trainer_settings.decisive(settings, acted_on=False) == {"max_epochs": 3}
    assert trainer_settings.decisive(settings, acted_on=True) == {"max_epochs": 3, "limit_val_batches": 0.5}


@pytest.mark.parametrize("sharp", ["1", "0.1"])
def test_one_batch_and_all_batches_are_two_fits(tmp_path, sharp):
    """Fault 2: 1 is one batch an epoch, 1.0 all of them; 0.1 is a tenth of 17."""
    trained(tmp_path, *VAE, "trainer.max_epochs=2", f"trainer.limit_train_batches={sharp}")
    out = trained(tmp_path, *VAE, "trainer.max_epochs=2", "trainer.limit_train_batches=1.0")
    assert "trains anew (unlike" in out and f"trainer.limit_train_batches is 1.0, was {sharp}" in out
    assert sorted(checkpoint_of(fit)["global_step"] for fit in fits_of(tmp_path)) == [2, 34]


def test_where_the_kind_says_nothing_one_and_one_point_zero_are_one_fit(tmp_path):
    trained(tmp_path, *VAE, "trainer.max_epochs=1", "model.beta=1")
    assert "found finished" in trained(tmp_path, *VAE, "trainer.max_epochs=1", "model.beta=1.0")
    assert len(fits_of(tmp_path)) == 1


def test_a_vaes_budget_in_updates_ends_in_mid_epoch(tmp_path):
    trained(tmp_path / "whole", *VAE, "trainer.max_steps=25")
    fit = fit_of(tmp_path / "whole")
    assert (checkpoint_of(fit)["global_step"], record_of(fit)["updates"], record_of(fit)["epochs"]) == (25, 25, 2)
    assert "found finished" in trained(tmp_path / "whole", *VAE, "trainer.max_steps=25")

    with killed_after(epoch=1):
        assert run("train", *VAE, "trainer.max_steps=25", f"paths.outputs={tmp_path / 'killed'}").code == 1
    assert checkpoint_of(fit_of(tmp_path / "killed"))["global_step"] == 17
    out = trained(tmp_path / "killed", *VAE, "trainer.max_steps=25")
    assert "continues after epoch 1 of at most 25 updates" in out
    assert_same_fit(fit, fit_of(tmp_path / "killed"))


def test_killed_with_its_budget_spent_it_trains_no_further(tmp_path):
    """Between the last checkpoint, in mid-epoch, and the record of it."""
    with killed_after(epoch=2):
        assert run("train", *VAE, "trainer.max_steps=25", f"paths.outputs={tmp_path}").code == 1
    before = checkpoint_of(fit_of(tmp_path))
    assert record_of(fit_of(tmp_path))["status"] == "training"
    trained(tmp_path, *VAE, "trainer.max_steps=25")
    after = checkpoint_of(fit_of(tmp_path))
    assert (before["global_step"], after["global_step"]) == (25, 25)
    assert all((before["state_dict"][k] == after["state_dict"][k]).all() for k in before["state_dict"])
    assert record_of(fit_of(tmp_path))["status"] == "finished"


@pytest.mark.parametrize("model", [pytest.param("gan", marks=pytest.mark.slow), "wgan_gp"])
def test_a_gans_budget_counts_updates_of_its_generator(tmp_path, model):
    """And not its critic's steps, of which wgan_gp has five for each, nor both."""
    steps = {"gan": 1, "wgan_gp": 5}[model]
    arguments = (
        f"model={model}",
        f"model.n_critic={steps}",
        *PLANE[2:],
        "logger=none",
        "trainer.max_steps=30",
        "callbacks.analyses=null",
    )
    trained(tmp_path / "whole", *arguments)
    fit = fit_of(tmp_path / "whole")
    kept = checkpoint_of(fit)
    assert kept["global_step"] == record_of(fit)["updates"] == 30
    assert kept["callbacks"]["PlaneView"]["frames"][-1]["update"] == 30  # the last update is looked at
    assert record_of(fit)["epochs"] == {"gan": 2, "wgan_gp": 8}[model]  # of 20 updates, and of 4
    with killed_after(epoch=1):
        assert run("train", *arguments, f"paths.outputs={tmp_path / 'killed'}").code == 1
    trained(tmp_path / "killed", *arguments)
    assert_same_fit(fit, fit_of(tmp_path / "killed"))


def test_a_gan_that_ends_in_mid_epoch_has_its_last_epoch_scored(tmp_path):
    seldom = [word for word in GAN if "every_n_epochs" not in word]
    trained(tmp_path, *seldom, "trainer.max_steps=20", "callbacks.every_n_epochs=5")
    scored = checkpoint_of(fit_of(tmp_path))["callbacks"]["EpochScores"]["epochs"]
    assert [(entry["epoch"], entry["updates"]) for entry in scored] == [(2, 20)]
    assert checkpoint_of(fit_of(tmp_path), "best.ckpt")["global_step"] == 20


def test_two_budgets_are_a_mistake_but_a_recipes_is_replaced(tmp_path):
    said = run("train", *VAE, "trainer.max_epochs=1", "trainer.max_steps=5", f"paths.outputs={tmp_path}")
    assert said.code == 2 and "a fit has one budget, name one of the two" in said.err
    trained(tmp_path, *VAE, "trainer.max_steps=5")  # where the data set says 60 epochs
    assert checkpoint_of(fit_of(tmp_path))["global_step"] == 5


@pytest.mark.parametrize(("said", "updates"), [("true", 1), ("3", 3), ("false", 34)])
def test_a_dry_run_is_a_small_one(tmp_path, said, updates):
    budget = [] if said != "false" else ["trainer.max_epochs=2"]
    trained(tmp_path, *VAE, f"+trainer.fast_dev_run={said}", *budget)
    assert checkpoint_of(fit_of(tmp_path))["global_step"] == updates
    assert metrics_of(tmp_path)["test_elbo"] < 0


def test_a_budget_in_time_ends(tmp_path):
    trained(tmp_path, *VAE, "trainer.max_epochs=100000", "+trainer.max_time='00:00:00:01'")
    assert 0 < record_of(fit_of(tmp_path))["epochs"] < 100000
    assert "found finished" in trained(tmp_path, *VAE, "trainer.max_epochs=100000", "+trainer.max_time='00:00:00:01'")


def test_accumulated_batches_make_fewer_updates(tmp_path):
    trained(tmp_path, *VAE, "trainer.max_epochs=1", "+trainer.accumulate_grad_batches=2")
    assert checkpoint_of(fit_of(tmp_path))["global_step"] == 9  # of 17 batches


def test_images_a_second_are_those_it_was_given(tmp_path):
    """Of a limited epoch not the whole data set's, of which there would be a hundred times as many."""
    trained(tmp_path, *VAE, "trainer.max_epochs=2", "trainer.limit_train_batches=1")
    record = record_of(fit_of(tmp_path))
    assert record["images_per_second"] == pytest.approx(2 * 64 / record["seconds"], rel=0.05)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A fit that EarlyStopping ended."""
    outputs = tmp_path_factory.mktemp("stopped")
    trained(outputs, *VAE, STOP, "trainer.max_epochs=40")
    return outputs


def test_early_stopping_is_a_part_of_the_identity(stopped):
    fit = fit_of(stopped)
    assert 2 <= record_of(fit)["epochs"] < 40
    identity = json.loads((fit / "identity.json").read_text())
    assert identity["observers"]["stop"]["patience"] == 1
    assert identity["trainer"]["num_sanity_val_steps"] == 0  # the validation it acts on decides as well
    assert "found finished" in trained(stopped, *VAE, STOP, "trainer.max_epochs=40")


def test_early_stopping_killed_and_continued_stops_at_the_same_epoch(stopped, tmp_path):
    """Also where it was killed with the very epoch that ended it, before that was written down."""
    epochs = record_of(fit_of(stopped))["epochs"]
    for epoch in (epochs - 1, epochs):
        with killed_after(epoch):
            assert run("train", *VAE, STOP, "trainer.max_epochs=40", f"paths.outputs={tmp_path / str(epoch)}").code == 1
        trained(tmp_path / str(epoch), *VAE, STOP, "trainer.max_epochs=40")
        assert record_of(fit_of(tmp_path / str(epoch)))["epochs"] == epochs
        assert_same_fit(fit_of(stopped), fit_of(tmp_path / str(epoch)))


def test_a_callback_that_watches_is_not_in_the_identity_and_is_told(tmp_path):
    """LearningRateMonitor; asked for later, the fit found was watched without it, in one line."""
    trained(tmp_path / "without", *VAE, "trainer.max_epochs=4", "logger=csv")
    trained(tmp_path / "with", *VAE, "trainer.max_epochs=4", "logger=csv", RATE, "+trainer.detect_anomaly=true")
    one, two = fit_of(tmp_path / "without"), fit_of(tmp_path / "with")
    assert one.name == two.name and "lr-Adam" in (two / "csv" / "version_0" / "metrics.csv").read_text()
    assert all((checkpoint_of(one)["state_dict"][k] == v).all() for k, v in checkpoint_of(two)["state_dict"].items())
    out = trained(tmp_path / "without", *VAE, "trainer.max_epochs=4", "logger=csv", RATE)
    said = [line for line in out.splitlines() if "watched with other settings" in line]
    assert len(said) == 1 and "observers.rate._target_ is pytorch_lightning.callbacks.LearningRateMonitor" in said[0]
    assert said[0].endswith("fresh=true trains anew")


def test_a_profile_is_a_file_of_the_fit(tmp_path):
    trained(tmp_path, *VAE, "trainer.max_epochs=1", "+trainer.profiler=simple")
    assert "run_training_epoch" in (fit_of(tmp_path) / "fit-profile.txt").read_text()
    assert "found finished" in trained(tmp_path, *VAE, "trainer.max_epochs=1")


def largest_moment(checkpoint: dict) -> float:
    """Of Adam's first moments, averages of gradients: no larger than the largest gradient there was."""
    return max(float(s["exp_avg"].norm()) for s in checkpoint["optimizer_states"][0]["state"].values())


def test_clipped_gradients_train_in_bfloat16(tmp_path):
    """Fault 9: Lightning's plugin does not clip before a fused step, so that there must be none."""
    arguments = (*VAE, "trainer.max_epochs=1", "trainer.precision=bf16-mixed")
    trained(tmp_path / "clipped", *arguments, "trainer.gradient_clip_val=0.001")
    trained(tmp_path / "free", *arguments)
    clipped, free = (checkpoint_of(fit_of(tmp_path / name)) for name in ("clipped", "free"))
    assert clipped["optimizer_states"][0]["param_groups"][0]["fused"] in (False, None)
    moment = [
        sum(s["exp_avg"].norm() ** 2 for s in c["optimizer_states"][0]["state"].values()) for c in (clipped, free)
    ]
    assert moment[0] ** 0.5 <= 0.001 < moment[1] ** 0.5


def test_a_gan_validated_never_is_scored_all_the_same(tmp_path):
    """Fault 5: every ninth of three epochs is none; best.ckpt and the verdict are there, and the fit is the same."""
    trained(tmp_path, *GAN, "trainer.max_epochs=3", "+trainer.check_val_every_n_epoch=9")
    found = metrics_of(tmp_path)
    scored = checkpoint_of(fit_of(tmp_path))["callbacks"]["EpochScores"]["epochs"]
    best = min(scored, key=lambda entry: entry["averaged"]["fcd"])["epoch"]
    assert checkpoint_of(fit_of(tmp_path), "best.ckpt")["epoch"] + 1 == best
    assert "found finished" in trained(tmp_path, *GAN, "trainer.max_epochs=3")
    assert same(metrics_of(tmp_path), found)
