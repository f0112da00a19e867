"""The table of heads and what is said of it, from result files alone."""

import csv
import json
import math
import re
import shutil
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import t
from sweeps_of_heads import write_job, write_sweep

from latent_lab import references, report
from latent_lab.accuracy_chart import COLOURS, LABEL_GAP, accuracy_figure, spread_out
from latent_lab.comparisons import QUANTILES, difference
from latent_lab.head_markup import csv_text, latex, markdown
from latent_lab.head_table import blocks, chosen, standing, tidy, warnings
from latent_lab.report_page.curves import accuracy_chart
from latent_lab.results import read_results

SEMI = "semi-supervised"


def rows(folder, mark="| vae") -> list[list[str]]:
    """The cells of the first table of ``results.md``."""
    report.build(folder)
    first = (folder / "results.md").read_text().split("\n\nTest accuracy")[0]
    return [line.strip("| ").split(" | ") for line in first.splitlines() if line.startswith(mark)]


def test_a_row_a_head_and_a_column_a_count_with_both_spreads(tmp_path):
    for (seed, draw), accuracy in {(0, 0): 0.70, (0, 1): 0.72, (1, 0): 0.80, (1, 1): 0.82}.items():
        write_job(tmp_path, "knn", accuracy, draw=draw, seed=seed)
        write_job(tmp_path, "linear_svc", accuracy + 0.1, spread="poisson", supervision=SEMI, draw=draw, seed=seed)
        write_job(tmp_path, "knn", accuracy + 0.01, n_labels=600, draw=draw, seed=seed)
    assert rows(tmp_path) == [
        ["vae", "knn", "supervised", "76.00 ± 1.41 ± 7.07", "**77.00 ± 1.41 ± 7.07**"],
        ["vae", "linear_svc on poisson", "semi-supervised", "**86.00 ± 1.41 ± 7.07**", "-"],
    ]
    assert "4 repetitions in a cell" in (tmp_path / "results.md").read_text()


def test_what_failed_or_lacks_is_seen_and_is_not_the_best(tmp_path):
    for draw in range(3):
        write_job(tmp_path, "knn", 0.7 + draw / 100, draw=draw)
        write_job(tmp_path, "tsvm", None, n_labels=600, draw=draw)
    write_job(tmp_path, "tsvm", 0.9, draw=0)
    write_job(tmp_path, "tsvm", None, draw=1)
    found = rows(tmp_path)
    assert found[0] == ["vae", "knn", "supervised", "**71.00 ± 1.00**", "-"]
    assert found[1] == ["vae", "tsvm", "supervised", "90.00 (1 of 3) (1 failed)", "- (3 failed)"]


def test_heads_of_one_name_are_told_apart_by_their_settings_or_numbered(tmp_path):
    for draw, (value, curve) in enumerate(((1.0, "a"), (10.0, "b"), (10.0, "c"))):
        named = {"model": "vae", "dataset": "mnist", "classifier": "tsvm", "label_seed": draw, "classifier.C": value}
        write_job(tmp_path, "tsvm", 0.5, draw=draw, settings=named, curve=curve, setting=curve)
    assert [row[1] for row in rows(tmp_path)] == ["tsvm, C=1.0", "tsvm, C=10.0 (1)", "tsvm, C=10.0 (2)"]


def test_heads_stand_in_the_order_of_their_settings_values_by_names_that_say_whose_they_are(tmp_path):
    for draw, value in enumerate((0.1, 1e-5, 100.0, 2e-5)):
        named = {
            "model": "vae",
            "classifier": "tsvm",
            "label_seed": draw,
            "model.decoder.hidden": [16, 8],
            "model.lr": value,
        }
        named["model.decoder.hidden"] = [16, 8] if draw else [256]
        write_job(tmp_path, "tsvm", 0.5, draw=draw, settings=named, setting=str(draw), curve=str(draw))
    found = [row[0] for row in rows(tmp_path)]
    assert found == [
        r"vae, decoder.hidden=\[16, 8\], lr=1e-05",
        r"vae, decoder.hidden=\[16, 8\], lr=2e-05",
        r"vae, decoder.hidden=\[16, 8\], lr=100.0",
        r"vae, decoder.hidden=\[256\], lr=0.1",
    ]
    assert [row[1] for row in rows(tmp_path)] == ["tsvm"] * 4, "the encoder was told that"


def test_a_table_of_validation_images_is_headed_so(tmp_path, capsys):
    """Beside one of test images."""
    for split in ("test", "validation"):
        for classifier in ("knn", "tsvm"):
            write_job(tmp_path, classifier, 0.5, draw=int(split == "test"), scored_on=split)
    report.show(tmp_path)
    said = capsys.readouterr().out
    assert "\nmnist, accuracy %" in said and "\nmnist, validation images, accuracy %" in said
    text = (tmp_path / "results.md").read_text()
    assert "**mnist**\n" in text and "**mnist, validation images**\n" in text
    assert ">mnist, validation images</h2>" in (tmp_path / "report.html").read_text()


def test_a_failed_head_that_was_to_see_the_test_images_says_so(tmp_path):
    write_job(tmp_path, "poisson", None, supervision="transductive")
    write_job(tmp_path, "knn", None)
    assert {(row[1], row[2]) for row in rows(tmp_path)} == {("poisson", "transductive"), ("knn", "-")}


def test_results_from_before_the_three_words_are_read(tmp_path):
    write_job(tmp_path, "linear_svc", 0.7, supervision=None, inductive=True)
    assert rows(tmp_path)[0][2] == "supervised"


def test_heads_that_see_the_test_images_are_apart(tmp_path):
    for draw in range(3):
        write_job(tmp_path, "knn", 0.7, draw=draw)
        write_job(tmp_path, "poisson", 0.8, supervision="transductive", draw=draw)
        write_job(tmp_path, "poisson", 0.75 + draw / 1000, supervision=SEMI, draw=draw)
    found = {(row[1], row[2]): row[3] for row in rows(tmp_path)}
    assert found["poisson", "transductive"].startswith("**80.00") and found["poisson", SEMI].startswith("**75.10")
    (said,) = standing(blocks(read_results(tmp_path))[0])
    assert said == "mnist, 100 labels: best is poisson, 75.10; next is knn (5.10 ± 0.25 behind); 3 pairs"


def test_the_error_of_a_difference_is_not_made_small_by_pairs_that_share_a_fit():
    rng = np.random.default_rng(0)
    fits = rng.normal(size=3)  # what a fit does to the difference, for all its draws
    one = {(seed, draw): 0.9 + 0.01 * fits[seed] + 0.0001 * rng.normal() for seed in range(3) for draw in range(10)}
    found = difference(one, dict.fromkeys(one, 0.9))
    assert found.mean == pytest.approx(np.mean(list(one.values())) - 0.9)
    by_seed = np.reshape(list(one.values()), (3, 10)).mean(axis=1)
    assert found.error == pytest.approx(t.ppf(0.975, 2) * by_seed.std(ddof=1) / math.sqrt(3), rel=1e-3)
    assert found.pairs == 30 and found.error > 4 * np.std(list(one.values()), ddof=1) / math.sqrt(30)


def test_pairs_cancel_what_two_heads_share():
    hard = np.random.default_rng(1).normal(scale=0.02, size=10)
    one = {(0, draw): 0.9 + hard[draw] + 0.001 * (draw % 2) for draw in range(10)}
    other = {(0, draw): 0.898 + hard[draw] for draw in range(10)}
    found = difference(one, other)
    assert found.mean == pytest.approx(0.0025) and not found.within_noise
    assert found.error == pytest.approx(t.ppf(0.975, 9) * 0.001 * np.std([0, 1] * 5, ddof=1) / math.sqrt(10), rel=1e-3)
    assert pytest.approx([t.ppf(0.975, 1 + n) for n in range(len(QUANTILES))], abs=0.006) == QUANTILES


def test_one_draw_and_one_fit_show_little(tmp_path):
    write_job(tmp_path, "knn", 0.7)
    write_job(tmp_path, "tsvm", 0.8)
    (said,) = standing(blocks(read_results(tmp_path))[0])
    assert said.endswith("best is tsvm, 80.00; next is knn (10.00 behind), by one draw and one fit, which show little")


def test_unequal_draws_are_compared_on_what_both_have(tmp_path):
    """The second has only the easy draws: its mean is higher, and it is behind on each."""
    for draw in range(4):
        write_job(tmp_path, "knn", 0.7 + draw / 10, draw=draw)
    for draw in (2, 3):
        write_job(tmp_path, "tsvm", 0.69 + draw / 10, draw=draw)
    write_job(tmp_path, "laplace", 0.99, draw=7)
    (said,) = standing(blocks(read_results(tmp_path))[0])
    assert said == (
        "mnist, 100 labels: best by 4 repetitions is knn, 85.00; next is tsvm (1.00 ± 0.00 behind); 2 pairs; "
        "without a common pair: laplace"
    )


def test_one_ahead_on_the_common_draws_is_named_whatever_the_noise(tmp_path):
    for draw in range(3):
        write_job(tmp_path, "knn", 0.7, draw=draw)
    for draw in range(2):
        write_job(tmp_path, "tsvm", 0.8, draw=draw)
    (said,) = standing(blocks(read_results(tmp_path))[0])
    ahead = "tsvm is ahead by 10.00 ± 0.00 where both were run (2 pairs)"
    assert said == f"mnist, 100 labels: {ahead}; best by 3 repetitions is knn, 70.00"


def test_what_was_chosen_is_counted_and_what_was_warned_of_said(tmp_path):
    for draw in range(3):
        facts = {"warning": "does harm"} if draw else {}
        write_job(tmp_path, "auto", 0.7, draw=draw, chosen={"head": "tsvm" if draw else "knn"}, **facts)
    (block,) = blocks(read_results(tmp_path))
    assert chosen(block) == ["mnist, auto on vae: 100 labels: head=tsvm (2), head=knn (1)"]
    assert warnings(block) == ["mnist, 100 labels, auto on vae, 2 of 3: does harm"]
    text = "\n".join(markdown([block]))
    assert "- mnist, 100 labels, auto on vae, 2 of 3: does harm" in text and "head=tsvm (2)" in text


def test_the_csv_has_a_row_a_cell(tmp_path):
    for draw in range(2):
        write_job(tmp_path, "knn", 0.7 + draw / 10, draw=draw)
        write_job(tmp_path, "tsvm", None, n_labels=600, draw=draw)
    report.build(tmp_path)
    first, second = csv.DictReader((tmp_path / "heads.csv").open())
    assert first["name"] == "knn" and float(first["mean"]) == pytest.approx(0.75) and first["n"] == "2"
    assert float(first["std_draws"]) == pytest.approx(0.1 / math.sqrt(2)) and first["std_seeds"] == "nan"
    assert (second["n_labels"], second["n"], second["failed"], second["scored_on"]) == ("600", "0", "2", "test")
    assert csv_text(tidy(blocks(read_results(tmp_path)))).count("\n") == 3


def test_latex_escapes_names_and_every_row_has_all_columns(tmp_path):
    for number, name in enumerate(("linear_svc", "a&b#50%", "x~{y}^$2")):
        write_job(tmp_path, name, 0.7, n_labels=(100, 600, 600)[number], dataset="mnist")
    text = latex(blocks(read_results(tmp_path)))
    body = text.split("\\toprule")[1].split("\\bottomrule")[0]
    lines = [line for line in body.splitlines() if line.endswith("\\\\")]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {4} and "{lllrr}" in text
    assert (
        "linear\\_svc" in body
        and "a\\&b\\#50\\%" in body
        and "x\\textasciitilde{}\\{y\\}\\textasciicircum{}\\$2" in body
    )
    assert len(re.findall(r"(?<!\\)\{", text)) == len(re.findall(r"(?<!\\)\}", text)) and text.isascii()
    assert "published & M1+TSVM & transductive & 88.18 $\\pm$ 0.25 & 94.28 $\\pm$ 0.05 \\\\" in body


def test_published_figures_stand_below_with_setting_and_source(tmp_path):
    write_job(tmp_path, "knn", 0.7)
    write_job(tmp_path, "knn", 0.8, n_labels=600)
    found = {row[1]: row[2:] for row in rows(tmp_path, "| published")}
    assert found["M1+TSVM"] == ["transductive", "88.18 ± 0.25", "94.28 ± 0.05"]
    assert found["Ladder"] == [SEMI, "98.94 ± 0.37", "-"] and found["exercise"] == ["supervised", "65.77", "79.81"]
    text = (tmp_path / "results.md").read_text()
    assert re.search(r"- .*M1\+TSVM.*: Kingma et al. 2014 \(arXiv 1406.5298\), table 1\n", text)


def test_every_reference_has_a_source_and_one_of_three_settings():
    with open(references.FILE, encoding="utf-8") as file:
        for row in csv.DictReader(file):
            assert row["source"] and 50 < float(row["accuracy"]) < 100
            assert row["setting"] in ("supervised", "semi-supervised", "transductive")
            assert row["deviation"] == "" or float(row["deviation"]) < 5
    for dataset in ("mnist", "fashion"):
        for reference in references.references(dataset):
            assert reference.figures.keys() == reference.sources.keys()


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")
    write_sweep(folder, draws=2, seeds=2, models=("vae", "vae_mlp"))
    return blocks(read_results(folder))


def test_the_chart_has_a_line_a_head_and_a_legend_a_meaning(many):
    figure = accuracy_figure(many)
    assert [axes.get_title() for axes in figure.axes] == ["fashion", "mnist"]
    assert all(len(axes.containers) == 24 for axes in figure.axes)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[11:] == [
        "codes of vae", "codes of vae_mlp", "supervised", "semi-supervised", "transductive", "published",
        "bar: standard deviation",
    ]  # fmt: skip
    bars = next(bars for bars in figure.axes[1].containers if bars.get_label() == "tsvm on vae")
    (head,) = (head for head in many[1].rows if (head.name, head.model) == ("tsvm", "vae"))
    means = [100 * many[1].rows[head][count].spread.mean for count in many[1].counts]
    assert bars.lines[0].get_ydata().tolist() == pytest.approx(means)


def test_one_repetition_has_no_bar_and_the_legend_says_so(tmp_path):
    """A bar of zero length looks like certainty; that of repetitions that agree is a cap."""
    for draw, accuracy in enumerate((0.5, 0.5)):
        write_job(tmp_path, "knn", accuracy, draw=draw)
    write_job(tmp_path, "tsvm", 0.6)
    figure = accuracy_figure(blocks(read_results(tmp_path)))
    drawn = {bars.get_label(): (bars.lines[1], bars.lines[2][0].get_segments()) for bars in figure.axes[0].containers}
    caps, bars = drawn["knn on vae"]
    assert [cap.get_ydata().tolist() for cap in caps] == [[50], [50]] and len(bars) == 1
    caps, bars = drawn["tsvm on vae"]
    assert all(np.isnan(np.asarray(cap.get_ydata(), float)).all() for cap in caps) and not any(len(bar) for bar in bars)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[-2:] == ["bar: standard deviation", "ours without a bar: one repetition"]
    assert "| 60.00 (1 of 2) |" in "\n".join(markdown(blocks(read_results(tmp_path))))


def test_the_axis_holds_the_bars_at_both_ends(tmp_path):
    for draw, accuracy in enumerate((0.2, 0.4, 0.98, 0.998)):
        write_job(tmp_path, "knn" if draw < 2 else "tsvm", accuracy, dataset="digits", draw=draw % 2)
    tables = blocks(read_results(tmp_path))
    (axes,) = accuracy_figure(tables).axes
    ends = [y for bars in axes.containers for bar in bars.lines[2][0].get_segments() for _, y in bar]
    for low, high in (axes.get_ylim(), accuracy_chart(tables[0])["y"]["range"]):
        assert low < min(ends) < 17 and 99.9 < min(max(ends), 99.99) <= high


def test_names_of_published_figures_do_not_lie_on_each_other(many):
    figure = accuracy_figure(many)
    figure.draw_without_rendering()
    for axes in figure.axes:
        boxes = sorted((text.get_window_extent() for text in axes.texts), key=lambda box: box.y0)
        assert len(boxes) >= 4
        assert all(below.y1 <= above.y0 + 1 for below, above in pairwise(boxes))


def test_the_axis_tells_98_2_from_98_5_as_well_as_85_from_87_5(many):
    axes = accuracy_figure(many).axes[1]
    place = {value: axes.transData.transform((100, value))[1] for value in (85, 87.5, 98.2, 98.5)}
    assert place[98.5] - place[98.2] == pytest.approx(place[87.5] - place[85], rel=1e-6)


def test_a_perfect_head_and_one_count_can_be_drawn(tmp_path):
    write_job(tmp_path, "knn", 1.0, dataset="digits")
    (axes,) = accuracy_figure(blocks(read_results(tmp_path))).axes
    assert axes.get_ylim()[1] <= 100 and axes.containers[0].lines[0].get_xdata().tolist() == [100]
    assert accuracy_figure([]) is None


def test_heads_beyond_the_colours_are_counted(tmp_path):
    for number in range(len(COLOURS) + 3):
        write_job(tmp_path, f"head{number:02}", 0.5 + number / 100)
    figure = accuracy_figure(blocks(read_results(tmp_path)))
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert f"head{len(COLOURS) - 1:02}" in names and "3 more" in names and f"head{len(COLOURS):02}" not in names


def test_places_are_moved_as_little_as_the_gap_asks_for():
    assert spread_out([0.2, 0.5, 0.8], LABEL_GAP) == [0.2, 0.5, 0.8]
    moved = spread_out([0.0, 0.0, 0.99, 0.995, 1.0], 0.1)
    assert moved == pytest.approx([0.05, 0.15, 0.75, 0.85, 0.95])


def test_nothing_on_test_images_is_quoted_beside_figures_on_validation_images(tmp_path):
    for split in ("test", "validation"):
        write_job(tmp_path / split, "knn", 0.9, dataset="mnist", scored_on=split)
        report.build(tmp_path / split)
    test, validation = ((tmp_path / split / "results.md").read_text() for split in ("test", "validation"))
    assert "| published | M1+M2 |" in test and "Published:" in test
    assert "Validation accuracy in per cent" in validation and "ublished" not in validation
    (block,) = blocks(read_results(tmp_path / "validation"))
    assert "M1+M2" not in latex([block]) and not block.published


def test_a_table_too_wide_for_the_terminal_gives_up_spreads_and_keeps_names_whole(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("latent_lab.terminal_tables.OFF_A_TERMINAL", 110)
    for count in (100, 600, 1000, 3000):
        for seed in range(2):
            for draw in range(2):
                write_job(tmp_path, "linear_svc", 0.8 + 0.01 * draw, n_labels=count, draw=draw, seed=seed)
        write_job(tmp_path, "self_training", 0.9, n_labels=count, supervision="semi-supervised", curve="another")
    report.show(tmp_path)
    shown = capsys.readouterr().out
    assert "│ linear_svc " in shown and "│ semi-supervised │" in shown
    assert "80.50 │" in shown and "80.50 ±" not in shown.split("mnist, 100 labels")[0]
    assert "results.md has the ± of each\n" in shown


def test_callbacks_and_experiment_name_no_head(tmp_path):
    write_job(tmp_path, "linear_svc", 0.8)
    other = write_job(tmp_path, "knn", 0.7, curve="own")
    content = json.loads((other / "result.json").read_text())
    content["settings"] |= {"callbacks": "images_codes", "experiment": "kingma2014", "trainer.accelerator": "cpu"}
    content["choices"] |= {"callbacks": "images_codes", "experiment": "kingma2014"}
    (other / "result.json").write_text(json.dumps(content))
    (block,) = report.heads_of(report.read_results(tmp_path))
    assert {head.name for head in block.rows} == {"linear_svc", "knn"}


def test_all_labels_are_a_column_and_no_place_on_an_axis(tmp_path):
    for count in (20, 100, "all"):
        write_job(tmp_path, "knn", 0.9 if count == "all" else 0.8, "digits", count)
    report.build(tmp_path)
    heading = "| codes of | classifier | setting | 20 labels | 100 labels | all labels |"
    assert heading in (tmp_path / "results.md").read_text()
    (block,) = report.heads_of(report.read_results(tmp_path))
    assert accuracy_chart(block)["x"]["ticks"] == [20, 100]
    (tmp_path / "accuracy.png").unlink()
    for job in [*tmp_path.glob("*n_labels=20,*"), *tmp_path.glob("*n_labels=100,*")]:
        shutil.rmtree(job)
    report.build(tmp_path)
    assert not (tmp_path / "accuracy.png").exists()


def test_a_figure_that_is_no_number_does_not_stop_the_table(tmp_path):
    write_job(tmp_path, "knn", 0.8, "digits", metrics={"accuracy": None})
    report.build(tmp_path)
    assert "(1 diverged)" in (tmp_path / "results.md").read_text()
