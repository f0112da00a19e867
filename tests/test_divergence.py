"""What is said and written of a training whose numbers were lost."""

import json
import math

import pytest
from commands import run

from conftest import ON_CPU, SMALL_PLANE, results
from latent_lab import report
from metrics.convergence import convergence
from metrics.plane_yardstick import Bound

BOUNDS = {"js": Bound(0.002, 0.001, 0.1), "w1": Bound(0.02, 0.005, 0.05), "misplaced": Bound(0.01, 0.002, 0.11)}
GOOD = {"js": 0.01, "w1": 0.03, "gradient": 1.0, "js_averaged": 0.01, "w1_averaged": 0.03, "least_averaged": 1.0}
GOOD |= {"misplaced_averaged": 0.02}


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ({"gradient": math.nan}, "the critic's gradients at its points"),
        ({"gradient": math.inf}, "the critic's gradients at its points"),
        ({"w1": math.nan}, "its points"),
        ({"w1_averaged": math.inf}, "the averaged generator's points"),
        ({"w1": math.inf, "gradient": math.nan}, "its points and the critic's gradients at its points"),
    ],
)
def test_the_verdict_names_what_is_not_finite(lost, said):
    found = convergence([10, 20, 30], [GOOD, GOOD, GOOD | lost], BOUNDS)
    assert found.state == "diverged"
    assert found.sentence.startswith(f"diverged, {said} are not finite any more: JS in bits 0.0100")
    assert convergence([10, 20, 30], [GOOD] * 3, BOUNDS).state == "converged"


def strict(text: str):
    """JSON as its standard has it."""

    def refuse(word: str):
        raise ValueError(word)

    return json.loads(text, parse_constant=refuse)


def test_a_job_that_diverged_is_done_and_its_files_hold_null(tmp_path):
    """It did what was asked, so it is ``ok`` and the exit code 0; and it is found again, and its sweep has a table."""
    words = [
        "-m",
        "model=gan",
        "dataset=ring",
        *SMALL_PLANE,
        "trainer.max_epochs=1",
        "logger=none",
        *ON_CPU,
        "seed=0,1",
    ]
    words += ["model.lr_generator=1e30", "model.lr_critic=1e30", "sweep=s", f"paths.outputs={tmp_path}"]
    said = run("train", *words)
    assert said.code == 0, said.text
    line = "diverged: points or gradients are not finite any more; lower both rates\n"
    assert said.text.count(line) == 2
    for result in results(tmp_path).values():
        assert result["status"] == "ok" and result["metrics"]["w1"] is None
        assert result["convergence"]["state"] == "diverged"
        lost = result["statement"].replace("the averaged generator's points and ", "")
        assert lost.startswith("diverged, its points and the critic's gradients at its points are not finite any more")
    for file in tmp_path.rglob("*.json"):
        strict(file.read_text())
    assert run("train", *words).text.count("finished before") == 2
    table = (tmp_path / "sweeps" / "s" / "results.md").read_text()
    assert "| - |" in table.splitlines()[4]
    folder = next((tmp_path / "sweeps" / "s").glob("*seed=1*"))
    again = run("evaluate", f"run={folder}")
    assert again.code == 0 and "metrics reproduced exactly" in again.text, again.text
    assert [r["status"] for r in report.build(tmp_path / "sweeps" / "s")] == ["ok", "ok"]
