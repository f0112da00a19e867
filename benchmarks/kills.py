"""Kills the three experiments at random moments, as real processes, and gives the same command again: what it comes to
is bit for bit what it comes to without a kill, the checkpoints and every metric.

    python benchmarks/kills.py               100 kills: of a VAE and its heads, of GANs on images, of GANs in the plane
    python benchmarks/kills.py 10 --experiment plane --first 7     those of the seeds 7 to 16, of one experiment
    python benchmarks/kills.py --launcher local                    of a sweep whose fits are trained side by side

A moment is drawn evenly from the seconds that the whole command takes, its start and its end included: while it
imports, trains, writes a checkpoint, draws, scores, makes the table. Three in five are kill -9 of all processes, the
others a polite signal, and half of the folders are killed a second time before the command is left alone. About twelve
seconds of CPU a kill.
"""

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
QUICK = ["trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "logger=none"]
EXPERIMENTS = {
    "few_labels": ["model=vae_mlp", "dataset=digits", "n_labels=50,100", "classifier=linear_svc,spreading",
                   "model.encoder.hidden=[128]", "model.decoder.hidden=[128]", "model.nll_images=10",
                   "model.nll_samples=2", "trainer.max_epochs=20"],
    "images": ["model=dcgan,wgan_gp", "dataset=digits", "dataset.batch_size=32", "callbacks.every_n_epochs=1",
               "model.generator.channels=4", "model.critic.channels=4", "trainer.max_epochs=3"],
    "plane": ["model=gan,wgan_gp", "dataset=ring", "dataset.batch_size=50", "dataset.train_size=1000",
              "callbacks.analyses.plane_result.points=2000", "callbacks.analyses.plane_result.paired=100",
              "callbacks.observers.view.every_n_updates=10", "model.generator.hidden=[8]", "model.critic.hidden=[8]",
              "trainer.max_epochs=10"],
}  # fmt: skip
SIGNALS = [signal.SIGKILL] * 3 + [signal.SIGTERM, signal.SIGINT]
LATE = "after its end"  # which is no kill
# A frame of a function of ours. A traceback without one is of Python's start or the first imports, a twentieth of a
# second in which nobody heeds a signal yet.
OURS = re.compile(rf'Traceback (?s:.)*File "{re.escape(str(ROOT))}/(?!\.venv).*", line \d+, in (?!<module>)')
HUNG = 600  # seconds
OF_THE_MOMENT = {"seconds", "began", "created", "fit_created", "fit_reused", "process", "checksum"}


def start(words: list[str], outputs: Path) -> subprocess.Popen:
    """The command, with all that it starts a group of its own."""
    return subprocess.Popen(
        [sys.executable, "train.py", "-m", *words, f"paths.outputs={outputs}", "sweep=s"],
        cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def ended(process: subprocess.Popen) -> str:
    """What it said until its end.

    Raises:
        subprocess.TimeoutExpired: if it has none within ten minutes.
    """
    try:
        return process.communicate(timeout=HUNG)[0]
    finally:
        kill(process, signal.SIGKILL)


def kill(process: subprocess.Popen, by: int) -> None:
    """Sends a signal to all processes of the command that still are."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, by)


def values(content: object, name: str = "") -> dict[str, object]:
    """Each number, word and tensor (as bytes) of what JSON or a checkpoint holds, by where it stands."""
    if isinstance(content, dict):
        content = {str(key): value for key, value in content.items() if str(key) not in OF_THE_MOMENT}
    elif isinstance(content, list | tuple):
        content = {str(at): value for at, value in enumerate(content)}
    elif isinstance(content, torch.Tensor):
        return {name: (content.dtype, content.shape, content.contiguous().view(-1).view(torch.uint8).numpy().tobytes())}
    else:
        return {name: content}
    return {at: value for key, part in content.items() for at, value in values(part, f"{name}/{key}").items()}


def came_to(outputs: Path) -> dict[str, object]:
    """What can be read of a finished sweep later: its jobs' results and its fits' checkpoints, value by value."""
    found = {}
    for file in sorted(outputs.glob("sweeps/s/*/result.json")):
        found |= values(json.loads(file.read_text()), file.parent.name)
    for file in sorted(outputs.glob("fits/*/*.ckpt")):
        found |= values(torch.load(file, weights_only=True), f"{file.parent.name}/{file.name}")
    return found


def try_one(words: list[str], outputs: Path, whole: dict, seconds: float, noise: random.Random) -> tuple[Counter, str]:
    """Kills the command once or twice and gives it again; how it was ended, and what was wrong (or '')."""
    shutil.rmtree(outputs, ignore_errors=True)
    kills, log = Counter(), []
    for _ in range(noise.randint(1, 2)):
        process, after, by = start(words, outputs), noise.uniform(0, seconds), noise.choice(SIGNALS)
        time.sleep(after)
        name = LATE if process.poll() is not None else signal.Signals(by).name
        kill(process, by)
        said = ended(process)
        kills[name] += 1
        log.append(f"{name} after {after:.2f} s\n{said}exit code {process.returncode}")
        if OURS.search(said) and by != signal.SIGKILL:
            return kills, "\n".join(["a traceback", *log])
    process = start(words, outputs)
    log.append(ended(process))
    if process.returncode != 0 or "Traceback" in log[-1]:
        return kills, "\n".join([f"the command given again: exit code {process.returncode}", *log])
    other = came_to(outputs)
    absent = object()
    unlike = sorted(name for name in whole | other if whole.get(name, absent) != other.get(name, absent))
    return kills, "\n".join(["unlike the whole run: " + ", ".join(unlike[:20]), *log]) if unlike else ""


def main() -> int:
    """Tries them all; exit code 1 if any went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kills", type=int, nargs="?", default=100, help="of all experiments together, at least")
    parser.add_argument("--first", type=int, default=0, help="seed of the first folder")
    parser.add_argument("--experiment", choices=EXPERIMENTS)
    parser.add_argument("--launcher", choices=("basic", "local"), default="basic")
    options = parser.parse_args()
    experiments = [options.experiment] if options.experiment else [*EXPERIMENTS]
    wrong_ones = 0
    with tempfile.TemporaryDirectory() as folder:
        outputs = Path(folder) / "outputs"
        for experiment in experiments:
            words = [*EXPERIMENTS[experiment], *QUICK, f"hydra/launcher={options.launcher}"]
            shutil.rmtree(outputs, ignore_errors=True)
            begun = time.perf_counter()
            process = start(words, outputs)
            if (said := ended(process)) and process.returncode != 0:
                print(said)
                return 1
            seconds = time.perf_counter() - begun
            whole, kills, seed = came_to(outputs), Counter(), options.first
            while kills.total() - kills[LATE] < options.kills / len(experiments):
                more, wrong = try_one(words, outputs, whole, seconds, random.Random(seed))
                kills, seed, wrong_ones = kills + more, seed + 1, wrong_ones + bool(wrong)
                if wrong:
                    print(f"\n=== {experiment}, folder {seed - 1}: {wrong}", flush=True)
            by = ", ".join(f"{n} {name}" for name, n in kills.most_common())
            of = f"{len(whole)} values of a run of {seconds:.0f} s, {seed - options.first} folders"
            print(f"{experiment}: {of}, {by}", flush=True)
    print(f"{wrong_ones} went wrong")
    return 1 if wrong_ones else 0


if __name__ == "__main__":
    sys.exit(main())
