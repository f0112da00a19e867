"""Where the file system takes no more, a line says so: a limit on the size of files, as quotas are, and a full disk."""

import contextlib
import errno
import os
import subprocess
from pathlib import Path

import pytest
from commands import DIGITS, trained
from forked import forked
from matplotlib.figure import Figure

from conftest import results
from latent_lab import storage
from latent_lab.checkpoints import AtomicCheckpointIO
from latent_lab.storage import NoSpace, no_space, save_arrays, write_artefact, write_atomically, write_json

resource = pytest.importorskip("resource")
SMALL = (*DIGITS, "logger=none", "trainer.max_epochs=1")


@pytest.fixture(scope="module", autouse=True)
def imported(tmp_path_factory):
    """All that a command imports: copies of this process need not, and as another user perhaps could not."""
    trained(tmp_path_factory.mktemp("imported"), *SMALL)


@contextlib.contextmanager
def files_of_at_most(size: int):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _figure(path: Path) -> None:
    figure = Figure()
    figure.add_subplot().plot(range(99))
    figure.savefig(path, format="png")


def _archive(path: Path) -> None:
    """As torch writes it into a file of its own, where the file system's error is lost."""
    import torch

    torch.save({"weights": torch.zeros(9000)}, path)


def _checkpoint(path: Path) -> None:
    import torch

    AtomicCheckpointIO().save_checkpoint({"weights": torch.zeros(9000)}, path)


WRITERS = {
    "json": lambda path: write_json(path, {"a": "b" * 9000}),
    "arrays": lambda path: save_arrays(path, {"a": storage.np.zeros(9000)}),
    "figure": lambda path: write_artefact(path, _figure),
    "archive": lambda path: write_atomically(path, _archive),
    "checkpoint": _checkpoint,
}


@pytest.mark.parametrize("writer", WRITERS)
def test_whoever_writes_it_is_said_in_one_line(tmp_path, writer):
    with files_of_at_most(4096), pytest.raises(NoSpace, match=f"^no space left in {tmp_path} .File too large.$"):
        WRITERS[writer](tmp_path / "x.json")
    assert not list(tmp_path.iterdir())
    WRITERS[writer](tmp_path / "x.json")  # nothing was left that is in the way
    assert (tmp_path / "x.json").stat().st_size > 4096


def test_the_old_file_is_kept(tmp_path):
    write_json(tmp_path / "x.json", {"a": 1})
    with files_of_at_most(10), pytest.raises(NoSpace):
        write_json(tmp_path / "x.json", {"a": 2})
    assert storage.read_json(tmp_path / "x.json") == {"a": 1}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_an_error_that_came_of_it_is_it(number):
    full = OSError(number, "the system's words")
    wrapped = RuntimeError("enforce fail")
    wrapped.__cause__ = full
    assert "no space left in x (" in str(no_space(wrapped, Path("x"))) == str(no_space(full, Path("x")))
    for other in (ValueError(), OSError(errno.EACCES, "no")):
        assert no_space(other, Path("x")) is None


def test_another_error_of_a_writer_stays_what_it_is(tmp_path):
    with pytest.raises(ZeroDivisionError):
        write_atomically(tmp_path / "x", lambda path: 1 / 0)
    assert not list(tmp_path.iterdir())


def train(outputs: Path, *arguments: str, size: int | None = None) -> tuple[int, str]:
    def limited() -> None:
        if size is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return forked(limited, "train", *arguments, f"paths.outputs={outputs}")


def test_a_fit_that_does_not_fit_fails_in_a_line_and_goes_on_later(tmp_path):
    outputs = tmp_path / "outputs"
    code, said = train(outputs, *SMALL, size=30_000)
    (fit,) = outputs.glob("fits/[!.]*")
    assert code == 1 and "Traceback" not in said and said.count(f"no space left in {fit} (File too large)") == 2, said
    (result,) = results(outputs).values()
    assert (result["status"], result["error"]) == ("failed", f"no space left in {fit} (File too large)")
    (trace,) = outputs.glob("runs/*/traceback.txt")
    assert "[Errno 27] File too large" in trace.read_text()
    assert not list(fit.glob(".*.tmp"))
    assert train(outputs, *SMALL)[0] == 0


def test_on_a_full_disk_every_job_is_tried_and_nothing_is_a_traceback(tmp_path):
    if os.name != "posix" or os.getuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", small], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no file system may be mounted: {mounted.stderr.strip()}")
    try:
        words = ["-m", *SMALL, "seed=0,1,2", "n_labels=50", "sweep=s"]
        code, said = train(small, *words)
        assert code == 1 and "Traceback" not in said and "Logging error" not in said, said
        assert said.count("FAILED, no space") == 3 and f"no space left in {small}" in said, said
        assert len(said.splitlines()) < 40, said
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_disk_that_is_full_from_the_start_is_one_line(tmp_path):
    outputs = tmp_path / "outputs"
    code, said = train(outputs, "-m", *SMALL, "sweep=s", "n_labels=50,100", size=1)
    assert (code, said.count("\n")) == (1, 2) and said.splitlines()[1].startswith("train.py: no space left in "), said
