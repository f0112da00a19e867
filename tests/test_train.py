"""The commands that users run, from end to end on the digits, in this process."""

import json
import shutil

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_interrupted import assert_same_training

from conftest import QUICK, fits, results, said
from latent_lab.storage import read_json, write_json

SWEEP = ["-m", *QUICK, "n_labels=50,100,300", "sweep=first"]


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep over labels, and what it printed."""
    folder = tmp_path_factory.mktemp("swept")
    return folder, said("train", *SWEEP, f"paths.outputs={folder.as_posix()}")


@pytest.fixture
def outputs(swept, tmp_path):
    """A folder of outputs of one's own, in which the sweep's fit is found."""
    shutil.copytree(swept[0], tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_a_sweep_trains_one_fit_and_ends_in_a_table(swept):
    outputs, out = swept
    folder = outputs / "sweeps" / "first"
    jobs = results(folder)
    assert list(jobs) == [f"dataset=digits,n_labels={n}" for n in (100, 300, 50)]
    assert len(fits(outputs)) == 1
    assert sorted(job["fit_reused"] for job in jobs.values()) == [False, True, True]
    for name, job in jobs.items():
        assert job["status"] == "ok" and job["error"] is None
        assert job["choices"]["model"] == "vae" and job["choices"]["dataset"] == "digits"
        n_labels = int(name.rpartition("=")[2])
        assert job["settings"] == {
            "dataset": "digits", "trainer.max_epochs": 2, "trainer.enable_progress_bar": False,
            "trainer.accelerator": "cpu", "n_labels": n_labels,
        }  # fmt: skip
        assert job["repeats"] == ["label_seed", "seed"] and (job["n_labels"], job["seed"]) == (n_labels, 0)
        for metric in ("accuracy", "precision", "recall", "f1"):
            assert 0 <= job["metrics"][metric] <= 1
        assert {"test_elbo", "test_density_nll", "active_units"} <= job["metrics"].keys()
        # importance weighting tightens the bound
        assert job["metrics"]["test_density_nll"] < -job["metrics"]["test_elbo"]
        assert set(job["seconds"]) == {"fit", "analyses", "total"}
        assert len(job["labels_sha256"]) == 64
    assert (
        jobs["dataset=digits,n_labels=50"]["seconds"]["fit"]
        > 0
        == jobs["dataset=digits,n_labels=300"]["seconds"]["fit"]
    )
    for job in ("dataset=digits,n_labels=50", "dataset=digits,n_labels=300"):
        assert f"{100 * jobs[job]['metrics']['accuracy']:.2f}" in out
    assert f"tensorboard --logdir {outputs}" in out
    assert {p.name for p in folder.iterdir() if p.is_file()} >= {"results.csv", "results.md", "accuracy.png"}


def test_what_is_finished_is_not_run_again(command, outputs):
    folder = outputs / "sweeps" / "first"
    jobs = results(folder)
    before = {job: (folder / job / "result.json").stat().st_mtime_ns for job in jobs}
    (folder / "dataset=digits,n_labels=300" / "result.json").unlink()
    code, out, _ = command("train", *SWEEP)
    assert code == 0 and out.count("finished before") == 2
    after = {job: (folder / job / "result.json").stat().st_mtime_ns for job in jobs}
    assert {job for job in jobs if after[job] != before[job]} == {"dataset=digits,n_labels=300"}
    assert results(folder)["dataset=digits,n_labels=300"]["metrics"] == jobs["dataset=digits,n_labels=300"]["metrics"]


def test_another_classifier_under_the_same_name_is_a_new_result_and_the_old_one_is_kept(command, outputs):
    folder, arguments = outputs / "sweeps" / "first", [*QUICK, "n_labels=50,100", "sweep=first"]
    old = (folder / "dataset=digits,n_labels=50" / "result.json").read_bytes()
    code, _, _ = command("train", "-m", *arguments, "classifier.C_per_label=0.1")
    assert code == 0
    assert (folder / "dataset=digits,n_labels=50" / "earlier-1" / "result.json").read_bytes() == old
    assert results(folder)["dataset=digits,n_labels=50"]["fit_reused"] is True
    assert results(folder)["dataset=digits,n_labels=50"]["settings"]["classifier.C_per_label"] == 0.1


def test_an_interrupted_job_runs_again_and_leaves_nothing_aside(command, outputs):
    job = outputs / "sweeps" / "first" / "dataset=digits,n_labels=50"
    result = read_json(job / "result.json")
    write_json(job / "result.json", result | {"status": "interrupted", "error": "interrupted", "metrics": {}})
    code, out, _ = command("train", *SWEEP)
    assert code == 0 and out.count("finished before") == 2
    assert json.loads((job / "result.json").read_text())["metrics"] == result["metrics"]
    assert not list(job.glob("earlier-*"))


def test_evaluate_reproduces_a_run_and_redraws_a_fit(command, outputs):
    code, _, _ = command("train", *QUICK, "n_labels=100")
    (run,) = (outputs / "runs").iterdir()
    code, out, _ = command("evaluate", f"run={run}")
    assert code == 0 and "all 11 metrics reproduced exactly" in out
    result = read_json(run / "result.json")
    result["metrics"]["accuracy"] += 1e-6
    write_json(run / "result.json", result)
    code, out, _ = command("evaluate", f"run={run}")
    assert code == 1 and "1 of 11 metrics differ" in out

    (fit,) = fits(outputs)
    for picture in (fit / "pictures").iterdir():
        picture.unlink()
    code, out, _ = command("evaluate", f"fit={fit}")
    assert code == 0
    expected = {"reconstructions", "samples", "prior_samples", "interpolations", "codes", "kl_per_dimension"}
    assert {p.stem for p in (fit / "pictures").iterdir()} == expected

    # what TensorBoard shows: curves of the fit, the job's final metrics, no placeholder of hparams
    curves = EventAccumulator(str(fit)).Reload().Tags()
    assert {"train/elbo", "val/elbo", "val/kl", "val/reconstruction", "val/active_units"} <= set(curves["scalars"])
    assert {"reconstructions", "prior_samples", "codes"} <= set(curves["images"])
    assert "val/kl_per_dimension" in curves["histograms"]
    job = EventAccumulator(str(run)).Reload()
    assert "hp_metric" not in job.Tags()["scalars"] and "confusion_matrix" in job.Tags()["images"]
    assert job.Scalars("z_result/f1")[0].value == pytest.approx(result["metrics"]["f1"])


def test_evaluate_rebuilds_a_sweeps_tables(command, outputs):
    folder = outputs / "sweeps" / "first"
    names = ("results.csv", "results.md", "accuracy.png")
    before = {name: (folder / name).read_bytes() for name in names}
    for name in names:
        (folder / name).unlink()
    assert command("evaluate", f"sweep={folder}")[0] == 0
    assert {name: (folder / name).read_bytes() for name in names} == before


def test_a_two_dimensional_code_has_a_manifold(command, tmp_path):
    code, _, _ = command("train", *QUICK, "model=vae_mlp", "model.latent_dim=2", "n_labels=50")
    assert code == 0
    assert (fits(tmp_path)[0] / "pictures" / "manifold.png").stat().st_size > 5000


def test_pictures_fit_any_size(command, tmp_path):
    code, out, _ = command("train", *QUICK, "model=vae_mlp", "model.latent_dim=1", "dataset.val_size=5", "n_labels=50")
    assert code == 0, out


def unlucky_with(n_labels: int, monkeypatch) -> None:
    """The head fails with so many labels."""
    from classifiers.linear_svc import LinearSVCHead

    fit = LinearSVCHead.fit

    def fails(self, codes, labels):
        if len(codes) == n_labels:
            raise RuntimeError("out of luck")
        return fit(self, codes, labels)

    monkeypatch.setattr(LinearSVCHead, "fit", fails)


def test_a_failed_job_is_written_down_and_the_others_run(command, outputs, monkeypatch):
    unlucky_with(100, monkeypatch)
    arguments = ["-m", *QUICK, "n_labels=50,100,300", "sweep=s"]
    code, out, _ = command("train", *arguments)
    assert code == 1
    jobs = results(outputs / "sweeps" / "s")
    assert [jobs[f"dataset=digits,n_labels={n}"]["status"] for n in (50, 100, 300)] == ["ok", "failed", "ok"]
    assert jobs["dataset=digits,n_labels=100"]["error"] == "RuntimeError: out of luck"
    assert "failed: dataset=digits,n_labels=100: RuntimeError: out of luck" in out
    traceback = (outputs / "sweeps" / "s" / "dataset=digits,n_labels=100" / "traceback.txt").read_text()
    assert traceback.rstrip().endswith("RuntimeError: out of luck") and "in fails" in traceback
    monkeypatch.undo()
    code, out, _ = command("train", *arguments)
    assert code == 0 and out.count("finished before") == 2


def test_a_fit_that_fails_is_said_in_the_results_of_all_its_jobs(command, tmp_path, monkeypatch):
    from lightning_modules.vae import VAE

    def fails(self, batch, batch_idx):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(VAE, "training_step", fails)
    code, out, _ = command("train", "-m", *QUICK, "model=vae_mlp", "n_labels=50,100", "sweep=s")
    found = [(job["status"], job["error"]) for job in results(tmp_path / "sweeps" / "s").values()]
    assert code == 1 and found == [("failed", "RuntimeError: out of memory")] * 2
    assert out.count("trains anew") == 1


def test_exit_codes_are_of_this_commands_jobs(command, outputs, monkeypatch):
    unlucky_with(150, monkeypatch)
    assert command("train", "-m", *QUICK, "n_labels=150,100", "sweep=first")[0] == 1
    assert command("train", "-m", *QUICK, "n_labels=100,50", "sweep=first")[0] == 0


def test_an_edited_model_trains_anew_and_says_why(command, outputs, monkeypatch):
    from latent_lab import fits as engine

    true_digests = engine.source_digests
    monkeypatch.setattr(
        engine, "source_digests", lambda names: true_digests(names) | {"lightning_modules/vae.py": "0" * 16}
    )
    code, out, _ = command("train", *QUICK, "n_labels=50")
    assert code == 0 and len(fits(outputs)) == 2
    assert "trains anew (unlike vae-digits-" in out and "the code of lightning_modules/vae.py has changed" in out


def test_a_fit_that_was_watched_otherwise_says_so_in_one_line(command, outputs):
    code, out, _ = command("train", *QUICK, "n_labels=50", "callbacks.observers.pictures.every_n_epochs=1")
    assert code == 0 and len(fits(outputs)) == 1
    (line,) = [line for line in out.splitlines() if "was watched with other settings" in line]
    assert line.endswith("observers.pictures.every_n_epochs is 1, was 5; fresh=true trains anew")


def test_fresh_sets_the_old_fit_aside(command, outputs):
    (old,) = fits(outputs)
    before = (old / "last.ckpt").read_bytes()
    code, out, _ = command("train", "-m", *QUICK, "n_labels=50,100", "fresh=true")
    assert code == 0 and out.count("trains anew") == 1
    assert (outputs / "fits" / f"{old.name}-replaced" / "last.ckpt").read_bytes() == before
    replaced = old.with_name(f"{old.name}-replaced") / "last.ckpt"
    assert_same_training(torch.load(old / "last.ckpt", weights_only=True), torch.load(replaced, weights_only=True))


def test_a_damaged_checkpoint_is_found_before_anything_runs(command, outputs):
    (fit,) = fits(outputs)
    content = (fit / "last.ckpt").read_bytes()
    (fit / "last.ckpt").write_bytes(content[: len(content) // 2])
    code, _, err = command("train", *QUICK, "n_labels=100")
    assert code == 2
    assert f"{fit / 'last.ckpt'}: damaged checkpoint" in err and "fresh=true" in err
    assert not (outputs / "runs").exists()
    code, _, _ = command("train", *QUICK, "n_labels=100", "fresh=true")
    assert code == 0


def test_codes_are_kept_by_the_code_that_made_them(command, outputs, monkeypatch):
    """Other code must not be given the codes of the old one."""
    from latent_lab import opened

    assert len(list(outputs.glob("fits/*/derived-*/codes.safetensors"))) == 1
    true_digests, file = opened.source_digests, "callbacks/analyses/latent_codes.py"

    def edited(names, of_fit=True):
        found = true_digests(names, of_fit)
        return found | {file: "0"} if file in found else found

    monkeypatch.setattr(opened, "source_digests", edited)
    code, out, _ = command("train", *QUICK, "n_labels=50")
    assert code == 0 and "found finished" in out
    assert len(list(outputs.glob("fits/*/derived-*/codes.safetensors"))) == 2


def test_test_figures_are_kept_by_what_the_test_was_given(command, outputs):
    for images in (100, 200):
        assert command("train", *QUICK, "n_labels=50", f"model.nll_images={images}")[0] == 0
    found = [result["metrics"]["test_density_nll_images"] for result in results(outputs / "runs").values()]
    assert sorted(found) == [100, 200] and len(fits(outputs)) == 1


def test_a_damaged_result_runs_again(command, outputs):
    job = outputs / "sweeps" / "first" / "dataset=digits,n_labels=50"
    (job / "result.json").write_text("{half")
    code, _, _ = command("train", *SWEEP)
    assert code == 0 and results(outputs / "sweeps" / "first")[job.name]["status"] == "ok"
    assert (job / "earlier-1" / "result.json").read_text() == "{half" and (job / "train.log").exists()


def test_commands_of_the_same_second_have_folders_of_their_own(command, outputs, monkeypatch):
    from latent_lab import folders

    monkeypatch.setattr(folders, "short_time", lambda: "now")
    for n_labels in (50, 100):
        assert command("train", *QUICK, f"n_labels={n_labels}")[0] == 0
        code, out, _ = command("train", "-m", *QUICK, f"n_labels={n_labels},300")
        assert code == 0
    names = {name: job["n_labels"] for name, job in results(outputs / "runs").items()}
    assert names == {"now-vae-digits": 50, "now-vae-digits-2": 100}
    assert out.splitlines()[0] == f"2 jobs into {outputs / 'sweeps' / 'now-2'}"
    assert [len(results(outputs / "sweeps" / name)) for name in ("now", "now-2")] == [2, 2]


def test_a_path_may_hold_anything(command, swept, tmp_path):
    outputs = tmp_path / "a b=c,d (e)"
    shutil.copytree(swept[0] / "fits", outputs / "fits")
    code, _, _ = command("train", *QUICK, "n_labels=50", f"paths.outputs='{outputs}'")
    assert code == 0 and len(results(outputs / "runs")) == 1 and len(fits(outputs)) == 1


def test_a_subset_is_a_fit_of_its_own_for_each_draw_and_one_row_of_the_table(command, tmp_path):
    arguments = ["n_labels=100", "dataset.train_subset=100", "label_seed=0,1", "sweep=s"]
    code, _, _ = command("train", "-m", *QUICK, "model=vae_mlp", *arguments)
    assert code == 0 and len(fits(tmp_path)) == 2
    assert "| vae_mlp | digits | 100 | 2 | " in (tmp_path / "sweeps" / "s" / "results.md").read_text()


def test_data_that_are_others_now_are_not_compared(command, outputs, monkeypatch):
    """evaluate.py says of what it can't compare why; it would report differing metrics without a word."""
    from datamodules.digits import Digits

    run = outputs / "sweeps" / "first" / "dataset=digits,n_labels=50"
    divide = Digits.divide

    def edited(self):
        splits = divide(self)
        splits["train"].images[0] += 1
        return splits

    monkeypatch.setattr(Digits, "divide", edited)
    code, _, err = command("evaluate", f"run={run}")
    assert code == 2 and "holds other data now than it was trained on" in err and err.count("\n") == 1


def test_a_compiled_forward_is_the_eager_one():
    """Loss and gradients of the compiled forward against eager, same noise."""
    torch.manual_seed(0)
    from lightning_modules.networks import MLPDecoder, MLPEncoder
    from lightning_modules.vae import VAE

    vae = VAE(MLPEncoder((1, 8, 8), 4, [16]), MLPDecoder((1, 8, 8), 4, [16]), 4).train()
    x = torch.rand(32, 1, 8, 8)

    def gradients():
        torch.manual_seed(1)
        vae.zero_grad()
        loss = vae.loss(vae(x), 1.0)
        loss.backward()
        return loss.item(), [p.grad.clone() for p in vae.parameters()]

    eager, eager_grads = gradients()
    keys = list(vae.state_dict())
    with torch._inductor.config.patch(fallback_random=True):
        vae.compile()
        compiled, compiled_grads = gradients()
    assert list(vae.state_dict()) == keys
    assert compiled == pytest.approx(eager, rel=1e-5)
    for one, two in zip(eager_grads, compiled_grads, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5)
