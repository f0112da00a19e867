"""The heads that are thin on scikit-learn, against it; and a supervised head on the classes that another spreads."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from sklearn.svm import SVC, LinearSVC

from classifiers.auto import AutoHead
from classifiers.choosing import held_out, stratified_folds
from classifiers.knn import KNNHead
from classifiers.linear_svc import LinearSVCHead
from classifiers.logistic import LogisticHead
from classifiers.neighbours import nearest_codes, whitened
from classifiers.rbf_svc import RBFSVCHead
from classifiers.self_training import SelfTrainingHead
from classifiers.smoothed_svc import SmoothedSVCHead
from classifiers.spread import SpreadHead
from contracts_head import check_head

X, Y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
TRAIN, TEST = slice(0, 600), slice(600, None)


class Graph:
    """scikit-learn's label spreading on a graph, as a head: what the heads below are given to spread with."""

    supervision = ("semi-supervised", "transductive")
    neighbours = 7

    def fit(self, codes, labels, nearest=None):
        self.nearest = nearest
        self.spreading = LabelSpreading(kernel="knn", n_neighbors=self.neighbours, alpha=0.9, max_iter=300).fit(
            codes, labels
        )
        self.transduction_ = np.where(labels == -1, self.spreading.transduction_, labels)
        return self

    def predict(self, codes, nearest=None):
        return self.spreading.predict(codes)

    def arrays(self):
        return {"transduction": self.transduction_}

    def restore(self, arrays, codes):
        return self.fit(codes, arrays["transduction"])


HEADS = {
    "smoothed_svc": SmoothedSVCHead(),
    "smoothed_svc auto": SmoothedSVCHead(own="auto"),
    "rbf_svc": RBFSVCHead(),
    "rbf_svc auto": RBFSVCHead("auto", "auto"),
    "logistic": LogisticHead(),
    "logistic auto": LogisticHead("auto"),
    "knn": KNNHead(),
    "knn auto": KNNHead("auto", "uniform"),
    "self_training": SelfTrainingHead(),
    "self_training auto": SelfTrainingHead("auto"),
    "linear_svc auto": LinearSVCHead("auto"),
    "spread linear_svc": SpreadHead(Graph(), LinearSVCHead()),
    "spread rbf_svc": SpreadHead(SelfTrainingHead(), RBFSVCHead()),
    "auto": AutoHead({"self_training": SelfTrainingHead(), "rbf_svc": RBFSVCHead()}),
    "auto, the second": AutoHead({"one": KNNHead(50), "rbf_svc": RBFSVCHead()}),
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_the_contract_is_kept(head):
    check_head(head)


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("gamma", [1.0, 0.3])
def test_rbf_svc_is_scikit_learns(classes, gamma):
    few = Y[TRAIN] < classes
    codes, labels = X[TRAIN][few], Y[TRAIN][few]
    ours = RBFSVCHead(C=2.0, gamma=gamma).fit(codes, labels)
    theirs = SVC(C=2.0, gamma=gamma / codes.var(0, dtype=np.float64).sum()).fit(codes, labels)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


def test_rbf_svc_means_the_same_wherever_the_codes_lie():
    far = X + 10 * np.arange(64, dtype=np.float32)
    centred = far - far[TRAIN].mean(0)
    here, there = (RBFSVCHead().fit(codes[TRAIN], Y[TRAIN]).predict(codes) for codes in (centred, far))
    assert (here == there).mean() > 0.999
    theirs = SVC(C=3, gamma="scale").fit(centred[TRAIN], Y[TRAIN])
    assert (here == theirs.predict(centred)).mean() > 0.999


def test_rbf_svc_stores_indices_of_codes_and_not_the_codes():
    head = RBFSVCHead().fit(X[TRAIN], Y[TRAIN])
    support = head.arrays()["support"]
    np.testing.assert_array_equal(support, SVC(C=3, gamma=1 / X[TRAIN].var(0).sum()).fit(X[TRAIN], Y[TRAIN]).support_)
    assert set(head.arrays()) == {"support", "of_each_class", "dual_coef", "intercept", "classes", "gamma"}


def test_logistic_is_scikit_learns():
    theirs = LogisticRegression(C=0.3, max_iter=1000).fit(X[TRAIN], Y[TRAIN])
    np.testing.assert_array_equal(LogisticHead(0.3).fit(X[TRAIN], Y[TRAIN]).arrays()["coef"], theirs.coef_)
    assert not LogisticHead(max_iter=1).fit(X[TRAIN], Y[TRAIN]).converged
    assert LogisticHead().fit(X[TRAIN], Y[TRAIN]).converged


@pytest.mark.parametrize(("k", "weights"), [(1, "uniform"), (4, "uniform"), (4, "distance")])
def test_knn_is_scikit_learns(k, weights):
    theirs = KNeighborsClassifier(k, weights=weights, algorithm="brute").fit(X[TRAIN], Y[TRAIN])
    ours = KNNHead(k, weights).fit(X[TRAIN], Y[TRAIN])
    np.testing.assert_array_equal(ours.predict(X[TEST]), theirs.predict(X[TEST]))


def test_self_training_is_scikit_learns_and_gives_every_code_a_class():
    labels = np.where(np.arange(len(Y)) < 50, Y, -1)
    theirs = SelfTrainingClassifier(LogisticRegression(max_iter=1000), threshold=0.6).fit(X, labels)
    ours = SelfTrainingHead(threshold=0.6).fit(X, labels)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    sure = theirs.transduction_ != -1
    assert 0.2 < sure.mean() < 1
    np.testing.assert_array_equal(ours.transduction_[sure], theirs.transduction_[sure])
    np.testing.assert_array_equal(ours.transduction_[~sure], theirs.predict(X[~sure]))


def test_self_training_chooses_by_the_labelled_codes_alone():
    labels = np.where(np.arange(len(Y)) < 100, Y, -1)
    chosen = SelfTrainingHead("auto").fit(X, labels).chosen
    assert chosen == LogisticHead("auto").fit(X[:100], Y[:100]).chosen != {}


def dense_means(nearest, n):
    """P of the smoothed SVM: the weights of the nearest codes, by the definition."""
    weights = np.exp(-4 * (nearest.distances.astype(np.float64) / nearest.distances[:, -1:]) ** 2)
    means = np.zeros((len(weights), n))
    np.put_along_axis(means, nearest.indices.astype(np.int64), weights / weights.sum(1, keepdims=True), axis=1)
    return means


@pytest.mark.parametrize("steps", [1, 3])
def test_smoothed_svc_is_a_machine_on_codes_beside_their_smoothed_selves(steps):
    codes, new = X[:400], X[400:700]
    labels = np.where(np.arange(400) < 60, Y[:400], -1)
    head = SmoothedSVCHead(neighbours=6, steps=steps, own=0.5).fit(codes, labels)
    near, near_new = nearest_codes(codes, 6), nearest_codes(codes, 6, new)
    means = dense_means(near, 400)
    own, new_own = whitened(codes)(codes), whitened(codes)(new)
    smoothed = np.linalg.matrix_power(means, steps) @ own
    new_smoothed = dense_means(near_new, 400) @ np.linalg.matrix_power(means, steps - 1) @ own
    pairs, new_pairs = np.hstack([own / 2, smoothed]), np.hstack([new_own / 2, new_smoothed])
    theirs = SVC(C=3, gamma=0.5 / pairs[:60].var(0).sum()).fit(pairs[:60], Y[:60])
    intercept = head.machine.svc.learned["intercept"]
    np.testing.assert_allclose(intercept, theirs.intercept_, atol=2e-3)  # libsvm's tol is 1e-3, and codes are float32
    np.testing.assert_array_equal(head.predict(new), theirs.predict(new_pairs))
    np.testing.assert_array_equal(head.transduction_[60:], theirs.predict(pairs[60:]))
    more = nearest_codes(codes, 9), nearest_codes(codes, 9, new)  # of which the first six are taken
    np.testing.assert_array_equal(head.fit(codes, labels, more[0]).predict(new, more[1]), theirs.predict(new_pairs))


@pytest.mark.parametrize("own", [0.6, "auto"])
def test_smoothed_svc_cross_validates_as_fits_of_each_fold_would(own):
    labels = np.where(np.arange(400) < 60, Y[:400], -1)
    folds, near = stratified_folds(labels), nearest_codes(X[:400], 10)
    one_by_one = []
    for held in folds:
        masked = labels.copy()
        masked[held] = -1
        one_by_one.append(SmoothedSVCHead(own=own).fit(X[:400], masked, near).transduction_[held])
    quick = held_out(SmoothedSVCHead(own=own), X[:400], labels, folds, near)
    np.testing.assert_array_equal(quick, np.concatenate(one_by_one))


def test_spread_trains_on_all_codes_as_they_were_spread():
    labels = np.where(np.arange(len(Y)) < 30, Y, -1)
    head = SpreadHead(Graph(), LinearSVCHead(C=0.1)).fit(X, labels, "neighbours of all")
    spread = Graph().fit(X, labels).transduction_
    theirs = LinearSVC(C=0.1, dual=False, tol=1e-5, random_state=0).fit(X, spread)
    np.testing.assert_array_equal(head.predict(X), theirs.predict(X))
    expected = np.where(labels == -1, theirs.predict(X), labels)
    np.testing.assert_array_equal(head.transduction_, expected)
    assert (expected != spread).any(), "what the machine makes of the codes, and not what they were spread from"
    assert head.spreader.nearest == "neighbours of all"
    restored = SpreadHead(Graph(), LinearSVCHead()).restore(head.arrays(), X)
    np.testing.assert_array_equal(restored.transduction_, expected)
    labels[:30] = np.roll(labels[:30], 1)
    again = head.fit(X, labels).transduction_
    assert np.array_equal(again[:30], labels[:30]) and (again != expected).any(), "a refit forgets the first"
    assert sum(array.nbytes for array in head.arrays().values()) < X.nbytes / 10


def test_spread_is_what_its_spreader_is():
    head = SpreadHead(Graph(), RBFSVCHead("auto"))
    assert head.supervision == Graph.supervision
    assert head.neighbours == 7
    assert not hasattr(SpreadHead(SelfTrainingHead(), RBFSVCHead()), "neighbours")
    head.fit(X[:90], np.where(np.arange(90) < 40, Y[:90], -1))
    assert list(head.chosen) == ["classifier.C"] and head.converged and head.warning is None


def test_settings_that_nothing_was_chosen_for_say_so():
    head = SpreadHead(Graph(), KNNHead("auto"))
    head.fit(X[:10], Y[:10])  # one of each
    assert head.warning == "classifier.k=3, for one label a class leaves none to choose by"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RBFSVCHead(C=0), "classifier.C=0: expects a positive number, or auto"),
        (lambda: RBFSVCHead(gamma="scale"), "classifier.gamma=scale: expects a positive number, or auto"),
        (lambda: LogisticHead(C=True), "classifier.C=True: expects a positive number, or auto"),
        (lambda: LogisticHead(max_iter=0), "classifier.max_iter=0: expects a positive whole number"),
        (lambda: KNNHead(k=0), "classifier.k=0: expects a positive whole number"),
        (lambda: KNNHead(weights="square"), "classifier.weights=square: accepted are uniform, distance"),
        (lambda: KNNHead(k=11).check(10, 10), "classifier.k=11: there are only 10 labelled images"),
        (lambda: SmoothedSVCHead(steps=0), "classifier.steps=0: expects a positive whole number"),
        (lambda: SmoothedSVCHead(own=0), "classifier.own=0: expects a positive number, or auto"),
        (lambda: SmoothedSVCHead().check(10, 1), "two classes or more"),
        (lambda: SelfTrainingHead(threshold=1), "classifier.threshold=1: expects a number from 0 to below 1"),
        (lambda: SelfTrainingHead(rounds=0), "classifier.rounds=0: expects a positive whole number"),
        (lambda: RBFSVCHead().check(10, 1), "two classes or more"),
        (lambda: SpreadHead(Graph(), LinearSVCHead()).check(10, 1), "two classes or more"),
        (
            lambda: SpreadHead(Graph(), SelfTrainingHead()),
            "^spread=: SelfTrainingHead learns from codes without a label",
        ),
        (lambda: SpreadHead(KNNHead(), KNNHead()), "^spread=: KNNHead learns from labelled codes alone"),
        (lambda: AutoHead({}), "classifier.candidates: there is none"),
        (lambda: AutoHead({"knn": KNNHead()}, folds=1), "classifier.folds=1: expects 2 or more"),
        (lambda: AutoHead({"knn": KNNHead()}, repeats=0), "classifier.repeats=0: expects a positive whole number"),
        (lambda: LogisticHead().fit(X, np.where(Y == 3, -1, Y)), "classifier: 183 codes are unlabelled"),
        (lambda: AutoHead({"knn": KNNHead()}).fit(X, np.where(Y == 3, -1, Y)), "classifier: 183 codes are unlabelled"),
    ],
)
def test_what_can_not_be_is_said_in_one_line(make, message):
    with pytest.raises(ValueError, match=message) as told:
        make()
    assert "\n" not in str(told.value)
