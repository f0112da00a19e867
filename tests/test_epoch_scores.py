"""Scores at the ends of epochs, which of them is the best, and that a job believes no other."""

import math
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from test_scored_failures import SmallScorer

from callbacks.analyses.base import InTraining
from callbacks.analyses.sample_quality import SampleQuality, require_best_is_best
from callbacks.observers.epoch_scores import NAMES, EpochScores, Yardstick, best_epoch
from callbacks.observers.epoch_seed import EpochSeed
from callbacks.observers.loss_history import LossHistory
from datamodules.digits import Digits
from datamodules.images import to_unit_range
from lightning_modules.adversarial_networks import ConvCritic, ConvGenerator
from lightning_modules.gan import GAN
from lightning_modules.wgan_gp import WGANGP
from metrics.failures import STRENGTHS

SHAPE = (1, 8, 8)


@pytest.fixture(scope="module")
def scorer():
    data = Digits()
    data.setup()
    return SmallScorer(to_unit_range(data.labelled.images), data.labelled.targets)


class Watching(pl.Callback):
    """Writes down, at the end of each epoch, what a checkpoint callback would ask, and what EarlyStopping would see."""

    def __init__(self, scores):
        self.scores, self.asked, self.logged = scores, [], []

    def on_train_epoch_end(self, trainer, pl_module):
        self.asked.append(self.scores.score)
        self.logged.append({name for name in trainer.callback_metrics if name.startswith("score/")})


def fitted(scorer, every=1, more=(), kind=GAN, n_critic=1, **settings):
    torch.manual_seed(0)
    module = kind(ConvGenerator(SHAPE, 4, 2), ConvCritic(SHAPE, 2), z_dim=4, n_critic=n_critic)
    scores = EpochScores(samples=500, every_n_epochs=every, scorer=scorer)
    watching = Watching(scores)
    settings = {"max_epochs": 3, "num_sanity_val_steps": 0} | settings
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu",
                         enable_model_summary=False, callbacks=[EpochSeed(0), scores, LossHistory(), watching, *more],
                         **settings)  # fmt: skip
    trainer.fit(module, Digits(batch_size=50, val_size=500))
    return scores, watching, module


def test_epochs_are_scored_whatever_is_validated(scorer):
    expected = fitted(scorer)[0].state_dict()["epochs"]
    assert [(entry["epoch"], entry["updates"]) for entry in expected] == [(1, 15), (2, 30), (3, 45)]
    assert [entry["images_seen"] for entry in expected] == [750, 1500, 2250]
    for settings in ({"check_val_every_n_epoch": 9}, {"limit_val_batches": 0}):
        assert fitted(scorer, max_epochs=2, **settings)[0].state_dict()["epochs"] == expected[:2]


def test_an_epoch_has_a_score_only_if_it_was_scored(scorer):
    scores, watching, _ = fitted(scorer, every=2, max_epochs=4)
    kept = {entry["epoch"]: entry["averaged"]["fcd"] for entry in scores.state_dict()["epochs"]}
    assert list(kept) == [2, 4] and watching.asked == [None, kept[2], None, kept[4]]
    assert watching.logged[0] == set() and watching.logged[1] == {f"score/{name}" for name in NAMES}


def test_the_last_epoch_of_a_budget_in_updates_is_scored(scorer):
    scores = fitted(scorer, every=5, max_epochs=-1, max_steps=20)[0].state_dict()["epochs"]
    assert [(entry["epoch"], entry["updates"]) for entry in scores] == [(2, 20)]


def test_images_seen_are_those_of_all_critic_steps(scorer):
    (entry,) = fitted(scorer, kind=WGANGP, n_critic=2, max_epochs=1)[0].state_dict()["epochs"]
    assert (entry["updates"], entry["images_seen"]) == (7, 700)


def test_what_limits_are_made_of_is_measured_once_and_kept(scorer):
    state = fitted(scorer, max_epochs=1)[0].state_dict()
    assert {name: tuple(of) for name, of in state["failures"].items()} == STRENGTHS
    assert set(state["floor"]) == set(state["failures"]["blur"][1.0]) == set(state["epochs"][0]["raw"]) == set(NAMES)
    assert [sum(of) for of in state["shares"].values()] == pytest.approx([1, 1])
    assert set(state["shares"]) == {"held_out", "training"} and len(state["shares"]["training"]) == 10


def test_scores_are_of_the_models_own_noise(scorer, monkeypatch):
    data, seen = Digits(), []
    data.setup()
    yardstick = Yardstick(scorer, data.val, data.train, 150, torch.device("cpu"))
    for noise in ("normal", "uniform"):
        module = GAN(ConvGenerator(SHAPE, 20, 2), ConvCritic(SHAPE, 2), z_dim=20, noise=noise)
        generate = module.generate
        monkeypatch.setattr(module, "generate", lambda z, averaged, g=generate: seen.append(z) or g(z, averaged))
        yardstick.score_generator(module, averaged=True)
    normal, uniform = seen
    assert torch.equal(normal, torch.randn(150, 20, generator=torch.Generator().manual_seed(1)))
    assert uniform.abs().max() <= 1 < normal.abs().max() and uniform.var() == pytest.approx(1 / 3, rel=0.05)


def test_the_best_epoch_is_the_first_of_the_least_and_none_that_diverged():
    def kept(*fcds):
        return {"epochs": [{"epoch": i, "averaged": {"fcd": fcd}} for i, fcd in enumerate(fcds, start=1)]}

    assert best_epoch(kept(3.0, 1.0, 1.0, 2.0)) == 2
    assert best_epoch(kept(math.nan, 5.0, math.nan)) == 2
    assert best_epoch(kept(math.nan, math.nan)) is None
    without_kid = {"epoch": 3, "averaged": {"fcd": 0.5, "kid": math.nan}}  # what the verdict calls diverged
    assert best_epoch({"epochs": [*kept(3.0, 1.0)["epochs"], without_kid]}) == 2


def test_a_best_checkpoint_of_another_epoch_is_refused(tmp_path):
    fit = SimpleNamespace(files=lambda pattern: sorted(tmp_path.glob(pattern)))
    kept = {"epochs": [{"epoch": i, "averaged": {"fcd": fcd}} for i, fcd in ((1, 9.0), (2, 4.0), (3, 6.0))]}
    require_best_is_best(fit, kept)  # a notebook has no file
    torch.save({"epoch": 1, "state_dict": {}}, tmp_path / "best.ckpt")
    require_best_is_best(fit, kept)
    torch.save({"epoch": 2, "state_dict": {}}, tmp_path / "best.ckpt")
    with pytest.raises(ValueError, match=r"best.ckpt: of epoch 3, where epoch 2 scored best \(fcd\); fresh=true"):
        require_best_is_best(fit, kept)
    require_best_is_best(fit, {"epochs": [{"epoch": i, "averaged": {"fcd": math.nan}} for i in (1, 2)]})


def test_the_quality_of_a_fit_in_a_notebook(scorer):
    quality = SampleQuality(samples=200, scorer=scorer)
    fitted_state = fitted(scorer, more=[quality])[0]
    outcome = quality.outcome
    expected = {f"{name}{end}" for name in NAMES for end in ("", "_raw", "_best", "_floor")}
    assert set(outcome.metrics) == expected | {"scorer_accuracy", "scored_images"}
    assert outcome.metrics["scored_images"] == 200 and type(outcome.metrics["scored_images"]) is int
    assert outcome.metrics["fcd_floor"] < outcome.metrics["fcd"] == outcome.metrics["fcd_best"]  # no other was kept
    report = outcome.artefacts["report.md"]
    assert "Against 200 test images" in report and "![losses](losses.png)" in report and "strip" not in report
    told = outcome.facts["verdict"]
    assert list(told["labels"]) == list(told["reasons"]) == [1, 2, 3] and "unrealistic" in told["reasons"][3]
    state = fitted_state.state_dict()
    assert f"best at epoch {best_epoch(state)}" in outcome.facts["statement"].replace("least bad", "best")
    kid = next(line for line in report.splitlines() if line.startswith("| averaged")).split(" | ")[2]
    assert kid == f"{outcome.metrics['kid']:.1f} ± {outcome.metrics['kid_std']:.1f}"
    assert set(outcome.artefacts) == {"report.md", "history.json"}


def test_a_fits_pictures_and_scores_are_taken_from_it(scorer, tmp_path):
    """What was derived before is not made again, but by a reload; pictures are copied, and stand in the report."""
    module = fitted(scorer, max_epochs=1)[2]
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "strip.png").write_bytes(b"PNG")
    derived = {}

    def keep(name, make):
        return derived.setdefault(name, make())

    fit = SimpleNamespace(name="f", model=module, datamodule=module.trainer.datamodule, best=lambda: module,
                          observed=InTraining(module.trainer, module).observed, derived=keep,
                          files=lambda pattern: sorted(tmp_path.glob(pattern)))  # fmt: skip
    first = SampleQuality(samples=200, scorer=scorer).run(fit)
    assert first.artefacts["strip.png"] == tmp_path / "pictures" / "strip.png"
    assert "![strip](strip.png)" in first.artefacts["report.md"]
    true = first.metrics["fcd"]
    derived["scores-200"]["fcd"] = derived["scores-200"]["fcd"] + 1
    again = SampleQuality(samples=200, scorer=scorer)
    assert again.run(fit).metrics["fcd"] == true + 1
    assert again.reload(fit, None)["fcd"] == true


def test_without_a_scorer_it_is_told():
    with pytest.raises(ValueError, match="scores need scorer=, a network that was trained to tell"):
        fitted(None, max_epochs=1)
