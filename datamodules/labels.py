"""The draw of the labels: which few images of the training set may be looked at with their class."""

import hashlib

import numpy as np


def draw_labels(targets: np.ndarray, n_labels: int, seed: int) -> np.ndarray:
    """Indices of ``n_labels`` examples, the same number of each class.

    Draws with one seed are nested: the 100 are the first of the 600. They depend on the targets and the seed alone,
    not on the model's seed.

    Args:
        targets: class of each training image, shape ``(N,)``, integers from 0.
        n_labels: how many to draw; a multiple of the number of classes.
        seed: which draw.

    Returns:
        Indices into ``targets``, shape ``(n_labels,)``, classes in turn.

    Raises:
        ValueError: if the number is not positive, not divisible into the classes, or more than there are.
    """
    if isinstance(n_labels, bool) or not isinstance(n_labels, int) or n_labels < 1:
        raise ValueError(f"n_labels={n_labels}: expects a positive whole number of labelled images")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"label_seed={seed}: expects a whole number from 0")
    classes, counts = np.unique(targets, return_counts=True)
    if n_labels > len(targets):
        raise ValueError(f"n_labels={n_labels}: the training set has only {len(targets)} images")
    if n_labels % len(classes):
        raise ValueError(
            f"n_labels={n_labels}: not divisible into {len(classes)} classes of equal size; "
            f"the nearest are {n_labels // len(classes) * len(classes) or len(classes)} "
            f"and {(n_labels // len(classes) + 1) * len(classes)}"
        )
    per_class = n_labels // len(classes)
    if per_class > counts.min():
        raise ValueError(
            f"n_labels={n_labels}: needs {per_class} images of each class, class {classes[counts.argmin()]} has "
            f"{counts.min()}; at most {counts.min() * len(classes)}"
        )
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(np.flatnonzero(targets == c))[:per_class] for c in classes]
    return np.stack(drawn, axis=1).reshape(-1)


def indices_sha256(indices: np.ndarray) -> str:
    """The hash by which a result says which images it saw labelled: SHA-256 over little-endian int64."""
    return hashlib.sha256(np.ascontiguousarray(indices, dtype="<i8").tobytes()).hexdigest()
