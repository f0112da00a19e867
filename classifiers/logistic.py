"""Logistic regression on latent codes: linear as the support vector machine is, with probabilities."""

import numpy as np

from classifiers.checks import require_two_classes
from classifiers.choosing import choose_settings, require_positive_or_auto
from classifiers.convergence import fitted_to_the_end
from classifiers.supervision import require_labelled
from datamodules.checks import require_whole
from datamodules.labels import SUPERVISED


class LogisticHead:
    """scikit-learn's ``LogisticRegression`` (lbfgs), all classes at once.

    Args:
        C: inverse strength of the regularisation; ``auto`` chooses it by cross-validation within the labelled codes; 1
            if None.
        max_iter: of lbfgs.
    """

    supervision = (SUPERVISED,)
    grids = {"C": (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)}
    usual = {"C": 1.0}

    def __init__(self, C: float | str | None = None, max_iter: int = 1000):
        self.C, self.max_iter = self.usual["C"] if C is None else C, max_iter
        require_positive_or_auto(**{"classifier.C": self.C})
        require_whole(**{"classifier.max_iter": max_iter})

    def check(self, n_labels: int, num_classes: int) -> None:
        """Raises ValueError for a number of classes that there is nothing to tell apart in."""
        require_two_classes("a regression tells two classes or more apart", num_classes)

    def fit(self, codes: np.ndarray, labels: np.ndarray) -> "LogisticHead":
        """Trains on codes ``(N, D)`` with classes ``(N,)``, all of them known."""
        require_labelled("classifier", labels)
        self.chosen, self.warning = choose_settings(self, codes, labels)
        self.regression = self._trained(self._plain(), codes, labels)
        return self

    def _plain(self):
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(C=self.chosen.get("C", self.C), max_iter=self.max_iter)

    def _trained(self, estimator, codes: np.ndarray, labels: np.ndarray):
        """The estimator, fitted; whether lbfgs stopped too early goes into ``converged``."""
        self.converged = fitted_to_the_end(estimator, codes, labels)
        return estimator

    def predict(self, codes: np.ndarray) -> np.ndarray:
        """The class of each code, ``(M,)``."""
        return self.regression.predict(codes)

    def arrays(self) -> dict[str, np.ndarray]:
        """All that :meth:`predict` needs, to be stored."""
        return {name: getattr(self.regression, f"{name}_") for name in ("coef", "intercept", "classes")}

    def restore(self, arrays: dict[str, np.ndarray], codes: np.ndarray | None = None) -> "LogisticHead":
        """Becomes the trained head that :meth:`arrays` was taken from: the same predictions, bit for bit."""
        self.chosen = {}
        self.regression = self._plain()
        for name in ("coef", "intercept", "classes"):
            setattr(self.regression, f"{name}_", arrays[name])
        return self
