"""A command is checked whole before anything runs, each part of it once, and its jobs are grouped by their fits."""

import pytest

from conftest import ON_CPU
from latent_lab.command import read_command
from latent_lab.plan import plan

DIGITS = ["dataset=digits", *ON_CPU]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["n_labels=0"], "n_labels=0: expects a positive whole number"),
        (["-m", "n_labels=50,5000"], "n_labels=5000: the training set has only 1100 images"),
        (["-m", "model=glob(zz*)"], "model=glob(zz*): a sweep over no value"),
        (["-m", "seed=0,-1", "n_labels=50,100"], "seed=-1: expects a whole number from 0"),
        (["+trainer.overfit_batches=1"], "trainer.overfit_batches: this project sees to that itself; leave it out"),
        (["model=dcgan", "n_labels=100"], "n_labels=100: model=dcgan makes no use of n_labels"),
        (["model=wgan_gp", "classifier.C=2.0"], "classifier.C=2.0: model=wgan_gp makes no use of classifier"),
        (["model=dcgan", "callbacks.observers.scores.samples=0"], "scores.samples=0: expects a positive whole number"),
        (
            ["model=dcgan", "dataset=ring"],
            "model=dcgan: not for dataset=ring, which goes with gan, r3gan, wgan, wgan_gp\n",
        ),
        (["model=gan", "dataset=ring", "experiment=figure2"], "experiment=figure2: unknown (did you mean figure1?)"),
        (["-m", "model=dcgan,vae", "dataset=digits,ring"], "model=dcgan: not for dataset=ring, which goes with gan, "),
    ],
)
def test_a_mistake_in_any_job_is_one_line_and_nothing_is_trained(command, tmp_path, arguments, message):
    dataset = [] if any(argument.startswith("dataset=") for argument in arguments) else ["dataset=digits"]
    code, out, err = command("train", *dataset, *arguments)
    assert code == 2 and out == "" and err.startswith(f"train.py: {message}") and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def planned(tmp_path, *words: str):
    return plan(read_command("train", ["-m", *DIGITS, *words, f"paths.outputs={tmp_path}"]), tmp_path / "sweeps" / "s")


def test_jobs_that_share_a_fit_are_one_unit(tmp_path):
    units = planned(tmp_path, "model=vae_mlp", "n_labels=50,100", "model.beta=1,2", "label_seed=0,1").units
    assert [len(unit.jobs) for unit in units] == [4, 4] and len({unit.fit.name for unit in units}) == 2
    for beta, unit in zip((1.0, 2.0), units, strict=True):
        assert unit.fit.config["model"]["beta"] == beta
        found = [(job.config["n_labels"], job.config["label_seed"], job.folder.name) for job in unit.jobs]
        name = "dataset=digits,label_seed={},model.beta={},model=vae_mlp,n_labels={}"
        assert found == [(n, s, name.format(s, int(beta), n)) for n in (50, 100) for s in (0, 1)]
    assert not list(tmp_path.iterdir()), "planning writes nothing"


def test_a_fit_that_others_require_comes_first_and_is_one_for_all(tmp_path):
    units = planned(tmp_path, "model=dcgan,wgan_gp", "seed=0,1").units
    scorer, *others = units
    assert scorer.fit.name.startswith("scorer-digits-") and scorer.jobs == []
    assert [len(unit.jobs) for unit in others] == [1] * 4
    assert all(unit.fit.requires["scorer"] is scorer.fit for unit in others)
    assert all(unit.fit.identity["requires"] == {"scorer": scorer.fit.name} for unit in others)


def test_each_part_is_made_and_checked_once_however_many_jobs_there_are(tmp_path, monkeypatch):
    """So that a thousand draws of the labels begin at once: a data set is read in a fifth of a second."""
    from callbacks.analyses.latent_classifier import LatentClassifier
    from datamodules.digits import Digits
    from latent_lab import plan as planning

    counts = dict.fromkeys(("setup", "divide", "check", "trainer", "pair"), 0)

    def counted(name, function):
        def call(*args, **kwargs):
            counts[name] += 1
            return function(*args, **kwargs)

        return call

    monkeypatch.setattr(Digits, "setup", counted("setup", Digits.setup))
    monkeypatch.setattr(Digits, "divide", counted("divide", Digits.divide))
    monkeypatch.setattr(LatentClassifier, "check", counted("check", LatentClassifier.check))
    monkeypatch.setattr(planning, "check_trainer", counted("trainer", planning.check_trainer))
    monkeypatch.setattr(planning, "check_pair", counted("pair", planning.check_pair))
    (unit,) = planned(tmp_path, "label_seed=range(40)", "n_labels=100").units
    assert len(unit.jobs) == 40
    assert counts["setup"] == counts["divide"] == counts["trainer"] == counts["pair"] == 1
    assert counts["check"] == 40, "each draw is another one"
