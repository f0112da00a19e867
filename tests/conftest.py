"""Fixtures: the command lines as functions, real data where there is some; the small settings that tests train with."""

import contextlib
import io
import json
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
DATA = os.environ.get("LATENT_LAB_DATA")
os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # before torch is imported: on nets this small, threads wait for each other

# New processes are copies of one that has imported all and done nothing, where the system can copy processes.
PROCESSES = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
PROCESSES.set_forkserver_preload(["train", "latent_lab.launchers", "latent_lab.report", "lightning_modules.vae"])

ON_CPU = ["trainer.enable_progress_bar=false", "trainer.accelerator=cpu"]
QUICK = ["dataset=digits", "trainer.max_epochs=2", *ON_CPU]
SMALL_GAN = [
    "model.generator.channels=4",
    "model.critic.channels=4",
    "dataset.batch_size=16",
    "callbacks.every_n_epochs=1",
]
SMALL_PLANE = [
    "dataset.batch_size=50",
    "dataset.train_size=1000",
    "callbacks.analyses.plane_result.points=2000",
    "callbacks.analyses.plane_result.paired=100",
    "model.generator.hidden=[8]",
    "model.critic.hidden=[8]",
    "callbacks.observers.view.every_n_updates=10",
]


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


def run(program: str, *arguments: str) -> int:
    """Runs ``train.py`` or ``evaluate.py`` in this process, and returns its exit code."""
    import evaluate
    import train

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [f"{program}.py", *arguments])
        try:
            return {"train": train, "evaluate": evaluate}[program].main()
        except SystemExit as stop:
            return stop.code


def said(program: str, *arguments: str) -> str:
    """What the program prints where all goes well. For fixtures that several tests share; a test has ``command``."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = run(program, *arguments)
    assert code == 0, out.getvalue()
    return out.getvalue()


@pytest.fixture
def command(capfd, tmp_path):
    """Runs ``train.py`` or ``evaluate.py`` in this process: ``command("train", *arguments) -> (code, out, err)``.

    Outputs go to ``tmp_path`` unless told otherwise.
    """

    def call(program: str, *arguments: str) -> tuple[int, str, str]:
        if program == "train" and not any(a.startswith("paths.outputs") for a in arguments):
            arguments = (*arguments, f"paths.outputs={tmp_path.as_posix()}")
        code = run(program, *arguments)
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return call


class Started:
    """``train.py`` in a process of its own, which begins where the imports end: they cost more than what is tested."""

    def __init__(self, outputs: Path, *arguments: str):
        outputs.mkdir(exist_ok=True)
        descriptor, name = tempfile.mkstemp(".out", dir=outputs)
        os.close(descriptor)
        self.file = Path(name)
        dataset = [] if any(argument.startswith("dataset=") for argument in arguments) else ["dataset=digits"]
        words = [*dataset, *ON_CPU, f"paths.outputs={outputs}", *arguments]
        self.process = PROCESSES.Process(target=_train, args=(words, name))
        self.process.start()

    def wait(self, seconds: float = 120) -> int:
        """Its exit code."""
        self.process.join(seconds)
        return self.process.exitcode

    @property
    def said(self) -> str:
        """All it has written, to both streams."""
        return self.file.read_text()


def _train(arguments: list[str], out: str) -> None:
    with open(out, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.exit(run("train", *arguments))


def results(folder: Path) -> dict[str, dict]:
    """The results below a folder, by the name of the job."""
    files = [path for path in sorted(folder.rglob("result.json")) if not path.parent.name.startswith("earlier-")]
    return {path.parent.name: json.loads(path.read_text()) for path in files}


def fits(folder: Path) -> list[Path]:
    """The folders of the fits in a folder of outputs."""
    return sorted(path.parent for path in (folder / "fits").glob("*/fit.json"))
