"""Laplace learning: each unlabelled code's score is the mean of its neighbours' scores."""

import numpy as np

from classifiers.graph_head import GraphHead


class LaplaceHead(GraphHead):
    """Harmonic functions on the graph (Zhu, Ghahramani and Lafferty 2003, section 2).

    ``u = y`` on labelled codes and ``L u = 0`` on the others, of which the blocks (u: unlabelled, l: labelled) are

        (D_uu - W_uu) u_u = W_ul y.

    A score is the probability that a random walk from there meets a label of that class first. With few labels most
    scores are nearly the same everywhere, and the classes differ by little (Nadler et al. 2009): their masses, which
    are nobody's shares, are therefore made equal before scores are compared (class mass normalisation, section 4).

    Args:
        the same as :class:`~classifiers.graph_head.GraphHead`.
    """

    def scores(self, weights, given: np.ndarray, onehot: np.ndarray) -> np.ndarray:
        unknown = np.ones(weights.shape[0], bool)
        unknown[given] = False
        rows = weights[unknown]
        inner, degrees = rows[:, unknown].tocsr(), rows.sum(1)
        right = np.ascontiguousarray(rows[:, given] @ onehot)
        solution = self._solved(lambda u: degrees[:, None] * u - inner @ u, right, degrees)
        scores = np.zeros((len(unknown), onehot.shape[1]), np.float32)
        scores[unknown], scores[given] = solution, onehot
        return scores / scores.sum(0)
