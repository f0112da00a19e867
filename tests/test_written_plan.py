"""A plan in a folder: what is written is what is read; one driver at a time; what became of the tasks."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from sweeps_of_heads import write_job

from latent_lab import progress, report, written_plan
from latent_lab.command import Job
from latent_lab.launchers import slurm_queue
from latent_lab.launchers.driving import driven
from latent_lab.launchers.submission import arrays
from latent_lab.mistakes import Mistake
from latent_lab.place import alive, place
from latent_lab.storage import write_json
from latent_lab.written_plan import Task

SHARED = {"lr": 1e-3, "hidden": [32, 32]}


def job(name: str, **config) -> Job:
    return Job({"model": SHARED, "seed": 0, "n": {"a": 1, "b": [1]}} | config, {"model": "vae"}, [name], {"n": 1}, name)


def unit(folder, label: str, *jobs: Job, requires: dict | None = None):
    planned = [SimpleNamespace(job=one, folder=folder / one.name) for one in jobs]
    return SimpleNamespace(
        fit=SimpleNamespace(label=label), jobs=planned, requires=requires or {}, made_from=job("made")
    )


def written(folder, *units, **more):
    with driven(folder):
        return written_plan.write(SimpleNamespace(units=list(units)), folder, {"version": 1}, **more)


@pytest.mark.parametrize("change", [
    {"n": {"a": 1.0, "b": [1]}}, {"n": {"a": True, "b": [1]}}, {"n": {"a": 1, "b": [1.0]}}, {"n": {"b": [1], "a": 1}},
    {"n": None}, {"more": {"x": float("inf")}}, {"model": {"lr": 2e-3, "hidden": [32, 32]}}, {"seed": "0"},
])  # fmt: skip
def test_a_job_is_read_as_it_was_written(tmp_path, change):
    """1, 1.0 and true are three values, and callbacks have an order."""
    one, two = job("one"), job("two", **change)
    written(tmp_path, unit(tmp_path, "vae-digits", one, two, requires={"scorer": one}))
    read = written_plan.read_unit(tmp_path, 0)
    assert repr([j for j, _ in read.jobs]) == repr([one, two])
    assert [folder for _, folder in read.jobs] == ["one", "two"] and repr(read.requires) == repr({"scorer": one})


def test_tasks_come_in_phases(tmp_path):
    """Required fits, then each fit with its first jobs, then the other jobs; numbers without a gap in each."""
    units = [
        unit(tmp_path, "scorer"),
        unit(tmp_path, "a", *(job(f"a{n}") for n in range(5))),
        unit(tmp_path, "b", job("b")),
    ]
    phases = written(tmp_path, *units, jobs_per_task=2)
    assert phases == [[Task(0, 0, 0, 0)], [Task(1, 1, 0, 2), Task(2, 2, 0, 1)], [Task(3, 1, 2, 4), Task(4, 1, 4, 5)]]
    read = written_plan.read_tasks(tmp_path)
    assert read.phases == phases and read.logging == {"version": 1} and read.cwd == os.getcwd() and not read.fresh
    assert written_plan.read_places(tmp_path) == [[], ["a0", "a1", "a2", "a3", "a4"], ["b"]]


def test_what_an_earlier_plan_said_is_gone(tmp_path):
    written(tmp_path, unit(tmp_path, "a", job("one")))
    progress.Status(tmp_path, 0, "a").write(state="done")
    write_json(tmp_path / "plan" / "decided.json", {"precision on auto": "bf16-mixed"})
    written(tmp_path, unit(tmp_path, "b", job("two")))
    (task,) = progress.states(tmp_path)
    assert task["state"] == "waiting"
    decided = written_plan.decided(tmp_path, "precision on auto", lambda: "32-true")
    assert decided == "bf16-mixed", "fits begun in one precision go on in it"


def test_one_decides_for_all(tmp_path):
    """Eight processes of unlike machines."""
    (tmp_path / "plan").mkdir()
    script = ("import sys, pathlib; from latent_lab.written_plan import decided; "
              "print(decided(pathlib.Path(sys.argv[1]), 'precision', lambda: sys.argv[2]))")  # fmt: skip
    asked = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(n)], stdout=subprocess.PIPE, text=True,
                              cwd=written_plan.__file__.rpartition("/latent_lab/")[0]) for n in range(4)]  # fmt: skip
    assert len({one.communicate()[0] for one in asked}) == 1


def test_a_sweep_has_one_driver(tmp_path):
    with driven(tmp_path), pytest.raises(Mistake, match=f"process {os.getpid()} on .* is at it"), driven(tmp_path):
        pass
    with driven(tmp_path):
        pass


def test_a_sweep_on_the_cluster_is_not_submitted_again(tmp_path, monkeypatch):
    """While its tasks wait or run; one that is being cancelled is waited for, and what follows them cancelled."""
    written(tmp_path, unit(tmp_path, "a", job("one")))
    write_json(tmp_path / "plan" / "slurm.json", {"arrays": [{"id": "7", "tasks": [0]}], "follows": "8"})
    rows, cancelled = [[("7", "0", "PENDING", "Priority")]], []
    monkeypatch.setattr(slurm_queue, "in_queue", lambda ids: rows.pop(0) if rows else [])
    monkeypatch.setattr(slurm_queue, "cancel", cancelled.append)
    with pytest.raises(Mistake, match="is on the cluster; scancel 7 8 ends it"), driven(tmp_path):
        pass
    rows += [[("7", "0", "COMPLETING", "None"), ("8", "N/A", "PENDING", "Dependency")]]
    with driven(tmp_path):
        assert cancelled == [["8"]]


@pytest.mark.parametrize(("said", "queued", "state"), [
    (None, {0: "PENDING Priority"}, "waiting"), (None, {0: "RUNNING"}, "starting"), (None, {}, "never started"),
    ("running", {0: "RUNNING"}, "running"), ("running", {0: "PENDING BeginTime"}, "requeued"),
    ("running", {}, "killed"), ("interrupted", {0: "PENDING BeginTime"}, "requeued"),
    ("interrupted", {}, "interrupted"), ("failed", {}, "failed"), ("done", {0: "COMPLETING"}, "done"),
])  # fmt: skip
def test_states_on_the_cluster(tmp_path, monkeypatch, said, queued, state):
    written(tmp_path, unit(tmp_path, "a", job("one")))
    write_json(tmp_path / "plan" / "slurm.json", {"arrays": [{"id": "7", "tasks": [0]}]})
    monkeypatch.setattr(slurm_queue, "queued", lambda arrays: queued)
    if said:
        progress.Status(tmp_path, 0, "a").write(state=said)
    assert [task["state"] for task in progress.states(tmp_path)] == [state]


def test_states_by_processes(tmp_path):
    """Running and killed by the process; waiting and never started by the driver's."""
    asleep = subprocess.Popen(["sleep", "100"])
    written(tmp_path, unit(tmp_path, "a", *(job(f"j{n}") for n in range(4))), jobs_per_task=1)
    for number in (0, 1, 2):
        progress.Status(tmp_path, number, "a").write()
    status = tmp_path / "plan" / "status"
    elsewhere = {"host": "another", "updated": time.time() - 1000}
    of_asleep = {"process": asleep.pid, "began": json.dumps(None)}
    write_json(status / "1.json", written_plan.read_status(tmp_path, 1) | of_asleep)  # its number was taken by another
    write_json(status / "2.json", written_plan.read_status(tmp_path, 2) | elsewhere)
    assert [task["state"] for task in progress.states(tmp_path)] == ["running", "killed", "silent", "waiting"]
    write_json(tmp_path / "plan" / "driver.json", place() | of_asleep)
    assert [task["state"] for task in progress.states(tmp_path)][3] == "never started"
    asleep.kill()
    asleep.wait()
    assert alive(place() | {"process": asleep.pid}) is False and alive(place()) is True


def test_indices_of_arrays():
    assert slurm_queue.spread_out("[0-2,7%4]") == [0, 1, 2, 7] and slurm_queue.spread_out("5") == [5]
    assert slurm_queue.drawn_together([0, 1, 2, 7, 9, 10]) == "0-2,7,9-10"
    tasks = [Task(n, 0, 0, 1) for n in [*range(3), 1001, *range(2000, 4500)]]
    assert [(a[0].number, a[-1].number, len(a)) for a in arrays(tasks, 1000)] == [
        (0, 2, 3), (1001, 2000, 2), (2001, 3000, 1000), (3001, 4000, 1000), (4001, 4499, 499)]  # fmt: skip


def test_a_fit_that_is_never_trained_to_an_epochs_end_is_given_up():
    from latent_lab.worker import _begun_in_vain

    stopped = {"state": "interrupted", "begun_in_vain": 4}
    assert _begun_in_vain({}) == 0 and _begun_in_vain(stopped) == 5
    assert _begun_in_vain(stopped | {"began_with": 3, "epoch": 3}) == 5
    assert _begun_in_vain(stopped | {"began_with": 3, "epoch": 4}) == 0


def test_jobs_keep_what_they_share(tmp_path):
    """A hundred jobs of a fit cost a line of changes each."""
    jobs = [replace(job("j"), name=f"j{n}", config=job("j").config | {"label_seed": n}) for n in range(100)]
    written(
        tmp_path,
        unit(tmp_path, "a", *[replace(one, config=jobs[0].config | {"seed": n}) for n, one in enumerate(jobs)]),
    )
    (line,) = (tmp_path / "plan" / "units.jsonl").read_text().splitlines()
    assert line.count('"lr"') == 1 and [j.config["seed"] for j, _ in written_plan.read_unit(tmp_path, 0).jobs] == list(
        range(100)
    )


def test_jobs_that_have_not_begun_are_of_the_sweep_and_of_its_command(tmp_path, capsys):
    """An interrupted sweep once said "1 of 1 job done", and gave the command of the done ones."""
    done = write_job(tmp_path, "knn", 0.7)
    killed = tmp_path / "n_labels=600"
    killed.mkdir()
    (killed / "config.yaml").write_text("")
    jobs = [replace(job(name), overrides=["model=vae", f"n_labels={count}"])
            for name, count in ((done.name, 100), (killed.name, 600), ("n_labels=1000", 1000))]  # fmt: skip
    written(tmp_path, unit(tmp_path, "vae", *jobs))
    results = report.show(tmp_path)
    assert [result["status"] for result in results] == ["ok", "failed", "not begun"]
    page, text = ((tmp_path / name).read_text() for name in ("report.html", "results.md"))
    assert "1 of 3 jobs done" in page and "n_labels=1000: not begun" in page
    assert "python train.py -m model=vae n_labels=600,1000" in page
    assert "- `n_labels=1000`: not begun\n" in text and "- `n_labels=600`: failed: no result" in text
    assert "n_labels=1000" not in capsys.readouterr().out, "how far tasks are says progress.show"


def test_a_sweep_without_a_figure_has_no_table_of_dashes(tmp_path, capsys):
    write_job(tmp_path, "knn", None, status="interrupted", error="interrupted")
    report.show(tmp_path)
    said = capsys.readouterr().out
    assert "│" not in said and "interrupted: " in said and said.count("interrupted") == 1
    assert "Bold" not in (tmp_path / "results.md").read_text() + (tmp_path / "report.html").read_text()
