"""Lightning's TensorBoard logger, with curves over steps, and a tag a quantity."""

import re
import threading
from collections.abc import Callable
from pathlib import Path

from pytorch_lightning.loggers import TensorBoardLogger

# Tags of ours by what a result calls the same: the callbacks' own names are part of what names a fit.
TAGS = (
    (r"scores_averaged/(.+)", r"score/\1"),
    (r"scores_raw/(.+)", r"score/\1_raw"),
    (r"plane/(.+)", r"score/\1"),
    (r"epoch/train/(.+)", r"val/\1_on_training"),  # beside what it is compared with
)


class TensorBoard(TensorBoardLogger):
    """Without the curve of the epoch over the steps, which Lightning logs beside every other.

    Args:
        save_dir: the folder of the fit or the job.
        name: of a folder in that, and
        version: of one in that; empty for none.
        default_hp_metric: whether Lightning adds a metric of its own to HPARAMS.
        purge_step: from which on what was told before is taken back.
    """

    def __init__(
        self,
        save_dir: str | Path,
        name: str = "",
        version: str = "",
        default_hp_metric: bool = False,
        purge_step: int | None = None,
    ):
        super().__init__(save_dir, name, version, default_hp_metric=default_hp_metric, purge_step=purge_step)
        if not hasattr(threading.excepthook, "but_for"):
            threading.excepthook = _but_for_writers(threading.excepthook)

    def log_metrics(self, metrics: dict, step: int | None = None) -> None:
        """Logs scalars at a step."""
        if shown := {tag(name): value for name, value in metrics.items() if name != "epoch"}:
            super().log_metrics(shown, step)


def _but_for_writers(hook: Callable) -> Callable:
    """What says of an exception that it ended a thread, but for TensorBoard's writer that a file system refused: that
    is raised again where the logger is told the next thing, and when it is closed."""

    def say(ended) -> None:
        writers = type(ended.thread).__module__.startswith("tensorboard.")
        if not (writers and isinstance(ended.exc_value, OSError)):
            hook(ended)

    say.but_for = "writers"
    return say


def tag(name: str) -> str:
    """What a metric is called in TensorBoard."""
    for pattern, of in TAGS:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, of, name)
    return name
