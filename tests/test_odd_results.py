"""A result that is not of the shape that its readers take: that job is shown as damaged, the others as ever."""

import json
import types

import pytest
from commands import run
from sweeps_of_heads import write_job

from latent_lab.results import DONE, RESULT, read_result, read_results
from latent_lab.shapes import mismatch
from latent_lab.storage import DamagedFile

ODD = {
    "place": [7, {"gpu": 5}],
    "verdict": [[1], {"labels": 5}, {"labels": {"x": "good"}}, {"labels": {"1": 5}}, {"reasons": {"1": 5}}],
    "metrics": [{"accuracy": 10**400}, {"accuracy": -1e308}, {"accuracy": "1"}, [1]],
    "convergence": [7, {"state": [1]}],
    "confusion": [7, [[1, 2], [3]], [[1, 2]], [["a"]]],
    "class_names": [7],
    "versions": [7, {"torch": [1]}],
    "requires": [7],
    "chosen": ["x"],
    "warning": [[1]],
    "headline": [[1], {"accuracy": [1]}],
    "repeats": [[[1]], "x"],
    "overrides": [7, [1]],
    "settings": [7, {"a": 10**400}],
    "choices": [{"model": 7}],
    "seconds": [{"fit": 10**400}],
    "seed": [10**400, 10**200],
    "created": [7],
    "scored_on": [[1]],
    "statement": [[1]],
    "supervision": [{}],
    "unlabelled": ["x"],
}


@pytest.fixture
def sweep(tmp_path):
    return [write_job(tmp_path, "knn", accuracy, "digits", 20, draw) for draw, accuracy in enumerate((0.25, 0.75))]


def odd(file, key: str, value) -> None:
    whole = {k: v for k, v in json.loads(file.read_text()).items() if k != "checksum"}
    file.write_text(json.dumps(whole | {key: value}))


@pytest.mark.parametrize("key", ODD)
def test_an_odd_value_is_a_damaged_result(sweep, key):
    file = sweep[0] / "result.json"
    for value in ODD[key]:
        odd(file, key, value)
        with pytest.raises(DamagedFile, match=f"^{file}: damaged or unreadable .*; the job's command makes it again$"):
            read_result(sweep[0])
        bad, good = read_results(sweep[0].parent)[::-1]
        assert (bad["status"], good["status"]) == ("failed", "ok") and str(file) in bad["error"]


@pytest.mark.parametrize("key", ["place", "verdict", "metrics", "confusion"])
def test_it_is_named_and_the_table_is_of_the_others(sweep, key):
    file = sweep[0] / "result.json"
    odd(file, key, ODD[key][0])
    said = run("evaluate", f"sweep={file.parent.parent}")
    assert said.code == 1 and "Traceback" not in said.text, said.text
    lines = [line for line in said.out.splitlines() if line.startswith(f"failed: {sweep[0].name}: {file}: damaged")]
    assert len(lines) == 1 and lines[0].endswith("; the job's command makes it again"), said.text
    rows = (file.parent.parent / "results.csv").read_text()
    assert "0.75" in rows and "0.25" not in rows


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e400"])
def test_what_is_no_number_in_a_result_is_no_figure(sweep, text):
    """JSON has no words for them; files of before have some of these."""
    file = sweep[0] / "result.json"
    write_job(file.parent.parent, "knn", 0.5, "digits", 50)
    whole = {k: v for k, v in json.loads(file.read_text()).items() if k != "checksum"}
    file.write_text(json.dumps(whole | {"metrics": {"accuracy": 0.123454321}}).replace("0.123454321", text))
    said = run("evaluate", f"sweep={file.parent.parent}")
    assert said.code == (text == "1e400") and "Traceback" not in said.text, said.text
    assert ("is beyond all numbers" in said.out) == (text == "1e400")


def test_a_shape_says_what_is_not_as_it_says():
    shape = {"a?": (types.NoneType, {int: str}), "b?": int | None}
    assert mismatch({}, shape) == mismatch({"a": None, "b": None}, shape) == mismatch({"a": {"3": "x"}}, shape) == ""
    assert mismatch({"a": {"x": "y"}}, shape) == "a.x is named by no whole number"
    assert mismatch({"a": {"3": 4}}, shape) == "a.3 is not text"
    assert mismatch({"a": [1]}, shape) == "a is not settings by name"
    assert mismatch({"b": True}, shape) == "b is not a whole number or null"
    assert mismatch({"choices": {}, "metrics": {}}, DONE) == mismatch({"status": "ok"}, RESULT) == ""
