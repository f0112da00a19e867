"""Units one after another, in this process: ``hydra/launcher=basic``."""

from pathlib import Path

from latent_lab.jobs import run_unit
from latent_lab.plan import Plan


class Basic:
    """Runs every unit here. Whatever becomes of a job, its ``result.json`` says so; a failure stops no other."""

    decides = True

    def launch(self, plan: Plan, folder: Path, logging: dict) -> bool:
        """Runs a plan.

        Args:
            plan: the units.
            folder: of the sweep, or of the single job.
            logging: ``hydra.job_logging``.
        """
        for unit in plan.units:
            run_unit(unit, logging)
        return True
