"""Fits that end before their time, by a kill or a signal, and two commands at once: each a process of its own."""

import contextlib
import os
import queue
import signal
import threading
import time
import weakref
from pathlib import Path

import pytest
import torch

from conftest import ON_CPU, SMALL_GAN, SMALL_PLANE, Started, fits, results, run
from latent_lab import stopping

SEMI_SUPERVISED = ["n_labels=50", "dataset.batch_size=100", "dataset.labelled_batch_size=20"]
NETWORKS = ["model.classifier_hidden=[8]", "model.encoder_hidden=[8]", "model.decoder_hidden=[8]"]
M1 = ["requires.m1.model=vae", "requires.m1.trainer.max_epochs=2"]
VAE = ["model.encoder.channels=8", "model.decoder.hidden=[16]", "n_labels=100"]


def checkpoint(folder: Path, model: str) -> Path | None:
    """That of the fit of this model, not of one that it requires; None before there is one."""
    return next(folder.glob(f"fits/{model}-*/last.ckpt"), None)


def assert_same_training(one: dict, two: dict) -> None:
    """Weights (averages and fixed noise with them) and every Adam's state equal bit for bit."""
    assert one["state_dict"].keys() == two["state_dict"].keys()
    assert all(torch.equal(one["state_dict"][k], two["state_dict"][k]) for k in one["state_dict"])
    assert len(one["optimizer_states"]) == len(two["optimizer_states"])
    for a, b in zip(one["optimizer_states"], two["optimizer_states"], strict=True):
        assert all(torch.equal(a["state"][k][n], b["state"][k][n]) for k in a["state"] for n in a["state"][k])
    assert one["lr_schedulers"] == two["lr_schedulers"]
    for kept in ("LossHistory", "PlaneView", "EpochScores", "Checkpoints"):
        assert plain(one["callbacks"].get(kept)) == plain(two["callbacks"].get(kept)), kept


def plain(kept):
    """What a callback keeps, with tensors as lists, to compare."""
    if isinstance(kept, dict):
        return {name: plain(value) for name, value in kept.items()}
    if isinstance(kept, list):
        return [plain(value) for value in kept]
    return kept.tolist() if torch.is_tensor(kept) else kept


@pytest.mark.parametrize(
    "arguments",
    [
        VAE,
        pytest.param(
            ["model=gan", "dataset=ring", *SMALL_PLANE[:-1], "callbacks.observers.view.every_n_updates=30"],
            marks=pytest.mark.slow,
        ),
        pytest.param(["model=wgan_gp", *SMALL_GAN], marks=pytest.mark.slow),
        pytest.param(["model=dcgan", *SMALL_GAN], marks=pytest.mark.slow),
        pytest.param(["model=m1_m2", *SEMI_SUPERVISED, *NETWORKS, *M1], marks=pytest.mark.slow),
        pytest.param(["model=m2", *SEMI_SUPERVISED, *NETWORKS], marks=pytest.mark.slow),
    ],
    ids=["vae", "plane", "wgan_gp", "dcgan", "m1_m2", "m2"],
)
def test_killed_at_any_moment_it_resumes_bit_for_bit(tmp_path, arguments):
    """Kill -9 a fit three times, at moments its checkpoint's epochs decide; the last run ends it."""
    model = next((word.removeprefix("model=") for word in arguments if word.startswith("model=")), "vae")
    arguments = (*arguments, "trainer.max_epochs=25")
    whole = Started(tmp_path / "whole", *arguments)
    assert whole.wait() == 0, whole.said
    killed = tmp_path / "killed"
    last = -1
    for _ in range(3):
        started = Started(killed, *arguments)
        deadline = time.monotonic() + 60
        while started.process.is_alive() and time.monotonic() < deadline:
            time.sleep(0.013)
            found = checkpoint(killed, model)
            if found and (epoch := torch.load(found, weights_only=True)["epoch"]) > last:
                last = epoch
                break
        time.sleep(0.05 * (1 + last % 3))
        started.process.kill()
        started.wait()
    assert last < 24, "the fit ended before it was killed"
    final = Started(killed, *arguments)
    assert final.wait() == 0 and "continues after epoch" in final.said
    ends = [torch.load(checkpoint(folder, model), weights_only=True) for folder in (tmp_path / "whole", killed)]
    assert_same_training(*ends)
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
    started = Started(tmp_path, *VAE, "trainer.max_epochs=4000")
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("fits/*/last.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    started.process.terminate()
    assert started.wait() == 1, started.said
    (result,) = results(tmp_path / "runs").values()
    assert result["status"] == "interrupted" and result["error"] == "interrupted"
    *_, goes_on, copied = started.said.splitlines()
    assert goes_on == "interrupted: nothing is lost, the same command goes on from the last epoch:"
    assert copied.startswith("python train.py dataset=digits ") and copied.endswith(" trainer.max_epochs=4000")
    assert started.said.count("nothing is lost") == 1
    assert "interrupted: interrupted" not in started.said


@pytest.mark.parametrize("gap", [0.0, 0.02, pytest.param(0.2, marks=pytest.mark.slow)])
def test_ctrl_c_twice_as_training_starts_is_written_down_once(tmp_path, gap):
    """The second comes while the first is written down, or while the process ends."""
    started = Started(tmp_path, *VAE, "trainer.max_epochs=4000")
    deadline = time.monotonic() + 120
    while "trains anew" not in started.said and time.monotonic() < deadline:
        time.sleep(0.003)
    for _ in range(2):
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.kill(started.process.pid, signal.SIGINT)
        time.sleep(gap)
    assert started.wait() == 1, started.said
    (result,) = results(tmp_path / "runs").values()
    assert (result["status"], result["error"]) == ("interrupted", "interrupted"), started.said
    assert "Traceback" not in started.said


@pytest.fixture
def handlers():
    before = {signum: signal.getsignal(signum) for signum in stopping.SIGNALS}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)
    stopping._told.clear()


def test_of_signals_in_quick_succession_the_first_counts(handlers, monkeypatch):
    with stopping.heeded():
        assert not stopping.told()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        for signum in stopping.SIGNALS:
            signal.raise_signal(signum)  # disturbs nothing
        assert stopping.told()
        monkeypatch.setattr(stopping, "AGAIN", 0.0)
        with pytest.raises(SystemExit):
            signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)  # nor does one while the process ends


@contextlib.contextmanager
def as_a_worker():
    stopping.heed()
    yield


@pytest.mark.parametrize(("heeding", "error"), [(stopping.heeded, KeyboardInterrupt), (as_a_worker, SystemExit)])
def test_a_signal_that_comes_while_a_lock_is_taken_waits_for_its_end(handlers, heeding, error):
    """As TensorBoard's, whose writer would wait for ever for what was not put into its queue."""
    took: list[float] = []

    class Slow(queue.Queue):
        def _put(self, item):
            signal.raise_signal(signal.SIGINT)
            start = time.monotonic()
            while time.monotonic() - start < 0.1:
                pass
            took.append(time.monotonic() - start)
            super()._put(item)

    waiting = Slow()
    with pytest.raises(error), heeding():
        waiting.put(1)
        time.sleep(5)
    assert took[0] >= 0.1 and waiting.get(timeout=1) == 1


def test_a_stop_that_python_drops_is_neither_lost_nor_printed(handlers, monkeypatch):
    """In a callback of a weak reference, where no exception goes on; any other that is dropped is said."""
    said: list[str] = []
    monkeypatch.setattr("sys.unraisablehook", lambda dropped: said.append(str(dropped.exc_value)))

    def drop(callback) -> None:
        held = queue.Queue()
        _kept = weakref.ref(held, callback)
        del held

    def fail(_) -> None:
        raise ValueError("another's")

    with pytest.raises(SystemExit), stopping.heeded():
        drop(fail)
        drop(lambda _: signal.raise_signal(signal.SIGTERM))
        assert stopping.told() and said == ["another's"]
        stopping.require_not_told()


def test_it_does_not_wait_for_what_does_not_end(handlers):
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), stopping.heeded():
        threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT]).start()
        queue.Queue().get(timeout=20)
    assert 0.9 < time.monotonic() - start < 10


def test_an_ignored_signal_stays_ignored_and_others_are_as_before(handlers):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    before = signal.getsignal(signal.SIGTERM)
    with stopping.heeded():
        signal.raise_signal(signal.SIGINT)
        assert not stopping.told()
    assert signal.getsignal(signal.SIGTERM) == before and signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_an_interruption_of_which_a_library_made_an_error_is_an_interruption(handlers, tmp_path, monkeypatch):
    """And the jobs after it are not begun."""

    def makes_an_error(*_):
        try:
            signal.raise_signal(signal.SIGINT)
        except BaseException as interruption:
            raise KeyError("a library's own") from interruption

    monkeypatch.setattr("latent_lab.jobs.find_or_train", makes_an_error)
    words = ["-m", "model=vae_mlp", "dataset=digits", "n_labels=20", "label_seed=0,1", "sweep=s", *ON_CPU]
    assert run("train", *words, f"paths.outputs={tmp_path}") == 1
    found = [(result["status"], result["error"]) for result in results(tmp_path).values()]
    assert found == [("interrupted", "interrupted")]


@pytest.mark.parametrize("error", [AttributeError, ValueError])  # which ends a command, and which is told as a mistake
@pytest.mark.parametrize("program", ["train", "evaluate"])
def test_nor_is_it_a_mistake_while_the_command_is_read(handlers, capsys, monkeypatch, program, error):
    """OmegaConf's tidying up fails where a signal came at a bad moment."""

    def interrupted(*_, **__):
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            raise error("'NoneType' object has no attribute '_invalidate_flags_cache'")

    monkeypatch.setattr("hydra.compose", interrupted)
    monkeypatch.setattr("latent_lab.composition.compose", interrupted, raising=False)
    assert run(program, "dataset=digits" if program == "train" else "run=.") == 1
    said = capsys.readouterr()
    assert said.out.startswith("interrupted: nothing is lost, the same command ") and said.err == ""


def test_of_a_sweep_that_is_interrupted_what_was_done_is_done_and_what_was_not_is_not_marked(tmp_path):
    started = Started(tmp_path, "-m", "model=vae_mlp", "n_labels=100", "trainer.max_epochs=2,4000,3", "sweep=s")
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("fits/*/last.ckpt"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(started.process.pid, signal.SIGINT)  # as Ctrl-C
    assert started.wait() == 1, started.said
    found = results(tmp_path / "sweeps" / "s")
    assert {name.rpartition("=")[2]: job["status"] for name, job in found.items()} == {"2": "ok", "4000": "interrupted"}
    assert (tmp_path / "sweeps" / "s" / "results.md").exists()


@pytest.mark.slow
def test_two_identical_commands_together_train_once(tmp_path):
    both = [Started(tmp_path, "model=vae_mlp", "n_labels=100", "trainer.max_epochs=40") for _ in range(2)]
    assert [started.wait() for started in both] == [0, 0]
    said = "".join(started.said for started in both)
    assert said.count("trains anew") == 1, said
    assert "trains it, waiting" in said
    jobs = results(tmp_path / "runs")
    assert len(jobs) == 2 and len(fits(tmp_path)) == 1
    one, two = jobs.values()
    assert one["metrics"] == two["metrics"] and {one["fit_reused"], two["fit_reused"]} == {True, False}
