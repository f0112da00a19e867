"""Trains a fit: from the start, from where it stopped, or not at all where it is found finished."""

import contextlib
import logging
import math
import os
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.profilers import AdvancedProfiler, PassThroughProfiler, PyTorchProfiler, SimpleProfiler

from callbacks.analyses.base import Analysis
from callbacks.observers.epoch_seed import EpochSeed
from latent_lab.checkpoints import FRESH, AtomicCheckpointIO, Checkpoints, load_checkpoint, weights_digest
from latent_lab.epoch_lines import EpochLines, FitBar
from latent_lab.fit_files import drawn
from latent_lab.fits import Fit
from latent_lab.folders import timestamp
from latent_lab.opened import OpenFit
from latent_lab.processes import UnwrappedDDP, launch
from latent_lab.storage import DamagedFile, read_json, write_json
from latent_lab.stored_config import require_kind
from latent_lab.targets import build, resolve, taken
from latent_lab.warned import warned_once

log = logging.getLogger("train")
PROFILERS = {"simple": SimpleProfiler, "advanced": AdvancedProfiler, "pytorch": PyTorchProfiler}
NOTHING = contextlib.nullcontext()
COUNTS = ("active_units", "_samples", "_images")  # so end the names of whole numbers: Lightning logs floats only


def find_or_train(fit: Fit, datamodule: pl.LightningDataModule, observers: Sequence[pl.Callback] = ()) -> bool:
    """Leaves the fit finished: trained by this process, continued, or found.

    Returns:
        whether it was there before.
    """
    for other in fit.requires.values():
        other.require_same_identity()
        if not other.finished:
            find_or_train(other, read_data(other.config["dataset"]))
    fit.require_same_identity()
    if fit.finished:
        log.info(f"fit {fit.name}: found finished, {fit.record['epochs']} epochs")
        return True
    with fit.lock(on_wait=lambda owner: log.info(f"fit {fit.name}: {owner} trains it, waiting")):
        if fit.finished:
            log.info(f"fit {fit.name}: finished meanwhile")
            return True
        train(fit, datamodule, observers)
    return False


def read_data(config: dict) -> pl.LightningDataModule:
    """The data module that a configuration describes, set up."""
    datamodule = build(config)
    datamodule.setup()
    return datamodule


def train(fit: Fit, datamodule: pl.LightningDataModule, observers: Sequence[pl.Callback] = ()) -> None:
    """Trains the fit, from the start or from its last checkpoint, to its end; ``observers`` may watch.

    On several devices, each has a process of its own, and this one waits for them.
    """
    resume_step = None
    if fit.checkpoint.exists():
        state = load_checkpoint(fit.checkpoint, fit=fit.digest)
        resume_step, budget = state["global_step"], fit.config["trainer"]
        whole = f"{budget['max_epochs']}" if budget["max_epochs"] != -1 else f"at most {budget['max_steps']} updates"
        log.info(f"fit {fit.name}: continues after epoch {state['epoch'] + 1} of {whole}")
    else:
        log.info(f"fit {fit.name}: trains anew" + (f" ({why})" if (why := fit.why_new()) else ""))
    fit.create()
    _require_same_required(fit)
    if (devices := fit.config["trainer"]["devices"]) == 1:
        _train_here(fit, resume_step, observers, datamodule)
    else:
        launch(devices, _train_here, fit, resume_step, observers)


def _require_same_required(fit: Fit) -> None:
    """Writes down the weights of the fits that this one requires.

    Raises:
        ValueError: if they are others than when it was begun: its epochs would be scored by two.
    """
    now = {name: OpenFit(other.folder).weights for name, other in fit.requires.items()}
    then = fit.record.get("required", {}) if fit.checkpoint.exists() else now
    if lost := [name for name in now if name not in then]:
        raise DamagedFile(f"{fit.folder / 'fit.json'}: does not say by which {lost[0]} it was begun; {FRESH}")
    if changed := [name for name in now if then.get(name) != now[name]]:
        raise ValueError(
            f"{fit.folder}: {fit.requires[changed[0]].name}, its {changed[0]}, was trained anew since this fit was "
            "begun, to other weights; fresh=true trains this one anew"
        )
    fit.write_record(required=now)


def _train_here(
    fit: Fit, resume_step: int | None, observers: list[pl.Callback], datamodule: pl.LightningDataModule | None = None
) -> None:
    """Trains in this process, alone or as one of several: the first of them writes what there is to write."""
    quiet()
    start, config = time.perf_counter(), fit.config
    if datamodule is None:  # a new process, which has imported what the files hold now
        fit.require_same_code()
        datamodule = build(config["dataset"])
    required = {name: OpenFit(other.folder).model for name, other in fit.requires.items()}
    pl.seed_everything(config["seed"], verbose=False)
    model = build(config["model"], **fit.data["offers"], **{n: required[n] for n in taken(config["model"], required)})
    if config["compile"]:
        model.compile()
    callbacks = [build(c, fit_folder=fit.folder, **required) for c in configured(config, "observers")]
    if config["trainer"]["enable_progress_bar"] is not False:
        callbacks.append(FitBar() if on_a_terminal() else EpochLines())
    chooser = next((callback for callback in callbacks if hasattr(callback, "score")), None)
    checkpoints = Checkpoints(fit.folder, chooser, fit.digest)
    callbacks = [EpochSeed(config["seed"]), *callbacks, *observers, checkpoints]
    loggers = make_loggers(config, fit.folder, fit.name, resume_step)
    more = {"logger": loggers, "profiler": Unprofiled()}
    if profiler := config["trainer"].get("profiler"):  # what it found is a file beside the checkpoints
        more["profiler"] = PROFILERS[profiler](dirpath=fit.folder, filename="profile")
    settings = config["trainer"] | {"enable_progress_bar": False}
    trainer = make_trainer(settings, fit.folder, callbacks, settings["devices"], **more)
    if trainer.strategy.root_device.type == "cpu":
        # Lightning has torch look for GPUs by loading NVIDIA's library, and an optimizer looks at each of its steps
        os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
    with warned_once(fit.name):
        trainer.fit(model, datamodule, ckpt_path=None if resume_step is None else fit.checkpoint)
    if trainer.interrupted:
        raise KeyboardInterrupt
    if not trainer.is_global_zero:
        return
    seconds, batches = time.perf_counter() - start, trainer.fit_loop.epoch_loop.total_batch_idx + 1
    last = load_checkpoint(fit.checkpoint)  # which may be of an earlier process that was killed at its end
    images = batches * (getattr(model, "batches_per_step", None) or 1) * datamodule.batch_size * trainer.world_size
    fit.write_record(
        status="finished", finished=timestamp(), seconds=round(seconds, 3), epochs=last["epoch"] + 1,
        updates=last["global_step"], weights=weights_digest(last["state_dict"]), device=str(model.device),
        precision=config["trainer"]["precision"], continued=resume_step is not None,
        images_per_second=None if resume_step is not None else round(images / seconds),
        drawn=drawn(fit.folder),
    )  # fmt: skip


class Unprofiled(PassThroughProfiler):
    """Lightning's profiler that does nothing, without the generator that it makes for that forty times a step."""

    def profile(self, action_name: str) -> contextlib.AbstractContextManager:
        return NOTHING


def configured(config: dict, group: str) -> list[dict]:
    """The callbacks of a group (``observers`` or ``analyses``) that are not switched off with null."""
    return [callback for callback in (config["callbacks"][group] or {}).values() if callback is not None]


def require_described(config: dict) -> None:
    """Raises ValueError for a callback or a logger that is none, or that this project sees to itself."""
    kinds = {"callbacks.observers": pl.Callback, "callbacks.analyses": Analysis, "logger": Logger}
    for place, kind in kinds.items():
        group = config["logger"] if place == "logger" else config["callbacks"][place.partition(".")[2]]
        for name, described in (group or {}).items():
            if described is not None:
                require_kind(f"{place}.{name}", described, kind)
    for name, settings in (config["requires"] or {}).items():
        if not isinstance(settings, dict):
            raise ValueError(f"requires.{name}: expects a group of settings, of a fit that is needed")


def make_loggers(config: dict, folder: Path, name: str, resume_step: int | None = None) -> list[Logger]:
    """The loggers of a fit, or of a job, which write into its folder.

    Args:
        config: with ``logger``, name to a logger's configuration.
        folder: of the fit or the job.
        name: of the run, for those that ask for one.
        resume_step: the step that a fit continues from: what TensorBoard was told of later ones is taken back.
    """
    made = []
    for logger in (config["logger"] or {}).values():
        continued = resume_step is not None and issubclass(resolve(logger["_target_"]), TensorBoardLogger)
        taken_back = {"purge_step": resume_step + 1} if continued else {}
        made.append(build(logger | taken_back, save_dir=str(folder), name=name))
    return made


def on_a_terminal() -> bool:
    """Whether a progress bar would be seen as one."""
    return sys.stderr is not None and sys.stderr.isatty()


def make_trainer(settings: dict, folder: Path, callbacks: list[pl.Callback], devices: int = 1, **more) -> pl.Trainer:
    """A Lightning trainer with this project's checkpoints: of one device, or in one of several processes that share
    the work (the samplers of a data module see to their shares).

    Within a job of Slurm, Lightning would requeue the job by itself, and would load any ``hpc_ckpt_*`` in its root over
    the weights it is given, in a test as well. So it is told that there is no cluster, and its root is a folder that
    does not exist.
    """
    more["devices"] = devices
    checkpoints = next((callback for callback in callbacks if isinstance(callback, Checkpoints)), None)
    plugins: list = [AtomicCheckpointIO(checkpoints.fit if checkpoints else "")]
    if devices > 1:
        more |= {"strategy": UnwrappedDDP(), "use_distributed_sampler": False}
    else:
        plugins.append(LightningEnvironment())
    context = {"callbacks": callbacks, "plugins": plugins, "default_root_dir": str(folder / "nothing of Lightning's")}
    trainer = pl.Trainer(**settings | more, **context, enable_checkpointing=checkpoints is not None)
    # Fits continue after an epoch's end. With a budget in updates Lightning would take that for its middle, and end the
    # epoch a second time.
    trainer.fit_loop._iteration_based_training = lambda: False
    return trainer


def test_metrics(config: dict, model: pl.LightningModule, datamodule: pl.LightningDataModule, folder: Path) -> dict:
    """The model's own figures on the test set: ``test_elbo``, ``active_units``, ..."""
    settings = config["trainer"] | {"enable_progress_bar": False}  # it takes seconds
    trainer = make_trainer(settings, folder, [EpochSeed(config["seed"])], logger=False, profiler=None)
    logged = trainer.test(model, datamodule, verbose=False)[0]
    metrics = {name.replace("/", "_").replace("test_active", "active"): value for name, value in logged.items()}
    return {name: int(value) if name.endswith(COUNTS) else value for name, value in metrics.items()}


def stored_test_metrics(fit: Fit, opened: OpenFit) -> dict:
    """:func:`test_metrics` of a fit, computed once."""
    of = f"{fit.name} {opened.weights}"
    try:
        stored = read_json(fit.test_file, {"metrics": {str: float | None}}, of=of)["metrics"]
        return {name: math.nan if value is None else value for name, value in stored.items()}
    except DamagedFile as error:
        if fit.test_file.exists():
            log.warning(f"{error}; made again")
    with warned_once(fit.name):
        metrics = test_metrics(fit.config, opened.model, opened.datamodule, fit.folder)
    try:
        write_json(fit.test_file, {"metrics": metrics}, of)
    except OSError as error:  # another user's fit
        log.info(f"{fit.test_file}: not kept, to be made again by the next job ({error.strerror})")
    return metrics


def quiet() -> None:
    """Silences what Lightning says of every trainer, and its advice on workers: the data lie in memory."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*Checkpoint directory.*exists and is not empty.*",
        ".*callbacks used to create the checkpoint need to be provided.*",
        ".*is smaller than the logging interval.*",
        ".*LeafSpec.*is deprecated.*",
        ".*GPU available but not used.*",
        ".*module.s. in eval mode at the start of training.*",  # an average, a required fit's model: they are to be
        ".*recommended to use .*sync_dist=True.*",  # each process evaluates the whole, to the same figures
        ".*`srun` command is available.*",  # said at every fit and test, whatever the trainer was told
    ):
        warnings.filterwarnings("ignore", message)
