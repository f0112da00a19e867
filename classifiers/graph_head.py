"""What heads on a graph of the codes share: the labels' way into it, the balance of classes, and predictions.

A head solves a linear system for scores of all codes (:mod:`classifiers.graph` has the graph), and each code takes
the class of its highest one. New codes are predicted one by one: the nearest of the codes vote, each for its class,
with the graph's weights. That their classes vote, and not their scores, does better by .1 points on validation codes of
MNIST, and needs 2 bytes a code to be stored.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from classifiers.graph import conjugate_gradients, graph_weights, kernel, tied
from classifiers.neighbours import nearest_codes
from classifiers.supervision import TRANSDUCTIVE, Nearest
from datamodules.checks import require_non_negative, require_one_of, require_positive, require_whole
from datamodules.labels import SEMI_SUPERVISED, UNLABELLED

PRIORS = ("none", "uniform", "labels")
BALANCE_ROUNDS, BALANCE_STEP, BALANCE_WITHIN = 20, 0.7, 1e-3  # at most; of the way; of all codes


class GraphHead(ABC):
    """A head that spreads a few labels over a graph of all codes.

    Args:
        neighbours: k of the graph, and of the vote on new codes.
        prior: the share that each class is held to among all codes: ``uniform``, ``labels`` (its share of the labelled
            ones), or ``none``. The true shares of all data are never used: nobody knows them.
        slack: how far from that a share may lie, relative to it: at .15, 8.5 to 11.5 % pass for 10 %.
        tol: the residual at which the system counts as solved, relative to its right-hand side.
        max_iter: steps of conjugate gradients at most.

    After :meth:`fit`, ``transduction_ (N,)`` is the class of every code it was fitted on, ``confidence_ (N,)`` how far
    one score is ahead of the next, before ``prior``, in [0, 1] and 1 of a labelled one, ``converged`` whether the
    system was solved, ``warning`` a line on what a user ought to know, or None.
    """

    supervision = (SEMI_SUPERVISED, TRANSDUCTIVE)
    one_part = False  # whether its system has a solution on a connected graph only

    def __init__(
        self,
        neighbours: int = 10,
        prior: str = "uniform",
        slack: float = 0.15,
        tol: float = 1e-4,
        max_iter: int = 1000,
    ):
        require_whole(**{"classifier.neighbours": neighbours, "classifier.max_iter": max_iter})
        require_non_negative(**{"classifier.slack": slack})
        require_one_of(PRIORS, **{"classifier.prior": prior})
        require_positive(**{"classifier.tol": tol})
        self.neighbours, self.prior, self.slack = neighbours, prior, slack
        self.tol, self.max_iter = tol, max_iter

    @abstractmethod
    def scores(self, weights, given: np.ndarray, onehot: np.ndarray) -> np.ndarray:
        """Scores ``(N, K)`` of all codes, the highest where a class is likeliest.

        Args:
            weights: W, scipy's CSR ``(N, N)`` float32; every connected part of it has a label.
            given: the labelled codes' indices ``(n,)``.
            onehot: their classes ``(n, K)`` float32.
        """

    def fit(self, codes: np.ndarray, labels: np.ndarray, nearest: Nearest | None = None) -> "GraphHead":
        """Spreads the labels over the codes.

        Args:
            codes: ``(N, D)`` float32.
            labels: ``(N,)`` int64, -1 where there is none.
            nearest: the k or more nearest of the codes among themselves, if they are known.

        Raises:
            ValueError: if there is no label, no more codes than ``neighbours``, or ``nearest`` is of too few.
        """
        given = np.flatnonzero(labels != UNLABELLED)
        if not len(given):
            raise ValueError("classifier: no code is labelled, there is nothing to spread")
        self.codes, self.converged, self.warning = codes, True, None
        if nearest is None:
            nearest = nearest_codes(codes, self.neighbours)
        weights = graph_weights(self._own(nearest, len(codes)))
        weights = self._reached(weights, given)
        self.classes, places = np.unique(labels[given], return_inverse=True)
        onehot = np.eye(len(self.classes), dtype=np.float32)[places]
        scores = self.scores(weights, given, onehot)
        self.confidence_ = _margins(scores)
        self.confidence_[given] = 1
        if self.prior != "none":
            shares = onehot.mean(0) if self.prior == "labels" else np.full(len(self.classes), 1 / len(self.classes))
            scores = self._balanced(scores, shares)
        self.assigned = scores.argmax(1).astype(np.int16)
        self.assigned[given] = places
        return self

    @property
    def transduction_(self) -> np.ndarray:
        """The class of every code that it was fitted on, ``(N,)`` int64; a labelled one has the class it was given."""
        return self.classes[self.assigned]

    def predict(self, codes: np.ndarray, nearest: Nearest | None = None) -> np.ndarray:
        """The classes ``(M,)`` that the codes nearest to each of these ``(M, D)`` vote for."""
        if nearest is None:
            nearest = nearest_codes(self.codes, self.neighbours, codes)
        nearest = self._own(nearest, len(codes))
        votes = np.zeros((len(codes), len(self.classes)))
        weights, rows = kernel(nearest.distances), np.arange(len(codes))
        for place in range(self.neighbours):  # in this order for each code, whatever else is asked with it
            votes[rows, self.assigned[nearest.indices[:, place]]] += weights[:, place]
        return self.classes[votes.argmax(1)]

    def arrays(self) -> dict[str, np.ndarray]:
        """What :meth:`predict` needs besides the codes."""
        return {"classes": self.classes, "assigned": self.assigned}

    def restore(self, arrays: dict[str, np.ndarray], codes: np.ndarray) -> "GraphHead":
        """Becomes the trained head that :meth:`arrays` was taken from, given the codes it was fitted on."""
        self.classes, self.assigned, self.codes = arrays["classes"], arrays["assigned"], codes
        return self

    def _own(self, nearest: Nearest, queries: int) -> Nearest:
        rows, columns = nearest.indices.shape
        if rows != queries or columns < self.neighbours:
            given, needed = f"the {columns} nearest of {rows} codes", f"the {self.neighbours} nearest of {queries}"
            raise ValueError(f"classifier: {given} are given, and {needed} needed")
        return Nearest(nearest.indices[:, : self.neighbours], nearest.distances[:, : self.neighbours])

    def _reached(self, weights, given: np.ndarray):
        """The graph with each part that has no label tied to one that has, where they are nearest."""
        from scipy.sparse.csgraph import connected_components

        _, part = connected_components(weights, directed=False)
        labelled = np.isin(part, part[given])
        if not labelled.all():
            self.warning = (
                f"{np.sum(~labelled)} codes in {len(np.unique(part[~labelled]))} parts of the graph have no tie to a "
                "labelled one: each part is tied to the nearest labelled code's; raise classifier.neighbours"
            )
            weights = tied(weights, self.codes, part, ~labelled, labelled)
            _, part = connected_components(weights, directed=False)
        if self.one_part and part.any():
            largest = part == np.bincount(part).argmax()
            weights = tied(weights, self.codes, part, ~largest, largest)
        return weights

    def _solved(self, product: Callable, right: np.ndarray, diagonal: np.ndarray) -> np.ndarray:
        solution, converged = conjugate_gradients(product, right, diagonal, self.tol, self.max_iter)
        self.converged &= converged
        return solution

    def _balanced(self, scores: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Scores plus an offset for each class, with which each class has its share (see :func:`class_offsets`)."""
        offsets, missed = class_offsets(scores, shares, self.slack)
        if missed > max(BALANCE_WITHIN, 2 / len(scores)):
            said = f"a class's share of the codes is off by {missed:.1%} from what classifier.prior={self.prior} allows"
            self.warning = said if self.warning is None else f"{self.warning}; {said}"
        return scores + offsets


def _margins(scores: np.ndarray) -> np.ndarray:
    """By how much the highest of each row's scores ``(N, K)`` is above the second, in the sum of their sizes: ``(N,)``
    in [0, 1]; 1 where there is only one class."""
    if scores.shape[1] == 1:
        return np.ones(len(scores), scores.dtype)
    second, highest = np.partition(scores, -2, axis=1)[:, -2:].T
    return (highest - second) / np.maximum(np.abs(scores).sum(1), np.finfo(scores.dtype).tiny)


def class_offsets(scores: np.ndarray, shares: np.ndarray, slack: float) -> tuple[np.ndarray, float]:
    """Offsets of the classes with which the highest score falls to each class as often as it should.

    The volume constraint of PoissonMBO (Calder et al. 2020), with room as in Jacobs, Merkurjev and Esedoglu (2018), and
    as there, by raising and lowering prices: one class after another, the one that is farthest off first, is moved most
    of the way to the offset at which it wins as many codes as it may. Of all assignments with such shares, this
    approaches the one whose codes' scores have the greatest sum, as whose dual variables the offsets are.

    Args:
        scores: ``(N, K)``.
        shares: that each class should have ``(K,)``, their sum 1.
        slack: how far from that a share may be, relative to it.

    Returns:
        the offsets ``(K,)`` that came nearest, and by how much the worst share then misses what it may be.
    """
    offsets, best, missed = np.zeros(len(shares), scores.dtype), None, np.inf
    least, most = shares * (1 - slack), shares * (1 + slack)
    for _ in range(BALANCE_ROUNDS):
        found = np.bincount((scores + offsets).argmax(1), minlength=len(shares)) / len(scores)
        off = np.abs(found - np.clip(found, least, most))
        if off.max() < missed:
            best, missed = offsets.copy(), off.max()
        if missed <= BALANCE_WITHIN:
            break
        for k in np.argsort(-off, kind="stable"):
            rivals = scores + offsets
            rivals[:, k] = -np.inf
            needed = rivals.max(1) - scores[:, k]  # class k wins where its offset is greater
            won = np.mean(needed < offsets[k])
            allowed = np.clip(won, least[k], most[k])
            if allowed != won and len(shares) > 1:
                place = min(int(allowed * len(scores)), len(scores) - 1)
                offsets[k] += BALANCE_STEP * (np.partition(needed, place)[place] - offsets[k])
    return best, float(missed)
