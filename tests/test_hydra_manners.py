"""Hydra's grammar and manners: sweeps in files and in words, pages, paths with whatever letters."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from commands import DIGITS, POINTS, ROOT, environment, fits_of, run, trained

from conftest import results
from latent_lab import command, composition
from latent_lab.command import read_command

VAE = (*DIGITS, "trainer.max_epochs=1", "logger=none")
DRAWN = (*POINTS, "dataset=drawing", "trainer.max_epochs=1", "logger=none", "callbacks=none")


def jobs(*arguments: str):
    return read_command("train", list(arguments)).jobs


@pytest.fixture
def conf(tmp_path, monkeypatch):
    """A copy of our configuration, for files of an experiment's own."""
    folder = tmp_path / "conf"
    shutil.copytree(ROOT / "conf", folder)
    for module in (composition, command):
        monkeypatch.setattr(module, "CONF", folder)

    def experiment(name: str, **content) -> None:
        text = "# @package _global_\n" + yaml.safe_dump(content)
        (folder / "experiment" / f"{name}.yaml").write_text(text)

    return experiment


def test_a_sweep_in_an_experiments_file_runs_what_it_says(conf, tmp_path):
    """Fault 11: it said 2 jobs, ran 4, and ended in exit code 1."""
    conf("grid", hydra={"sweeper": {"params": {"n_labels": "50,100", "classifier.C_per_label": "0.001,0.01"}}})
    out = trained(tmp_path / "out", "-m", *VAE, "experiment=grid", "sweep=s")
    assert out.startswith(f"4 jobs into {tmp_path / 'out' / 'sweeps' / 's'}\n")
    found = results(tmp_path / "out" / "sweeps" / "s")
    assert {(r["settings"]["n_labels"], r["settings"]["classifier.C_per_label"]) for r in found.values()} == {
        (50, 0.001), (50, 0.01), (100, 0.001), (100, 0.01),
    }  # fmt: skip
    assert {r["status"] for r in found.values()} == {"ok"} and len(fits_of(tmp_path / "out")) == 1
    assert trained(tmp_path / "out", "-m", *VAE, "experiment=grid", "sweep=s").count("finished before") == 4


def test_the_command_goes_before_what_a_file_sweeps(conf):
    conf("grid", hydra={"sweeper": {"params": {"n_labels": "50,100", "seed": "range(2)"}}})
    assert len(jobs("-m", *VAE, "experiment=grid")) == 4
    assert [job.config["n_labels"] for job in jobs("-m", *VAE, "experiment=grid", "n_labels=200")] == [200, 200]
    assert len(jobs(*VAE, "experiment=grid")) == 1  # as Hydra: a file's sweep is a multirun's
    assert [job.name for job in jobs("-m", *VAE, "experiment=grid", "seed=7")] == [
        f"dataset=digits,model=vae_mlp,n_labels={n},seed=7" for n in (50, 100)
    ]


def test_a_file_may_sweep_groups_and_ask_for_a_multirun_itself(conf, tmp_path):
    params = {"model": "vae_mlp,vae", "model.beta": "0.5,1"}
    conf("both", hydra={"mode": "MULTIRUN", "sweeper": {"params": params}})
    read = read_command("train", ["dataset=digits", "experiment=both"])
    assert read.multirun
    assert [(job.choices["model"], job.config["model"]["beta"]) for job in read.jobs] == [
        ("vae_mlp", 0.5), ("vae_mlp", 1.0), ("vae", 0.5), ("vae", 1.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("n_labels", "50,105", "n_labels=105: not divisible into 10 classes"),
        ("n_label", "50,100", "n_label: no such setting (did you mean n_labels?)"),
        ("loss", "hinge,hing", "loss=hing: unknown (did you mean hinge?)"),
        ("n_labels", "range(0)", "n_labels=range(0): a sweep over no value"),
        ("n_labels", "[50", "can't read 'n_labels=[50'"),
    ],
)
def test_a_mistake_in_a_files_sweep_is_told_before_any_training(conf, tmp_path, key, values, message):
    conf("wrong", hydra={"sweeper": {"params": {key: values}}})
    model = ("model=dcgan", "dataset=digits") if key == "loss" else VAE
    said = run("train", "-m", *model, "experiment=wrong", f"paths.outputs={tmp_path / 'out'}")
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1), said.text
    assert said.err.startswith(f"train.py: {message}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"launcher": {"_target_": "hydra_plugins.theirs.Theirs"}},
         "hydra/launcher=basic: not one of this project's, which are basic"),
        ({"sweeper": {"_target_": "hydra_plugins.theirs.Theirs"}},
         "hydra/sweeper=basic: sweeps are Hydra's basic ones here"),
        ({"sweep": {"dir": "elsewhere"}}, "hydra.sweep.dir=elsewhere: folders are named by paths.outputs=DIR"),
        ({"run": {"dir": "elsewhere"}}, "hydra.run.dir=elsewhere: folders are named by paths.outputs=DIR"),
    ],
    ids=["launcher", "sweeper", "sweep.dir", "run.dir"],
)  # fmt: skip
def test_a_file_that_asks_for_anothers_launcher_or_folder_is_told_ours(conf, tmp_path, asked, message):
    conf("theirs", hydra=asked)
    said = run("train", "-m", *VAE, "experiment=theirs", f"paths.outputs={tmp_path / 'out'}")
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1), said.text
    assert said.err.startswith(f"train.py: {message}") and not (tmp_path / "out").exists()


def test_a_multirun_by_hydras_mode_lands_where_a_sweep_does(tmp_path):
    """Fault 11: its jobs lay in sweeps/None."""
    out = trained(tmp_path, *VAE, "hydra.mode=MULTIRUN", "n_labels=50,100")
    (folder,) = (tmp_path / "sweeps").iterdir()
    assert out.startswith(f"2 jobs into {folder}\n") and folder.name[:2] == "20"
    assert len(results(folder)) == 2 and "results.md" in out


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("n_labels=50,100", [50, 100]),
        ("n_labels=choice(50,100)", [50, 100]),
        ("n_labels=range(50,151,50)", [50, 100, 150]),
        ("label_seed=range(3)", [0, 1, 2]),
        ("n_labels=sort(100,50)", [50, 100]),
        ("n_labels=sort(50,100,reverse=true)", [100, 50]),
        ("n_labels=int(50.0),100", [50, 100]),
        ("model.beta=range(0.5,1.1,0.5)", [0.5, 1.0]),
        ("model.beta=1,2.5", [1.0, 2.5]),
        ("model.encoder.hidden=[8],[8,4]", [[8], [8, 4]]),
    ],
)
def test_a_sweeps_values_are_hydras(word, values):
    key = word.partition("=")[0]
    rest = [w for w in VAE if not w.startswith(f"{key}=")]
    assert [job.settings[key] for job in jobs("-m", *rest, word)] == values
    for job, value in zip(jobs("-m", *rest, word), values, strict=True):
        found = job.config
        for part in key.split("."):
            found = found[part]
        assert found == value and type(found) is type(value)


def test_a_shuffled_sweep_has_all_its_values():
    assert sorted(job.settings["seed"] for job in jobs("-m", *VAE, "seed=shuffle(range(5))")) == [0, 1, 2, 3, 4]


def test_a_glob_is_over_the_options_of_a_group():
    assert [job.choices["model"] for job in jobs("-m", "dataset=digits", "model=glob(vae*)")] == ["vae", "vae_mlp"]
    some = jobs("-m", "dataset=digits", "model=glob([vae*,dc*],exclude=*mlp)")
    assert [job.choices["model"] for job in some] == ["dcgan", "vae"]


def test_a_setting_that_only_swept_models_have_is_theirs():
    found = jobs("-m", "dataset=digits", "model=dcgan,wgan_gp", "model.generator.channels=8,16")
    assert [(job.choices["model"], job.config["model"]["generator"]["channels"]) for job in found] == [
        ("dcgan", 8), ("dcgan", 16), ("wgan_gp", 8), ("wgan_gp", 16),
    ]  # fmt: skip


def test_a_value_that_others_are_made_of_is_swept_with_them():
    found = jobs("-m", *VAE, "seed=3,4", "paths.data=somewhere", "model.latent_dim=2,3")
    assert [(j.config["dataset"]["seed"], j.config["model"]["encoder"]["latent_dim"]) for j in found] == [
        (3, 2), (3, 3), (4, 2), (4, 3),
    ]  # fmt: skip
    (job,) = jobs(*VAE, "n_labels=50", "model.latent_dim=${n_labels}")
    assert job.config["model"]["decoder"]["latent_dim"] == 50


def test_eight_settings_in_a_sweep_have_a_folder_each(tmp_path):
    """Fault 14: such a job's folder could not be named."""
    eight = ("n_labels=50,100", "label_seed=12345", "classifier.C=1.25", "classifier.C_per_label=null",
             "classifier.tol=0.00001,0.0001", "model.weight_decay=0.00025", "model.warmup_epochs=0.125",
             "labels=equal,proportional")  # fmt: skip
    out = trained(tmp_path, "-m", *VAE, *eight, "sweep=s")
    names = results(tmp_path / "sweeps" / "s")
    assert out.startswith("8 jobs") and len(names) == 8
    assert all(len(name) <= 120 for name in names)


def test_a_sweep_over_files_has_a_folder_each_and_finds_them(tmp_path):
    """Fault 14, with letters in their paths that Hydra's grammar has a meaning for."""
    paths = [tmp_path / "a" / "p.csv", tmp_path / "José (1)" / "p.csv", tmp_path / "x=1" / "p.csv"]
    for number, path in enumerate(paths):
        path.parent.mkdir()
        path.write_text("".join(f"{x / 30},{((x + number) % 7) / 7}\n" for x in range(31)))
    files = ",".join(map(str, paths))
    trained(tmp_path / "out", "-m", *DRAWN, f"dataset.distribution.path={files}", "sweep=s")
    found = results(tmp_path / "out" / "sweeps" / "s")
    assert sorted(r["settings"]["dataset.distribution.path"] for r in found.values()) == sorted(map(str, paths))
    assert len({r["fit"] for r in found.values()}) == 3
    again = trained(tmp_path / "out", "-m", *DRAWN, f"dataset.distribution.path={files}", "sweep=s")
    assert again.count("finished before") == 3


@pytest.mark.parametrize(
    "name", ["José", "set(1)", "a b", "x=1,y", "${seed}", "{a: 1}", "[b]", "it's", "#1", "~x", "ŝ/日本"]
)
def test_outputs_lie_where_the_command_says(tmp_path, name):
    """Fault 14: as the shell gives it, without quotes of Hydra's."""
    (job,) = jobs(*VAE, f"paths.outputs={tmp_path}/{name}")
    assert job.config["paths"]["outputs"] == f"{tmp_path}/{name}"
    (job,) = jobs("dataset=mnist", f"paths.data={tmp_path}/{name}")
    assert job.config["dataset"]["root"] == f"{tmp_path}/{name}"


def test_a_path_with_everything_in_it_is_written_found_and_looked_at(tmp_path):
    outputs = f"{tmp_path}/José (1)/${{seed}}, it's [x=1]"
    trained(outputs, *VAE)
    assert "found finished" in trained(outputs, *VAE)
    assert [path.name for path in tmp_path.iterdir()] == ["José (1)"]
    folder = next((Path(outputs) / "runs").iterdir())
    said = run("evaluate", f"run={folder}")
    assert said.code == 0 and "metrics reproduced exactly" in said.out, said.text


def test_a_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (job,) = jobs("dataset=mnist", "paths.outputs=~/out", "paths.data=~/José")
    assert (job.config["paths"]["outputs"], job.config["dataset"]["root"]) == (f"{tmp_path}/out", f"{tmp_path}/José")
    found = jobs("-m", *DRAWN, "dataset.distribution.path=~/a.csv,~/b.csv")
    assert [job.config["dataset"]["distribution"]["path"] for job in found] == [f"{tmp_path}/{x}.csv" for x in "ab"]


def page(tmp_path: Path, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, str(ROOT / "train.py"), *arguments], cwd=tmp_path, capture_output=True,
                          text=True, env=environment(PYTHONIOENCODING="utf-8"))  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_the_configuration_is_shown_as_hydra_shows_it(tmp_path):
    code, out, err = page(tmp_path, "--cfg", "job", *VAE, "model.beta=3", "paths.outputs=José(1)")
    shown = yaml.safe_load(out)
    assert (code, err) == (0, "") and list(tmp_path.iterdir()) == []
    assert (shown["model"]["beta"], shown["trainer"]["max_epochs"]) == (3, 1)
    assert shown["paths"]["outputs"] == "José(1)"


def test_the_help_names_the_groups_and_trains_nothing(tmp_path):
    code, out, err = page(tmp_path, "--help")
    assert (code, err) == (0, "") and list(tmp_path.iterdir()) == []
    assert (
        out.startswith("train.py is powered by Hydra")
        and "model: dcgan, gan, m1_m2, m2, pseudo_labels, r3gan, scorer, vae, vae_mlp" in out
    )


def test_a_terminal_of_few_letters_ends_in_exit_code_0(tmp_path):
    """Fault 14: a traceback on ± and exit code 1, after four good jobs."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), "-m", *VAE, "label_seed=0,1", "seed=0,1", "sweep=s",
         f"paths.outputs={tmp_path / 'José'}"],
        cwd=tmp_path, capture_output=True, env=environment(PYTHONIOENCODING="ascii"),
    )  # fmt: skip
    out = done.stdout.decode("ascii")
    assert done.returncode == 0, done.stderr
    assert " +- " in out and out.startswith("4 jobs into ")
    assert " ± " in (tmp_path / "José" / "sweeps" / "s" / "results.md").read_text(encoding="utf-8")
