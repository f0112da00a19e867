"""Opens what was fitted before: scores, pictures, the tables of a sweep. Never trains, and needs no model's flags.
Exit code 1 if a metric differs, 2 for a mistake in the command.

    python evaluate.py run=outputs/sweeps/NAME/JOB     reload what the job used, compare its metrics
    python evaluate.py sweep=outputs/sweeps/NAME       rebuild results.csv, results.md and the chart; what still runs
    python evaluate.py sweep=DIR watch=true            again every few seconds, until all is done
    python evaluate.py sweep=DIR into=docs/results.md  its tables into a page that has a place for them
    python evaluate.py fit=outputs/fits/NAME           draw reconstructions, samples, interpolations, the codes
    python evaluate.py fit=DIR tsne=true paths.data=DIR
"""

import sys
import time
from pathlib import Path

from latent_lab.stopping import until_told
from latent_lab.terminal import speak_plainly

WATCHED_EVERY = 5  # seconds


def main() -> int:
    """Does what the command says; returns the exit code."""
    speak_plainly()
    return until_told(run, lambda: "interrupted: nothing is lost, the same command looks again")


def run() -> int:
    """Reads the command and does the one thing it asks for; exit code 2 for a mistake in it."""
    from latent_lab.command import read_command
    from latent_lab.mistakes import Mistake, fail
    from latent_lab.storage import NoSpace

    try:
        command = read_command("evaluate", sys.argv[1:])
        if command is None:
            print(__doc__.strip())
            return 0
        config = command.jobs[0].config
        asked = [key for key in ("run", "sweep", "fit") if config[key] is not None]
        if len(asked) != 1 or command.multirun:
            raise Mistake("give one of run=DIR, sweep=DIR, fit=DIR")
        if config["into"] is not None and asked != ["sweep"]:
            raise Mistake(f"into={config['into']}: a page takes the tables of a sweep: give sweep=DIR")
        folder = Path(config[asked[0]])
        proofs = {
            "run": ["result.json"],
            "sweep": ["*/train.log", "*/config.yaml", "plan/tasks.json"],
            "fit": ["fit.json"],
        }[asked[0]]
        if not any(any(folder.glob(proof)) for proof in proofs):
            raise Mistake(f"{asked[0]}={folder}: no such folder, or no {proofs[0]} in it")
        return {"run": evaluate_run, "sweep": evaluate_sweep, "fit": evaluate_fit}[asked[0]](folder, config)
    except (ValueError, TypeError, OSError) as error:
        fail(error, "evaluate.py")
    except NoSpace as error:
        fail(error, "evaluate.py", code=1)


def evaluate_sweep(folder: Path, settings: dict) -> int:
    """Rebuilds a sweep's tables and chart from its result files, and says how far one is that still runs."""
    from rich.console import Console

    from latent_lab import page, progress, report, written_plan
    from latent_lab.storage import DamagedFile

    if into := settings["into"] and Path(settings["into"]):
        page.require_mark(into, folder.resolve().name)
    planned = (folder / written_plan.FOLDER / "tasks.json").exists()
    single = False
    try:
        if planned:
            written_plan.read_tasks(folder)
            single = written_plan.read_places(folder) == [["."]]
    except DamagedFile as error:  # the tables need no plan
        print(error)
        planned = False
    while True:
        if settings["watch"]:
            Console().clear()  # without effect off a terminal
        results = report.show_single(folder) if single else report.show(folder)
        coming = planned and progress.show(folder, results)
        if not (coming and settings["watch"]):
            if into:
                page.write_into(into, folder.resolve().name, results, report.tables(results, shortest=True))
                print(f"tables put into {into}")
            return 0 if results and not coming and all(result["status"] == "ok" for result in results) else 1
        time.sleep(WATCHED_EVERY)


def evaluate_run(folder: Path, settings: dict) -> int:
    """Recomputes a job's metrics from the checkpoint and what its analyses stored, and compares them bit for bit."""
    from latent_lab import report
    from latent_lab.deferral import import_lightning
    from latent_lab.results import fit_folder, read_result
    from latent_lab.rounding import finite

    result = read_result(folder)
    if result["status"] != "ok":
        said = f"the job {result['status']} ({result.get('error')})"
        raise ValueError(f"{folder}: {said}, there is nothing to reproduce")
    import_lightning()
    from latent_lab.looking_again import created, metrics_again

    fit = fit_folder(folder, result.get("fit", ""))
    if created(fit) != result.get("fit_created"):
        print(f"{fit.name} was trained anew since: figures of another training are compared")
    metrics = finite(metrics_again(folder, result, fit, settings["paths"]["data"]))
    # as text, to which 1 is no 1.0
    differing = [name for name, then in result["metrics"].items() if repr(metrics.get(name)) != repr(then)]
    for name, then in result["metrics"].items():
        print(f"{name:22} {then!s:<22} {'again' if name not in differing else f'now {metrics.get(name)}'}")
    if differing:
        print(f"{len(differing)} of {len(metrics)} metrics differ from {folder / 'result.json'}")
        return 1
    print(f"all {len(metrics)} metrics reproduced exactly")
    report.show_end(folder, result)
    return 0


def evaluate_fit(folder: Path, settings: dict) -> int:
    """Draws a fit's pictures into its folder."""
    from latent_lab.deferral import import_lightning

    import_lightning()
    from latent_lab.looking_again import drawn_again

    for file in drawn_again(folder, settings["paths"]["data"], settings["tsne"]):
        print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
