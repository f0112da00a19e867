"""``make demo``: the commands in the Makefile, as a log shows them, with less training."""

import re
import shlex
import subprocess
import sys

import pytest

from conftest import ON_CPU, ROOT

pytestmark = pytest.mark.slow

MOST_LINES = 60  # of both commands, off a terminal


def commands() -> list[list[str]]:
    """The words of the Makefile's commands, behind ``python``."""
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ndemo:")[2].partition("\n\n")[0]
    return [shlex.split(line)[1:] for line in re.findall(r"^\t(\$\(BIN\)/python .*)$", recipe, re.MULTILINE)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The folder of outputs, and what both commands said."""
    outputs = tmp_path_factory.mktemp("demo")
    said = []
    for words in commands():
        words = [sys.executable, *words, "trainer.max_epochs=2", *ON_CPU[1:], f"paths.outputs={outputs}"]
        ran = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
        assert ran.returncode == 0, ran.stderr
        said.append(ran.stdout + ran.stderr)
    return outputs, said


def test_its_log_is_short_and_plain(demo):
    _, said = demo
    lines = "".join(said).splitlines()
    assert 20 < len(lines) < MOST_LINES - 5 and "\x1b" not in "".join(said)  # make says five lines more


def test_what_it_tells_to_open_is_there(demo):
    outputs, _ = demo
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = re.findall(r"outputs/([^\s,;]+)", recipe)
    assert named == ["sweeps/demo/report.html", "sweeps/demo_gan/report.html", "fits/vae-digits-*/pictures/samples.png"]
    assert all(len(list(outputs.glob(name))) == 1 for name in named)


def test_forty_jobs_share_one_fit_and_each_keeps_its_line(demo):
    outputs, said = demo
    jobs = list((outputs / "sweeps" / "demo").glob("*/result.json"))
    assert len(jobs) == 40 and len(list((outputs / "fits").glob("vae-digits-*"))) == 1
    for job in jobs:
        assert "accuracy" in (job.parent / "train.log").read_text()
        assert f"{job.parent.name}:" not in said[0]
