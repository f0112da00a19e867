"""How a fit is getting on, as a terminal shows it, and a log."""

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from types import SimpleNamespace

import pytest
from commands import DIGITS, ROOT

from latent_lab import epoch_lines, progress
from latent_lab.epoch_lines import Pace, how_far, left
from latent_lab.rounding import duration

POINTS = ["model=gan", "dataset=ring", "dataset.train_size=1000", "dataset.batch_size=100", "trainer.max_steps=25",
          "model.generator.hidden=[8]", "model.critic.hidden=[8]", "callbacks=none"]  # fmt: skip

ADVERTS = re.compile(r"litlogger|Tip:|💡|PU available|LOCAL_RANK|Lightning|checkpoint|Warning|https?:", re.IGNORECASE)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([*DIGITS, "trainer.max_epochs=23", "n_labels=50"], [3, 5, 7, 10, 12, 14, 17, 19, 21, 23]),
        pytest.param([*DIGITS, "trainer.max_epochs=3", "n_labels=50"], [1, 2, 3], marks=pytest.mark.slow),
        ([*POINTS, "trainer.accelerator=cpu"], [5, 10, 15, 20, 25]),
    ],
    ids=["many", "few", "updates"],
)
def test_a_log_has_a_line_each_tenth_and_no_bar(tmp_path, words, expected):
    words = [word for word in words if "progress_bar" not in word]
    command = [sys.executable, "train.py", *words, "logger=none", f"paths.outputs={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and not set("\r\x1b") & set(said), said
    lines = re.findall(r"^(?:epoch|update) (\d+) of \d+.* (\d+) s left$", said, re.MULTILINE)
    assert [int(epoch) for epoch, _ in lines] == expected and lines[-1][1] == "0"
    end = "update 25 of 25, " if "trainer.max_steps=25" in words else f"epoch {expected[-1]} of {expected[-1]}, val/"
    assert f"\n{end}" in said
    assert not ADVERTS.search(said), said


def on_a_terminal(columns: int, *words: str) -> str:
    """All that ``train.py`` writes to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "train.py", *words], cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # how a terminal's end is told
        while part := os.read(ours, 65536):
            said += part
    os.close(ours)
    assert process.wait() == 0, said
    return said.decode()


def test_a_terminal_has_one_bar_for_the_whole_fit(tmp_path):
    words = [word for word in DIGITS if "progress_bar" not in word]
    said = on_a_terminal(80, *words, "trainer.max_epochs=30", "n_labels=50", "logger=none", f"paths.outputs={tmp_path}")
    line = next(line for line in said.split("\r\n") if "|" in line)
    drawn = [part for part in line.split("\r") if part]
    found = [re.fullmatch(r"epoch (\d+) of 30 \|(.*)\|(?: (\d+) s left| )?", part.rstrip()) for part in drawn]
    assert len(drawn) > 2 and all(found), drawn
    assert all(len(part) <= 80 and len(match[2]) > 45 for part, match in zip(drawn, found, strict=True))
    filled = [match[2].count("\u2588") for match in found]
    assert filled[0] == 0 and filled == sorted(filled) and filled[-1] == len(found[-1][2])
    assert found[-1][1] == "30" and found[-1][3] == "0" and "it/s" not in said
    assert "accuracy" in said.split("0 s left\r\n")[1], "what follows stands in lines of its own"
    assert not ADVERTS.search(said), said


def test_a_warning_stands_in_a_line_of_its_own(tmp_path):
    words = [word for word in DIGITS if "progress_bar" not in word]
    words += ["trainer.max_epochs=25", "model.beta=1000", "n_labels=50", "logger=none"]
    said = on_a_terminal(80, *words, f"paths.outputs={tmp_path}")
    lines = [
        re.split(r"\r|\x1b\[A", line.rstrip("\r"))[-1] for line in said.split("\n") if "POSTERIOR COLLAPSE" in line
    ]
    assert lines and all(re.match(r"\S+vae\.py:\d+: POSTERIOR COLLAPSE", line) for line in lines), lines
    assert not any("|" in line for line in lines)


def trainer(epoch: int, batches=10, step=0, max_steps=-1, max_epochs=4):
    return SimpleNamespace(current_epoch=epoch, num_training_batches=batches, global_step=step, max_steps=max_steps,
                           max_epochs=max_epochs)  # fmt: skip


def test_the_time_left_is_of_the_fit_from_where_this_process_began(monkeypatch):
    clock = iter([100.0, 112.0, 112.0])
    monkeypatch.setattr(epoch_lines.time, "monotonic", lambda: next(clock))
    pace = Pace(trainer(1))
    assert pace.seconds_left(trainer(2), 5) == pytest.approx(12.0), "15 of 40 batches in 12 s, 15 to come"
    assert pace.seconds_left(trainer(1), 0) == float("inf") and left(float("inf")) == []
    clock = iter([0.0, 9.0])
    monkeypatch.setattr(epoch_lines.time, "monotonic", lambda: next(clock))
    pace = Pace(trainer(0, step=100, max_steps=1000, max_epochs=-1))
    assert pace.seconds_left(trainer(7, step=400, max_steps=1000, max_epochs=-1), 3) == pytest.approx(18.0)
    assert how_far(trainer(7, step=400, max_steps=1000, max_epochs=-1)) == "update 400 of 1,000"
    assert how_far(trainer(7, max_epochs=-1)) == "epoch 8" and how_far(trainer(3)) == "epoch 4 of 4"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (90, "90 s"), (91, "2 min"), (5400, "90 min"), (5401, "1.5 h"), (8e5, "222.2 h")]
)
def test_a_bar_a_log_and_a_sweep_say_the_time_left_alike(seconds, said):
    assert duration(seconds) == said and left(seconds) == [f"{said} left"]
    status = {"fit": "f", "epoch": 3, "epochs": 20, "state": "running", "images_per_second": 1234}
    assert progress.in_words(status | {"seconds_left": seconds}) == f"f: epoch 3 of 20, 1,234 images/s, {said} left"
    assert progress.in_words(status | {"seconds_left": None}) == "f: epoch 3 of 20, 1,234 images/s"
