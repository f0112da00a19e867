"""How a plan is run: ``hydra/launcher=NAME`` chooses.

A launcher is a class with ``launch(plan, folder, logging)``, which returns whether the plan has been run to its end
(one that submits it to a cluster returns before), and ``decides``: whether this machine is one that computes.
"""

import importlib
import os

from latent_lab.mistakes import Mistake


def launcher(config: dict):
    """The launcher of a command's ``hydra.launcher``.

    Raises:
        ValueError: for settings that it does not take.
    """
    settings = dict(config)
    module, _, name = settings.pop("_target_").rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)(**settings)
    except TypeError as error:
        raise ValueError(f"hydra.launcher: {error}") from None


def require_one_process() -> None:
    """Ends this process if it is one of several that a step of Slurm's consists of: each would do the whole command.

    Raises:
        Mistake: in the first of them.
    """
    tasks = os.environ.get("SLURM_STEP_NUM_TASKS", "1")
    if "SLURM_STEP_ID" not in os.environ or not tasks.isdigit() or int(tasks) < 2:
        return
    if os.environ.get("SLURM_PROCID") != "0":
        raise SystemExit(2)
    raise Mistake(
        f"srun started this command {tasks} times: start it once, with srun --ntasks=1; trainer.devices=N makes "
        "several processes of a fit"
    )
