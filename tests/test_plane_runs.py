"""The commands in the plane from end to end: what they leave behind, what a sweep shows."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from conftest import ON_CPU, SMALL_PLANE, fits, results
from latent_lab import command as composing

PLANE = [*SMALL_PLANE, "trainer.max_epochs=2", *ON_CPU]


@pytest.fixture(autouse=True)
def few_points(monkeypatch):
    """Scores of few points beside few draws of the data: what they come to is tested in test_plane_metrics.py."""
    monkeypatch.setattr("metrics.plane_yardstick.DRAWS", 4)
    monkeypatch.setattr("callbacks.observers.plane_view.FINAL", (2000, 100))


def test_one_job_leaves_its_scores_pictures_page_and_statement(command, tmp_path):
    code, out, err = command("train", "model=gan", "dataset=8gaussians", *PLANE)
    assert code == 0, err
    ((name, result),) = results(tmp_path / "runs").items()
    here = tmp_path / "runs" / name
    assert result["status"] == "ok" and result["choices"]["model"] == "gan" and result["n_labels"] is None
    metrics = result["metrics"]
    for score in ("kl", "js", "w1", "near", "misplaced", "least", "narrowest", "width", "widest", "modes"):
        assert {score, f"{score}_averaged", f"{score}_floor"} <= metrics.keys()
    assert metrics["js_floor"] < metrics["js_limit"] < metrics["js"] and metrics["modes_floor"] == 8
    assert result["convergence"]["state"] != "converged" and out.count(result["summary"]) == 1
    assert result["statement"] not in out and out.endswith(
        f"report    {here}/report.html\npage      {here}/page.html\n"
    )
    assert f"\nverdict: {result['convergence']['state']}: " in out and len(result["summary"]) <= 100
    assert (here / "page.html").stat().st_size < 5_000_000
    for picture, least in {"view.png": 1000, "losses.png": 300, "panel.png": 200, "view.gif": 300}.items():
        with Image.open(here / picture) as image:
            assert image.width >= least, picture
    report = (here / "report.md").read_text()
    sentence = f"{result['statement'][0].upper()}{result['statement'][1:]}."
    assert f"**{result['summary'][0].upper()}{result['summary'][1:]}.**\n\n{sentence}\n" in report
    assert f"JS in bits {metrics['js_averaged']:.4f} (" in sentence
    assert f"W1 {metrics['w1_averaged']:.4f} (" in sentence, "the figures of the table"
    assert f"| generator | {metrics['kl']:.4f} | {metrics['modes']} |" in report and "](page.html)" in report
    assert f"| {metrics['js_limit']:.4f} | {metrics['w1_limit']:.4f} |" in report
    code, out, _ = command("evaluate", f"run={here}")
    assert code == 0 and f"all {len(metrics)} metrics reproduced exactly\nverdict: {result['summary']}\n" in out
    assert out.endswith("/page.html\n")
    (fit,) = fits(tmp_path)
    before = (here / "page.html").read_bytes()
    code, out, _ = command("evaluate", f"fit={fit}")
    again = [Path(line) for line in out.splitlines()]
    assert code == 0 and [file.name for file in again] == ["page.html", "view.png", "view.gif"]
    assert again[0].read_bytes() == before


@pytest.mark.slow
def test_rates_times_steps_become_a_sheet_of_panels(command, tmp_path):
    code, out, err = command("train", "-m", "model=wgan_gp", "dataset=ring", "model.lr_critic=1e-3,1e-2",
                             "model.n_critic=1,2", *PLANE, "sweep=grid")  # fmt: skip
    assert code == 0, err
    folder = tmp_path / "sweeps" / "grid"
    assert len(results(folder)) == 4 and len(fits(tmp_path)) == 4
    with Image.open(folder / "panels.png") as sheet:
        assert min(sheet.size) > 500, "two rows of two"
    assert "panels.png" in out and "![panels](panels.png)" in (folder / "results.md").read_text()
    rows = re.findall(r"^\| wgan_gp \|.*$", (folder / "results.md").read_text(), re.MULTILINE)
    assert [row.split(" | ")[2:4] for row in rows] == [["0.001", "1"], ["0.001", "2"], ["0.01", "1"], ["0.01", "2"]]
    (folder / "panels.png").unlink()
    assert command("evaluate", f"sweep={folder}")[0] == 0 and (folder / "panels.png").exists()


def test_figure_1_has_a_critic_that_learns_and_a_generator_that_does_not(command, tmp_path):
    small = [s for s in PLANE if "generator" not in s]
    code, _, err = command("train", "-m", "experiment=figure1", "model=wgan,wgan_gp", "dataset=8gaussians", *small,
                           "sweep=f")  # fmt: skip
    assert code == 0, err
    for name, result in results(tmp_path / "sweeps" / "f").items():
        assert result["statement"] == "the generator is fixed, only the critic learned", name
        history = json.loads((tmp_path / "sweeps" / "f" / name / "history.json").read_text())
        assert "generator_loss" not in history["names"] and history["updates"][-1] == 2 * (1000 // 250)
    assert (tmp_path / "sweeps" / "f" / "panels.png").exists()


def test_figure_1_is_the_same_for_every_distribution():
    """A budget of a pair of data set and model must not reach into an experiment's networks."""
    arguments = ["-m", "experiment=figure1", "model=wgan,wgan_gp", "dataset=8gaussians,25gaussians,swissroll"]
    jobs = composing.read_command("train", arguments).jobs
    assert len(jobs) == 6 and {job.config["trainer"]["max_epochs"] for job in jobs} == {15}
    assert all("hidden" not in job.config["model"]["generator"] for job in jobs)


@pytest.mark.slow
def test_a_fit_without_the_frames_is_another_one(command, tmp_path):
    """What jobs read is in the identity: a page can't be asked of a fit that kept none."""
    arguments = ["model=gan", "dataset=ring", *PLANE]
    unwatched = [word for word in arguments if not word.startswith("callbacks")]
    assert command("train", *unwatched, "callbacks=none")[0] == 0
    code, out, _ = command("train", *arguments)
    assert code == 0 and len(fits(tmp_path)) == 2
    assert re.search(
        r"trains anew \(unlike gan-ring-\w{8}: .*observers\.history\._target_ is .*LossHistory, was absent", out
    )
    otherwise = [word.replace("view.every_n_updates=10", "view.every_n_updates=20") for word in arguments]
    code, out, _ = command("train", *otherwise)
    assert code == 0 and len(fits(tmp_path)) == 3
    assert "observers.view.every_n_updates is 20, was 10" in out


@pytest.mark.slow
def test_a_drawing_is_learned_from_its_file(command, tmp_path):
    (tmp_path / "points.csv").write_text("0,0\n1,1\n2,0\n")
    drawing = f"dataset.distribution.path={tmp_path / 'points.csv'}"
    code, out, err = command("train", "model=gan", "dataset=drawing", drawing, *PLANE)
    assert code == 0, err
    (run,) = (tmp_path / "runs").iterdir()
    (tmp_path / "points.csv").write_text("0,0\n1,1\n2,1\n")
    code, _, err = command("evaluate", f"run={run}")
    assert code == 2 and f"{tmp_path / 'points.csv'} holds other data now than it was trained on" in err
    code, out, _ = command("train", "model=gan", "dataset=drawing", drawing, *PLANE)
    assert code == 0 and "trains anew" in out and "the data have changed" in out and len(fits(tmp_path)) == 2
    (tmp_path / "points.csv").rename(tmp_path / "moved.csv")
    drawing = f"dataset.distribution.path={tmp_path / 'moved.csv'}"
    code, out, _ = command("train", "model=gan", "dataset=drawing", drawing, *PLANE)
    assert code == 0 and "found finished" in out and len(fits(tmp_path)) == 2


def test_least_squares_sgd_and_uniform_noise_of_one_number_train(command, tmp_path):
    code, _, err = command("train", "model=gan", "dataset=line", *PLANE, "loss=least_squares", "model.z_dim=1",
                             "model.optimizer_generator=sgd", "model.noise=uniform", "model.n_generator=2")  # fmt: skip
    assert code == 0, err
    (result,) = results(tmp_path / "runs").values()
    assert "its equilibrium 0.250" in result["statement"]
    assert result["choices"]["loss"] == "least_squares"
