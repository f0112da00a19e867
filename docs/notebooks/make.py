"""Makes the notebooks in ``docs/`` of the scripts beside this file, and runs them:

    python docs/notebooks/make.py [NAME ...]

A script is in cells as editors know them: ``# %%`` begins one of code, ``# %% [markdown]`` one of text in comments. A
notebook runs in a folder of its own that is removed, and may say nothing on standard error. Needs the extra ``dev``.
"""

import re
import sys
import tempfile
from pathlib import Path

import nbformat

SCRIPTS = Path(__file__).resolve().parent
NOTEBOOKS = SCRIPTS.parent
ROOT = NOTEBOOKS.parent
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
SECONDS = 900  # that a cell may take


def scripts() -> list[Path]:
    """All there are."""
    return sorted(path for path in SCRIPTS.glob("*.py") if path.name != Path(__file__).name)


def notebook(script: Path) -> nbformat.NotebookNode:
    """A script as a notebook that has not run."""
    cells = []
    for number, (kind, text) in enumerate(_cells(script.read_text(encoding="utf-8"))):
        make = nbformat.v4.new_markdown_cell if kind == "markdown" else nbformat.v4.new_code_cell
        cells.append(make(text, id=f"cell-{number}"))
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL, "language_info": {"name": "python"}})


def _cells(text: str) -> list[tuple[str, str]]:
    _, *parts = re.split(r"^# %%(?: \[(markdown)\])?\n", text, flags=re.MULTILINE)
    found = []
    for kind, body in zip(parts[::2], parts[1::2], strict=True):
        lines = body.strip().split("\n")
        if kind:
            lines = [line.removeprefix("#").removeprefix(" ") for line in lines]
        found.append((kind or "code", "\n".join(line.removesuffix("  # fmt: skip") for line in lines)))
    return found


def run(made: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """Runs a notebook in a folder, wherever that is; returns it with what it showed.

    Raises:
        RuntimeError: for what is said on standard error, as warnings are.
        nbclient.exceptions.CellExecutionError: for an error in a cell.
    """
    from nbclient import NotebookClient

    # What the repository is installed for; a kernel of another environment would not know it.
    first = nbformat.v4.new_code_cell(f"import sys; sys.path.insert(0, {str(ROOT)!r})")
    ran = nbformat.from_dict({**made, "cells": [first, *made.cells]})
    NotebookClient(ran, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    ran.cells = ran.cells[1:]
    for cell in ran.cells:
        cell.metadata.pop("execution", None)  # the time of day
        if cell.cell_type == "code":
            cell.execution_count = None
        for output in cell.get("outputs", []):
            if "execution_count" in output:
                output.execution_count = None
            if output.get("name") == "stderr":
                raise RuntimeError(f"said on standard error: {output.text}")
    return ran


def main() -> None:
    """Makes the notebooks that are named, or all."""
    for script in scripts():
        if script.stem in sys.argv[1:] or not sys.argv[1:]:
            with tempfile.TemporaryDirectory() as folder:
                made = run(notebook(script), Path(folder))
            nbformat.write(made, NOTEBOOKS / f"{script.stem}.ipynb")
            print(f"{NOTEBOOKS / script.stem}.ipynb")


if __name__ == "__main__":
    main()
