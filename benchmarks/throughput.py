"""Training images per second of this project beside the loops one would write without it.

    python benchmarks/throughput.py paths.data=DIR [--batch 128 512] [--rounds 3] [--epochs 2] [--steps N] [--fast]
                                    [--clock cpu] [key=value ...]

In turn, round by round in one process, the same network with the same losses and Adam:

    bare         a plain loop over float32 tensors in memory, fp32: the yardstick
    ours         trainer.fit of this project with progress bar, TensorBoard and a checkpoint every epoch, fp32
    ours+val     the same with its validation pass every epoch
    torchvision  torchvision's MNIST with ToTensor, a shuffling DataLoader, a plain loop, fp32
    pythae       pythae's trainer, if installed (pip install pythae), fp32
    pythae as it comes   the same with its own choice of Adam, which is not the fused one of all others
    bf16, bf16+compile (with --fast)   ours in those modes

With model=dcgan or model=wgan_gp, in real images a second, at the model's own batch size unless --batch is given:

    bare         a plain loop, nothing computed that is not needed; without ours' moving average of the generator
    ours         as above, with the losses' history; not what comes once an epoch: validation, scores, sheets
    common       the step as commonly published, over a DataLoader as torchvision's above (adversarial_steps.py)
    compile, bf16, bf16+compile (with --fast)   ours in those modes

Figures are medians over the rounds; ratios are taken within each round, since machines drift. Whole epochs count, their
checkpoints and logging included; the first epoch (warm-up, compilation) does not. --steps N makes an epoch of N
updates, on which its end then weighs more. On a machine with other work, --clock cpu counts this process's time alone;
take it with OMP_NUM_THREADS=1, since threads add up. Settings are those of train.py.
"""

import argparse
import contextlib
import io
import itertools
import logging
import operator
import statistics
import sys
import tempfile
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import adversarial_steps
import pytorch_lightning as pl
import torch
from hydra.utils import get_class
from pythae_trainer import train_with_pythae
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader
from torchvision.transforms import ToTensor

from latent_lab import command as compose
from latent_lab import training as fitting
from latent_lab import fits as runs
from datamodules.images import to_unit_range
from lightning_modules.adversarial import Adversarial

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


class EpochClock(pl.Callback):
    """Seconds from the start of the second epoch to the end of training."""

    def __init__(self, clock):
        self.clock = clock

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            self.start = self.clock()

    def on_train_end(self, trainer, pl_module):
        self.seconds = self.clock() - self.start


def updates(config: dict) -> int:
    """In an epoch."""
    return config["trainer"]["limit_train_batches"]


def images_per_update(config: dict) -> int:
    return config["dataset"]["batch_size"] * config["dataset"]["batches_per_step"]


def vae_step(model):
    optimizer = torch.optim.Adam(model.parameters(), lr=model.lr, fused=True)

    def update(x: torch.Tensor) -> None:
        reconstruction, kl, _ = model(model.see((x, None)))
        loss = reconstruction.mean() + model.beta * kl.sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return update


def timed_epochs(batches, update, config: dict, epochs: int) -> float:
    """Images a second of a plain loop over ``batches()``, after twenty updates of warm-up."""
    for x in itertools.islice(batches(), 20):
        update(x)
    clock, images = CLOCKS[config["clock"]], 0
    start = clock()
    for _ in range(epochs):
        for x in itertools.islice(batches(), updates(config)):
            update(x)
            images += len(x)
    return images / (clock() - start)


def bare(config: dict, data, epochs: int) -> float:
    model = fitting.build(config["model"]).train()
    images, size = to_unit_range(data.train.images), images_per_update(config)
    if isinstance(model, Adversarial):
        images, update = model.scaled(images), adversarial_steps.bare(model)
    else:
        update = vae_step(model)

    def batches():
        order = torch.randperm(len(images))
        return (images[order[i : i + size]] for i in range(0, len(images) - size + 1, size))

    return timed_epochs(batches, update, config, epochs)


def torchvision_loop(config: dict, data, epochs: int) -> float:
    import torchvision
    from torch.utils.data import Subset

    model = fitting.build(config["model"]).train()
    if isinstance(model, Adversarial):
        transform, update = adversarial_steps.common_transform(model), adversarial_steps.common(model)
    else:
        transform, update = ToTensor(), vae_step(model)
    dataset = getattr(torchvision.datasets, data.name)(config["dataset"]["root"], transform=transform)
    dataset = Subset(dataset, range(len(data.train.images)))
    loader = DataLoader(dataset, images_per_update(config), shuffle=True, drop_last=True)
    return timed_epochs(lambda: (x for x, _ in loader), update, config, epochs)


def ours(config: dict, data, epochs: int, validate: bool = False, precision: str = "32-true", compiled: bool = False):
    trainer = {"max_epochs": epochs + 1, "precision": precision, "limit_val_batches": 1.0 if validate else 0}
    history = {name: callback for name, callback in config["callbacks"]["fit"].items() if name == "history"}
    config = config | {"compile": compiled, "callbacks": {"fit": history, "post_fit": {}}}
    config["trainer"] = config["trainer"] | trainer
    clock = EpochClock(CLOCKS[config["clock"]])
    with tempfile.TemporaryDirectory() as folder:
        config["paths"] = {"outputs": folder}
        fit = runs.Fit(config, "benchmark", Path(folder))
        fitting.train(config, fit, fitting.build(config["dataset"]), [clock])
    return epochs * updates(config) * images_per_update(config) / clock.seconds


def pythae(config: dict, data, epochs: int, **optimizer) -> float:
    images, targets = (split[: updates(config) * images_per_update(config)] for split in data.train)
    model, clock = fitting.build(config["model"]), CLOCKS[config["clock"]]
    arguments = (model, to_unit_range(images), targets, config["dataset"]["batch_size"], epochs, clock)
    return epochs * len(images) / train_with_pythae(*arguments, **optimizer)


def contestants(adversarial: bool, fast: bool) -> dict:
    """Name to a function of config, data and epochs, which gives images a second."""
    found = {"bare": bare, "ours": ours}
    if adversarial:
        found["common"] = torchvision_loop
    else:
        found |= {"ours+val": partial(ours, validate=True), "torchvision": torchvision_loop}
        if find_spec("pythae"):
            found |= {"pythae": partial(pythae, fused=True), "pythae as it comes": pythae}
    if fast:
        found |= {"compile": partial(ours, compiled=True)} if adversarial else {}
        found["bf16"] = partial(ours, precision="bf16-mixed")
        found["bf16+compile"] = partial(ours, precision="bf16-mixed", compiled=True)
    return found


def configuration(settings: list[str], batch: int | None) -> dict:
    sizes = [] if batch is None else [f"dataset.batch_size={batch}"]
    command = compose.read_command("train", ["model=vae_mlp", "dataset=mnist", *settings, *sizes])
    return fitting.plain(command.jobs[0]) | {"model_name": command.choices[0]["model"]}


def race(rivals: dict, config: dict, data, rounds: int, epochs: int, progress: Console) -> dict[str, list[float]]:
    """Images a second of each, in each round."""
    rates: dict[str, list[float]] = {name: [] for name in rivals}
    for number, (name, rival) in itertools.product(range(rounds), rivals.items()):
        progress.print(f"batch {config['dataset']['batch_size']}, round {number + 1}/{rounds}: {name}")
        # the bars are drawn as for a user, into a buffer
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            rates[name].append(rival(config, data, epochs))
    return rates


def table(rates: dict[str, list[float]], title: str) -> Table:
    yardsticks = [name for name in rates if name in ("bare", "torchvision", "common") or name.startswith("pythae")]
    shown = Table(title=title)
    for column in ("", "images/s", *(f"/ {name}" for name in yardsticks)):
        shown.add_column(column, justify="right")
    for name, values in rates.items():
        ratios = (statistics.median(map(operator.truediv, values, rates[other])) for other in yardsticks)
        shown.add_row(name, f"{statistics.median(values):,.0f}", *(f"{ratio:.2f}" for ratio in ratios))
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2, help="timed epochs of each contestant in a round")
    parser.add_argument("--steps", type=int, help="updates in an epoch; all the images' unless given")
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="cpu: seconds of this process, on a busy machine"
    )
    parser.add_argument("--fast", action="store_true", help="also bf16 and compiled")
    parser.add_argument("settings", nargs="*", help="as for train.py; model=vae_mlp dataset=mnist unless given")
    arguments = parser.parse_intermixed_args()
    logging.disable(logging.WARNING)
    fitting.quiet()

    console, progress = Console(width=100, file=sys.stdout), Console(file=sys.stderr)
    target = get_class(configuration(arguments.settings, None)["model"]["_target_"])
    adversarial = issubclass(target, Adversarial)
    for batch in arguments.batch or ([None] if adversarial else [128, 512]):
        config = configuration(arguments.settings, batch) | {"clock": arguments.clock}
        data = fitting.build(config["dataset"])
        data.setup()
        whole = len(data.train.images) // images_per_update(config)
        config["trainer"]["limit_train_batches"] = min(arguments.steps or whole, whole)
        rivals = contestants(adversarial, arguments.fast)
        rates = race(rivals, config, data, arguments.rounds, arguments.epochs, progress)
        size, threads = config["dataset"]["batch_size"], torch.get_num_threads()
        console.print(table(rates, f"{config['model_name']}, batch {size}, {threads} threads, {arguments.clock} time"))


if __name__ == "__main__":
    main()
