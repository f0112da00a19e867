"""``hydra/launcher=slurm``, on a real Slurm where there is one (``tests/slurm/up.sh``): nothing lost, nothing twice."""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import DIGITS, IMAGES, PLANE, ROOT, assert_same_fit, environment, fits_of, run

from latent_lab import progress, written_plan
from latent_lab.launchers import slurm_queue
from latent_lab.launchers.slurm import Slurm

SMALL = ("hydra/launcher=slurm", "hydra.launcher.gpus=0", "hydra.launcher.cpus=1", "hydra.launcher.memory=1G")
JOBS = ("-m", *[word for word in DIGITS if not word.startswith("trainer.acc")], "n_labels=50,100", "logger=none",
        "sweep=s")  # fmt: skip


@functools.cache  # one that doesn't answer takes nine seconds not to
def is_up() -> bool:
    if shutil.which("sbatch") is None:
        return False
    return subprocess.run(["sinfo", "--noheader"], capture_output=True, timeout=20).returncode == 0


slurm = pytest.mark.slurm


@pytest.fixture
def cluster(tmp_path):
    """Skips where no Slurm answers; takes back what a test leaves in the queue."""
    if not is_up():
        pytest.skip("no Slurm answers here: tests/slurm/up.sh brings one up")
    yield
    for file in tmp_path.rglob("slurm.json"):
        content = json.loads(file.read_text())
        slurm_queue.cancel([array["id"] for array in content["arrays"]] + [content["follows"] or "1"])


def submitted(outputs: Path, *arguments: str, seconds: float = 0) -> Path:
    """Submits a sweep, in this process, and waits until nothing of it is in the queue."""
    said = run("train", *arguments, f"paths.outputs={outputs}")
    assert said.code == 0 and "submitted to Slurm" in said.out, said.text
    (folder,) = (outputs / ("sweeps" if "-m" in arguments else "runs")).iterdir()
    if seconds:
        wait_for(folder, seconds)
    return folder


def wait_for(folder: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        content = json.loads((folder / "plan" / "slurm.json").read_text())
        ids = [array["id"] for array in content["arrays"]] + [content["follows"]] * bool(content["follows"])
        if slurm_queue.in_queue(ids) == [] and content == json.loads((folder / "plan" / "slurm.json").read_text()):
            return
        time.sleep(0.5)
    raise AssertionError(f"{[s['state'] for s in progress.states(folder)]} after {seconds} s: {logs(folder)}")


def under_way(folder: Path) -> list[dict]:
    """What the tasks say once all have trained for an epoch."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        tasks = progress.states(folder)
        if all(task.get("epoch", 0) >= 2 for task in tasks):
            break
        time.sleep(0.2)
    return tasks


def logs(folder: Path) -> str:
    return "".join(file.read_text() for file in sorted((folder / "plan" / "logs").glob("*.log")))


def results(folder: Path) -> dict[str, dict]:
    return {file.parent.name: json.loads(file.read_text()) for file in sorted(folder.rglob("result.json"))}


def job_of(task: dict) -> str:
    return f"{task['slurm_array_job_id']}_{task['slurm_array_task_id']}"


@slurm
def test_a_sweep_through_all_that_can_happen(cluster, tmp_path):
    """One task each is requeued, loses its worker, loses its batch script, is stopped ahead of a limit, is preempted,
    is cancelled; one is left alone. The same command again does what was cancelled: the table and the weights are those
    of an undisturbed sweep, and each fit was trained once."""
    words = (*JOBS, "seed=range(6)", "trainer.max_epochs=100", *SMALL, "hydra.launcher.partition=scavenge")
    folder = submitted(tmp_path / "out", *words)
    tasks = under_way(folder)
    assert [task["state"] for task in tasks] == ["running"] * 6
    refused = run("train", *words, f"paths.outputs={tmp_path / 'out'}")
    assert refused.code == 2 and "is on the cluster; scancel" in refused.err, refused.text

    subprocess.run(["scontrol", "requeue", job_of(tasks[0])], check=True)
    os.kill(tasks[1]["process"], signal.SIGKILL)
    stat = Path(f"/proc/{tasks[2]['process']}/stat").read_text()
    os.kill(int(stat.rpartition(")")[2].split()[1]), signal.SIGKILL)  # its batch script
    subprocess.run(["scancel", "--batch", "--signal=USR1", job_of(tasks[3])], check=True)  # as ahead of a limit
    subprocess.run(["scancel", job_of(tasks[4])], check=True)
    wait_for(folder, 300)
    said = logs(folder)
    states = [task["state"] for task in progress.states(folder)]
    assert states == ["done", "done", "done", "done", "interrupted", "done"], said
    assert said.count("is requeued") == 2, "scancel means it, and Slurm itself requeued the other"
    assert "submitted again: tasks 2" in said
    untouched = written_plan.read_status(folder, 5)
    assert untouched["process"] == tasks[5]["process"] and "slurm_restart_count" not in untouched
    assert (folder / "results.md").exists(), "made by the last job"
    (interrupted,) = (r for r in results(folder).values() if r["status"] != "ok")
    assert interrupted["status"] == "interrupted" and interrupted["fit"] == tasks[4]["fit"]

    folder = submitted(tmp_path / "out", *words, seconds=120)
    again = logs(folder)
    assert again.count("trains anew") == 6 and again.count("continues after epoch") >= 5 and ", waiting" not in again
    assert not list(folder.rglob("earlier-*")) and not list(folder.rglob("traceback.txt"))
    assert len(results(folder)) == 12 and {r["status"] for r in results(folder).values()} == {"ok"}
    assert {r["place"]["slurm_array_job_id"] for r in results(folder).values()} > {tasks[0]["slurm_array_job_id"]}

    whole = run("train", *words[: -len(SMALL) - 1], f"paths.outputs={tmp_path / 'whole'}")
    assert whole.code == 0, whole.text
    one, two = tmp_path / "whole", tmp_path / "out"
    assert (one / "sweeps/s/results.md").read_text() == (two / "sweeps/s/results.md").read_text()
    for fit, other in zip(fits_of(one), fits_of(two), strict=True):
        assert fit.name == other.name
        assert_same_fit(fit, other)


@slurm
def test_a_preempted_task_goes_on(cluster, tmp_path):
    """One in the partition for leftovers gives way to another job, at once, and is requeued."""
    words = (*JOBS[:-1], "sweep=s", "trainer.max_epochs=200", *SMALL, "hydra.launcher.partition=scavenge")
    folder = submitted(tmp_path, *words)
    under_way(folder)
    cpus = subprocess.run(["sinfo", "-h", "-o", "%c"], capture_output=True, text=True, check=True).stdout.split()[0]
    subprocess.run(["sbatch", "-p", "main", f"--cpus-per-task={cpus}", "--mem=100M", "--output=/dev/null",
                    "--wrap", "sleep 1"], check=True, capture_output=True)  # fmt: skip
    wait_for(folder, 120)
    said = logs(folder)
    assert said.count("trains anew") == 1 and said.count("continues after epoch") == 1 and "is requeued" in said
    assert {(r["status"], r["place"]["slurm_restart_count"]) for r in results(folder).values()} == {("ok", "1")}


@slurm
def test_what_looks_at_a_fit_comes_after_it(cluster, tmp_path):
    """A required fit is an array of its own; many jobs on one fit are divided, and begin when it is done. What is asked
    of a GPU is asked of the tasks that train. The code is that of the submission."""
    words = ("-m", *IMAGES[:-1], "callbacks.analyses.sample_quality.samples=100,110,120", "trainer.max_epochs=1",
             "logger=none", "sweep=s", "hydra.launcher.jobs_per_task=1", *SMALL)  # fmt: skip
    folder = submitted(tmp_path, *words)
    content = json.loads((folder / "plan" / "slurm.json").read_text())
    assert [array["tasks"] for array in content["arrays"]] == [[0], [1], [2, 3]]
    (sources,) = (folder / "plan").glob("sources-*")
    assert (sources / "latent_lab" / "worker.py").read_bytes() == (ROOT / "latent_lab" / "worker.py").read_bytes()
    wait_for(folder, 200)
    found = results(folder)
    assert [r["status"] for r in found.values()] == ["ok"] * 3, [r["error"] for r in found.values()]
    assert len(fits_of(tmp_path, "scorer")) == 1 and len(fits_of(tmp_path)) == 1
    assert sorted(r["fit_reused"] for r in found.values()) == [False, True, True]
    assert logs(folder).count("trains anew") == 1 and ", waiting" not in logs(folder)


@slurm
def test_a_single_job_in_two_processes(cluster, tmp_path):
    """Without -m, on two devices within one task; the command stays until it is done."""
    words = (*PLANE, "trainer.max_epochs=2", "logger=none", "trainer.devices=2", *SMALL, "hydra.launcher.wait=true")
    said = run("train", *words, f"paths.outputs={tmp_path}")
    assert said.code == 0 and "submitted to Slurm: 1 task as" in said.out, said.text
    (folder,) = (tmp_path / "runs").iterdir()
    (result,) = results(folder).values()
    assert result["status"] == "ok" and "1 job: 1 done" in run("evaluate", f"sweep={folder}").out
    log = json.loads((fits_of(tmp_path)[0] / "fit.json").read_text())
    assert log["status"] == "finished"


@slurm
def test_fresh_sets_aside_once(cluster, tmp_path):
    """Where the fit's name is known, which is on the node."""
    words = (*JOBS, "trainer.max_epochs=2", *SMALL)
    folder = submitted(tmp_path, *words, seconds=60)
    (before,) = fits_of(tmp_path)
    created = json.loads((before / "fit.json").read_text())["created"]
    submitted(tmp_path, *words, "fresh=true", "hydra.launcher.jobs_per_task=1", seconds=90)
    assert json.loads((before / "fit.json").read_text())["created"] > created
    assert len(list((tmp_path / "fits").glob("*replaced*"))) == 1 and logs(folder).count("trains anew") == 2


@slurm
def test_srun_with_several_tasks_is_refused(cluster, tmp_path):
    """Each would do the whole command."""
    words = [sys.executable, str(ROOT / "train.py"), *JOBS[1:-1], "n_labels=50", f"paths.outputs={tmp_path / 'out'}"]
    words = [word for word in words if word != "n_labels=50,100"]
    done = subprocess.run(["srun", "--ntasks-per-node=2", "--mem=500M", *words], capture_output=True, text=True,
                          env=environment(), cwd=tmp_path)  # fmt: skip
    assert done.returncode != 0 and done.stderr.count("train.py: srun started this command 2 times") == 1, done.stderr
    assert not (tmp_path / "out" / "runs").exists()


@pytest.fixture
def no_slurm(tmp_path, monkeypatch):
    """A sbatch that says what it was asked for, and gives numbers."""
    (tmp_path / "bin").mkdir()
    asked = tmp_path / "bin" / "asked"
    for name, text in {"sbatch": f'echo "$@" >> {asked}; wc -l < {asked}', "squeue": "exit 0", "scontrol": "exit 1",
                       "scancel": f'echo cancel "$@" >> {asked}'}.items():  # fmt: skip
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return asked


def test_a_login_node_without_gpus(no_slurm, tmp_path, monkeypatch):
    """What only the node knows is left to it; here there must be one."""
    words = ("-m", *[w for w in DIGITS if not w.startswith("trainer.acc")], "n_labels=50", "trainer.accelerator=gpu",
             f"paths.outputs={tmp_path / 'out'}", "sweep=s")  # fmt: skip
    assert (said := run("train", *words, "hydra/launcher=slurm")).code == 0, said.text
    asked = no_slurm.read_text().splitlines()
    assert len(asked) == 2 and "--gres=gpu:1" in asked[0] and "--gres" not in asked[1]
    assert "--dependency=afterany:1" in asked[1] and "--signal=B:USR1@60" in asked[0] and "--array=0 " in asked[0]
    assert '"precision":"auto"' in (tmp_path / "out/sweeps/s/plan/units.jsonl").read_text()
    assert not (tmp_path / "out" / "fits").exists()
    for launcher in ("basic", "local"):
        said = run("train", *words, f"hydra/launcher={launcher}")
        assert said.code == 2 and said.err.startswith("train.py: trainer") and said.err.count("\n") == 1, said.text


@pytest.mark.parametrize("linked", [False, True])
def test_a_relative_folder_of_outputs_is_found_from_where_a_task_runs(no_slurm, tmp_path, monkeypatch, linked):
    """As it is by default; also where the working directory is reached by a link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path / ("link" if linked else "real"))
    words = ("-m", *DIGITS, "n_labels=50,100", "trainer.max_epochs=1", "logger=none", "paths.outputs=out", "sweep=s")
    said = run("train", *words, "hydra/launcher=slurm", "hydra.launcher.gpus=0")
    assert said.code == 0, said.text
    sweep = tmp_path / "real" / "out" / "sweeps" / "s"
    assert str(sweep) in (sweep / "plan" / "run.sh").read_text()
    task = [sys.executable, "-m", "latent_lab.worker", str(sweep), "0"]
    done = subprocess.run(task, cwd="/", env=environment() | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [result["status"] for result in results(sweep).values()] == ["ok", "ok"]


def test_what_was_submitted_is_taken_back_where_the_rest_is_refused(no_slurm, tmp_path):
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.write_text(sbatch.read_text().replace("wc", "grep -q dependency $0.log && exit 1; wc").replace(
        "echo", 'echo "$@" > $0.log; echo'))  # fmt: skip
    words = ("-m", *IMAGES, "sweep=s", "seed=0,1", *SMALL, f"paths.outputs={tmp_path / 'out'}")
    said = run("train", *words)
    assert said.code == 1 and said.err.startswith("train.py: sbatch:"), said.text
    assert no_slurm.read_text().splitlines()[-1] == "cancel 1"


@pytest.mark.parametrize(("words", "line"), [
    (["hydra.launcher.cpus=0"], "hydra.launcher.cpus=0: expects a whole number from 1"),
    (["hydra.launcher.memory=lots"], "hydra.launcher.memory=lots: expects an amount as 8G or 500M"),
    (["hydra.launcher.minutes=1"], "hydra.launcher.notice=60: seconds, of a task of 1 minutes"),
    (["hydra.launcher.extra=['--ntasks-per-node=2']"], "hydra.launcher.extra=--ntasks-per-node=2: a task is one"),
    (["hydra.launcher.setup='module load'"], "hydra.launcher.setup=module load: expects a list"),
    (["trainer.accelerator=cpu"], "hydra.launcher.gpus=1: with trainer.accelerator=cpu they would be idle; set gpus=0"),
    (["trainer.accelerator=gpu", "hydra.launcher.gpus=0"], "hydra.launcher.gpus=0: trainer.accelerator=gpu needs 1"),
])  # fmt: skip
def test_what_cannot_be_costs_a_line(no_slurm, tmp_path, words, line):
    said = run("train", *JOBS, "hydra/launcher=slurm", *words, f"paths.outputs={tmp_path / 'out'}")
    assert said.code == 2 and said.err.startswith(f"train.py: {line}") and said.err.count("\n") == 1, said.text
    assert not no_slurm.exists()


def test_without_slurm_there_is_a_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="there is no sbatch on this machine; hydra/launcher=local runs here"):
        Slurm()
