"""Settings are chosen on validation images: this is the command that chooses them. The test set is not looked at.

    python benchmarks/choose.py [KNOB ...] [--draws 5] [settings of train.py ...]

A knob is a setting (or two that go together) with the values that were tried; without a name, all are tried. Each is a
sweep `sweep=choose_KNOB` of

    python train.py -m dataset=mnist,fashion n_labels=100,600,1000,3000 'label_seed=range(5)' score_on=validation ...

on the fits that are there, or trained where the knob is one of the VAE's. The table has the mean accuracy over the
draws in per cent at each number of labels; "chosen" is the value with the best mean over all of these numbers, for each
data set where its own recipe may say otherwise, over both where they share a file of conf/; "in use" is what conf/ has.
"""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from latent_lab.command import read_command
from latent_lab.mistakes import Mistake, fail
from latent_lab.results import read_results
from latent_lab.targets import ROOT, resolve

COUNTS = (100, 600, 1000, 3000)
PLAIN = "callbacks.analyses.latent_classifier.pictures=none"


class Knob(NamedTuple):
    """What is tried.

    Attributes:
        setting: its name.
        values: as they are written on the command line; an omitted one is what conf/ has.
        words: what else the command says.
        each: whether a data set may have a value of its own.
    """

    setting: str
    values: tuple[str, ...]
    words: tuple[str, ...] = ()
    each: bool = False


KNOBS = {
    "linear_svc": Knob("classifier.C_per_label", ("5e-5", "1.5e-4", "5e-4", "1.5e-3", "5e-3")),
    "rbf_svc": Knob("classifier.C", ("1", "3", "10"), ("classifier=rbf_svc",)),
    "smoothed_svc": Knob("classifier.own", ("0.3", "0.6", "1.0"), ("classifier=smoothed_svc",)),
    "smoothing": Knob("classifier.steps", ("8", "16", "32"), ("classifier=smoothed_svc",)),
    "neighbours": Knob("classifier.neighbours", ("7", "10", "15"), ("classifier=laplace",)),
    "slack": Knob("classifier.slack", ("0", "0.15", "0.3", "1"), ("classifier=laplace",)),
    "spreading": Knob("classifier.alpha", ("0.9", "0.95", "0.98", "0.99"), ("classifier=spreading",)),
    "tsvm": Knob("classifier.C", ("1.0", "5.0", "20.0"), ("classifier=tsvm",)),
    "likelihood": Knob("model.likelihood", ("gaussian", "bernoulli"), each=True),
    "rotation": Knob("model.corruption.rotation", ("2.5", "5.0", "10.0", "20.0", "30.0"), each=True),
}


def tried(name: str, knob: Knob, draws: int, words: list[str]) -> list[dict]:
    """The results of a knob's sweep.

    Raises:
        SystemExit: with the command's exit code, if it is a mistake.
    """
    words = ["dataset=mnist,fashion", f"n_labels={','.join(map(str, COUNTS))}", f"label_seed=range({draws})",
             "score_on=validation", "logger=none", PLAIN, *knob.words, f"{knob.setting}={','.join(knob.values)}",
             f"sweep=choose_{name}", *words]  # fmt: skip
    print(f"python train.py -m {' '.join(words)}", flush=True)
    done = subprocess.run([sys.executable, "train.py", "-m", *words], cwd=ROOT, stdout=subprocess.DEVNULL)
    if done.returncode == 2:
        sys.exit(2)
    jobs = read_command("train", ["-m", *words]).jobs
    folder = ROOT / jobs[0].config["paths"]["outputs"] / "sweeps" / f"choose_{name}"
    ours = {job.name for job in jobs}  # of another model, say, or of more draws, an earlier sweep may have left there
    return [result for result in read_results(folder) if result["job_name"] in ours]


def table(knob: Knob, results: list[dict], in_use: dict[str, str]) -> str:
    """The mean accuracies in Markdown, and which value they choose."""
    datasets = list(dict.fromkeys(r["choices"]["dataset"] for r in results if "choices" in r))
    lines = [f"| {knob.setting} | " + " | ".join(f"{d} {n}" for d in datasets for n in COUNTS) + " |",
             "|---" * (1 + len(datasets) * len(COUNTS)) + "|"]  # fmt: skip
    overall: dict[str, dict[str, float]] = {}
    for value in knob.values:
        means = {}
        for d in datasets:
            for n in COUNTS:
                found = [
                    r["metrics"]["accuracy"]
                    for r in results
                    if r["status"] == "ok" and (r["choices"]["dataset"], r["n_labels"]) == (d, n)
                    if written(r["settings"][knob.setting]) == written(value)
                ]
                means[d, n] = 100 * statistics.fmean(found) if found else float("nan")
        lines.append(f"| {value} | " + " | ".join(f"{mean:.2f}" for mean in means.values()) + " |")
        for d in datasets:
            overall.setdefault(d, {})[value] = statistics.fmean(means[d, n] for n in COUNTS)
    if not knob.each:
        shared = {v: statistics.fmean(overall[d][v] for d in datasets) for v in knob.values}
        overall = {" and ".join(datasets): shared}
        in_use = {" and ".join(datasets): next(iter(in_use.values()))}
    for d, means in overall.items():
        best = max(means, key=lambda value: (means[value] == means[value], means[value]))  # a NaN is below all
        mine = next((value for value in knob.values if written(value) == written(in_use[d])), None)
        behind = "" if mine is None else f", {means[best] - means[mine]:.2f} below it in the mean"
        said = "which is in use" if mine == best else f"in use is {in_use[d]}{behind}"
        lines.append(f"\n{d}: chosen {best}, {said}")
    return "\n".join(lines)


def written(value) -> str:
    """A value as it can be compared: 5e-4 is 0.0005."""
    try:
        return repr(float(value))
    except (TypeError, ValueError):
        return str(value)


def used(knob: Knob, words: list[str]) -> dict[str, str]:
    """What conf/ has for each data set, or where it leaves that open, the class."""
    found = {}
    for dataset in ("mnist", "fashion"):
        config = read_command("train", [f"dataset={dataset}", *knob.words, *words]).jobs[0].config
        value, name = config, knob.setting.rpartition(".")[2]
        for part in knob.setting.split("."):
            value = value[part]
        found[dataset] = str(resolve(config["classifier"]["_target_"]).usual[name] if value is None else value)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=5, help="of the labels")
    parser.add_argument("words", nargs="*", metavar="KNOB or setting", help=", ".join(KNOBS))
    arguments = parser.parse_intermixed_args()
    names = [word for word in arguments.words if "=" not in word] or list(KNOBS)
    words = [word for word in arguments.words if "=" in word]
    try:
        if unknown := [name for name in names if name not in KNOBS]:
            raise Mistake(f"{unknown[0]}: no such knob; there are {', '.join(KNOBS)}")
        in_use = {name: used(KNOBS[name], words) for name in names}
    except Mistake as mistake:
        fail(mistake, "choose.py")
    for name in names:
        print(f"\n{table(KNOBS[name], tried(name, KNOBS[name], arguments.draws, words), in_use[name])}\n", flush=True)


if __name__ == "__main__":
    main()
