"""Units one after another, in this process: ``hydra/launcher=basic``."""

from pathlib import Path
from typing import TYPE_CHECKING

from latent_lab import written_plan
from latent_lab.launchers.driving import driven
from latent_lab.progress import Status

if TYPE_CHECKING:
    from latent_lab.plan import Plan


class Basic:
    """Runs every unit here. Whatever becomes of a job, its ``result.json`` says so; a failure stops no other."""

    decides = True

    def launch(self, plan: "Plan", folder: Path, logging: dict) -> bool:
        """Runs a plan. That of a sweep is written down, so that others can ask how it is getting on.

        Args:
            plan: the units.
            folder: of the sweep, or of the single job.
            logging: ``hydra.job_logging``.

        Raises:
            Mistake: if another process, or the cluster, is at it.
        """
        from latent_lab.heartbeat import run_followed
        from latent_lab.jobs import in_a_line, run_unit

        if sum(len(unit.jobs) for unit in plan.units) == 1:
            for unit in plan.units:
                run_unit(unit, logging)
            return True
        with driven(folder):
            tasks = [task for phase in written_plan.write(plan, folder, logging) for task in phase]
            for task in sorted(tasks, key=lambda task: task.unit):
                unit = plan.units[task.unit]
                try:
                    run_followed(unit, logging, Status(folder, task.number, unit.fit.label))
                except Exception as error:  # of a fit that others require: what fails in a job is in its result
                    print(f"{unit.fit.name}: {in_a_line(error, folder)}")
        return True
