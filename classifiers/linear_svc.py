"""The linear support vector machine on latent codes, as the few-label exercise states it."""

import numpy as np

from classifiers.checks import require_one_strength, require_two_classes
from classifiers.choosing import choose_settings, require_positive_or_auto
from classifiers.convergence import fitted_to_the_end
from classifiers.supervision import require_labelled
from datamodules.checks import require_one_of, require_positive
from datamodules.labels import SUPERVISED

SCALINGS = ("none", "standard")


class LinearSVCHead:
    """scikit-learn's ``LinearSVC`` (liblinear), one machine a class against the rest.

    Args:
        C: inverse strength of the regularisation; ``auto`` chooses it by cross-validation within the labelled codes;
            1 if neither this nor ``C_per_label`` is given.
        C_per_label: instead of C, which is this times the number of labels: the penalty then weighs the same against
            the mean loss however many labels there are.
        scaling: ``standard`` gives each dimension of the labelled codes mean 0 and variance 1; ``none`` leaves them.
        dual: which problem liblinear solves; ``random_state`` has no effect on the primal.
        tol: of liblinear.
        max_iter: of liblinear.
        random_state: of liblinear's coordinate order.
    """

    supervision = (SUPERVISED,)
    grids = {"C": (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)}
    usual = {"C": 0.1}

    def __init__(
        self,
        C: float | str | None = None,
        C_per_label: float | None = None,
        scaling: str = "none",
        dual: bool = False,
        tol: float = 1e-5,
        max_iter: int = 1000,
        random_state: int = 0,
    ):
        require_one_strength(C, C_per_label)
        self.C, self.C_per_label = 1.0 if C is None else C, C_per_label
        require_positive_or_auto(**{"classifier.C": self.C})
        positive = {"C_per_label": C_per_label, "tol": tol, "max_iter": max_iter}
        require_positive(**{f"classifier.{name}": value for name, value in positive.items() if value is not None})
        require_one_of(SCALINGS, **{"classifier.scaling": scaling})
        self.scaling, self.dual = scaling, dual
        self.tol, self.max_iter, self.random_state = tol, max_iter, random_state

    def check(self, n_labels: int, num_classes: int) -> None:
        """Raises ValueError for a number of classes that there is nothing to tell apart in."""
        require_two_classes("a linear machine tells two classes or more apart", num_classes)

    def fit(self, codes: np.ndarray, labels: np.ndarray) -> "LinearSVCHead":
        """Trains on codes ``(N, D)`` with classes ``(N,)``, all of them known."""
        from sklearn.svm import LinearSVC

        require_labelled("classifier", labels)
        self.chosen, self.warning = choose_settings(self, codes, labels)
        C = self.chosen.get("C", self.C)
        self.shift, self.divisor = np.zeros(codes.shape[1]), np.ones(codes.shape[1])
        if self.scaling == "standard":
            self.shift, self.divisor = codes.mean(0), codes.std(0)
        self.svc = LinearSVC(
            C=C if self.C_per_label is None else self.C_per_label * len(codes),
            dual=self.dual,
            tol=self.tol,
            max_iter=self.max_iter,
            random_state=self.random_state,
        )
        self.converged = fitted_to_the_end(self.svc, self._scaled(codes), labels)
        return self

    def predict(self, codes: np.ndarray) -> np.ndarray:
        """The class of each code, ``(M,)``."""
        return self.svc.predict(self._scaled(codes))

    def _scaled(self, codes: np.ndarray) -> np.ndarray:
        return (codes - self.shift) / self.divisor

    def arrays(self) -> dict[str, np.ndarray]:
        """All that :meth:`predict` needs, to be stored."""
        return {
            "coef": self.svc.coef_,
            "intercept": self.svc.intercept_,
            "classes": self.svc.classes_,
            "shift": self.shift,
            "divisor": self.divisor,
        }

    def restore(self, arrays: dict[str, np.ndarray], codes: np.ndarray | None = None) -> "LinearSVCHead":
        """Becomes the trained head that :meth:`arrays` was taken from: the same predictions, bit for bit."""
        from sklearn.svm import LinearSVC

        self.svc = LinearSVC()
        self.svc.coef_, self.svc.intercept_ = arrays["coef"], arrays["intercept"]
        self.svc.classes_ = arrays["classes"]
        self.shift, self.divisor = arrays["shift"], arrays["divisor"]
        return self
