"""A support vector machine on codes and on what they are smoothed to over the graph of all codes, labelled or not."""

from collections.abc import Sequence

import numpy as np

from classifiers.choosing import choose_settings, held_out, require_positive_or_auto
from classifiers.graph import kernel, rows_of
from classifiers.neighbours import nearest_codes, whitened
from classifiers.rbf_svc import RBFSVCHead
from classifiers.supervision import TRANSDUCTIVE, Nearest
from datamodules.checks import require_whole
from datamodules.labels import SEMI_SUPERVISED, SUPERVISED, UNLABELLED

GAMMA = 0.5  # of the kernel, fixed on validation images as the other settings are
OWN = {"own": 0.6}  # if it is left open


class SmoothedSVCHead:
    """:class:`~classifiers.rbf_svc.RBFSVCHead` on ``(own x, P^steps x)``: each code beside its smoothed self.

    x is a code, whitened as for the graph (:func:`classifiers.neighbours.whitened`). P replaces it by the weighted mean
    of its nearest ones, as a simple graph convolution does (Wu et al. 2019, arXiv 1902.07153), with the weights of
    :mod:`classifiers.graph`. Smoothed codes lie closely in clusters, for which a few labels do; the codes themselves
    tell apart what lies in one cluster, once there are labels enough to say so. The labels have no part in the
    smoothing, and a new code is smoothed by its nearest among those of the fit.

    Args:
        neighbours: k, of which the means are.
        steps: how often all codes are smoothed.
        own: how much a code itself counts beside its smoothed one; ``auto`` chooses it by cross-validation within the
            labelled codes; .6 if None.
        C: of the machine, as there.
        gamma: of the machine, as there; .5 if None.
    """

    supervision = (SEMI_SUPERVISED, TRANSDUCTIVE)
    usual = OWN

    def __init__(
        self,
        neighbours: int = 10,
        steps: int = 16,
        own: float | str | None = None,
        C: float | str | None = None,
        gamma: float | str | None = None,
    ):
        require_whole(**{"classifier.neighbours": neighbours, "classifier.steps": steps})
        self.neighbours, self.steps = neighbours, steps
        self.machine = _OnPairs(own, RBFSVCHead(C, GAMMA if gamma is None else gamma))

    def check(self, n_labels: int, num_classes: int) -> None:
        """Raises ValueError for a number of classes that there is nothing to tell apart in."""
        self.machine.svc.check(n_labels, num_classes)

    def fit(self, codes: np.ndarray, labels: np.ndarray, nearest: Nearest | None = None) -> "SmoothedSVCHead":
        """Trains on codes ``(N, D)`` with classes ``(N,)``, -1 where unknown; all are in ``transduction_ (N,)``."""
        known = labels != UNLABELLED
        pairs = self._smooth(codes, nearest)
        self.fitted_on = np.flatnonzero(known)
        self.machine.fit(pairs[known], labels[known])
        self.chosen, self.warning = self.machine.chosen, self.machine.warning
        self._transduce(pairs, labels[known])
        return self

    def held_out(
        self, codes: np.ndarray, labels: np.ndarray, folds: Sequence[np.ndarray], nearest: Nearest | None = None
    ) -> np.ndarray:
        """As :func:`classifiers.choosing.held_out`, but codes are smoothed once: no label has a part in that."""
        return held_out(self.machine, self._smooth(codes, nearest), labels, folds)

    def _smooth(self, codes: np.ndarray, nearest: Nearest | None) -> np.ndarray:
        """Each code beside its smoothed self ``(N, 2D)``; ``almost (N, D)`` is what new codes are means of."""
        self.codes, self.whiten = codes, whitened(codes)
        means = self._means(nearest_codes(codes, self.neighbours) if nearest is None else nearest)
        own = self.almost = self.whiten(codes)
        for _ in range(self.steps - 1):
            self.almost = means @ self.almost
        return np.concatenate([own, means @ self.almost], axis=1)

    def _means(self, nearest: Nearest):
        """P: a row for each code with the weights of its nearest ones, which sum to 1."""
        weights = kernel(nearest.distances[:, : self.neighbours])
        weights = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
        return rows_of(nearest.indices[:, : self.neighbours], weights, len(self.codes))

    def _transduce(self, pairs: np.ndarray, known: np.ndarray) -> None:
        self.transduction_ = self.machine.predict(pairs)
        self.transduction_[self.fitted_on] = known

    def predict(self, codes: np.ndarray, nearest: Nearest | None = None) -> np.ndarray:
        """The class of each code, ``(M,)``."""
        if nearest is None:
            nearest = nearest_codes(self.codes, self.neighbours, codes)
        return self.machine.predict(np.concatenate([self.whiten(codes), self._means(nearest) @ self.almost], axis=1))

    def arrays(self) -> dict[str, np.ndarray]:
        """What :meth:`predict` needs beside the codes, to be stored."""
        known = self.transduction_[self.fitted_on]
        return self.machine.arrays() | {"fitted_on": self.fitted_on.astype(np.int32), "known": known}

    def restore(
        self, arrays: dict[str, np.ndarray], codes: np.ndarray, nearest: Nearest | None = None
    ) -> "SmoothedSVCHead":
        """Becomes the head that :meth:`arrays` was taken from, given the codes it was fitted on; smooths them again."""
        pairs = self._smooth(codes, nearest)
        of_the_machine = dict(arrays)
        self.fitted_on, known = of_the_machine.pop("fitted_on").astype(np.int64), of_the_machine.pop("known")
        self.machine.restore(of_the_machine, pairs[self.fitted_on])
        self._transduce(pairs, known)
        return self


class _OnPairs:
    """A machine on codes beside smoothed codes, ``(N, 2D)``, of which the first weigh ``own``."""

    supervision = (SUPERVISED,)
    grids = {"own": (0.3, 0.6, 1.0)}  # the smoothest first
    usual = OWN

    def __init__(self, own: float | str | None, svc: RBFSVCHead):
        self.own, self.svc = self.usual["own"] if own is None else own, svc
        require_positive_or_auto(**{"classifier.own": self.own})

    def fit(self, pairs: np.ndarray, labels: np.ndarray) -> "_OnPairs":
        chosen, warning = choose_settings(self, pairs, labels)
        self.weight = chosen.get("own", self.own)
        self.svc.fit(self._weighted(pairs), labels)
        self.chosen, self.warning = chosen | self.svc.chosen, warning or self.svc.warning
        return self

    def predict(self, pairs: np.ndarray) -> np.ndarray:
        return self.svc.predict(self._weighted(pairs))

    def _weighted(self, pairs: np.ndarray) -> np.ndarray:
        own, smoothed = np.split(pairs, 2, axis=1)
        return np.concatenate([np.float32(self.weight) * own, smoothed], axis=1)

    def arrays(self) -> dict[str, np.ndarray]:
        return self.svc.arrays() | {"own": np.array([self.weight])}

    def restore(self, arrays: dict[str, np.ndarray], pairs: np.ndarray) -> "_OnPairs":
        self.weight = float(arrays["own"][0])
        self.svc.restore({name: array for name, array in arrays.items() if name != "own"}, self._weighted(pairs))
        return self
