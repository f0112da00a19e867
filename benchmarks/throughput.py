"""Training throughput of this project and of others on one machine.

    python benchmarks/throughput.py paths.data=DIR [--batch 128 512] [--rounds 3] [--epochs 2] [--steps N] [--fast]
                                    [--clock cpu] [key=value ...]

In turn, round by round in one process, the same network with the same losses and Adam:

    bare         a plain loop over float32 tensors in memory, fp32, that corrupts or binarises as ours: the yardstick
    ours         trainer.fit of this project with progress bar, TensorBoard and a checkpoint every epoch, fp32
    ours+val     the same with its validation pass every epoch
    torchvision  torchvision's MNIST with ToTensor, a shuffling DataLoader, a plain loop, fp32
    pythae       pythae's trainer, if installed (pip install pythae), fp32; of model=vae_mlp
    pythae as it comes   the same with its own choice of Adam, which is not the fused one of all others
    bare bf16, ours bf16, ours bf16 compiled (with --fast)   those in bfloat16, where the hardware computes in it

With model=dcgan or model=wgan_gp, in real images a second, at the model's own batch size unless --batch is given:

    bare         a plain loop, nothing computed that is not needed; without ours' moving average of the generator
    ours         as above, with the losses' history; not what comes once an epoch: validation, scores, sheets
    common       the step as commonly published, over a DataLoader as torchvision's above (steps.py)
    bare bf16, ours bf16 (with --fast)

Figures are medians over the rounds; ratios are taken within each round, since machines drift. Whole epochs count, their
checkpoints and logging included; the first epoch (warm-up, compilation) does not. --steps N makes an epoch of N
updates, on which its end then weighs more. On a machine with other work, --clock cpu counts this process's time alone;
take it with OMP_NUM_THREADS=1, since threads add up. All run on the CPU. Settings are those of train.py.

"of product" is the share of the machine's speed that an update reaches: operations a second of its products and
convolutions, all derivatives included, by those of a product of matrices of 2048 rows in the same type, each round.
"""

import argparse
import contextlib
import io
import itertools
import logging
import operator
import statistics
import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import race as racing
import steps
import torch
import torchvision
from pythae_trainer import train_with_pythae
from race import CLOCKS, Race, read_job
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader, Subset
from torchvision.transforms import ToTensor

from latent_lab.targets import resolve
from latent_lab.trainer_settings import resolve_precision
from latent_lab.training import quiet
from lightning_modules.adversarial import Adversarial

YARDSTICKS = ("bare", "torchvision", "common", "pythae", "pythae as it comes", "bare bf16")
PRODUCTS = {"product": torch.float32, "product bf16": torch.bfloat16}  # of matrices


def torchvision_loop(race: Race) -> float:
    model = race.model()
    if isinstance(model, Adversarial):
        transform, update = steps.common_transform(model), steps.common(model)
    else:
        transform, update = ToTensor(), steps.bare(model)
    dataset = getattr(torchvision.datasets, race.data.name)(race.job.config["dataset"]["root"], transform=transform)
    dataset = Subset(dataset, range(len(race.data.train.images)))
    loader = DataLoader(dataset, race.images_per_update, shuffle=True, drop_last=True)
    return racing.timed_epochs(lambda: loader, update, race)


def pythae(race: Race, **optimizer) -> float:
    images, targets = (split[: race.updates * race.images_per_update] for split in race.data.train)
    arguments = (race.model(), race.data.as_seen(images), targets, race.data.batch_size, race.epochs, race.clock)
    return race.epochs * len(images) / train_with_pythae(*arguments, **optimizer)


def product(race: Race, dtype: torch.dtype, flops: int) -> float:
    """The images a second that an update of so many operations would have at the speed of a product of matrices."""
    return racing.product_rate(dtype, race.clock) / flops * race.images_per_update


def contestants(race: Race, adversarial: bool, fast: bool) -> dict[str, Callable[[Race], float]]:
    """Name to a function that gives images a second."""
    found = {"bare": racing.bare, "ours": racing.ours}
    if not adversarial:
        found["ours+val"] = partial(racing.ours, validate=True)
    if hasattr(torchvision.datasets, race.data.name):
        found["common" if adversarial else "torchvision"] = torchvision_loop
    if getattr(race.model(), "binarize", False) and find_spec("pythae"):
        found |= {"pythae": partial(pythae, fused=True), "pythae as it comes": pythae}
    if fast:
        mixed = {"precision": "bf16-mixed"}
        found |= {"bare bf16": partial(racing.bare, **mixed), "ours bf16": partial(racing.ours, **mixed)}
        found |= {} if adversarial else {"ours bf16 compiled": partial(racing.ours, compiled=True, **mixed)}
    flops = racing.flops_per_update(race)
    measured = {name: dtype for name, dtype in PRODUCTS.items() if fast or dtype == torch.float32}
    return found | {name: partial(product, dtype=dtype, flops=flops) for name, dtype in measured.items()}


def run(rivals: dict, race: Race, rounds: int, progress: Console) -> dict[str, list[float]]:
    """Images a second of each, in each round."""
    rates: dict[str, list[float]] = {name: [] for name in rivals}
    for number, (name, rival) in itertools.product(range(rounds), rivals.items()):
        progress.print(f"batch {race.data.batch_size}, round {number + 1}/{rounds}: {name}")
        # the bars are drawn as for a user, into a buffer
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            rates[name].append(rival(race))
    return rates


def table(rates: dict[str, list[float]], title: str, caption: str) -> Table:
    yardsticks = [name for name in YARDSTICKS if name in rates]
    shown = Table(title=title, caption=caption)
    for column in ("", "images/s", *(f"/ {name}" for name in yardsticks), "of product"):
        shown.add_column(column, justify="right")
    for name, values in rates.items():
        if name in PRODUCTS:
            continue
        measures = [*yardsticks, "product bf16" if "bf16" in name else "product"]
        ratios = (statistics.median(map(operator.truediv, values, rates[other])) for other in measures)
        shown.add_row(name, f"{statistics.median(values):,.0f}", *(f"{ratio:.2f}" for ratio in ratios))
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2, help="timed epochs of each contestant in a round")
    parser.add_argument("--steps", type=int, help="updates in an epoch; all the images' unless given")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: of this process, on a busy machine")
    parser.add_argument("--fast", action="store_true", help="also bfloat16 and compiled, where the hardware has it")
    parser.add_argument("settings", nargs="*", help="as for train.py; model=vae_mlp dataset=mnist unless given")
    arguments = parser.parse_intermixed_args()
    logging.disable(logging.WARNING)
    quiet()

    console, progress = Console(width=120, file=sys.stdout), Console(file=sys.stderr)
    fast = arguments.fast and resolve_precision("auto", "cpu") == "bf16-mixed"
    if fast != arguments.fast:
        console.print("--fast: this CPU does not compute in bfloat16, so those rows are left out")
    target = resolve(read_job(arguments.settings).config["model"]["_target_"])
    adversarial = issubclass(target, Adversarial)
    for batch in arguments.batch or ([None] if adversarial else [128, 512]):
        job = read_job(arguments.settings, batch)
        race = Race(job, arguments.epochs, arguments.steps, CLOCKS[arguments.clock])
        rates = run(contestants(race, adversarial, fast), race, arguments.rounds, progress)
        flops = racing.flops_per_update(race)
        speeds = {n: statistics.median(v) * flops / race.images_per_update for n, v in rates.items() if n in PRODUCTS}
        threads = f"{torch.get_num_threads()} threads, {arguments.clock} time"
        title = f"{job.choices['model']}, batch {race.data.batch_size}, {threads}"
        caption = f"an update: {flops / 1e9:.2f} GFLOP; " + ", ".join(
            f"{name}: {speed / 1e9:,.0f} GFLOP/s" for name, speed in speeds.items()
        )
        console.print(table(rates, title, caption))


if __name__ == "__main__":
    main()
