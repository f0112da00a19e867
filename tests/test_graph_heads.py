"""Heads on a graph: against dense solves of the same equations, where a linear machine fails, and where labels end."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn.datasets import make_moons
from sklearn.svm import LinearSVC

from classifiers.graph import conjugate_gradients, graph_weights, tied
from classifiers.graph_head import class_offsets
from classifiers.laplace import LaplaceHead
from classifiers.neighbours import nearest_codes
from classifiers.poisson import PoissonHead
from classifiers.spreading import SpreadingHead
from contracts_head import check_head

HEADS = (LaplaceHead, PoissonHead, SpreadingHead)
every_head = pytest.mark.parametrize("head", HEADS)


def heaps(per_class=(100, 60, 40), seed=0, dims=4):
    """Codes in overlapping heaps, their classes 2, 3 and 7, and labels of four of each."""
    rng = np.random.default_rng(seed)
    truth = np.repeat([2, 3, 7], per_class)
    codes = 2.5 * np.eye(dims)[np.searchsorted([2, 3, 7], truth)] + rng.normal(0, 1, (len(truth), dims))
    labels = np.full(len(truth), -1)
    for start in np.cumsum((0, *per_class[:-1])):
        labels[start : start + 4] = truth[start : start + 4]
    return codes.astype(np.float32), truth, labels


def dense_weights(codes, k=10):
    """GraphLearning's weights written out: w_ij = exp(-4 d² / d_k²), then the mean of w and its transpose."""
    found = nearest_codes(codes, k)
    weights = np.zeros((len(codes), len(codes)))
    for i, (nearest, distances) in enumerate(zip(found.indices, found.distances.astype(float), strict=True)):
        weights[i, nearest] = np.exp(-4 * distances**2 / distances[-1] ** 2)
    return (weights + weights.T) / 2


def solved_densely(head, codes, labels):
    """The scores by numpy's solver, of the equations in each head's docstring."""
    weights, given = dense_weights(codes), np.flatnonzero(labels >= 0)
    y = (labels[given][:, None] == np.unique(labels[given])).astype(float)
    degrees, n = weights.sum(1), len(codes)
    laplacian = np.diag(degrees) - weights
    if head is PoissonHead:
        right = np.zeros((n, y.shape[1]))
        right[given] = y - y.mean(0)
        u = np.linalg.lstsq(laplacian, right, rcond=None)[0]
        return u - degrees @ u / degrees.sum()
    if head is LaplaceHead:
        free = np.setdiff1d(np.arange(n), given)
        u = np.zeros((n, y.shape[1]))
        u[given] = y
        u[free] = np.linalg.solve(laplacian[np.ix_(free, free)], weights[np.ix_(free, given)] @ y)
        return u / u.sum(0)
    root, right = 1 / np.sqrt(degrees), np.zeros((n, y.shape[1]))
    right[given] = y
    f = np.linalg.solve(np.eye(n) - 0.98 * root[:, None] * weights * root, right)
    return f / f.sum(0)


@every_head
def test_scores_are_those_of_a_dense_solve(head):
    codes, _, labels = heaps()
    given = np.flatnonzero(labels >= 0)
    trained = head(tol=1e-6)
    trained.converged = True
    onehot = (labels[given][:, None] == [2, 3, 7]).astype(np.float32)
    scores = trained.scores(graph_weights(nearest_codes(codes, 10)), given, onehot)
    expected = solved_densely(head, codes, labels)
    np.testing.assert_allclose(scores, expected, atol=2e-5 * expected.max())
    assert trained.converged
    unbalanced = head(tol=1e-6, prior="none").fit(codes, labels)
    np.testing.assert_array_equal(
        unbalanced.transduction_[labels < 0], np.array([2, 3, 7])[expected.argmax(1)][labels < 0]
    )
    third, second, first = np.sort(expected, axis=1).T
    ahead = np.where(labels < 0, (first - second) / (abs(first) + abs(second) + abs(third)), 1)
    np.testing.assert_allclose(unbalanced.confidence_, ahead, atol=0.01)


def test_weights_are_symmetric_and_those_written_out():
    codes, _, _ = heaps()
    weights = graph_weights(nearest_codes(codes, 10)).toarray()
    np.testing.assert_allclose(weights, dense_weights(codes), rtol=1e-5, atol=1e-9)
    assert (weights == weights.T).all()


def test_conjugate_gradients_say_whether_they_converged():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(50, 50))
    a = a @ a.T + np.eye(50)
    right = rng.normal(size=(50, 3))
    right[:, 1] = 0
    found, converged = conjugate_gradients(lambda x: a @ x, right, np.diag(a), 1e-10, 500)
    np.testing.assert_allclose(found, np.linalg.solve(a, right), atol=1e-8)
    assert converged and not conjugate_gradients(lambda x: a @ x, right, np.diag(a), 1e-10, 3)[1]


def test_a_head_says_whether_it_converged():
    codes, _, labels = heaps()
    assert LaplaceHead().fit(codes, labels).converged
    assert not LaplaceHead(max_iter=1).fit(codes, labels).converged


@every_head
def test_heads_keep_the_contract(head):
    check_head(head())


def moons():
    codes, truth = make_moons(600, noise=0.05, random_state=0)
    first, second = np.flatnonzero(truth == 0), np.flatnonzero(truth == 1)
    return codes, truth, [first[codes[first, 0].argmax()], second[codes[second, 0].argmin()]]


def elongated():
    """Two Gaussians side by side, 20 times as long as wide, of which opposite ends are labelled."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], 300)
    codes = rng.normal(0, 1, (600, 2)) * [4, 0.2] + 4 * (truth[:, None] * [0, 1])
    order = codes[:, 0].argsort()
    return codes, truth, [order[truth[order] == 0][-15], order[truth[order] == 1][15]]


@pytest.mark.parametrize(
    ("head", "shape"),
    [
        (LaplaceHead(), moons),
        (LaplaceHead(), elongated),
        (PoissonHead(), moons),
        (PoissonHead(), elongated),
        (SpreadingHead(), moons),  # whose scores fall to 1e-6 along them
    ],
)
def test_shapes_are_told_apart_where_a_linear_machine_is_at_chance(head, shape):
    codes, truth, ends = shape()
    codes = codes.astype(np.float32)
    linear = LinearSVC(random_state=0).fit(codes[ends], truth[ends]).predict(codes)
    assert np.mean(linear == truth) < 0.6
    labels = np.full(600, -1)
    labels[ends] = truth[ends]
    trained = head.fit(codes, labels)
    assert np.mean(trained.transduction_ == truth) > 0.97
    assert np.mean(trained.predict(codes + np.float32(0.01)) == truth) > 0.97


@every_head
@pytest.mark.parametrize(("prior", "shares"), [("uniform", [1 / 3] * 3), ("labels", [0.25, 0.25, 0.5])])
def test_shares_are_kept(head, prior, shares):
    codes, _, labels = heaps((1000, 600, 400), dims=3)
    more = np.flatnonzero(labels == -1)[-4:]
    labels[more] = 7  # 8 of 16 labels
    found = {}
    for slack in (0.0, 0.1):
        trained = head(prior=prior, slack=slack).fit(codes, labels)
        found[slack] = np.array([np.mean(trained.transduction_ == c) for c in (2, 3, 7)])
        assert trained.warning is None
        assert (np.abs(found[slack] - shares) <= slack * np.array(shares) + 0.005).all()
    none = head(prior="none").fit(codes, labels).transduction_
    assert np.abs([np.mean(none == c) for c in (2, 3, 7)] - np.array(shares)).max() > 0.05


def test_shares_that_cannot_be_met_are_told():
    """Duplicates have equal scores, and go all to one class."""
    twins = np.repeat(heaps()[0][[0, 170]], [300, 30], axis=0)
    labels = np.full(330, -1)
    labels[[0, 300]] = 0, 1
    head = LaplaceHead(neighbours=3).fit(twins, labels)
    assert "a class's share of the codes is off by" in head.warning and "classifier.prior=uniform" in head.warning


def test_offsets_give_the_assignment_of_the_greatest_sum():
    scores, shares = np.random.default_rng(0).normal(size=(300, 3)), np.array([0.5, 0.3, 0.2])
    offsets, missed = class_offsets(scores, shares, 0.0)
    chosen = (scores + offsets).argmax(1)
    _, best = linear_sum_assignment(-np.repeat(scores, [150, 90, 60], axis=1))
    assert missed <= 0.01 and np.mean(chosen == np.repeat([0, 1, 2], [150, 90, 60])[best]) > 0.97


@every_head
def test_a_part_without_a_label_takes_the_nearest_labelled_class_and_says_so(head):
    codes, _, labels = heaps()
    apart = np.concatenate([codes, codes[:15] / 100 + 40 * np.eye(4, dtype=np.float32)[2]])  # beyond class 7
    trained = head(prior="none").fit(apart, np.append(labels, [-1] * 15))
    assert (trained.transduction_[-15:] == 7).all()
    assert trained.warning.startswith("15 codes in 1 parts of the graph have no tie to a labelled one")
    assert trained.fit(codes, labels).warning is None


def test_a_part_is_tied_where_it_is_nearest():
    codes = np.array([[0], [1], [20], [21], [30], [100]], np.float32)
    part = np.array([0, 0, 1, 1, 1, 2])
    none = graph_weights(nearest_codes(codes, 1)) * 0
    ties = tied(none, codes, part, part == 1, part != 1).toarray()
    assert np.argwhere(ties).tolist() == [[1, 2], [2, 1]]


@every_head
def test_labelled_parts_without_a_tie_keep_their_class(head):
    """Where Poisson's sources have no way out, its system has no solution."""
    rng = np.random.default_rng(0)
    codes = np.repeat(100 * np.eye(3, dtype=np.float32), 30, axis=0) + rng.normal(0, 1, (90, 3)).astype(np.float32)
    labels = np.full(90, -1)
    labels[[0, 1, 2, 30, 60]] = 0, 0, 0, 5, 9
    trained = head(prior="none").fit(codes, labels)
    assert trained.converged and trained.warning is None
    np.testing.assert_array_equal(trained.transduction_, np.repeat([0, 5, 9], 30))


@every_head
@pytest.mark.parametrize("copies", [3, 15])
def test_duplicates_are_no_trouble(head, copies):
    codes, truth, labels = (np.repeat(given, copies, axis=0) for given in heaps())
    trained = head(prior="none").fit(codes, labels)
    assert trained.converged
    if copies == 3:
        assert np.mean(trained.transduction_ == truth) > 0.85 and trained.warning is None
    else:  # each code's ten nearest are its duplicates
        assert trained.warning.startswith("2820 codes in 188 parts")
        np.testing.assert_array_equal(trained.predict(codes[labels >= 0]), truth[labels >= 0])


@every_head
def test_all_codes_labelled_is_a_vote_of_the_nearest(head):
    codes, truth, _ = heaps()
    trained = head().fit(codes, truth)
    np.testing.assert_array_equal(trained.transduction_, truth)
    assert np.mean(trained.predict(codes) == truth) > 0.85
    only = head().fit(codes, np.where(truth == 3, 3, -1))
    assert set(only.predict(codes)) == {3}


@every_head
def test_given_neighbours_change_nothing(head):
    codes, _, labels = heaps()
    new = heaps(seed=1)[0]
    own = head().fit(codes, labels)
    given = head().fit(codes, labels, nearest_codes(codes, 25))
    np.testing.assert_array_equal(own.transduction_, given.transduction_)
    np.testing.assert_array_equal(own.predict(new), given.predict(new, nearest_codes(codes, 25, new)))
    with pytest.raises(ValueError, match="the 5 nearest of 200 codes are given, and the 10 nearest of 200 needed"):
        head().fit(codes, labels, nearest_codes(codes, 5))
    with pytest.raises(ValueError, match="the 10 nearest of 200 codes are given, and the 10 nearest of 9 needed"):
        own.predict(new[:9], nearest_codes(codes, 10, new))


def test_stored_heads_are_small():
    codes, _, labels = heaps()
    arrays = PoissonHead().fit(codes, labels).arrays()
    assert sum(array.nbytes for array in arrays.values()) == 2 * 200 + 8 * 3
    restored = PoissonHead().restore(arrays, codes)
    np.testing.assert_array_equal(restored.transduction_, PoissonHead().fit(codes, labels).transduction_)


@pytest.mark.parametrize(
    ("head", "settings", "message"),
    [
        (LaplaceHead, {"neighbours": 0}, "classifier.neighbours=0: expects a positive whole number"),
        (PoissonHead, {"prior": "truth"}, "classifier.prior=truth: accepted are none, uniform, labels"),
        (PoissonHead, {"slack": -0.1}, "classifier.slack=-0.1: expects a number from 0"),
        (SpreadingHead, {"alpha": 1}, "classifier.alpha=1: expects a number from 0 to below 1"),
        (SpreadingHead, {"tol": 0}, "classifier.tol=0: expects a positive number"),
    ],
)
def test_impossible_settings_are_refused(head, settings, message):
    with pytest.raises(ValueError, match=message):
        head(**settings)


@every_head
def test_impossible_fits_are_refused(head):
    codes, _, labels = heaps()
    with pytest.raises(ValueError, match="classifier: no code is labelled"):
        head().fit(codes, np.full(200, -1))
    with pytest.raises(ValueError, match="classifier.neighbours=200: expects 1 to 199"):
        head(neighbours=200).fit(codes, labels)
