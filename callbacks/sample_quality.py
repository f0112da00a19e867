"""What an adversarial model's fit came to: scores on the test set, the verdict on its epochs, charts and pictures, in
the job's folder."""

import shutil
import time
from pathlib import Path

import pytorch_lightning as pl

from callbacks.epoch_scores import Yardstick
from callbacks.loss_charts import losses_figure, plain_history
from datamodules.images import to_unit_range
from metrics.samples import NAMES
from metrics.verdict import Limits, failures_table, table, verdict
from storage import kept_by_callbacks, load_checkpoint, read_json, write_atomically, write_json, write_text

SHOWN = ("fcd", "fcd_floor", "fcd_best", "kid", "class_distance", "knn_precision", "knn_recall", "coverage")


class SampleQuality(pl.Callback):
    """After the fit, scores the generator in full against the test images and states the verdict.

    Three generators are scored: the averaged one (``fcd``, ...), the one that learned (``fcd_raw``, ...), and the
    averaged one of the epoch that scored best on held-out images (``fcd_best``, ...). The floor is the score of as
    many training images.

    Args:
        samples: generated images, compared with as many test images.
        folder: the job's; ``report.md``, ``history.json`` and the pictures go there.
        fit_folder: where the checkpoints and the fit's pictures are.
        cache: a folder for what depends on the fit and this code alone: the scores, computed once.
        scorer: the data set's scorer network.

    Attributes:
        metrics: after the fit, the scores.
        facts: what else belongs into the result: the ``statement`` on the epochs, and the ``verdict`` on each.
        seconds: time the scores took.
        headline: the metrics of a sweep's table.
        repeats: the setting that table averages over.
    """

    headline = dict.fromkeys(SHOWN, "number")
    repeats = "seed"

    def __init__(
        self,
        samples: int = 10_000,
        folder: Path | None = None,
        fit_folder: Path | None = None,
        cache: Path | None = None,
        scorer: pl.LightningModule | None = None,
    ):
        if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
            raise ValueError(f"sample_quality.samples={samples}: expects a positive whole number of images")
        self.samples, self.scorer = samples, scorer
        self.folder, self.fit_folder, self.cache = folder, fit_folder, cache
        self.metrics: dict[str, float] = {}
        self.facts: dict = {}
        self.figures: dict = {}
        self.seconds = 0.0

    def check(self, datamodule: pl.LightningDataModule) -> None:
        """Nothing of a data set can be wrong here that its own check does not find."""

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        start = time.perf_counter()
        self.metrics = self._scores(pl_module, trainer.datamodule)
        self.seconds = time.perf_counter() - start
        scores, history = kept_by_callbacks(self.fit_folder / "last.ckpt", "EpochScores", "LossHistory")
        history = plain_history(history)
        limits = Limits.from_scores(scores["floor"], scores["failures"])
        epochs = [entry["epoch"] for entry in scores["epochs"]]
        averaged = [entry["averaged"] for entry in scores["epochs"]]
        found = verdict(epochs, averaged, limits)
        self.facts = {
            "statement": found.sentence,
            "verdict": {"labels": dict(zip(epochs, found.labels, strict=True)), "best": found.best,
                        "good_from": found.good_from},
        }  # fmt: skip
        self.figures = {"losses": losses_figure({"": history})}
        write_json(self.folder / "history.json", history)
        epochs_table = table(epochs, averaged, limits)
        spoiled_table = failures_table(scores["failures"], limits)
        report = _report(self.metrics, found.sentence, epochs_table, spoiled_table, scores["samples"], limits)
        write_text(self.folder / "report.md", report)
        for picture in sorted((self.fit_folder / "pictures").glob("*")):
            write_atomically(self.folder / picture.name, lambda temporary, p=picture: shutil.copyfile(p, temporary))

    def reload(self, pl_module: pl.LightningModule, datamodule: pl.LightningDataModule) -> None:
        """Scores the generators anew; ``metrics`` must come out the same."""
        self.cache = None
        self.metrics = self._scores(pl_module, datamodule)

    def _scores(self, module: pl.LightningModule, datamodule: pl.LightningDataModule) -> dict[str, float]:
        file = self.cache / f"scores-{self.samples}.json" if self.cache else None
        if file is not None and file.exists():
            return read_json(file)
        self.scorer.to(module.device)
        yardstick = Yardstick(self.scorer, datamodule.test, datamodule.train, self.samples)
        scores = {"": yardstick.score_generator(module, averaged=True)}
        scores["_raw"] = yardstick.score_generator(module, averaged=False)
        last = {name: value.clone() for name, value in module.state_dict().items()}
        module.load_state_dict(load_checkpoint(self.fit_folder / "best.ckpt")["state_dict"])
        scores["_best"] = yardstick.score_generator(module, averaged=True)
        module.load_state_dict(last)
        scores["_floor"] = yardstick.floor
        metrics = {f"{name}{suffix}": values[name] for suffix, values in scores.items() for name in NAMES}
        targets = datamodule.test.targets.to(module.device)
        classes = self.scorer.describe(to_unit_range(datamodule.test.images.to(module.device)))[1].argmax(1)
        metrics |= {"scorer_accuracy": (classes == targets).float().mean().item(), "scored_images": yardstick.samples}
        if file is not None:
            file.parent.mkdir(exist_ok=True)
            write_json(file, metrics)
        return metrics


PICTURES = ("losses", "samples", "strip", "nearest", "interpolations")


def _report(m: dict, sentence: str, epochs: str, spoiled: str, samples: int, limits: Limits) -> str:
    """The job's part of a sweep's ``results.md``; pictures by their names in the job's folder."""
    suffixes = {"averaged": "", "raw": "_raw", "best epoch, averaged": "_best", "floor: training images": "_floor"}
    lines = [
        f"**{sentence[0].upper()}{sentence[1:]}.**",
        "",
        f"Against {m['scored_images']} test images, by a scorer that classifies {100 * m['scorer_accuracy']:.2f} % of "
        "the test set rightly:",
        "",
        f"| generator | {' | '.join(NAMES)} |",
        "|---" * (1 + len(NAMES)) + "|",
        *(f"| {name} | {' | '.join(f'{m[n + end]:.3f}' for n in NAMES)} |" for name, end in suffixes.items()),
        "",
        f"The averaged generator after each epoch, against {samples} held-out images. Noise: realism below "
        f"{limits.realism:.3f}. Collapsed: class distance from {limits.class_distance:.3f}; or realism from "
        f"{limits.realistic:.3f} with coverage below {limits.coverage:.3f} and recall below {limits.recall:.3f}. Good: "
        f"FCD up to {limits.fcd:.1f}, realism from {limits.realistic:.3f}, rarest class > {limits.rarest_class:.3f}.",
        "",
        epochs,
        "",
        "What these limits are measured by, training images and the same spoiled on purpose:",
        "",
        spoiled,
        "",
        *(f"![{name}]({name}.png)\n" for name in PICTURES),
    ]
    return "\n".join(lines)
