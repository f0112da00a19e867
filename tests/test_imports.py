"""What each kind of command has imported at its end: most of what a start costs is imports."""

import json
import subprocess
import sys

import pytest
from commands import DIGITS, ROOT, environment, fit_of, trained

HEAVY = {"matplotlib", "pandas", "pytorch_lightning", "scipy", "sklearn", "sympy", "tensorboard", "torch",
         "torch._dynamo", "torchvision"}  # fmt: skip
LIGHTNING = {"torch", "pytorch_lightning"}
# A command in a process that writes down, as its last deed, what is imported.
AT_ITS_END = """
import atexit, json, runpy, sys
atexit.register(lambda: json.dump(sorted(sys.modules), open({modules!r}, "w")))
sys.argv = {argv!r}
runpy.run_module({name!r}, run_name="__main__", alter_sys=True)
"""
# At the first batch it ends.
AT_THE_FIRST_BATCH = """
from latent_lab.deferral import import_lightning
import_lightning()
from callbacks.observers.epoch_seed import EpochSeed
EpochSeed.on_train_batch_start = lambda *_: sys.exit(0)
"""


@pytest.fixture
def imported(tmp_path):
    """``imported(code, "train", *arguments)``: what of HEAVY a command, of that exit code, has imported at its end."""

    def call(code: int, name: str, *arguments: str, before: str = "") -> set[str]:
        file = tmp_path / "modules.json"
        program = AT_ITS_END.format(modules=str(file), argv=[f"{name}.py", *arguments], name=name)
        program = program.replace("runpy.run_module", before + "runpy.run_module")
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment(), capture_output=True,
                              text=True)  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return HEAVY & set(json.loads(file.read_text()))

    return call


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """With a small fit, finished, of which a picture is drawn."""
    outputs = tmp_path_factory.mktemp("outputs")
    trained(outputs, *FIT)
    return outputs


FIT = (*[word for word in DIGITS if "pictures" not in word], "trainer.max_epochs=1")


@pytest.mark.parametrize("mistake", ["modle=vae", "trainer.max_epochs=0", "sweep=a/b", "trainer.precision=half",
                                     "hydra.launcher.workers=0 hydra/launcher=local"])  # fmt: skip
def test_a_mistake_that_shows_without_torch_imports_none(imported, tmp_path, mistake):
    assert imported(2, "train", "-m", *mistake.split(), f"paths.outputs={tmp_path}") == set()


@pytest.mark.parametrize("command", ["--help", "--cfg job"])
def test_a_page_imports_no_torch(imported, command):
    assert imported(0, "train", *command.split()) == set()


@pytest.mark.parametrize("words", ["n_labels=7", "seed=-1", "model.beta=-1", "dataset.batch_size=100000",
                                   "classifier.C=0", "model=dcgan callbacks.every_n_epochs=0",
                                   "model=gan dataset=ring model.n_critic=0"])  # fmt: skip
def test_a_wrong_value_imports_lightning_only(imported, tmp_path, words):
    dataset = [] if "dataset=" in words else ["dataset=digits"]
    assert imported(2, "train", *dataset, *words.split(), f"paths.outputs={tmp_path}") == LIGHTNING


def test_a_training_has_no_picture_imported_at_its_first_batch(imported, tmp_path):
    found = imported(1, "train", *FIT, f"paths.outputs={tmp_path}", before=AT_THE_FIRST_BATCH)
    assert found - {"sympy"} == LIGHTNING | {"torch._dynamo", "tensorboard"}  # its optimizer imports the compiler


def test_a_found_fit_imports_what_its_classifier_is_made_of(imported, outputs):
    expected = LIGHTNING | {"sklearn", "scipy"}
    assert imported(0, "train", *FIT, "n_labels=20", "logger=none", f"paths.outputs={outputs}") == expected
    found = imported(0, "train", *FIT, "n_labels=30", f"paths.outputs={outputs}")
    assert found == expected | {"tensorboard"}


def test_a_worker_imports_no_more(imported, outputs):
    words = ("-m", *FIT, "n_labels=40,50", "sweep=written", f"paths.outputs={outputs}")
    assert imported(0, "train", *words) >= LIGHTNING | {"matplotlib"}  # which draws the sweep's chart
    for result in (outputs / "sweeps" / "written").glob("*/result.json"):
        result.unlink()
    found = imported(0, "latent_lab.worker", str(outputs / "sweeps" / "written"), "0")
    assert found == LIGHTNING | {"sklearn", "scipy", "tensorboard"}


def test_metrics_again_import_neither_the_compiler_nor_pictures(imported, outputs):
    (run, *_) = (outputs / "runs").iterdir()
    assert imported(0, "evaluate", f"run={run}") == LIGHTNING | {"sklearn", "scipy"}


def test_pictures_again_import_what_draws_them(imported, outputs):
    found = imported(0, "evaluate", f"fit={fit_of(outputs)}")
    assert found == LIGHTNING | {"matplotlib", "sklearn", "scipy"}
