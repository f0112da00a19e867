"""Within a job of Slurm: nothing is requeued, and no checkpoint of Lightning's own making is written or read."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from commands import (
    DIGITS,
    PLANE,
    ROOT,
    SLURM,
    assert_same_fit,
    checkpoint_of,
    environment,
    fit_of,
    killed_after,
    metrics_of,
    record_of,
    run,
    same,
    trained,
)
from pytorch_lightning.plugins.environments import LightningEnvironment, SLURMEnvironment

from latent_lab.training import make_trainer

VAE = (*DIGITS, "trainer.max_epochs=30", "n_labels=50", "logger=none")
SHORT = (*DIGITS, "trainer.max_epochs=3", "n_labels=50", "logger=none")
GAN = (*PLANE, "trainer.max_epochs=3", "logger=none")


@pytest.fixture(autouse=True)
def in_a_job(monkeypatch):
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The fits as they are outside of Slurm and uninterrupted."""
    outputs = tmp_path_factory.mktemp("whole")
    for name, arguments in {"short": SHORT, "gan": GAN}.items():
        trained(outputs / name, *arguments)
    return outputs


def plant(fit: Path) -> None:
    """What Lightning would have left in a fit's folder: a checkpoint of other weights and another epoch."""
    other = checkpoint_of(fit)
    other["state_dict"] = {k: torch.zeros_like(v) for k, v in other["state_dict"].items()}
    other |= {"epoch": 0, "global_step": 1}
    for folder in (fit, *(path for path in fit.rglob("*") if path.is_dir())):
        torch.save(other, folder / "hpc_ckpt_1.ckpt")
        torch.save(other, folder / "hpc_ckpt.ckpt")


def test_a_signal_to_requeue_leaves_no_checkpoint_and_requeues_nothing(tmp_path):
    """SIGUSR1, at which Lightning writes hpc_ckpt_1.ckpt and calls scontrol."""
    (tmp_path / "bin").mkdir()
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.write_text(f"#!/bin/sh\ntouch {tmp_path / 'requeued'}\n")
    scontrol.chmod(0o755)
    started = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *VAE, f"paths.outputs={tmp_path / 'out'}"], cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=environment(PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}", **SLURM),
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("out/fits/*/last.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.01)
    started.send_signal(signal.SIGUSR1)
    out, _ = started.communicate(timeout=120)
    assert not (tmp_path / "requeued").exists() and not list(tmp_path.rglob("*hpc_ckpt*")), out
    assert checkpoint_of(fit_of(tmp_path / "out"))["epoch"] < 29, "the fit had ended before it was told"

    assert "continues after epoch" in trained(tmp_path / "out", *VAE)
    trained(tmp_path / "whole", *VAE)
    assert_same_fit(fit_of(tmp_path / "whole"), fit_of(tmp_path / "out"))
    assert metrics_of(tmp_path / "whole") == metrics_of(tmp_path / "out")
    assert not list(tmp_path.rglob("*hpc_ckpt*")) and not (tmp_path / "requeued").exists()


def test_a_trainer_knows_of_no_cluster_and_its_root_is_no_folder(tmp_path):
    trainer = make_trainer({"accelerator": "cpu"}, tmp_path, [], logger=False)
    assert isinstance(trainer._accelerator_connector.cluster_environment, LightningEnvironment)
    assert not Path(trainer.default_root_dir).exists()
    assert isinstance(pl.Trainer(accelerator="cpu")._accelerator_connector.cluster_environment, SLURMEnvironment)


@pytest.mark.parametrize(("name", "arguments"), [("short", SHORT), ("gan", GAN)])
def test_a_planted_checkpoint_changes_no_test_metric(whole, tmp_path, name, arguments):
    """Lightning's trainer.test(model) would load it over the weights it is given."""
    shutil.copytree(whole / name, tmp_path / "out")
    fit = fit_of(tmp_path / "out")
    plant(fit)
    for kept in (*fit.glob("test-*.json"), *fit.glob("derived-*/*")):
        kept.unlink()
    assert "found finished" in trained(tmp_path / "out", *arguments)
    assert same(metrics_of(tmp_path / "out"), metrics_of(whole / name))
    run_folder = max((tmp_path / "out" / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    said = run("evaluate", f"run={run_folder}")
    assert said.code == 0 and "metrics reproduced exactly" in said.out, said.text


@pytest.mark.parametrize(("name", "arguments"), [("short", SHORT), pytest.param("gan", GAN, marks=pytest.mark.slow)])
@pytest.mark.parametrize("with_last", [True, False], ids=["beside last.ckpt", "alone"])
def test_a_planted_checkpoint_changes_no_resumed_fit(whole, tmp_path, name, arguments, with_last):
    """Also where the fit was killed in its first epoch, and that file is all there is."""
    with killed_after(epoch=1):
        assert run("train", *arguments, f"paths.outputs={tmp_path}").code == 1
    fit = fit_of(tmp_path)
    plant(fit)
    if not with_last:
        (fit / "last.ckpt").unlink()
    out = trained(tmp_path, *arguments)
    assert ("continues after epoch 1 of 3" if with_last else "trains anew") in out
    assert_same_fit(whole_fit := fit_of(whole / name), fit)
    assert record_of(fit)["updates"] == record_of(whole_fit)["updates"]
    assert same(metrics_of(tmp_path), metrics_of(whole / name))
