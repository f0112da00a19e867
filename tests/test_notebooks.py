"""The notebooks in ``docs/``: what their scripts say, and they run."""

import re
import sys

import pytest
from commands import ROOT

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
sys.path.insert(0, str(ROOT / "docs" / "notebooks"))
import make  # noqa: E402

SCRIPTS = {script.stem: script for script in make.scripts()}
MOST_BYTES = 1_500_000  # a notebook is read in a browser, and lies in the repository


def stored(name: str):
    return nbformat.read(make.NOTEBOOKS / f"{name}.ipynb", as_version=4)


def assert_shown(made) -> None:
    """What each cell displays is there to be seen: a picture, or a page, and not just the words of what has neither."""
    showing = [cell for cell in made.cells if cell.cell_type == "code" and "display(" in cell.source]
    assert showing
    for cell in showing:
        shown = [output.data for output in cell.outputs if output.output_type == "display_data"]
        assert shown and all({"image/png", "text/html"} & set(data) for data in shown), cell.source


def test_every_experiment_has_one():
    assert set(SCRIPTS) == {"few_labels", "gans_on_images", "gan_in_the_plane"}
    assert {path.stem for path in make.NOTEBOOKS.glob("*.ipynb")} == set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_notebook_is_made_of_its_script(name):
    found = [(cell.cell_type, cell.source) for cell in stored(name).cells]
    assert found == [(cell.cell_type, cell.source) for cell in make.notebook(SCRIPTS[name]).cells]


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_a_notebook_shows_is_whole_small_and_of_no_machine(name):
    made = stored(name)
    nbformat.validate(made)
    assert (make.NOTEBOOKS / f"{name}.ipynb").stat().st_size < MOST_BYTES
    outputs = [output for cell in made.cells for output in cell.get("outputs", [])]
    assert outputs and not [
        output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"
    ]
    assert_shown(made)
    assert not re.search(r"(/home|/root|/tmp|/work)/", nbformat.writes(made))


def test_cells_are_cut_where_the_script_says(tmp_path):
    script = tmp_path / "a.py"
    script.write_text('# %% [markdown]\n# # Title\n#\n# text\n\n# %%\nx = [1]  # fmt: skip\n\n\nprint("# %%")\n')
    cells = [(cell.cell_type, cell.source) for cell in make.notebook(script).cells]
    assert cells == [("markdown", "# Title\n\ntext"), ("code", 'x = [1]\n\n\nprint("# %%")')]


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_notebook_runs_in_any_folder_says_no_warning_and_leaves_nothing(name, tmp_path):
    pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    ran = make.run(make.notebook(SCRIPTS[name]), tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert_shown(ran)
    shown = [output for cell in ran.cells for output in cell.get("outputs", [])]
    assert [output.output_type for output in shown] == [
        output.output_type for cell in stored(name).cells for output in cell.get("outputs", [])
    ]
