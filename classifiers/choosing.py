"""Settings, and heads, chosen by cross-validation within the labels that were given: no other label is looked at.

Each labelled code is held out in turn, and the candidate that gives most of them their class is chosen. A code that is
held out stands unlabelled in the fit of a head that learns from unlabelled codes, and not at all in that of another.
"""

import copy
import itertools
from collections.abc import Sequence

import numpy as np

from classifiers.supervision import Nearest
from datamodules.checks import require_positive
from datamodules.labels import SUPERVISED, UNLABELLED

AUTO = "auto"  # the value of a setting that is to be chosen
FOLDS = 5


def require_positive_or_auto(**numbers: float | str) -> None:
    """Raises ValueError for the first that is neither a positive number nor ``auto``, by its name."""
    for name, number in numbers.items():
        try:
            require_positive(**{name: 1 if number == AUTO else number})
        except ValueError as error:
            raise ValueError(f"{error}, or {AUTO}") from None


def stratified_folds(labels: np.ndarray, folds: int = FOLDS, repeats: int = 1) -> list[np.ndarray]:
    """The labelled codes in parts, of each class nearly as many in each; always the same ones for the same labels.

    A class with one label is never held out, nor are all labels of a class at once: there is no fold if no class has
    two labels.

    Args:
        labels: ``(N,)``; -1 is unlabelled.
        folds: how many parts, at most; of classes of fewer labels some parts have none.
        repeats: how many times all are divided anew.

    Returns:
        for each part of each division, indices into ``labels``; no empty ones.
    """
    rng = np.random.default_rng(0)
    found = []
    for _ in range(repeats):
        part, dealt = np.full(len(labels), -1), 0
        for label in np.unique(labels[labels != UNLABELLED]):
            members = rng.permutation(np.flatnonzero(labels == label))
            if len(members) > 1:
                part[members] = (dealt + np.arange(len(members))) % folds
                dealt += len(members)  # the next class goes on where this one ended: parts of nearly the same size
        found += [held for fold in range(folds) if len(held := np.flatnonzero(part == fold))]
    return found


def held_out(
    head, codes: np.ndarray, labels: np.ndarray, folds: Sequence[np.ndarray], nearest: Nearest | None = None
) -> np.ndarray:
    """The classes that a head gives codes whose labels it has not seen, the folds' one after another; it is refitted.

    Args:
        head: any; one that can do this in a shorter way than by a fit a fold has a method ``held_out`` of its own.
        codes: ``(N, D)``.
        labels: ``(N,)``; -1 is unlabelled.
        folds: of :func:`stratified_folds`.
        nearest: of the codes among themselves, for a head that works on a graph.
    """
    if hasattr(head, "held_out"):
        return head.held_out(codes, labels, folds, nearest)
    predicted = []
    for held in folds:
        masked = labels.copy()
        masked[held] = UNLABELLED
        fit(head, codes, masked, nearest)
        predicted.append(head.predict(codes[held]) if is_supervised(head) else head.transduction_[held])
    return np.concatenate(predicted)


def fit(head, codes: np.ndarray, labels: np.ndarray, nearest: Nearest | None = None) -> None:
    """Fits a head to as much as it makes use of: the labelled codes, or all of them, or their neighbours besides."""
    if is_supervised(head):
        head.fit(codes[labels != UNLABELLED], labels[labels != UNLABELLED])
    elif hasattr(head, "neighbours"):
        head.fit(codes, labels, nearest)
    else:
        head.fit(codes, labels)


def is_supervised(head) -> bool:
    """Whether a head makes use of labelled codes alone."""
    return set(head.supervision) == {SUPERVISED}


def choose_settings(head, codes: np.ndarray, labels: np.ndarray) -> tuple[dict, str | None]:
    """Values for those settings of a head that are ``auto``.

    Args:
        head: with ``grids``, for each setting that may be ``auto`` the values that are tried, of equally good ones the
            first (so the smoothest goes first); and ``usual``, what each is if nothing can be held out.
        codes: ``(N, D)``, all that the head is fitted on.
        labels: ``(N,)``.

    Returns:
        the values by name (none if no setting is ``auto``), and a warning if they had to be the usual ones.
    """
    names = [name for name in head.grids if getattr(head, name) == AUTO]
    if not names:
        return {}, None
    folds = stratified_folds(labels)
    if not folds:
        usual = {name: head.usual[name] for name in names}
        said = " ".join(f"classifier.{name}={value}" for name, value in usual.items())
        return usual, f"{said}, for one label a class leaves none to choose by"
    truth = labels[np.concatenate(folds)]
    tried = [dict(zip(names, values, strict=True)) for values in itertools.product(*(head.grids[n] for n in names))]
    right = [(held_out(_with(head, settings), codes, labels, folds) == truth).sum() for settings in tried]
    return tried[int(np.argmax(right))], None


def _with(head, settings: dict):
    other = copy.copy(head)
    vars(other).update(settings)
    return other
