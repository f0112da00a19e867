"""Every mistake costs one line and exit code 2, and leaves nothing behind. The table of them is mistakes.txt."""

import os
import resource
import shlex
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path

import pytest
from commands import ROOT, SLURM, environment, run

LINES = [line for line in (Path(__file__).parent / "mistakes.txt").read_text().splitlines() if line[:1] != "#"]
MISTAKES = dict(zip(LINES[::2], LINES[1::2], strict=True))


def words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # the mistake is an open quote
        return command.split()


@pytest.fixture(scope="module")
def nothing(tmp_path_factory):
    """An empty folder to work in, no network, and each composition once: half a second each, and no mistake of ours."""
    from latent_lab import composition

    @cache
    def composed(name: str, overrides: tuple[str, ...]):
        return compose(name, list(overrides), return_hydra_config=True)

    def no_network(*args, **kwargs):
        raise urllib.error.URLError("no network in this test")

    compose, folder = composition.compose, tmp_path_factory.mktemp("empty")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(composition, "compose", lambda name, overrides=(), **_: composed(name, tuple(overrides)))
        patch.setattr(urllib.request, "urlopen", no_network)
        patch.chdir(folder)
        yield folder


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_is_answered_in_one_line(nothing, command):
    said = run("train", *words(command))
    assert said.code == 2, said.text
    assert said.out == "" and said.err.count("\n") == 1
    assert said.err.startswith("train.py: " + MISTAKES[command].strip()), said.err
    assert os.listdir(nothing) == []


EVALUATE = {
    "": "give one of run=DIR, sweep=DIR, fit=DIR",
    "run=A sweep=B": "give one of run=DIR, sweep=DIR, fit=DIR",
    "-m run=A": "give one of run=DIR, sweep=DIR, fit=DIR",
    "run=nowhere": "run=nowhere: no such folder, or no result.json in it",
    "run=José(1)": "run=José(1): no such folder, or no result.json in it",
    "sweep=nowhere": "sweep=nowhere: no such folder",
    "fit=~/nowhere": f"fit={Path.home()}/nowhere: no such folder, or no fit.json in it",
    "fit=A tsne=maybe": "tsne=maybe: expects true or false",
    "rnu=A": "rnu: no such setting (did you mean run?); evaluate has run, sweep, fit",
    "run=A paths.outputs=x": "paths.outputs: no such setting (did you mean paths.data?); paths has data",
    "run=A +x=1": "+x=1: a setting that nothing reads",
    "outputs/runs": "can't read 'outputs/runs'; settings are given as key=value",
    "--fresh": "unrecognized arguments: --fresh; settings are given as key=value",
}


@pytest.mark.parametrize("command", EVALUATE)
def test_evaluate_answers_in_one_line_too(nothing, command):
    said = run("evaluate", *words(command))
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1), said.text
    assert said.err.startswith(f"evaluate.py: {EVALUATE[command]}")


def test_outputs_that_are_a_file_are_named(tmp_path):
    (tmp_path / "file").write_text("kept")
    said = run("train", "dataset=digits", f"paths.outputs={tmp_path / 'file'}")
    assert (said.code, said.out) == (2, "")
    assert said.err == f"train.py: paths.outputs={tmp_path / 'file'}: can't be written (File exists)\n"
    assert (tmp_path / "file").read_text() == "kept"


def in_a_shell(tmp_path: Path, *arguments: str, program: str = "train.py", **more: str) -> tuple[int, str, str, float]:
    """Exit code, standard output, standard error, CPU seconds of a command as a user gives it, with an ``srun``."""
    (tmp_path / "bin").mkdir(exist_ok=True)
    for name in ("srun", "scontrol"):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "bin" / name).chmod(0o755)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, str(ROOT / program), *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env=environment(PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}", PYTHONIOENCODING="utf-8", **more),
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    shutil.rmtree(tmp_path / "bin")
    return done.returncode, done.stdout, done.stderr, cpu


REAL = [
    ("train.py", "model=vea", "model=vea: unknown (did you mean vae?)", {}),
    ("train.py", "dataset=digits n_labels=105", "n_labels=105: not divisible into 10 classes", {}),
    ("train.py", "model=dcgan dataset=digits compile=true", "compile=true: without gain on GAN", {}),
    ("train.py", "dataset=digits trainer.accelerator=tpu", "trainer: Requirement 'torch_xla", SLURM),
    ("evaluate.py", "fit=nowhere", "fit=nowhere: no such folder", {}),
]


@pytest.mark.parametrize(("program", "command", "message", "more"), REAL)
def test_a_users_own_standard_error_has_one_line_as_well(tmp_path, program, command, message, more):
    """Without pytest in between: neither Lightning's hints of srun, accelerators and loggers, nor a warning."""
    code, out, err, cpu = in_a_shell(tmp_path, *command.split(), program=program, **more)
    print(f"{program} {command}: {cpu:.1f} CPU seconds")
    assert (code, out) == (2, "") and err.count("\n") == 1, out + err
    assert err.startswith(f"{program}: {message}")
    assert os.listdir(tmp_path) == []
    if message.endswith(("vae?)", "such folder")):
        assert cpu < 2.5  # no torch for a misspelt word


@pytest.mark.skipif(not shutil.which("script"), reason="no script(1), which makes a pseudo-terminal")
def test_a_terminal_shows_one_line(tmp_path):
    command = shlex.join([sys.executable, str(ROOT / "train.py"), "dataset=digits", "dataset.batch_size=5000"])
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"], cwd=tmp_path, capture_output=True, text=True, env=environment()
    )
    shown = done.stdout.replace("\r\n", "\n")
    assert shown == "train.py: dataset.batch_size=5000: there are only 1100 images to train on\n"
    assert done.returncode == 2


@pytest.mark.parametrize("more", [{}, SLURM], ids=["where srun is", "in a job of Slurm"])
def test_a_run_says_only_what_is_its_own(tmp_path, more):
    """The noise that precedes a run: Lightning's of accelerators, srun, loggers, workers."""
    code, out, err, _ = in_a_shell(
        tmp_path, "dataset=digits", "model=vae_mlp", "trainer.max_epochs=1", "trainer.enable_progress_bar=false",
        "trainer.accelerator=cpu", "callbacks=none", "model.nll_images=10", **more,
    )  # fmt: skip
    said = [line for line in err.splitlines() if "POSTERIOR COLLAPSE" not in line]  # ours, of so short a training
    assert code == 0 and said == [], err
    first = out.splitlines()[:2]
    assert first[0].startswith("1 job into outputs/runs/") and first[1].startswith("fit vae_mlp-digits-")
