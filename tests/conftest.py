"""Fixtures: the command lines as functions, real data where there is some."""

import json
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
DATA = os.environ.get("LATENT_LAB_DATA")


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")


def pytest_collection_modifyitems(config, items):
    no_data = pytest.mark.skip(reason="LATENT_LAB_DATA names no folder with MNIST/raw and FashionMNIST/raw")
    not_slow = pytest.mark.skip(reason="slow; run with --slow")
    for item in items:
        if "real_data" in item.keywords and not (DATA and (Path(DATA) / "MNIST" / "raw").is_dir()):
            item.add_marker(no_data)
        if "slow" in item.keywords and not config.getoption("--slow"):
            item.add_marker(not_slow)


@pytest.fixture
def data() -> str:
    """The folder of the real data."""
    return str(Path(DATA).resolve())


@pytest.fixture
def command(monkeypatch, capfd, tmp_path):
    """Runs ``train.py`` or ``evaluate.py`` in this process: ``command("train", *arguments) -> (code, out, err)``.

    Outputs go to ``tmp_path`` unless told otherwise.
    """

    def call(program: str, *arguments: str) -> tuple[int, str, str]:
        import evaluate
        import train

        if program == "train" and not any(a.startswith("paths.outputs") for a in arguments):
            arguments = (*arguments, f"paths.outputs={tmp_path.as_posix()}")
        monkeypatch.setattr(sys, "argv", [f"{program}.py", *arguments])
        try:
            code = {"train": train, "evaluate": evaluate}[program].main()
        except SystemExit as stop:
            code = stop.code
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return call


def results(folder: Path) -> dict[str, dict]:
    """The results below a folder, by the name of the job."""
    files = [path for path in sorted(folder.rglob("result.json")) if not path.parent.name.startswith("earlier-")]
    return {path.parent.name: json.loads(path.read_text()) for path in files}
