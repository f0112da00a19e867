"""TensorBoard's HPARAMS: of each job its model, its data and what its sweep varies, beside the figures of its table;
all else is a text."""

import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from pytorch_lightning.loggers import TensorBoardLogger

from latent_lab import written_plan
from latent_lab.results import is_bound
from latent_lab.rounding import rounded
from latent_lab.storage import DamagedFile

ALWAYS = ("model", "dataset")  # columns, by which the rows of several sweeps are told apart
FIGURE = "z_result"  # what the tags of a job's figures begin with, a dot each: they come after all curves
OF_NO_MODEL = ("callbacks", "logger", "paths", "hydra", "fresh", "sweep", "trainer.enable_progress_bar")


def log_result(logger: TensorBoardLogger, result: dict, folder: Path) -> None:
    """A job's settings and headline figures as columns of HPARAMS, and all its metrics as a text.

    Args:
        logger: of the job.
        result: of the job.
        folder: of the job, beside whose the plan of its sweep lies.
    """
    from torch.utils.tensorboard.summary import hparams

    chosen = {name: result["choices"][name] for name in ALWAYS}
    settings = chosen | columns(result["settings"], varied(folder.parent))
    figures = {f"{FIGURE}/{name}": result["metrics"][name] for name in headline(result)}
    logger.hparams.update(settings)
    logger.log_metrics(figures, 0)
    # Without the first of its summaries, which has columns for all runs: those of the other sweeps would have none
    for summary in hparams(settings, figures)[1:]:
        logger.experiment._get_file_writer().add_summary(summary)
    rows = [f"| {name} | {rounded(value)} |" for name, value in result["metrics"].items()]
    logger.experiment.add_text("result", "\n".join(["| metric | value |", "|---|---|", *rows]), 0)


def headline(result: dict) -> list[str]:
    """The metrics of a result's table, without those that others are held against, the same for all jobs; of a result
    without a table all."""
    names = result["headline"] or result["metrics"]
    return [name for name in names if name in result["metrics"] and not is_bound(name)]


def columns(settings: dict, names: Iterable[str] | None) -> dict:
    """Those of a job's settings that are columns, as TensorBoard takes them.

    Args:
        settings: what the job's command names.
        names: of the settings that vary over the sweep; None of a single job, whose columns are all that it was told.
    """
    if names is None:
        names = [name for name in settings if not name.startswith(OF_NO_MODEL)]
    found = {name: settings[name] for name in sorted(names) if name in settings}
    return {name: value if isinstance(value, str | bool | int | float) else str(value) for name, value in found.items()}


def varied(folder: Path) -> frozenset[str] | None:
    """The settings whose values differ over the jobs of a sweep; None where the folder is of no sweep of several."""
    try:
        return _varied(folder, (folder / "plan" / "units.jsonl").stat().st_mtime_ns)
    except (OSError, DamagedFile):
        return None


@lru_cache(maxsize=4)
def _varied(folder: Path, _written: int) -> frozenset[str] | None:
    jobs = list(written_plan.read_settings(folder))
    values: dict[str, set[str]] = {name: set() for settings in jobs for name in settings}
    for settings in jobs:
        for name, found in values.items():
            found.add(json.dumps(settings.get(name), sort_keys=True, default=str))
    return frozenset(name for name, found in values.items() if len(found) > 1) if len(jobs) > 1 else None
