"""The two commands, run in this process or in one of their own."""

import contextlib
import io
import json
import os
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import torch
import yaml

import evaluate
import train
from latent_lab.checkpoints import Checkpoints

ROOT = Path(__file__).resolve().parent.parent
ON_CPU = ("trainer.accelerator=cpu", "trainer.enable_progress_bar=false")
DIGITS = ("dataset=digits", "model=vae_mlp", "model.encoder.hidden=[32]", "model.decoder.hidden=[32]", *ON_CPU,
          "model.nll_images=10", "model.nll_samples=2", "callbacks.observers.pictures=null")  # fmt: skip
POINTS = ("model=gan", "model.n_critic=1", *ON_CPU, "dataset.batch_size=50", "dataset.train_size=1000",
          "model.generator.hidden=[8]", "model.critic.hidden=[8]")  # fmt: skip
PLANE = (*POINTS, "dataset=ring", "callbacks.analyses.plane_result.points=2000",
         "callbacks.analyses.plane_result.paired=100", "callbacks.observers.view.every_n_updates=20")  # fmt: skip
IMAGES = ("model=dcgan", "dataset=digits", *ON_CPU, "model.generator.channels=4", "model.critic.channels=4",
          "callbacks.every_n_epochs=1", "callbacks.observers.sheets=null", "callbacks.observers.scores.samples=100",
          "callbacks.analyses.sample_quality.samples=100")  # fmt: skip
# What Slurm tells a job of one process
SLURM = {"SLURM_JOB_ID": "77", "SLURM_JOB_NAME": "batch", "SLURM_NTASKS": "1", "SLURM_NNODES": "1",
         "SLURM_NODELIST": "localhost", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0",
         "SLURM_NTASKS_PER_NODE": "1", "SLURM_RESTART_COUNT": "1"}  # fmt: skip


class Said(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


def run(program: str, *arguments: str) -> Said:
    """Runs ``train.py`` or ``evaluate.py`` in this process, with warnings printed as Python prints them."""
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = [f"{program}.py", *arguments]
    with warnings.catch_warnings(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        as_python_does()
        try:
            code = {"train": train, "evaluate": evaluate}[program].main()
        except SystemExit as stop:
            code = stop.code
        finally:
            sys.argv = before
    return Said(code, out.getvalue(), err.getvalue())


def trained(outputs: Path | str, *arguments: str) -> str:
    """What ``train.py`` says, which must end well."""
    said = run("train", *arguments, f"paths.outputs={outputs}")
    assert said.code == 0, said.text
    return said.text


def edit(file: Path, path: str, value: object) -> None:
    """Sets a value; the checksum is left out, as by an editor."""
    config = yaml.safe_load(file.read_text())
    *groups, key = path.split(".")
    place = config
    for group in groups:
        place = place[group]
    place[key] = value
    file.write_text(yaml.safe_dump(config))


def as_python_does() -> None:
    """Warnings are printed to standard error, where pytest would keep them to itself."""
    warnings.resetwarnings()
    for category in (ResourceWarning, ImportWarning, PendingDeprecationWarning, DeprecationWarning):
        warnings.simplefilter("ignore", category)
    warnings.showwarning = lambda *message: print(warnings.formatwarning(*message[:4]), file=sys.stderr)


def environment(**more: str) -> dict[str, str]:
    """That of a process of its own: this one's without what pytest adds."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")} | {"OMP_NUM_THREADS": "1"} | more


def fit_of(outputs: Path, label: str = "") -> Path:
    """The folder of the one fit there is, of those whose name begins so; scorers apart."""
    (folder,) = fits_of(outputs, label)
    return folder


def fits_of(outputs: Path, label: str = "") -> list[Path]:
    folders = [path.parent for path in (outputs / "fits").glob(f"{label}*/fit.json")]
    return sorted(folder for folder in folders if label or not folder.name.startswith("scorer"))


def record_of(fit: Path) -> dict:
    return json.loads((fit / "fit.json").read_text())


def checkpoint_of(fit: Path, name: str = "last.ckpt") -> dict:
    return torch.load(fit / name, weights_only=True)


def metrics_of(folder: Path) -> dict:
    """Of the newest result below a folder."""
    newest = max(folder.rglob("result.json"), key=lambda path: path.stat().st_mtime_ns)
    return json.loads(newest.read_text())["metrics"]


def same(one, two) -> bool:
    """Whether two states are equal bit for bit."""
    if torch.is_tensor(one):
        return torch.is_tensor(two) and torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    return repr(one) == repr(two)  # to which a NaN is equal to itself


def assert_same_fit(one: Path, two: Path, *checkpoints: str) -> None:
    """Weights, optimizers, schedules, and what the observers kept, of ``last.ckpt`` and others."""
    for name in ("last.ckpt", *checkpoints):
        a, b = checkpoint_of(one, name), checkpoint_of(two, name)
        for part in ("state_dict", "optimizer_states", "lr_schedulers", "callbacks", "epoch", "global_step"):
            assert same(a.get(part), b.get(part)), f"{name}: {part}"


@contextlib.contextmanager
def killed_after(epoch: int):
    """Within it a fit ends, as if killed, once the checkpoint of that epoch (from 1) is written."""
    written = Checkpoints.on_train_epoch_end

    def dies(self, trainer, pl_module):
        written(self, trainer, pl_module)
        if trainer.current_epoch + 1 == epoch and "Scorer" not in type(pl_module).__name__:
            raise SystemExit("killed")

    Checkpoints.on_train_epoch_end = dies
    try:
        yield
    finally:
        Checkpoints.on_train_epoch_end = written
