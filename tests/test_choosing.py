"""What is chosen by cross-validation within the given labels: settings against scikit-learn's search, heads on data
made for one of them."""

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_moons
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC, LinearSVC
from test_heads import Graph

from classifiers.auto import AutoHead
from classifiers.choosing import held_out, stratified_folds
from classifiers.knn import KNNHead
from classifiers.linear_svc import LinearSVCHead
from classifiers.logistic import LogisticHead
from classifiers.rbf_svc import RBFSVCHead
from classifiers.spread import SpreadHead

X, Y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
RNG = np.random.default_rng(0)


class Scaled(SVC):
    """With the kernel's width in the head's unit."""

    def fit(self, codes, labels):
        self.gamma = 1 / codes.var(0).sum()
        return super().fit(codes, labels)


def test_folds_hold_each_label_out_once_and_leave_some_of_each_class():
    labels = np.repeat([0, 3, 7, -1], [23, 2, 1, 40])
    folds = stratified_folds(labels, 5)
    assert sorted(np.concatenate(folds)) == list(range(25))  # not the only label of class 7, nor what has none
    for held in folds:
        assert len(held) == 5
        assert 4 <= (labels[held] == 0).sum() <= 5
        assert (labels[held] == 3).sum() <= 1
    twice = stratified_folds(labels, 5, repeats=2)
    assert len(twice) == 10 and sorted(np.concatenate(twice[5:])) == list(range(25))
    assert not np.array_equal(np.concatenate(twice[:5]), np.concatenate(twice[5:]))
    np.testing.assert_array_equal(np.concatenate(folds), np.concatenate(twice[:5]))  # always the same ones
    assert stratified_folds(np.array([4, 2, 9, -1])) == []


@pytest.mark.parametrize(
    ("head", "theirs"),
    [
        (LinearSVCHead("auto"), LinearSVC(dual=False, tol=1e-5, random_state=0)),
        (LogisticHead("auto"), LogisticRegression(max_iter=1000)),
        (RBFSVCHead("auto"), Scaled()),
    ],
    ids=["linear_svc", "logistic", "rbf_svc"],
)
@pytest.mark.parametrize("draw", range(3))
def test_auto_chooses_what_scikit_learns_grid_search_chooses(head, theirs, draw):
    at = np.random.default_rng(draw).permutation(len(X))[:120]
    codes, labels = X[at] + 0.3 * np.random.default_rng(9).normal(size=X[at].shape), Y[at]
    folds = [(np.setdiff1d(np.arange(120), held), held) for held in stratified_folds(labels)]
    assert {len(held) for _, held in folds} == {24}  # of one size: the mean over folds is the mean over codes
    search = GridSearchCV(theirs, {"C": head.grids["C"]}, cv=folds).fit(codes, labels)
    first = int(search.cv_results_["mean_test_score"].round(9).argmax())  # its own choice depends on roundings of means
    best = search.cv_results_["params"][first]
    assert head.fit(codes, labels).chosen == best
    np.testing.assert_array_equal(head.predict(X), theirs.set_params(**best).fit(codes, labels).predict(X))


def test_of_equally_good_settings_the_smoothest_is_chosen():
    codes = np.repeat(np.eye(4, dtype=np.float32), 10, axis=0)
    labels = np.repeat(np.arange(4), 10)
    assert LinearSVCHead("auto").fit(codes, labels).chosen == {"C": 0.003}
    assert KNNHead("auto").fit(codes, labels).chosen == {"k": 10}


def test_a_held_out_code_is_predicted_without_its_label():
    """Each code lies alone, at a random label: with its label it is right always, without it no more than by chance."""
    codes = np.eye(200, dtype=np.float32)
    labels = RNG.integers(0, 4, 200)
    folds = stratified_folds(labels)
    truth = labels[np.concatenate(folds)]
    for head in (KNNHead(1), Graph()):
        assert (held_out(head, codes, labels, folds) == truth).mean() < 0.5
        assert (held_out(head, np.tile(codes, (2, 1)), np.tile(labels, 2), folds) == truth).mean() > 0.9


def test_no_label_that_was_not_given_is_looked_at():
    """The codes whose labels are not given could be of any class: nothing that is chosen or predicted changes."""

    class Spy(Graph):
        seen = []

        def fit(self, codes, labels, nearest=None):
            self.seen.append(labels.copy())
            return super().fit(codes, labels, nearest)

    given = np.arange(len(Y)) < 100
    labels = np.where(given, Y, -1)
    AutoHead({"graph": Spy(), "knn": KNNHead()}).fit(X, labels, "neighbours")
    assert len(Spy.seen) in (5, 6)
    for seen in Spy.seen:
        assert (seen[~given] == -1).all()
        assert np.isin(seen[given], np.append(Y[given], -1)).all()
    assert [int((seen[given] == -1).sum()) for seen in Spy.seen[:5]] == [20] * 5


def moons():
    codes, classes = make_moons(1000, noise=0.06, random_state=0)
    given = np.concatenate([np.flatnonzero(classes == c)[:20] for c in (0, 1)])
    labels = np.full(1000, -1)
    labels[given] = classes[given]
    return codes.astype(np.float32), labels, classes


def crossed():
    """Two dense heaps, each cut by the border of the classes."""
    rng = np.random.default_rng(0)
    codes = rng.normal(0, 1, (1000, 2)) * [3, 0.3] + np.where(np.arange(1000) % 2, 1, -1)[:, None] * [0, 1.5]
    classes = (codes[:, 0] > 0).astype(np.int64)
    return codes.astype(np.float32), np.where(np.arange(1000) < 60, classes, -1), classes


@pytest.mark.parametrize(("data", "chosen"), [(moons, "graph"), (crossed, "linear_svc")])
@pytest.mark.parametrize("order", [("graph", "linear_svc"), ("linear_svc", "graph")])
def test_auto_chooses_the_head_that_the_data_are_made_for(data, chosen, order):
    codes, labels, classes = data()
    heads = {"graph": Graph(), "linear_svc": LinearSVCHead("auto")}
    head = AutoHead({name: heads[name] for name in order}, repeats=2).fit(codes, labels, "neighbours")
    assert head.chosen["head"] == chosen
    assert ("C" in head.chosen) == (chosen == "linear_svc")
    assert (head.transduction_ == classes).mean() > 0.97
    alone = (
        heads[chosen].fit(codes, labels)
        if chosen == "graph"
        else heads[chosen].fit(codes[labels >= 0], labels[labels >= 0])
    )
    np.testing.assert_array_equal(head.predict(codes), alone.predict(codes))


def test_near_ties_go_to_the_first():
    near = {"ten": LogisticHead(1.2), "one": LogisticHead(1.0)}
    for order in (("ten", "one"), ("one", "ten")):
        assert AutoHead({name: near[name] for name in order}).fit(X[:100], Y[:100]).chosen["head"] == order[0]


def test_auto_can_be_what_its_candidates_can():
    supervised = AutoHead({"knn": KNNHead(), "rbf": RBFSVCHead()})
    assert supervised.supervision == ("supervised",) and not hasattr(supervised, "neighbours")
    mixed = AutoHead({"rbf": RBFSVCHead(), "graph": Graph(), "spread": SpreadHead(Graph(), RBFSVCHead())})
    assert mixed.supervision == ("semi-supervised", "transductive") and mixed.neighbours == 7


def test_auto_gives_a_graphs_neighbours_to_those_that_work_on_it():
    graph = Graph()
    labels = np.where(np.arange(300) < 60, Y[:300], -1)
    AutoHead({"graph": graph, "knn": KNNHead()}).fit(X[:300], labels)
    assert graph.nearest.indices.shape == (300, 7)
    AutoHead({"graph": graph, "knn": KNNHead()}).fit(X[:300], labels, "made before")
    assert graph.nearest == "made before"


def test_one_label_a_class_leaves_none_to_choose_by():
    head = AutoHead({"rbf": RBFSVCHead(), "knn": KNNHead(1)}).fit(X[:10], Y[:10])
    assert head.chosen == {"head": "rbf"}
    assert head.warning == "classifier=rbf, the first candidate, for one label a class leaves none to choose by"
    svc = LinearSVCHead("auto").fit(X[:10], Y[:10])
    assert (
        svc.chosen == {"C": 0.1} and svc.warning == "classifier.C=0.1, for one label a class leaves none to choose by"
    )
