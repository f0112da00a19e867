"""The checks of a command that need neither torch nor Lightning: importing these costs more than all else they save."""

import json
import re

from latent_lab import trainer_settings
from latent_lab.command import Command
from latent_lab.mistakes import Mistake


def check_names(command: Command) -> None:
    """Raises Mistake for a name or a folder of the command that can't be one."""
    first = command.jobs[0].config
    if first["sweep"] is not None and not command.multirun:
        raise Mistake(f"sweep={first['sweep']}: names a sweep, and needs -m")
    if first["sweep"] is not None and not re.fullmatch(r"\w[\w.+-]*", first["sweep"]):
        raise Mistake(f"sweep={first['sweep']}: a name is made of letters, digits and . _ + -")
    for name in ("outputs", "data"):
        if not isinstance(first["paths"][name], str) or not first["paths"][name]:
            raise Mistake(f"paths.{name}={first['paths'][name]}: expects a folder")
    if type(first["fresh"]) is not bool:
        raise Mistake(f"fresh={first['fresh']}: expects true or false")


def check_trainers(command: Command) -> None:
    """Raises ValueError for a value that no trainer can have."""
    seen = set()
    for job in command.jobs:
        trainer, named = job.config["trainer"], trainer_settings.named(job.settings)
        if (key := json.dumps([trainer, sorted(named)], sort_keys=True)) not in seen:
            seen.add(key)
            trainer_settings.require_sensible(trainer_settings.completed(trainer, named, lambda *_: "auto"))
