"""From nothing to a good classifier by 100 labels: how many minutes? Join: find settings that take fewer.

    python benchmarks/speedrun.py [--log] [--note TEXT] [settings of train.py ...]

The goal is a mean accuracy, over ten draws of 100 labels, of 90.0 % on MNIST and 73.0 % on Fashion-MNIST, by a linear
support vector machine on the codes of a model that was trained without labels. The clock runs from the start of

    python train.py -m experiment=speedrun dataset=fashion,mnist 'label_seed=range(10)' hydra/launcher=local

(the start of Python and the reading of the data included; the data sets must lie in paths.data) to its tables, into a
folder that is thrown away. Settings given here are added to that command, as model.lr=2e-3 or a model of your own.
Choose them by the figures on validation images, which are printed first; those on test images come at the end, once,
from the same fits and by the same draws, and decide whether the goal was reached.

--log appends the run to docs/speedrun.md: date, minutes, figures, settings, hardware and versions. What did not work
stays in it.
"""

import argparse
import csv
import datetime
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from latent_lab.command import read_command
from latent_lab.mistakes import Mistake, fail
from latent_lab.targets import ROOT

LOG = ROOT / "docs" / "speedrun.md"
RECIPE = ("experiment=speedrun", "dataset=fashion,mnist", "label_seed=range(10)", "hydra/launcher=local")
GOALS = {"mnist": 90.0, "fashion": 73.0}


def run(outputs: Path, words: list[str], split: str) -> tuple[float, dict[str, tuple[float, float]]]:
    """Runs the command with these words added, scored on the images of that split, as a sweep of its name.

    Returns:
        the seconds by the watch; and of each data set the mean accuracy in per cent and its standard deviation over the
        draws.

    Raises:
        SystemExit: with the command's exit code, if it fails.
    """
    start = time.perf_counter()
    words = [*RECIPE, *words, f"score_on={split}", f"sweep={split}", f"paths.outputs={outputs}"]
    done = subprocess.run([sys.executable, "train.py", "-m", *words], cwd=ROOT)
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(done.returncode)
    with open(outputs / "sweeps" / split / "results.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    accuracies = {name: [100 * float(row["accuracy"]) for row in rows if row["dataset"] == name] for name in GOALS}
    return seconds, {name: (statistics.mean(a), statistics.stdev(a)) for name, a in accuracies.items()}


def hardware() -> str:
    """The processor and how many of its cores this process may use, and the GPU if there is one."""
    import torch

    model = platform.processor() or platform.machine()
    if (cpuinfo := Path("/proc/cpuinfo")).exists():
        lines = (line.partition(":") for line in cpuinfo.read_text().splitlines())
        model = next((value.strip() for key, _, value in lines if key.strip() == "model name"), model)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{cores} cores of {model} ({torch.backends.cpu.get_cpu_capability()}){gpu}"


def shown(figures: dict[str, tuple[float, float]]) -> str:
    return ", ".join(f"{name} {mean:.2f} ± {spread:.2f}" for name, (mean, spread) in figures.items())


def entry(minutes: float, chosen_by: dict, tested: dict, settings: list[str], note: str | None) -> str:
    """What the log says of a run, a few lines of Markdown."""
    reached = all(tested[name][0] >= goal for name, goal in GOALS.items())
    names = ("torch", "pytorch-lightning", "scikit-learn")
    settings = [word for word in settings if not word.startswith("paths.")]  # no one else's
    lines = [
        f"## {datetime.date.today()}: {minutes:.2f} minutes, {'reached' if reached else 'not reached'}",
        "",
        f"- settings: {' '.join(f'`{word}`' for word in settings) or 'those of `experiment=speedrun`'}",
        f"- test: {shown(tested)}; validation: {shown(chosen_by)}",
        f"- {hardware()}; Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in names),
    ]
    return "\n".join(lines + ([f"- {note}"] if note else [])) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", action="store_true", help="append the run to docs/speedrun.md")
    parser.add_argument("--note", help="a line on what was tried, for the log")
    parser.add_argument("settings", nargs="*", help="as for train.py")
    arguments = parser.parse_intermixed_args()
    try:
        jobs = read_command("train", ["-m", *RECIPE, *arguments.settings]).jobs
        if len(jobs) != 20 or any(job.config["n_labels"] != 100 for job in jobs):
            raise Mistake("a run is ten draws of 100 labels on one fit of each data set; name one value")
    except Mistake as mistake:
        fail(mistake, "speedrun.py")
    with tempfile.TemporaryDirectory() as folder:
        seconds, chosen_by = run(Path(folder), arguments.settings, "validation")
        print(f"validation: {shown(chosen_by)}; {seconds / 60:.2f} minutes", flush=True)
        _, tested = run(Path(folder), arguments.settings, "test")
    text = entry(seconds / 60, chosen_by, tested, arguments.settings, arguments.note)
    print(f"\n{text}")
    if arguments.log:
        with open(LOG, "a", encoding="utf-8") as file:
            file.write(f"\n{text}")


if __name__ == "__main__":
    main()
