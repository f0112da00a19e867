"""The identity of a fit, its folder and its lock."""

import copy
import time

import pytest

from conftest import PROCESSES
from latent_lab import targets
from latent_lab.command import read_command
from latent_lab.fits import Fit, deciding
from latent_lab.folders import new_folder, set_results_aside
from latent_lab.plan import Planner
from latent_lab.storage import read_json

CONFIG = {
    "model": {
        "_target_": "lightning_modules.vae.VAE",
        "latent_dim": 4,
        "encoder": {"_target_": "lightning_modules.networks.MLPEncoder", "hidden": [8]},
        "nll_samples": 10,
        "nll_images": None,
    },
    "dataset": {"_target_": "datamodules.mnist.MNIST", "batch_size": 64, "train_subset": None, "label_seed": 0},
    "trainer": {"max_epochs": 3, "precision": "32-true", "devices": 1, "accelerator": "auto"},
    "callbacks": {"observers": {"pictures": {"_target_": "callbacks.observers.pictures.Pictures"}}},
    "seed": 0,
    "compile": False,
}
DATA = {
    "fingerprint": "1" * 16,
    "other_fingerprint": "2" * 16,
    "offers": {"image_shape": [1, 28, 28], "num_classes": 10},
}


def fit(tmp_path, data=DATA, requires=None, **changes) -> Fit:
    config = copy.deepcopy(CONFIG)
    for path, value in changes.items():
        *groups, key = path.split("__")
        place = config
        for group in groups:
            place = place[group]
        place[key] = value
    return Fit(config, "vae-mnist", tmp_path, data, requires)


def observing(**observers) -> dict:
    return {"callbacks__observers": observers}


EPOCH_SCORES = {"_target_": "callbacks.observers.epoch_scores.EpochScores", "samples": 100, "every_n_epochs": 1}
PLANE_VIEW = {"_target_": "callbacks.observers.plane_view.PlaneView", "every_n_updates": 10}
LOSS_HISTORY = {"_target_": "callbacks.observers.loss_history.LossHistory", "every_n_updates": 50}
STOPPING = {"_target_": "pytorch_lightning.callbacks.EarlyStopping", "monitor": "val/elbo"}
LEARNING_RATE = {"_target_": "pytorch_lightning.callbacks.LearningRateMonitor"}


def test_the_name_is_a_function_of_what_decides_the_weights(tmp_path):
    name = fit(tmp_path).name
    assert name == fit(tmp_path).name
    assert name.startswith("vae-mnist-") and len(name) == len("vae-mnist-") + 8
    for change in (
        {"model__latent_dim": 5}, {"dataset__batch_size": 32}, {"trainer__max_epochs": 4}, {"seed": 1},
        {"trainer__precision": "bf16-mixed"}, {"compile": True}, {"dataset__train_subset": 50},
        {"trainer__max_steps": 100}, {"trainer__gradient_clip_val": 1.0}, {"trainer__devices": 2},
        {"data": DATA | {"fingerprint": "3" * 16}}, {"data": DATA | {"offers": DATA["offers"] | {"num_classes": 26}}},
    ):  # fmt: skip
        assert fit(tmp_path, **change).name != name, change


def test_what_changes_no_weight_changes_no_name(tmp_path):
    name = fit(tmp_path).name
    for change in (
        {"model__nll_samples": 99}, {"dataset__label_seed": 7}, {"trainer__accelerator": "cpu"},
        {"dataset__root": "elsewhere"}, {"trainer__enable_progress_bar": False}, {"trainer__profiler": "simple"},
        {"trainer__log_every_n_steps": 7}, {"trainer__limit_test_batches": 1},
        {"data": DATA | {"other_fingerprint": "3" * 16}}, observing(pictures=None, rate=LEARNING_RATE),
    ):  # fmt: skip
        assert fit(tmp_path, **change).name == name, change
    for change in (
        {"model__nll_samples": 99}, {"data": DATA | {"other_fingerprint": "3" * 16}}, {"trainer__limit_test_batches": 1}
    ):  # fmt: skip
        assert fit(tmp_path, **change).test_file != fit(tmp_path).test_file, change
    assert fit(tmp_path, dataset__root="elsewhere").test_file == fit(tmp_path).test_file


@pytest.mark.parametrize(
    ("observer", "changes"),
    [(EPOCH_SCORES, {"samples": 200}), (EPOCH_SCORES, {"every_n_epochs": 2}), (PLANE_VIEW, {"every_n_updates": 20}),
     (LOSS_HISTORY, {"every_n_updates": 5}), (STOPPING, {"patience": 5})],
    ids=["samples", "every_n_epochs", "frames", "window", "patience"],
)  # fmt: skip
def test_what_an_observer_keeps_or_decides_is_in_the_name(tmp_path, observer, changes):
    without, one = fit(tmp_path), fit(tmp_path, **observing(one=observer))
    other = fit(tmp_path, **observing(one=observer | changes))
    assert len({without.name, one.name, other.name}) == 3


def test_what_only_the_pictures_have_to_do_with_is_not(tmp_path):
    assert deciding({"pictures": CONFIG["callbacks"]["observers"]["pictures"], "rate": LEARNING_RATE, "x": None}) == {}
    one, other = (
        fit(tmp_path, **observing(view=PLANE_VIEW | {"layers": layers})) for layers in (["real"], ["decision"])
    )
    assert one.name == other.name
    one.create()
    assert one.watched_otherwise() == ""
    assert other.watched_otherwise() == "observers.view.layers is ['decision'], was ['real']"


def test_the_validation_loop_decides_only_where_a_callback_acts_on_it(tmp_path):
    for setting, value in {"check_val_every_n_epoch": 2, "limit_val_batches": 3, "num_sanity_val_steps": 2}.items():
        change = {f"trainer__{setting}": value}
        assert fit(tmp_path, **change).name == fit(tmp_path).name
        assert fit(tmp_path, **change, **observing(s=STOPPING)).name != fit(tmp_path, **observing(s=STOPPING)).name


def test_a_required_fit_is_in_the_name(tmp_path):
    """The scorer chooses the best checkpoint: another one, another fit."""
    scorers = [fit(tmp_path, seed=seed) for seed in (0, 1)]
    names = [fit(tmp_path, requires={"scorer": scorer}).name for scorer in scorers]
    assert len({*names, fit(tmp_path).name}) == 3
    assert fit(tmp_path, requires={"scorer": scorers[0]}).identity["requires"] == {"scorer": scorers[0].name}


def named(*words: str) -> str:
    """The fit of a command's first job."""
    return Planner().add(read_command("train", ["dataset=digits", "model=vae_mlp", *words]).jobs[0], None).fit.name


def test_one_batch_and_all_of_them_are_two_fits():
    """To Lightning 1 is a number of batches and 1.0 a share: only where the kind means nothing the two are one."""
    assert named("trainer.limit_train_batches=1") != named("trainer.limit_train_batches=1.0")
    assert named("model.beta=1") == named("model.beta=1.0") == named("model.beta=1e0")
    assert named("model.betas=[0,0.9]") == named("model.betas=[0.0,0.9]") != named("model.betas=[0.5,0.9]")


def test_a_new_fit_says_how_it_differs(tmp_path):
    old = fit(tmp_path)
    old.create()
    assert old.why_new() == ""
    new = fit(tmp_path, trainer__max_epochs=9)
    assert new.why_new() == f"unlike {old.name}: trainer.max_epochs is 9, was 3"
    new.identity["code"]["lightning_modules/vae.py"] = "edited"
    assert "the code of lightning_modules/vae.py has changed" in new.why_new()
    one, other = (fit(tmp_path / "2", trainer__limit_train_batches=limit) for limit in (1, 1.0))
    one.create()
    assert other.why_new() == f"unlike {one.name}: trainer.limit_train_batches is 1.0, was 1"
    assert fit(tmp_path, data=DATA | {"fingerprint": "3" * 16}).why_new() == f"unlike {old.name}: the data have changed"


def test_only_known_targets_are_built():
    assert targets.resolve("lightning_modules.vae.VAE").__name__ == "VAE"
    assert targets.resolve("pytorch_lightning.callbacks.EarlyStopping").__name__ == "EarlyStopping"
    only = "only classes of lightning_modules, datamodules, callbacks, classifiers, metrics may be named, and pytorch_l"
    for target in ("os.system", "pytorch_lightning.Trainer", "pytorch_lightning.callbacks.callback.os.system",
                   "latent_lab.fits.Fit", "tests.conftest.run"):  # fmt: skip
        with pytest.raises(ValueError, match=f"^_target_={target}: {only}"):
            targets.resolve(target)
        with pytest.raises(ValueError, match=f"^_target_={target}: {only}"):
            targets.build({"_target_": "lightning_modules.vae.VAE", "encoder": [{"_target_": target}]})
    for target in ("lightning_modules.vae.torch", "lightning_modules.vae.Tensor", "lightning_modules.vae.Nothing",
                   "datamodules.digits.Images", "datamodules.labels.draw_labels",
                   "pytorch_lightning.loggers.Path"):  # fmt: skip
        with pytest.raises(ValueError, match=f"^_target_={target}: .* defines no such class"):
            targets.resolve(target)


def _hold(folder, held, release):
    with fit(folder).lock(on_wait=lambda owner: None):
        held.set()
        release.wait()


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the fit's lock, and the event that lets it go."""
    held, release = PROCESSES.Event(), PROCESSES.Event()
    process = PROCESSES.Process(target=_hold, args=(tmp_path, held, release))
    process.start()
    assert held.wait(60)
    return process, release


def test_a_second_process_waits_and_is_told_for_whom(tmp_path, holder):
    process, release = holder
    waited = []
    with pytest.raises(ValueError, match="is being trained by another process"):
        fit(tmp_path).folder.mkdir(parents=True)
        fit(tmp_path).set_aside()

    def on_wait(owner):
        waited.append(owner)
        release.set()

    with fit(tmp_path).lock(on_wait):
        assert waited and waited[0].startswith(f"process {process.pid} on ")
    process.join()


def test_a_killed_holder_frees_the_lock(tmp_path, holder):
    process, _ = holder
    process.kill()
    process.join()
    start = time.monotonic()
    with fit(tmp_path).lock(on_wait=lambda owner: None):
        assert time.monotonic() - start < 5


def test_who_holds_the_lock_clears_what_a_killed_process_left_half_written(tmp_path):
    one = fit(tmp_path)
    one.create()
    half = one.folder / ".last.ckpt.123.tmp"
    half.write_bytes(b"half")
    with one.lock(on_wait=lambda owner: None):
        assert not half.exists() and (one.folder / "fit.json").exists()


def test_nothing_is_overwritten(tmp_path):
    assert [new_folder(tmp_path, "a").name for _ in range(3)] == ["a", "a-2", "a-3"]
    one = fit(tmp_path)
    one.create()
    kept = one.set_aside()
    assert kept.name == f"{one.name}-replaced" and not one.folder.exists()
    assert read_json(kept / "fit.json")["status"] == "training"
    one.create()
    assert one.set_aside().name == f"{one.name}-replaced-2"


def test_an_earlier_result_is_kept(tmp_path):
    for number in (1, 2):
        (tmp_path / "result.json").write_text(f'{{"n": {number}}}')
        (tmp_path / "classifier.safetensors").write_text(str(number))
        set_results_aside(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["earlier-1", "earlier-2"]
    assert read_json(tmp_path / "earlier-2" / "result.json") == {"n": 2}
    assert (tmp_path / "earlier-1" / "classifier.safetensors").read_text() == "1"
