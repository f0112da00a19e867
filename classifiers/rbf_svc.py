"""The support vector machine with a Gaussian kernel, on latent codes."""

import itertools

import numpy as np

from classifiers.checks import require_two_classes
from classifiers.choosing import choose_settings, require_positive_or_auto
from classifiers.supervision import require_labelled
from datamodules.labels import SUPERVISED

BLOCK = 1000  # codes whose kernel values are in memory at once


class RBFSVCHead:
    """scikit-learn's ``SVC`` (libsvm): a machine for each pair of classes, kernel exp(-gamma |a - b|² / v).

    v is the sum of the dimensions' variances over the labelled codes, so half the mean squared distance of two of them:
    ``gamma=1`` means the same for codes of any size. It is scikit-learn's ``scale`` where all dimensions have one mean.

    Args:
        C: the most that an example may weigh; ``auto`` chooses it by cross-validation within the labelled codes; 3 if
            None.
        gamma: of the kernel, see above: how quickly an example's influence falls; or ``auto``; 1 if None.
    """

    supervision = (SUPERVISED,)
    grids = {"C": (1.0, 3.0, 10.0), "gamma": (0.3, 1.0, 2.0)}
    usual = {"C": 3.0, "gamma": 1.0}

    def __init__(self, C: float | str | None = None, gamma: float | str | None = None):
        self.C, self.gamma = self.usual["C"] if C is None else C, self.usual["gamma"] if gamma is None else gamma
        require_positive_or_auto(**{"classifier.C": self.C, "classifier.gamma": self.gamma})

    def check(self, n_labels: int, num_classes: int) -> None:
        """Raises ValueError for a number of classes that there is nothing to tell apart in."""
        require_two_classes("a machine tells two classes or more apart", num_classes)

    def fit(self, codes: np.ndarray, labels: np.ndarray) -> "RBFSVCHead":
        """Trains on codes ``(N, D)`` with classes ``(N,)``, all of them known."""
        require_labelled("classifier", labels)
        self.chosen, self.warning = choose_settings(self, codes, labels)
        return self._train(codes, labels, {name: self.chosen.get(name, getattr(self, name)) for name in self.grids})

    def _train(self, codes: np.ndarray, labels: np.ndarray, settings: dict) -> "RBFSVCHead":
        from sklearn.svm import SVC

        scale = codes.var(0, dtype=np.float64).sum()
        svc = SVC(C=settings["C"], gamma=settings["gamma"] / (scale or 1.0), cache_size=500).fit(codes, labels)
        # of two classes scikit-learn has the machine speak for the second, of more for the first of each pair
        sign = -1 if len(svc.classes_) == 2 else 1
        learned = {
            "support": svc.support_.astype(np.int32),
            "of_each_class": svc.n_support_.astype(np.int32),
            "dual_coef": sign * svc.dual_coef_,
            "intercept": sign * svc.intercept_,
            "classes": svc.classes_,
            "gamma": np.array([svc.gamma]),
        }
        return self.restore(learned, codes)

    def predict(self, codes: np.ndarray) -> np.ndarray:
        """The class of each code, ``(M,)``: the one that most of its pairs vote for, of several the first."""
        learned = self.learned
        pairs = list(itertools.combinations(range(len(learned["classes"])), 2))
        votes = np.zeros((len(codes), len(learned["classes"])), np.int32)
        for start in range(0, len(codes), BLOCK):
            decision = self._kernel(codes[start : start + BLOCK]) @ self.machines + learned["intercept"]
            for pair, (a, b) in enumerate(pairs):
                votes[start : start + BLOCK, a] += decision[:, pair] > 0
                votes[start : start + BLOCK, b] += decision[:, pair] <= 0
        return learned["classes"][votes.argmax(1)]

    def _kernel(self, codes: np.ndarray) -> np.ndarray:
        codes = codes.astype(np.float64)
        squares = (codes**2).sum(1)[:, None] + (self.vectors**2).sum(1) - 2 * codes @ self.vectors.T
        return np.exp(-self.learned["gamma"] * squares)

    def arrays(self) -> dict[str, np.ndarray]:
        """What :meth:`predict` needs beside the codes, to be stored: which of them support it, and how much."""
        return dict(self.learned)

    def restore(self, arrays: dict[str, np.ndarray], codes: np.ndarray) -> "RBFSVCHead":
        """Becomes the head that :meth:`arrays` was taken from, given the codes it was fitted on."""
        self.learned = dict(arrays)
        self.vectors = codes[arrays["support"]].astype(np.float64)
        self.machines = _machines(arrays["dual_coef"], arrays["of_each_class"])
        return self


def _machines(dual_coef: np.ndarray, of_each_class: np.ndarray) -> np.ndarray:
    """libsvm's coefficients ``(K - 1, S)`` of S support vectors, which stand class by class, as a machine a column.

    The row of a vector of class a that counts in the machine of a and b is b - 1 if a < b, and b otherwise.

    Returns:
        ``(S, K (K - 1) / 2)``, the pairs of classes in order; positive values speak for the first.
    """
    ends = np.cumsum(of_each_class)
    own = [slice(end - count, end) for end, count in zip(ends, of_each_class, strict=True)]
    pairs = list(itertools.combinations(range(len(own)), 2))
    machines = np.zeros((dual_coef.shape[1], len(pairs)))
    for column, (a, b) in enumerate(pairs):
        machines[own[a], column] = dual_coef[b - 1, own[a]]
        machines[own[b], column] = dual_coef[a, own[b]]
    return machines
