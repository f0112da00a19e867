"""The words of a command as jobs: what is swept, with what values; and mistakes, answered before torch is imported."""

import resource
import shutil
import subprocess
import sys

import pytest

from conftest import ROOT
from latent_lab import command, composition


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "model=vea",
            r"model=vea: unknown \(did you mean vae\?\); accepted are dcgan, gan, m1_m2, m2, pseudo_labels, ",
        ),
        (
            "dataset=minst",
            r"dataset=minst: unknown \(did you mean mnist\?\); accepted are .*, digits, .*, fashion, .*, mnist",
        ),
        ("classifier=svm", "classifier=svm: unknown.*; accepted are .*linear_svc"),
        ("modle=vae", r"modle: no such setting \(did you mean model\?\); train has .*dataset"),
        ("n_label=100", r"n_label: no such setting \(did you mean n_labels\?\)"),
        ("trainer.max_epoch=3", r"trainer.max_epoch: no such setting \(did you mean trainer.max_epochs\?\)"),
        ("model.encodr.hidden=3", r"model.encodr.hidden: no such setting \(did you mean model.encoder.hidden\?\)"),
        ("n_labels=ten", "n_labels=ten: expects a whole number, like the default 100"),
        ("n_labels=1.5", "n_labels=1.5: expects a whole number"),
        ("model.beta=abc", "model.beta=abc: expects a number, like the default"),
        ("compile=perhaps", "compile=perhaps: expects true or false"),
        ("compile='true'", "compile='true': expects true or false"),
        ("model.encoder=3", "model.encoder=3: expects a group of settings"),
        ("n_labels=100,300", "n_labels=100,300 names several values: add -m"),
        ("vae", "can't read 'vae'; settings are given as key=value"),
        ("+x=3", r"\+x=3: a setting that nothing reads"),
        ("-m n_labels=100,x", "n_labels=x: expects a whole number"),
        (
            "model=wgan_gp dataset=ring model.n_critik=3",
            r"model.n_critik: no such setting \(did you mean model.n_criti",
        ),
    ],
)
def test_a_mistake_is_named_with_what_is_accepted(arguments, message):
    with pytest.raises(command.Mistake, match=f"^{message}") as caught:
        command.read_command("train", arguments.split())
    assert "\n" not in str(caught.value)


def test_a_sweep_is_every_combination_in_hydras_order():
    read = command.read_command(
        "train", ["-m", "dataset=fashion,mnist", "n_labels=100,600", "label_seed=range(2)", "paths.data=/d", "seed=4"]
    )
    found = [(job.choices["dataset"], job.config["n_labels"], job.config["label_seed"]) for job in read.jobs]
    assert found == [(d, n, s) for d in ("fashion", "mnist") for n in (100, 600) for s in (0, 1)]
    assert read.multirun
    assert {job.config["dataset"]["root"] for job in read.jobs} == {"/d"}
    assert {job.config["dataset"]["seed"] for job in read.jobs} == {4}
    assert {job.config["callbacks"]["analyses"]["latent_classifier"]["n_labels"] for job in read.jobs} == {100, 600}
    assert not any("paths.data" in job.settings for job in read.jobs)
    assert [job.name for job in read.jobs[:2]] == [
        f"dataset=fashion,label_seed={s},n_labels=100,seed=4" for s in (0, 1)
    ]


def test_what_was_composed_once_for_all_jobs_is_what_each_would_be_by_itself():
    words = ["dataset=digits", "model=vae_mlp"]
    swept = command.read_command("train", ["-m", *words, "model.lr=1e-3,2", "label_seed=0,7"]).jobs
    for job, (lr, label_seed) in zip(swept, [("1e-3", 0), ("1e-3", 7), ("2", 0), ("2", 7)], strict=True):
        alone = command.read_command("train", [*words, f"model.lr={lr}", f"label_seed={label_seed}"]).jobs[0]
        assert job.config == alone.config and job.settings == alone.settings and job.choices == alone.choices
        assert job.config["dataset"]["label_seed"] == label_seed  # which refers to it


def test_swept_values_keep_their_kind():
    """Read back from the command's words they would be sorted as text, and 1 for a number would be another than 1.0."""
    jobs = command.read_command("train", ["-m", "dataset=digits", "model.lr=10,1e-2,1e-3,2", "n_labels=100"]).jobs
    values = [job.settings["model.lr"] for job in jobs]
    assert values == [10.0, 0.01, 0.001, 2.0] and all(type(value) is float for value in values)
    assert [job.config["model"]["lr"] for job in jobs] == values and type(jobs[0].settings["n_labels"]) is int


def test_a_setting_that_only_a_swept_model_has_is_one():
    words = ["-m", "model=dcgan,wgan_gp", "dataset=digits", "model.generator.channels=8"]
    jobs = command.read_command("train", words).jobs
    assert [job.config["model"]["generator"]["channels"] for job in jobs] == [8, 8]
    assert [job.config["model"]["_target_"].rpartition(".")[2] for job in jobs] == ["GAN", "WGANGP"]


def test_the_default_model_need_not_go_with_the_data_of_a_sweep_over_models():
    """The default model's configuration with the swept one's data set would be a mistake; nobody asks for it."""
    jobs = command.read_command("train", ["-m", "model=gan,wgan_gp", "dataset=ring"]).jobs
    assert [job.name for job in jobs] == ["dataset=ring,model=gan", "dataset=ring,model=wgan_gp"]


def test_an_experiments_file_may_hold_a_sweep(tmp_path, monkeypatch):
    """Hydra's way to keep one; what the command names itself goes before."""
    shutil.copytree(composition.CONF, tmp_path / "conf")
    (tmp_path / "conf" / "experiment" / "labels.yaml").write_text(
        "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params: {n_labels: '50,100', seed: '0,1'}\n"
    )
    monkeypatch.setattr(command, "CONF", tmp_path / "conf")
    monkeypatch.setattr(composition, "CONF", tmp_path / "conf")
    read = command.read_command("train", ["dataset=digits", "experiment=labels"])
    assert read.multirun
    assert [(j.config["n_labels"], j.config["seed"]) for j in read.jobs] == [(50, 0), (50, 1), (100, 0), (100, 1)]
    assert read.jobs[1].name == "dataset=digits,n_labels=50,seed=1"
    read = command.read_command("train", ["dataset=digits", "experiment=labels", "seed=3"])
    assert [(j.config["n_labels"], j.config["seed"]) for j in read.jobs] == [(50, 3), (100, 3)]


@pytest.mark.parametrize("name", ["7e85342", "9e10011", "1_000", "true-story", "007"])
def test_a_sweeps_name_is_a_name_and_no_number(name):
    read = command.read_command("train", ["-m", "dataset=digits", "n_labels=50,100", f"sweep={name}"])
    assert {job.config["sweep"] for job in read.jobs} == {name}


def test_jobs_have_folders_of_their_own_whatever_is_swept():
    words = ["-m", "model=gan", "dataset=drawing", "dataset.distribution.path=/a/x y.csv,/a/x-y.csv,/a/x:y.csv"]
    names = [job.name for job in command.read_command("train", words).jobs]
    assert len(set(names)) == 3 and not any(set("/: ") & set(name) for name in names)
    eight = [f"model.{key}={value},{value}1" for key, value in {
        "beta": "0.123456789", "lr": "0.00012345678", "sigma": "0.123456789", "weight_decay": "0.123456789",
        "warmup_epochs": "1.23456789", "nll_samples": "123456789", "nll_images": "123456789",
    }.items()]  # fmt: skip
    names = [job.name for job in command.read_command("train", ["-m", "n_labels=100,200", *eight]).jobs]
    assert len(set(names)) == 256 and max(len(name.encode()) for name in names) < 130


def test_the_budget_is_the_data_sets_unless_given():
    def budget(*arguments: str) -> int:
        return command.read_command("train", [*arguments]).jobs[0].config["trainer"]["max_epochs"]

    assert budget("dataset=digits") == 60
    assert budget("dataset=digits", "trainer.max_epochs=7") == 7


def test_quoted_values_reach_hydra_as_they_are():
    path = r"outputs/a=b,c d/it's\x"
    read = command.read_command("evaluate", [command.quoted(f"run={path}"), "tsne=true"])
    assert read.jobs[0].config["run"] == path
    assert read.jobs[0].config["tsne"] is True


@pytest.mark.parametrize("path", ["/tmp/José", "/data/set(1)", r"outputs/a=b,c d/it's\x", "{a}:[b]"])
def test_a_folder_needs_no_quotes(path):
    assert command.read_command("train", [f"paths.outputs={path}"]).jobs[0].config["paths"]["outputs"] == path
    assert command.read_command("evaluate", [f"fit={path}"]).jobs[0].config["fit"] == path


@pytest.mark.parametrize("program", ["train.py", "evaluate.py"])
def test_a_mistake_costs_under_three_seconds_and_one_line(program):
    start = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, program, "modle=vae"], cwd=ROOT, capture_output=True, text=True)
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime < 3
    assert done.returncode == 2
    assert done.stdout == "" and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"{program}: modle: no such setting")


def test_composing_imports_no_torch():
    code = "import sys, latent_lab.command as c; c.read_command('train', []); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"
