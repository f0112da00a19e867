"""What the benchmarks of training run: the job of a command, its data, and the loops that are timed on them."""

import functools
import itertools
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pytorch_lightning as pl
import steps
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from datamodules.images import Images
from latent_lab.command import Job, read_command
from latent_lab.plan import Planner
from latent_lab.targets import build
from latent_lab.training import train

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
DEFAULTS = ("model=vae_mlp", "dataset=mnist", "trainer.accelerator=cpu")  # which settings may name otherwise
WARM_UP = 20  # updates of a plain loop that do not count
PRODUCT = 2048  # rows and columns of the matrices whose product is the yardstick


def read_job(settings: list[str], batch: int | None = None) -> Job:
    """The job of a command of these settings, which take the place of the defaults."""
    named = {word.partition("=")[0] for word in settings}
    words = [word for word in DEFAULTS if word.partition("=")[0] not in named] + settings
    return read_command("train", [*words, *([] if batch is None else [f"dataset.batch_size={batch}"])]).jobs[0]


@dataclass
class Race:
    """What all contestants run.

    Args:
        job: the command's, as train.py would be given it.
        epochs: timed ones.
        most_updates: of an epoch, or None for all.
        clock: gives the seconds now.

    Attributes:
        data: its data module, set up.
        images_per_update: of all batches that the model takes in a step.
        updates: in an epoch.
    """

    job: Job
    epochs: int
    most_updates: int | None = None
    clock: Callable[[], float] = CLOCKS["wall"]
    data: Images = field(init=False)
    images_per_update: int = field(init=False)
    updates: int = field(init=False)

    def __post_init__(self):
        self.data = build(self.job.config["dataset"])
        self.data.setup()
        self.images_per_update = self.data.batch_size * (getattr(self.model(), "batches_per_step", None) or 1)
        whole = len(self.data.train.images) // self.images_per_update
        self.updates = min(self.most_updates or whole, whole)

    def model(self) -> pl.LightningModule:
        """A new one, in training mode."""
        return build(self.job.config["model"], **self.data.offers).train()

    @functools.cached_property
    def images(self) -> torch.Tensor:
        """All that are trained on, as models are given them: ``(N, 1, H, W)``, float32."""
        return self.data.as_seen(self.data.train.images)

    def batches(self):
        """An epoch of what a plain loop is given: images in memory, shuffled and gathered, and their targets."""
        targets, size, order = self.data.train.targets, self.images_per_update, torch.randperm(len(self.images))
        return ((self.images[at], targets[at]) for at in order[: len(order) // size * size].split(size))


def timed_epochs(batches: Callable, update: Callable, race: Race) -> float:
    """Images a second of a plain loop over ``batches()``, after some updates of warm-up."""
    for batch in itertools.islice(batches(), WARM_UP):
        update(batch)
    images, start = 0, race.clock()
    for _ in range(race.epochs):
        for batch in itertools.islice(batches(), race.updates):
            update(batch)
            images += len(batch[0])
    return images / (race.clock() - start)


def bare(race: Race, precision: str = "32-true") -> float:
    """Images a second of the bare loop."""
    return timed_epochs(race.batches, steps.bare(race.model(), precision), race)


def fit(race: Race, observers: list[pl.Callback], precision: str, compiled: bool = False, validate: bool = False):
    """Trains as train.py does, an epoch more than are timed, with the losses' history as its one observer."""
    config = race.job.config
    history = {name: observer for name, observer in config["callbacks"]["observers"].items() if name == "history"}
    budget = {"max_epochs": race.epochs + 1, "limit_train_batches": race.updates, "precision": precision}
    callbacks = {"observers": history, "analyses": {}}
    config = config | {
        "requires": {},
        "compile": compiled,
        "trainer": config["trainer"] | budget,
        "callbacks": callbacks,
    }
    if not validate:
        config["trainer"] |= {"limit_val_batches": 0}
        config["dataset"] = config["dataset"] | {"val_size": 1}  # the history's look after each epoch is at so many
    with tempfile.TemporaryDirectory() as folder:
        paths = config["paths"] | {"outputs": folder}
        unit = Planner().add(replace(race.job, config=config | {"paths": paths}), None)
        train(unit.fit, unit.datamodule, observers)


def ours(race: Race, validate: bool = False, precision: str = "32-true", compiled: bool = False) -> float:
    """Images a second of this project's training; the first epoch does not count."""
    times: list[float] = []  # of the starts of the epochs, and of the end
    tick = pl.callbacks.LambdaCallback(
        on_train_epoch_start=lambda *_: times.append(race.clock()), on_train_end=lambda *_: times.append(race.clock())
    )
    fit(race, [tick], precision, compiled, validate)
    return race.epochs * race.updates * race.images_per_update / (times[-1] - times[1])


class Operations(TorchDispatchMode):
    """Counts floating point operations of products and convolutions by torch's own formulas. Not by its counter, which
    also follows modules, and therein fails at a gradient within a loss."""

    flops = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        if (formula := flop_registry.get(function.overloadpacket)) is not None:
            self.flops += formula(*args, **kwargs, out_val=result)
        return result


def flops_per_update(race: Race) -> int:
    """Floating point operations of an update's products and convolutions, each derivative included: a multiply and an
    add are two. Elementwise operations are not counted."""
    update, batch = steps.bare(race.model()), next(iter(race.batches()))
    with Operations() as counted:
        update(batch)
    return counted.flops


def product_rate(dtype: torch.dtype, clock: Callable[[], float], repetitions: int = 5) -> float:
    """Floating point operations a second of a product of large square matrices, the best of some: what the machine
    reaches where nothing else is in the way."""
    a, b = torch.randn(2, PRODUCT, PRODUCT).to(dtype)
    seconds: list[float] = []
    for _ in range(repetitions + 1):
        start = clock()
        torch.mm(a, b)
        seconds.append(clock() - start)
    return 2 * PRODUCT**3 / min(seconds)
