"""What a model that learnt from the labels makes of other images by its own classifier."""

import time
from collections.abc import Callable

import numpy as np
import torch

from callbacks.analyses.base import Outcome
from callbacks.analyses.classification import Classification, classification_metrics
from callbacks.fitted import Fitted
from datamodules.images import to_unit_range
from datamodules.labels import draw_labels

BATCH = 1000


class LabelClassifier(Classification):
    """After the fit, scores the class that the model itself finds the likeliest (``class_probabilities``).

    The outcome has what :class:`callbacks.analyses.latent_classifier.LatentClassifier` has, but for the map.

    Args:
        n_labels: as :class:`callbacks.analyses.classification.Classification`, and all that follow; the labels are
            those that the data module gave the model.
    """

    def __init__(
        self,
        n_labels: int,
        label_seed: int = 0,
        labels: str = "equal",
        score_on: str = "test",
        pictures: str = "all",
    ):
        super().__init__(n_labels, label_seed, labels, score_on, pictures)

    def run(self, fitted: Fitted) -> Outcome:
        data, start = fitted.datamodule, time.perf_counter()
        targets = getattr(data, self.split).targets.cpu().numpy()
        predicted = self._predicted(fitted)
        metrics, confusion = classification_metrics(predicted, targets, data.num_classes)
        seconds = time.perf_counter() - start
        labelled = draw_labels(data.labelled.targets.cpu().numpy(), self.n_labels, self.label_seed, self.labels)
        supervision = fitted.model.supervision
        facts = self._facts(fitted, supervision, labelled, len(data.train.images) - self.n_labels, confusion)
        caption = self._caption(fitted, type(fitted.model).__name__, supervision, metrics["accuracy"])
        figures = self._confusion(fitted, confusion, caption)
        if self._drawn:
            figures |= self._errors(fitted, labelled, predicted, caption)
        return Outcome(metrics, facts, figures, seconds=seconds)

    def reload(self, fitted: Fitted, stored: Callable[[str], dict[str, np.ndarray]]) -> dict[str, float]:
        """Classifies anew."""
        targets = getattr(fitted.datamodule, self.split).targets.cpu().numpy()
        return classification_metrics(self._predicted(fitted), targets, fitted.datamodule.num_classes)[0]

    def _predicted(self, fitted: Fitted) -> np.ndarray:
        model, images = fitted.model, getattr(fitted.datamodule, self.split).images
        with torch.autocast(model.device.type, enabled=False):
            batches = [to_unit_range(batch.to(model.device)) for batch in images.split(BATCH)]
            return torch.cat([model.class_probabilities(batch).argmax(1) for batch in batches]).cpu().numpy()
