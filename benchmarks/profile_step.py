"""Where the time of a training step goes, by kind of operation.

    python benchmarks/profile_step.py paths.data=DIR [--batch 128] [--steps 100] [--clock cpu] [key=value ...]

Milliseconds of an update in the bare loop and in ours (throughput.py says what these are), in the precision that
trainer.precision names. Steps are timed without a profiler; then torch's says how long operations take by themselves,
by the wall: on a machine with other work, --clock cpu takes off what share of it this process did not run.
What is left of a step is Python, torch's own bookkeeping and, in ours, Lightning.
"""

import argparse
import contextlib
import io
import itertools
import logging
import sys
import time
from collections.abc import Callable

import pytorch_lightning as pl
import race as racing
import steps
from race import CLOCKS, Race, read_job
from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile

from latent_lab.trainer_settings import resolve_precision
from latent_lab.training import quiet

KINDS = {  # to parts of operations' names; the first that fits
    "convolutions": ("conv",),
    "products": ("mm", "linear", "mkldnn", "matmul"),
    "optimizer": ("adam", "sgd", "_foreach"),
    "random numbers": ("rand", "normal_", "uniform_", "bernoulli", "dropout"),
    "batch: gather, scale": ("index_select", "aten::index"),
    "resampling": ("grid", "affine"),
    "batch norms": ("batch_norm",),
    "pooling": ("pool",),
    "casts and copies": ("copy", "clone", "cat", "stack", "fill_", "zero_", "empty"),
}
REST = "elementwise, sums and all else"
LEFT = "Python, Lightning"


def kind(name: str) -> str:
    """Of an operation, as torch's profiler calls it."""
    return next((kind for kind, parts in KINDS.items() if any(part in name.lower() for part in parts)), REST)


class Window:
    """A stretch of steps under torch's profiler.

    Args:
        clock: gives the seconds now, as the steps are timed.
        updates: in it.
    """

    def __init__(self, clock: Callable[[], float], updates: int):
        self.clock, self.updates, self.profiled = clock, updates, profile(activities=[ProfilerActivity.CPU])

    def __enter__(self) -> None:
        self.profiled.start()
        self.began = time.perf_counter(), self.clock()

    def __exit__(self, *_) -> None:
        wall, clocked = time.perf_counter() - self.began[0], self.clock() - self.began[1]
        self.profiled.stop()
        self.ran = clocked / wall

    def by_kind(self) -> dict[str, float]:
        """Milliseconds of an update that operations take by themselves."""
        return by_kind(self.profiled, self.ran / self.updates)


def by_kind(profiled: profile, share: float) -> dict[str, float]:
    """Milliseconds that operations take by themselves, times ``share``."""
    found = dict.fromkeys([*KINDS, REST], 0.0)
    for event in profiled.key_averages():
        if "#" in event.key or "autograd::engine" in event.key or "ProfilerStep" in event.key:
            continue  # what torch notes of its own Python, no operation
        found[kind(event.key)] += event.self_cpu_time_total / 1e3 * share
    return found


class Watch(pl.Callback):
    """Has a window open for an epoch's worth of steps, from the middle of the first epoch on: an epoch's end counts."""

    def __init__(self, window: Window):
        self.window = window

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        since = trainer.fit_loop.epoch_loop.total_batch_idx - self.window.updates // 2
        if since == 0:
            self.window.__enter__()
        if since == self.window.updates:
            self.window.__exit__()


def of_bare(race: Race, precision: str) -> dict[str, float]:
    milliseconds = 1e3 * race.images_per_update / racing.bare(race, precision)
    update = steps.bare(race.model(), precision)
    for batch in itertools.islice(race.batches(), racing.WARM_UP):
        update(batch)
    with (window := Window(race.clock, race.updates)):
        for batch in itertools.islice(race.batches(), race.updates):
            update(batch)
    return window.by_kind() | {"a step": milliseconds}


def of_ours(race: Race, precision: str) -> dict[str, float]:
    milliseconds = 1e3 * race.images_per_update / racing.ours(race, precision=precision)
    window = Window(race.clock, race.updates)
    racing.fit(race, [Watch(window)], precision)
    return window.by_kind() | {"a step": milliseconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--steps", type=int, default=100, help="updates that are profiled, and timed")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: of this process, on a busy machine")
    parser.add_argument("settings", nargs="*", help="as for train.py; model=vae_mlp dataset=mnist unless given")
    arguments = parser.parse_intermixed_args()
    logging.disable(logging.WARNING)
    quiet()
    job = read_job(arguments.settings, arguments.batch)
    race = Race(job, 1, arguments.steps, CLOCKS[arguments.clock])
    precision = resolve_precision(job.config["trainer"]["precision"], "cpu")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        columns = {"bare": of_bare(race, precision), "ours": of_ours(race, precision)}
    shown = Table(title=f"{job.choices['model']}, batch {race.data.batch_size}, {precision}: ms of an update")
    for heading in ("", *columns):
        shown.add_column(heading, justify="right")
    for found in columns.values():
        found[LEFT] = found["a step"] - sum(found[name] for name in [*KINDS, REST])
    for name in [*KINDS, REST, LEFT, "a step"]:
        shown.add_row(name, *(f"{found[name]:.2f}" for found in columns.values()))
    Console(width=100, file=sys.stdout).print(shown)


if __name__ == "__main__":
    main()
