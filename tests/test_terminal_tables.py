"""What a sweep and a job show on terminals of any width: nothing is cut, rows are in order, the best comes last."""

import csv
import json
import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from sweeps_of_heads import write_job

from latent_lab import report, terminal_tables
from latent_lab.results import sortable

DRAWING = "/home/a person/drawings of last summer/spiral-with-a-very-long-name.png"
LIMITS = {"js_limit": 0.1191, "w1_floor": 0.02683}
SWEPT = [(100, [16, 16], "ring"), (1000, [8], "ring"), (600, [128], DRAWING), (600, [8], DRAWING), (100, [8], "ring")]


@pytest.fixture
def narrow(monkeypatch):
    """Runs ``report.show`` on a terminal of that many columns; returns the lines it draws, borders apart."""

    def show(folder: Path, width: int) -> tuple[list[str], str]:
        drawn = StringIO()
        monkeypatch.setattr(report, "console", lambda: Console(file=drawn, width=width, highlight=False))
        report.show(folder)
        return drawn.getvalue().splitlines(), drawn.getvalue()

    return show


@pytest.fixture
def plane(tmp_path):
    """A sweep of plane jobs over three keys, one of them a path."""
    for number, (size, hidden, path) in enumerate(SWEPT):
        named = {"dataset.batch_size": size, "model.generator.hidden": hidden, "dataset.distribution.path": path}
        names = ("js_averaged", "js_limit", "w1_averaged", "w1_floor", "least_averaged", "modes_averaged")
        metrics = {"js_averaged": 0.1 + number, "w1_averaged": 0.2, "least_averaged": 0.9} | LIMITS
        result = {
            "status": "ok", "choices": {"model": "gan", "dataset": "drawing"}, "settings": named, "metrics": metrics,
            "headline": dict.fromkeys(names, "number"), "repeats": ["seed"], "seed": 0, "setting": str(number),
            "statement": "not converged, it oscillates: W1 0.2", "summary": f"oscillated: in {number} frames",
        }  # fmt: skip
        job = tmp_path / "s" / f"job{number}"
        job.mkdir(parents=True)
        (job / "result.json").write_text(json.dumps(result))
        (job / "config.yaml").write_text("")
    return tmp_path / "s"


def whole(lines: list[str]) -> list[str]:
    """The rows of a table with what was wrapped put together again."""
    rows, row = [], []
    for line in lines:
        if line.startswith("│"):
            cells = [cell.strip(" ") for cell in line.strip("│").split("│")]
            row = cells if not row or cells[-1] else ["".join(pair) for pair in zip(row, cells, strict=True)]
            rows = [*rows, row] if cells[-1] else [*rows[:-1], row]
    return [" ".join(row) for row in rows]


@pytest.mark.parametrize("width", [60, 80, 100, 300])
def test_swept_values_are_whole_and_rows_in_their_order(plane, narrow, width):
    lines, text = narrow(plane, width)
    assert max(map(len, lines)) <= width and "…" not in text
    rows = whole(lines)
    assert len(rows) == 5 and text.startswith("model gan, dataset drawing, seeds 1\n")
    path = DRAWING.replace(" ", "")
    expected = [(100, "[8]", "ring"), (100, "[16, 16]", "ring"), (600, "[8]", path), (600, "[128]", path)]
    for row, (size, hidden, of) in zip(rows, [*expected, (1000, "[8]", "ring")], strict=True):
        joined = row.replace(" ", "")
        assert joined.startswith(f"{size}{hidden.replace(' ', '')}{of}"), row


def test_floors_stand_below_and_dashes_nowhere(plane, narrow):
    _, text = narrow(plane, 300)
    assert "\njs_limit 0.1191, w1_floor 0.02683\n" in text and "modes" not in text and text.count("0.1191") == 1
    table = (plane / "results.md").read_text().split("\n\n")[1]
    assert "modes" not in table and "w1_floor" in table


def test_a_figure_that_is_lost_is_a_dash_and_one_that_no_job_has_is_no_column(plane, narrow):
    for file in plane.glob("*/result.json"):
        result = json.loads(file.read_text())
        result["metrics"]["w1_averaged"] = None  # it diverged
        file.write_text(json.dumps(result))
    _, text = narrow(plane, 300)
    assert len(re.findall(r"│ +- │", text)) == 5 and "modes" not in text and " w1_ ┃" in text


def test_figures_without_room_are_named_and_at_40_columns_all_are_listed(plane, narrow):
    _, text = narrow(plane, 60)
    assert "in results.md also: least_averaged\n" in text or "in results.md also: w1_averaged, least_averaged\n" in text
    lines, text = narrow(plane, 30)
    assert "…" not in text and max(map(len, lines)) <= 30
    assert text.count("  js_averaged ") == text.count("  least_averaged 0.9000\n") == 5
    for width in (1, 5, 12, 20):
        narrow(plane, width)


def test_each_verdict_is_a_line_printed_once_and_the_best_file_comes_last(plane, narrow, capsys, monkeypatch):
    monkeypatch.chdir(plane.parent)
    narrow(plane, 80)
    said = capsys.readouterr().out
    for number in range(5):
        assert said.count(f"in {number} frames") == 1 and f"\njob{number}: oscillated: in {number} frames\n" in said
    assert "it oscillates" not in said
    lines = [line.split() for line in said.splitlines() if re.match(r"\w+ +s/\S+$", line)]
    assert lines == [["data", "s/results.csv"], ["table", "s/results.md"], ["report", "s/report.html"]]
    assert said.endswith("s/report.html\n") and max(map(len, said.splitlines())) <= 80


def test_csv_and_markdown_are_in_the_same_order(plane):
    report.build(plane)
    rows = list(csv.DictReader((plane / "results.csv").open()))
    assert [row["job"] for row in rows] == ["job4", "job0", "job3", "job2", "job1"]
    cells = [line.split(" | ")[2:4] for line in (plane / "results.md").read_text().splitlines() if "| gan |" in line]
    assert [size for size, _ in cells] == ["100", "100", "600", "600", "1000"]


@pytest.mark.parametrize(
    "ordered",
    [
        [100, 600, 1000],
        [1e-4, "5e-4", 1e-3, 0.01],
        ["1e-4", "1e-3", "0.01", "100"],
        [[8], [16, 16], [16, 128], [128]],
        [False, True],
        ["8gaussians", "25gaussians", "ring"],
        ["a2", "a10", "b1"],
        [0.5, [1], "none", None],
    ],
)
def test_values_are_sorted_as_what_they_are(ordered):
    assert sorted(reversed(ordered), key=sortable) == ordered


def test_heads_are_whole_at_every_width(tmp_path, narrow):
    names = ("linear_svc", "self_training")
    for count in (20, 50, 100, 300, 600, 1000, 3000):
        for name in names:
            write_job(tmp_path / "s", name, 0.8, n_labels=count, supervision="semi-supervised", curve=name)
    for width in (60, 80, 140):
        lines, text = narrow(tmp_path / "s", width)
        assert "…" not in text and max(map(len, lines)) <= width
        headers = "".join(line for line in lines if line.startswith("┃"))
        assert [headers.count(str(count)) for count in (20, 50, 300, 600)] == [1, 1, 2, 1], "300 is in 3000"
        for name in names:
            assert any(name in row for row in whole(lines))
        assert sum(row.count("80.00") for row in whole(lines)) == 14
    lines, text = narrow(tmp_path / "s", 30)
    assert text.count("80.00") >= 14


def test_heads_of_settings_are_sorted_by_number(tmp_path):
    for value in (10.0, 2.0, 100.0):
        named = {"model": "vae", "dataset": "mnist", "classifier": "tsvm", "classifier.C": value}
        write_job(tmp_path, "tsvm", 0.5, draw=int(value), settings=named, curve=str(value), setting=str(value))
    (block,) = report.heads_of(report.read_results(tmp_path))
    assert [head.name for head in block.rows] == ["tsvm, C=2.0", "tsvm, C=10.0", "tsvm, C=100.0"]


def single(folder: Path, **more) -> str:
    metrics = {"w1": 0.3, "w1_averaged": 0.2, "w1_floor": 0.02683, "w1_floor_sd": 0.001, "w1_limit": 0.0459,
               "kid_std": 3.0, "kid_std_floor": 1.0, "kid_floor": 9.0, "test_elbo": -100.0}  # fmt: skip
    folder.mkdir(exist_ok=True)
    (folder / "result.json").write_text(json.dumps({"status": "ok", "choices": {}, "metrics": metrics} | more))
    (folder / "page.html").write_text("")
    report.show_single(folder)


def test_a_job_shows_each_metric_beside_its_floor_and_limit(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    single(tmp_path / "job", summary="stuck: w1 0.2, limit 0.0459; help", statement="long: reasons")
    said = capsys.readouterr().out
    rows = dict(re.findall(r"^│ (\w+) +│ +(.+?) +│$", said, re.MULTILINE))
    assert re.split(r"[ │]+", rows["w1_averaged"]) == ["0.2000", "0.02683", "0.04590"]
    assert rows["kid_std"].split("│")[1].strip() == "1.000", "its own floor, not kid's"
    assert set(rows) == {"w1", "w1_averaged", "kid_std", "test_elbo"}
    assert said.startswith("\njob\n") and "long" not in said
    assert said.endswith(
        "\nverdict: stuck: w1 0.2, limit 0.0459; help\nreport    job/report.html\npage      job/page.html\n"
    )


def test_a_job_of_before_has_the_beginning_of_its_statement(tmp_path, capsys):
    single(tmp_path / "job", statement="not converged, it oscillates: JS in bits 0.2, W1 0.1")
    assert "\nverdict: not converged, it oscillates\n" in capsys.readouterr().out


def test_a_job_on_a_narrow_terminal_is_a_list(tmp_path, capsys, monkeypatch):
    drawn = StringIO()
    monkeypatch.setattr(report, "console", lambda: Console(file=drawn, width=30, highlight=False))
    single(tmp_path / "job")
    assert "w1_averaged: 0.2000, floor \n0.02683, limit 0.04590\n" in drawn.getvalue()
    assert "test_elbo: -100.0\n" in drawn.getvalue()


def test_files_are_named_from_the_working_directory_where_they_lie_below_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert terminal_tables.from_here(tmp_path / "outputs" / "a") == Path("outputs/a")
    assert terminal_tables.from_here(Path("outputs/a")) == Path("outputs/a")
    assert terminal_tables.from_here(tmp_path.parent / "b") == tmp_path.parent / "b"


def test_where_tensorboard_would_tick_no_run_its_command_is_of_the_fits_and_another_of_the_sweep(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for number in range(40):
        folder = tmp_path / "out" / ("fits" if number < 2 else "sweeps/a b") / f"{number}"
        folder.mkdir(parents=True)
        for name in ("events.out.tfevents.1.a", "events.out.tfevents.2.a", "result.json"):
            (folder / name).touch()
    terminal_tables.show_tensorboard(tmp_path / "out", tmp_path / "out" / "sweeps" / "a b")
    assert capsys.readouterr().out == "\ntensorboard --logdir out\n"
    (tmp_path / "out" / "events.out.tfevents.1.a").touch()
    terminal_tables.show_tensorboard(tmp_path / "out", tmp_path / "out" / "sweeps" / "a b")
    assert capsys.readouterr().out == (
        "\ntensorboard --logdir out/fits          # curves\ntensorboard --logdir 'out/sweeps/a b'  # HPARAMS\n"
    )


def swept(folder: Path, names: list[str]) -> Path:
    """A sweep of plane jobs over two models and these data sets."""
    for model in ("wgan", "wgan_gp"):
        for name in names:
            figures = ("js_averaged", "w1_averaged", "least_averaged", "misplaced_averaged", "near_averaged")
            result = {
                "status": "ok", "choices": {"model": model, "dataset": name}, "settings": {"model": model},
                "metrics": dict.fromkeys(figures, 0.9523), "headline": dict.fromkeys(figures, "number"),
                "repeats": ["seed"], "seed": 0, "setting": model + name,
            }  # fmt: skip
            job = folder / f"dataset={name},model={model}"
            job.mkdir(parents=True)
            (job / "result.json").write_text(json.dumps(result))
            (job / "config.yaml").write_text("")
    return folder


@pytest.mark.parametrize("width", [50, 60, 80])
def test_a_value_is_not_broken_within_a_word_where_a_figure_can_give_way(tmp_path, narrow, width):
    names = ["8gaussians", "25gaussians", "swissroll", "two-dimensional-spirals", "run_of 1e-05"]
    lines, text = narrow(swept(tmp_path / "s", names), width)
    assert max(map(len, lines)) <= width
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]
    shown = {row[1] for row in rows}
    assert {"8gaussians", "25gaussians", "swissroll"} <= shown and {row[0] for row in rows} == {"wgan", "wgan_gp", ""}
    parts = {"two-", "two-dimensional-", "dimensional-", "spirals", "run_of", "1e-05"}
    assert shown <= {*names} | parts, shown
    assert "near_averaged" in text.partition("in results.md also: ")[2]


def test_a_word_that_leaves_no_figure_room_is_broken_and_no_other(tmp_path, narrow):
    _, text = narrow(swept(tmp_path / "s", ["8gaussians", "x" * 70]), 60)
    assert "│ 8gaussians " in text and "x" * 70 not in text and text.count("x") == 140


def heads(folder: Path) -> Path:
    for name in ("linear_svc", "spreading"):
        for count in (20, 50, 100, 300):
            for draw in range(3):
                write_job(folder, name, 0.8 + 0.01 * draw, n_labels=count, draw=draw, supervision="semi-supervised",
                          curve=name)  # fmt: skip
    return folder


def test_spreads_that_have_no_room_are_said_to_stand_in_results_md(tmp_path, narrow):
    said = "results.md has the ± of each\n"
    for width in (30, 60, 80):
        lines, text = narrow(heads(tmp_path / f"{width}"), width)
        table = "".join(line for line in lines if line.startswith("│"))
        assert "±" not in table and text.count(said) == 1, text
        assert "supervise │" not in table and ("semi-supervised" in table or "semi-" in table or width == 30)
    for width in (120, 140):
        _, text = narrow(heads(tmp_path / f"{width}"), width)
        assert text.count("81.00 ± 1.00") == 8 and said not in text
    assert "81.00 ± 1.00" in (tmp_path / "80" / "results.md").read_text()
