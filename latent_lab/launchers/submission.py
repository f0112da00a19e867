"""A written plan's tasks as arrays of Slurm's, with the sources that they run; and those that died, once more: that is
what the small job after the last array does, ``python -m latent_lab.launchers.submission FOLDER``."""

import hashlib
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from latent_lab import written_plan
from latent_lab.launchers import slurm_queue
from latent_lab.launchers.driving import driven, submitted
from latent_lab.mistakes import Mistake
from latent_lab.storage import write_json, write_text
from latent_lab.targets import PACKAGES, ROOT
from latent_lab.written_plan import FOLDER, Task

MOST_ROUNDS = 5  # in which what died is submitted again
# 75: the worker was told to stop, and has written that down. 128 and more: a signal killed it. Only a task that Slurm
# still counts as running is requeued: one that is being cancelled would come back.
SCRIPT = """#!/bin/bash
# Written by Latent Lab: starts a worker, and has Slurm requeue this task, by both numbers, if it is stopped or dies.
FIRST=$1
TASK="${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
cd {sources} || exit 1
export OMP_NUM_THREADS={cpus} MKL_NUM_THREADS={cpus}
{setup}
{command} -u -m latent_lab.worker {folder} "$FIRST" &
WORKER=$!
trap 'kill -TERM $WORKER 2>/dev/null' TERM USR1 USR2
CODE=143
while kill -0 $WORKER 2>/dev/null; do wait $WORKER; CODE=$?; done
if [ $CODE -eq 75 ] || [ $CODE -ge 128 ]; then
    if [ "$(squeue --noheader --format=%T --jobs="$TASK")" = RUNNING ]; then
        echo "exit code $CODE: $TASK is requeued"
        scontrol requeue "$TASK" && sleep 30  # until Slurm ends this script
    fi
fi
exit $CODE
"""
FOLLOW_UP = """#!/bin/bash
cd {sources} || exit 1
{setup}
exec {command} -u -m latent_lab.launchers.submission {folder}
"""


def submit(folder: Path, phases: list[list[Task]], settings: dict, rounds: int = 0, cancelled: list[int] = ()) -> dict:
    """Submits tasks, each phase after the one before, and a job after the last.

    Args:
        folder: of the sweep.
        phases: of its written plan.
        settings: of the launcher.
        rounds: how often tasks of this plan were submitted before.
        cancelled: tasks that a person has taken back since.

    Returns:
        what stands in ``slurm.json``.

    Raises:
        RuntimeError: what ``sbatch`` says, if it refuses; what was submitted before that is taken back.
    """
    target = folder / FOLDER
    command = " ".join([settings["container"] or "", settings["python"] or shlex.quote(sys.executable)]).strip()
    filled = {"sources": shlex.quote(str(copied_sources(target))), "folder": shlex.quote(str(folder)),
              "cpus": settings["cpus"], "setup": "\n".join(settings["setup"]), "command": command}  # fmt: skip
    write_text(target / "run.sh", SCRIPT.format(**filled))
    write_text(target / "follow_up.sh", FOLLOW_UP.format(**filled))
    content = {"arrays": [], "follows": None, "rounds": rounds, "cancelled": [*cancelled],
               "settings": settings}  # fmt: skip
    before: list[str] = []
    try:
        for phase in phases:
            ids = []
            for tasks in arrays(phase, slurm_queue.largest_array()):
                ids.append(_sbatch(_of_array(target, tasks, settings, before)))
                content["arrays"].append({"id": ids[-1], "tasks": [task.number for task in tasks]})
                write_json(target / "slurm.json", content)
            before = ids
    except BaseException:
        slurm_queue.cancel([array["id"] for array in content["arrays"]])
        raise
    if settings["follow_up"]:
        try:
            content["follows"] = _sbatch(_of_follow_up(target, [array["id"] for array in content["arrays"]], settings))
        except RuntimeError as error:  # the sweep does without it
            print(f"no job follows the last (hydra.launcher.follow_up=false leaves it out): {error}")
    write_json(target / "slurm.json", content)
    return content


def arrays(tasks: list[Task], largest: int) -> list[list[Task]]:
    """Tasks in arrays of Slurm's, which hold so many indices from 0."""
    found: list[list[Task]] = []
    for task in tasks:
        if not found or task.number - found[-1][0].number >= largest:
            found.append([])
        found[-1].append(task)
    return found


def _of_array(target: Path, tasks: list[Task], settings: dict, before: list[str]) -> list[str]:
    gpus = settings["further_gpus"] if tasks[0].first else settings["gpus"]
    first = tasks[0].number
    indices = slurm_queue.drawn_together([task.number - first for task in tasks])
    at_a_time = f"%{settings['parallel']}" if settings["parallel"] else ""
    words = [
        "--requeue", "--open-mode=append", "--nodes=1", "--ntasks=1", f"--cpus-per-task={settings['cpus']}",
        f"--mem={settings['memory']}", f"--time={settings['minutes']}", f"--signal=B:USR1@{settings['notice']}",
        f"--array={indices}{at_a_time}", f"--output={_escaped(target)}/logs/%A_%a.log", *_named(target, settings),
    ]  # fmt: skip
    words += [f"--gres=gpu:{gpus}"] * bool(gpus) + [f"--dependency=afterany:{':'.join(before)}"] * bool(before)
    return [*words, *settings["extra"], str(target / "run.sh"), str(first)]


def _of_follow_up(target: Path, ids: list[str], settings: dict) -> list[str]:
    words = ["--requeue", "--open-mode=append", "--ntasks=1", "--cpus-per-task=1", "--mem=1G", "--time=10",
             f"--dependency=afterany:{':'.join(ids)}", f"--output={_escaped(target)}/logs/follow_up.log"]  # fmt: skip
    extra = [word for word in settings["extra"] if not word.startswith(("--gres", "--gpus", "-G", "--exclusive"))]
    return [*words, *_named(target, settings | {"constraint": None}), *extra, str(target / "follow_up.sh")]


def _named(target: Path, settings: dict) -> list[str]:
    named = {name: settings[name] for name in ("partition", "account", "constraint") if settings[name]}
    return [f"--job-name=latent-lab-{target.parent.name}", *(f"--{name}={value}" for name, value in named.items())]


def _escaped(path: Path) -> str:
    return str(path).replace("%", "%%")


def _sbatch(words: list[str]) -> str:
    done = subprocess.run(["sbatch", "--parsable", *words], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"sbatch: {' '.join(done.stderr.split())}")
    return done.stdout.strip().split(";")[0]


def copied_sources(target: Path) -> Path:
    """The code as it is now, beside a plan, under a name of its own: tasks of before may still run theirs."""
    if ROOT.parent == target:  # this runs such a copy
        return ROOT
    files = [path for name in ("latent_lab", "conf", *PACKAGES) for path in sorted((ROOT / name).rglob("*"))
             if path.is_file() and "__pycache__" not in path.parts]  # fmt: skip
    files.append(ROOT / "docs" / "references.csv")
    content = hashlib.sha256()
    for path in files:
        content.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    copy = target / f"sources-{content.hexdigest()[:8]}"
    if not copy.exists():
        begun = copy.with_name(f".{copy.name}")
        shutil.rmtree(begun, ignore_errors=True)
        for path in files:
            (begun / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, begun / path.relative_to(ROOT))
        begun.rename(copy)
    for other in target.glob("sources-*"):
        if other != copy:
            shutil.rmtree(other, ignore_errors=True)
    return copy


def again(folder: Path) -> list[int]:
    """Submits tasks once more that ended without being done, failed or cancelled; returns their numbers."""
    before, plan = submitted(folder), written_plan.read_tasks(folder)
    accounts = slurm_queue.ended(before["arrays"])
    said = {number: written_plan.read_status(folder, number).get("state") for number in plan.all}
    cancelled = sorted({*before["cancelled"], *(n for n, state in accounts.items() if state == "CANCELLED")})
    died = [n for n in plan.all if said[n] not in ("done", "failed") and n not in cancelled]
    if not died:
        return []
    if before["rounds"] >= MOST_ROUNDS:
        print(f"tasks {slurm_queue.drawn_together(died)} ended unheard in {MOST_ROUNDS + 1} rounds: given up")
        return []
    phases = [[task for task in phase if task.number in died] for phase in plan.phases]
    submit(folder, [phase for phase in phases if phase], before["settings"], before["rounds"] + 1, cancelled)
    return died


def main() -> int:
    """Submits again what died; makes the tables of what is there."""
    from latent_lab import report

    folder = Path(sys.argv[1])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what is submitted is written down
    try:
        with driven(folder, on_cluster=True):
            if died := again(folder):
                print(f"submitted again: tasks {slurm_queue.drawn_together(died)}")
    except (Mistake, RuntimeError) as error:
        print(error)
    if not (folder / "result.json").exists():  # a sweep's
        report.build(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
