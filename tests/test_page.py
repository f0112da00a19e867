"""A sweep's tables in a page of documentation."""

import pytest
from sweeps_of_heads import write_job

import evaluate
from latent_lab.mistakes import Mistake
from latent_lab.page import commands_of, require_mark
from latent_lab.results import read_results

PAGE = "# Results\n\nbefore\n\n<!-- table: heads -->\nstale\n<!-- end of table -->\n\nafter\n"


@pytest.fixture
def sweep(tmp_path):
    for classifier in ("knn", "tsvm"):
        for draw in range(4):
            write_job(tmp_path / "heads", classifier, 0.7 + draw / 100, draw=draw)
    return tmp_path / "heads"


@pytest.fixture
def command(monkeypatch):
    def run(*words) -> int:
        monkeypatch.setattr("sys.argv", ["evaluate.py", *map(str, words)])
        return evaluate.main()

    return run


def test_the_tables_replace_what_stood_between_the_marks_and_nothing_else(sweep, tmp_path, command):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert command(f"sweep={sweep}", f"into={page}") == 0
    text = page.read_text()
    assert text.startswith("# Results\n\nbefore\n\n<!-- table: heads -->\n\n    python train.py -m ")
    assert text.endswith("\n<!-- end of table -->\n\nafter\n") and "stale" not in text
    assert (
        "python train.py -m model=vae dataset=mnist classifier=knn,tsvm n_labels=100 'label_seed=range(4)' seed=0\n"
        in text
    )
    assert "| vae | knn | supervised | **71.50 ± 1.29** |" in text
    command(f"sweep={sweep}", f"into={page}")
    assert page.read_text() == text


def test_jobs_that_lack_are_said(sweep, tmp_path, command):
    write_job(sweep, "tsvm", None, n_labels=600)
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert command(f"sweep={sweep}", f"into={page}") == 1
    assert "1 of 9 jobs are not done or failed." in page.read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "no such file"),
        ("", "has no <!-- table: heads -->"),
        ("<!-- table: heads -->\n", "<!-- table: heads --> has no <!-- end of table --> of its own below it"),
        ("<!-- table: heads -->\n<!-- table: b -->\n<!-- end of table -->", "has no <!-- end of table --> of its own"),
        (PAGE + PAGE, "has 2 times <!-- table: heads -->"),
    ],
)
def test_a_page_without_a_place_is_a_mistake(tmp_path, text, words):
    page = tmp_path / "page.md"
    if text is not None:
        page.write_text(text)
    with pytest.raises(Mistake) as refused:
        require_mark(page, "heads")
    assert str(refused.value).startswith(f"into={page}: ") and words in str(refused.value)


def test_a_page_without_a_place_is_refused_before_anything_is_written(sweep, tmp_path, command, capsys):
    (tmp_path / "page.md").write_text("nothing")
    with pytest.raises(SystemExit) as stopped:
        command(f"sweep={sweep}", f"into={tmp_path / 'page.md'}")
    assert stopped.value.code == 2 and "has no <!-- table: heads -->" in capsys.readouterr().err
    assert not (sweep / "results.md").exists()


def test_a_page_goes_with_a_sweep(tmp_path, command, capsys):
    with pytest.raises(SystemExit):
        command(f"run={tmp_path}", "into=page.md")
    assert "into=page.md: a page takes the tables of a sweep" in capsys.readouterr().err


def test_commands_name_just_the_jobs_there_are(tmp_path):
    for draw in range(2):
        write_job(tmp_path, "knn", 0.7, draw=draw)
        write_job(tmp_path, "tsvm", 0.7, draw=draw)
        write_job(tmp_path, "tsvm", 0.7, n_labels=600, draw=draw)
        write_job(tmp_path, "linear_svc", 0.7, spread="poisson", draw=draw)
    start = "python train.py -m model=vae dataset=mnist classifier="
    assert set(commands_of(read_results(tmp_path))) == {
        f"{start}knn n_labels=100 label_seed=0,1 seed=0",
        f"{start}tsvm n_labels=100,600 label_seed=0,1 seed=0",
        f"{start}linear_svc spread=poisson n_labels=100 label_seed=0,1 seed=0",
    }


def test_a_command_quotes_what_a_shell_would_take_for_its_own():
    words = [
        "model=vae",
        "callbacks.layers=[real,generated]",
        "~logger",
        "logger=none",
        "hydra/launcher=local",
        "fresh=true",
    ]
    assert commands_of([{"overrides": words}]) == [
        "python train.py model=vae 'callbacks.layers=[real,generated]' '~logger'"
    ]
