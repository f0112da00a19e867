"""Units side by side in worker processes on this machine: ``hydra/launcher=local``."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from latent_lab import progress, written_plan
from latent_lab.plan import Plan
from latent_lab.storage import DamagedFile, read_json, write_json
from latent_lab.written_plan import Task

REFRESH = 1.0  # seconds between two looks at how the workers are getting on
GRACE = 10.0  # seconds that workers have to write down that they were told to stop
ROOT = Path(__file__).resolve().parents[2]


class Local:
    """Worker processes that take one unit after another, each with its share of the CPU's threads, or a GPU.

    Args:
        workers: how many; ``auto``: one for each GPU, or for each core where there is none. Never more than units.
        per_gpu: workers that share a GPU: small networks leave most of one idle.
    """

    def __init__(self, workers: int | str = "auto", per_gpu: int = 1):
        for name, value in {"workers": workers, "per_gpu": per_gpu}.items():
            if not (type(value) is int and value >= 1) and not (name == "workers" and value == "auto"):
                auto = " or auto" * (name == "workers")
                raise ValueError(f"hydra.launcher.{name}={value}: expects a positive whole number{auto}")
        self.workers, self.per_gpu = workers, per_gpu

    decides = True

    def launch(self, plan: Plan, folder: Path, logging: dict) -> bool:
        """Runs every unit. Whatever becomes of a job, its ``result.json`` says so; a failure stops no other.

        Raises:
            KeyboardInterrupt: when told to stop, after all workers have.
        """
        for phase in written_plan.write(plan, folder, logging):
            Pool(folder, phase, self._environments(len(phase))).run()
        return True

    def _environments(self, units: int) -> list[dict[str, str]]:
        """What each worker's environment has: its GPU and its threads."""
        import torch

        cores, gpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(), 0
        if torch.cuda.is_available():
            gpus = torch.cuda.device_count()
        count = (gpus * self.per_gpu or cores) if self.workers == "auto" else self.workers
        count = max(1, min(count, units))
        threads = {name: str(max(1, cores // count)) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        visible = (
            os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if os.environ.get("CUDA_VISIBLE_DEVICES") else None
        )
        devices = visible or [str(number) for number in range(gpus)]
        return [threads | ({"CUDA_VISIBLE_DEVICES": devices[n % gpus]} if gpus else {}) for n in range(count)]


@dataclass
class Worker:
    """A process and the task it is at."""

    number: int
    process: subprocess.Popen
    task: Task | None = None


class Pool:
    """Workers, the tasks that wait for one, and what is heard of them.

    Args:
        folder: of the sweep, with its written plan.
        tasks: to be done, in any order.
        environments: of the workers, one each.
    """

    def __init__(self, folder: Path, tasks: list[Task], environments: list[dict[str, str]]):
        self.folder, self.environments = folder, environments
        self.waiting, self.deaths = list(tasks), dict.fromkeys((task.number for task in tasks), 0)
        self.heard: queue.Queue[tuple[Worker, str | None]] = queue.Queue()
        self.workers: dict[int, Worker] = {}
        self.console = Console(highlight=False, soft_wrap=True)
        self.told: dict[int, int] = {}  # of each task, the epoch that a line was written of

    def run(self) -> None:
        """Until all is done, or Ctrl-C."""
        with Live(console=self.console, transient=True, auto_refresh=False) as live:
            try:
                for number in range(len(self.environments)):
                    self._start(number)
                while self.workers:
                    with contextlib.suppress(queue.Empty):
                        self._hear(*self.heard.get(timeout=REFRESH))
                    self._tell(live)
            except (KeyboardInterrupt, SystemExit):
                self._stop()
                raise

    def _tell(self, live: Live) -> None:
        """How all are getting on: a line each that is kept up to date, or off a terminal a line an epoch."""
        lines = []
        for worker in self.workers.values():
            status = self._status(worker.task)
            if status.get("epoch"):
                line = f"[{worker.number + 1}] {progress.in_words(status)}"
                lines.append(line)
                if not self.console.is_terminal and self.told.get(worker.task.number) != status["epoch"]:
                    self.told[worker.task.number] = status["epoch"]
                    self._say(line)
        if self.console.is_terminal:
            live.update(Text("\n".join(lines)), refresh=True)

    def _say(self, line: str) -> None:
        self.console.print(line, markup=False)

    def _start(self, number: int) -> None:
        """Starts a worker and gives it a task."""
        process = subprocess.Popen(
            [sys.executable, "-m", "latent_lab.worker", str(self.folder.resolve()), "-"],
            cwd=ROOT, env=os.environ | self.environments[number],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            start_new_session=True,  # Ctrl-C is for this process, which tells its workers
        )  # fmt: skip
        worker = self.workers[number] = Worker(number, process)
        threading.Thread(target=self._listen, args=(worker,), daemon=True).start()
        self._give(worker)

    def _listen(self, worker: Worker) -> None:
        for line in worker.process.stdout:
            self.heard.put((worker, line.rstrip("\n")))
        worker.process.wait()
        self.heard.put((worker, None))

    def _give(self, worker: Worker) -> None:
        """A worker's next task; none is the end of it."""
        worker.task = self.waiting.pop(0) if self.waiting else None
        try:
            if worker.task is None:
                worker.process.stdin.close()
            else:
                worker.process.stdin.write(f"{worker.task.number}\n")
                worker.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has died: that is heard of

    def _hear(self, worker: Worker, line: str | None) -> None:
        if line is None:
            self._ended(worker)
        elif line.startswith("\x1e"):
            self._give(worker)
        elif line.strip():
            self._say(f"[{worker.number + 1}] {line}")

    def _ended(self, worker: Worker) -> None:
        """A worker's process is gone. Where it died over a task, another takes that up, once."""
        del self.workers[worker.number]
        task, code = worker.task, worker.process.returncode
        if task is None:
            return
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        self.deaths[task.number] += 1
        again = self.deaths[task.number] == 1
        status = self._status(task)
        fit = status.get("fit") or status.get("label") or f"unit {task.unit}"
        self._say(f"[{worker.number + 1}] process {worker.process.pid} {how} at the fit {fit}: "
                  f"{'taken up again' if again else 'given up'}")  # fmt: skip
        if again:
            self.waiting.append(task)
        else:
            self._write_down(task, f"the worker was {how}, twice")
        if self.waiting:
            self._start(worker.number)

    def _status(self, task: Task | None) -> dict:
        file = self.folder / written_plan.FOLDER / "status" / f"{task.number if task else None}.json"
        try:
            return read_json(file)
        except DamagedFile:
            return {}

    def _write_down(self, task: Task, error: str) -> None:
        """The jobs of a task that nobody could do: those without a result of their own failed."""
        unit = written_plan.read_unit(self.folder, task.unit)
        for job, place in unit.jobs[task.first : task.end]:
            if place is not None and not (file := self.folder / place / "result.json").exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                write_json(file, {"status": "failed", "error": error, "choices": job.choices, "settings": job.settings,
                                  "metrics": {}, "seconds": {}})  # fmt: skip

    def _stop(self) -> None:
        """Tells all workers to stop, and waits until they have."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for worker in self.workers.values():
            worker.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        for worker in self.workers.values():
            try:
                worker.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
        self._say("stopped: nothing is lost, the same command goes on from the last epochs")
