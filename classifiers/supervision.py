"""What a head may see besides the labelled codes: three words that are kept apart in every result and table.

    supervised       the labelled codes only
    semi-supervised  the other training images' codes too, without labels; test images are predicted one by one later
    transductive     the codes of the images it is scored on too, without labels: they stand unlabelled in the fit

Unlabelled codes have the class -1, as scikit-learn has it.
"""

from typing import NamedTuple

import numpy as np

from datamodules.labels import SEMI_SUPERVISED, SUPERVISED, UNLABELLED

TRANSDUCTIVE = "transductive"


class Nearest(NamedTuple):
    """For each of M codes, the k nearest of the N codes that a head is fitted on, the nearest first.

    Attributes:
        indices: ``(M, k)`` int32; of the codes themselves, without each itself.
        distances: ``(M, k)`` float32, Euclidean.
    """

    indices: np.ndarray
    distances: np.ndarray


def require_labelled(name: str, labels: np.ndarray) -> None:
    """Raises ValueError if a supervised head is given unlabelled codes."""
    if unlabelled := int(np.sum(labels == UNLABELLED)):
        raise ValueError(f"{name}: {unlabelled} codes are unlabelled, of which a supervised classifier makes no use")


def supervision_of(head, transductive: bool) -> str:
    """What a head shall be: transductive where that is asked for, else semi-supervised where it can be.

    Raises:
        ValueError: for what it can't be.
    """
    if type(transductive) is not bool:
        raise ValueError(f"transductive={transductive}: expects true or false")
    if transductive:
        if TRANSDUCTIVE not in head.supervision:
            name, can = type(head).__name__, " or ".join(head.supervision)
            raise ValueError(f"transductive=true: {name} is {can}, it makes no use of the images it is scored on")
        return TRANSDUCTIVE
    return SEMI_SUPERVISED if SEMI_SUPERVISED in head.supervision else SUPERVISED
