"""How good are generated images after how many minutes? FCD over wall time for adversarial models, one picture.

    python benchmarks/quality.py [paths.data=DIR] [--models dcgan wgan_gp r3gan] [--datasets fashion mnist]
                                 [--into quality.png] [settings of train.py ...]

One fit after another by train.py's own training, into a folder that is thrown away, each with its epochs' scores: the
averaged generator's samples against held-out training images, never the test set. The watch starts with the training
and runs on while an epoch is scored and drawn, as it does for whoever waits for it; the data set's scorer is trained
before. Minutes are this machine's, so compare lines of one picture, made while nothing else ran. The dashed line is the
floor, training images in place of samples.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pytorch_lightning as pl

from callbacks.drawing.output import write_whole
from callbacks.observers.epoch_scores import EpochScores
from latent_lab.command import read_command
from latent_lab.mistakes import Mistake, fail
from latent_lab.opened import OpenFit
from latent_lab.plan import Planner
from latent_lab.training import find_or_train, read_data

MODELS, DATASETS = ("dcgan", "wgan_gp", "r3gan"), ("fashion", "mnist")


@dataclass
class Line:
    """A fit: minutes and FCD of the averaged generator at the ends of its scored epochs, and the floor."""

    model: str
    minutes: list[float]
    fcd: list[float]
    floor: float


class Watch(pl.Callback):
    """Minutes from the start of the training to the end of each epoch."""

    def __init__(self):
        self.minutes: dict[int, float] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.minutes[trainer.current_epoch + 1] = (time.perf_counter() - self._start) / 60


def run(model: str, dataset: str, settings: list[str], outputs: Path) -> Line:
    """Trains the model, the scorer first where that is missing, and reads its scores."""
    words = [f"model={model}", f"dataset={dataset}", "logger=none", *settings, f"paths.outputs={outputs}"]
    unit, watch = Planner().add(read_command("train", words).jobs[0], None), Watch()
    for required in unit.fit.requires.values():
        find_or_train(required, read_data(required.config["dataset"]))
    find_or_train(unit.fit, unit.datamodule, [watch])
    kept = OpenFit(unit.fit.folder).observed(EpochScores)
    minutes = [watch.minutes[entry["epoch"]] for entry in kept["epochs"]]
    return Line(model, minutes, [entry["averaged"]["fcd"] for entry in kept["epochs"]], kept["floor"]["fcd"])


def draw(lines: dict[str, list[Line]], into: Path) -> None:
    """One panel a data set, FCD on a logarithmic axis."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    figure = Figure(figsize=(5.5 * len(lines), 4), layout="constrained")
    for axes, (dataset, fits) in zip(figure.subplots(1, len(lines), squeeze=False)[0], lines.items(), strict=True):
        for line in fits:
            axes.plot(line.minutes, line.fcd, marker="o", markersize=3, label=line.model)
        axes.axhline(fits[0].floor, color="black", linestyle="--", linewidth=1, label="floor: real images")
        axes.set(title=dataset, xlabel="wall minutes of training", ylabel="FCD, held-out images", yscale="log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlim(left=0)
        axes.legend()
    write_whole(into, lambda temporary: figure.savefig(temporary, dpi=120, format="png"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--datasets", nargs="+", default=DATASETS)
    parser.add_argument("--into", type=Path, default=Path("quality.png"))
    known, settings = parser.parse_known_args()
    lines: dict[str, list[Line]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for dataset in known.datasets:
            for model in known.models:
                line = run(model, dataset, settings, Path(folder))
                lines.setdefault(dataset, []).append(line)
                for minutes, fcd in zip(line.minutes, line.fcd, strict=True):
                    print(f"{dataset} {model} {minutes:.2f} minutes: FCD {fcd:.1f}, floor {line.floor:.1f}", flush=True)
    draw(lines, known.into)
    print(known.into)


if __name__ == "__main__":
    try:
        main()
    except Mistake as mistake:
        fail(mistake, "quality.py")
