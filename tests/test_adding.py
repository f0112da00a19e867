"""docs/adding.md, followed as it stands: a stranger's files are added to a copy of the project, its commands run."""

import json
import re
import shlex
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from conftest import ROOT, results
from latent_lab.targets import PACKAGES

pytestmark = pytest.mark.slow

TEXT = (ROOT / "docs" / "adding.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"\*\*`([^`]+)`\*\*\n\n```\w+\n(.*?)```", TEXT, re.DOTALL))
COMMANDS = [line[2:] for block in re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]
FOLDERS = ("conf", "latent_lab", *PACKAGES, "docs", "tests")
QUICK = ["trainer.enable_progress_bar=false", "trainer.accelerator=cpu", "paths.outputs=outputs", "paths.data=data"]

RUN = """
import json, sys
sys.path[:0] = [".", "tests"]
import train
for words in json.load(open("commands.json")):
    sys.argv = words
    assert train.main() == 0, words
from contracts import check_dataset, check_distribution
from contracts_head import check_head
from contracts_model import check_loss, check_model
from classifiers.nearest_mean import NearestMeanHead
from datamodules.mnist import IdxImages
from datamodules.two_moons import TwoMoons
from lightning_modules.losses.smoothed import Smoothed
from lightning_modules.mmd_vae import MMDVAE
from lightning_modules.networks import MLPDecoder, MLPEncoder
check_dataset(IdxImages(64, 200, "data", "letters", list("abcdefghijklmnopqrstuvwxyz")))
check_distribution(TwoMoons())
check_head(NearestMeanHead())
check_loss(Smoothed())
check_model(lambda: MMDVAE(MLPEncoder((1, 8, 8), 4, [16]), MLPDecoder((1, 8, 8), 4, [16]), 4), (1, 8, 8))
print("all contracts are kept")
"""


def letters(raw: Path) -> None:
    """26 classes of unequal size, 16x16: a bright square whose place and size tell the class."""
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, of_each in (("train", 30), ("t10k", 8)):
        targets = np.concatenate([np.full(of_each + 2 * k, k, np.uint8) for k in range(26)])
        rng.shuffle(targets)
        images = rng.integers(0, 60, (len(targets), 16, 16), dtype=np.uint8)
        for image, k in zip(images, targets, strict=True):
            top, left = divmod(int(k), 6)
            image[3 * top : 3 * top + 3, 2 * left + 1 : 2 * left + 5] += 180
        header = struct.pack(">4i", 2051, len(images), 16, 16)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, len(targets)) + targets.tobytes())


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> tuple[Path, str]:
    """The copy, after all commands, and what they printed."""
    folder = tmp_path_factory.mktemp("stranger")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.png"))
    for name in ("train.py", "evaluate.py"):
        shutil.copy(ROOT / name, folder)
    for name, content in FILES.items():
        assert not (folder / name).exists(), f"{name} is the project's own by now: docs/adding.md adds another"
        (folder / name).write_text(content, encoding="utf-8")
    letters(folder / "data" / "letters" / "raw")
    words = [[*shlex.split(command)[1:], *QUICK] for command in COMMANDS]
    (folder / "commands.json").write_text(json.dumps(words))
    done = subprocess.run([sys.executable, "-c", RUN], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder, done.stdout


def test_every_command_of_the_text_runs_and_every_class_keeps_its_contract(copy):
    folder, out = copy
    assert out.rstrip().endswith("all contracts are kept")
    jobs = results(folder / "outputs")
    assert {job["status"] for job in jobs.values()} == {"ok"}
    assert len(jobs) == 2 + 1 + 1 + 2 + 1 + 4 + 4


def test_the_strangers_code_is_what_ran(copy):
    folder, _ = copy
    sweep = results(folder / "outputs" / "sweeps" / "mmd")
    elbo = {job["choices"]["model"]: job["metrics"]["test_elbo"] for job in sweep.values()}
    assert elbo["mmd_vae"] != elbo["vae_mlp"]
    (smoothed,) = [job for job in results(folder / "outputs" / "runs").values() if job["choices"]["model"] == "gan"]
    assert "its equilibrium 1.376" in smoothed["statement"]  # -(.9 log .45 + 1.1 log .55)
    heads = results(folder / "outputs" / "sweeps" / "heads")
    assert len({job["fit"] for job in heads.values()}) == 1
    assert {job["choices"]["classifier"] for job in heads.values()} == {"linear_svc", "nearest_mean"}


def test_26_unequal_classes_go_through_fit_classifier_and_table(copy):
    folder, _ = copy
    jobs = results(folder / "outputs" / "sweeps" / "letters")
    for job in jobs.values():
        confusion = np.asarray(job["confusion"])
        assert confusion.shape == (26, 26) and confusion.sum() == sum(8 + 2 * k for k in range(26))
    table = (folder / "outputs" / "sweeps" / "letters" / "results.md").read_text()
    assert "| vae | letters | 100 |" in table and "| vae | letters | 260 |" in table


def test_a_sweep_in_a_file_runs_its_jobs_with_both_loggers(copy):
    folder, _ = copy
    jobs = results(folder / "outputs" / "sweeps" / "beta")
    assert {(job["settings"]["model.beta"], job["n_labels"]) for job in jobs.values()} == {
        (0.2, 50), (0.2, 100), (1.0, 50), (1.0, 100),
    }  # fmt: skip
    for job in jobs:
        (metrics,) = (folder / "outputs" / "sweeps" / "beta" / job / "csv").glob("version_*/metrics.csv")
        assert "result/accuracy" in metrics.read_text()
    fits = {job["fit"] for job in jobs.values()}
    assert len(fits) == 2
    identity = json.loads((folder / "outputs" / "fits" / fits.pop() / "identity.json").read_text())
    assert identity["observers"]["stop"]["patience"] == 3
