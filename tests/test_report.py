"""Tables from result files alone."""

import csv
import json
import math

import pytest

from latent_lab import charts
from latent_lab import report


def write(folder, dataset, n_labels, seed, accuracy, status="ok"):
    job = folder / f"dataset={dataset},label_seed={seed},n_labels={n_labels}"
    job.mkdir(parents=True)
    metrics = dict.fromkeys(report.FEW_LABELS, accuracy) if status == "ok" else {}
    result = {
        "status": status, "choices": {"model": "vae", "dataset": dataset}, "n_labels": n_labels, "label_seed": seed,
        "overrides": [f"dataset={dataset}", f"n_labels={n_labels}", f"label_seed={seed}", "paths.data=x", "sweep=s"],
        "metrics": metrics, "seconds": {"total": 1.0}, "error": None if status == "ok" else "ValueError: no",
    }  # fmt: skip
    (job / "result.json").write_text(json.dumps(result))
    return job


@pytest.fixture
def sweep(tmp_path):
    for dataset, base in (("mnist", 0.8), ("fashion", 0.6)):
        for n_labels in (100, 1000):
            for seed in range(3):
                write(tmp_path, dataset, n_labels, seed, base + n_labels / 10_000 + seed / 100)
    return tmp_path


def test_draws_become_mean_and_sample_deviation(sweep):
    shown, rows = report.aggregate(report.read_results(sweep))
    assert shown == ["model", "dataset", "n_labels"]
    assert [(r["dataset"], r["n_labels"], r["draws"]) for r in rows] == [
        ("fashion", 100, 3), ("fashion", 1000, 3), ("mnist", 100, 3), ("mnist", 1000, 3),
    ]  # fmt: skip
    assert rows[2]["accuracy"] == pytest.approx((0.82, 0.01))


def test_a_draw_counts_once_and_settings_are_not_mixed(tmp_path):
    """The same draw under two names, and the same settings in words with another fit behind them."""

    def setting(job, digest, created):
        result = json.loads((job / "result.json").read_text())
        (job / "result.json").write_text(json.dumps(result | {"setting": digest, "created": created}))

    old = write(tmp_path, "mnist", 100, 0, 0.10)
    setting(old.rename(tmp_path / "n_labels=100"), "a", "2026-01-01")
    setting(write(tmp_path, "mnist", 100, 0, 0.80), "a", "2026-01-02")
    setting(write(tmp_path, "mnist", 100, 1, 0.82), "a", "2026-01-02")
    setting(write(tmp_path, "mnist", 100, 2, 0.50), "b", "2026-01-02")
    _, rows = report.aggregate(report.read_results(tmp_path))
    assert [(row["draws"], round(row["accuracy"][0], 4)) for row in rows] == [(2, 0.81), (1, 0.5)]


def test_one_draw_has_no_deviation(tmp_path):
    write(tmp_path, "mnist", 100, 0, 0.8123)
    _, rows = report.aggregate(report.read_results(tmp_path))
    assert math.isnan(rows[0]["accuracy"][1])
    assert "| mnist | 100 | 1 | 81.23 |" in (report.build(tmp_path), (tmp_path / "results.md").read_text())[1]


def test_a_table_stands_with_jobs_lost_failed_or_damaged(sweep):
    jobs = sorted(p for p in sweep.iterdir() if p.is_dir())
    (jobs[0] / "result.json").unlink()
    (jobs[0] / "train.log").write_text("started")
    (jobs[1] / "result.json").write_text("{half")
    write(sweep, "mnist", 100, 9, 0, status="failed")
    results = report.build(sweep)
    assert [r["status"] for r in results].count("failed") == 3
    text = (sweep / "results.md").read_text()
    assert "| vae | mnist | 100 | 3 (1 failed) | 82.00 ± 1.00 |" in text
    assert "| vae | fashion | 100 | 2 |" in text and "| vae | fashion | 1000 | 2 |" in text
    assert "ValueError: no" in text and "no result (running, or killed)" in text and "damaged" in text


def test_the_csv_has_a_row_a_job_and_references_are_sourced(sweep):
    report.build(sweep)
    rows = list(csv.DictReader((sweep / "results.csv").open()))
    assert len(rows) == 12
    found = [float(r["accuracy"]) for r in rows if r["dataset"] == "mnist" and r["n_labels"] == "100"]
    assert sorted(found) == pytest.approx([0.81, 0.82, 0.83])
    text = (sweep / "results.md").read_text()
    assert "Kingma et al. 2014 (arXiv 1406.5298), table 1" in text
    assert "| 65.77 | 88.18 |" in text
    assert (sweep / "accuracy.png").stat().st_size > 10_000


def test_the_report_is_a_function_of_the_folder(sweep):
    report.build(sweep)
    first = {name: (sweep / name).read_bytes() for name in ("results.csv", "results.md", "accuracy.png")}
    report.build(sweep)
    assert first == {name: (sweep / name).read_bytes() for name in first}


def test_every_reference_has_a_source():
    for row in charts.references():
        assert row["source"] and row["setting"] and 0 < row["accuracy"] < 100
