"""Does tasks of a written plan: one process of many, here or on a cluster.

    python -m latent_lab.worker FOLDER N        task N, or the task of a number that Slurm's array gives on top of it
    python -m latent_lab.worker FOLDER -        the tasks whose numbers come in on standard input, a line each

Exit code 0 if all jobs are done, 1 if one failed, 75 if it was told to stop: the same task again goes on from there.
"""

import os
import queue
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

from latent_lab.deferral import import_lightning
from latent_lab.mistakes import Mistake, fail
from latent_lab.stopping import STOPPED, heed, require_not_told
from latent_lab.terminal import speak_plainly

MOST_FRUITLESS = 10  # beginnings in a row, of which none came to the end of an epoch


def run_task(folder: Path, number: int) -> int:
    """Does one task; returns the exit code it makes.

    Raises:
        SystemExit: when told to stop.
    """
    from latent_lab import written_plan
    from latent_lab.progress import Status

    tasks = written_plan.read_tasks(folder)
    if number not in tasks.all:
        raise Mistake(f"{folder}: the plan has no task {number}")
    os.chdir(tasks.cwd)
    task, unit = tasks.all[number], written_plan.read_unit(folder, tasks.all[number].unit)
    status = Status(folder, number, unit.label)
    begun = status.content["begun_in_vain"] = _begun_in_vain(written_plan.read_status(folder, number))
    try:
        status.write(jobs=task.end - task.first)  # before torch is imported, which alone can kill a process
        import_lightning()
        from latent_lab.heartbeat import give_up, run_followed

        try:
            if begun > MOST_FRUITLESS:
                raise RuntimeError(f"begun {begun} times without getting to the end of an epoch, or killed as often")
            built = _built(folder, tasks, task, unit)
            if lacking := _lacking(built.fit, task):
                _require_not_failed(folder, tasks, lacking)
                status.write(state="interrupted", fit=built.fit.name, error=f"needs {lacking}, which is not finished")
                print(f"task {number}: needs {lacking}, which is not finished", flush=True)
                return 1
        except Exception as error:
            give_up(folder, unit, task, error)
            print(f"task {number}: {type(error).__name__}: {error}", flush=True)
            return 1
        return 0 if run_followed(built, tasks.logging, status) else 1
    except (SystemExit, KeyboardInterrupt):
        status.write(state="interrupted")
        raise


def _built(folder: Path, tasks, task, unit):
    """The unit of a task, with the task's jobs of it."""
    from latent_lab import written_plan
    from latent_lab.plan import Planner
    from latent_lab.training import quiet

    quiet()
    given = {name: _without_bars(job) for name, job in unit.requires.items()}
    # what looks at a finished fit may do so where there is no GPU
    decide = lambda key, make: written_plan.decided(folder, key, make)  # noqa: E731
    planner = Planner(decide, given, here=not task.first)
    for job, place in unit.jobs[task.first : task.end] or unit.jobs[:1]:
        built = planner.add(_without_bars(job), None if place is None else folder / place)
    if tasks.fresh and (built.jobs or built.fit.damaged):
        key = f"set aside for the plan of {tasks.written}: {built.fit.name}"
        written_plan.decided(folder, key, lambda: str(built.fit.set_aside()))
    return built


def _without_bars(job):
    """The job without progress bars, which are for a terminal."""
    return replace(job, config=job.config | {"trainer": job.config["trainer"] | {"enable_progress_bar": False}})


def _lacking(fit, task) -> str | None:
    """The fit that a task needs, and that should be there by now: one its own requires, or its own."""
    needed = [*fit.requires.values(), *([fit] if task.first else [])]
    return next((other.name for other in needed if not other.finished), None)


def _require_not_failed(folder: Path, tasks, lacking: str) -> None:
    """Raises RuntimeError if the task that was to train a fit failed."""
    from latent_lab import written_plan

    for number in tasks.all:
        status = written_plan.read_status(folder, number)
        if status.get("fit") == lacking and status["state"] == "failed":
            raise RuntimeError(f"{lacking}, which it needs, failed: {status.get('error')}")


def _begun_in_vain(before: dict) -> int:
    """How often in a row a task was begun, and ended by others, without getting to the end of an epoch."""
    progress = before.get("epoch", 0) > before.get("began_with", 0) > 0
    in_vain = before.get("state") in ("running", "interrupted") and not progress
    return before.get("begun_in_vain", 0) + 1 if in_vain else 0


def _in_turn(folder: Path) -> int:
    """Does the tasks that come in on standard input; says of each, after a separator, that it is done with it."""
    numbers: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    busy = threading.Event()

    def listen() -> None:
        for line in sys.stdin:
            numbers.put(int(line))
        numbers.put(None)
        if busy.is_set():  # whoever gave out the tasks is gone
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 1)
            os.dup2(nothing, 2)
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=listen, daemon=True).start()
    while (number := numbers.get()) is not None:
        busy.set()
        code = run_task(folder, number)
        busy.clear()
        print(f"\x1e{number} {code}", flush=True)
    return 0


def _end_with_parent() -> None:
    """Stops this process where the script that started it is gone: nobody would count it any more."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def main() -> int:
    """Reads which tasks, does them."""
    speak_plainly()
    heed()
    if len(sys.argv) != 3:
        fail("expects the folder of a sweep, and a task's number", "worker")
    folder = Path(sys.argv[1]).resolve()
    try:
        if sys.argv[2] == "-":
            return _in_turn(folder)
        _end_with_parent()
        return run_task(folder, int(sys.argv[2]) + int(os.environ.get("SLURM_ARRAY_TASK_ID", 0)))
    except SystemExit:
        return STOPPED
    except (ValueError, OSError) as error:
        fail(error, "worker")
    except Exception:
        require_not_told()
        raise


if __name__ == "__main__":
    sys.exit(main())
