"""The two commands, run in this process or in one of their own."""

import contextlib
import io
import os
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import evaluate
import train

ROOT = Path(__file__).resolve().parent.parent
ON_CPU = ("trainer.accelerator=cpu", "trainer.enable_progress_bar=false")
DIGITS = ("dataset=digits", "model=vae_mlp", "model.encoder.hidden=[32]", "model.decoder.hidden=[32]", *ON_CPU,
          "model.nll_images=10", "model.nll_samples=2", "callbacks.observers.pictures=null")  # fmt: skip
PLANE = ("model=gan", "dataset=ring", *ON_CPU, "dataset.batch_size=50", "dataset.train_size=1000",
         "callbacks.analyses.plane_result.points=2000", "callbacks.analyses.plane_result.paired=100",
         "model.generator.hidden=[8]", "model.critic.hidden=[8]", "callbacks.observers.view.every_n_updates=20")  # fmt: skip
IMAGES = ("model=dcgan", "dataset=digits", *ON_CPU, "model.generator.channels=4", "model.critic.channels=4",
          "callbacks.every_n_epochs=1", "callbacks.observers.sheets=null", "callbacks.observers.scores.samples=100",
          "callbacks.analyses.sample_quality.samples=100")  # fmt: skip


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


def as_python_does() -> None:
    """Warnings are printed to standard error, where pytest would keep them to itself."""
    warnings.resetwarnings()
    for category in (ResourceWarning, ImportWarning, PendingDeprecationWarning, DeprecationWarning):
        warnings.simplefilter("ignore", category)
    warnings.showwarning = lambda *message: print(warnings.formatwarning(*message[:4]), file=sys.stderr)


def environment(**more: str) -> dict[str, str]:
    """That of a process of its own: this one's without what pytest adds."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")} | {"OMP_NUM_THREADS": "1"} | more
