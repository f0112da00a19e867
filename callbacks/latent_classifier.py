"""What a few labels make of the codes: a classifier trained after the fit, scored on images it has not seen."""

import logging
import time
from pathlib import Path
from typing import Protocol

import numpy as np
import pytorch_lightning as pl
import torch
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)

from callbacks.drawing import confusion_figure
from datamodules.images import to_unit_range
from datamodules.labels import draw_labels, indices_sha256
from lightning_modules.vae import active_units
from storage import load_arrays, save_arrays

log = logging.getLogger(__name__)

ENCODING_BATCH = 1000
SPLITS = {"test": "test", "validation": "val"}


class Head(Protocol):
    """What ``classifier=`` may name. ``arrays`` and ``restore`` store a trained head without pickle."""

    transductive: bool

    def fit(self, codes: np.ndarray, labels: np.ndarray) -> "Head": ...
    def predict(self, codes: np.ndarray) -> np.ndarray: ...
    def arrays(self) -> dict[str, np.ndarray]: ...
    def restore(self, arrays: dict[str, np.ndarray]) -> "Head": ...


def latent_codes(module: pl.LightningModule, datamodule: pl.LightningDataModule) -> dict[str, np.ndarray]:
    """The codes of all images that may be labelled, of the validation and of the test set, float32, with their classes.

    Returns:
        ``train_codes (N, D)``, ``train_targets (N,)``, and the same of ``val`` and ``test``; the codes hold the active
        dimensions of the training images only, and ``active (D,)`` says which these are.
    """
    was_training = module.training
    module.eval()
    arrays: dict[str, torch.Tensor] = {}
    with torch.inference_mode(), torch.autocast(module.device.type, enabled=False):
        for name, (images, targets) in {
            "train": datamodule.labelled,
            "val": datamodule.val,
            "test": datamodule.test,
        }.items():
            batches = images.split(ENCODING_BATCH)
            codes = torch.cat([module.encode(to_unit_range(batch.to(module.device))) for batch in batches])
            if name == "train":
                active = active_units(codes)
                if not active.any():
                    log.warning("no latent unit is active: the classifier is given all of them")
                    active = torch.ones_like(active)
            arrays |= {f"{name}_codes": codes[:, active], f"{name}_targets": targets}
    module.train(was_training)
    return {"active": active.cpu().numpy()} | {k: v.cpu().numpy() for k, v in arrays.items()}


def classification_metrics(predicted: np.ndarray, targets: np.ndarray, num_classes: int) -> tuple[dict, np.ndarray]:
    """Accuracy (over images) and macro precision, recall and F1 in [0, 1], and the confusion matrix.

    Returns:
        the four figures, and counts ``(true class, predicted class)``.
    """
    n = num_classes
    metrics = MetricCollection(
        {
            "accuracy": MulticlassAccuracy(n, average="micro"),
            "precision": MulticlassPrecision(n, average="macro"),
            "recall": MulticlassRecall(n, average="macro"),
            "f1": MulticlassF1Score(n, average="macro"),
        }
    )
    predicted, targets = torch.from_numpy(predicted), torch.from_numpy(targets)
    figures = {name: value.item() for name, value in metrics(predicted, targets).items()}
    return figures, MulticlassConfusionMatrix(n)(predicted, targets).numpy()


class LatentClassifier(pl.Callback):
    """After the fit, trains a classifier on the codes of ``n_labels`` images and reports it on other images.

    Args:
        classifier: the head to train.
        n_labels: how many labelled images, the same number of each class.
        label_seed: which draw of them.
        score_on: ``test``, or ``validation`` to choose settings without a look at the test set.
        folder: where ``classifier.safetensors`` and the confusion matrix go; ``None`` writes nothing.
        cache: a folder for what depends on the fit and this code alone: the codes, computed once; ``None`` keeps none.

    Attributes:
        metrics: after the fit, ``accuracy``, ``precision``, ``recall``, ``f1``.
        facts: what else belongs into the result: ``labels_sha256``, ``inductive``, ``code_dims``.
        seconds: time the classifier took, the encoding not counted.
        headline: the metrics of a sweep's table, in per cent.
        repeats: the setting that table averages over.
    """

    headline = dict.fromkeys(("accuracy", "precision", "recall", "f1"), "percent")
    repeats = "label_seed"

    def __init__(
        self,
        classifier: Head,
        n_labels: int,
        label_seed: int = 0,
        score_on: str = "test",
        folder: Path | None = None,
        cache: Path | None = None,
    ):
        if isinstance(n_labels, bool) or not isinstance(n_labels, int) or n_labels < 1:
            raise ValueError(f"n_labels={n_labels}: expects a positive whole number of labelled images")
        if score_on not in SPLITS:
            raise ValueError(f"score_on={score_on}: accepted are {', '.join(SPLITS)}")
        self.score_on, self.split = score_on, SPLITS[score_on]
        self.classifier, self.n_labels, self.label_seed = classifier, n_labels, label_seed
        self.folder, self.cache = folder, cache
        self.metrics: dict[str, float] = {}
        self.facts: dict = {}
        self.figures: dict = {}
        self.seconds = 0.0

    def check(self, datamodule: pl.LightningDataModule) -> None:
        """Raises ValueError, before any training, for a draw that the data set can't give."""
        draw_labels(datamodule.labelled.targets.cpu().numpy(), self.n_labels, self.label_seed)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        codes = self._codes(pl_module, trainer.datamodule)
        start = time.perf_counter()
        labelled = draw_labels(codes["train_targets"], self.n_labels, self.label_seed)
        self.classifier.fit(codes["train_codes"][labelled], codes["train_targets"][labelled])
        self._score(codes, trainer.datamodule.class_names)
        self.facts = {
            "labels_sha256": indices_sha256(labelled),
            "inductive": not self.classifier.transductive,
            "scored_on": self.score_on,
            "code_dims": int(codes["train_codes"].shape[1]),
            "confusion": self.confusion.tolist(),
        }
        self.seconds = time.perf_counter() - start
        if not getattr(self.classifier, "converged", True):
            log.warning("the classifier did not converge: raise classifier.max_iter")
        if self.folder is not None:
            save_arrays(self.folder / "classifier.safetensors", self.classifier.arrays())

    def reload(self, pl_module: pl.LightningModule, datamodule: pl.LightningDataModule) -> None:
        """Scores the stored classifier instead of training one; ``metrics`` must come out the same."""
        codes = self._codes(pl_module, datamodule)
        self.classifier.restore(load_arrays(self.folder / "classifier.safetensors"))
        self._score(codes, datamodule.class_names)

    def _codes(self, module: pl.LightningModule, datamodule: pl.LightningDataModule) -> dict[str, np.ndarray]:
        file = self.cache / "codes.safetensors" if self.cache else None
        if file is not None and file.exists():
            return load_arrays(file)
        codes = latent_codes(module, datamodule)
        if file is not None:
            file.parent.mkdir(exist_ok=True)
            save_arrays(file, codes)
        return codes

    def _score(self, codes: dict[str, np.ndarray], class_names: list[str]) -> None:
        predicted = self.classifier.predict(codes[f"{self.split}_codes"])
        targets = codes[f"{self.split}_targets"]
        self.metrics, self.confusion = classification_metrics(predicted, targets, len(class_names))
        self.figures = {"confusion_matrix": confusion_figure(self.confusion, class_names)}
