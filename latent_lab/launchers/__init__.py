"""How a plan is run: ``hydra/launcher=NAME`` chooses.

A launcher is a class with ``launch(plan, folder, logging)``, which returns whether the plan has been run to its end
(one that submits it to a cluster returns before), and ``decides``: whether this machine is one that computes.
"""

import importlib


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
