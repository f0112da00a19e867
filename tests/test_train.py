"""The commands that users run, from end to end on the digits."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from conftest import ROOT, results

QUICK = ["dataset=digits", "trainer.max_epochs=2", "trainer.enable_progress_bar=false", "trainer.accelerator=cpu"]


def fits(folder: Path) -> list[Path]:
    return sorted(path.parent for path in (folder / "fits").glob("*/fit.json"))


def checkpoint(folder: Path) -> dict:
    (fit,) = [fit for fit in fits(folder) if not fit.name.startswith("scorer")]
    return torch.load(fit / "last.ckpt", weights_only=True)


def assert_same_training(one: dict, two: dict) -> None:
    """Weights (averages and fixed noise with them) and every Adam's state equal bit for bit."""
    assert one["state_dict"].keys() == two["state_dict"].keys()
    assert all(torch.equal(one["state_dict"][k], two["state_dict"][k]) for k in one["state_dict"])
    assert len(one["optimizer_states"]) == len(two["optimizer_states"])
    for a, b in zip(one["optimizer_states"], two["optimizer_states"], strict=True):
        assert all(torch.equal(a["state"][k][n], b["state"][k][n]) for k in a["state"] for n in a["state"][k])
    assert one["lr_schedulers"] == two["lr_schedulers"]
    for kept in ("LossHistory", "PlaneView"):
        assert plain(one["callbacks"].get(kept)) == plain(two["callbacks"].get(kept)), kept


def plain(kept):
    """What a callback keeps, with tensors as lists, to compare."""
    if isinstance(kept, dict):
        return {name: plain(value) for name, value in kept.items()}
    if isinstance(kept, list):
        return [plain(value) for value in kept]
    return kept.tolist() if torch.is_tensor(kept) else kept


def test_a_sweep_trains_one_fit_and_ends_in_a_table(command, tmp_path):
    code, out, _ = command("train", "-m", *QUICK, "n_labels=50,100,300", "sweep=first")
    assert code == 0
    folder = tmp_path / "sweeps" / "first"
    jobs = results(folder)
    assert list(jobs) == [f"dataset=digits,n_labels={n}" for n in (100, 300, 50)]
    assert len(fits(tmp_path)) == 1
    assert sorted(job["fit_reused"] for job in jobs.values()) == [False, True, True]
    for job in jobs.values():
        assert job["status"] == "ok" and job["error"] is None
        assert job["choices"]["model"] == "vae" and job["choices"]["dataset"] == "digits"
        for name in ("accuracy", "precision", "recall", "f1"):
            assert 0 <= job["metrics"][name] <= 1
        assert {"test_elbo", "test_nll", "active_units"} <= job["metrics"].keys()
        assert job["metrics"]["test_nll"] < -job["metrics"]["test_elbo"]  # importance weighting tightens the bound
        assert set(job["seconds"]) == {"fit", "classify", "total"}
        assert len(job["labels_sha256"]) == 64
    assert (
        jobs["dataset=digits,n_labels=50"]["seconds"]["fit"]
        > 0
        == jobs["dataset=digits,n_labels=300"]["seconds"]["fit"]
    )
    for job in ("dataset=digits,n_labels=50", "dataset=digits,n_labels=300"):
        assert f"{100 * jobs[job]['metrics']['accuracy']:.2f}" in out
    assert f"tensorboard --logdir {tmp_path}" in out
    assert {p.name for p in folder.iterdir() if p.is_file()} >= {"results.csv", "results.md", "accuracy.png"}

    # again under the same name: what is finished is not run again
    before = {job: (folder / job / "result.json").stat().st_mtime_ns for job in jobs}
    (folder / "dataset=digits,n_labels=300" / "result.json").unlink()
    code, out, _ = command("train", "-m", *QUICK, "n_labels=50,100,300", "sweep=first")
    assert code == 0 and out.count("finished before") == 2
    after = {job: (folder / job / "result.json").stat().st_mtime_ns for job in jobs}
    assert {job for job in jobs if after[job] != before[job]} == {"dataset=digits,n_labels=300"}
    assert results(folder)["dataset=digits,n_labels=300"]["metrics"] == jobs["dataset=digits,n_labels=300"]["metrics"]

    # another classifier under the same name: a new result, the old one kept
    code, out, _ = command("train", "-m", *QUICK, "n_labels=50,100", "sweep=first", "classifier.C_per_label=0.1")
    assert code == 0
    assert (folder / "dataset=digits,n_labels=50" / "earlier-1" / "result.json").exists()
    assert results(folder)["dataset=digits,n_labels=50"]["fit_reused"] is True


def test_evaluate_reproduces_a_run_and_redraws_a_fit(command, tmp_path):
    code, _, _ = command("train", *QUICK, "n_labels=100")
    (run,) = (tmp_path / "runs").iterdir()
    code, out, _ = command("evaluate", f"run={run}")
    assert code == 0 and "all 11 metrics reproduced exactly" in out
    result = json.loads((run / "result.json").read_text())
    result["metrics"]["accuracy"] += 1e-6
    (run / "result.json").write_text(json.dumps(result))
    code, out, _ = command("evaluate", f"run={run}")
    assert code == 1 and "1 of 11 metrics differ" in out

    (fit,) = fits(tmp_path)
    for picture in (fit / "pictures").iterdir():
        picture.unlink()
    code, out, _ = command("evaluate", f"fit={fit}")
    assert code == 0
    expected = {"reconstructions", "prior_samples", "interpolations", "codes", "kl_per_dimension"}
    assert {p.stem for p in (fit / "pictures").iterdir()} == expected

    # what TensorBoard shows: curves of the fit, the job's final metrics, no placeholder of hparams
    curves = EventAccumulator(str(fit)).Reload().Tags()
    assert {"train/elbo", "val/elbo", "val/kl", "val/reconstruction", "val/active_units"} <= set(curves["scalars"])
    assert {"reconstructions", "prior_samples", "codes"} <= set(curves["images"])
    assert "val/kl_per_dimension" in curves["histograms"]
    job = EventAccumulator(str(run)).Reload()
    assert "hp_metric" not in job.Tags()["scalars"] and "confusion_matrix" in job.Tags()["images"]
    assert job.Scalars("result/f1")[0].value == pytest.approx(result["metrics"]["f1"])


def test_a_two_dimensional_code_has_a_manifold(command, tmp_path):
    code, _, _ = command("train", *QUICK, "model=vae_mlp", "model.latent_dim=2", "n_labels=50")
    assert code == 0
    assert (fits(tmp_path)[0] / "pictures" / "manifold.png").stat().st_size > 5000


def test_a_failed_job_is_written_down_and_the_others_run(command, tmp_path, monkeypatch):
    from classifiers.linear_svc import LinearSVCHead

    fit = LinearSVCHead.fit

    def fails_at_100(self, codes, labels):
        if len(codes) == 100:
            raise RuntimeError("out of luck")
        return fit(self, codes, labels)

    monkeypatch.setattr(LinearSVCHead, "fit", fails_at_100)
    code, out, _ = command("train", "-m", *QUICK, "n_labels=50,100,300", "sweep=s")
    assert code == 1
    jobs = results(tmp_path / "sweeps" / "s")
    assert [jobs[f"dataset=digits,n_labels={n}"]["status"] for n in (50, 100, 300)] == ["ok", "failed", "ok"]
    assert jobs["dataset=digits,n_labels=100"]["error"] == "RuntimeError: out of luck"
    assert "failed: dataset=digits,n_labels=100: RuntimeError: out of luck" in out
    monkeypatch.undo()
    assert command("train", "-m", *QUICK, "n_labels=50,100,300", "sweep=s")[0] == 0


def test_an_edited_model_trains_anew_and_says_why(command, tmp_path, monkeypatch):
    from latent_lab import fits as runs

    command("train", *QUICK, "n_labels=50")
    true_digests = runs.source_digests
    monkeypatch.setattr(
        runs, "source_digests", lambda names: true_digests(names) | {"lightning_modules/vae.py": "0" * 16}
    )
    code, out, _ = command("train", *QUICK, "n_labels=50")
    assert code == 0 and len(fits(tmp_path)) == 2
    assert "trains anew (unlike vae-digits-" in out and "the code of lightning_modules/vae.py has changed" in out


def test_fresh_sets_the_old_fit_aside(command, tmp_path):
    command("train", *QUICK, "n_labels=50")
    (old,) = fits(tmp_path)
    before = (old / "last.ckpt").read_bytes()
    code, out, _ = command("train", "-m", *QUICK, "n_labels=50,100", "fresh=true")
    assert code == 0 and out.count("trains anew") == 1
    assert (tmp_path / "fits" / f"{old.name}-replaced" / "last.ckpt").read_bytes() == before
    replaced = old.with_name(f"{old.name}-replaced") / "last.ckpt"
    assert_same_training(torch.load(old / "last.ckpt", weights_only=True), torch.load(replaced, weights_only=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["n_labels=0"], "train.py: n_labels=0: expects a positive whole number"),
        (["n_labels=105"], "train.py: n_labels=105: not divisible into 10 classes"),
        (["n_labels=5000"], "train.py: n_labels=5000: the training set has only 1100 images"),
        (["-m", "n_labels=50,5000"], "train.py: n_labels=5000: the training set has only 1100 images"),
        (["dataset.batch_size=-1"], "train.py: dataset.batch_size=-1: expects a positive whole number"),
        (["dataset.train_subset=105"], "train.py: dataset.train_subset=105: not divisible"),
        (["trainer.max_epochs=0"], "train.py: trainer.max_epochs=0: expects a positive whole number"),
        (["trainer.precision=bf17"], "train.py: trainer.precision=bf17: accepted are auto, 32-true, bf16-mixed"),
        (["trainer.devices=2"], "train.py: trainer.devices=2: a fit runs on one device"),
        (["model.latent_dim=-2"], "train.py: latent_dim=-2: expects a positive number"),
        (["model.lr=0"], "train.py: model.lr=0: expects a positive number"),
        (["model.likelihood=poisson"], "train.py: model.likelihood=poisson: accepted are bernoulli, gaussian"),
        (["classifier.C=-1", "classifier.C_per_label=null"], "train.py: classifier.C=-1: expects a positive number"),
        (["seed=-1"], "train.py: seed=-1: expects a whole number from 0"),
        (["seed=5000000000"], "train.py: seed=5000000000: expects a whole number from 0"),
        (["model.betas=[0.9]"], r"train.py: model.betas=\[0.9\]: expects two numbers"),
        (["model.beta=null"], "train.py: model.beta=None: expects a number from 0"),
        (["model.encoder=null"], "train.py: model.encoder and model.decoder: a VAE needs both"),
        (["trainer.accelerator=cup"], "train.py: .*accelerator='cup'"),
        (["trainer.log_every_n_steps=0"], "train.py: trainer.log_every_n_steps=0: expects a positive whole number"),
        (["trainer.gradient_clip_val=-1"], "train.py: trainer.gradient_clip_val=-1: expects a positive number"),
        (["+trainer.fast_dev_run=true"], "train.py: trainer.fast_dev_run: no such setting"),
        (["~callbacks"], "train.py: callbacks: can't be left out"),
        (["logger=null"], "train.py: logger: can't be left out"),
        (["paths.outputs=null"], "train.py: paths.outputs=None: expects a folder"),
        (["hydra.run.dir=x"], "train.py: hydra.run.dir: folders are named by paths.outputs=DIR and sweep=NAME"),
        (["-m", "sweep=a,b"], "train.py: sweep=a,b: one value for a whole sweep"),
        (["-m", "model=glob(*)"], r"train.py: model=glob\(\*\): name the values, as model=A,B"),
        (["--fresh"], "train.py: unrecognized arguments: --fresh .*; settings are given as key=value"),
        (["label_seed=-1"], "train.py: label_seed=-1: expects a whole number from 0"),
        (["dataset=mnist", "paths.data=nowhere"], "train.py: nowhere/MNIST/raw/train-images-idx3-ubyte: absent"),
        (["paths.outputs=/proc/nothing"], "train.py: paths.outputs=/proc/nothing: can't be written"),
        (["sweep=name"], "train.py: sweep=name: names a sweep, and needs -m"),
        (["-m", "sweep=../x"], "train.py: sweep=../x: a name is made of letters, digits"),
        (["model._target_=os.system"], "train.py: _target_=os.system: only classes of"),
        (["+model.encoder.hiden=3"], "lightning_modules.vae.VAE: ConvEncoder.* unexpected keyword argument 'hiden'"),
    ],
)
def test_mistakes_end_in_one_line_and_train_nothing(command, tmp_path, monkeypatch, arguments, message):
    import re
    import urllib.request

    def no_network(*args, **kwargs):
        raise urllib.request.URLError("no network in this test")

    from latent_lab import jobs  # noqa: F401 (the time to import torch is Python's, not the mistake's)

    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    monkeypatch.chdir(tmp_path)
    start = time.process_time()
    code, _, err = command("train", *(["dataset=digits"] if "dataset=mnist" not in arguments else []), *arguments)
    assert code == 2 and time.process_time() - start < 3
    lines = [line for line in err.splitlines() if line.startswith("train.py")]
    assert len(lines) == 1 and re.search(message, lines[0]), err
    assert not (tmp_path / "fits").exists() and not (tmp_path / "runs").exists()


def test_a_damaged_checkpoint_is_found_before_anything_runs(command, tmp_path):
    command("train", *QUICK, "n_labels=50")
    (fit,) = fits(tmp_path)
    content = (fit / "last.ckpt").read_bytes()
    (fit / "last.ckpt").write_bytes(content[: len(content) // 2])
    code, _, err = command("train", *QUICK, "n_labels=100")
    assert code == 2
    assert f"{fit / 'last.ckpt'}: damaged checkpoint" in err and "fresh=true" in err
    code, _, _ = command("train", *QUICK, "n_labels=100", "fresh=true")
    assert code == 0


def spawn(outputs: Path, *arguments: str) -> subprocess.Popen:
    dataset = [] if any(argument.startswith("dataset=") for argument in arguments) else ["dataset=digits"]
    return subprocess.Popen(
        [sys.executable, "train.py", *dataset, "trainer.enable_progress_bar=false", "trainer.accelerator=cpu",
         f"paths.outputs={outputs}", *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


SMALL_GAN = (
    "model.generator.channels=4",
    "model.critic.channels=4",
    "dataset.batch_size=16",
    "callbacks.every_n_epochs=1",
)
SMALL_PLANE = (
    "dataset.batch_size=50",
    "dataset.train_size=1000",
    "callbacks.post_fit.plane_result.points=2000",
    "callbacks.post_fit.plane_result.paired=100",
    "model.generator.hidden=[8]",
    "model.critic.hidden=[8]",
    "callbacks.fit.view.every_n_updates=10",
)


@pytest.mark.parametrize(
    "arguments",
    [
        ("n_labels=100",),
        ("model=gan", "dataset=ring", *SMALL_PLANE),
        pytest.param(("model=wgan_gp", *SMALL_GAN), marks=pytest.mark.slow),
        pytest.param(("model=dcgan", *SMALL_GAN), marks=pytest.mark.slow),
    ],
    ids=["vae", "plane", "wgan_gp", "dcgan"],
)
def test_killed_at_any_moment_it_resumes_bit_for_bit(tmp_path, arguments):
    """Kill -9 a fit three times, at moments its checkpoint's epochs decide; the last run ends it."""
    arguments = (*arguments, "trainer.max_epochs=25")
    whole = spawn(tmp_path / "whole", *arguments)
    assert whole.wait() == 0
    killed = tmp_path / "killed"
    last = -1
    for _ in range(3):
        process = spawn(killed, *arguments)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.013)
            found = [path for path in killed.glob("fits/*/last.ckpt") if not path.parent.name.startswith("scorer")]
            if found and (epoch := torch.load(found[0], weights_only=True)["epoch"]) > last:
                last = epoch
                break
        time.sleep(0.05 * (1 + last % 3))
        process.kill()
        process.wait()
    assert last < 24, "the fit ended before it was killed"
    final = spawn(killed, *arguments)
    out, _ = final.communicate()
    assert final.returncode == 0 and "continues after epoch" in out
    assert_same_training(checkpoint(tmp_path / "whole"), checkpoint(killed))
    ok = [r for folder in ("whole", "killed") for r in results(tmp_path / folder).values() if r["status"] == "ok"]
    assert len(ok) == 2
    assert ok[0]["metrics"] == ok[1]["metrics"] and ok[0]["labels_sha256"] == ok[1]["labels_sha256"]
    assert ok[0]["fit"] == ok[1]["fit"]
    assert ok[0].get("statement") == ok[1].get("statement")
    sheets = [
        {p.name: p.read_bytes() for p in folder.glob("fits/*/epochs/*.png")} for folder in (tmp_path / "whole", killed)
    ]
    assert sheets[0] == sheets[1] and len(sheets[0]) == (25 if SMALL_GAN[0] in arguments else 0)


def test_a_signal_ends_in_exit_code_1_and_a_result_that_says_so(tmp_path):
    import signal

    process = spawn(tmp_path, "n_labels=100", "trainer.max_epochs=4000")
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("fits/*/last.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 1, out
    (result,) = results(tmp_path / "runs").values()
    assert result["status"] == "failed" and result["error"] and f"failed: {result['error']}" in out


def test_codes_are_kept_by_the_code_that_made_them(command, tmp_path, monkeypatch):
    """Another latent classifier's code must not be given the codes of the old one."""
    from latent_lab import fits as runs

    command("train", *QUICK, "n_labels=50")
    true_digests = runs.source_digests

    def edited(names):
        found = true_digests(names)
        return found | {"callbacks/latent_classifier.py": "0"} if "callbacks/latent_classifier.py" in found else found

    monkeypatch.setattr(runs, "source_digests", edited)
    code, out, _ = command("train", *QUICK, "n_labels=50")
    assert code == 0 and "found finished" in out
    assert len(list(tmp_path.glob("fits/*/derived-*/codes.safetensors"))) == 2


def test_test_figures_are_kept_by_what_the_test_was_given(command, tmp_path):
    for images in (100, 200):
        assert command("train", *QUICK, "n_labels=50", f"model.nll_images={images}")[0] == 0
    found = [result["metrics"]["test_nll_images"] for result in results(tmp_path / "runs").values()]
    assert sorted(found) == [100, 200] and len(fits(tmp_path)) == 1


def test_exit_codes_are_of_this_commands_jobs(command, tmp_path, monkeypatch):
    from classifiers.linear_svc import LinearSVCHead

    assert command("train", "-m", *QUICK, "n_labels=50,100", "sweep=s")[0] == 0
    fit = LinearSVCHead.fit

    def fails_at_150(self, codes, labels):
        if len(codes) == 150:
            raise RuntimeError("out of luck")
        return fit(self, codes, labels)

    monkeypatch.setattr(LinearSVCHead, "fit", fails_at_150)
    assert command("train", "-m", *QUICK, "n_labels=150,100", "sweep=s")[0] == 1
    assert command("train", "-m", *QUICK, "n_labels=100,50", "sweep=s")[0] == 0


def test_a_damaged_result_runs_again(command, tmp_path):
    command("train", "-m", *QUICK, "n_labels=50,100", "sweep=s")
    job = next((tmp_path / "sweeps" / "s").glob("*n_labels=50*"))
    (job / "result.json").write_text("{half")
    code, _, _ = command("train", "-m", *QUICK, "n_labels=50,100", "sweep=s")
    assert code == 0 and results(tmp_path / "sweeps" / "s")[job.name]["status"] == "ok"
    assert (job / "earlier-1" / "result.json").read_text() == "{half" and (job / "train.log").exists()


def test_pictures_fit_any_size(command, tmp_path):
    code, out, _ = command("train", *QUICK, "model=vae_mlp", "model.latent_dim=1", "dataset.val_size=5", "n_labels=50")
    assert code == 0, out


def test_a_path_may_hold_anything(command, tmp_path):
    outputs = tmp_path / "a b=c,d (e)"
    code, _, _ = command("train", *QUICK, "n_labels=50", f"paths.outputs='{outputs}'")
    assert code == 0 and len(results(outputs / "runs")) == 1


def test_two_identical_commands_together_train_once(tmp_path):
    processes = [spawn(tmp_path, "n_labels=100", "trainer.max_epochs=40") for _ in range(2)]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    both = "".join(outputs)
    assert both.count("trains anew") == 1, both
    assert "trains it, waiting" in both
    jobs = results(tmp_path / "runs")
    assert len(jobs) == 2 and len(fits(tmp_path)) == 1
    one, two = jobs.values()
    assert one["metrics"] == two["metrics"] and {one["fit_reused"], two["fit_reused"]} == {True, False}


def test_a_subset_is_a_fit_of_its_own_for_each_draw(command, tmp_path):
    code, _, _ = command("train", "-m", *QUICK, "n_labels=100", "dataset.train_subset=100", "label_seed=0,1")
    assert code == 0 and len(fits(tmp_path)) == 2


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
        reconstruction, kl, _ = vae(x)
        loss = reconstruction.mean() + kl.sum(1).mean()
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
