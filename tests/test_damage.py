"""Damaged files of a finished sweep: a line that names the file and what helps; that helps; no figure is another."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import DIGITS, IMAGES, ROOT, environment, fit_of, run, trained

from conftest import results

SHEETS = (*(word for word in IMAGES if "sheets" not in word), "logger=none", "trainer.max_epochs=2")
SWEEP = ("-m", *DIGITS, "logger=none", "trainer.max_epochs=1", "n_labels=50,100", "sweep=s")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A sweep of two jobs on one fit."""
    outputs = tmp_path_factory.mktemp("finished")
    trained(outputs, *SWEEP)
    return outputs


class Sweep:
    """A copy of it, to be damaged."""

    def __init__(self, outputs: Path):
        self.outputs, self.fit, self.folder = outputs, fit_of(outputs), outputs / "sweeps" / "s"
        self.jobs = sorted(path.parent for path in self.folder.glob("*/result.json"))
        self.expected = self.metrics

    @property
    def metrics(self) -> dict:
        return {name: result["metrics"] for name, result in results(self.folder).items()}

    def train(self, *more: str) -> str:
        """Gives the command again, after which all must be as it was."""
        said = run("train", *SWEEP, *more, f"paths.outputs={self.outputs}")
        assert said.code == 0 and "Traceback" not in said.text, said.text
        assert self.metrics == self.expected
        return said.text

    def refused(self, program: str, *words: str) -> str:
        """The one line by which a command is refused."""
        words = (*SWEEP, f"paths.outputs={self.outputs}") if program == "train" else words
        said = run(program, *words)
        assert (said.code, said.err.count("\n")) == (2, 1) and "Traceback" not in said.text, said.text
        return said.err


@pytest.fixture
def sweep(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "outputs")
    return Sweep(tmp_path / "outputs")


def flip(path: Path, at: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= 4
    path.write_bytes(content)


def test_what_can_be_made_again_is_made_again_by_itself(sweep):
    """Derived arrays, the test's figures, what the command says itself; a job whose files are not what it left."""
    one, two = sweep.jobs
    (codes,), (tested,) = sweep.fit.glob("derived-*/codes.safetensors"), sweep.fit.glob("test-*.json")
    flip(codes)
    tested.write_text("[]")
    (sweep.fit / "identity.json").write_text("[]")
    (sweep.fit / "config.yaml").write_text("")
    flip(one / "classifier.safetensors", 0.9)
    (two / "result.json").write_text("{}")
    said = sweep.train()
    for file in (codes, tested, sweep.fit / "identity.json", sweep.fit / "config.yaml", one / "classifier.safetensors",
                 two / "result.json"):  # fmt: skip
        assert f"{file}: damaged or unreadable (" in said, file
    assert "found finished" in said and (one / "earlier-1" / "classifier.safetensors").exists()
    again = sweep.train()
    assert again.count("finished before") == 2 and "damaged" not in again


@pytest.mark.parametrize("content", ["garbage", "[]", "{}", '{"status": "finished", "created": "now"}', None])
def test_a_fits_record_is_made_again_once_it_is_removed(sweep, content):
    file = sweep.fit / "fit.json"
    if content is None:
        flip(file)
    else:
        file.write_text(content)
    line = sweep.refused("train")
    assert line.startswith(f"train.py: {file}: damaged or unreadable (") and "; remove it, and the same command" in line
    file.unlink()
    assert "continues after epoch 1 of 1" in sweep.train()


@pytest.mark.parametrize("how", ["flip", "{}", "pipe", "another fit's"])
def test_a_checkpoint_is_trained_anew(sweep, how):
    file = sweep.fit / "last.ckpt"
    if how == "flip":
        flip(file)
    elif how == "another fit's":
        trained(sweep.outputs, *SWEEP[1:-2], "seed=1", "callbacks.analyses=null")
        shutil.copy(next(path for path in sweep.outputs.glob("fits/*/last.ckpt") if path != file), file)
    else:
        file.unlink()
        os.mkfifo(file) if how == "pipe" else file.write_text(how)
    line = sweep.refused("train")
    assert line.startswith(f"train.py: {file}: damaged checkpoint (") and "; fresh=true sets it aside" in line
    assert line == sweep.refused("evaluate", f"run={sweep.jobs[0]}").replace("evaluate.py", "train.py")
    assert "trains anew" in sweep.train("fresh=true")


@pytest.mark.parametrize("content", ["", "a: [", "edited", "model: *x"])
def test_a_jobs_configuration_is_made_again(sweep, content):
    file = sweep.jobs[0] / "config.yaml"
    text = file.read_text()
    file.write_text(text.replace("n_labels: 100", "n_labels: 60") if content == "edited" else content)
    assert file.read_text() != text
    line = sweep.refused("evaluate", f"run={sweep.jobs[0]}")
    assert line.startswith(f"evaluate.py: {file}: damaged or unreadable (") and "; the job's command makes it" in line
    sweep.train()
    assert file.read_text().startswith("# checksum: ") and "n_labels: 100" in file.read_text()  # in another folder now
    said = run("evaluate", f"run={sweep.jobs[0]}")
    assert said.code == 0 and "metrics reproduced exactly" in said.out, said.text


def test_a_stored_classifier_that_is_another_is_made_again(sweep):
    """Whole, but of another job: its figures would be compared."""
    one, two = (job / "classifier.safetensors" for job in sweep.jobs)
    shutil.copy(two, one)
    line = sweep.refused("evaluate", f"run={sweep.jobs[0]}")
    assert line.startswith(f"evaluate.py: {one}: damaged") and line.endswith("; the job's command makes it again\n")
    sweep.train()
    assert run("evaluate", f"run={sweep.jobs[0]}").code == 0


@pytest.mark.parametrize("content", ["[]", "{}", "null", '{"status": 3}', '{"status": "ok"}', "flipped figure"])
def test_one_damaged_result_does_not_stop_the_table(sweep, content):
    file, accuracy = sweep.jobs[0] / "result.json", sweep.expected[sweep.jobs[0].name]["accuracy"]
    if content == "flipped figure":
        content = file.read_text().replace(f'"accuracy": {accuracy}', f'"accuracy": {accuracy + 0.1}')
        assert content != file.read_text()
    file.write_text(content)
    said = run("evaluate", f"sweep={sweep.folder}")
    assert said.code == 1 and f"failed: {sweep.jobs[0].name}: {file}: damaged" in said.out.replace("\n", ""), said.text
    rows = (sweep.folder / "results.csv").read_text()
    assert str(sweep.expected[sweep.jobs[1].name]["accuracy"]) in rows and str(accuracy + 0.1) not in rows
    sweep.train()
    assert run("evaluate", f"sweep={sweep.folder}").code == 0


@pytest.mark.parametrize("name", ["tasks.json", "units.jsonl"])
def test_a_damaged_plan_is_written_again(sweep, name):
    file = sweep.folder / "plan" / name
    flip(file)
    said = run("evaluate", f"sweep={sweep.folder}")
    assert said.code == 0 and f"{file}: damaged or unreadable (" in said.out, said.text
    assert "the same command writes the plan again" in said.out
    sweep.train()
    assert "damaged or unreadable" not in run("evaluate", f"sweep={sweep.folder}").out


def test_nobody_waits_for_a_pipe_in_a_logs_place(sweep):
    log = sweep.jobs[0] / "train.log"
    log.unlink()
    os.mkfifo(log)
    sweep.train()
    assert log.is_file() and "finished before" in log.read_text()


def test_a_fit_that_lost_what_it_was_begun_by_is_not_continued(sweep):
    from latent_lab.opened import OpenFit

    (sweep.fit / "last.ckpt").unlink()
    with pytest.raises(ValueError, match="last.ckpt: is missing; the command that trained it writes it again"):
        OpenFit(sweep.fit).model  # noqa: B018
    (sweep.fit / "identity.json").write_text(json.dumps({"model": {}, "data": {"fingerprint": ""},
                                                         "requires": {"scorer": "../../elsewhere"}}))  # fmt: skip
    with pytest.raises(ValueError, match="requires ../../elsewhere, which is no name"):
        OpenFit(sweep.fit)


def test_what_a_killed_process_was_writing_is_no_file_of_the_next(sweep):
    """It stood in the next result as a file that the job left."""
    job = sweep.jobs[0]
    (job / "result.json").unlink()
    (job / ".errors.png.4711.tmp").write_bytes(b"half")
    sweep.train()
    files = json.loads((job / "result.json").read_text())["files"]
    assert not [name for name in (*files, *(path.name for path in job.iterdir())) if name.endswith(".tmp")]


def test_a_folder_in_the_place_of_a_tasks_status_is_set_aside(sweep):
    file = next((sweep.folder / "plan" / "status").glob("*.json"))
    file.unlink()
    file.mkdir()
    sweep.train()
    assert file.with_name(f"{file.name}-set-aside").is_dir()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A DCGAN that drew a sheet an epoch, and the scorer it required."""
    outputs = tmp_path_factory.mktemp("drawn")
    trained(outputs, *SHEETS)
    return outputs


@pytest.fixture
def sheets(drawn, tmp_path):
    """A copy of it, the folder of the fit."""
    shutil.copytree(drawn, tmp_path / "outputs")
    return next(tmp_path.glob("outputs/fits/dcgan-*"))


def train_again(fit: Path, *more: str) -> str:
    said = run("train", *SHEETS, *more, f"paths.outputs={fit.parent.parent}")
    assert said.code == 0, said.text
    return said.text


def test_a_fits_picture_that_is_another_is_not_taken_for_the_jobs(sheets):
    """A pipe, which nobody waits for, and a sheet of other samples; drawn again, they are as they were."""
    pictures = sheets / "pictures"
    kept = {path.name: path.read_bytes() for path in pictures.iterdir()}
    (pictures / "samples.png").unlink()
    os.mkfifo(pictures / "samples.png")
    shutil.copy(pictures / "samples_raw.png", pictures / "nearest.png")
    said = train_again(sheets)
    for name in ("samples.png", "nearest.png"):
        assert f"{pictures / name}: damaged or unreadable (it is not as it was drawn); evaluate.py fit={sheets}" in said
    job = max(sheets.parent.parent.glob("runs/*"), key=lambda path: path.stat().st_mtime)
    assert (job / "strip.png").exists() and not (job / "samples.png").exists() and not (job / "nearest.png").exists()
    again = run("evaluate", f"fit={sheets}")
    assert again.code == 0 and {path.name: path.read_bytes() for path in pictures.iterdir()} == kept, again.text
    assert "damaged" not in train_again(sheets)


def test_a_damaged_sheet_of_an_epoch_is_named_and_can_be_done_without(sheets):
    sheet = next((sheets / "epochs").glob("*.png"))
    sheet.write_bytes(sheet.read_bytes()[:200])
    said = run("evaluate", f"fit={sheets}")
    assert (said.code, said.err.count("\n")) == (2, 1), said.text
    assert f"{sheet}: damaged or unreadable (" in said.err and "remove it, and all is drawn without it" in said.err
    sheet.unlink()
    assert run("evaluate", f"fit={sheets}").code == 0


def test_a_damaged_fit_that_is_required_is_trained_anew_by_what_the_line_says(sheets):
    """``fresh=true`` is said of the fits of the jobs, and of those that they require where these can't be read."""
    (metrics,) = (result["metrics"] for result in results(sheets.parent.parent).values())
    (scorer,) = sheets.parent.glob("scorer-*")
    flip(scorer / "last.ckpt")
    said = run("train", *SHEETS, f"paths.outputs={sheets.parent.parent}")
    assert (said.code, said.err.count("\n")) == (2, 1), said.text
    assert f"{scorer / 'last.ckpt'}: damaged checkpoint (" in said.err and "fresh=true sets it aside" in said.err
    assert f"fit {scorer.name}: trains anew" in train_again(sheets, "fresh=true")
    assert [result["metrics"] for result in results(sheets.parent.parent).values()] == [metrics] * 2
    assert f"fit {scorer.name}: trains anew" not in train_again(sheets, "fresh=true")  # it is whole


@pytest.mark.slow
@pytest.mark.parametrize("words", ["damage.py 5 --first 1000", "damage.py 3 --experiment images", "kills.py 6"])
def test_damaged_copies_and_kills_at_random_moments_end_well(words):
    program, *options = words.split()
    command = [sys.executable, f"benchmarks/{program}", *options]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
