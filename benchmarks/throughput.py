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
    bf16 (with --fast)   ours in that mode

Figures are medians over the rounds; ratios are taken within each round, since machines drift. Whole epochs count, their
checkpoints and logging included; the first epoch (warm-up, compilation) does not. --steps N makes an epoch of N
updates, on which its end then weighs more. On a machine with other work, --clock cpu counts this process's time alone;
take it with OMP_NUM_THREADS=1, since threads add up. All run on the CPU. Settings are those of train.py.
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
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import adversarial_steps
import pytorch_lightning as pl
import torch
from pythae_trainer import train_with_pythae
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader
from torchvision.transforms import ToTensor

from datamodules.images import Images, to_unit_range
from latent_lab.command import Job, read_command
from latent_lab.plan import Planner
from latent_lab.targets import build, resolve
from latent_lab.training import quiet, train
from lightning_modules.adversarial import Adversarial

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
DEFAULTS = ("model=vae_mlp", "dataset=mnist", "trainer.accelerator=cpu")  # which settings may name otherwise


@dataclass
class Race:
    """What all contestants run.

    Attributes:
        job: the command's, as train.py would be given it.
        data: its data module, set up.
        clock: gives the seconds now.
        epochs: timed ones.
        updates: in an epoch.
        images_per_update: of all batches that the model takes in a step.
    """

    job: Job
    data: Images
    clock: Callable[[], float]
    epochs: int
    updates: int
    images_per_update: int

    def model(self) -> pl.LightningModule:
        """A new one, in training mode."""
        return build(self.job.config["model"], **self.data.offers).train()


def vae_step(model):
    optimizer = torch.optim.Adam(model.parameters(), lr=model.lr, fused=True)

    def update(x: torch.Tensor) -> None:
        loss = model.loss(model(model.see((x, None))), model.beta)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return update


def timed_epochs(batches, update, race: Race) -> float:
    """Images a second of a plain loop over ``batches()``, after twenty updates of warm-up."""
    for x in itertools.islice(batches(), 20):
        update(x)
    images, start = 0, race.clock()
    for _ in range(race.epochs):
        for x in itertools.islice(batches(), race.updates):
            update(x)
            images += len(x)
    return images / (race.clock() - start)


def bare(race: Race) -> float:
    model, images, size = race.model(), to_unit_range(race.data.train.images), race.images_per_update
    if isinstance(model, Adversarial):
        images, update = model.scaled(images), adversarial_steps.bare(model)
    else:
        update = vae_step(model)

    def batches():
        order = torch.randperm(len(images))
        return (images[order[i : i + size]] for i in range(0, len(images) - size + 1, size))

    return timed_epochs(batches, update, race)


def torchvision_loop(race: Race) -> float:
    import torchvision
    from torch.utils.data import Subset

    model = race.model()
    if isinstance(model, Adversarial):
        transform, update = adversarial_steps.common_transform(model), adversarial_steps.common(model)
    else:
        transform, update = ToTensor(), vae_step(model)
    dataset = getattr(torchvision.datasets, race.data.name)(race.job.config["dataset"]["root"], transform=transform)
    dataset = Subset(dataset, range(len(race.data.train.images)))
    loader = DataLoader(dataset, race.images_per_update, shuffle=True, drop_last=True)
    return timed_epochs(lambda: (x for x, _ in loader), update, race)


def ours(race: Race, validate: bool = False, precision: str = "32-true", compiled: bool = False) -> float:
    config = race.job.config
    observers = {name: observer for name, observer in config["callbacks"]["observers"].items() if name == "history"}
    budget = {"max_epochs": race.epochs + 1, "limit_train_batches": race.updates, "precision": precision}
    callbacks = {"requires": {}, "observers": observers, "analyses": {}}
    config = config | {"compile": compiled, "trainer": config["trainer"] | budget, "callbacks": callbacks}
    if not validate:
        config["trainer"] |= {"limit_val_batches": 0}
        config["dataset"] = config["dataset"] | {"val_size": 1}  # the history's look after each epoch is at so many
    times: list[float] = []  # of the starts of the epochs, and of the end
    tick = pl.callbacks.LambdaCallback(
        on_train_epoch_start=lambda *_: times.append(race.clock()), on_train_end=lambda *_: times.append(race.clock())
    )
    with tempfile.TemporaryDirectory() as folder:
        paths = config["paths"] | {"outputs": folder}
        unit = Planner().add(replace(race.job, config=config | {"paths": paths}), None)
        train(unit.fit, unit.datamodule, [tick])
    return race.epochs * race.updates * race.images_per_update / (times[-1] - times[1])


def pythae(race: Race, **optimizer) -> float:
    images, targets = (split[: race.updates * race.images_per_update] for split in race.data.train)
    arguments = (race.model(), to_unit_range(images), targets, race.data.batch_size, race.epochs, race.clock)
    return race.epochs * len(images) / train_with_pythae(*arguments, **optimizer)


def contestants(adversarial: bool, fast: bool) -> dict[str, Callable[[Race], float]]:
    """Name to a function that gives images a second."""
    found = {"bare": bare, "ours": ours}
    if adversarial:
        found["common"] = torchvision_loop
    else:
        found |= {"ours+val": partial(ours, validate=True), "torchvision": torchvision_loop}
        if find_spec("pythae"):
            found |= {"pythae": partial(pythae, fused=True), "pythae as it comes": pythae}
    if fast:
        found["bf16"] = partial(ours, precision="bf16-mixed")
        found |= {} if adversarial else {"bf16+compile": partial(ours, precision="bf16-mixed", compiled=True)}
    return found


def read_job(settings: list[str], batch: int | None) -> Job:
    """The job of a command of these settings, which take the place of the defaults."""
    named = {word.partition("=")[0] for word in settings}
    words = [word for word in DEFAULTS if word.partition("=")[0] not in named] + settings
    return read_command("train", [*words, *([] if batch is None else [f"dataset.batch_size={batch}"])]).jobs[0]


def run(rivals: dict, race: Race, rounds: int, progress: Console) -> dict[str, list[float]]:
    """Images a second of each, in each round."""
    rates: dict[str, list[float]] = {name: [] for name in rivals}
    for number, (name, rival) in itertools.product(range(rounds), rivals.items()):
        progress.print(f"batch {race.data.batch_size}, round {number + 1}/{rounds}: {name}")
        # the bars are drawn as for a user, into a buffer
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            rates[name].append(rival(race))
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
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: of this process, on a busy machine")
    parser.add_argument("--fast", action="store_true", help="also bf16 and compiled")
    parser.add_argument("settings", nargs="*", help="as for train.py; model=vae_mlp dataset=mnist unless given")
    arguments = parser.parse_intermixed_args()
    logging.disable(logging.WARNING)
    quiet()

    console, progress = Console(width=100, file=sys.stdout), Console(file=sys.stderr)
    target = resolve(read_job(arguments.settings, None).config["model"]["_target_"])
    adversarial = issubclass(target, Adversarial)
    for batch in arguments.batch or ([None] if adversarial else [128, 512]):
        job = read_job(arguments.settings, batch)
        data = build(job.config["dataset"])
        data.setup()
        model = build(job.config["model"], **data.offers)
        size = data.batch_size * (getattr(model, "batches_per_step", None) or 1)
        whole = len(data.train.images) // size
        race = Race(job, data, CLOCKS[arguments.clock], arguments.epochs, min(arguments.steps or whole, whole), size)
        rates = run(contestants(adversarial, arguments.fast), race, arguments.rounds, progress)
        threads = f"{torch.get_num_threads()} threads, {arguments.clock} time"
        console.print(table(rates, f"{job.choices['model']}, batch {data.batch_size}, {threads}"))


if __name__ == "__main__":
    main()
