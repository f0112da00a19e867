"""The adversarial commands from end to end on the digits: what they leave behind."""

import json
import math
import re
import shutil

import pytest
import torch
from PIL import Image

from conftest import QUICK, SMALL_GAN, fits, results, said
from latent_lab.rounding import with_spreads

GANS = [*QUICK[:1], *QUICK[2:], "trainer.max_epochs=3", *SMALL_GAN]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A sweep of both models, and what it printed."""
    folder = tmp_path_factory.mktemp("gans")
    return folder, said("train", "-m", "model=dcgan,wgan_gp", *GANS, "sweep=s", f"paths.outputs={folder.as_posix()}")


@pytest.fixture
def outputs(sweep, tmp_path):
    """A folder of outputs of one's own, in which the scorer is found."""
    shutil.copytree(gan(sweep[0], "scorer"), tmp_path / "fits" / gan(sweep[0], "scorer").name)
    return tmp_path


def gan(folder, model):
    (fit,) = [fit for fit in fits(folder) if fit.name.startswith(model)]
    return fit


def test_a_sweep_leaves_every_artefact(sweep):
    folder, out = sweep
    jobs = results(folder / "sweeps" / "s")
    assert list(jobs) == ["dataset=digits,model=dcgan", "dataset=digits,model=wgan_gp"]
    assert sum(fit.name.startswith("scorer-digits") for fit in fits(folder)) == 1 and len(fits(folder)) == 3
    for name, job in jobs.items():
        here = folder / "sweeps" / "s" / name
        assert job["status"] == "ok" and job["repeats"] == ["seed"] and job["n_labels"] is None
        assert job["requires"]["scorer"].startswith("scorer-digits-")
        metrics = job["metrics"]
        for score in ("fcd", "kid", "inception_score", "class_distance", "knn_precision", "knn_recall", "coverage"):
            assert all(math.isfinite(metrics[score + suffix]) for suffix in ("", "_raw", "_best", "_floor"))
        assert metrics["fcd_floor"] < metrics["fcd"] and metrics["fcd_best"] > metrics["fcd_floor"]
        assert metrics["scorer_accuracy"] > 0.95 and metrics["scored_images"] == 500
        assert set(job["verdict"]["labels"]) == {"1", "2", "3"}
        assert out.count(f"{name}: {job['summary']}\n") == 1 and job["statement"] not in out
        assert len(job["summary"]) <= 100 and job["summary"].startswith(f"{job['verdict']['labels']['3']}: ")
        for picture in ("samples", "samples_raw", "strip", "interpolations", "nearest", "losses"):
            with Image.open(here / f"{picture}.png") as image:
                assert image.width > 300, picture
        with Image.open(here / "epochs.gif") as animation:
            assert animation.n_frames == 3
    text = (folder / "sweeps" / "s" / "results.md").read_text()
    for name, job in jobs.items():
        assert f"## {name}" in text and f"{job['summary'][1:]}.**" in text
        assert f"{job['statement'][1:]}." in text and "| fcd (n = 197) |" in text
        assert f"![strip]({name}/strip.png)" in text
    assert "![losses](losses.png)" in text and (folder / "sweeps" / "s" / "losses.png").stat().st_size > 20_000
    assert "| model | dataset | seeds | fcd |" in text and "n_labels" not in text


def test_the_best_checkpoint_is_of_the_least_score(sweep):
    folder, _ = sweep
    for model in ("dcgan", "wgan_gp"):
        last, best = (torch.load(gan(folder, model) / f"{n}.ckpt", weights_only=True) for n in ("last", "best"))
        scores = {entry["epoch"]: entry["averaged"]["fcd"] for entry in last["callbacks"]["EpochScores"]["epochs"]}
        assert best["epoch"] + 1 == min(scores, key=scores.get)


def test_the_best_checkpoint_is_of_a_scored_epoch(command, outputs):
    """Scored every second epoch and at the last, as the digits' budget scores every fifth."""
    code, out, _ = command("train", *GANS[:-1], "model=dcgan", "callbacks.every_n_epochs=2")
    assert code == 0, out
    last, best = (torch.load(gan(outputs, "dcgan") / f"{n}.ckpt", weights_only=True) for n in ("last", "best"))
    scores = {entry["epoch"]: entry["averaged"]["fcd"] for entry in last["callbacks"]["EpochScores"]["epochs"]}
    assert list(scores) == [2, 3] and best["epoch"] + 1 == min(scores, key=scores.get)


def test_n_critic_steps_for_each_update_also_after_a_resumption(command, tmp_path):
    """Adam counts its own steps; the checkpoint counts updates."""
    assert command("train", *QUICK, *SMALL_GAN[:-1], "model=wgan_gp", "model.n_critic=5", "callbacks=none")[0] == 0
    state = torch.load(gan(tmp_path, "wgan_gp") / "last.ckpt", weights_only=True)
    updates = state["global_step"]
    assert updates == 2 * (1100 // (16 * 5))
    counts = [{s["step"].item() for s in o["state"].values()} for o in state["optimizer_states"]]
    assert counts == [{updates}, {5 * updates}]


def test_the_history_is_over_updates_with_held_out_images_beside(sweep):
    folder, _ = sweep
    for model, term in (("dcgan", "critic_loss"), ("wgan_gp", "wasserstein")):
        here = folder / "sweeps" / "s" / f"dataset=digits,model={model}"
        history = json.loads((here / "history.json").read_text())
        updates = torch.load(gan(folder, model) / "last.ckpt", weights_only=True)["global_step"]
        assert history["updates"][-1] == updates and history["updates"] == sorted(history["updates"])
        assert len(history["rows"]) == len(history["updates"]) and {"critic_loss", "generator_loss"} <= set(
            history["names"]
        )
        assert [entry["epoch"] for entry in history["epochs"]] == [1, 2, 3]
        assert all({f"train/{term}", f"val/{term}"} <= entry.keys() for entry in history["epochs"])
        assert len(history["norm_counts"]) == (3 if model == "wgan_gp" else 0)


def test_evaluate_reproduces_and_redraws(command, sweep):
    folder, _ = sweep
    code, out, _ = command("evaluate", f"run={folder / 'sweeps' / 's' / 'dataset=digits,model=wgan_gp'}")
    assert code == 0 and re.search(r"all \d+ metrics reproduced exactly", out)
    fit = gan(folder, "wgan_gp")
    before = (fit / "pictures" / "nearest.png").read_bytes()
    (fit / "pictures" / "nearest.png").unlink()
    code, out, _ = command("evaluate", f"fit={fit}")
    assert code == 0 and "nearest.png" in out and (fit / "pictures" / "nearest.png").read_bytes() == before
    code, out, _ = command("evaluate", f"sweep={folder / 'sweeps' / 's'}")
    assert code == 0 and "dcgan" in out


def test_seeds_become_mean_and_deviation_and_share_a_scorer(command, outputs):
    arguments = [*GANS[:3], *SMALL_GAN, "model=dcgan", "trainer.max_epochs=1", "seed=0,1", "sweep=s"]
    assert command("train", "-m", *arguments)[0] == 0
    assert sorted(fit.name.split("-")[0] for fit in fits(outputs)) == ["dcgan", "dcgan", "scorer"]
    values = [job["metrics"]["fcd"] for job in results(outputs / "sweeps" / "s").values()]
    mean, half = sum(values) / 2, abs(values[0] - values[1])
    cell = with_spreads(mean, [half / math.sqrt(2)])
    assert f"| dcgan | digits | 2 | {cell} |" in (outputs / "sweeps" / "s" / "results.md").read_text()
    code, out, _ = command("train", "-m", *arguments)
    assert code == 0 and out.count("finished before") == 2


def test_how_often_is_validated_has_no_part_in_what_is_the_best(command, sweep, outputs):
    """The scores are taken at the ends of epochs, and so is the best checkpoint."""
    code, out, _ = command("train", *GANS, "model=dcgan", "+trainer.check_val_every_n_epoch=9")
    assert code == 0 and "trains anew" in out
    (result,) = results(outputs / "runs").values()
    assert result["metrics"] == results(sweep[0] / "sweeps" / "s")["dataset=digits,model=dcgan"]["metrics"]
    assert result["fit"] == gan(sweep[0], "dcgan").name, "the same fit"
    best, same = (torch.load(gan(f, "dcgan") / "best.ckpt", weights_only=True) for f in (outputs, sweep[0]))
    assert best["epoch"] == same["epoch"]


def test_other_epochs_or_samples_to_choose_the_best_by_are_another_fit(command, sweep, outputs):
    from latent_lab.command import read_command
    from latent_lab.plan import Planner

    def name(*words: str) -> str:
        words = (*GANS, "model=dcgan", *words, f"paths.outputs={outputs}")
        return Planner().add(read_command("train", list(words)).jobs[0], None).fit.name

    assert name() == gan(sweep[0], "dcgan").name
    scores = ("callbacks.observers.scores.samples=100", "callbacks.observers.scores.every_n_epochs=2")
    window = "callbacks.observers.history.every_n_updates=7"
    assert len({name(), *map(name, scores), name(window)}) == 4
    assert name("callbacks.observers.sheets.every_n_epochs=2") == name()


@pytest.mark.parametrize("updates", [60, pytest.param(2000, marks=pytest.mark.slow)])
def test_bfloat16_stays_finite(updates):
    """The penalty's norm is taken in float32, its gradient flows through a critic in bfloat16."""
    from lightning_modules.adversarial_networks import ConvCritic, ConvGenerator
    from lightning_modules.wgan_gp import WGANGP

    torch.manual_seed(0)
    module = WGANGP(ConvGenerator((1, 8, 8), 8, 4), ConvCritic((1, 8, 8), 4), z_dim=8, n_critic=2)
    generator, critic = module.configure_optimizers()

    class Wrapped:
        def __init__(self, optimizer):
            self.optimizer, self.step = optimizer, optimizer.step

    module.optimizers = lambda: (Wrapped(generator), Wrapped(critic))
    reals = (torch.rand(2, 16, 1, 8, 8) > 0.5).float()  # n_critic batches of 16
    shown = []
    for _ in range(updates):
        with torch.autocast("cpu", torch.bfloat16):
            shown.append(module.training_step((reals, None), 0))
    assert all(norms["gradient_norms"].dtype == torch.float32 for norms in shown)
    losses = torch.stack([torch.stack([step["critic_loss"], step["penalty"], step["gradient_norm"]]) for step in shown])
    assert torch.isfinite(losses).all() and all(torch.isfinite(p).all() for p in module.parameters())
    assert losses[-20:, 2].mean() > 1.2 * losses[0, 2]  # the penalty does lift the norm towards 1
