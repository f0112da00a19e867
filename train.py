"""Trains what a command names, or finds it trained; then tries it out.

    python train.py model=vae dataset=mnist n_labels=100
    python train.py -m model=vae dataset=fashion,mnist n_labels=100,600,1000,3000

Compose, check all, train or find each fit, run the analyses, write result.json. Exit code 2 for a mistake in the
command, 1 if a job failed.
"""

import sys
from pathlib import Path

from latent_lab.stopping import goes_on, told, until_told
from latent_lab.terminal import speak_plainly


def main() -> int:
    """Does what the command says; returns the exit code."""
    speak_plainly()
    return until_told(run, goes_on)


def run() -> int:
    """Reads the command, checks it whole, launches its plan, and shows what came of it."""
    from latent_lab.command import print_page, read_command
    from latent_lab.mistakes import Mistake, fail

    try:
        command = read_command("train", sys.argv[1:])
        if command is None:
            print_page("train")
            return 0

        from latent_lab import folders
        from latent_lab.deferral import import_lightning
        from latent_lab.early_checks import check_names, check_trainers
        from latent_lab.launchers import launcher, require_one_process
        from latent_lab.logs import require_logging

        require_one_process()
        check_names(command)
        check_trainers(command)
        launch = launcher(command.hydra["launcher"])
        require_logging(command.hydra["job_logging"])
        first, choices = command.jobs[0].config, command.jobs[0].choices
        outputs = Path(first["paths"]["outputs"])
        if command.multirun:
            folder = outputs / "sweeps" / (first["sweep"] or folders.short_time())
        else:
            folder = outputs / "runs" / f"{folders.short_time()}-{choices['model']}-{choices['dataset']}"
        import_lightning()
        from latent_lab.plan import plan

        planned = plan(command, folder, here=launch.decides)
        if not first["sweep"]:  # another command may have begun in the same second
            folder = planned.moved(folder, folders.new_folder(folder.parent, folder.name))
    except (ValueError, TypeError, OSError) as error:
        fail(error, "train.py")

    count = len(command.jobs)
    print(f"{count} job{'s' * (count > 1)} into {folder}", flush=True)
    interrupted = False
    try:
        if not launch.launch(planned, folder, command.hydra["job_logging"]):
            return 0
    except (SystemExit, KeyboardInterrupt):  # Lightning ends the process so, after a signal
        interrupted = True
    except (Mistake, OSError) as error:  # another process is at this sweep, or its folder is another user's
        fail(error, "train.py")
    except RuntimeError as error:
        fail(error, "train.py", code=1)
    from latent_lab import report
    from latent_lab.terminal_tables import show_tensorboard

    interrupted = interrupted or told()
    if "tensorboard" in (first["logger"] or {}):
        show_tensorboard(outputs, folder)
    if command.multirun:
        results = report.show(folder)
    else:
        results = report.show_single(folder) if (folder / "result.json").exists() or not interrupted else []
    if interrupted:  # under its name a sweep goes on in its folder
        print(goes_on(*[f"sweep={folder.name}"] * (command.multirun and not first["sweep"])))
    done = {result["job_name"] for result in results if result["status"] == "ok"}
    expected = {job.folder.name for unit in planned.units for job in unit.jobs}
    return 1 if interrupted or expected - done else 0


if __name__ == "__main__":
    sys.exit(main())
