"""Names, settings and errors that are commands to whatever shows them."""

import csv
import json
import logging
import os
import re

import pytest
from markdown_it import MarkdownIt
from sweeps_of_heads import write_job

from latent_lab import page, report
from latent_lab.charts import accuracy_figure, losses_figure, panels_figure
from latent_lab.escaping import as_code, in_chart, in_latex, in_markdown, one_line
from latent_lab.head_markup import markdown_table
from latent_lab.logs import logs_into
from latent_lab.results import read_results

HOSTILE = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "a|b", "[/red]", "[bold red]x[/]", "[link](http://x)",
    "![i](http://x/y.png)", "a\nb", "\n\n# heading\n", "\x1b[2J\x1b]0;title\x07", "\x9b31m", "`code`", "``", "a`b``c",
    "*a*", "__b__", "_c_", "snake_case_name", "$x$ and $y$", "$\\frac", "a\\", "\\|", "&lt;b&gt;", "~~s~~", "-->",
    "{a}%#&_^~", ":smile:", "\u202eright to left", "a\rb", "\udcff", "\u2028", "x" * 300, "/closed", "[b]", "é±λ",
]  # fmt: skip
SOME = [*HOSTILE[:4], *HOSTILE[7:12], "a\rb", "$\\frac$", "\u202eright to left"]
RENDER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def texts(markdown: str) -> list[str]:
    """What a reader of each paragraph, heading and cell sees, which must be plain text."""
    seen = []
    for token in RENDER.parse(markdown):
        if token.type == "inline":
            assert {child.type for child in token.children} <= {"text", "text_special", "code_inline"}, token.content
            seen.append("".join(child.content for child in token.children))
        assert token.type != "html_block"
    return seen


@pytest.mark.parametrize("text", HOSTILE)
def test_a_markdown_table_shows_it_as_it_is_in_one_cell(text):
    (header, *cells) = texts("\n".join(markdown_table([text, "b"], [[text, "1"], ["2", text]])))
    expected = one_line(text).strip()
    assert [header.strip(), *map(str.strip, cells)] == [expected, "b", expected, "1", "2", expected]


@pytest.mark.parametrize("text", HOSTILE)
def test_so_does_code_and_the_item_of_a_list(text):
    (item,) = texts(f"- {as_code(text)}: {in_markdown(text)}")
    assert item.split() == f"{one_line(text)}: {one_line(text)}".split()


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_unseen_reaches_a_terminal_or_a_page_of_latex(text):
    assert one_line(text).isprintable() and in_latex(text).isprintable()
    one_line(text).encode()
    left = re.sub(r"\\[&%$#_{}]|\\text\w+\{\}|\$\\pm\$|\$[<>|]\$|\{[\[*]\}", "", in_latex(text))
    assert not re.search(r"[\\&%$#_{}~^<>|\[*]", left)


def test_names_of_ours_are_as_they_were():
    for name in ("linear_svc on poisson", "model=vae,n_labels=100", "76.00 ± 1.41", "-", "0.5"):
        assert in_markdown(name) == one_line(name) == name


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A sweep whose data set, classifier, settings and errors are all of the above."""
    folder = tmp_path_factory.mktemp("<b>[red] a|b")
    for number, text in enumerate(SOME):
        name = text.replace("/", "_")[:20]  # of a folder too
        named = {"settings": {"model": text, f"model.{text[:9]}": text}, "chosen": {text: text}, "warning": text}
        done = write_job(folder / str(number), name, 0.9, name, model=name, spread=name, statement=text, **named)
        failed = write_job(folder / str(number), name, None, name, draw=1, model=name, spread=name, error=text)
        (done / "report.md").write_text("<script>1</script>\n\n![a](view.png)\n\n**bold** 1 < 2")
        for job in (done, failed):
            os.rename(job, folder / f"{number} {job == done} <i>`[x](y) {os.fsdecode(bytes([255]))}")
    return folder


def test_a_sweep_of_such_names_has_whole_tables(hostile, capsys):
    """On a terminal, as Markdown, LaTeX and CSV: as many rows and cells as there are, and no HTML."""
    report.show(hostile)
    said = capsys.readouterr().out
    assert re.search(r"[^\n -~\xa0-\U0010ffff]", said) is None and "\u202e" not in said
    assert "[/red]" in said and "<script>" in said
    text = (hostile / "results.md").read_text(encoding="utf-8")
    rendered = RENDER.render(text)
    assert not re.search(r"<(script|i|b|img|a)\b(?! src=\"\d+%20)", rendered.replace('<img src="accuracy.png', ""))
    assert '<img src="0%20True%20%3Ci%3E%60%5Bx%5D%28y%29%20%FF/view.png" alt="a"' in rendered
    assert "<strong>bold</strong> 1 &lt; 2" in rendered
    for table in re.findall(r"<table>.*?</table>", rendered, re.S):
        widths = {len(re.findall(r"<t[dh]", row)) for row in re.findall(r"<tr>.*?</tr>", table, re.S)}
        assert len(widths) == 1
    for line in (hostile / "heads.tex").read_text(encoding="utf-8").splitlines():
        assert not line.endswith(r"\\") or line.count(" & ") == 3
    rows = list(csv.DictReader((hostile / "results.csv").open(newline="", encoding="utf-8")))
    assert len(rows) == 2 * len(SOME)
    assert {row["error"] for row in rows} >= {"<script>alert(1)</script>", "a|b", "  # heading "}


@pytest.mark.parametrize("text", ["=1+1", "=cmd|'C calc'!A0", "+a", "-a", "@SUM(A1)", " =1", "\t=1"])
def test_a_spreadsheet_finds_no_formula_in_a_csv(tmp_path, text):
    write_job(tmp_path, text, 0.5, model=text, n_labels=100)
    report.build(tmp_path)
    for name in ("results.csv", "heads.csv"):
        cells = [cell for row in csv.reader((tmp_path / name).open(newline="", encoding="utf-8")) for cell in row]
        assert not [cell for cell in cells if cell.lstrip()[:1] in ("=", "+", "@")], cells
        assert not [cell for cell in cells if cell.lstrip()[:1] == "-" and cell != "-"], cells
        assert f"'{one_line(text)}" in cells


def test_a_single_job_of_such_names_is_shown(tmp_path, capsys):
    result = {"status": "ok", "choices": {}, "metrics": {text: 1.0 for text in HOSTILE}, "statement": "\x1b[2J[/red]"}
    (tmp_path / "result.json").write_text(json.dumps(result))
    report.show_single(tmp_path)
    said = capsys.readouterr().out
    assert "\x1b" not in said and "[/red]" in said and said.count("1.000") == len(HOSTILE) and ":smile:" in said
    (tmp_path / "result.json").write_text(json.dumps({"status": "failed", "error": "a\n\x1b[2Jb"}))
    report.show_single(tmp_path)
    assert capsys.readouterr().out.startswith("failed: a \\x1b[2Jb\n")


@pytest.mark.parametrize("text", ["$\\frac$", "$x$ and $y$", "a$b", "$\\unknown{$"])
def test_a_chart_shows_no_formula(tmp_path, text):
    from matplotlib.figure import Figure

    figure = Figure()
    figure.text(0, 0, in_chart(text))
    figure.savefig(tmp_path / "a.png")
    write_job(tmp_path, text, 0.9, model=text, spread=text)
    from latent_lab.report import heads_of

    accuracy_figure(heads_of(read_results(tmp_path))).savefig(tmp_path / "a.png")
    panels_figure([({"a": text}, tmp_path / "a.png"), ({"a": 1}, tmp_path / "a.png")]).savefig(tmp_path / "b.png")
    assert losses_figure({}) is None


def test_a_log_moves_no_cursor(tmp_path, capsys):
    config = {
        "version": 1, "formatters": {"f": {"format": "%(message)s"}}, "root": {"handlers": ["c"], "level": "INFO"},
        "handlers": {"c": {"class": "logging.StreamHandler", "formatter": "f", "stream": "ext://sys.stdout"}},
        "disable_existing_loggers": False,
    }  # fmt: skip
    with logs_into(tmp_path, config):
        logging.getLogger("train").error("FAILED, %s", "\x1b[2Ja\nb\x07")
    assert "FAILED, \\x1b[2Ja\nb\\x07\n" in capsys.readouterr().out


def test_a_command_on_a_page_is_one_line():
    (command,) = page.commands_of([{"overrides": ["dataset.name=a\n<script>", "model=vae"]}])
    assert command == "python train.py 'dataset.name=a <script>' model=vae"
