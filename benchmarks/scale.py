"""What large sweeps cost beside what they are about, in CPU seconds of single-threaded processes.

    python benchmarks/scale.py [--outputs DIR]

Trains model=vae dataset=digits (about 20 s of CPU) into a folder that is thrown away, unless DIR is named, and measures

    start of N jobs    python train.py -m label_seed=range(N) on the finished fit, from its start to its line that the
                       fit is found, after which the first job runs; it is stopped there
    a further job      a sweep over 51 draws of the labels less one over a single draw, by 50, all of train.py and its
                       tables included, less what the classifier itself takes
    its classifier     fitting it to a draw's codes and asking it for the test images, the mean over these 50 draws
    tables             python evaluate.py sweep=DIR over 10,000 copies of a job's result.json: 100 settings, of each 10
                       draws of the labels on 10 seeds of the fit; CPU, the most memory, and whether torch was imported

A process's CPU seconds are those that the operating system counts, of user and system together: on a machine with
other work they say more than a watch. The watch says besides what waiting for a disk costs, which is much where many
files are made durable. Nothing fails where a goal is missed.
"""

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

# Nothing large is imported up here: Linux counts what a process's parent held to its memory.
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
COMMAND = ("train.py", "model=vae", "dataset=digits", "trainer.accelerator=cpu")
FOUND = "found finished"  # said of the fit, before the first job
DRAWS = 50
STARTS = {1000: 10, 10_000: 60}  # jobs to the goal in CPU seconds
RESULTS, SETTINGS, SEEDS = 10_000, 100, 10


class Used(NamedTuple):
    """What a process used: CPU seconds, seconds by the watch, the most memory in MB; and what it said."""

    cpu: float
    watch: float
    memory: float
    output: str


def used(*command: str, until: str | None = None, code: int = 0) -> Used:
    """Runs Python on a command in the project's folder; kills it once it has said a line with ``until``.

    Raises:
        RuntimeError: if it ends with another exit code than ``code``, or without having said that.
    """
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=ENVIRONMENT, **pipes)
    lines, stopped = [], False
    for line in process.stdout:
        lines.append(line)
        if until is not None and until in line:
            process.send_signal(signal.SIGKILL)
            stopped = True
            break
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if stopped != (until is not None) or (process.returncode != code and not stopped):
        raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}\n{''.join(lines[-20:])}")
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    seconds = time.perf_counter() - start
    return Used(usage.ru_utime + usage.ru_stime, seconds, kilobytes / 1024, "".join(lines))


def train(outputs: Path, *words: str, until: str | None = None) -> Used:
    """What train.py uses."""
    return used(*COMMAND, f"paths.outputs={outputs}", *words, until=until)


def classifier_seconds(outputs: Path) -> float:
    """CPU seconds of a classifier alone, the mean over draws 1 to ``DRAWS``."""
    sys.path.insert(0, str(ROOT))
    from datamodules.labels import draw_labels
    from latent_lab.command import read_command
    from latent_lab.storage import load_arrays
    from latent_lab.targets import build

    config = read_command("train", [*COMMAND[1:]]).jobs[0].config
    (stored,) = outputs.glob("fits/vae-digits-*/derived-*/codes.safetensors")
    codes, seconds = load_arrays(stored), 0.0
    for draw in range(DRAWS + 1):
        labelled = draw_labels(codes["train_targets"], config["n_labels"], draw)
        head, start = build(config["classifier"]), time.process_time()
        head.fit(codes["train_codes"][labelled], codes["train_targets"][labelled])
        head.predict(codes["test_codes"])
        seconds += time.process_time() - start if draw else 0.0  # the first warms up
    return seconds / DRAWS


def copy_results(job: Path, sweep: Path) -> None:
    """A sweep's folder of as many jobs as ``RESULTS``, whose results are a job's but for what they are results of."""
    result = json.loads((job / "result.json").read_text(encoding="utf-8"))
    config, noise = (job / "config.yaml").read_bytes(), random.Random(0)
    for number in range(RESULTS):
        strength, seed, draw = number % SETTINGS, number // SETTINGS % SEEDS, number // SETTINGS // SEEDS
        named = {"classifier.C": (strength + 1) / 100, "label_seed": draw, "seed": seed}
        # accuracies of their own: exact sums of equal numbers are quicker
        metrics = {name: value + noise.random() / 100 for name, value in result["metrics"].items()}
        own = {"settings": result["settings"] | named, "label_seed": draw, "seed": seed}
        own |= {"setting": f"{strength:016x}", "fit": f"vae-digits-{seed:08x}", "metrics": metrics}
        folder = sweep / ",".join(f"{key}={value}" for key, value in named.items())
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps(result | own, indent=2) + "\n", encoding="utf-8")
        (folder / "config.yaml").write_bytes(config)


def measure(outputs: Path, progress: Console) -> Table:
    """The table of all figures beside their goals."""
    table = Table(title="large sweeps, model=vae dataset=digits")
    for column in ("", "measured", "by the watch", "goal"):
        table.add_column(column, justify="right" if column else "left")

    progress.print("the fit, and one job")
    train(outputs)
    for jobs, goal in STARTS.items():
        progress.print(f"start of {jobs:,} jobs")
        start = train(outputs, "-m", f"sweep=start{jobs}", f"label_seed=range({jobs})", until=FOUND)
        table.add_row(f"start of {jobs:,} jobs", f"{start.cpu:.1f} s", f"{start.watch:.1f} s", f"{goal} s")

    progress.print(f"{DRAWS} further jobs")
    one = train(outputs, "-m", "sweep=one", "label_seed=range(1)")
    further = train(outputs, "-m", "sweep=further", f"label_seed=range({DRAWS + 1})")

    progress.print(f"tables of {RESULTS:,} results")
    with tempfile.TemporaryDirectory() as folder:
        copy_results(next(outputs.glob("sweeps/one/*/result.json")).parent, Path(folder) / "many")
        tables = used("-X", "importtime", "evaluate.py", f"sweep={folder}/many")
    torch = "imported" if re.search(r"\|\s*torch$", tables.output, re.MULTILINE) else "not imported"

    classifier = classifier_seconds(outputs)  # last: it imports torch into this process
    cpu, watch = (further.cpu - one.cpu) / DRAWS, (further.watch - one.watch) / DRAWS
    table.add_row("a further job, beside", f"{cpu - classifier:.3f} s", f"{watch - classifier:.3f} s", "0.3 s")
    table.add_row("its classifier", f"{classifier:.3f} s")
    table.add_row(f"tables of {RESULTS:,} results", f"{tables.cpu:.1f} s", f"{tables.watch:.1f} s", "6 s")
    table.add_row("  memory", f"{tables.memory:.0f} MB", "", "500 MB")
    table.add_row("  torch", torch, "", "not imported")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outputs", type=Path, help="a folder that is empty or absent, to be kept")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outputs = (arguments.outputs or Path(folder)).resolve()
        Console(width=100, file=sys.stdout).print(measure(outputs, Console(file=sys.stderr)))


if __name__ == "__main__":
    main()
