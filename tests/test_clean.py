"""``python -m latent_lab.clean``: what it lists, what it removes, and what it never touches."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import QUICK, ROOT, fits
from latent_lab import clean, clean_fits
from latent_lab.storage import file_lock, write_json

A, B, C, D = (f"vae-digits-{digit * 8}" for digit in "abcd")


def a_fit(outputs: Path, name: str, status: str = "finished", requires: dict | None = None) -> Path:
    folder = outputs / "fits" / name
    (folder / "pictures").mkdir(parents=True)
    write_json(folder / "fit.json", {"status": status})
    write_json(folder / "identity.json", {"requires": requires or {}})
    (folder / "last.ckpt").write_bytes(bytes(1_000_000))
    (folder / "pictures" / "codes.png").write_bytes(b"png")
    (outputs / "fits" / f".{name}.lock").touch()
    return folder


def a_job(outputs: Path, place: str, fit: str, status: str = "ok") -> Path:
    folder = outputs / place
    folder.mkdir(parents=True)
    (folder / "train.log").write_text(f"fit {fit}: trains anew (unlike {D}: seed is 1, was 0)\n")
    write_json(folder / "result.json", {"status": status, "fit": fit, "requires": {}})
    return folder


@pytest.fixture
def outputs(tmp_path) -> Path:
    """Fits A, B and C; a job needs A."""
    outputs = tmp_path / "outputs"
    for name in (A, B, C):
        a_fit(outputs, name)
    a_job(outputs, "sweeps/s/model=vae", A)
    return outputs


@pytest.fixture
def said(monkeypatch, capfd):
    """Runs it in this process: the exit code, and what it said on both streams."""

    def call(outputs: Path, *words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["clean", f"paths.outputs='{outputs}'", *words])
        try:
            code = clean.main()
        except SystemExit as stop:
            code = stop.code
        captured = capfd.readouterr()
        return code, captured.out + captured.err

    return call


def there(outputs: Path) -> set[str]:
    return {path.name for path in (outputs / "fits").iterdir() if not path.name.startswith(".")}


def test_it_says_what_no_job_needs_with_sizes_and_removes_it_only_when_told(outputs, said):
    code, text = said(outputs)
    size = f"{(1_000_003 + sum(f.stat().st_size for f in (outputs / 'fits' / B).glob('*.json'))) / 1e6:.3g} MB"
    assert code == 0 and text.splitlines() == [
        f"{size:>9} {outputs}/fits/{B}: a fit that no job needs",
        f"{size:>9} {outputs}/fits/{C}: a fit that no job needs",
        "2 MB in all; remove=true removes it",
    ]
    assert there(outputs) == {A, B, C}
    assert said(outputs, "remove=false") == (code, text)
    code, text = said(outputs, "remove=true")
    assert code == 0 and text.splitlines()[-1] == "removed 2 MB" and there(outputs) == {A}
    assert not list((outputs / "fits").glob(".*.removed"))
    assert said(outputs, "remove=true") == (0, f"nothing to remove in {outputs}\n")


def test_what_a_needed_fit_requires_is_needed_and_what_that_requires(outputs, said):
    a_fit(outputs, D, requires={"m1": B})
    a_fit(outputs, f"m2-digits-{'e' * 8}", requires={"m1": D})
    a_job(outputs, "runs/r", f"m2-digits-{'e' * 8}")
    assert said(outputs, "remove=true")[0] == 0
    assert there(outputs) == {A, B, D, f"m2-digits-{'e' * 8}"}


@pytest.mark.parametrize(
    ("status", "trained", "stays"),
    [("interrupted", "training", True), (None, "training", True), ("failed", "training", False),
     ("ok", "training", False), ("failed", "finished", True), ("interrupted", "finished", True)],
)  # fmt: skip
def test_a_fit_stays_where_the_same_command_goes_on_with_it(outputs, said, status, trained, stays):
    a_fit(outputs, D, trained)
    job = a_job(outputs, "runs/r", D, status or "ok")
    if status is None:  # killed: only its log says which
        (job / "result.json").unlink()
    text = said(outputs)[1]
    assert (f"{D}: a fit that was not trained to its end" in text) is not stays and (D in text) is not stays


def test_a_fit_without_a_job_that_was_given_up_goes(outputs, said):
    a_fit(outputs, D, "training")
    assert f"{D}: a fit that was not trained to its end" in said(outputs)[1]


def test_fits_set_aside_go_also_where_the_fit_of_that_name_is_needed(outputs, said):
    for aside in ("-replaced", "-replaced-2"):
        a_fit(outputs, A + aside)
    assert said(outputs)[1].count(": set aside by fresh=true") == 2
    said(outputs, "remove=true")
    assert there(outputs) == {A}


def test_a_fit_whose_lock_is_held_stays_with_what_it_requires(outputs, said):
    a_fit(outputs, D, "training", requires={"scorer": C})
    with file_lock(outputs / "fits" / f".{D}.lock"):
        assert said(outputs, "remove=true")[0] == 0
    assert there(outputs) == {A, C, D}


def test_a_fit_that_begins_to_be_trained_between_list_and_removal_stays(outputs, said, monkeypatch):
    found = clean.temporary_files
    held = file_lock(outputs / "fits" / f".{B}.lock")
    monkeypatch.setattr(clean, "temporary_files", lambda outputs: (held.acquire(), found(outputs))[1])
    try:
        code, text = said(outputs, "remove=true")
    finally:
        held.release()
    assert code == 1 and f"{B}: is being trained" in text and there(outputs) == {A, B}


def spoilt(outputs: Path, how: str) -> str:
    """Makes it impossible to know what all jobs need; returns what is said of it."""
    job = outputs / "sweeps" / "s" / "other"
    if how == "damaged":
        a_job(outputs, "sweeps/s/other", C)
        (job / "result.json").write_text('{"status": "ok", "fit": "vae-dig')
        return "result.json: damaged"
    if how == "other json":
        a_job(outputs, "sweeps/s/other", C)
        (job / "result.json").write_text("[1]")
        return "result.json: damaged"
    if how == "no name":
        a_job(outputs, "sweeps/s/other", "")
        return "result.json: names no fit"
    if how == "a folder":
        a_job(outputs, "sweeps/s/other", C)
        (job / "result.json").unlink()
        (job / "result.json").mkdir()
        (job / "train.log").unlink()
        (job / "train.log").symlink_to("/dev/zero")
        return "train.log: damaged"
    plan = outputs / "sweeps" / "s" / "plan"
    (plan / "status").mkdir(parents=True)
    unit = {"label": "vae-digits", "jobs": [], "folders": ["model=vae", "other"], "requires": {}}
    (plan / "units.jsonl").write_text(json.dumps(unit) + "\n" if how == "waiting" else "{")
    tasks = {"phases": [[{"number": 0, "unit": 0, "first": 0, "end": 2}]], "logging": {}}
    write_json(plan / "tasks.json", tasks | {"cwd": "", "written": "", "fresh": False})
    return "1 of its jobs have no result yet" if how == "waiting" else "units.jsonl: damaged"


@pytest.mark.parametrize("how", ["damaged", "other json", "no name", "a folder", "waiting", "damaged plan"])
def test_where_a_job_may_need_any_fit_all_stay_but_those_set_aside(outputs, said, how):
    line = spoilt(outputs, how)
    a_fit(outputs, f"{A}-replaced")
    code, text = said(outputs, "remove=true")
    assert code == 0 and line in text and "no fit counts as unneeded" in text
    assert there(outputs) == {A, B, C}


def test_a_job_that_was_removed_after_its_task_ended_needs_nothing(outputs, said):
    spoilt(outputs, "waiting")
    write_json(outputs / "sweeps" / "s" / "plan" / "status" / "0.json", {"state": "done"})
    said(outputs, "remove=true")
    assert there(outputs) == {A}


def test_what_is_not_this_projects_stays(outputs, said):
    fits = outputs / "fits"
    for name in ("notes", "vae-digits-abc", "my-backup-00000000"):
        (fits / name).mkdir()
        (fits / name / "thesis.tex").write_text("years of work")
    (fits / B / "thesis.tex").write_text("years of work")
    (fits / C / "pictures" / "thesis.tex").write_text("years of work")
    (fits / f"vae-digits-{'9' * 8}").write_text("a file")
    code, text = said(outputs, "remove=true")
    assert code == 0 and len(list(fits.rglob("thesis.tex"))) == 5 and (fits / f"vae-digits-{'9' * 8}").exists()
    assert f"kept      {fits / B}: thesis.tex in it is not this project's" in text
    assert f"kept      {fits / C}: pictures/thesis.tex in it is not this project's" in text


def test_links_are_not_followed_and_not_removed(outputs, said, tmp_path):
    elsewhere = a_fit(tmp_path / "other", D)
    (outputs / "fits" / D).symlink_to(elsewhere)
    (outputs / "fits" / B / "pictures" / "linked.png").symlink_to(elsewhere / "last.ckpt")
    (outputs / "fits" / C / "epochs").symlink_to(elsewhere)
    code, text = said(outputs, "remove=true")
    assert code == 0 and (elsewhere / "last.ckpt").exists() and there(outputs) == {A, B, C, D}
    assert (
        f"{D}: is a link" in text and "pictures/linked.png in it is a link" in text and "epochs in it is a link" in text
    )


def test_a_folder_of_fits_that_is_a_link_is_left_alone(outputs, said, tmp_path):
    (outputs / "fits").rename(tmp_path / "shared")
    (outputs / "fits").symlink_to(tmp_path / "shared")
    code, text = said(outputs, "remove=true")
    assert code == 0 and len(list((tmp_path / "shared").glob("vae*"))) == 3 and "is a link, by which" in text


def test_jobs_behind_a_link_count_and_links_in_a_circle_end(outputs, said, tmp_path):
    a_job(tmp_path / "disk", "sweeps/t/job", B)
    (outputs / "sweeps" / "t").symlink_to(tmp_path / "disk" / "sweeps" / "t")
    (outputs / "runs").symlink_to(outputs)
    said(outputs, "remove=true")
    assert there(outputs) == {A, B}


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can give a file away")
def test_another_users_files_stay(outputs, said):
    os.chown(outputs / "fits" / B / "last.ckpt", 65534, 65534)
    code, text = said(outputs, "remove=true")
    assert code == 0 and there(outputs) == {A, B} and f"{B}: last.ckpt in it belongs to " in text


def test_temporary_files_go_when_they_are_old(outputs, said):
    names = [".fit.json.4711.tmp", ".write-test-99"]
    old = [outputs / "fits" / A / names[0], outputs / "runs" / names[1], outputs / "sweeps" / "s" / ".r.md.1.tmp"]
    young, not_ours = outputs / "fits" / A / ".last.ckpt.4711.tmp", outputs / "fits" / A / "notes.tmp"
    (outputs / "runs").mkdir()
    for file in (*old, young, not_ours):
        file.write_bytes(bytes(1500))
        if file != young:
            os.utime(file, (time.time() - 4000,) * 2)
    code, text = said(outputs, "remove=true")
    assert code == 0 and text.count(" 1.5 kB ") == 3 == text.count("left by a process that was killed")
    assert not any(file.exists() for file in old) and young.exists() and not_ours.exists()


def test_what_was_half_removed_goes_the_next_time(outputs, said, monkeypatch):
    def power_cut(folder):
        (folder / "fit.json").unlink()
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(clean.shutil, "rmtree", power_cut)
        code, text = said(outputs, "remove=true")
    assert code == 1 and text.count("Input/output error") == 2 and there(outputs) == {A}
    assert said(outputs)[1].count(": half removed") == 2
    said(outputs, "remove=true")
    assert not list((outputs / "fits").glob(".*.removed"))


def test_damaged_fits_that_no_job_needs_go_and_an_empty_folder_stays(outputs, said):
    (outputs / "fits" / B / "fit.json").write_text("{")
    (outputs / "fits" / C / "identity.json").write_bytes(b"\xff")
    (outputs / "fits" / D).mkdir()
    code, text = said(outputs, "remove=true")
    assert code == 0 and there(outputs) == {A, D} and f"{D}: has none of identity.json, fit.json, last.ckpt" in text


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["paths.outputs=nowhere"], "paths.outputs=nowhere: no such folder, or no fits/, runs/ or sweeps/ in it"),
        (["remve=true"], "remve: no such setting (did you mean remove?)"),
        (["remove=yes"], "remove=yes: expects true or false"),
        (["-m", "remove=true,false"], "expects paths.outputs=DIR, of one folder, and remove=true or false"),
        (["all"], "all"),
    ],
)
def test_a_mistake_costs_a_line(words, line, tmp_path):
    command = [sys.executable, "-m", "latent_lab.clean", *words]
    ran = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert ran.returncode == 2 and not ran.stdout and ran.stderr.count("\n") == 1
    assert ran.stderr.startswith("latent_lab.clean: ") and line in ran.stderr


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (999, "999 bytes"), (5_830_000, "5.83 MB"), (999_600, "1 MB"), (2e13, "20 TB")]
)
def test_sizes(count, text):
    assert clean.size(int(count)) == text


def test_after_a_cleaning_each_job_is_still_reproduced(command, said, tmp_path):
    words = ["-m", "model=vae", *QUICK, "callbacks.observers.pictures=null", "logger=none"]
    command("train", *words, "sweep=s", "seed=0,1")
    command("train", *words, "sweep=t", "seed=0", "fresh=true")
    (gone,) = (tmp_path / "sweeps" / "s").glob("*seed=1*")
    shutil.rmtree(gone)
    assert len(fits(tmp_path)) == 3  # of two seeds, and one set aside
    code, text = said(tmp_path, "remove=true")
    assert code == 0 and text.count("no job needs") == 1 == text.count("set aside"), text
    assert len(fits(tmp_path)) == 1
    for folder in tmp_path.glob("sweeps/*/*seed=0*"):
        assert command("evaluate", f"run='{folder}'")[0] == 0
    assert clean_fits.fits_to_remove(tmp_path, clean_fits.needs(tmp_path)) == ([], [])
