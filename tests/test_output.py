"""Standard output and errors in every state a shell can give them: the exit code is that of the jobs."""

import os
import subprocess
import sys

import pytest
from commands import environment

from conftest import ON_CPU, ROOT, results

JOB = ["model=vae_mlp", "dataset=digits", "n_labels=20", "trainer.max_epochs=1", "logger=none", *ON_CPU,
       "callbacks.analyses.latent_classifier.pictures=none"]  # fmt: skip
TRAIN, EVALUATE = (f"{sys.executable} {ROOT / name}" for name in ("train.py", "evaluate.py"))
POSIX = pytest.mark.skipif(os.name != "posix", reason="a POSIX shell's ways to redirect")
FULL = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="has no /dev/full")
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}


def shell(line: str, **more: str) -> subprocess.CompletedProcess:
    return subprocess.run(["bash", "-c", line], env=environment(**more), capture_output=True, timeout=300)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """With a sweep of two jobs that are done."""
    folder = tmp_path_factory.mktemp("outputs")
    done = shell(f"{TRAIN} -m {' '.join(JOB)} label_seed=0,1 sweep=s paths.outputs={folder}")
    assert done.returncode == 0, done.stderr
    return folder


@POSIX
@pytest.mark.parametrize(
    "ending",
    [
        "2>errors | head -1",
        pytest.param("2>&1 >/dev/null | true", marks=pytest.mark.slow),
        pytest.param("2>&1 | head -1", marks=pytest.mark.slow),
        ">&- 2>errors",
        pytest.param("<&- >&- 2>&-", marks=pytest.mark.slow),
        pytest.param(">/dev/full 2>errors", marks=FULL),
        pytest.param(">/dev/full 2>/dev/full", marks=[FULL, pytest.mark.slow]),
    ],
)
def test_whether_somebody_reads_it_changes_nothing(outputs, tmp_path, ending):
    """The jobs are done, so the exit code is 0; of a command that is a mistake it is 2."""
    train = f"{TRAIN} -m {' '.join(JOB)} label_seed=0,1 sweep=s paths.outputs={outputs}"
    for command, code in ((train, 0), (f"{TRAIN} model=none_such", 2)):
        said = shell(f"cd {tmp_path}; {command} {ending}; exit ${{PIPESTATUS[0]}}")
        assert said.returncode == code, (command, said)
        errors = (tmp_path / "errors").read_text() if (tmp_path / "errors").exists() else ""
        assert "Traceback" not in errors + said.stdout.decode() + said.stderr.decode()
        assert "Error" not in errors
        assert not said.stderr


@POSIX
def test_a_job_that_is_not_done_is_told_by_the_exit_code_when_nobody_listens(tmp_path):
    """Trained with all three streams closed: a file that is opened gets no descriptor that others write to."""
    words = [*JOB, "model.lr=1e30", f"paths.outputs={tmp_path}"]
    said = shell(f"{TRAIN} {' '.join(words)} <&- >&- 2>&-")
    assert said.returncode == 1, said
    (result,) = results(tmp_path).values()
    assert result["status"] == "failed" and "diverged" in result["error"]
    log = next(tmp_path.glob("runs/*/train.log")).read_text()
    assert "FAILED, RuntimeError" in log and "tensorboard --logdir" not in log


@POSIX
def test_an_ascii_terminal_is_written_to_in_ascii(outputs):
    said = shell(f"{EVALUATE} sweep={outputs}/sweeps/s", **ASCII)
    assert said.returncode == 0 and not said.stderr, said
    assert said.stdout.isascii() and b" +- " in said.stdout
    assert " ± " in (outputs / "sweeps" / "s" / "results.md").read_text(encoding="utf-8")


@POSIX
@pytest.mark.parametrize("path", ["$'/tmp/b\\xff'", "/tmp/é"])
def test_a_path_that_is_no_text_is_a_mistake(path):
    said = shell(f"{TRAIN} {' '.join(JOB)} paths.outputs={path}", **ASCII)
    assert said.returncode == 2 and not said.stdout
    assert said.stderr.count(b"\n") == 1 and said.stderr.endswith(b"no text in this system's encoding, ascii\n"), said
