"""What is said of a fit where no bar can be drawn."""

import re
import subprocess
import sys

import pytest
from commands import DIGITS, ROOT

POINTS = ["model=gan", "dataset=ring", "dataset.train_size=1000", "dataset.batch_size=100", "trainer.max_steps=25",
          "model.generator.hidden=[8]", "model.critic.hidden=[8]", "callbacks=none"]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([*DIGITS, "trainer.max_epochs=23", "n_labels=50"], [3, 5, 7, 10, 12, 14, 17, 19, 21, 23]),
        ([*DIGITS, "trainer.max_epochs=3", "n_labels=50"], [1, 2, 3]),
        ([*POINTS, "trainer.accelerator=cpu"], [1, 2, 3, 4, 5]),
    ],
    ids=["many", "few", "updates"],
)
def test_a_log_has_a_line_each_tenth_and_no_bar(tmp_path, words, expected):
    words = [word for word in words if "progress_bar" not in word]
    command = [sys.executable, "train.py", *words, "logger=none", f"paths.outputs={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and not set("\r\x1b") & set(said), said
    lines = re.findall(r"^epoch (\d+).* (\d+) s left$", said, re.MULTILINE)
    assert [int(epoch) for epoch, _ in lines] == expected and lines[-1][1] == "0"
    end = ", update 25, " if "trainer.max_steps=25" in words else f" of {expected[-1]}, val/"
    assert f"\nepoch {expected[-1]}{end}" in said
