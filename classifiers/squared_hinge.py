"""Linear machines of the squared hinge loss, each class against the rest, all classes at once.

The objective 1/2 |w|^2 + sum_i [a_i h(f_i) + b_i h(-f_i)], where f_i = w x_i and h(m) = max(0, 1 - m)^2, has at most
the curvature I + 2 sum_i (a_i + b_i) x_i x_i' (Boehning & Lindsay 1988): a matrix that is factored once for all steps,
and for all classes where these share a_i + b_i. A step costs two products with x; Newton's, a matrix for each class.
"""

import torch
from torch import Tensor


def hinge(margin: Tensor) -> Tensor:
    """The squared hinge loss."""
    return (1 - margin).clamp_min(0).square()


def curvature(x: Tensor, weights: Tensor) -> Tensor:
    """The Cholesky factor ``(F, F)`` of the bound on the objective's curvature, for weights ``(N,)`` of the losses."""
    gram = ((2 * weights)[:, None] * x).T @ x
    return torch.linalg.cholesky(gram.double() + torch.eye(x.shape[1], dtype=torch.float64))


def descend(
    weights: Tensor, x: Tensor, a: Tensor, b: Tensor, bound: Tensor, steps: int, tol: float = 0.0
) -> tuple[Tensor, Tensor, float]:
    """Minimises the objective but for its entropy; ``a``, ``b`` ``(K, N)`` weigh the loss of f below 1, above -1.

    Nesterov's steps on the bound, that start anew where the objective would rise (O'Donoghue & Candes 2015).

    Returns:
        the weights ``(K, F)``, f ``(K, N)`` and the objective, which is at most what it was.
    """

    def value(weights: Tensor, f: Tensor) -> float:
        losses = a * hinge(f) + b * hinge(-f)
        return float(0.5 * weights.square().sum() + losses.sum(dtype=torch.float64))

    f = weights.to(x.dtype) @ x.T
    ahead, f_ahead, now, pace = weights, f, value(weights, f), 0
    for _ in range(steps):
        slope = 2 * (b * (1 + f_ahead).clamp_min(0) - a * (1 - f_ahead).clamp_min(0))
        gradient = ahead + (slope @ x).double()
        new = ahead - torch.cholesky_solve(gradient.T, bound).T
        f_new = new.to(x.dtype) @ x.T
        then = value(new, f_new)
        if then > now and pace == 0:  # by rounding only: this is the minimum
            break
        if then > now:
            ahead, f_ahead, pace = weights, f, 0
            continue
        moved = float((new - weights).norm())
        push = pace / (pace + 3)
        ahead, f_ahead = new + push * (new - weights), f_new + push * (f_new - f)
        weights, f, now, pace = new, f_new, then, pace + 1
        if moved <= tol * float(weights.norm()):
            break
    return weights, f, now
