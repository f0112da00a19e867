"""Units as tasks of Slurm's job arrays: ``hydra/launcher=slurm``. Plain ``sbatch``; nothing stays on the login node.

A plan is written, the sources are copied beside it (a sweep runs the code that it was submitted with), each phase of
the plan becomes an array that depends on the one before. The batch script starts the worker; where that was told to
stop (preemption, the time limit) or was killed, the script has Slurm requeue this task of the array, and no other.
"""

import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

from latent_lab import written_plan
from latent_lab.mistakes import Mistake
from latent_lab.storage import write_json, write_text
from latent_lab.targets import PACKAGES, ROOT

LARGEST_ARRAY = 1000  # tasks: Slurm's default MaxArraySize is 1001
MOST_RESTARTS = 20  # of a task, so that one that always dies ends
SCRIPT = """#!/bin/bash
# Written by Latent Lab. What is told to stop, or dies, is requeued: this task alone, by both numbers of its array.
FIRST=$1
cd {sources} || exit 1
{setup}
restart() {{
    if [ "${{SLURM_RESTART_COUNT:-0}}" -lt {restarts} ]; then
        if [ -n "${{SLURM_ARRAY_JOB_ID:-}}" ]; then
            scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
        else
            scontrol requeue "$SLURM_JOB_ID"
        fi
        sleep 30  # until Slurm ends this script
    fi
}}
{python} -u -m latent_lab.worker {folder} "$FIRST" &
WORKER=$!
trap 'kill -TERM $WORKER 2>/dev/null' TERM USR1 USR2
CODE=143
while kill -0 $WORKER 2>/dev/null; do wait $WORKER; CODE=$?; done
# 75: it was told to stop, and has written that down. 128 and more: a signal killed it.
if [ $CODE -eq 75 ] || [ $CODE -ge 128 ]; then restart; fi
exit $CODE
"""


class Slurm:
    """An array of tasks for each phase of a plan.

    Args:
        partition: where to run; None for the cluster's default.
        account: whom to charge; None for the user's default.
        gpus: of each task.
        cpus: of each task, which are its threads.
        memory: of each task, as Slurm writes it (``8G``).
        minutes: a task may take before it is stopped, written down and requeued.
        notice: seconds ahead of the limit, or of a preemption where the cluster allows it, that a task is told to stop.
        parallel: tasks of an array at a time; None for as many as there are places.
        jobs_per_task: more jobs on one fit than so many become tasks of their own once the fit is done.
        further_gpus: GPUs of those further tasks.
        constraint: features that a node must have (``--constraint``); None for any.
        setup: lines of shell before the worker starts: modules, an environment.
        container: a command before the worker's (``apptainer exec IMAGE``); None for none.
        extra: further arguments of ``sbatch``.
        wait: stay until all is done, and show the table.
    """

    def __init__(
        self,
        partition: str | None = None,
        account: str | None = None,
        gpus: int = 1,
        cpus: int = 4,
        memory: str = "8G",
        minutes: int = 240,
        notice: int = 60,
        parallel: int | None = None,
        jobs_per_task: int | None = None,
        further_gpus: int = 0,
        constraint: str | None = None,
        setup: list[str] = (),
        container: str | None = None,
        extra: list[str] = (),
        wait: bool = False,
    ):
        for name, value in {
            "cpus": cpus,
            "minutes": minutes,
            "parallel": parallel,
            "jobs_per_task": jobs_per_task,
        }.items():
            if value is not None and (type(value) is not int or value < 1):
                raise ValueError(f"hydra.launcher.{name}={value}: expects a positive whole number")
        for name, value in {"gpus": gpus, "further_gpus": further_gpus, "notice": notice}.items():
            if type(value) is not int or value < 0:
                raise ValueError(f"hydra.launcher.{name}={value}: expects a whole number from 0")
        if shutil.which("sbatch") is None:
            raise Mistake("hydra/launcher=slurm: there is no sbatch on this machine; hydra/launcher=local runs here")
        self.partition, self.account, self.constraint, self.container = partition, account, constraint, container
        self.gpus, self.cpus, self.memory, self.minutes, self.notice = gpus, cpus, memory, minutes, notice
        self.parallel, self.jobs_per_task, self.further_gpus = parallel, jobs_per_task, further_gpus
        self.setup, self.extra, self.wait = list(setup), list(extra), wait

    decides = False  # what only a machine that computes can know is decided by the first worker

    def launch(self, plan, folder: Path, logging: dict) -> bool:
        """Submits a plan; returns whether it is done, which it is only where it waited.

        Raises:
            RuntimeError: what ``sbatch`` says, if it refuses.
        """
        folder = folder.resolve()
        phases = written_plan.write(plan, folder, logging, self.jobs_per_task)
        target = folder / written_plan.FOLDER
        self._copy_sources(target / "sources")
        write_text(target / "run.sh", self._script(target, folder))
        submitted, before = [], []
        for number, phase in enumerate(phases):
            further = bool(phase[0].first)
            ids = [self._submit(target, tasks, before, further) for tasks in _arrays(phase)]
            submitted += [{"id": one, "tasks": [t.number for t in tasks], "phase": number}
                          for one, tasks in zip(ids, _arrays(phase), strict=True)]  # fmt: skip
            before = ids
        write_json(target / "slurm.json", {"arrays": submitted})
        names = ", ".join(array["id"] for array in submitted)
        tasks = sum(len(array["tasks"]) for array in submitted)
        print(f"submitted to Slurm: {tasks} tasks as {names}\nhow it is getting on: python evaluate.py sweep={folder}")
        if self.wait:
            self._wait(submitted)
        return self.wait

    def _script(self, target: Path, folder: Path) -> str:
        worker = shlex.quote(sys.executable)
        return SCRIPT.format(
            sources=shlex.quote(str(target / "sources")), folder=shlex.quote(str(folder)),
            setup="\n".join([f"export OMP_NUM_THREADS={self.cpus} MKL_NUM_THREADS={self.cpus}", *self.setup]),
            python=f"{self.container} {worker}" if self.container else worker, restarts=MOST_RESTARTS,
        )  # fmt: skip

    def _submit(self, target: Path, tasks: list, before: list[str], further: bool) -> str:
        gpus = self.further_gpus if further else self.gpus
        first, last = tasks[0].number, tasks[-1].number
        limit = f"%{self.parallel}" if self.parallel else ""
        words = [
            "sbatch", "--parsable", "--requeue", "--open-mode=append", "--ntasks=1", f"--cpus-per-task={self.cpus}",
            f"--mem={self.memory}", f"--time={self.minutes}", f"--signal=B:USR1@{self.notice}",
            f"--job-name=latent-lab-{target.parent.name}", f"--array=0-{last - first}{limit}",
            f"--output={target}/logs/%A_%a.log",
        ]  # fmt: skip
        words += [f"--gres=gpu:{gpus}"] * bool(gpus)
        named = {"partition": self.partition, "account": self.account, "constraint": self.constraint}
        words += [f"--{name}={value}" for name, value in named.items() if value]
        words += [f"--dependency=afterany:{':'.join(before)}"] * bool(before) + self.extra
        done = subprocess.run([*words, str(target / "run.sh"), str(first)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"sbatch: {' '.join(done.stderr.split())}")
        return done.stdout.strip().split(";")[0]

    def _copy_sources(self, target: Path) -> None:
        """The code as it is now, whatever is edited while tasks wait."""
        if target.exists():
            shutil.rmtree(target)
        target.mkdir(parents=True)
        ignored = shutil.ignore_patterns("__pycache__")
        for name in ("latent_lab", "conf", *PACKAGES):
            shutil.copytree(ROOT / name, target / name, ignore=ignored)
        (target / "docs").mkdir()
        shutil.copy(ROOT / "docs" / "references.csv", target / "docs")

    def _wait(self, submitted: list[dict]) -> None:
        ids = ",".join(array["id"] for array in submitted)
        while subprocess.run(["squeue", "--noheader", f"--jobs={ids}"], capture_output=True, text=True).stdout.strip():
            time.sleep(5)


def _arrays(tasks: list) -> list[list]:
    """A phase's tasks in arrays that Slurm takes; their numbers run without a gap within each."""
    arrays: list[list] = []
    for task in tasks:
        if not arrays or len(arrays[-1]) == LARGEST_ARRAY or task.number != arrays[-1][-1].number + 1:
            arrays.append([])
        arrays[-1].append(task)
    return arrays
