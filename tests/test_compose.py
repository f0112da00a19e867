"""Mistakes in a command line are answered in one line, before torch is imported."""

import resource
import subprocess
import sys

import pytest

import compose
from conftest import ROOT


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "model=vea",
            r"model=vea: unknown \(did you mean vae\?\); accepted are dcgan, gan, scorer, vae, ",
        ),
        (
            "dataset=minst",
            r"dataset=minst: unknown \(did you mean mnist\?\); accepted are .*, digits, .*, fashion, .*, mnist",
        ),
        ("classifier=svm", "classifier=svm: unknown.*; accepted are .*linear_svc"),
        ("modle=vae", r"modle: no such setting \(did you mean model\?\); train has .*dataset"),
        ("n_label=100", r"n_label: no such setting \(did you mean n_labels\?\)"),
        ("trainer.max_epoch=3", r"trainer.max_epoch: no such setting \(did you mean trainer.max_epochs\?\)"),
        ("model.encodr.hidden=3", r"no such setting \(did you mean model.encoder.hidden\?\)"),
        ("n_labels=ten", "n_labels=ten: expects a whole number, like the default 100"),
        ("n_labels=1.5", "n_labels=1.5: expects a whole number"),
        ("model.beta=abc", "model.beta=abc: expects a number, like the default"),
        ("compile=perhaps", "compile=perhaps: expects true or false"),
        ("model.encoder=3", "model.encoder=3: expects a group of settings"),
        ("n_labels=100,300", "n_labels=100,300 names several values: add -m"),
        ("vae", "can't read 'vae'; settings are given as key=value"),
        ("+x=3", r"\+x: a setting that nothing reads"),
        ("-m n_labels=100,x", "n_labels=x: expects a whole number"),
    ],
)
def test_a_mistake_is_named_with_what_is_accepted(arguments, message):
    with pytest.raises(compose.Mistake, match=message) as caught:
        compose.read_command("train", arguments.split())
    assert "\n" not in str(caught.value)


def test_a_sweep_is_every_combination_in_hydras_order():
    command = compose.read_command(
        "train", ["-m", "dataset=fashion,mnist", "n_labels=100,600", "label_seed=range(2)", "paths.data=/d", "seed=4"]
    )
    found = [(c["dataset"], job.n_labels, job.label_seed) for c, job in zip(command.choices, command.jobs, strict=True)]
    assert found == [(d, n, s) for d in ("fashion", "mnist") for n in (100, 600) for s in (0, 1)]
    assert {job.dataset.root for job in command.jobs} == {"/d"}
    assert {job.dataset.seed for job in command.jobs} == {4}
    assert command.unnamed == ["paths.data"]
    assert command.names[:2] == [f"dataset=fashion,label_seed={s},n_labels=100,seed=4" for s in (0, 1)]


def test_the_budget_is_the_data_sets_unless_given():
    assert compose.read_command("train", ["dataset=digits"]).jobs[0].trainer.max_epochs == 60
    assert compose.read_command("train", ["dataset=digits", "trainer.max_epochs=7"]).jobs[0].trainer.max_epochs == 7


def test_quoted_values_reach_hydra_as_they_are():
    path = r"outputs/a=b,c d/it's\x"
    command = compose.read_command("evaluate", [compose.quoted(f"run={path}"), compose.quoted("tsne=true")])
    assert command.jobs[0].run == path
    assert command.jobs[0].tsne is True


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
    code = "import sys, compose; compose.read_command('train', []); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
