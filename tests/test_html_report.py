"""The page of a job and of a sweep, by its bytes."""

import base64
import hashlib
import html
import json
import os
import re
import subprocess
import sys

import pytest
from commands import ROOT, environment
from pages_of_jobs import EVIL, Read, add, adversarial, animation, few_labels, history, page_of, picture
from sweeps_of_heads import write_job, write_sweep

from latent_lab import html_report
from latent_lab.html_report import MOST_BYTES, write_job_page
from latent_lab.report_page.curves import MOST_VALUES, loss_charts
from latent_lab.report_page.markup import element, from_markdown, joined


@pytest.fixture
def sweep(tmp_path):
    few_labels(tmp_path / "few")
    return tmp_path / "few"


@pytest.fixture
def gans(tmp_path):
    adversarial(tmp_path / "gans")
    return tmp_path / "gans"


def test_it_is_a_function_of_the_files_and_nothing_in_it_is_fetched(sweep, gans):
    for folder in (sweep, gans):
        text = page_of(folder)
        assert page_of(folder) == text
        without = text.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
        assert not re.search(r"https?:|//\w+\.|@import|url\(", without)
        read = Read(text)
        sources = [a[key] for _, a in read.elements for key in ("src", "href") if key in a]
        assert sources and all(source.startswith("data:image/") for source in sources)
        assert not any(key.startswith("on") or key == "style" for _, a in read.elements for key in a)


def test_only_our_script_and_our_style_are_let_run(gans):
    text = page_of(gans)
    (policy,) = [a["content"] for a in Read(text).attributes("meta") if "http-equiv" in a]
    assert policy.startswith("default-src 'none'; img-src data:;") and "unsafe" not in policy
    for tag in ("style", "script"):
        inside = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.S)
        assert len(inside) == 1
        digest = base64.b64encode(hashlib.sha256(inside[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_the_tables_have_the_figures_of_the_results(sweep):
    read = Read(page_of(sweep))
    for text in ("71.50 ± 0.71", "90.50 ± 0.71", "74.50 ± 0.71", "93.50 ± 0.71", "8 of 8 jobs done, digits"):
        assert text in read.texts
    sorted_by = [float(a["data-by"]) for a in read.attributes("td") if "data-by" in a]
    assert {71.5, 90.5, 74.5, 93.5} <= set(sorted_by)
    assert "digits, 20 labels: best is linear_svc, 74.50" in " ".join(read.texts)


def test_the_points_of_a_chart_are_the_table_s_and_name_the_command_that_makes_them(sweep):
    (chart,) = Read(page_of(sweep)).charts
    (knn, svc) = chart["series"]
    assert [point[0] for point in knn["points"]] == [20, 100] and knn["name"] == "knn on vae, supervised"
    assert [point[1] for point in svc["points"]] == pytest.approx([74.5, 93.5])
    assert svc["points"][0][2] == pytest.approx(0.7071, abs=1e-4) and svc["points"][0][3] == "74.50 ± 0.71 %"
    words = "model=vae dataset=digits classifier=linear_svc n_labels=20 label_seed=0,1 seed=0"
    assert chart["commands"][svc["points"][0][4]] == f"python train.py -m {words}"


def test_one_repetition_has_no_error_bar(tmp_path):
    few_labels(tmp_path, draws=1)
    (chart,) = Read(page_of(tmp_path)).charts
    assert {point[2] for series in chart["series"] for point in series["points"]} == {None}


def test_scores_have_a_chart_a_metric_with_the_floor_as_a_choice(gans):
    scores, *losses = Read(page_of(gans)).charts
    assert scores["title"] == "fcd" and scores["y"]["names"] == ["model dcgan", "model wgan_gp"]
    assert [point[0] for point in scores["series"][0]["points"]] == [30.5, 31.5]
    assert scores["commands"][1] == "python train.py model=wgan_gp dataset=digits"
    assert [chart["title"] for chart in losses] == ["losses", "losses"]


def test_what_all_rows_agree_in_stands_above_them_and_bounds_have_no_chart(gans):
    for job in gans.glob("*/result.json"):
        metrics = {"fcd": 30.0 + len(job.parent.name), "fcd_floor": 1.25}
        add(job.parent, headline={"fcd": "number", "fcd_floor": "number"}, metrics=metrics)
    read = Read(page_of(gans))
    assert "In all rows: dataset digits, fcd_floor 1.250." in read.texts
    assert [chart["title"] for chart in read.charts if chart["y"]["scale"] == "rows"] == ["fcd"]
    assert "fcd_floor" not in [text for at, text in enumerate(read.texts) if text in ("fcd", "fcd_floor")][:2]


def test_losses_are_thinned_and_what_is_no_number_is_left_out():
    long = history()
    long |= {"updates": list(range(5000)), "rows": [[float("nan") if n % 2 else n / 10] for n in range(5000)]}
    (chart,) = loss_charts(long, "words")
    running, held = chart["series"]
    assert 100 < len(running["points"]) <= MOST_VALUES and held["name"] == "D, training set"
    assert [running["points"][at][0] for at in (0, -1)] == [0, 4998], "what the fit came to is there"
    assert held["points"] == [[500, 1.4, None, None, 0]] and chart["lines"] == [["ln 2", 0.693]]
    json.dumps(chart, allow_nan=False)


def test_every_epoch_s_sheet_has_its_verdict_beside_it(gans):
    says = [a["data-says"] for a in Read(page_of(gans)).attributes("img") if "data-says" in a]
    expected = [
        "epoch 1: failed: noise",
        "epoch 2: not good: blurred, artefacts",
        "epoch 3: good; the least FCD of all",
    ]
    assert says == expected * 2


@pytest.mark.parametrize(
    ("comment", "intervals", "first"),
    [
        (b"epochs 2 4 6", "1 1", "epoch 2: not good: blurred, artefacts"),
        (b"", "1 1", "epoch 1: failed: noise"),
        (b"", "1 2", "frame 1 of 3"),  # as many, but not the same ones
        (b"epochs 1 2", "1 2", "frame 1 of 3"),
    ],
)
def test_no_epoch_gets_another_s_verdict(tmp_path, comment, intervals, first):
    adversarial(tmp_path, models=("dcgan",), comment=comment)
    (job,) = [path for path in tmp_path.iterdir() if path.is_dir()]
    (job / "config.yaml").write_text("\n".join(f"every_n_epochs: {n}" for n in intervals.split()))
    says = [a["data-says"] for a in Read(page_of(tmp_path)).attributes("img") if "data-says" in a]
    assert says[0] == first


def test_a_confusion_matrix_says_its_counts(sweep):
    said = [a["data-says"] for a in Read(page_of(sweep)).attributes("td") if "data-says" in a]
    assert said[:4] == ["0 rightly 0: 9 of 10, 90.0 %", "0 taken for 1: 1 of 10, 10.0 %",
                        "1 taken for 0: 0 of 4, 0.0 %", "1 rightly 1: 4 of 4, 100.0 %"]  # fmt: skip


def test_a_single_job_has_a_page_with_its_settings_versions_and_command(gans):
    (job,) = gans.glob("*model=dcgan*")
    text = write_job_page(job).read_text()
    read = Read(text)
    assert read.attributes("details")[0].get("open", 0) is None  # unfolded
    for word in ("good at epoch 3".capitalize() + ".", "python train.py model=dcgan dataset=digits", "2.14.1", "CPU",
                 "dcgan on digits", "30.50"):  # fmt: skip
        assert word in read.texts
    assert "secret" not in text and len(read.charts) == 1


def test_the_page_of_a_fit_in_the_plane_is_named_where_there_is_one(gans):
    (job,) = gans.glob("*model=dcgan*")
    (job / "page.html").write_text("")
    assert [a["href"] for a in Read(write_job_page(job).read_text()).attributes("a")] == ["page.html"]
    (link,) = [a["href"] for a in Read(page_of(gans)).attributes("a")]
    assert link.endswith("/page.html") and "," not in link and "=" not in link


def test_nothing_that_a_name_contains_is_markup(tmp_path):
    folder = tmp_path / "a <b> & c"
    words = {"model": EVIL, "dataset": EVIL, "classifier": EVIL}
    for draw in range(2):
        job = write_job(folder, f"c{draw}", 0.5)
        add(job, choices=words, settings=words | {"n": draw}, overrides=[f"{EVIL}={EVIL}{draw}"], statement=EVIL,
            confusion=[[1, 2], [3, 4]], class_names=[EVIL, "b"], versions={EVIL: EVIL}, chosen={EVIL: EVIL},
            headline={EVIL: "number"}, metrics={EVIL: 1.5}, fit=EVIL,
            verdict={"labels": {"1": EVIL}, "reasons": {"1": [EVIL]}, "best": 1})  # fmt: skip
        animation(job / "epochs.gif", 2, EVIL.encode())
        (job / "report.md").write_text(f"**{EVIL}**\n\n| {EVIL} |\n|---|\n| {EVIL} |\n")
        told = history()
        told["charts"][0] |= {"title": EVIL, "series": {"critic_loss": EVIL}, "lines": {EVIL: 1.0}}
        (job / "history.json").write_text(json.dumps(told))
    failed = write_job(folder, "d", None)
    add(failed, error=EVIL)
    text = page_of(folder)
    read = Read(text)
    assert len(read.attributes("script")) == 2 and text.count("</script") == 2 and "<img src=x" not in text
    assert {source[:11] for a in read.attributes("img") for source in [a["src"]]} == {"data:image/"}
    assert any(EVIL in said for said in read.texts) and any(EVIL in chart["title"] for chart in read.charts)
    assert not any(name.startswith("on") for _, attributes in read.elements for name in attributes)


def test_a_name_that_is_no_utf8_is_no_hindrance(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    job = write_job(folder, os.fsdecode(b"\xff"), 0.5)
    (job / "page.html").write_text("")
    read = Read(page_of(folder))
    assert r"caf\udce9" in read.texts and read.attributes("a")[0]["href"].startswith("classifier%3D%FF%2C")


@pytest.mark.parametrize("mark", ["\x1b[2J", "\u202e", "\u200f", "\u2067"])
def test_no_mark_turns_or_hides_what_a_page_says(tmp_path, mark):
    """In its text, its attributes, and what its script puts there."""
    write_job(tmp_path, f"a{mark}b", 0.5)
    write_job(tmp_path, f"c{mark}d", 0.6)
    text = page_of(tmp_path)
    charts = json.dumps(Read(text).charts, ensure_ascii=False)
    assert mark not in text and mark not in charts and f"a{mark.encode('unicode_escape').decode()}b" in text


def test_text_is_escaped_wherever_it_is_put():
    assert element("td", "<b>", "&", class_='"x"') == '<td class="&quot;x&quot;">&lt;b&gt;&amp;</td>'
    assert joined(["<", element("p", "a"), None]) == "&lt;<p>a</p>"
    assert from_markdown("a <i> **<b>**") == "<p>a &lt;i&gt; <b>&lt;b&gt;</b></p>"


def test_a_report_s_tables_can_be_sorted_and_its_pictures_are_left_out():
    found = from_markdown("| a | b\\|c |\n|---|---|\n| x | 1,246.5 |\n| y | - |\n\n![s](s.png)\n[p](page.html)\nend")
    assert 'data-by="1246.5"' in found and ">b|c<" in found and "png" not in found and "page.html" not in found
    assert found.endswith("<p>end</p>")


def test_what_is_damaged_is_missing_and_the_rest_is_there(gans):
    (job,) = gans.glob("*model=dcgan*")
    picture(job / "nearest.png")
    whole = len(Read(write_job_page(job).read_text()).attributes("img"))
    (job / "epochs.gif").write_bytes((job / "epochs.gif").read_bytes()[:200])
    (job / "samples.png").write_bytes(b"<svg onload=alert(1)>")
    (job / "history.json").write_text("[]")
    (job / "report.md").write_bytes(b"\xff\xfe| |")
    read = Read(write_job_page(job).read_text())
    assert whole == 5 and len(read.attributes("img")) == 1 and read.charts == []
    (job / "result.json").write_text("{")
    assert "result.json" in html.unescape(write_job_page(job).read_text())


def test_a_job_that_failed_is_told_with_its_error(tmp_path):
    job = write_job(tmp_path, "tsvm", None)
    texts = Read(page_of(tmp_path)).texts
    assert any("failed: ValueError: no" in text for text in texts)
    assert any("failed: ValueError: no" in text for text in Read(write_job_page(job).read_text()).texts)


def test_a_large_sweep_is_shown_by_its_rows_and_says_so(tmp_path, monkeypatch):
    write_sweep(tmp_path, draws=2, seeds=1)
    text = page_of(tmp_path)
    assert len(text.encode()) < MOST_BYTES
    assert "Of each row the first repetition is shown, of the first 40 of 96 rows." in text
    assert len(re.findall('class="card"', text)) == 40 and "all 192 jobs" in text
    monkeypatch.setattr(html_report, "MOST_BYTES", len(text.encode()))
    small = page_of(tmp_path)
    assert len(re.findall('class="card"', small)) < 40 and len(small) < len(text)


def test_it_imports_neither_torch_nor_matplotlib(sweep):
    program = (
        "import sys; from pathlib import Path; from latent_lab.html_report import write_sweep_page\n"
        f"write_sweep_page(Path({str(sweep)!r}))\n"
        "print({'torch', 'matplotlib', 'scipy', 'sklearn', 'numpy.linalg'} & set(sys.modules) - {'numpy.linalg'})"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


def test_one_number_of_labels_makes_a_chart_of_rows_and_several_one_of_curves(tmp_path):
    for epochs in (2, 4):
        write_job(tmp_path, "knn", 0.8 + epochs / 100, "digits", model=f"vae{epochs}")
    (chart,) = [chart for chart in Read(page_of(tmp_path)).charts if chart["title"].startswith("accuracy")]
    assert chart["y"]["names"] == ["model vae2", "model vae4"]
    write_job(tmp_path, "knn", 0.9, "digits", 600, model="vae2")
    assert "digits: accuracy over the number of labels" in Read(page_of(tmp_path)).charts[0]["title"]
