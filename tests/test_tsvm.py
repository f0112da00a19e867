"""The transductive support vector machine: against scikit-learn's, its objective, its shares, and when it warns."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.svm import LinearSVC

from classifiers.optimal_transport import transport
from classifiers.squared_hinge import curvature, descend
from classifiers.tsvm import TSVMHead, worse
from contracts_head import check_head

X, Y = load_digits(return_X_y=True)
X, Y = (X / 16).astype(np.float32), Y.astype(np.int64)
LINEAR = {"features": 0, "unlabelled": 0.0, "cross_validate": 0, "tol": 1e-9}
FIXED = {"features": 200, "unlabelled": 500.0, "cross_validate": 0, "C": 10.0}


def few(labels: np.ndarray, per_class: int) -> np.ndarray:
    """The labels with all but the first few of each class unlabelled."""
    kept = np.concatenate([np.flatnonzero(labels == c)[:per_class] for c in np.unique(labels)])
    partly = np.full_like(labels, -1)
    partly[kept] = labels[kept]
    return partly


def bars(seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Two long Gaussians side by side: standard deviations 3 and 0.1, 2 apart."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    codes = rng.normal(0, 1, (n, 2)) * [3, 0.1] + np.stack([np.zeros(n), 2 * labels - 1], 1)
    return codes.astype(np.float32), labels


def gap(seed: int, n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Two clusters on a line, one of which both classes share: the gap between them is no border of the classes."""
    rng = np.random.default_rng(seed)
    codes = rng.uniform(-0.5, 0.5, n)
    codes = np.where(rng.random(n) < 0.5, 0.3 * codes + 1, codes)
    return codes[:, None].astype(np.float32), (codes > 0).astype(np.int64)


GAP = {"C": 1.0, "features": 0, "prior": "none"}


@pytest.mark.parametrize("setting", [{"C": 0.3}, {"C": 10.0}, {"C_per_label": 1e-3}])
def test_without_unlabelled_codes_it_is_scikit_learns(setting):
    ours = TSVMHead(**LINEAR | setting).fit(X[:500], Y[:500])
    theirs = LinearSVC(C=setting.get("C", 0.5), dual=False, tol=1e-9, max_iter=10_000).fit(X[:500], Y[:500])
    np.testing.assert_allclose(ours.weights[:, :-1], theirs.coef_, atol=1e-4)
    np.testing.assert_allclose(ours.weights[:, -1], theirs.intercept_, atol=1e-4)


def test_a_weight_of_zero_makes_unlabelled_codes_count_for_nothing():
    alone = TSVMHead(**LINEAR).fit(X[:100], Y[:100])
    partly = Y.copy()
    partly[100:] = -1
    among = TSVMHead(**LINEAR).fit(X, partly)
    assert torch.equal(among.weights, alone.weights)


def test_random_features_make_a_gaussian_kernel():
    head = TSVMHead(features=2000, width=0.8, unlabelled=0.0, cross_validate=0).fit(X[:40], Y[:40])
    phi = head._features(X[:40])[:, :-1].numpy()
    squares = ((X[:40, None] - X[:40]) ** 2).sum(2)
    kernel = np.exp(-squares / (2 * 0.8**2 * X[:40].var(0).sum()))
    assert np.std(phi @ phi.T - kernel) < 1000**-0.5  # of a mean over 1000 directions
    np.testing.assert_allclose((phi * phi).sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize("setting", [{}, {"features": 0}, {"slack": 0.0}, {"prior": "none"}, {"unlabelled": 50_000.0}])
def test_the_objective_never_rises_at_a_temperature(setting):
    head = TSVMHead(**FIXED | {"rounds": 8, "stages": 4} | setting).fit(X, few(Y, 5))
    assert [len(stage) for stage in head.objectives] == [8] * 4
    for stage in head.objectives:
        assert np.all(np.diff(stage) <= 1e-6 * np.abs(stage[0])), stage
        assert stage[-1] < stage[0] * (1 - 1e-6)


def test_steps_of_the_weights_end_in_the_minimum():
    """Where the gradient vanishes, with soft labels too."""
    generator = torch.Generator().manual_seed(0)
    x, a = torch.randn(300, 20, generator=generator), torch.rand(4, 300, generator=generator)
    start = torch.zeros(4, 20, dtype=torch.float64)
    weights, f, value = descend(start, x, a, 1 - a, curvature(x, torch.ones(300)), 2000, 1e-9)
    free = weights.clone().requires_grad_()
    margins = free @ x.double().T
    losses = a * (1 - margins).clamp_min(0) ** 2 + (1 - a) * (1 + margins).clamp_min(0) ** 2
    objective = 0.5 * free.square().sum() + losses.sum()
    objective.backward()
    assert free.grad.abs().max() < 1e-3
    assert value == pytest.approx(objective.item(), rel=1e-6)
    np.testing.assert_allclose(f, margins.detach(), atol=1e-4)


@pytest.mark.parametrize("temperature", [2.0, 0.1])
@pytest.mark.parametrize("slack", [0.0, 0.3])
def test_the_classes_keep_their_shares_jointly(temperature, slack):
    """Of gains that all speak for the first class, each still gets its share, and each code has one class in all."""
    gains = torch.randn(3, 500, generator=torch.Generator().manual_seed(0)) + torch.tensor([[3.0], [0.0], [0.0]])
    shares = torch.tensor([0.5, 0.3, 0.2])
    soft, _ = transport(gains, temperature, shares, slack, torch.ones(3))
    np.testing.assert_allclose(soft.sum(0), 1, atol=1e-6)
    kept = soft.mean(1) / shares
    assert float((kept - 1).abs().max()) == pytest.approx(slack, abs=1e-3)  # used up, and no more
    assert gains.softmax(0).mean(1)[0] > 0.5 * (1 + slack)  # without the prior it would have more
    one_by_one = torch.stack([g > g.quantile(1 - share) for g, share in zip(gains, shares, strict=True)])
    assert (one_by_one.sum(0) != 1).any()  # machines that each keep their share alone disagree


def test_soft_labels_are_an_optimal_transport():
    """log P = gains / T + a term of the code + a term of the class, which with its sums makes it the optimum."""
    gains = torch.randn(3, 50, generator=torch.Generator().manual_seed(0)).double()
    soft, _ = transport(gains, 0.5, torch.tensor([0.2, 0.3, 0.5]), 0.0, torch.ones(3).double())
    rest = soft.log() - gains / 0.5
    rest = rest - rest.mean(0)
    np.testing.assert_allclose(rest, rest.mean(1, keepdim=True).expand(-1, 50), atol=1e-9)


def test_no_prior_leaves_every_code_its_own():
    gains = torch.tensor([[1.0, 2.0], [0.0, 0.0]])
    soft, _ = transport(gains, 1.0, None, 0.0, torch.ones(2))
    np.testing.assert_allclose(soft, gains.softmax(0))


def test_the_prior_may_come_from_the_labels():
    """One heap without a gap, of which each class gets its share."""
    rng = np.random.default_rng(0)
    codes = rng.normal(0, 1, (1000, 1)).astype(np.float32)
    labels = np.full(1000, -1)
    labels[np.argsort(codes[:, 0])[[0, 1, 2, -1]]] = [0, 0, 0, 1]
    setting = LINEAR | {"unlabelled": 4000.0, "slack": 0.0}
    share = {p: TSVMHead(**setting, prior=p).fit(codes, labels).predict(codes).mean() for p in ("labels", "uniform")}
    assert share == pytest.approx({"labels": 0.25, "uniform": 0.5}, abs=0.03)


def test_two_long_gaussians_are_told_apart():
    """By a label each, at opposite ends: the supervised machine cuts across."""
    codes, truth = bars(0)
    unseen, unseen_truth = bars(1)
    ends = [int(np.argmin(np.abs(codes[:, 0] - end) + 9 * (truth != c))) for c, end in enumerate((-3, 3))]
    labels = np.full_like(truth, -1)
    labels[ends] = truth[ends]
    assert LinearSVC(dual=False).fit(codes[ends], truth[ends]).score(unseen, unseen_truth) < 0.55
    head = TSVMHead(C=1.0, features=0, unlabelled=200.0, hottest=20.0, rounds=5, cross_validate=0).fit(codes, labels)
    assert (head.predict(unseen) == unseen_truth).mean() > 0.99


def test_unlabelled_digits_help():
    labels = few(Y[:1200], 3)
    plain = TSVMHead(**FIXED | {"unlabelled": 0.0}).fit(X[:1200], labels)
    head = TSVMHead(**FIXED).fit(X[:1200], labels)
    right, before = ((h.predict(X[1200:]) == Y[1200:]).mean() for h in (head, plain))
    assert right > before + 0.05


def test_it_warns_where_clusters_cross_the_classes():
    codes, truth = gap(0)
    head = TSVMHead(**GAP, unlabelled=4000.0).fit(codes, few(truth, 20))
    assert "classifier.unlabelled=4000: the unlabelled codes do harm" in head.warning
    assert head.chosen == {}
    assert TSVMHead(**GAP, unlabelled=4000.0, cross_validate=0).fit(codes, few(truth, 20)).warning is None


def test_auto_turns_the_unlabelled_codes_off_where_they_do_harm(monkeypatch):
    monkeypatch.setattr("classifiers.tsvm.WORTHS", (4000.0, 0.0))
    codes, truth = gap(0)
    labels = few(truth, 20)
    head = TSVMHead(**GAP).fit(codes, labels)
    assert head.chosen == {"unlabelled": 0.0}
    assert "unlabelled=4000" in head.warning
    alone = TSVMHead(**GAP, unlabelled=0.0, cross_validate=0).fit(codes, labels)
    assert torch.equal(head.weights, alone.weights)


def test_it_does_not_warn_of_benign_codes_and_forgets_a_warning():
    head = TSVMHead(**GAP, unlabelled=4000.0)
    codes, truth = gap(0)
    assert head.fit(codes, few(truth, 20)).warning
    assert head.fit(X, few(Y, 6)).warning is None


def test_a_machine_is_worse_by_more_than_a_standard_error():
    both, none = torch.ones(10, dtype=torch.bool), torch.zeros(10, dtype=torch.bool)
    assert worse(torch.cat([both, none[:2]]), torch.cat([both, both[:2]]))  # 2 lost, 0 won: 2 > 2 ** .5
    assert not worse(torch.cat([both, none[:1]]), torch.cat([both, both[:1]]))
    assert not worse(torch.cat([none[:3], both[:2]]), torch.cat([both[:3], none[:2]]))


@pytest.mark.parametrize("setting", [{"features": 0}, {"features": 100}, {"features": 100, "prior": "labels"}])
def test_it_keeps_the_contract_of_a_head(setting):
    check_head(TSVMHead(**setting))


def test_the_transduction_keeps_the_labels_that_were_given():
    labels = few(Y, 5)
    known = labels >= 0
    labels[np.flatnonzero(known)[0]] = 9  # wrong, and given
    head = TSVMHead(**FIXED | {"C": 0.01}).fit(X, labels)
    assert head.predict(X)[known][0] != 9  # it does not learn it by heart
    assert np.array_equal(head.transduction_[known], labels[known])
    assert np.array_equal(head.transduction_[~known], head.predict(X)[~known])


def test_restored_it_has_its_transduction_again():
    head = TSVMHead(**FIXED).fit(X, few(Y, 5))
    again = TSVMHead(**FIXED).restore(head.arrays(), X)
    assert np.array_equal(again.transduction_, head.transduction_)
    assert sum(array.nbytes for array in head.arrays().values()) < X.nbytes


def test_a_small_pool_is_a_sample_of_the_unlabelled_codes():
    small = TSVMHead(**FIXED | {"pool": 300}).fit(X, few(Y, 5))
    large = TSVMHead(**FIXED).fit(X, few(Y, 5))
    assert not torch.equal(small.weights, large.weights)
    assert (small.transduction_ == Y).mean() > 0.75


@pytest.mark.parametrize(
    "setting, message",
    [
        (
            {"C": 1.0, "C_per_label": 1.0},
            "classifier.C=1.0 classifier.C_per_label=1.0: give one, and null for the other",
        ),
        ({"C": 0}, "classifier.C=0: expects a positive number"),
        ({"features": 7}, "classifier.features=7: expects an even number"),
        ({"features": -2}, "classifier.features=-2: expects a whole number from 0"),
        ({"unlabelled": -1}, "classifier.unlabelled=-1: expects auto or a number from 0"),
        ({"unlabelled": "atuo"}, "classifier.unlabelled=atuo: expects auto or a number from 0"),
        ({"cross_validate": 0}, "classifier.unlabelled=auto: needs classifier.cross_validate of 3 or 5"),
        ({"cross_validate": 2}, "classifier.cross_validate=2: accepted are 0, 3, 5"),
        ({"prior": "true"}, "classifier.prior=true: accepted are uniform, labels, none"),
        ({"slack": 1}, "classifier.slack=1: expects a number from 0 to below 1"),
        ({"hottest": 0.1, "coldest": 1.0}, "classifier.hottest=0.1: expects at least classifier.coldest=1.0"),
    ],
)
def test_mistakes_are_told_in_a_line(setting, message):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        TSVMHead(**setting)


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="needs two, there is 1"):
        TSVMHead().check(10, 1)


def test_a_class_that_no_code_likes_is_given_its_share():
    gains = torch.cat([torch.full((1, 100), 50.0), torch.randn(1, 100, generator=torch.Generator().manual_seed(0))])
    soft, _ = transport(gains, 0.02, torch.tensor([0.5, 0.5]), 0.0, torch.ones(2))
    assert soft.mean(1).tolist() == pytest.approx([0.5, 0.5], abs=1e-3)
