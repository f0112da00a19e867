"""What a few labels make of the codes: a classifier trained after the fit, scored on images it has not seen."""

import logging
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import pytorch_lightning as pl

from callbacks.analyses.base import Outcome
from callbacks.analyses.classification import Classification, classification_metrics
from callbacks.analyses.latent_codes import latent_codes
from callbacks.drawing import codes_map as maps
from callbacks.fitted import Fitted
from classifiers.neighbours import nearest_codes
from classifiers.spread import SpreadHead
from classifiers.supervision import TRANSDUCTIVE, Nearest, supervision_of
from datamodules.labels import SUPERVISED, UNLABELLED, draw_labels

log = logging.getLogger(__name__)

STORED = "classifier.safetensors"
NEIGHBOURS = 20  # nearest codes that are kept for a fit, at least: heads of any fewer share them
CODES = (latent_codes.__module__,)  # whose code makes what is kept for a fit
NEAREST, PLANE = (*CODES, nearest_codes.__module__), (*CODES, maps.__name__)


class Head(Protocol):
    """What ``classifier=`` may name; ``tests/contracts_head.py`` has the contract as a test that anyone can call.

    ``supervision`` says what it can be (:mod:`classifiers.supervision`). A supervised head is fitted on the labelled
    codes; any other on all codes, -1 for unlabelled, and has after it the class of each as ``transduction_``.
    ``arrays`` and ``restore``, which is given the codes it was fitted on, store a trained head without pickle.

    A head of a graph has ``neighbours``, how many nearest codes it wants, and takes them as ``nearest`` beside the
    codes, in ``fit`` and in ``predict``: they are found once for a fit. A head may have ``check(n_labels,
    num_classes)``, which raises ValueError before anything is trained if it can't take so many; and once fitted
    ``converged``, ``chosen`` (its settings that cross-validation chose), ``warning`` (a line that the result tells),
    and ``looked_at``, how many of the unlabelled codes, where that is not all of them.
    """

    supervision: tuple[str, ...]

    def fit(self, codes: np.ndarray, labels: np.ndarray) -> "Head": ...
    def predict(self, codes: np.ndarray) -> np.ndarray: ...
    def arrays(self) -> dict[str, np.ndarray]: ...
    def restore(self, arrays: dict[str, np.ndarray], codes: np.ndarray) -> "Head": ...


class LatentClassifier(Classification):
    """After the fit, trains a classifier on codes of which ``n_labels`` have a label, and scores it on other images.

    Args:
        classifier: the head to train.
        n_labels: how many labelled images.
        label_seed: which draw of them.
        labels: ``equal``, the same number of each class, or ``proportional`` to how many each has.
        score_on: ``test``, or ``validation`` to choose settings without a look at the test set.
        transductive: the images it is scored on stand unlabelled in the fit.
        spread: a head of a graph that gives all codes a class first, as examples for the classifier.
        pictures: of the errors and of the codes: of ``all`` draws, of the ``first`` (label_seed 0), or ``none``.
        codes_map: the plane that the codes are drawn in: ``pca``, ``tsne`` or ``umap``.

    The outcome has the metrics ``accuracy``, ``precision``, ``recall``, ``f1``; whether that was supervised,
    semi-supervised or transductive, and by how many unlabelled images; which images were labelled
    (``labels_sha256``), and how they were drawn; the ``confusion`` matrix; a sheet of the errors and a map of the
    codes; the trained classifier's arrays.
    """

    def __init__(
        self,
        classifier: Head,
        n_labels: int,
        label_seed: int = 0,
        labels: str = "equal",
        score_on: str = "test",
        transductive: bool = False,
        spread: Head | None = None,
        pictures: str = "all",
        codes_map: str = "pca",
    ):
        super().__init__(n_labels, label_seed, labels, score_on, pictures)
        maps.require_method(codes_map=codes_map)
        self.codes_map = codes_map
        self.classifier = classifier if spread is None else SpreadHead(spread, classifier)
        self.supervision = supervision_of(self.classifier, transductive)

    def check(self, datamodule: pl.LightningDataModule) -> None:
        """Raises ValueError, before any training, for a draw that the data set can't give, or the head can't take."""
        super().check(datamodule)
        if hasattr(self.classifier, "check"):
            self.classifier.check(self.n_labels, datamodule.num_classes)
        seen = int(datamodule.class_counts.sum())
        if self.supervision == TRANSDUCTIVE:
            seen += len(getattr(datamodule, self.split).targets)
        if (k := getattr(self.classifier, "neighbours", 0)) >= seen:
            raise ValueError(f"classifier.neighbours={k}: there are only {seen} codes, {seen - 1} beside each")

    def run(self, fitted: Fitted) -> Outcome:
        codes = fitted.derived("codes", lambda: latent_codes(fitted.model, fitted.datamodule), CODES)
        given = self._given(codes)
        near = self._near(codes, given, fitted, fitted.derived)
        to_fit, to_predict = near("fit"), near("predict")
        start = time.perf_counter()
        self.classifier.fit(given.codes, given.labels, **to_fit)
        self._warn()
        predicted = self._predicted(codes, to_predict)
        num_classes = fitted.datamodule.num_classes
        metrics, confusion = classification_metrics(predicted, codes[f"{self.split}_targets"], num_classes)
        seconds = time.perf_counter() - start
        unlabelled = getattr(self.classifier, "looked_at", int(np.sum(given.labels == UNLABELLED)))
        facts = self._facts(fitted, self.supervision, given.labelled, unlabelled, confusion)
        facts |= {"code_dims": int(codes["train_codes"].shape[1])}
        facts |= {name: said for name in ("chosen", "warning") if (said := getattr(self.classifier, name, None))}
        caption = self._caption(fitted, type(self.classifier).__name__, self.supervision, metrics["accuracy"])
        figures = self._confusion(fitted, confusion, caption)
        if self._drawn:
            figures |= self._errors(fitted, given.labelled, predicted, caption)
            figures |= self._codes(fitted, codes, given.labelled, predicted, caption)
        return Outcome(metrics, facts, figures, {STORED: self.classifier.arrays()}, seconds)

    def reload(self, fitted: Fitted, stored: Callable[[str], dict[str, np.ndarray]]) -> dict[str, float]:
        """Scores the stored classifier, on codes made anew, instead of training one."""
        codes = latent_codes(fitted.model, fitted.datamodule)
        given = self._given(codes)
        self.classifier.restore(stored(STORED), given.codes)
        near = self._near(codes, given, fitted, lambda _, make, by: make())
        predicted = self._predicted(codes, near("predict"))
        return classification_metrics(predicted, codes[f"{self.split}_targets"], fitted.datamodule.num_classes)[0]

    def _given(self, codes: dict[str, np.ndarray]) -> "Given":
        """What the classifier may see."""
        labelled = draw_labels(codes["train_targets"], self.n_labels, self.label_seed, self.labels)
        if self.supervision == SUPERVISED:
            return Given(codes["train_codes"][labelled], codes["train_targets"][labelled], labelled)
        seen = codes["train_codes"]
        if self.supervision == TRANSDUCTIVE:
            seen = np.concatenate([seen, codes[f"{self.split}_codes"]])
        labels = np.full(len(seen), UNLABELLED, dtype=np.int64)
        labels[labelled] = codes["train_targets"][labelled]
        return Given(seen, labels, labelled)

    def _near(self, codes: dict, given: "Given", fitted: Fitted, derived: Callable) -> Callable[[str], dict]:
        """What a head of a graph is given besides: ``near("fit")`` of the codes it sees, ``near("predict")`` of those
        it is scored on. Neither knows a label: all draws share them."""
        if not getattr(self.classifier, "neighbours", None):
            return lambda _: {}
        k = max(self.classifier.neighbours, min(NEIGHBOURS, len(given.codes) - 1))
        seen = f"train_and_{self.split}" if self.supervision == TRANSDUCTIVE else "train"

        def near(method: str) -> dict[str, Nearest]:
            if method == "predict" and self.supervision == TRANSDUCTIVE:  # they stand in the fit
                return {}
            queries = None if method == "fit" else codes[f"{self.split}_codes"]
            name = f"nearest_{k}_in_{seen}" + ("" if method == "fit" else f"_of_{self.split}")
            device = fitted.model.device
            found = derived(name, lambda: nearest_codes(given.codes, k, queries, device)._asdict(), NEAREST)
            return {"nearest": Nearest(**found)}

        return near

    def _predicted(self, codes: dict[str, np.ndarray], near: dict[str, Nearest]) -> np.ndarray:
        """The classes of the images that are scored."""
        scored = codes[f"{self.split}_codes"]
        if self.supervision == TRANSDUCTIVE:
            return self.classifier.transduction_[-len(scored) :]
        return self.classifier.predict(scored, **near)

    def _codes(
        self, fitted: Fitted, codes: dict, labelled: np.ndarray, predicted: np.ndarray, caption: str
    ) -> dict[str, np.ndarray]:
        """The codes in a plane, those classified wrongly and those that were labelled among them."""
        method, among, scored = self.codes_map, codes["train_codes"], codes[f"{self.split}_codes"]
        plane = fitted.derived(f"{method}_{self.split}", lambda: maps.plane_of(among, scored, method), PLANE)
        targets, labels = codes[f"{self.split}_targets"], codes["train_targets"][labelled]
        known, names, caption = (
            plane["train"][labelled],
            fitted.datamodule.class_names,
            f"{caption}; {maps.axes_of(method, plane)}",
        )
        return {"codes": maps.codes_map(plane["scored"], targets, predicted, known, labels, names, caption)}

    def _warn(self) -> None:
        if not getattr(self.classifier, "converged", True):
            log.warning("the classifier did not converge: raise classifier.max_iter")
        if warning := getattr(self.classifier, "warning", None):
            log.warning(warning)


class Given(NamedTuple):
    """Codes ``(N, D)`` and labels ``(N,)`` for a classifier, and which of the images were drawn to be labelled."""

    codes: np.ndarray
    labels: np.ndarray
    labelled: np.ndarray
