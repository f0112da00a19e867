"""The LinearSVC head against scikit-learn's own."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.svm import LinearSVC

from classifiers.linear_svc import LinearSVCHead

X, Y = load_digits(return_X_y=True)
X = X / 16


def test_it_is_scikit_learns():
    ours = LinearSVCHead(C=0.3, dual=True).fit(X[:300], Y[:300])
    theirs = LinearSVC(random_state=0, tol=1e-5, C=0.3, dual=True).fit(X[:300], Y[:300])
    assert np.array_equal(ours.svc.coef_, theirs.coef_)
    assert np.array_equal(ours.predict(X[300:]), theirs.predict(X[300:]))


def test_c_per_label_grows_with_the_labels():
    ours = LinearSVCHead(C_per_label=1e-3).fit(X[:400], Y[:400])
    theirs = LinearSVC(random_state=0, tol=1e-5, C=0.4, dual=False).fit(X[:400], Y[:400])
    np.testing.assert_array_equal(ours.svc.coef_, theirs.coef_)


def test_standard_scaling_uses_the_labelled_codes():
    varied = X[:, X[:300].std(0) > 0]
    ours = LinearSVCHead(scaling="standard").fit(varied[:300], Y[:300])
    scaled = (varied - varied[:300].mean(0)) / varied[:300].std(0)
    theirs = LinearSVC(random_state=0, tol=1e-5, dual=False).fit(scaled[:300], Y[:300])
    np.testing.assert_array_equal(ours.predict(varied[300:]), theirs.predict(scaled[300:]))


def test_arrays_restore_the_same_predictions():
    head = LinearSVCHead(scaling="none").fit(X[:100], Y[:100])
    again = LinearSVCHead().restore(head.arrays())
    assert np.array_equal(again.predict(X), head.predict(X))
    assert set(head.arrays()) == {"coef", "intercept", "classes", "shift", "divisor"}


def test_it_says_whether_it_converged():
    assert LinearSVCHead(C=1.0).fit(X[:100], Y[:100]).converged
    assert not LinearSVCHead(C=1e6, dual=True, max_iter=1).fit(X[:100], Y[:100]).converged


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"C": 0}, "classifier.C=0: expects a positive number"),
        ({"C_per_label": -1.0}, "classifier.C_per_label=-1.0: expects a positive number"),
        ({"scaling": "minmax"}, "classifier.scaling=minmax: accepted are none, standard"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        LinearSVCHead(**settings)
