"""What an adversarial model's fit on images came to: scores on the test set, the verdict on its epochs, charts and
pictures."""

import time
from collections.abc import Callable

import numpy as np
import pytorch_lightning as pl
import torch

from callbacks.analyses.base import Analysis, Outcome
from callbacks.drawing.loss_charts import fcd_chart, losses_figure, plain_history
from callbacks.fitted import Fitted
from callbacks.observers.epoch_scores import NAMES, EpochScores, Yardstick, best_epoch
from callbacks.observers.loss_history import LossHistory
from datamodules.checks import require_whole
from datamodules.images import to_unit_range
from metrics.limits import Limits, limits_table, score_figure
from metrics.verdict import Verdict, failures_table, table, verdict

SHOWN = ("fcd", "fcd_floor", "fcd_best", "kid", "class_distance", "knn_precision", "knn_recall", "coverage")
PICTURES = ("losses", "samples", "strip", "nearest", "interpolations")  # of the report, in its order


class SampleQuality(Analysis):
    """After the fit, scores the generator in full against the test images and states the verdict.

    Three generators are scored: the averaged one (``fcd``, ...), the one that learned (``fcd_raw``, ...), and the
    averaged one of the epoch that scored best on held-out images (``fcd_best``, ...). The floor is the score of as
    many training images.

    Args:
        samples: generated images, compared with as many test images.
        scorer: the data set's scorer network.

    The outcome has the scores as metrics; the ``statement`` on the epochs, its ``summary`` in a line, and the
    ``verdict`` on each; ``report.md``, ``history.json`` and the fit's pictures.
    """

    headline = dict.fromkeys(SHOWN, "number")
    repeats = ("seed",)
    needs = (EpochScores, LossHistory)

    def __init__(self, samples: int = 10_000, scorer: pl.LightningModule | None = None):
        require_whole(of="images", **{"sample_quality.samples": samples})
        self.samples, self.scorer = samples, scorer

    def run(self, fitted: Fitted) -> Outcome:
        start = time.perf_counter()
        kept, history = fitted.observed(EpochScores), plain_history(fitted.observed(LossHistory))
        require_best_is_best(fitted, kept)
        found = fitted.derived(f"scores-{self.samples}", lambda: _as_arrays(self._scores(fitted)))
        metrics = {name: value.item() for name, value in found.items()}
        seconds = time.perf_counter() - start
        limits = Limits.of(kept)
        epochs = [entry["epoch"] for entry in kept["epochs"]]
        averaged = [entry["averaged"] for entry in kept["epochs"]]
        judged = verdict(epochs, averaged, limits, of := kept["samples"])
        facts = {
            "statement": judged.sentence,
            "summary": judged.summary,
            "verdict": {
                "labels": dict(zip(epochs, judged.labels, strict=True)),
                "reasons": dict(zip(epochs, judged.reasons, strict=True)),
                "best": judged.best,
                "good_from": judged.good_from,
            },
        }
        pictures = {path.name: path for path in fitted.files("pictures/*")}
        shown = [name for name in PICTURES if name == "losses" or f"{name}.png" in pictures]
        tables = limits_table(limits, of), table(epochs, averaged, limits, of)
        report = _report(metrics, judged, *tables, failures_table(kept["failures"], limits, of), of, shown)
        artefacts = {"report.md": report, "history.json": history | {"scores": [fcd_chart(kept)]}} | pictures
        return Outcome(metrics, facts, {"losses": losses_figure({"": history})}, artefacts, seconds)

    def reload(self, fitted: Fitted, stored: Callable[[str], dict[str, np.ndarray]]) -> dict[str, float]:
        """Scores the generators anew."""
        require_best_is_best(fitted, fitted.observed(EpochScores))
        return self._scores(fitted)

    def _scores(self, fitted: Fitted) -> dict[str, float]:
        module, data = fitted.model, fitted.datamodule
        yardstick = Yardstick(self.scorer, data.test, data.train, self.samples, module.device)
        scores = {
            "": yardstick.score_generator(module, averaged=True),
            "_raw": yardstick.score_generator(module, averaged=False),
            "_best": yardstick.score_generator(fitted.best(), averaged=True),
            "_floor": yardstick.floor,
        }
        metrics = {f"{name}{suffix}": values[name] for suffix, values in scores.items() for name in NAMES}
        targets = data.test.targets.to(module.device)
        classes = self.scorer.describe(to_unit_range(data.test.images.to(module.device)))[1].argmax(1)
        return metrics | {
            "scorer_accuracy": (classes == targets).float().mean().item(),
            "scored_images": yardstick.samples,
        }


def require_best_is_best(fitted: Fitted, kept: dict) -> None:
    """Raises ValueError if the fit's ``best.ckpt`` is not of the epoch that scored least among those kept; where all
    diverged none is the best."""
    least = best_epoch(kept)
    for path in fitted.files("best.ckpt"):
        epoch = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["epoch"] + 1
        if least is not None and epoch != least:
            raise ValueError(f"{path}: of epoch {epoch}, where epoch {least} scored best (fcd); fresh=true trains anew")


def _as_arrays(metrics: dict[str, float]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in metrics.items()}


def _report(m: dict, judged: Verdict, limits: str, epochs: str, spoiled: str, samples: int, shown: list[str]) -> str:
    """The job's part of a sweep's ``results.md``; pictures by their names in the job's folder."""
    suffixes = {"averaged": "", "raw": "_raw", "best epoch, averaged": "_best", "floor: training images": "_floor"}
    columns = [name for name in NAMES if name != "kid_std"]

    def cell(name: str, end: str) -> str:
        error = f" ± {score_figure('kid_std', m['kid_std' + end])}" if name == "kid" else ""
        return score_figure(name, m[name + end]) + error

    lines = [
        f"**{judged.summary[0].upper()}{judged.summary[1:]}.**",
        "",
        f"{judged.sentence[0].upper()}{judged.sentence[1:]}.",
        "",
        f"Against {m['scored_images']:,} test images, by a scorer that classifies {100 * m['scorer_accuracy']:.2f} % "
        "of the test set rightly; training images are copies of themselves:",
        "",
        f"| generator | {' | '.join(columns)} |",
        "|---" * (1 + len(columns)) + "|",
        *(f"| {name} | {' | '.join(cell(n, end) for n in columns)} |" for name, end in suffixes.items()),
        "",
        f"An epoch is good where the averaged generator's samples, compared with {samples:,} held-out images, are in "
        "every aspect as good as real images that were spoiled a little:",
        "",
        limits,
        "",
        "The epochs:",
        "",
        epochs,
        "",
        "What the limits are taken from, training images spoiled at several strengths:",
        "",
        spoiled,
        "",
        *(f"![{name}]({name}.png)\n" for name in shown),
    ]
    return "\n".join(lines)
