"""The k nearest labelled codes vote."""

import numpy as np

from classifiers.choosing import AUTO, choose_settings
from classifiers.supervision import require_labelled
from datamodules.checks import require_one_of, require_whole
from datamodules.labels import SUPERVISED

WEIGHTS = ("uniform", "distance")


class KNNHead:
    """scikit-learn's ``KNeighborsClassifier``.

    Args:
        k: how many neighbours; ``auto`` chooses it by cross-validation within the labelled codes; 3 if None.
        weights: ``uniform``, or ``distance``: a vote weighs the inverse of its distance.
    """

    supervision = (SUPERVISED,)
    grids = {"k": (10, 5, 3, 1)}
    usual = {"k": 3}

    def __init__(self, k: int | str | None = None, weights: str = "distance"):
        self.k, self.weights = self.usual["k"] if k is None else k, weights
        if self.k != AUTO:
            require_whole(**{"classifier.k": self.k})
        require_one_of(WEIGHTS, **{"classifier.weights": weights})

    def check(self, n_labels: int, num_classes: int) -> None:
        """Raises ValueError if there are fewer labels than neighbours."""
        if self.k != AUTO and n_labels < self.k:
            raise ValueError(f"classifier.k={self.k}: there are only {n_labels} labelled images")

    def fit(self, codes: np.ndarray, labels: np.ndarray) -> "KNNHead":
        """Keeps codes ``(N, D)`` with classes ``(N,)``, all of them known."""
        require_labelled("classifier", labels)
        self.chosen, self.warning = choose_settings(self, codes, labels)
        return self._with(self.chosen.get("k", self.k), codes, labels)

    def _with(self, k: int, codes: np.ndarray, labels: np.ndarray) -> "KNNHead":
        from sklearn.neighbors import KNeighborsClassifier

        self.knn = KNeighborsClassifier(min(k, len(codes)), weights=self.weights, algorithm="brute")
        self.knn.fit(codes.copy(), labels.copy())
        self.labels = labels.copy()
        return self

    def predict(self, codes: np.ndarray) -> np.ndarray:
        """The class of each code, ``(M,)``."""
        return self.knn.predict(codes)

    def arrays(self) -> dict[str, np.ndarray]:
        """What :meth:`predict` needs beside the codes, to be stored."""
        return {"labels": self.labels, "k": np.array([self.knn.n_neighbors])}

    def restore(self, arrays: dict[str, np.ndarray], codes: np.ndarray) -> "KNNHead":
        """Becomes the head that :meth:`arrays` was taken from, given the codes it was fitted on."""
        return self._with(int(arrays["k"][0]), codes, arrays["labels"])
