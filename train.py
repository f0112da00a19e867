"""Trains what a command names, or finds it trained; then tries it out.

    python train.py model=vae dataset=mnist n_labels=100
    python train.py -m model=vae dataset=fashion,mnist n_labels=100,600,1000,3000

Compose, fit (train, continue or find), post-fit callbacks, result.json. Exit code 2 for a mistake in the
command, 1 if a job failed.
"""

import re
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

import compose


@hydra.main(version_base="1.3", config_path=str(compose.CONF), config_name="train")
def run(cfg: DictConfig) -> None:
    """One job, in the folder Hydra gave it. Whatever happens, its ``result.json`` says so."""
    import jobs

    runtime = HydraConfig.get()
    choices = compose.chosen(runtime.runtime.choices)
    jobs.run_job(cfg, choices, list(runtime.overrides.task), Path(runtime.runtime.output_dir))


def main() -> int:
    """Checks the whole command before anything is trained, runs its jobs, and shows what came of them."""
    try:
        command = compose.read_command("train", sys.argv[1:])
    except compose.Mistake as mistake:
        compose.fail(str(mistake), "train.py")
    if command is None:
        run()
        return 0

    import preflight
    import report
    import runs

    first = command.jobs[0]
    try:
        if first.sweep is not None and not command.multirun:
            raise ValueError(f"sweep={first.sweep}: names a sweep, and needs -m")
        if first.sweep is not None and not re.fullmatch(r"\w[\w.+-]*", str(first.sweep)):
            raise ValueError(f"sweep={first.sweep}: a name is made of letters, digits and . _ + -")
        if not isinstance(first.paths.outputs, str):
            raise ValueError(f"paths.outputs={first.paths.outputs}: expects a folder")
        preflight.check(command)
    except (ValueError, TypeError, OSError) as error:
        compose.fail(str(error), "train.py")

    outputs = Path(first.paths.outputs)
    if command.multirun:
        name = runs.new_folder(outputs / "sweeps", runs.short_time()).name if first.sweep is None else str(first.sweep)
        folder = outputs / "sweeps" / name
        folder.mkdir(parents=True, exist_ok=True)
        # Hydra reads flags before settings only
        sys.argv[1:] = ["-m", *command.settings, f"sweep={name}"]
        sys.argv.append(f"hydra.job.config.override_dirname.exclude_keys=[{','.join({'sweep', *command.unnamed})}]")
    else:
        choices = command.choices[0]
        folder = runs.new_folder(outputs / "runs", f"{runs.short_time()}-{choices['model']}-{choices['dataset']}")
        sys.argv.append(compose.quoted(f"hydra.run.dir={folder.as_posix()}"))
    print(f"{len(command.jobs)} job{'s' * (len(command.jobs) > 1)} into {folder}")
    interrupted = False
    try:
        run()
    except (SystemExit, KeyboardInterrupt):  # Lightning ends the process so, after a signal
        interrupted = True
    results = report.show(folder) if command.multirun else report.show_single(folder)
    print(f"\ntensorboard --logdir {outputs}")
    done = {result["job_name"] for result in results if result["status"] == "ok"}
    expected = set(command.names) if command.multirun else {folder.name}
    return 1 if interrupted or expected - done else 0


if __name__ == "__main__":
    sys.exit(main())
