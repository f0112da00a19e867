"""The draw of the labels: which few images of the training set may be looked at with their class."""

import hashlib

import numpy as np

from datamodules.checks import require_one_of, require_whole

UNLABELLED = -1  # the target of an example whose class may not be known, as scikit-learn has it
UNSUPERVISED, SUPERVISED, SEMI_SUPERVISED = "unsupervised", "supervised", "semi-supervised"  # what is learnt from

RULES = ("equal", "proportional")  # as many of each class; or each class by its share, and at least one


def draw_labels(targets: np.ndarray, n_labels: int, seed: int, labels: str = "equal") -> np.ndarray:
    """Indices of ``n_labels`` examples, the same number of each class or in proportion to the classes.

    Draws with one seed and one rule are nested: the 100 are the first of the 600. They depend on the targets, the seed
    and the rule alone, not on the model's seed.

    Args:
        targets: class of each training image, shape ``(N,)``, integers from 0.
        n_labels: how many to draw; for equal shares a multiple of the number of classes.
        seed: which draw.
        labels: ``equal`` or ``proportional``: to within one image, so many of each class as its share.

    Returns:
        Indices into ``targets``, shape ``(n_labels,)``: equal shares with the classes in turn.

    Raises:
        ValueError: as :func:`require_drawable`.
    """
    counts = np.bincount(targets)
    require_drawable(counts, n_labels, seed, labels)
    rng = np.random.default_rng(seed)
    shuffled = [rng.permutation(np.flatnonzero(targets == c)) for c in range(len(counts))]
    if labels == "equal":
        return np.stack([one[: n_labels // len(counts)] for one in shuffled], axis=1).reshape(-1)
    # The j-th of the n_c images of class c stands at j / n_c of the way; whoever is first on it, of equals the lower
    # class, is drawn first. So any beginning of the order has the classes' shares, and the first K are one of each.
    along = np.concatenate([np.arange(count) / count for count in counts])
    return np.concatenate(shuffled)[np.argsort(along, kind="stable")[:n_labels]]


def require_drawable(
    class_counts: np.ndarray, n_labels: int, seed: int, labels: str = "equal", setting: str = "n_labels"
) -> None:
    """Raises ValueError for labels that can't be drawn from so many images ``(K,)`` of each class.

    ``setting`` is what messages call the number.
    """
    require_rule(labels)
    require_whole(of="labelled images", **{setting: n_labels})
    require_whole(0, label_seed=seed)
    classes, total = len(class_counts), int(np.sum(class_counts))
    if n_labels > total:
        raise ValueError(f"{setting}={n_labels}: the training set has only {total} images")
    fewest = int(np.min(class_counts))
    if fewest == 0:
        raise ValueError(f"{setting}={n_labels}: there is no image of class {np.argmin(class_counts)}")
    if n_labels < classes:
        raise ValueError(f"{setting}={n_labels}: there are {classes} classes, and each needs a labelled image")
    if labels == "proportional":
        return
    if n_labels > fewest * classes:
        raise ValueError(
            f"{setting}={n_labels}: needs {-(-n_labels // classes)} images of each class, class "
            f"{np.argmin(class_counts)} has {fewest}; at most {fewest * classes}, or labels=proportional"
        )
    if n_labels % classes:
        below = n_labels // classes * classes
        raise ValueError(
            f"{setting}={n_labels}: not divisible into {classes} classes of equal size; the nearest are {below} and "
            f"{below + classes}, or labels=proportional"
        )


def require_rule(labels: str) -> None:
    """Raises ValueError for a rule that there is not."""
    require_one_of(RULES, labels=labels)


def indices_sha256(indices: np.ndarray) -> str:
    """The hash by which a result says which images it saw labelled: SHA-256 over little-endian int64."""
    return hashlib.sha256(np.ascontiguousarray(indices, dtype="<i8").tobytes()).hexdigest()
