"""A unit run as a task of a plan: whoever asks can tell how it is getting on."""

import math
import time
from pathlib import Path

import pytorch_lightning as pl

from latent_lab.epoch_lines import Pace, share
from latent_lab.jobs import read_by, run_unit, shown_as
from latent_lab.plan import Unit
from latent_lab.progress import Status
from latent_lab.stopping import require_not_told
from latent_lab.storage import DamagedFile, read_json, write_json
from latent_lab.written_plan import Task, WrittenUnit


class ShowProgress(pl.Callback):
    """Tells a :class:`Status` how far the training is: ``epoch`` (and that which it ``began_with``), ``epochs``,
    ``updates``, ``share`` of the budget, ``images_per_second``, ``seconds_left`` (None where that isn't known)."""

    def __init__(self, status: Status):
        self.status = status

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start, self._from, self._pace = time.monotonic(), trainer.global_step, Pace(trainer)
        self.status.content["began_with"] = trainer.current_epoch + 1

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs, batch, batch_idx) -> None:
        require_not_told()
        if not trainer.is_global_zero or not self.status.due:
            return
        updates, left = trainer.global_step, self._pace.seconds_left(trainer, batch_idx + 1)
        rate = (updates - self._from) / max(time.monotonic() - self._start, 1e-9)
        of_update = trainer.datamodule.batch_size * (getattr(pl_module, "batches_per_step", None) or 1)
        self.status.write(
            epoch=trainer.current_epoch + 1, epochs=trainer.max_epochs, updates=updates,
            images_per_second=round(rate * of_update * trainer.world_size),
            seconds_left=round(left) if math.isfinite(left) else None, share=share(trainer, batch_idx + 1),
        )  # fmt: skip


def run_followed(unit: Unit, logging: dict, status: Status) -> bool:
    """Runs a unit and says so in its task's status; returns whether all its jobs are done.

    Raises:
        SystemExit, KeyboardInterrupt: when told to stop.
    """
    status.write(fit=unit.fit.name)
    try:
        run_unit(unit, logging, [ShowProgress(status)])
    except BaseException as error:
        stopped = not isinstance(error, Exception)
        status.write(state="interrupted" if stopped else "failed", error="" if stopped else _said(error))
        raise
    failed = [error for job in unit.jobs if (error := _error_of(job.folder)) is not None]
    status.write(state="failed" if failed else "done", error=failed[0] if failed else "")
    return not failed


def _error_of(folder: Path) -> str | None:
    """What a job's result says it failed of; None if it did not. One that could not be written has been told."""
    try:
        result = read_json(folder / "result.json", {"status": str, "error?": str | None})
    except DamagedFile as error:
        return str(error)
    return None if result["status"] == "ok" else str(result.get("error"))


def give_up(folder: Path, unit: WrittenUnit, task: Task, error: Exception | str) -> None:
    """The jobs of a task that nobody can do: those without a result of their own failed.

    Args:
        folder: of the sweep.
        unit: of the task.
        task: at which it failed, before its unit was at work, or with the process.
        error: why.
    """
    for job, place in unit.jobs[task.first : task.end]:
        if place is None or (file := folder / place / "result.json").exists():
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        config = job.config
        write_json(file, {
            "status": "failed", "error": error if isinstance(error, str) else _said(error), "choices": job.choices,
            "settings": job.settings, "overrides": job.overrides, "seed": config["seed"], "metrics": {}, "seconds": {},
            "n_labels": read_by(config, "n_labels"), "label_seed": read_by(config, "label_seed"),
            "scored_on": read_by(config, "score_on"), **shown_as(config),
        })  # fmt: skip
    status = Status(folder, task.number, unit.label)
    status.write(state="failed", error=error if isinstance(error, str) else _said(error))


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
