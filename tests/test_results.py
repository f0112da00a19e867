"""Rows of a table from result files alone: what is averaged, over what, and in which order rows stand."""

import json
import math

import numpy as np
import pytest

from latent_lab import report
from latent_lab.head_table import blocks
from latent_lab.results import kinds, read_results, settings
from latent_lab.rows import Spread, aggregate, spread


def write(folder, dataset, n_labels, label_seed, accuracy, status="ok", **more):
    """A job of a sweep as it lies in its folder; ``more`` goes into its result, ``named`` among its settings."""
    named = {"dataset": dataset, "n_labels": n_labels, "label_seed": label_seed} | more.pop("named", {})
    job = folder / ",".join(f"{key}={value}" for key, value in sorted(named.items()))
    job.mkdir(parents=True)
    metrics = dict.fromkeys(report.FEW_LABELS, accuracy) if status == "ok" else {}
    errors = {"ok": None, "failed": "ValueError: no", "interrupted": "interrupted"}
    result = {
        "status": status, "choices": {"model": "vae", "dataset": dataset}, "settings": named, "n_labels": n_labels,
        "label_seed": label_seed, "seed": named.get("seed", 0), "headline": report.FEW_LABELS,
        "repeats": ["label_seed", "seed"], "metrics": metrics, "seconds": {"total": 1.0}, "error": errors[status],
    }  # fmt: skip
    (job / "result.json").write_text(json.dumps(result | more))
    (job / "config.yaml").write_text("seed: 0\n")
    return job


@pytest.fixture
def sweep(tmp_path):
    for dataset, base in (("mnist", 0.8), ("fashion", 0.6)):
        for n_labels in (100, 1000):
            for draw in range(3):
                write(tmp_path, dataset, n_labels, draw, base + n_labels / 10_000 + draw / 100)
    return tmp_path


def test_draws_become_mean_and_sample_deviation(sweep):
    shown, rows = aggregate(read_results(sweep))
    assert shown == ["model", "dataset", "n_labels"]
    assert [(r["dataset"], r["n_labels"], r["draws"], r["seeds"]) for r in rows] == [
        ("fashion", 100, 3, 1), ("fashion", 1000, 3, 1), ("mnist", 100, 3, 1), ("mnist", 1000, 3, 1),
    ]  # fmt: skip
    assert rows[2]["accuracy"] == pytest.approx(Spread(0.82, 0.01, math.nan), nan_ok=True)


def test_the_spread_over_draws_is_pooled_over_seeds_and_that_over_seeds_is_of_the_means():
    table = np.random.default_rng(0).normal(size=(4, 6)) + 10 * np.arange(4)[:, None]  # seed, draw
    found = spread({(seed, draw): table[seed, draw] for seed in range(4) for draw in range(6)})
    within, between = np.sqrt(table.var(axis=1, ddof=1).mean()), table.mean(axis=1).std(ddof=1)
    assert found == pytest.approx((table.mean(), within, between)) and between > 10 * within


def test_seeds_with_fewer_draws_weigh_less():
    """As scipy's and every textbook's pooled variance: squared deviations over degrees of freedom."""
    draws = {0: [1.0, 2.0, 4.0, 8.0], 1: [5.0, 6.0], 2: [7.0]}
    found = spread({(seed, n): value for seed, values in draws.items() for n, value in enumerate(values)})
    squares = sum(((np.array(values) - np.mean(values)) ** 2).sum() for values in draws.values())
    assert found.draws == pytest.approx(math.sqrt(squares / (3 + 1 + 0)))
    assert found.seeds == pytest.approx(np.std([3.75, 5.5, 7.0], ddof=1)) and found.mean == pytest.approx(33 / 7)


def test_one_has_no_spread_and_what_diverged_has_none_either():
    assert spread({}) == pytest.approx((math.nan,) * 3, nan_ok=True)
    assert spread({(0, 0): 2.0}) == pytest.approx((2.0, math.nan, math.nan), nan_ok=True)
    assert spread({(0, 0): 2.0, (0, 1): 4.0}) == pytest.approx((3.0, math.sqrt(2), math.nan), nan_ok=True)
    assert spread({(0, 0): 2.0, (1, 0): 4.0}) == pytest.approx((3.0, math.nan, math.sqrt(2)), nan_ok=True)
    assert all(map(math.isnan, spread({(0, 0): math.nan, (0, 1): 4.0, (1, 0): 1.0})))
    assert spread({(0, 0): math.inf, (1, 0): 1.0}) == pytest.approx((math.inf, math.nan, math.inf), nan_ok=True)


def test_both_spreads_stand_in_the_table_and_a_note_says_which_is_which(tmp_path):
    accuracies = {(0, 0): 0.70, (0, 1): 0.72, (1, 0): 0.80, (1, 1): 0.82}
    for (seed, draw), accuracy in accuracies.items():
        write(tmp_path, "mnist", 100, draw, accuracy, named={"seed": seed})
    shown, (row,) = aggregate(read_results(tmp_path))
    assert shown == ["model", "dataset", "n_labels"], "a row a seed would hide the larger spread"
    assert (row["draws"], row["seeds"]) == (2, 2)
    report.build(tmp_path)
    text = (tmp_path / "results.md").read_text()
    assert "| model | dataset | n_labels | draws | seeds | accuracy % |" in text
    assert "| vae | mnist | 100 | 2 | 2 | 76.00 ± 1.41 ± 7.07 |" in text
    assert "mean ± sample standard deviation over the draws of the labels, then over the seeds of the fit." in text


def test_rows_stand_in_the_order_of_their_values(tmp_path):
    """As text it would be 10, 1e-2, 1e-3, 2."""
    for lr in (10.0, 1e-2, 1e-3, 2.0):
        for n_labels in (1000, 300):
            write(tmp_path, "mnist", n_labels, 0, 0.5, named={"model.lr": lr})
    shown, rows = aggregate(read_results(tmp_path))
    assert shown == ["model", "dataset", "n_labels", "model.lr"]
    rates = [0.001, 0.01, 2.0, 10.0]
    assert [(row["n_labels"], row["model.lr"]) for row in rows] == [(n, lr) for n in (300, 1000) for lr in rates]


def test_values_of_several_kinds_stand_in_one_column(tmp_path):
    for value in ("none", 3, None, [0.5, 0.9], 0.5, True):
        write(tmp_path, "mnist", 100, 0, 0.5, named={"model.x": value})
    _, rows = aggregate(read_results(tmp_path))
    assert [row["model.x"] for row in rows] == [0.5, True, 3, [0.5, 0.9], "none", "null"]


def test_what_a_command_makes_null_is_not_what_no_command_names(tmp_path):
    """Its default may be another: two rows that nothing told apart."""
    write(tmp_path, "mnist", 100, 0, 0.5, setting="a")
    write(tmp_path, "mnist", 100, 1, 0.7, setting="b", named={"model.corruption": None})
    report.build(tmp_path)
    text = (tmp_path / "results.md").read_text()
    assert "| vae | mnist | 100 | - | 1 | 50.00 |" in text and "| vae | mnist | 100 | null | 1 | 70.00 |" in text


def test_a_row_says_that_a_figure_lacks_since_a_seed_diverged(tmp_path):
    for seed, fcd in enumerate((3.0, None)):
        facts = {"headline": {"fcd": "number"}, "repeats": ["seed"], "metrics": {"fcd": fcd}}
        write(tmp_path, "mnist", 100, None, 0, named={"seed": seed}, **facts)
    write(tmp_path, "mnist", 600, None, 0, status="failed", **(facts | {"metrics": {}}))
    report.build(tmp_path)
    text = (tmp_path / "results.md").read_text()
    assert "| vae | mnist | 100 | 2 (1 diverged) | - |" in text and "| vae | mnist | 600 | 0 (1 failed) | - |" in text
    assert "A figure without ± is of one repetition" not in text, "there is none"


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("word", ["logger", "trainer.accelerator", "experiment", "callbacks", "model.beta"])
def test_jobs_of_one_setting_are_one_row_by_whatever_words(tmp_path, word, first):
    """A sweep that another command goes on with: a default is named, or what decides nothing. Of these, the figures of
    the one command once took the place of the other's, and "n" was of one of them."""
    for seed in range(4):
        named = {"seed": seed} | ({word: 1.0} if seed % 2 == first else {})
        for n_labels in (100, 600):
            write(tmp_path, "mnist", n_labels, 0, 0.5 + seed / 10, named=named, setting=str(n_labels), curve="c")
    write(tmp_path, "mnist", 100, 0, 0.2, named={word: 2.0}, setting="other", curve="other")
    shown, rows = aggregate(read_results(tmp_path))
    assert shown == ["model", "dataset", "n_labels", word]
    assert [(row["n_labels"], row[word], row["seeds"]) for row in rows] == [(100, 1.0, 4), (100, 2.0, 1), (600, 1.0, 4)]
    assert rows[0]["accuracy"].mean == pytest.approx(0.65)
    (block,) = blocks(read_results(tmp_path))
    cells = sorted(
        (count, len(cell.values), cell.spread.mean) for row in block.rows.values() for count, cell in row.items()
    )
    assert cells == [(100, 1, 0.2), (100, 4, pytest.approx(0.65)), (600, 4, pytest.approx(0.65))]
    assert block.full == 4 and len(block.rows) == 2


def test_what_was_named_is_a_setting_with_its_kind_and_a_choice_stands_once(tmp_path):
    write(tmp_path, "mnist", 100, 2, 0.5, named={"model.lr": 0.01, "model": "vae"})
    (result,) = read_results(tmp_path)
    assert settings(result) == {"model": "vae", "dataset": "mnist", "n_labels": 100, "label_seed": 2, "model.lr": 0.01}
    assert "versions" not in read_results(tmp_path)[0]


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
    _, rows = aggregate(read_results(tmp_path))
    assert [(row["draws"], round(row["accuracy"].mean, 4)) for row in rows] == [(2, 0.81), (1, 0.5)]


def test_results_that_are_shown_otherwise_have_a_table_of_their_own(tmp_path):
    write(tmp_path, "mnist", 100, 0, 0.5)
    write(tmp_path, "mnist", 100, 1, 0.5, headline={"fcd": "number"}, repeats=["seed"], metrics={"fcd": 1.0})
    for draw in (2, 3):
        write(tmp_path, "mnist", 100, draw, 0.5, repeats=["seed"])
    (tmp_path / "lost").mkdir()
    (tmp_path / "lost" / "config.yaml").write_text("")
    results = read_results(tmp_path)
    assert [len(kind) for kind in kinds(results)] == [1, 1, 2] and len(results) == 5
    shown, rows = aggregate(kinds(results)[2])
    assert shown == ["model", "dataset", "n_labels", "label_seed"] and [row["label_seed"] for row in rows] == [2, 3]


def test_figures_and_their_spreads_have_all_digits_before_the_point(tmp_path):
    """Once 1245.83 ± 3.21 stood there as 1.25e+03 ± 3.2."""
    for seed, fcd in enumerate((1242.62, 1245.83, 1249.04)):
        write(tmp_path, "mnist", 100, None, 0, headline={"fcd": "number"}, repeats=["seed"], metrics={"fcd": fcd},
              named={"seed": seed})  # fmt: skip
    report.build(tmp_path)
    assert "| 1245.8 ± 3.2 |" in (tmp_path / "results.md").read_text()


@pytest.mark.parametrize(
    ("draws", "note"),
    [
        ({100: 1, 300: 1}, "of one repetition each, so no deviation is known."),
        ({100: 2, 300: 1}, "labels. A figure without ± is of one repetition, and its deviation unknown."),
        ({100: 2, 300: 2}, "mean ± sample standard deviation over the draws of the labels."),
    ],
    ids=["none", "some", "all"],
)
def test_the_note_says_of_which_figures_no_deviation_is_known(tmp_path, draws, note):
    for n_labels, count in draws.items():
        for draw in range(count):
            write(tmp_path, "mnist", n_labels, draw, 0.5)
    report.build(tmp_path)
    (line,) = [line for line in (tmp_path / "results.md").read_text().splitlines() if line.startswith("Test-set")]
    assert line.endswith(note), line


def test_results_under_old_names_stand_beside_those_under_new_ones(tmp_path, capsys):
    """What is now ``test_density_nll`` was ``test_nll``, whatever it was."""
    for seed, name in enumerate(("test_nll", "test_density_nll")):
        metrics = {name: 98.7, f"{name}_images": 9}
        write(tmp_path, "mnist", 100, None, 0, headline=None, repeats=["seed"], metrics=metrics, named={"seed": seed})
    results = report.show(tmp_path)
    names = [next(iter(result["metrics"])) for kind in kinds(results) for result in kind]
    assert names == ["test_nll", "test_density_nll"]
    text = (tmp_path / "results.md").read_text()
    assert "| test_nll | test_nll_images |" in text and "| test_density_nll | test_density_nll_images |" in text
    assert text.count("| 98.70 | 9 |") == 2
    assert (tmp_path / "results.csv").read_text().splitlines()[0].count("nll") == 4
