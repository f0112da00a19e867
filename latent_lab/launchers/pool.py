"""Worker processes on this machine, the tasks that wait for one, and what is heard of them."""

import contextlib
import queue
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from os import environ
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from latent_lab import progress, written_plan
from latent_lab.storage import write_json
from latent_lab.targets import ROOT
from latent_lab.written_plan import Task

LINES = 10  # of a fit, off a terminal
REFRESH = 1.0  # seconds between two looks at how the workers are getting on
GRACE = 1.5  # seconds that workers have to write down that they were told to stop; checkpoints are whole at any moment


@dataclass
class Worker:
    """A process and the task it is at."""

    number: int
    process: subprocess.Popen
    task: Task | None = None


class Pool:
    """Does tasks.

    Args:
        folder: of the sweep, with its written plan.
        tasks: to be done, in any order.
        environments: of the workers, one each.
    """

    def __init__(self, folder: Path, tasks: list[Task], environments: list[dict[str, str]]):
        self.folder, self.environments = folder.resolve(), environments
        self.waiting, self.deaths = list(tasks), dict.fromkeys((task.number for task in tasks), 0)
        self.heard: queue.Queue[tuple[Worker, str | None]] = queue.Queue()
        self.workers: dict[int, Worker] = {}
        self.console = Console(highlight=False, soft_wrap=True)
        self.told: dict[int, int] = {}  # of each task, the tenth of its fit that a line was written of

    def run(self) -> None:
        """Until all is done.

        Raises:
            KeyboardInterrupt, SystemExit: when told to stop, after all workers have.
        """
        with Live(console=self.console, transient=True, auto_refresh=False) as live:
            try:
                for number in range(len(self.environments)):
                    self._start(number)
                while self.workers:
                    with contextlib.suppress(queue.Empty):
                        self._hear(*self.heard.get(timeout=REFRESH))
                        while True:
                            self._hear(*self.heard.get_nowait())
                    self._tell(live)
            except BaseException:
                self._stop()
                raise

    def _tell(self, live: Live) -> None:
        """How all are getting on: a line each that is kept up to date, or off a terminal a line each tenth of a fit."""
        lines = []
        for worker in self.workers.values():
            status = written_plan.read_status(self.folder, worker.task.number) if worker.task else {}
            if status.get("epoch") and status["process"] == worker.process.pid:
                line = f"[{worker.number + 1}] {progress.in_words(status)}"
                lines.append(line)
                tenth = int(status.get("share", 0) * LINES)
                if not self.console.is_terminal and self.told.get(worker.task.number) != tenth:
                    self.told[worker.task.number] = tenth
                    self._say(line)
        if self.console.is_terminal:
            live.update(Text("\n".join(lines), no_wrap=True, overflow="ellipsis"), refresh=True)

    def _say(self, line: str) -> None:
        self.console.print(line, markup=False)

    def _start(self, number: int) -> None:
        """Starts a worker and gives it a task."""
        process = subprocess.Popen(
            [sys.executable, "-m", "latent_lab.worker", str(self.folder), "-"],
            cwd=ROOT, env=environ | self.environments[number],
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
            if worker.task is not None:
                log = self.folder / written_plan.FOLDER / "logs" / f"{worker.task.number}.log"
                with contextlib.suppress(OSError), open(log, "a", encoding="utf-8") as file:  # it is said above
                    file.write(f"{line}\n")

    def _ended(self, worker: Worker) -> None:
        """A worker's process is gone. Where it died over a task, another takes that up, once."""
        del self.workers[worker.number]
        task, code = worker.task, worker.process.returncode
        if task is not None:
            how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            self.deaths[task.number] += 1
            again = self.deaths[task.number] == 1
            status = written_plan.read_status(self.folder, task.number)
            fit = status.get("fit") or status.get("label") or f"unit {task.unit}"
            self._say(f"[{worker.number + 1}] process {worker.process.pid} {how} at the fit {fit}: "
                      f"{'taken up again' if again else 'given up'}")  # fmt: skip
            if again:
                self.waiting.append(task)
            else:
                from latent_lab.heartbeat import give_up

                unit = written_plan.read_unit(self.folder, task.unit)
                give_up(self.folder, unit, task, f"its process was {how}, twice")
        if self.waiting:
            self._start(worker.number)

    def _stop(self) -> None:
        """Tells all workers to stop, and waits until they have."""
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        for worker in self.workers.values():
            worker.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        for worker in self.workers.values():
            try:
                worker.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            self._written_down(worker)
        signal.signal(signal.SIGINT, before)

    def _written_down(self, worker: Worker) -> None:
        """That a task was interrupted, where its process had no time to say so."""
        status = written_plan.read_status(self.folder, worker.task.number) if worker.task else {}
        if status.get("state") == "running":
            file = self.folder / written_plan.FOLDER / "status" / f"{worker.task.number}.json"
            write_json(file, status | {"state": "interrupted"})
