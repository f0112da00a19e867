"""Label spreading: scores are their neighbours' and a little of the labels."""

import numpy as np

from classifiers.graph_head import GraphHead
from datamodules.checks import require_share


class SpreadingHead(GraphHead):
    """Label spreading, or local and global consistency (Zhou et al. 2004, section 2), solved instead of iterated.

        (I - α S) F = Y,    S = D^(-1/2) W D^(-1/2),

    then each class's scores by their sum (class mass normalisation of Zhu et al. 2003). Labels are not held fast in the
    scores, but in what is reported of labelled codes.

    Args:
        alpha: how much of a score comes from the neighbours, the rest from the code's own label. Scores fall off with
            the distance from the labels, the faster the smaller it is.
        tol: smaller than of the other heads, as scores far from all labels are small, and compared all the same.
        the others: the same as :class:`~classifiers.graph_head.GraphHead`.
    """

    def __init__(self, alpha: float = 0.98, tol: float = 1e-6, **shared):
        require_share(**{"classifier.alpha": alpha})
        super().__init__(tol=tol, **shared)
        self.alpha = np.float32(alpha)

    def scores(self, weights, given: np.ndarray, onehot: np.ndarray) -> np.ndarray:
        root = 1 / np.sqrt(weights.sum(0))[:, None]
        right = np.zeros((weights.shape[0], onehot.shape[1]), np.float32)
        right[given] = onehot
        diagonal = np.ones(len(right), np.float32)
        scores = self._solved(lambda f: f - self.alpha * (root * (weights @ (root * f))), right, diagonal)
        return scores / scores.sum(0)
