"""A supervised head trained on all codes, with the classes that a graph head spreads to them from the labels."""

from functools import cached_property

import numpy as np

from classifiers.choosing import fit, is_supervised
from classifiers.supervision import Nearest
from datamodules.labels import UNLABELLED


class SpreadHead:
    """First one head gives every code a class, then another learns these classes as if they were known.

    With ``linear_svc`` it is the few-label exercise's classifier, with as many examples as there are images. It sees
    unlabelled codes as the first head does; new codes are the second's alone, so no neighbours of theirs are needed.
    Settings of the second that are ``auto`` are chosen by how well it learns the spread classes, not the true ones.
    Of so many examples liblinear's primal takes up to a minute, its dual at C=.01, tol=.01 three seconds.

    Args:
        spreader: learns from unlabelled codes (``transduction_``).
        classifier: supervised.
    """

    def __init__(self, spreader, classifier):
        if is_supervised(spreader):
            raise ValueError(f"spread=: {_name(spreader)} learns from labelled codes alone, and gives others no class")
        if not is_supervised(classifier):
            raise ValueError(
                f"spread=: {_name(classifier)} learns from codes without a label itself; spread= is for a supervised "
                "classifier"
            )
        self.spreader, self.classifier = spreader, classifier

    def __getattr__(self, name: str):
        if name == "neighbours" and "spreader" in vars(self):
            return self.spreader.neighbours  # a spreader without a graph has none, and then neither has this
        raise AttributeError(name)

    @property
    def supervision(self) -> tuple[str, ...]:
        """As the spreader's."""
        return self.spreader.supervision

    def check(self, n_labels: int, num_classes: int) -> None:
        """Raises ValueError if one of the two can't take so many labels or classes."""
        for head in (self.spreader, self.classifier):
            if hasattr(head, "check"):
                head.check(n_labels, num_classes)

    def fit(self, codes: np.ndarray, labels: np.ndarray, nearest: Nearest | None = None) -> "SpreadHead":
        """Trains on codes ``(N, D)`` with classes ``(N,)``, -1 where unknown."""
        fit(self.spreader, codes, labels, nearest)
        self.classifier.fit(codes, self.spreader.transduction_)
        known = np.flatnonzero(labels != UNLABELLED)
        self._remember(codes, known, labels[known])
        both = {"spread": self.spreader, "classifier": self.classifier}
        self.converged = all(getattr(head, "converged", True) for head in both.values())
        self.chosen = {f"{k}.{n}": v for k, head in both.items() for n, v in getattr(head, "chosen", {}).items()}
        self.warning = "; ".join(filter(None, (getattr(head, "warning", None) for head in both.values()))) or None
        return self

    @cached_property
    def transduction_(self) -> np.ndarray:
        """The class of each code of the fit ``(N,)``: as given, or what the second head, not the first, makes of it.
        Made when it is asked for: that second head may be slow."""
        classes = self.classifier.predict(self._codes)
        classes[self._known] = self._labels
        return classes

    def _remember(self, codes: np.ndarray, known: np.ndarray, labels: np.ndarray) -> None:
        self._codes, self._known, self._labels = codes, known, labels
        vars(self).pop("transduction_", None)

    def predict(self, codes: np.ndarray, nearest: Nearest | None = None) -> np.ndarray:
        """The class of each code, ``(M,)``."""
        return self.classifier.predict(codes)

    def arrays(self) -> dict[str, np.ndarray]:
        """The second head's, and which codes had a label, to be stored."""
        return self.classifier.arrays() | {"spread_from": self._known, "spread_labels": self._labels}

    def restore(self, arrays: dict[str, np.ndarray], codes: np.ndarray) -> "SpreadHead":
        """Becomes the trained head that :meth:`arrays` was taken from, given the codes it was fitted on."""
        self.classifier.restore({k: v for k, v in arrays.items() if not k.startswith("spread_")}, codes)
        self._remember(codes, arrays["spread_from"], arrays["spread_labels"])
        return self


def _name(head) -> str:
    return type(head).__name__
