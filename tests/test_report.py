"""Tables and charts of a sweep's folder, whatever became of its jobs."""

import csv
import json
import re
import subprocess
import sys

import pytest
from test_results import sweep, write  # noqa: F401 (a fixture)

from conftest import ROOT
from latent_lab import report


def test_one_draw_has_no_deviation(tmp_path):
    write(tmp_path, "mnist", 100, 0, 0.8123)
    report.build(tmp_path)
    assert "| mnist | 100 | 1 | 81.23 |" in (tmp_path / "results.md").read_text()


def test_a_table_stands_with_jobs_lost_failed_or_damaged(sweep, capsys):  # noqa: F811
    jobs = sorted(p for p in sweep.iterdir() if p.is_dir())
    (jobs[0] / "result.json").unlink()
    (jobs[0] / "train.log").write_text("started")
    (jobs[1] / "result.json").write_text("{half")
    write(sweep, "mnist", 100, 9, 0, status="failed")
    write(sweep, "mnist", 1000, 8, 0, status="interrupted")
    results = report.show(sweep)
    statuses = [r["status"] for r in results]
    assert statuses.count("failed") == 3 and statuses.count("interrupted") == 1
    text = (sweep / "results.md").read_text()
    assert "| vae | mnist | 100 | 3 (1 failed) | 82.00 ± 1.00 |" in text
    assert "| vae | fashion | 100 | 2 |" in text and "| vae | fashion | 1000 | 2 |" in text
    assert "ValueError: no" in text and "no result (running, or killed)" in text and "damaged" in text
    out = capsys.readouterr().out
    assert "interrupted: dataset=mnist,label_seed=8,n_labels=1000\n" in out
    assert "failed: dataset=mnist,label_seed=9,n_labels=100: ValueError: no" in out


def test_the_csv_has_a_row_a_job(sweep):  # noqa: F811
    report.build(sweep)
    rows = list(csv.DictReader((sweep / "results.csv").open()))
    assert len(rows) == 12
    found = [float(r["accuracy"]) for r in rows if r["dataset"] == "mnist" and r["n_labels"] == "100"]
    assert sorted(found) == pytest.approx([0.81, 0.82, 0.83])
    assert (sweep / "accuracy.png").stat().st_size > 10_000


def test_the_report_is_a_function_of_the_folder(sweep):  # noqa: F811
    report.build(sweep)
    first = {name: (sweep / name).read_bytes() for name in ("results.csv", "results.md", "accuracy.png")}
    report.build(sweep)
    assert first == {name: (sweep / name).read_bytes() for name in first}


def test_tables_are_made_without_torch(sweep):  # noqa: F811
    code = f"import sys; sys.argv = ['evaluate.py', 'sweep={sweep}']; import evaluate; print(evaluate.main()); "
    code += "print('torch' in sys.modules, 'pytorch_lightning' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines()[-2:] == ["0", "False False"], done.stdout + done.stderr


def test_what_a_head_saw_and_chose_and_warned_of_stands_in_the_csv(tmp_path):
    write(tmp_path, "mnist", 100, 0, 0.5, supervision="semi-supervised", unlabelled=54900, chosen={"C": 10.0})
    write(tmp_path, "mnist", 100, 1, 0.5, inductive=True, warning="it does harm")
    report.build(tmp_path)
    first, second = csv.DictReader((tmp_path / "results.csv").open())
    assert (first["supervision"], first["unlabelled"], first["chosen"]) == ("semi-supervised", "54900", "{'C': 10.0}")
    assert (second["supervision"], second["warning"], second["chosen"]) == ("supervised", "it does harm", "")


def test_the_long_table_says_supervised_only_where_all_are(tmp_path):
    write(tmp_path, "mnist", 100, 0, 0.5, inductive=True)
    said = "Supervised: the classifier was given labelled images only."
    report.build(tmp_path)
    assert said in (tmp_path / "results.md").read_text()
    write(tmp_path, "mnist", 100, 1, 0.5, supervision="semi-supervised")
    report.build(tmp_path)
    assert said not in (tmp_path / "results.md").read_text()


def test_a_terminal_shows_several_heads_as_one_table_and_one_head_as_before(tmp_path, capsys):
    for n_labels in (100, 1000):
        write(tmp_path, "mnist", n_labels, 0, 0.5, choices={"model": "vae", "dataset": "mnist", "classifier": "knn"})
    report.show(tmp_path)
    assert "precision" in capsys.readouterr().out
    for n_labels in (100, 1000):
        choices = {"model": "vae", "dataset": "mnist", "classifier": "tsvm"}
        write(tmp_path, "mnist", n_labels, 0, 0.6, choices=choices, named={"classifier": "tsvm"})
    report.show(tmp_path)
    out = capsys.readouterr().out
    assert "precision" not in out and "mnist, accuracy %" in out
    assert "mnist, 100 labels: best is tsvm, 60.00; next is knn (10.00 behind), by one draw and one fit" in out


def test_a_single_job_is_shown_to_four_digits(tmp_path, capsys):
    """To four decimals, small figures were 0.0000, and large ones had more digits than anyone measures."""
    metrics = {"kid": 1.234e-5, "fcd": 1245.834, "active_units": 48, "w1": float("nan")}
    (tmp_path / "result.json").write_text(json.dumps({"status": "ok", "choices": {}, "metrics": metrics}))
    report.show_single(tmp_path)
    shown = dict(re.findall(r"│ (\w+) +│ +(\S+) │", capsys.readouterr().out))
    assert shown == {"kid": "1.234e-05", "fcd": "1246", "active_units": "48", "w1": "-"}
