"""What commands cost before they do what they are for, in CPU seconds of single-threaded processes.

    python benchmarks/starts.py [paths.data=DIR] [--rounds 5]

Of each kind of start, round by round in turn, the median over the rounds of what the operating system counts for its
process, user and system together; and the packages that its imports took longest for by ``python -X importtime`` (which
lengthens them by a third), each without what it imports in turn.

    a page          --help
    a wrong word    modle=vae
    a wrong value   trainer.max_epochs=0, which no trainer can have; n_labels=7, too few for the classes of the data
    the first batch of a new fit, until it begins
    a found fit     a job on a fit that is finished: its classifier, its result, its line in TensorBoard
    a worker        the same in a process of hydra/launcher=local or slurm
    evaluate        run=, the metrics of a job again; fit=, the pictures of a fit again

The fits are small and go into a folder that is thrown away. With paths.data, MNIST is measured beside the digits, and
is to be there. The goals are those for a machine half as fast as the one that this was written on. Nothing fails where
one is missed.
"""

import argparse
import re
import statistics
import tempfile
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table
from scale import used

FIT = ("model=vae", "trainer.accelerator=cpu", "trainer.max_epochs=1", "+trainer.limit_train_batches=10",
       "model.nll_images=10", "model.nll_samples=2")  # fmt: skip
UNTIL_THE_FIRST_BATCH = """
import os, sys
import train
from latent_lab.deferral import import_lightning
import_lightning()
from callbacks.observers.epoch_seed import EpochSeed
EpochSeed.on_train_batch_start = lambda *_: os._exit(0)
sys.argv[0] = "train.py"
train.main()
"""
PACKAGES = 4  # of those that took longest, how many are named


def imports(said: str) -> str:
    """The packages that ``-X importtime`` says took longest: ``torch 1.24 s, numpy 0.07 s``."""
    seconds: Counter[str] = Counter()
    for own, package in re.findall(r"^import time: +(\d+) \| +\d+ \| +(\w+)", said, re.MULTILINE):
        seconds[package] += int(own) / 1e6
    return ", ".join(f"{package} {value:.2f} s" for package, value in seconds.most_common(PACKAGES))


def starts(outputs: Path, datasets: dict[str, tuple[str, ...]]) -> dict[str, tuple[tuple[str, ...], int, float | None]]:
    """Each kind of start: its command, its exit code, and its goal in CPU seconds, if there is one."""
    new = f"paths.outputs={outputs / 'new'}"
    kinds = {
        "a page": (("train.py", "--help"), 0, 1.0),
        "a wrong word": (("train.py", "modle=vae"), 2, 1.0),
        "a wrong value, of the trainer": (("train.py", *FIT[:2], "trainer.max_epochs=0", new), 2, 4.0),
    }
    for name, words in datasets.items():
        given = (*words, *FIT, f"paths.outputs={outputs / name}")
        (fit,) = (outputs / name / "fits").glob("vae-*")
        run = next((outputs / name / "runs").iterdir())
        kinds |= {
            f"a wrong value, {name}": (("train.py", *words, *FIT, "n_labels=7", new), 2, 4.0),
            f"the first batch, {name}": (("-c", UNTIL_THE_FIRST_BATCH, *words, *FIT, new), 0, 6.0),
            f"a found fit, {name}": (("train.py", *given), 0, 6.0),
            f"a worker, {name}": (("-m", "latent_lab.worker", str(outputs / name / "sweeps" / "two"), "0"), 0, None),
            f"evaluate run=, {name}": (("evaluate.py", f"run={run}"), 0, None),
            f"evaluate fit=, {name}": (("evaluate.py", f"fit={fit}"), 0, None),
        }
    return kinds


def measure(outputs: Path, datasets: dict[str, tuple[str, ...]], rounds: int, progress: Console) -> Table:
    """The table of all figures beside their goals."""
    for name, words in datasets.items():
        progress.print(f"a fit of {name}, and a sweep of two jobs on it")
        given = (*words, *FIT, f"paths.outputs={outputs / name}")
        used("train.py", *given)
        used("train.py", "-m", *given, "label_seed=0,1", "sweep=two")
    kinds = starts(outputs, datasets)
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(rounds):
        progress.print(f"round {number + 1} of {rounds}")
        for kind, (command, code, _) in kinds.items():
            for result in outputs.glob("*/sweeps/two/*/result.json"):
                result.unlink()  # else a worker would find its jobs done
            seconds[kind].append(used(*command, code=code).cpu)
    table = Table(title=f"starts, medians of {rounds} rounds")
    for column in ("", "CPU", "goal", "longest imports"):
        table.add_column(column, justify="right" if column in ("CPU", "goal") else "left")
    for kind, (command, code, goal) in kinds.items():
        longest = imports(used("-X", "importtime", *command, code=code).output)
        table.add_row(kind, f"{statistics.median(seconds[kind]):.2f} s", f"{goal:.0f} s" if goal else "", longest)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", metavar="paths.data=DIR", help="where MNIST lies")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    datasets: dict[str, tuple[str, ...]] = {"digits": ("dataset=digits",)}
    if arguments.data:
        datasets["mnist"] = ("dataset=mnist", arguments.data)
    with tempfile.TemporaryDirectory() as folder:
        table = measure(Path(folder).resolve(), datasets, arguments.rounds, Console(stderr=True))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
