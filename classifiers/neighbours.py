"""The nearest codes of codes: exact, a block of rows at a time, on a CPU or a GPU."""

from collections.abc import Callable

import numpy as np
import torch

from classifiers.supervision import Nearest

BLOCK_BYTES = 64 * 2**20  # of the distances from a block of codes to all; the whole stays below about three times this
WHITENING = 0.5  # of the codes before their distances are taken
SPARE = 8  # candidates beside the k that are asked for, so that roundings rarely reach those
ROUNDING = {"highest": 2.0**-24, "high": 2.0**-11, "medium": 2.0**-8}  # of a product's operands


def nearest_codes(
    codes: np.ndarray,
    k: int,
    queries: np.ndarray | None = None,
    device: torch.device | str = "cpu",
    whitening: float = WHITENING,
) -> Nearest:
    """The k codes that are nearest to each query, by Euclidean distance once whitened; of equally near ones the first.

    A product in float32 picks the candidates, differences in float64 decide among them: ``|a|² + |b|² - 2 ab`` loses
    what near-duplicates differ by. Where rounding might have cost a true neighbour its place among the candidates, all
    codes that may be neighbours are.

    Args:
        codes: ``(N, D)`` float32.
        k: how many; fewer than N, or at most N for queries.
        queries: ``(M, D)`` float32; the codes themselves if None, each without itself, but with its duplicates.
        device: where to compute. The result does not depend on it.
        whitening: how far to whiten the codes before, see :func:`whitened`; 0 takes them as they are.

    Returns:
        indices and distances, ``(M, k)``, the nearest first.

    Raises:
        ValueError: if there are too few codes, or some are not finite.
    """
    among_themselves = queries is None
    available = len(codes) - among_themselves
    if not 1 <= k <= available:
        raise ValueError(f"classifier.neighbours={k}: expects 1 to {available}, the number of codes to choose from")
    if not all(np.isfinite(given).all() for given in (codes, queries) if given is not None):
        raise ValueError("classifier: some codes are not finite numbers, and have no neighbours")
    if torch.device(device).type == "mps":  # which has no float64
        device = "cpu"
    transform = whitened(codes, whitening)
    points = torch.tensor(transform(codes), device=device)
    asked = points if among_themselves else torch.tensor(transform(queries), device=device)
    centre = points.mean(0)
    centred = points - centre  # smaller norms, smaller roundings
    squares = centred.square().sum(1)
    unit = (codes.shape[1] + 4) * ROUNDING[torch.get_float32_matmul_precision()]
    rows = max(1, BLOCK_BYTES // (4 * len(codes)))
    indices = torch.empty(len(asked), k, dtype=torch.int32)
    distances = torch.empty(len(asked), k)
    for start in range(0, len(asked), rows):
        block = asked[start : start + rows]
        shifted = block - centre
        approximate = torch.addmm(squares, shifted, centred.T, alpha=-2)  # squared, less the query's own square
        if among_themselves:
            own = torch.arange(start, start + len(block), device=device)
            approximate.scatter_(1, own[:, None], torch.inf)
        values, candidates = approximate.topk(min(k + SPARE, available), largest=False)
        found, exact = _sorted_by_differences(points, block, candidates.sort(1).values, k)
        if candidates.shape[1] < available:
            norms = shifted.double().square().sum(1)
            error = unit * (norms.sqrt() + squares.max().double().sqrt()).square()  # of approximate + norms, at most
            within = exact[:, -1].double().square() * (1 + 1e-6) + error - norms  # above it no neighbour can be
            for row in torch.nonzero(values[:, -1] <= within).flatten().tolist():
                candidates = torch.nonzero(approximate[row] <= within[row]).T
                found[row], exact[row] = _sorted_by_differences(points, block[row : row + 1], candidates, k)
        indices[start : start + rows], distances[start : start + rows] = found, exact
    return Nearest(indices.numpy(), distances.numpy())


def _sorted_by_differences(points, block, candidates, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The k nearest of each row's candidates ``(rows, C)``, which ascend, and their distances in float32."""
    differences = points[candidates].sub_(block[:, None])
    distances = differences.double().square_().sum(2).sqrt_().float()
    order = distances.sort(dim=1, stable=True).indices[:, :k]
    return candidates.gather(1, order), distances.gather(1, order)


def whitened(codes: np.ndarray, power: float = WHITENING) -> Callable[[np.ndarray], np.ndarray]:
    """What divides each principal component by its standard deviation, in ``codes``, to this power.

    At 0 nothing changes, at 1 all components have the variance 1. A VAE's codes spread widest along what images differ
    by most in their pixels, such as slant and weight of a digit, and little along much that tells classes apart.
    Components with less than 1e-5 of the largest variance are divided as if they had that: they are noise.

    Returns:
        a function of codes ``(M, D)`` that gives them whitened, ``(M, D)`` float32.
    """
    if power == 0:
        return lambda given: given
    centre = codes.mean(0, dtype=np.float64)
    variances, axes = np.linalg.eigh(np.cov(codes, rowvar=False, dtype=np.float64).reshape(2 * codes.shape[1:]))
    if variances[-1] <= 0:  # all codes are the same
        return lambda given: given
    scaled = axes / np.maximum(variances, 1e-5 * variances[-1]) ** (power / 2)
    return lambda given: ((given - centre) @ scaled).astype(np.float32)
