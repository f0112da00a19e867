"""``hydra/launcher=local``: units side by side, workers that die, Ctrl-C. The commands are processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from commands import DIGITS, ROOT, assert_same_fit, environment, fits_of, metrics_of, run

from latent_lab import progress, written_plan
from latent_lab.launchers import local
from latent_lab.launchers.local import Local
from latent_lab.place import alive

SWEEP = ("-m", *DIGITS, "n_labels=50,100", "seed=0,1", "trainer.max_epochs=70", "logger=none", "sweep=s")
LOCAL = ("hydra/launcher=local", "hydra.launcher.workers=2")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The sweep one after another, in this process."""
    outputs = tmp_path_factory.mktemp("whole")
    said = run("train", *SWEEP, f"paths.outputs={outputs}")
    assert said.code == 0, said.text
    return outputs


class Command:
    """``train.py`` with this sweep, side by side, in a session of its own."""

    def __init__(self, outputs, *arguments: str):
        self.folder = outputs / "sweeps" / "s"
        words = arguments or (*SWEEP, *LOCAL)
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *words, f"paths.outputs={outputs}"], cwd=outputs, text=True,
            env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def tasks(self) -> list[dict]:
        there = (self.folder / "plan" / "tasks.json").exists()
        return progress.states(self.folder) if there else []

    def under_way(self, epoch: int = 2) -> list[dict]:
        """What its tasks say of themselves once both are so far."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process.poll() is None:
            tasks = self.tasks()
            if len(tasks) == 2 and all(task.get("epoch", 0) >= epoch for task in tasks):
                assert [task["state"] for task in tasks] == ["running", "running"]
                return tasks
            time.sleep(0.05)
        raise AssertionError(f"not under way: {self.process.communicate()[0]}")

    def end(self) -> str:
        return self.process.communicate(timeout=120)[0]


def results(outputs) -> dict[str, dict]:
    return {f.parent.name: json.loads(f.read_text()) for f in (outputs / "sweeps" / "s").glob("*/result.json")}


def assert_as_whole(whole, outputs):
    """Tables byte for byte, weights and what observers kept bit for bit."""
    assert (whole / "sweeps/s/results.md").read_text() == (outputs / "sweeps/s/results.md").read_text()
    pairs = list(zip(fits_of(whole), fits_of(outputs), strict=True))
    assert len(pairs) == 2 and all(one.name == two.name for one, two in pairs)
    for one, two in pairs:
        assert_same_fit(one, two)
    assert not list((outputs / "sweeps" / "s").rglob("earlier-*"))


@pytest.mark.slow
def test_a_worker_that_is_killed(whole, tmp_path):
    """Its unit is taken up again, once, by name; the other does not notice; the table is that of one after another."""
    command = Command(tmp_path)
    one, two = command.under_way()
    assert one["process"] != two["process"] != command.process.pid
    os.kill(one["process"], signal.SIGKILL)
    said = command.end()
    assert command.process.returncode == 0, said
    assert f"process {one['process']} killed by SIGKILL at the fit {one['fit']}: taken up again" in said
    assert said.count("taken up again") == 1 and said.count("trains anew") == 2 and said.count("continues after") == 1
    assert said.count(", waiting") == 0, "a unit waits for no other"
    assert written_plan.read_status(command.folder, two["task"])["process"] == two["process"]
    assert_as_whole(whole, tmp_path)
    by_fit = {fit: {r["place"]["process"] for r in results(tmp_path).values() if r["fit"] == fit}
              for fit in (one["fit"], two["fit"])}  # fmt: skip
    assert by_fit[two["fit"]] == {two["process"]} and one["process"] not in by_fit[one["fit"]]


@pytest.mark.parametrize("whom", [pytest.param("parent", marks=pytest.mark.slow), "group"])
def test_ctrl_c(whole, tmp_path, whom):
    """Once, to the command alone or to all of its terminal: everything stops at once and can go on."""
    command = Command(tmp_path)
    tasks = command.under_way()
    start = time.monotonic()
    (os.kill if whom == "parent" else os.killpg)(command.process.pid, signal.SIGINT)
    said = command.end()
    assert time.monotonic() - start < 10, "2 s and the table, on a busy machine"
    assert command.process.returncode == 1 and said.count("nothing is lost") == 1 and "stopped" not in said
    *_, goes_on, copied = said.splitlines()
    assert goes_on == "interrupted: nothing is lost, the same command goes on from the last epoch:"
    assert copied.startswith("python train.py -m dataset=digits ") and "'n_labels=50,100'" not in copied, copied
    assert not any(alive(task) for task in tasks)
    assert [task["state"] for task in command.tasks()] == ["interrupted", "interrupted"]
    assert {r["status"] for r in results(tmp_path).values()} <= {"interrupted"}
    if whom == "parent":
        again = Command(tmp_path)
        said = again.end()
        assert again.process.returncode == 0 and said.count("continues after") == 2, said
        assert_as_whole(whole, tmp_path)


@pytest.mark.slow
def test_workers_do_not_outlive_their_command(tmp_path):
    """Kill -9 of the command: they write down that they were interrupted, and end."""
    command = Command(tmp_path)
    tasks = command.under_way()
    command.process.kill()
    command.process.wait()
    deadline = time.monotonic() + 30
    while any(alive(task) for task in tasks) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [task["state"] for task in command.tasks()] == ["interrupted", "interrupted"]
    assert {r["status"] for r in results(tmp_path).values()} == {"interrupted"}


def test_a_task_whose_worker_is_always_killed_fails(tmp_path, monkeypatch, capsys):
    """Twice, and it is given up: its jobs failed, each says why; what the process said is in its log."""
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho out of memory\nread line\nkill -9 $$\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    said = run("train", *SWEEP, *LOCAL, f"paths.outputs={tmp_path / 'out'}")
    assert said.code == 1 and said.out.count("taken up again") == 2 and said.out.count("given up") == 2, said.text
    found = results(tmp_path / "out")
    assert len(found) == 4 and {r["error"] for r in found.values()} == {"its process was killed by SIGKILL, twice"}
    assert said.out.count("(1 failed)") == 0 or said.code
    shown = run("evaluate", f"sweep={tmp_path / 'out' / 'sweeps' / 's'}")
    assert shown.code == 1 and "4 failed" in shown.out and "plan/logs/0.log" in shown.out
    assert (tmp_path / "out/sweeps/s/plan/logs/0.log").read_text() == "out of memory\n" * 2


def test_a_single_job_needs_no_sweep(tmp_path):
    words = [
        word for word in SWEEP if word != "-m" and not word.startswith(("sweep", "seed", "n_labels", "trainer.max"))
    ]
    said = run(
        "train", *words, "n_labels=50", "trainer.max_epochs=2", "hydra/launcher=local", f"paths.outputs={tmp_path}"
    )
    assert said.code == 0 and "[1] fit vae_mlp-digits" in said.out and metrics_of(tmp_path)["accuracy"] > 0, said.text
    (folder,) = (tmp_path / "runs").iterdir()
    assert run("evaluate", f"run={folder}").code == 0
    shown = run("evaluate", f"sweep={folder}")
    assert shown.code == 0 and "1 job: 1 done" in shown.out, shown.text


CPU = {"accelerator": "auto", "devices": 1}


def test_threads_are_divided(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(local, "_memory", lambda: 100e9)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for workers, units, each in [
        ("auto", 100, (8, "1")),
        ("auto", 3, (3, "2")),
        (2, 100, (2, "4")),
        (16, 100, (16, "1")),
    ]:
        found = Local(workers).environments(units, [CPU], gpus=list)
        assert (len(found), found[0]["OMP_NUM_THREADS"]) == each
    assert len(Local().environments(100, [CPU | {"devices": 2}], gpus=list)) == 4
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert Local(2).environments(9, [CPU], gpus=list)[0]["OMP_NUM_THREADS"] == "2", "never more than the user says"
    monkeypatch.setattr(local, "_memory", lambda: 3.5e9)
    assert len(Local().environments(100, [CPU], gpus=list)) == 3


def test_gpus_are_dealt_out(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def seen(launcher, *trainers):
        return [env.get("CUDA_VISIBLE_DEVICES") for env in launcher.environments(100, list(trainers) or [CPU])]

    assert seen(Local()) == ["0", "1", "2", "3"]
    assert seen(Local(per_gpu=2)) == ["0", "1", "2", "3"] * 2
    assert seen(Local(workers=6)) == ["0", "1", "2", "3", "0", "1"]
    assert seen(Local(), CPU, CPU | {"devices": 2}) == ["0,1", "2,3"], "a fit on two devices sees two"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert seen(Local(per_gpu=2)) == ["GPU-a", "GPU-b"] * 2
    assert set(seen(Local(workers=2), CPU | {"accelerator": "cpu"})) == {None}


@pytest.mark.parametrize(("words", "line"), [
    (["hydra.launcher.workers=0"], "hydra.launcher.workers=0: expects a positive whole number or auto"),
    (["hydra.launcher.per_gpu=auto"], "hydra.launcher.per_gpu=auto: expects a positive whole number"),
    (["trainer.accelerator=gpu"], "trainer"),
])  # fmt: skip
def test_what_cannot_be_costs_a_line(tmp_path, words, line):
    kept = [word for word in SWEEP if not (word.startswith("trainer.acc") and words[0].startswith("trainer.acc"))]
    said = run("train", *kept, "hydra/launcher=local", *words, f"paths.outputs={tmp_path}")
    assert said.code == 2 and said.err.startswith(f"train.py: {line}") and said.err.count("\n") == 1, said.text
