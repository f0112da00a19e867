"""How a plan is run. ``hydra/launcher=NAME`` chooses; a launcher is a class with ``launch``."""

from latent_lab.jobs import run_unit
from latent_lab.plan import Plan


class Basic:
    """The units one after another, in this process."""

    def launch(self, plan: Plan, logging: dict) -> None:
        """Runs every unit. Whatever becomes of a job, its ``result.json`` says so; a failure stops no other."""
        for unit in plan.units:
            run_unit(unit, logging)


def launcher(config: dict):
    """The launcher of a command's ``hydra.launcher``.

    Raises:
        ValueError: for settings that it does not take.
    """
    settings = dict(config)
    cls = globals()[settings.pop("_target_").rpartition(".")[2]]
    try:
        return cls(**settings)
    except TypeError as error:
        raise ValueError(f"hydra.launcher: {error}") from None
