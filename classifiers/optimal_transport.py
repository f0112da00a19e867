"""Soft labels of many codes at once, where each class has its share of them: an optimal transport with entropy.

Sinkhorn's iterations (Cuturi 2013, "Sinkhorn distances", arXiv 1306.0895), with the classes' sums held to intervals
(Chizat et al. 2018, "Scaling algorithms for unbalanced optimal transport problems", arXiv 1607.05816).
"""

from torch import Tensor

MOST_SWEEPS = 500
SHARES_TO = 1e-4  # relative: how exactly the shares are kept
LEAST_LOGIT = -300.0  # below the best class's: a class that no code likes can still be given its share


def transport(
    gains: Tensor, temperature: float, shares: Tensor | None, slack: float, scaling: Tensor
) -> tuple[Tensor, Tensor]:
    """The soft labels P ``(K, N)``, each code's of sum 1, that maximise sum P (gains - temperature log P).

    Args:
        gains: ``(K, N)``, of a code in a class.
        temperature: positive, in units of the gains.
        shares: ``(K,)`` of the classes, or None for any.
        slack: how far a class may be from its share, relative to it.
        scaling: ``(K,)`` positive, of the classes, where Sinkhorn's iterations start.

    Returns:
        the soft labels, and the scaling that the iterations ended with.
    """
    logits = gains.double() / temperature
    kernel = (logits - logits.amax(0)).clamp_min(LEAST_LOGIT).exp()
    scaling = scaling.double()
    if shares is not None:
        least, most = ((1 + sign * slack) * shares * kernel.shape[1] for sign in (-1, 1))
        for _ in range(MOST_SWEEPS):
            mass = kernel @ (1 / (scaling @ kernel))
            new = mass.clamp(least, most) / mass
            change = float((new / scaling - 1).abs().max())
            scaling = new
            if change < SHARES_TO:
                break
    soft = scaling[:, None] * kernel
    return (soft / soft.sum(0)).to(gains.dtype), scaling
