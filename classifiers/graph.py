"""The graph of codes that heads spread labels over, and the solver of their linear systems.

The codes are the nodes, each tied to its k nearest, with the weights of github.com/jwcalder/GraphLearning,

    w_ij = exp(-4 |x_i - x_j|² / d_k(x_i)²),    W = (w + wᵀ) / 2,

where ``d_k(x)`` is the distance from x to the k-th of its nearest. ``D`` holds the degrees, the sums of W's rows, and
``L = D - W`` is the Laplacian.
"""

from collections.abc import Callable

import numpy as np

from classifiers.neighbours import nearest_codes, whitened
from classifiers.supervision import Nearest

WEAKEST = np.float32(np.exp(-4) / 2)  # weight of two codes of which one is the other's k-th nearest, and not vice versa


def kernel(distances: np.ndarray) -> np.ndarray:
    """The weights ``(M, k)`` of the k nearest at ascending distances, 1 to e⁻⁴; all 1 where all distances are 0."""
    farthest = distances[:, -1:].astype(np.float64)
    return np.exp(-4 * np.square(distances / np.where(farthest > 0, farthest, 1)))


def graph_weights(nearest: Nearest):
    """The symmetric weights W, scipy's CSR ``(N, N)`` float32, of codes with the k nearest of each ``(N, k)``."""
    half = rows_of(nearest.indices, kernel(nearest.distances).astype(np.float32) / 2, len(nearest.indices))
    return (half + half.T.tocsr()).tocsr()


def rows_of(indices: np.ndarray, weights: np.ndarray, columns: int):
    """scipy's CSR ``(M, columns)`` with the weights ``(M, k)`` at the indices ``(M, k)`` of each row."""
    from scipy import sparse

    ends = np.arange(0, weights.size + 1, weights.shape[1], dtype=np.int32)
    return sparse.csr_array((weights.ravel(), indices.ravel(), ends), shape=(len(weights), columns))


def tied(weights, codes: np.ndarray, part: np.ndarray, sources: np.ndarray, targets: np.ndarray):
    """The graph with one weak edge more for each part among the sources: from its code nearest to a target.

    Args:
        weights: W, ``(N, N)``.
        codes: ``(N, D)``.
        part: which connected part a code belongs to, ``(N,)``.
        sources: which codes belong to the parts to be tied, ``(N,)`` bool.
        targets: which codes they may be tied to, ``(N,)`` bool.
    """
    from scipy import sparse

    scaled = whitened(codes)(codes)
    ends = np.flatnonzero(targets)
    found = nearest_codes(scaled[targets], 1, scaled[sources], whitening=0.0)
    starts, ends, distances = np.flatnonzero(sources), ends[found.indices[:, 0]], found.distances[:, 0]
    order = np.lexsort((distances, part[starts]))
    _, first = np.unique(part[starts][order], return_index=True)
    starts, ends = starts[order[first]], ends[order[first]]
    edges = sparse.csr_array((np.full(len(starts), WEAKEST), (starts, ends)), shape=weights.shape)
    return (weights + edges + edges.T).tocsr()


def conjugate_gradients(
    product: Callable[[np.ndarray], np.ndarray], right: np.ndarray, diagonal: np.ndarray, tol: float, max_iter: int
) -> tuple[np.ndarray, bool]:
    """Solves ``A x = b`` for many b at once, preconditioned by A's diagonal.

    Args:
        product: A times ``(N, K)``; A is symmetric and positive semi-definite, with each b in its range.
        right: each b is a column of it, ``(N, K)``.
        diagonal: of A, ``(N,)``.
        tol: where to stop: the residual's norm by that of b, in each column.
        max_iter: steps at most.

    Returns:
        the solution ``(N, K)`` in the type of ``right``, and whether it is within ``tol``.
    """
    inverse = (1 / diagonal)[:, None].astype(right.dtype)
    solution, residual = np.zeros_like(right), right.copy()
    scaled = inverse * residual
    direction, before = scaled.copy(), _dots(residual, scaled)
    goal = tol * tol * _dots(right, right)
    for _ in range(max_iter):
        if (_dots(residual, residual) <= goal).all():
            return solution, True
        image = product(direction)
        step = _divided(before, _dots(direction, image))
        solution += step * direction
        residual -= step * image
        scaled = inverse * residual
        now = _dots(residual, scaled)
        direction *= _divided(now, before)
        direction += scaled
        before = now
    return solution, bool((_dots(residual, residual) <= goal).all())


def _dots(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("nk,nk->k", a, b)


def _divided(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """A column that is solved exactly, as that of a class nobody has, has 0 / 0: it stays as it is."""
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)
