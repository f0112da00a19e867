"""What goes away while a job runs, the terminal, the folder, the room on the disk, is said in a line."""

import json
import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from commands import DIGITS, trained
from forked import forked

from callbacks.drawing.tensorboard import TensorBoard
from conftest import results
from latent_lab.checkpoints import Checkpoints

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs copies of a process")
SMALL = (*DIGITS, "logger=none", "trainer.max_epochs=2")


@pytest.fixture(scope="module", autouse=True)
def imported(tmp_path_factory):
    """All that a command imports, and TensorBoard: copies of this process need not."""
    trained(tmp_path_factory.mktemp("imported"), *DIGITS, "trainer.max_epochs=1")


def train(outputs: Path, *words: str, after_an_epoch=lambda: None) -> tuple[int, str]:
    """A command, at whose first epoch's end something happens."""

    def before() -> None:
        written = Checkpoints.on_train_epoch_end

        def then(self, trainer, pl_module) -> None:
            written(self, trainer, pl_module)
            if trainer.current_epoch == 0:
                after_an_epoch()

        Checkpoints.on_train_epoch_end = then

    return forked(before, "train", *words, f"paths.outputs={outputs}")


def hang_up() -> None:
    os.kill(os.getpid(), signal.SIGHUP)


def test_a_terminal_that_is_closed_interrupts(tmp_path):
    code, said = train(tmp_path, *SMALL, after_an_epoch=hang_up)
    (result,) = results(tmp_path / "runs").values()
    assert (code, result["status"]) == (1, "interrupted") and "Traceback" not in said, said
    assert "interrupted: nothing is lost, the same command goes on from the last epoch:" in said
    code, said = train(tmp_path, *SMALL)
    assert code == 0 and "continues after epoch 1 of 2" in said, said


def test_under_nohup_it_does_not(tmp_path):
    def ignored() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        written = Checkpoints.on_train_epoch_end
        Checkpoints.on_train_epoch_end = lambda *told: (written(*told), hang_up())

    code, said = forked(ignored, "train", *SMALL, f"paths.outputs={tmp_path}")
    assert code == 0, said


@pytest.mark.parametrize("logger", ["tensorboard", pytest.param("none", marks=pytest.mark.slow)])
@pytest.mark.parametrize("what", ["outputs", "fits"])
def test_a_folder_that_is_removed_is_named(tmp_path, logger, what):
    outputs = tmp_path / "outputs"
    gone = outputs if what == "outputs" else outputs / "fits"
    words = (*DIGITS, f"logger={logger}", "trainer.max_epochs=2")
    code, said = train(outputs, *words, after_an_epoch=lambda: shutil.rmtree(gone))
    assert code == 1 and "Traceback" not in said, said
    line = f"FAILED, {gone} was removed while it was written into; the same command starts anew"
    assert said.count(line) == 1 and "Errno" not in said, said
    assert train(outputs, *words)[0] == 0


@pytest.mark.parametrize("size", ["600k", pytest.param("1m", marks=pytest.mark.slow)])
def test_tensorboards_writer_is_silent_where_the_disk_is_full(tmp_path, size):
    if os.getuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", small], capture_output=True)
    if mounted.returncode:
        pytest.skip("no file system may be mounted")
    try:
        words = ("-m", *DIGITS, "logger=tensorboard", "trainer.max_epochs=2", "n_labels=20,50", "sweep=q")
        code, said = train(small, *words)
        assert code == 1 and "Traceback" not in said and "Exception in thread" not in said, said
        assert 1 <= said.count("FAILED, no space left in ") <= 2 and "result.json: damaged" not in said, said
    finally:
        subprocess.run(["umount", small], check=True)


def test_another_error_of_a_thread_is_told(monkeypatch, tmp_path):
    """Of TensorBoard's writer one that is not the file system's, of other threads each."""
    told = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    for _ in range(2):  # it is put in once
        TensorBoard(str(tmp_path))
    writer, other = type("Writer", (threading.Thread,), {"__module__": "tensorboard.summary"})(), threading.Thread()
    for thread, error in ((writer, OSError()), (writer, KeyError()), (other, OSError())):
        threading.excepthook(threading.ExceptHookArgs((type(error), error, None, thread)))
    assert [(ended.thread, ended.exc_type) for ended in told] == [(writer, KeyError), (other, OSError)]


def test_a_line_of_a_removed_folder_is_in_its_result(tmp_path):
    outputs = tmp_path / "outputs"
    train(outputs, *SMALL, after_an_epoch=lambda: shutil.rmtree(outputs / "fits"))
    (file,) = outputs.glob("runs/*/result.json")
    assert json.loads(file.read_text())["error"].startswith(f"{outputs / 'fits'} was removed")
