"""Numbers that were wrong and said nothing: each test holds a mend of one, found by reading what a command leaves."""

import json
import math
import shutil
import struct
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from commands import DIGITS, IMAGES, ON_CPU, POINTS, checkpoint_of, fit_of, fits_of, record_of, run, same

from callbacks.analyses import latent_classifier
from callbacks.analyses.latent_classifier import LatentClassifier
from callbacks.observers.loss_history import LossHistory
from callbacks.observers.pictures import Pictures
from conftest import results
from datamodules import mnist
from latent_lab import charts, composition, fits, targets, training
from latent_lab.command import read_command
from latent_lab.head_table import blocks
from latent_lab.jobs import setting
from latent_lab.opened import OpenFit
from latent_lab.plan import Planner, plan
from latent_lab.results import kinds, read_results
from latent_lab.rows import aggregate
from latent_lab.storage import read_json, write_json

VAE = ("model=vae_mlp", *ON_CPU, "model.encoder.hidden=[16]", "model.decoder.hidden=[16]", "logger=none",
       "model.nll_images=10", "model.nll_samples=2", "trainer.max_epochs=1")  # fmt: skip
UNSEEN = (*VAE, "callbacks.observers.pictures=null")
SMALL = (*DIGITS, "logger=none", "trainer.max_epochs=1")
TINY = ("dataset=mnist", "dataset._target_=datamodules.mnist.IdxImages", "+dataset.name=tiny", "dataset.batch_size=15",
        "+dataset.class_names=[a,b,c]", "dataset.val_size=15")  # fmt: skip
GAN = (*IMAGES, "logger=none", "trainer.max_epochs=1", "trainer.limit_train_batches=3",
       "+requires.scorer.trainer.max_epochs=1")  # fmt: skip
LIGHTNINGS = "+callbacks.observers.x={{_target_:pytorch_lightning.callbacks.{}}}"
CLASSIFIER = ("_target_:callbacks.analyses.latent_classifier.LatentClassifier,n_labels:50,"
              "classifier:{_target_:classifiers.linear_svc.LinearSVCHead}")  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def composed_once():
    """Each composition once: half a second each, and no number of ours."""

    @cache
    def composed(name: str, overrides: tuple[str, ...]):
        return compose(name, list(overrides), return_hydra_config=True)

    compose = composition.compose
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(composition, "compose", lambda name, overrides=(), **_: composed(name, tuple(overrides)))
        yield


def trained(outputs: Path, *arguments: str, code: int = 0) -> str:
    said = run("train", *arguments, f"paths.outputs={outputs}")
    assert said.code == code, said.text
    return said.out


def planned(outputs: Path, *arguments: str):
    """The unit of a command with one job."""
    words = [*arguments, f"paths.outputs={outputs}"]
    return Planner().add(read_command("train", words).jobs[0], outputs / "runs" / "job")


def the_result(folder: Path) -> dict:
    """The only one below a folder."""
    (result,) = results(folder).values()
    return result


def edited(file: Path, **fields) -> None:
    write_json(file, read_json(file) | fields)


def tiny(root: Path, seed: int = 0) -> Path:
    """A data set of 90 and 30 images of 8x8 in three classes; another seed, other images under the same names."""
    raw = root / "tiny" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for part, of_each in (("train", 30), ("t10k", 10)):
        classes = np.repeat(np.arange(3, dtype=np.uint8), of_each)
        images = rng.integers(0, 100, (len(classes), 8, 8), dtype=np.uint8)
        images[np.arange(len(classes)), 2 * classes] += 150
        header = struct.pack(">4i", 2051, len(images), 8, 8)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, len(classes)) + classes.tobytes())
    return root


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    """A fit on the digits, and one job that looked at it."""
    outputs = tmp_path_factory.mktemp("vae")
    trained(outputs, *SMALL, "+trainer.accumulate_grad_batches=4")
    return outputs


@pytest.fixture
def found(vae, tmp_path):
    """These outputs, to be changed, and the words by which the fit is found."""
    shutil.copytree(vae, tmp_path / "found")
    return tmp_path / "found", (*SMALL, "+trainer.accumulate_grad_batches=4")


@pytest.fixture(scope="module")
def gan(tmp_path_factory):
    """A GAN's fit with its scorer's, and one job that looked at it."""
    outputs = tmp_path_factory.mktemp("gan")
    trained(outputs, *GAN)
    return outputs


@pytest.fixture
def scored(gan, tmp_path):
    """These outputs, to be changed: the folder of all, the GAN's and the scorer's."""
    shutil.copytree(gan, tmp_path / "scored")
    return tmp_path / "scored", fit_of(tmp_path / "scored"), fit_of(tmp_path / "scored", "scorer")


# What decides the weights


@pytest.mark.parametrize(
    "words",
    [(*VAE, "dataset=digits"), (*POINTS, "dataset=ring", "trainer.max_epochs=1", "logger=none")],
    ids=["vae", "gan"],
)
def test_a_validation_within_an_epoch_moves_no_weight(tmp_path, words):
    """What it draws, and what Lightning draws to begin it, is put back: the fits have one name."""
    without, within = tmp_path / "without", tmp_path / "within"
    trained(without, *words, "callbacks=none")
    trained(within, *words, "callbacks=none", "+trainer.val_check_interval=3")
    assert fit_of(without).name == fit_of(within).name
    states = [checkpoint_of(fit_of(outputs)) for outputs in (without, within)]
    assert all(same(states[0][part], states[1][part]) for part in ("state_dict", "optimizer_states"))


@pytest.mark.parametrize(
    "words",
    [("dataset=digits", "dataset.val_size=150"), ("dataset=digits", "~dataset.val_size"), TINY],
    ids=["val_size", "none", "another class"],
)
def test_a_required_fit_learns_its_jobs_data(tmp_path, words):
    more = [word for word in GAN if word != "dataset=digits"] + ["+requires.scorer.dataset.batch_size=11"]
    words = [*more, *words, f"paths.data={tiny(tmp_path / 'data')}", f"paths.outputs={tmp_path}"]
    (job,) = read_command("train", words).jobs
    unit = Planner().add(job, None)
    scorer = unit.fit.requires["scorer"]
    offers = unit.fit.data["offers"] | {"labelled_share": 1.0}
    assert scorer.data == unit.fit.data | {"offers": offers}
    assert scorer.config["dataset"] == unit.fit.config["dataset"] | {"batch_size": 11, "n_labels": "all"}
    in_a_worker = Planner(given=unit.requires).add(job, None).fit
    assert (in_a_worker.name, in_a_worker.requires["scorer"].name) == (unit.fit.name, scorer.name)


def test_a_required_fit_learns_all_images_where_its_job_learns_a_few(tmp_path):
    few = planned(tmp_path, *GAN, "dataset.train_subset=100")
    scorers = [unit.fit.requires["scorer"] for unit in (few, planned(tmp_path, *GAN))]
    assert scorers[0].name == scorers[1].name and scorers[0].data["fingerprint"] != few.fit.data["fingerprint"]


def test_a_new_process_that_imported_edited_code_refuses(tmp_path, monkeypatch):
    """It would train what the files hold by then, under the name of what they held."""
    unit, digests = planned(tmp_path, *SMALL), fits.source_digests
    unit.fit.require_same_code()
    monkeypatch.setattr(fits, "source_digests", lambda names: digests(names) | {"lightning_modules/vae.py": "0"})
    with pytest.raises(RuntimeError, match=r"lightning_modules/vae.py was edited since the command began"):
        training._train_here(unit.fit, None, [])
    assert not unit.fit.folder.exists()


WATCHING = {
    "StochasticWeightAveraging,swa_lrs:0.01": "StochasticWeightAveraging",
    "EMAWeightAveraging": "EMAWeightAveraging",
    "LearningRateFinder": "LearningRateFinder",
    "BatchSizeFinder": "BatchSizeFinder",
    "ModelCheckpoint": None,
}
REFUSALS = [
    *((LIGHTNINGS.format(said), f"callbacks.observers.x: {name} changes weights" if name else "callbacks.observers.x: ")
      for said, name in WATCHING.items()),
    (f"+callbacks.analyses.again={{{CLASSIFIER}}}",
     "callbacks.analyses: latent_classifier and again both give accuracy; leave one out"),
    ("classifier.C=1 classifier.C_per_label=0.1", "classifier.C=1 classifier.C_per_label=0.1: give one, and null"),
    ("dataset.label_seed=3", "dataset.label_seed: without effect where neither dataset.train_subset nor dataset."),
    ("dataset.labels=proportional", "dataset.labels: without effect where neither dataset.train_subset nor dataset."),
    ("model=dcgan +requires.scorer.dataset.val_size=100",
     "requires.scorer: dataset.val_size=100: it learns its job's data; own to it are dataset.batch_size, "),
    ("model=dcgan label_seed=3", "label_seed=3: model=dcgan makes no use of label_seed"),
    ("model=dcgan labels=proportional", "labels=proportional: model=dcgan makes no use of labels"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "message"), REFUSALS)
def test_what_would_be_lost_or_without_effect_is_refused(tmp_path, words, message):
    said = run("train", "dataset=digits", *ON_CPU, *words.split(), f"paths.outputs={tmp_path}")
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1), said.text
    assert said.err.startswith(f"train.py: {message}") and not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", ["dataset.train_subset=100 label_seed=3", "dataset.train_subset=100 labels=equal"])
def test_a_draw_that_a_subset_follows_has_an_effect(words):
    (job,) = read_command("train", ["model=dcgan", "dataset=digits", *words.split()]).jobs
    assert job.config["dataset"]["label_seed"] == job.config["label_seed"]


def test_ours_derived_from_what_is_refused_is_refused(monkeypatch):
    averaging = targets.resolve("pytorch_lightning.callbacks.StochasticWeightAveraging")
    monkeypatch.setattr(targets, "resolve", lambda target: type("Ours", (averaging,), {}))
    with pytest.raises(ValueError, match="^callbacks.observers.x: Ours changes weights after the last checkpoint"):
        fits.require_allowed({"y": None, "x": {"_target_": "callbacks.observers.ours.Ours"}})


def test_an_observer_that_says_nothing_of_itself_counts_whole(monkeypatch):
    history = {"_target_": "callbacks.observers.loss_history.LossHistory", "every_n_updates": 50}
    pictures = {"_target_": "callbacks.observers.pictures.Pictures", "every_n_epochs": 5}
    monkeypatch.delattr(LossHistory, "identity")
    assert fits.deciding({"history": history, "pictures": pictures}) == {"history": history}
    monkeypatch.delattr(Pictures, "only_watches")
    assert fits.deciding({"pictures": pictures}) == {"pictures": pictures}


# Fits that are found


@pytest.mark.parametrize("status", ["finished", "training"])
def test_a_folder_with_another_fit_in_it_is_refused(found, status):
    """Neither looked at nor continued."""
    outputs, words = found
    fit = fit_of(outputs)
    identity = read_json(fit / "identity.json")
    identity["model"]["beta"] = 7.0
    write_json(fit / "identity.json", identity)
    edited(fit / "fit.json", status=status)
    shutil.rmtree(outputs / "runs")
    trained(outputs, *words, code=1)
    expected = f"ValueError: {fit}: another fit of this name (model.beta is 1.0, was 7.0); rename it, or fresh=true"
    assert the_result(outputs)["error"].startswith(expected)
    assert trained(outputs, *words, "fresh=true").count("trains anew") == 1


def test_a_scorers_folder_with_another_fit_in_it_is_refused(scored):
    outputs, _, scorer = scored
    edited(scorer / "identity.json", seed=7)
    shutil.rmtree(outputs / "runs")
    trained(outputs, *GAN, code=1)
    assert f"{scorer}: another fit of this name (seed is 0, was 7)" in the_result(outputs)["error"]


def test_scores_by_a_scorer_of_other_weights_are_refused(scored):
    outputs, fit, scorer = scored
    assert set(OpenFit(fit).required) == {"scorer"}
    edited(scorer / "fit.json", weights="0" * 16)
    (job,) = (outputs / "runs").iterdir()
    message = f"{fit}: {scorer.name}, its scorer, was trained anew since, to other weights; fresh=true trains this one"
    said = run("evaluate", f"run={job}")
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1) and message in said.err
    shutil.rmtree(outputs / "runs")
    trained(outputs, *GAN, code=1)
    assert message in the_result(outputs)["error"]


def test_a_fit_is_not_continued_with_a_scorer_of_other_weights(scored):
    """Its epochs would be scored by two, and the best of them chosen."""
    outputs, fit, scorer = scored
    assert record_of(fit)["required"] == {"scorer": record_of(scorer)["weights"]}
    edited(scorer / "fit.json", weights="0" * 16)
    edited(fit / "fit.json", status="training")
    shutil.rmtree(outputs / "runs")
    trained(outputs, *GAN, code=1)
    assert "was trained anew since this fit was begun, to other weights" in the_result(outputs)["error"]
    (fit / "last.ckpt").unlink()  # killed before its first epoch's end, it was scored by nobody
    trained(outputs, *GAN)
    assert record_of(fit)["required"] == {"scorer": "0" * 16}


def test_a_scorer_that_is_not_finished_scores_nothing(scored):
    _, fit, scorer = scored
    edited(scorer / "fit.json", status="training")
    with pytest.raises(ValueError, match=f"{scorer.name}: is not trained to its end"):
        OpenFit(fit).required  # noqa: B018


@pytest.mark.parametrize("gone", [True, False], ids=["absent", "unfinished"])
def test_a_required_fit_is_trained_to_its_end_first(scored, gone):
    outputs, fit, scorer = scored
    weights = record_of(scorer)["weights"]
    edited(scorer / "fit.json", status="training", weights=None)
    if gone:
        shutil.rmtree(scorer)
    unit = planned(outputs, *GAN)
    assert training.find_or_train(unit.fit, unit.datamodule) is True
    assert (record_of(scorer)["status"], record_of(scorer)["weights"]) == ("finished", weights)
    assert set(OpenFit(fit).required) == {"scorer"}


def test_images_a_second_are_of_the_batches_seen(vae):
    """Of which four make an update here."""
    record = record_of(fit_of(vae))
    assert record["updates"] == 5
    assert record["images_per_second"] == pytest.approx(17 * 64 / record["seconds"], rel=0.02)


# Jobs and what they are given


def test_images_outside_a_subset_make_another_job_of_the_same_fit(tmp_path):
    """Labels are drawn from them too: what was found before was found on others."""
    data, sweep = tiny(tmp_path / "data"), tmp_path / "sweeps" / "s"
    words = [*UNSEEN, *TINY, "n_labels=30", "dataset.train_subset=15", "sweep=s", f"paths.data={data}"]
    trained(tmp_path, "-m", *words)
    before = of_one_job(sweep)
    assert "finished before" in trained(tmp_path, "-m", *words)
    unit = planned(tmp_path, *(word for word in words if word != "sweep=s"))
    train, labelled = unit.datamodule.train.images.flatten(1), unit.datamodule.labelled.images
    outside = next(image for image in labelled if not (train == image.flatten()).all(1).any())
    file = data / "tiny" / "raw" / "train-images-idx3-ubyte"
    old = outside.numpy().tobytes()
    assert file.read_bytes().count(old) == 1
    file.write_bytes(file.read_bytes().replace(old, bytes(64)))
    forget_files()
    out = trained(tmp_path, "-m", *words)
    assert "finished before" not in out and "found finished" in out and len(fits_of(tmp_path)) == 1
    after = of_one_job(sweep)
    assert after["job"] != before["job"] and after["setting"] != before["setting"]
    codes = list(fit_of(tmp_path).glob("derived-*/codes.safetensors"))
    assert len(codes) == 2 and codes[0].read_bytes() != codes[1].read_bytes()


def forget_files() -> None:
    """As a new process would read them."""
    mnist._read_files.cache_clear()


def of_one_job(sweep: Path) -> dict:
    """The result of a sweep's job, without those of it that were set aside."""
    (file,) = sweep.glob("*/result.json")
    return read_json(file)


def test_what_is_derived_is_kept_by_the_code_that_makes_it(found):
    """Code in another file may make something else under the same name."""
    fit = fit_of(found[0])
    ours = ("callbacks.analyses.latent_codes",)
    codes = OpenFit(fit)
    codes.asked_by = "callbacks.analyses.latent_classifier.LatentClassifier"
    before = codes.derived("codes", lambda: pytest.fail("they are there"), ours)
    assert codes.derived("codes", lambda: {"a": np.zeros(2)})["a"].tolist() == [0, 0], "the whole analysis's"
    codes.asked_by = "callbacks.analyses.sample_quality.SampleQuality"
    assert codes.derived("codes", lambda: {"a": np.ones(2)})["a"].tolist() == [1, 1]
    again = OpenFit(fit)
    again.asked_by = codes.asked_by
    assert again.derived("codes", lambda: pytest.fail("it is there"))["a"].tolist() == [1, 1]
    assert again.derived("codes", lambda: pytest.fail("they are there"), ours).keys() == before.keys()


@pytest.mark.parametrize(
    ("second", "message"),
    [(True, "gives accuracy, which another"), (False, "lightning_modules.vae.VAE: gives test_elbo, which another")],
    ids=["an analysis", "the model"],
)
def test_a_metric_that_was_given_is_not_overwritten(found, monkeypatch, second, message):
    """Also one that no headline says beforehand."""
    outputs, words = found
    shutil.rmtree(outputs / "runs")
    monkeypatch.setattr(LatentClassifier, "headline", {})
    if not second:
        scores = latent_classifier.classification_metrics

        def with_another(*given):
            metrics, confusion = scores(*given)
            return metrics | {"test_elbo": 1.0}, confusion

        monkeypatch.setattr(latent_classifier, "classification_metrics", with_another)
    trained(outputs, *words, *([f"+callbacks.analyses.again={{{CLASSIFIER}}}"] if second else []), code=1)
    assert f"{message} analysis gave; leave one out" in the_result(outputs)["error"]


def test_each_job_is_told_that_its_fit_was_watched_otherwise(tmp_path):
    out = trained(tmp_path, "-m", *VAE, "dataset=digits", "callbacks.observers.pictures.every_n_epochs=3,4")
    (told,) = [line for line in out.splitlines() if "was watched with other settings" in line]
    assert told.endswith("observers.pictures.every_n_epochs is 4, was 3; fresh=true trains anew")
    assert len(fits_of(tmp_path)) == 1


def test_jobs_of_one_fit_in_one_sweep_keep_their_own_test_figures(found):
    outputs, words = found
    words = [word for word in words if not word.startswith("model.nll_images")]
    trained(outputs, "-m", *words, "model.nll_images=100,200", "sweep=s")
    jobs = results(outputs / "sweeps" / "s").values()
    figures = {job["settings"]["model.nll_images"]: job["metrics"]["test_nll_images"] for job in jobs}
    assert figures == {100: 100, 200: 200}
    assert len({job["metrics"]["test_nll"] for job in jobs}) == 2 and len(fits_of(outputs)) == 1


def test_it_is_said_that_a_fit_was_trained_anew_since(found):
    outputs, _ = found
    (job,) = (outputs / "runs").iterdir()
    assert "trained anew" not in run("evaluate", f"run={job}").out
    edited(fit_of(outputs) / "fit.json", created="2026-01-01T00:00:00")
    said = run("evaluate", f"run={job}")
    name = fit_of(outputs).name
    assert said.out.startswith(f"{name} was trained anew since: figures of another training are compared\n")


# Tables and charts


def test_figures_on_other_images_are_another_table(found, monkeypatch):
    """With its own words; a job that failed stays beside its like."""
    outputs, words = found
    fitted = LatentClassifier.run

    def unlucky(self, opened):
        if (self.score_on, self.label_seed) == ("validation", 1):
            raise RuntimeError("out of luck")
        return fitted(self, opened)

    monkeypatch.setattr(LatentClassifier, "run", unlucky)
    trained(outputs, "-m", *words, "score_on=validation,test", "label_seed=0,1", "sweep=s", code=1)
    folder = outputs / "sweeps" / "s"
    assert sorted(len(kind) for kind in kinds(read_results(folder))) == [2, 2]
    text = (folder / "results.md").read_text()
    assert text.count("Validation-set figures") == text.count("Test-set figures") == 1
    assert text.count("| vae_mlp | digits | 100 | 1 (1 failed) |") == text.count("| vae_mlp | digits | 100 | 2 |") == 1


def test_a_setting_made_of_another_is_shown_as_what_it_is(tmp_path):
    words = ["-m", "dataset=digits", "dataset.train_subset=100,200", "n_labels='${dataset.train_subset}'"]
    jobs = read_command("train", words).jobs
    assert [job.settings["n_labels"] for job in jobs] == [job.config["n_labels"] for job in jobs] == [100, 200]


def test_jobs_on_other_data_of_the_same_name_are_not_averaged(tmp_path):
    """Nothing that the command names tells them apart: seed 0 on one folder, 1 and 2 on another."""
    words = ["-m", *UNSEEN, *TINY, "n_labels=15", "sweep=s"]
    trained(tmp_path, *words, "seed=0", f"paths.data={tiny(tmp_path / 'one')}")
    trained(tmp_path, *words, "seed=1,2", f"paths.data={tiny(tmp_path / 'other', seed=1)}")
    _, rows = aggregate(read_results(tmp_path / "sweeps" / "s"))
    assert sorted((row["seeds"], row["draws"]) for row in rows) == [(1, 1), (2, 1)]


def test_draws_of_a_subset_and_seeds_of_the_plane_are_averaged(tmp_path):
    """The data a fit is trained on differ, their name does not; the plane's points are the same for every seed."""
    subsets = [*UNSEEN, *TINY, "n_labels=15", "dataset.train_subset=15", "label_seed=0,1", "seed=0,1"]
    seeds = [*POINTS, "dataset=ring", "seed=0,1"]
    for words, number in ((subsets, 4), (seeds, 2)):
        found = settings_of(tmp_path, *words, f"paths.data={tiny(tmp_path / str(number))}")
        assert len(found) == number and len(set(found)) == 1


def test_jobs_whose_required_fits_differ_are_not_averaged(tmp_path):
    words = [word for word in GAN if "requires" not in word]
    found = [settings_of(tmp_path, *words, f"seed={seed}", f"+requires.scorer.seed={scorer}")[0]
             for seed, scorer in ((0, 0), (1, 0), (2, 1))]  # fmt: skip
    assert found[0] == found[1] != found[2]


def settings_of(outputs: Path, *words: str) -> list[str]:
    """What tells apart the jobs of a sweep, trained or not."""
    command = read_command("train", ["-m", *words, f"paths.outputs={outputs}"])
    return [setting(job) for unit in plan(command, outputs / "sweeps" / "s").units for job in unit.jobs]


def test_a_curve_joins_what_differs_in_the_labels_only(found, tmp_path):
    """Equal words with other data or code behind them are two curves, not one that leaps between the two."""
    outputs, words = found
    trained(outputs, "-m", *words, "n_labels=50,100", "label_seed=0,1", "sweep=s")
    folder = outputs / "sweeps" / "s"
    (line,) = curves(folder)
    assert line == ("linear_svc on vae_mlp", [50, 100])
    for job in list(folder.iterdir()):
        if job.is_dir() and "label_seed=1" in job.name:
            result = json.loads((job / "result.json").read_text())
            # as it would be after an edit of the model's code
            edited(job / "result.json", setting=result["setting"][::-1], curve=result["curve"][::-1])
    found = curves(folder)
    assert [name for name, _ in found] == ["linear_svc (1) on vae_mlp", "linear_svc (2) on vae_mlp"]
    assert all(counts == pytest.approx([50, 100], rel=0.05) for _, counts in found)  # drawn side by side
    assert all(math.isnan(row["accuracy"].draws) for row in aggregate(read_results(folder))[1])


def curves(folder: Path) -> list[tuple[str, list[int]]]:
    """The curves of a sweep's chart: how they are called, and at which numbers of labels they have points."""
    (axes,) = charts.accuracy_figure(blocks(read_results(folder))).axes
    return [(bars.get_label(), bars.lines[0].get_xdata().tolist()) for bars in axes.containers]
