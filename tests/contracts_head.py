"""What a classifier of yours is held to. Call the check with an instance: it returns, or one line says what is missing.

from contracts_head import check_head
check_head(MyHead())
"""

import copy

import numpy as np
from safetensors.numpy import load, save

from contracts import must

KINDS = ("supervised", "semi-supervised", "transductive")
CLASSES = np.array([0, 3, 7])  # with gaps: a head may not take a class for its place among those it saw
UNLABELLED = -1


def codes_of(seed: int, per_class: int = 20, dims: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Codes ``(N, dims)`` float32 in a heap a class, as a VAE's are, and their classes ``(N,)`` int64, shuffled."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(CLASSES, per_class))
    centres = 3 * np.eye(dims, dtype=np.float32)[: len(CLASSES)]
    codes = centres[np.searchsorted(CLASSES, labels)] + rng.normal(0, 0.5, (len(labels), dims)).astype(np.float32)
    return codes, labels


def check_head(head) -> None:
    """Holds a classifier, an instance that is not trained yet, to what ``LatentClassifier`` relies on.

    Raises:
        AssertionError: with the first thing that it lacks.
    """
    for name in ("fit", "predict", "arrays", "restore"):
        must(callable(getattr(head, name, None)), head, f"has no {name}()")
    said = getattr(head, "supervision", None)
    known = isinstance(said, tuple) and said and set(said) <= set(KINDS)
    must(known, head, f"does not say by supervision what it can be: a tuple out of {', '.join(KINDS)}")
    if hasattr(head, "check"):
        must(head.check(100, 10) is None, head, "check(100, 10) returns something; it raises ValueError, or nothing")
    fresh = copy.deepcopy(head)
    codes, labels = codes_of(0)
    unseen, truth = codes_of(1)
    predicted = _checked_fit(head, codes, labels, unseen)
    right = (predicted == truth).mean()
    must(right > 0.9, head, f"classifies {right:.0%} of codes in three heaps rightly; are labels taken for indices?")
    _check_same_again(head, fresh, codes, labels, unseen, predicted)
    _check_stored(head, fresh, codes)
    if "supervised" in head.supervision:
        _check_labelled_only(copy.deepcopy(fresh), codes, labels)
    if set(head.supervision) - {"supervised"}:
        _check_unlabelled(copy.deepcopy(fresh), codes, labels, unseen)


def _checked_fit(head, codes: np.ndarray, labels: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    before = codes.copy(), labels.copy(), unseen.copy()
    must(head.fit(codes, labels) is head, head, "fit() does not return the head itself")
    predicted = head.predict(unseen)
    same = all(np.array_equal(a, b) for a, b in zip(before, (codes, labels, unseen), strict=True))
    must(same, head, "changes the arrays it is given")
    must(isinstance(predicted, np.ndarray) and predicted.shape == (len(unseen),), head, "predict() gives no array (N,)")
    must(np.issubdtype(predicted.dtype, np.integer), head, f"predicts {predicted.dtype}, where classes are integers")
    strange = sorted(set(predicted.tolist()) - set(CLASSES.tolist()))
    arrays = head.arrays()
    plain = isinstance(arrays, dict) and all(isinstance(v, np.ndarray) and v.dtype != object for v in arrays.values())
    must(plain, head, "arrays() gives no dictionary of arrays of numbers")
    must(not strange, head, f"predicts {strange}, where it saw the classes {CLASSES.tolist()}")
    return predicted


def _check_same_again(head, fresh, codes, labels, unseen, predicted) -> None:
    again = copy.deepcopy(fresh)
    np.random.random(7)  # what else a process drew must not matter
    again.fit(codes, labels)
    must(_same(head.arrays(), again.arrays()), head, "trained twice on the same codes gives other arrays; fix its seed")
    again.fit(*codes_of(2)).fit(codes, labels)
    must(_same(head.arrays(), again.arrays()), head, "remembers what it was trained on before")
    must(np.array_equal(head.predict(unseen), predicted), head, "predicts otherwise the second time")


def _check_stored(head, fresh, codes: np.ndarray) -> None:
    everywhere = np.random.default_rng(3).normal(0, 3, (20_000, 5)).astype(np.float32)  # also where classes border
    arrays = head.arrays()
    stored = load(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))
    restored = copy.deepcopy(fresh).restore(stored, codes)
    must(restored is not None, head, "restore() does not return the head itself")
    same = np.array_equal(restored.predict(everywhere), head.predict(everywhere))
    must(same, head, "predicts otherwise once stored and restored")
    must(_same(restored.arrays(), arrays), head, "has other arrays once stored and restored")


def _check_labelled_only(head, codes: np.ndarray, labels: np.ndarray) -> None:
    """What is supervised is given no code without a label. Where it is, it may not take -1 for a class."""
    partly = labels.copy()
    partly[::2] = UNLABELLED
    try:
        predicted = head.fit(codes, partly).predict(codes)
    except ValueError:
        return
    must(UNLABELLED not in predicted, head, "predicts -1: unlabelled codes were taken for a class")


def _check_unlabelled(head, codes: np.ndarray, labels: np.ndarray, unseen: np.ndarray) -> None:
    """Codes labelled -1 are unlabelled: the head learns from them, and says what it takes each for."""
    few = np.full_like(labels, UNLABELLED)
    for c in CLASSES:
        few[np.flatnonzero(labels == c)[:2]] = c
    try:
        head.fit(codes, few)
    except ValueError as error:
        must(False, head, f"says it is {' or '.join(head.supervision)}, and refuses codes labelled -1: {error}")
    taken = getattr(head, "transduction_", None)
    must(isinstance(taken, np.ndarray) and taken.shape == few.shape, head, "has no transduction_ (N,) after fit()")
    must(UNLABELLED not in taken, head, "takes unlabelled codes for a class of their own, -1")
    must(np.array_equal(taken[few != UNLABELLED], few[few != UNLABELLED]), head, "takes labels away in transduction_")
    right = (taken == labels).mean()
    must(right > 0.9, head, f"takes {right:.0%} of codes in three heaps for the right class by two labels each")
    together = head.predict(unseen)
    must(UNLABELLED not in together, head, "predicts -1: unlabelled codes were taken for a class")
    alone = np.concatenate([head.predict(unseen[i : i + 1]) for i in range(9)])
    must(np.array_equal(together[:9], alone), head, "predicts a code otherwise beside others than alone")


def _same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in a)
