"""Does tasks of a written plan: one process of many, here or on a cluster.

    python -m latent_lab.worker FOLDER N        task N, or the task of a number that Slurm's array gives on top of it
    python -m latent_lab.worker FOLDER -        the tasks whose numbers come in on standard input, a line each

Exit code 0 if all jobs are done, 1 if one failed, 75 if it was told to stop: the same task again goes on from there.
"""

import os
import signal
import sys
from pathlib import Path

from latent_lab.mistakes import Mistake, fail
from latent_lab.terminal import speak_plainly

STOPPED = 75  # EX_TEMPFAIL


def run_task(folder: Path, number: int) -> int:
    """Does one task; returns the exit code it makes."""
    from latent_lab import written_plan
    from latent_lab.heartbeat import ShowProgress
    from latent_lab.jobs import run_unit
    from latent_lab.plan import Planner
    from latent_lab.progress import Status
    from latent_lab.storage import read_json
    from latent_lab.training import quiet

    quiet()
    phases, logging, cwd = written_plan.read_tasks(folder)
    os.chdir(cwd)
    task = {task.number: task for phase in phases for task in phase}.get(number)
    if task is None:
        raise Mistake(f"{folder}: the plan has no task {number}")
    status = Status(folder / written_plan.FOLDER / "status" / f"{number}.json")
    unit = written_plan.read_unit(folder, task.unit)
    status.write(label=unit.label, jobs=task.end - task.first)
    try:
        planner = Planner(decide=lambda key, make: written_plan.decided(folder, key, make), given=unit.requires)
        built = None
        for job, place in unit.jobs[task.first : task.end] or unit.jobs[:1]:
            built = planner.add(job, None if place is None else folder / place)
        status.write(fit=built.fit.name)
        run_unit(built, logging, [ShowProgress(status)])
    except BaseException as error:
        stopped = not isinstance(error, Exception)
        said = "" if stopped else f"{type(error).__name__}: {error}"
        status.write(state="interrupted" if stopped else "failed", error=said)
        if stopped:
            return STOPPED
        raise
    results = [read_json(planned.folder / "result.json") for planned in built.jobs]
    failed = [result for result in results if result["status"] != "ok"]
    status.write(state="failed" if failed else "done", error=failed[0]["error"] if failed else "")
    return 1 if failed else 0


def _stop(*_) -> None:
    """Told to stop: by a launcher, by Slurm ahead of a limit or a preemption."""
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)  # once is enough: what is being written down is written to its end
    raise SystemExit(STOPPED)


SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)]


def main() -> int:
    """Reads which tasks, does them."""
    speak_plainly()
    for signum in SIGNALS:
        signal.signal(signum, _stop)
    if len(sys.argv) != 3:
        fail("expects the folder of a sweep, and a task's number", "worker")
    folder = Path(sys.argv[1]).resolve()
    try:
        if sys.argv[2] == "-":
            for line in sys.stdin:
                print(f"\x1e{line.strip()} {run_task(folder, int(line))}", flush=True)
            return 0
        return run_task(folder, int(sys.argv[2]) + int(os.environ.get("SLURM_ARRAY_TASK_ID", 0)))
    except SystemExit:
        return STOPPED
    except (ValueError, OSError) as error:
        fail(error, "worker")


if __name__ == "__main__":
    sys.exit(main())
