"""Loggers: TensorBoard, CSV, several, none; what they hold in the end, and across a kill."""

import csv
import shutil
from pathlib import Path

import pytest
from commands import DIGITS, assert_same_fit, fit_of, fits_of, killed_after, metrics_of, run, trained
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from conftest import results

QUICK = (*DIGITS, "trainer.max_epochs=3", "n_labels=50")


def rows(folder: Path) -> list[dict[str, str]]:
    """Of all versions of a folder's CSV logs, in order."""
    files = sorted(folder.glob("csv/version_*/metrics.csv"))
    return [row for file in files for row in csv.DictReader(file.read_text().splitlines())]


def column(folder: Path, name: str) -> dict[int, float]:
    """A metric's values by step."""
    return {int(row["step"]): float(row[name]) for row in rows(folder) if row.get(name)}


def run_of(outputs: Path) -> Path:
    (folder,) = (outputs / "runs").iterdir()
    return folder


def events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder)).Reload()


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("both")
    trained(outputs, *QUICK, "logger=[tensorboard,csv]")
    return outputs


def test_a_jobs_csv_holds_its_final_metrics_to_the_digit(both):
    found = metrics_of(both)
    (row,) = rows(run_of(both))
    assert {f"result/{name}" for name in found} == row.keys() - {"step"}
    assert all(float(row[f"result/{name}"]) == value for name, value in found.items())
    settings = (run_of(both) / "csv" / "version_0" / "hparams.yaml").read_text()
    assert "model: vae_mlp" in settings and "n_labels: 50" in settings


def test_a_fits_csv_and_tensorboard_hold_the_same_curves(both):
    fit = fit_of(both)
    elbo = column(fit, "val/elbo")
    assert list(elbo) == [16, 33, 50]  # the steps of three epochs' ends, of 17 each
    shown = {event.step: event.value for event in events(fit).Scalars("val/elbo")}
    assert shown == pytest.approx(elbo, abs=1e-4) and shown.keys() == elbo.keys()
    found = metrics_of(both)
    assert events(run_of(both)).Scalars("z_result/accuracy")[0].value == pytest.approx(found["accuracy"])


def test_a_logger_is_no_part_of_a_fit_or_a_result(both, tmp_path):
    trained(tmp_path, *QUICK, "logger=none")
    assert fit_of(tmp_path).name == fit_of(both).name and metrics_of(tmp_path) == metrics_of(both)
    assert_same_fit(fit_of(tmp_path), fit_of(both))
    left = {path.name for folder in (fit_of(tmp_path), run_of(tmp_path)) for path in folder.rglob("*")}
    assert not [name for name in left if name.startswith("events.") or name in ("csv", "metrics.csv", "hparams.yaml")]
    assert (run_of(tmp_path) / "confusion_matrix.png").stat().st_size > 1000  # figures are files in any case
    assert "found finished" in trained(both, *QUICK, "logger=csv")


def test_a_sweeps_jobs_each_have_a_log_of_their_own(tmp_path):
    trained(tmp_path, "-m", *QUICK[:-1], "n_labels=50,100", "logger=csv", "sweep=s")
    for name, result in results(tmp_path / "sweeps" / "s").items():
        (row,) = rows(tmp_path / "sweeps" / "s" / name)
        assert float(row["result/accuracy"]) == result["metrics"]["accuracy"]
    assert len(fits_of(tmp_path)) == 1


def test_a_killed_fits_logs_go_on_where_it_went_on(both, tmp_path):
    """No step twice in TensorBoard, none missing in the CSV files' versions together."""
    with killed_after(epoch=2):
        assert run("train", *QUICK, "logger=[tensorboard,csv]", f"paths.outputs={tmp_path}").code == 1
    trained(tmp_path, *QUICK, "logger=[tensorboard,csv]")
    one, two = fit_of(both), fit_of(tmp_path)
    assert_same_fit(one, two)
    assert column(one, "val/elbo") == column(two, "val/elbo")
    assert len(list(two.glob("csv/version_*"))) == 2
    assert shown_steps(one) == shown_steps(two) == [16, 33, 50]


def test_what_tensorboard_was_told_after_the_checkpoint_is_taken_back(both, tmp_path):
    """Killed in its last epoch, whose curve was on disk before its checkpoint."""
    with killed_after(epoch=2):
        assert run("train", *QUICK, "logger=none", f"paths.outputs={tmp_path / 'killed'}").code == 1
    shutil.copytree(both, tmp_path / "out")
    for name in ("last.ckpt", "fit.json"):
        shutil.copy(fit_of(tmp_path / "killed") / name, fit_of(tmp_path / "out") / name)
    trained(tmp_path / "out", *QUICK, "logger=[tensorboard,csv]")
    assert shown_steps(fit_of(tmp_path / "out")) == [16, 33, 50]


def shown_steps(fit: Path) -> list[int]:
    return [event.step for event in events(fit).Scalars("val/elbo")]


def test_wandb_that_is_absent_costs_one_line_and_no_training(tmp_path, monkeypatch):
    from pytorch_lightning.loggers import wandb

    monkeypatch.setattr(wandb, "_WANDB_AVAILABLE", wandb.RequirementCache("no-such-package"))
    said = run("train", *QUICK, "logger=[csv,wandb]", f"paths.outputs={tmp_path}")
    assert (said.code, said.out) == (2, "") and said.err.count("\n") == 1
    assert said.err.startswith("train.py: pytorch_lightning.loggers.WandbLogger: Requirement")
    assert list(tmp_path.iterdir()) == []
