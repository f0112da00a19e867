"""Poisson learning: labels are sources on the graph, and scores what flows from them."""

import numpy as np

from classifiers.graph_head import GraphHead


class PoissonHead(GraphHead):
    """Poisson learning (Calder, Cook, Thorpe and Slepčev 2020, section 2).

        L u = sum_j (y_j - ȳ) δ_j,    sum_i d_i u_i = 0,

    over the labelled codes j, with ȳ the mean of their y. Labels are sources and not values held fast, so that a few do
    not drown in the constant that Laplace learning tends to there.

    Args:
        the same as :class:`~classifiers.graph_head.GraphHead`.
    """

    one_part = True  # what flows in has to flow out

    def scores(self, weights, given: np.ndarray, onehot: np.ndarray) -> np.ndarray:
        degrees = weights.sum(0)
        right = np.zeros((weights.shape[0], onehot.shape[1]), np.float32)
        right[given] = onehot - onehot.mean(0)
        shares = degrees / degrees.sum()

        def product(u: np.ndarray) -> np.ndarray:  # L + d dᵀ / sum(d), by which the second equation holds, too
            return degrees[:, None] * (u + shares @ u) - weights @ u

        return self._solved(product, right, degrees)
