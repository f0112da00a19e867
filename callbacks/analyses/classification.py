"""What classifiers by few labels have in common, heads on codes and models that learn from labels: the figures, what is
said of the labels, the pictures."""

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torchmetrics.functional import classification

from callbacks.analyses.base import Analysis
from callbacks.drawing.confusion import confusion_image
from callbacks.drawing.errors import errors_sheet
from callbacks.fitted import Fitted
from datamodules.checks import require_one_of, require_whole
from datamodules.labels import indices_sha256, require_drawable, require_rule

SPLITS = {"test": "test", "validation": "val"}
PICTURES = ("all", "first", "none")  # draws of the labels


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


class Classification(Analysis):
    """A classifier that knows ``n_labels`` labelled images, scored on others.

    Args:
        n_labels: how many labelled images.
        label_seed: which draw of them.
        labels: ``equal``, the same number of each class, or ``proportional`` to how many each has.
        score_on: ``test``, or ``validation`` to choose settings without a look at the test set.
        pictures: of ``all`` draws, of the ``first`` (label_seed 0), or ``none``.
    """

    headline = dict.fromkeys(("accuracy", "precision", "recall", "f1"), "percent")
    repeats = ("label_seed", "seed")

    def __init__(self, n_labels: int, label_seed: int, labels: str, score_on: str, pictures: str):
        require_whole(of="labelled images", n_labels=n_labels)
        require_rule(labels)
        require_one_of(SPLITS, score_on=score_on)
        require_one_of(PICTURES, pictures=pictures)
        self.n_labels, self.label_seed, self.labels = n_labels, label_seed, labels
        self.score_on, self.split, self.pictures = score_on, SPLITS[score_on], pictures

    def check(self, datamodule: pl.LightningDataModule) -> None:
        """Raises ValueError, before any training, for a draw that the data set can't give, and for other labels than
        those that the model learns from, where it learns from any: a head's few would be no few."""
        require_drawable(datamodule.class_counts, self.n_labels, self.label_seed, self.labels)
        if getattr(datamodule, "n_labels", None) is not None:
            for name in ("n_labels", "label_seed", "labels"):
                if (given := getattr(datamodule, name)) != (asked := getattr(self, name)):
                    who = type(self).__name__
                    raise ValueError(f"{who}: {name}={asked}: the model learns from dataset.{name}={given}")

    def _facts(
        self, fitted: Fitted, supervision: str, labelled: np.ndarray, unlabelled: int, confusion: np.ndarray
    ) -> dict[str, Any]:
        """Who knew what, and what came of it; ``labelled`` are indices."""
        return {
            "labels": self.labels,
            "labels_sha256": indices_sha256(labelled),
            "supervision": supervision,
            "unlabelled": unlabelled,
            "scored_on": self.score_on,
            "confusion": confusion.tolist(),
            "class_names": list(fitted.datamodule.class_names),
        }

    @property
    def _drawn(self) -> bool:
        """Whether this draw's pictures are wanted."""
        return self.pictures == "all" or (self.pictures == "first" and self.label_seed == 0)

    def _caption(self, fitted: Fitted, who: str, supervision: str, accuracy: float) -> str:
        said = f"{who}, {self.n_labels} labels (draw {self.label_seed}), {supervision}"
        return f"{said} on {fitted.name}: {self.score_on} accuracy {100 * accuracy:.1f} %"

    def _confusion(self, fitted: Fitted, confusion: np.ndarray, caption: str) -> dict[str, np.ndarray]:
        return {"confusion_matrix": confusion_image(confusion, fitted.datamodule.class_names, caption)}

    def _errors(
        self, fitted: Fitted, labelled: np.ndarray, predicted: np.ndarray, caption: str
    ) -> dict[str, np.ndarray]:
        """What was classified wrongly, beside what was labelled."""
        data = fitted.datamodule
        scored, pool = getattr(data, self.split), data.labelled
        examples, labels = pool.images[labelled].cpu(), pool.targets[labelled].cpu().numpy()
        images, targets = scored.images.cpu(), scored.targets.cpu().numpy()
        return {"errors": errors_sheet(images, targets, predicted, examples, labels, data.class_names, caption)}
