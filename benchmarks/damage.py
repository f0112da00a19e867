"""Damages a finished sweep's folder at random, again and again, and gives the same commands: never a traceback, never a
wrong figure said to be right, always a remedy that works.

    python benchmarks/damage.py              500 damaged copies
    python benchmarks/damage.py 50 --first 7       those of the seeds 7 to 56
    python benchmarks/damage.py --experiment ring  a GAN in the plane instead of a VAE on the digits; images: a DCGAN

Each copy has one to three of its files (any of them: results, checkpoints, plans, pictures) cut off, garbled, changed
in a bit, emptied, removed, exchanged, or made another kind of file. Then ``evaluate.py`` looks at it, ``train.py`` is
given again, and what its errors tell to do is done, until all is well. About two seconds a copy on one core.
"""

import argparse
import contextlib
import csv
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
QUICK = ["trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "trainer.max_epochs=1", "logger=none"]
EXPERIMENTS = {
    "digits": ["dataset=digits", "model=vae_mlp", "model.encoder.hidden=[16]", "model.decoder.hidden=[16]",
               "model.nll_images=10", "model.nll_samples=2", "n_labels=50,100", "seed=0,1"],
    "ring": ["dataset=ring", "model=gan", "dataset.batch_size=50", "dataset.train_size=1000", "seed=0,1",
             "callbacks.analyses.plane_result.points=2000", "callbacks.analyses.plane_result.paired=100",
             "callbacks.observers.view.every_n_updates=10", "model.generator.hidden=[8]", "model.critic.hidden=[8]"],
    "images": ["dataset=digits", "model=dcgan", "model.generator.channels=4", "model.critic.channels=4", "seed=0,1"],
}  # fmt: skip
MOST_TRIES = 5  # commands until what their errors tell to do has made all well
HUNG = 180  # seconds


def command(program: str, *words: str) -> tuple[int, str]:
    """The exit code of a command and what it said, in a copy of this process, which has imported all it needs."""
    with tempfile.TemporaryFile("w+") as said:
        if not (child := os.fork()):
            for descriptor in (1, 2):
                os.dup2(said.fileno(), descriptor)
            signal.alarm(HUNG)
            os._exit(_called(program, *words))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.seek(0)
        return code, said.read()


def _called(program: str, *words: str) -> int:
    import evaluate
    import train

    sys.argv = [f"{program}.py", *words]
    try:
        return {"train": train, "evaluate": evaluate}[program].main()
    except SystemExit as stop:
        return stop.code
    except BaseException:
        traceback.print_exc()
        return 70
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def damage(outputs: Path, noise: random.Random) -> list[str]:
    """Damages one to three files; says how."""
    done = []
    for _ in range(noise.randint(1, 3)):
        files = sorted(path for path in outputs.rglob("*") if path.is_file() and not path.name.endswith(".lock"))
        path, other = noise.choice(files), noise.choice(files)
        content = path.read_bytes()
        how = noise.choice(["cut", "garble", "flip", "{}", "[]", "empty", "delete", "swap", "copy", "pipe", "folder"])
        at = noise.randrange(len(content) + 1)
        if how == "cut":
            path.write_bytes(content[:at])
        elif how == "garble":
            path.write_bytes(content[:at] + noise.randbytes(20) + content[at + 20 :])
        elif how == "flip" and at < len(content):
            path.write_bytes(content[:at] + bytes([content[at] ^ 1 << noise.randrange(8)]) + content[at + 1 :])
        elif how == "swap":
            path.write_bytes(other.read_bytes())
            other.write_bytes(content)
        elif how == "copy":
            path.write_bytes(other.read_bytes())
        elif how in ("{}", "[]", "empty"):
            path.write_text("" if how == "empty" else how)
        else:
            path.unlink()
            {"pipe": os.mkfifo, "folder": os.mkdir, "delete": lambda path: None}.get(how, Path.touch)(path)
        of = f" with {other.relative_to(outputs)}" if how in ("swap", "copy") else ""
        done.append(f"{how} {path.relative_to(outputs)}{of}")
    return done


def results(outputs: Path) -> dict[str, dict]:
    """The metrics of the jobs that say they are done, by the names of their folders."""
    found = {}
    for file in outputs.glob("sweeps/s/*/result.json"):
        with contextlib.suppress(ValueError, TypeError, KeyError, OSError):
            result = json.loads(file.read_text() if file.is_file() else "")
            if result["status"] == "ok":
                found[file.parent.name] = result["metrics"]
    return found


def wrong_in_table(outputs: Path, expected: dict[str, dict]) -> str:
    """A figure in ``results.csv`` that is none of those of its settings."""
    with open(outputs / "sweeps" / "s" / "results.csv", newline="") as file:
        for row in csv.DictReader(file):
            of = [metrics for name, metrics in expected.items() if _is_of(name, row)]
            for metric in expected[min(expected)] if row["status"] == "ok" else ():
                if not any(float(row[metric]) == metrics[metric] for metrics in of):
                    return f"{row['job']}: {metric} {row[metric]}"
    return ""


def _is_of(name: str, row: dict) -> bool:
    named = dict(word.split("=", 1) for word in name.split(","))
    return all(row.get(key, value) in (value, "") for key, value in named.items())


def follow(said: str) -> list[str]:
    """Does what errors tell to do; returns the words to be added to the command."""
    for path in re.findall(r"(/\S+): damaged[^;\n]*; remove it", said):
        shutil.rmtree(path, ignore_errors=True) if Path(path).is_dir() else Path(path).unlink(missing_ok=True)
        return []
    return ["fresh=true"] if "fresh=true" in said else []


def try_one(base: Path, outputs: Path, words: list[str], expected: dict, noise: random.Random) -> tuple[str, str, str]:
    """What came of one damaged copy: its outcome, what was wrong (or ''), and what was said."""
    shutil.rmtree(outputs, ignore_errors=True)
    shutil.copytree(base, outputs)
    how, log, wrong = damage(outputs, noise), [], ""
    sweep = outputs / "sweeps" / "s"
    job, fit = sweep / noise.choice(sorted(expected)), noise.choice(sorted((base / "fits").glob("[!.]*"))).name

    def given(program: str, *more: str) -> tuple[int, str]:
        nonlocal wrong
        code, said = command(program, *more)
        log.append(f"$ {program}.py {' '.join(more)}\n{said}exit code {code}")
        if "Traceback" in said or code not in (0, 1, 2):
            wrong = wrong or f"{program}.py: a traceback, or exit code {code}"
        return code, said

    for look in noise.sample([f"sweep={sweep}", f"run={job}", f"fit={outputs / 'fits' / fit}"], 2):
        code, _ = given("evaluate", look)
        if look.startswith("run=") and code == 0 and results(outputs)[job.name] != expected[job.name]:
            wrong = wrong or "evaluate.py: wrong figures are reproduced"
        if look.startswith("sweep=") and code in (0, 1) and (figure := wrong_in_table(outputs, expected)):
            wrong = wrong or f"a wrong figure in the table: {figure}"
    more: list[str] = []
    tries, train = 0, ["-m", *words, f"paths.outputs={outputs}", "sweep=s"]
    while (given_again := given("train", *train, *more))[0] != 0 and tries < MOST_TRIES:
        tries, more = tries + 1, follow(given_again[1])
    if given_again[0] != 0:
        wrong = wrong or "no remedy works"
    if not wrong and results(outputs) != expected:
        wrong = "wrong figures in the end"
    outcome = "well at once" if not tries else f"well after {tries} remed{'y' if tries == 1 else 'ies'}"
    return outcome, wrong, "\n".join(["; ".join(how), *log])


def main() -> int:
    """Tries them all; exit code 1 if any went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("copies", type=int, nargs="?", default=500)
    parser.add_argument("--first", type=int, default=0, help="seed of the first copy")
    parser.add_argument("--experiment", choices=EXPERIMENTS, default="digits")
    options = parser.parse_args()
    words, outcomes = [*EXPERIMENTS[options.experiment], *QUICK], Counter()
    with tempfile.TemporaryDirectory() as folder:
        base, outputs = Path(folder) / "base", Path(folder) / "outputs"
        if _called("train", "-m", *words, f"paths.outputs={base}", "sweep=s") != 0:
            return 1
        expected = results(base)
        for seed in range(options.first, options.first + options.copies):
            outcome, wrong, said = try_one(base, outputs, words, expected, random.Random(seed))
            outcomes["WRONG" if wrong else outcome] += 1
            if wrong:
                print(f"\n=== copy {seed}: {wrong}\n{said}", flush=True)
            if (tried := outcomes.total()) % 50 == 0:
                print(f"{tried} copies, {outcomes['WRONG']} of them wrong", file=sys.__stderr__, flush=True)
    print(f"{options.copies} damaged copies: {', '.join(f'{n} {name}' for name, n in outcomes.most_common())}")
    return 1 if outcomes["WRONG"] else 0


if __name__ == "__main__":
    sys.exit(main())
