"""What a few labels make of the codes: a classifier trained after the fit, scored on images it has not seen."""

import logging
import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
import pytorch_lightning as pl
import torch
from torchmetrics.functional import classification

from callbacks.analyses.base import Analysis, Outcome
from callbacks.drawing.confusion import confusion_image
from callbacks.fitted import Fitted
from callbacks.observers.watching import evaluating
from datamodules.checks import require_one_of, require_whole
from datamodules.images import to_unit_range
from datamodules.labels import draw_labels, indices_sha256, require_drawable, require_rule
from lightning_modules.vae import active_units

log = logging.getLogger(__name__)

ENCODING_BATCH = 1000
SPLITS = {"test": "test", "validation": "val"}
STORED = "classifier.safetensors"


class Head(Protocol):
    """What ``classifier=`` may name; ``tests/contracts_head.py`` has the contract as a test that anyone can call.

    ``transductive`` says whether it looks at the images it is scored on. ``arrays`` and ``restore`` store a trained
    head without pickle. A head may have ``check(n_labels, num_classes)``, which raises ValueError before anything is
    trained if it can't take so many, and ``converged``.
    """

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
    arrays: dict[str, torch.Tensor] = {}
    with torch.inference_mode(), torch.autocast(module.device.type, enabled=False), evaluating(module):
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
    return {"active": active.cpu().numpy()} | {k: v.cpu().numpy() for k, v in arrays.items()}


def classification_metrics(predicted: np.ndarray, targets: np.ndarray, num_classes: int) -> tuple[dict, np.ndarray]:
    """Accuracy (over images) and macro precision, recall and F1 in [0, 1], and the confusion matrix.

    Returns:
        the four figures, and counts ``(true class, predicted class)``.
    """
    pair, n = (torch.from_numpy(predicted), torch.from_numpy(targets)), num_classes
    figures = {
        "accuracy": classification.multiclass_accuracy(*pair, n, average="micro"),
        "precision": classification.multiclass_precision(*pair, n, average="macro"),
        "recall": classification.multiclass_recall(*pair, n, average="macro"),
        "f1": classification.multiclass_f1_score(*pair, n, average="macro"),
    }
    confusion = classification.multiclass_confusion_matrix(*pair, n)
    return {name: value.item() for name, value in figures.items()}, confusion.numpy()


class LatentClassifier(Analysis):
    """After the fit, trains a classifier on the codes of ``n_labels`` images and reports it on other images.

    Args:
        classifier: the head to train.
        n_labels: how many labelled images.
        label_seed: which draw of them.
        labels: ``equal``, the same number of each class, or ``proportional`` to how many each has.
        score_on: ``test``, or ``validation`` to choose settings without a look at the test set.

    The outcome has the metrics ``accuracy``, ``precision``, ``recall``, ``f1``; which images were labelled
    (``labels_sha256``), and how they were drawn; the ``confusion`` matrix; the trained classifier's arrays.
    """

    headline = dict.fromkeys(("accuracy", "precision", "recall", "f1"), "percent")
    repeats = ("label_seed", "seed")

    def __init__(
        self, classifier: Head, n_labels: int, label_seed: int = 0, labels: str = "equal", score_on: str = "test"
    ):
        require_whole(of="labelled images", n_labels=n_labels)
        require_rule(labels)
        require_one_of(SPLITS, score_on=score_on)
        self.score_on, self.split = score_on, SPLITS[score_on]
        self.classifier, self.n_labels, self.label_seed, self.labels = classifier, n_labels, label_seed, labels

    def check(self, datamodule: pl.LightningDataModule) -> None:
        """Raises ValueError, before any training, for a draw that the data set can't give, or the head can't take."""
        require_drawable(datamodule.class_counts, self.n_labels, self.label_seed, self.labels)
        if hasattr(self.classifier, "check"):
            self.classifier.check(self.n_labels, datamodule.num_classes)

    def run(self, fitted: Fitted) -> Outcome:
        codes = fitted.derived("codes", lambda: latent_codes(fitted.model, fitted.datamodule))
        start = time.perf_counter()
        labelled = draw_labels(codes["train_targets"], self.n_labels, self.label_seed, self.labels)
        self.classifier.fit(codes["train_codes"][labelled], codes["train_targets"][labelled])
        if not getattr(self.classifier, "converged", True):
            log.warning("the classifier did not converge: raise classifier.max_iter")
        class_names = fitted.datamodule.class_names
        metrics, confusion = self._scores(codes, len(class_names))
        seconds = time.perf_counter() - start
        facts = {
            "labels": self.labels,
            "labels_sha256": indices_sha256(labelled),
            "inductive": not self.classifier.transductive,
            "scored_on": self.score_on,
            "code_dims": int(codes["train_codes"].shape[1]),
            "confusion": confusion.tolist(),
        }
        figures = {"confusion_matrix": confusion_image(confusion, class_names)}
        return Outcome(metrics, facts, figures, {STORED: self.classifier.arrays()}, seconds)

    def reload(self, fitted: Fitted, stored: Callable[[str], dict[str, np.ndarray]]) -> dict[str, float]:
        """Scores the stored classifier, on codes made anew, instead of training one."""
        self.classifier.restore(stored(STORED))
        return self._scores(latent_codes(fitted.model, fitted.datamodule), fitted.datamodule.num_classes)[0]

    def _scores(self, codes: dict[str, np.ndarray], num_classes: int) -> tuple[dict, np.ndarray]:
        predicted = self.classifier.predict(codes[f"{self.split}_codes"])
        return classification_metrics(predicted, codes[f"{self.split}_targets"], num_classes)
