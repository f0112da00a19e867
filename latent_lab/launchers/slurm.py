"""Units as tasks of Slurm's job arrays: ``hydra/launcher=slurm``. Plain ``sbatch``; nothing stays on the login node.

A plan is written, the sources are copied beside it (a sweep runs the code that it was submitted with), each phase of
the plan becomes an array that depends on the one before (:mod:`latent_lab.launchers.submission`). Where a worker was
told to stop (preemption, the time limit) or was killed, its batch script has Slurm requeue this task, and no other. A
small last job submits again what could not (the script itself was killed, the node died), and makes the tables.
"""

import re
import shutil
import time
from pathlib import Path

from latent_lab import written_plan
from latent_lab.launchers import slurm_queue
from latent_lab.launchers.driving import driven, submitted
from latent_lab.launchers.submission import submit
from latent_lab.mistakes import Mistake

WORDS = ("partition", "account", "constraint", "container", "python")
COUNTS = {"cpus": 1, "minutes": 1, "parallel": 1, "jobs_per_task": 1, "gpus": 0, "further_gpus": 0, "notice": 0}
OPTIONAL = ("parallel", "jobs_per_task")
# What makes several processes of a task, or takes it out of our hands.
OURS = ("--array", "-a", "--ntasks", "-n", "--ntasks-per-node", "--ntasks-per-gpu", "--nodes", "-N", "--dependency",
        "-d", "--signal", "--wrap", "--no-requeue", "--wait", "-W", "--parsable")  # fmt: skip
LOOK = 5.0  # seconds between two looks at the queue


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
        python: the interpreter there; None for the one that runs this.
        extra: further arguments of ``sbatch``.
        follow_up: whether a small last job submits again what died unheard, and makes the tables.
        wait: stay until all is done, and show the table.
    """

    decides = False  # what only a machine that computes can know is decided by the first worker

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
        python: str | None = None,
        extra: list[str] = (),
        follow_up: bool = True,
        wait: bool = False,
    ):
        self.settings = settings = {name: value for name, value in locals().items() if name != "self"}
        for name, least in COUNTS.items():
            value = settings[name]
            if not (value is None and name in OPTIONAL) and (type(value) is not int or value < least):
                raise ValueError(f"hydra.launcher.{name}={value}: expects a whole number from {least}")
        for name in WORDS:
            if not isinstance(settings[name], str | None):
                raise ValueError(f"hydra.launcher.{name}={settings[name]}: expects a word, or null")
        for name in ("setup", "extra"):
            settings[name] = [*settings[name]] if isinstance(settings[name], list | tuple) else settings[name]
            if not isinstance(settings[name], list) or not all(isinstance(line, str) for line in settings[name]):
                raise ValueError(f"hydra.launcher.{name}={settings[name]}: expects a list, as ['...','...']")
        for name in ("follow_up", "wait"):
            if type(settings[name]) is not bool:
                raise ValueError(f"hydra.launcher.{name}={settings[name]}: expects true or false")
        settings["memory"] = str(memory)
        if not re.fullmatch(r"\d+[KMGT]?", settings["memory"]):
            raise ValueError(f"hydra.launcher.memory={memory}: expects an amount as 8G or 500M")
        if notice >= 60 * minutes:
            raise ValueError(f"hydra.launcher.notice={notice}: seconds, of a task of {minutes} minutes")
        if refused := next((word for word in settings["extra"] if word.partition("=")[0] in OURS), None):
            raise Mistake(f"hydra.launcher.extra={refused}: a task is one process on one node, which is requeued where "
                          "it is stopped; trainer.devices=N makes several of it")  # fmt: skip
        if shutil.which("sbatch") is None:
            raise Mistake("hydra/launcher=slurm: there is no sbatch on this machine; hydra/launcher=local runs here")

    def launch(self, plan, folder: Path, logging: dict) -> bool:
        """Submits a plan; returns whether it is done, which it is only where it waited.

        Raises:
            Mistake: if the sweep is on the cluster already, or runs; if the tasks would not have the GPUs they need.
            RuntimeError: what ``sbatch`` says, if it refuses.
        """
        for unit in plan.units:
            self._require_gpus(unit.fit.config["trainer"])
        fresh = any(unit.jobs and unit.jobs[0].config["fresh"] for unit in plan.units)
        with driven(folder):
            # jobs are named from the folder as the command has it; tasks find it from wherever they run
            phases = written_plan.write(plan, folder, logging, self.settings["jobs_per_task"], fresh)
            folder = folder.resolve()
            content = submit(folder, phases, self.settings)
        tasks = sum(len(array["tasks"]) for array in content["arrays"])
        ids = [array["id"] for array in content["arrays"]]
        print(f"submitted to Slurm: {tasks} task{'s' * (tasks > 1)} as {', '.join(ids)}")
        print(f"how it is getting on: python evaluate.py sweep={folder}")
        if self.settings["wait"]:
            self._wait(folder)
        return self.settings["wait"]

    def _require_gpus(self, trainer: dict) -> None:
        """Raises Mistake where tasks would lack GPUs, or hold some that they leave idle."""
        gpus, devices, accelerator = self.settings["gpus"], trainer["devices"], trainer["accelerator"]
        named = any(word.startswith(("--gres", "--gpus", "-G")) for word in self.settings["extra"])
        if gpus and accelerator == "cpu":
            raise Mistake(f"hydra.launcher.gpus={gpus}: with trainer.accelerator=cpu they would be idle; set gpus=0")
        if accelerator in ("gpu", "cuda") and gpus < devices and not named:
            raise Mistake(f"hydra.launcher.gpus={gpus}: trainer.accelerator={accelerator} needs {devices}")
        if accelerator == "auto" and 0 < gpus < devices:
            raise Mistake(f"hydra.launcher.gpus={gpus}: trainer.devices={devices} needs as many")

    def _wait(self, folder: Path) -> None:
        """Until nothing of the sweep is in the queue; it may be submitted again meanwhile."""
        try:
            while True:
                now = submitted(folder)
                ids = [array["id"] for array in now["arrays"]] + ([now["follows"]] if now.get("follows") else [])
                if slurm_queue.in_queue(ids) == [] and now == submitted(folder):
                    return
                time.sleep(LOOK)
        except KeyboardInterrupt:
            print(f"\nthe tasks go on: scancel {' '.join(ids)} ends them")
            raise
