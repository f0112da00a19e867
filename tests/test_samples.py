"""Scores of samples against closed forms and examples counted by hand. Those of images: ``test_scored_failures.py``."""

import math

import pytest
import torch

from metrics.neighbours import least_recall, neighbour_scores, squared_distances, squared_radii
from metrics.samples import (
    NAMES,
    SUBSET_SEED,
    Reference,
    class_distance,
    class_histogram,
    frechet_distance,
    inception_score,
    kernel_distance,
    rarest_class,
    score,
)


def normal(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def on_a_line(*positions: float) -> torch.Tensor:
    return torch.tensor(positions, dtype=torch.float64)[:, None]


def of_points(real: torch.Tensor, samples: torch.Tensor, k: int) -> dict[str, float]:
    return neighbour_scores(real, squared_radii(real, k), samples, k)


# Fréchet and kernel distance, inception-style score, histogram


def test_frechet_distance_of_equal_sets_is_nothing():
    x = normal(300, 10, 0)
    assert frechet_distance(x, x.flip(0)) == pytest.approx(0, abs=1e-6)


def test_frechet_distance_of_a_shift_is_its_squared_length():
    x, shift = normal(300, 4, 0), torch.tensor([3.0, 0.0, -4.0, 0.5])
    assert frechet_distance(x, x + shift) == pytest.approx(25.25, rel=1e-5)


def test_frechet_distance_of_a_scale_is_the_bures_term():
    """tr(S + s^2 S - 2 s S) = (s - 1)^2 tr S, about the mean of a centred set."""
    x = normal(300, 4, 0)
    x = x - x.mean(0)
    assert frechet_distance(x, 3 * x) == pytest.approx(4 * x.var(0).sum().item(), rel=1e-5)


def test_frechet_distance_of_a_point_to_a_set_is_its_spread():
    """Copies of one image have no covariance: |m - m'|^2 + tr S, a collapsed generator's distance."""
    x = normal(300, 4, 0)
    point = torch.full((300, 4), 2.0)
    assert frechet_distance(x, point) == pytest.approx(
        ((x.mean(0) - 2).square().sum() + x.var(0).sum()).item(), rel=1e-4
    )


@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_kernel_distance_is_the_mean_of_unbiased_estimates(offset):
    """With features about 30 the kernel is 1e9: float32 would leave no digit of the difference of its means."""
    x, y = normal(40, 6, 0) + offset, 1.5 * normal(40, 6, 1) + offset

    def kernel(a, b):
        return (a.double() @ b.double().T / 6 + 1) ** 3

    def estimate(x, y):
        off_diagonal = 1 - torch.eye(20)
        within = sum((kernel(a, a) * off_diagonal).sum() / (20 * 19) for a in (x, y))
        return (within - 2 * kernel(x, y).mean()).item()

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SUBSET_SEED)
        halves = [(x[torch.randperm(40)[:20]], y[torch.randperm(40)[:20]]) for _ in range(10)]
    estimates = torch.tensor([estimate(*half) for half in halves], dtype=torch.float64)
    mean, deviation = kernel_distance(x, y)
    assert mean == pytest.approx(estimates.mean().item(), rel=1e-7)
    assert deviation == pytest.approx(estimates.std(correction=0).item(), rel=1e-7) and deviation > 0


def test_inception_score_runs_from_one_to_the_number_of_classes():
    assert inception_score(torch.eye(10).repeat(20, 1)) == pytest.approx(10, rel=1e-6)
    assert inception_score(torch.eye(10)[3].repeat(200, 1)) == pytest.approx(1, rel=1e-6)
    assert inception_score(torch.full((200, 10), 0.1)) == pytest.approx(1, rel=1e-6)


def test_inception_score_takes_probabilities_not_logits_bug():
    """exp of the mean KL of (.9, .1) and (.1, .9) from (.5, .5)."""
    p = torch.tensor([[0.9, 0.1], [0.1, 0.9]]).repeat(50, 1)
    assert inception_score(p) == pytest.approx(
        math.exp(math.log(2) + 0.9 * math.log(0.9) + 0.1 * math.log(0.1)), rel=1e-6
    )


def test_class_distance_is_the_share_to_be_moved():
    p = class_histogram(torch.eye(4)[[0, 0, 1, 2]])
    assert p.tolist() == [0.5, 0.25, 0.25, 0]
    assert class_distance(p, torch.tensor([0.25, 0.25, 0.25, 0.25])) == 0.25
    assert class_distance(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])) == 1


def test_the_rarest_class_is_relative_to_its_share():
    real, samples = torch.tensor([0.5, 0.3, 0.2, 0.0]), torch.tensor([0.4, 0.3, 0.1, 0.2])
    assert rarest_class(real, samples) == 0.5
    assert rarest_class(real, torch.tensor([0.0, 0.5, 0.5, 0.0])) == 0


# Neighbours


def test_radii_on_a_line():
    points = on_a_line(0, 1, 3, 7)
    assert squared_radii(points, 1).tolist() == [1, 1, 4, 16]
    assert squared_radii(points, 2).tolist() == [9, 4, 9, 36]


def test_neighbour_scores_on_a_line():
    """k = 1: the real balls are [-1, 1], [0, 2], [1, 5], [3, 11], the samples' [.5, 2.5], [1.5, 3.5], two afar."""
    scores = of_points(on_a_line(0, 1, 3, 7), on_a_line(1.5, 2.5, 20, 20.5), 1)
    assert scores == {
        "knn_precision": 2 / 4,  # 1.5 and 2.5
        "knn_recall": 2 / 4,  # 1 and 3
        "realism": 1 / 4,  # 1.5; the median ball reaches as far as 1, and 2.5 lies in a larger one only
        "density": 3 / 4,  # 1.5 lies in two balls, 2.5 in one
        "coverage": 2 / 4,  # [0, 2] and [1, 5]
    }


def test_balls_are_closed():
    assert of_points(on_a_line(0, 1, 3, 7), on_a_line(11, 30), 1)["knn_precision"] == 0.5


def test_density_counts_up_to_k_balls():
    """k = 2: every real point has the others, 0 to 2, in its ball; samples at 1 lie in all three."""
    scores = of_points(on_a_line(0, 1, 2), on_a_line(1, 1, 1), 2)
    assert scores["density"] == 1.5
    assert (scores["knn_recall"], scores["coverage"]) == (1 / 3, 1)


def test_the_least_recall_is_of_classes_taken_alone():
    """k = 1. Class 0: samples at 0 and 2 have balls of radius 2, which hold -2 to 4. Class 1: two at one place hold one
    of its two real points, though balls of class 0 hold the other."""
    real, samples = on_a_line(-1, 3, 10, 1), on_a_line(0, 2, 10, 10)
    classes = torch.tensor([0, 0, 1, 1])
    assert least_recall(real, classes, samples, classes, 1) == 0.5
    assert of_points(real, samples, 1)["knn_recall"] == 1
    assert least_recall(on_a_line(-1, 5, 10, 10), classes, samples, classes, 1) == 0.5  # of class 0, 5 is outside


def test_a_class_of_too_few_samples_has_no_recall():
    real, classes = on_a_line(0, 1, 10, 11), torch.tensor([0, 0, 1, 1])
    assert least_recall(real, classes, on_a_line(0, 1, 0.5, 10), torch.tensor([0, 0, 0, 1]), 1) == 0
    assert least_recall(real, classes, on_a_line(0, 1, 0.5, 10), torch.tensor([0, 0, 0, 2]), 1) == 0


def test_radii_of_near_identical_points_far_from_the_origin_bug():
    """Steps of 1e-3 at |x| = 3000: squared distances of 1e-6 where float32 rounds at 1."""
    points = torch.full((6, 9), 1000.0, dtype=torch.float64)
    points[:, 0] += torch.arange(6) * 1e-3
    torch.testing.assert_close(squared_radii(points, 1).sqrt(), torch.full((6,), 1e-3).double(), rtol=1e-2, atol=0)


def test_chunks_of_rows_cover_the_matrix():
    a, b = normal(1203, 5, 0).double(), normal(77, 5, 1).double()
    chunks = list(squared_distances(a, b))
    assert [(rows.start, rows.stop) for rows, _ in chunks] == [(0, 500), (500, 1000), (1000, 1203)]
    torch.testing.assert_close(torch.cat([d for _, d in chunks]), torch.cdist(a, b).square())


def test_of_like_sets_density_is_one_and_coverage_its_closed_form():
    """A ball holds a Gamma(k) share of 1/N of the mass: E coverage = 1 - 2^-k (Naeem et al. 2020, eq. 11)."""
    for k in (1, 3):
        scores = of_points(normal(2000, 2, 0), normal(2000, 2, 1), k)
        assert scores["coverage"] == pytest.approx(1 - 2**-k, abs=0.02)
        assert scores["density"] == pytest.approx(1, abs=0.05)


@pytest.mark.slow
def test_published_test_vector():
    """Two independent N(0, I_1000) samples of 10,000, k = 5. The tolerances hold what four such draws spread over."""
    scores = of_points(normal(10_000, 1000, 0), normal(10_000, 1000, 1), 5)
    assert scores["knn_precision"] == pytest.approx(0.477, abs=0.03)
    assert scores["knn_recall"] == pytest.approx(0.471, abs=0.03)
    assert scores["density"] == pytest.approx(1.056, abs=0.15)
    assert scores["coverage"] == pytest.approx(0.974, abs=0.02)


# All of them


def random_scores(n: int = 60, seed: int = 1, features: torch.Tensor | None = None) -> dict[str, float]:
    reference = Reference.of(normal(60, 8, 0), normal(60, 3, 0).softmax(1))
    features = normal(n, 8, seed) if features is None else features
    return score(reference, features, normal(n, 3, seed).softmax(1))


def test_scoring_repeats_exactly_and_leaves_the_random_state_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = random_scores()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert random_scores() == first
    assert tuple(first) == NAMES
    assert all(type(value) is float for value in first.values())


def test_scoring_is_silent(recwarn):
    random_scores()
    assert [str(w.message) for w in recwarn] == []


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_non_finite_features_score_nan(value):
    features = normal(60, 8, 1)
    features[17, 3] = value
    scores = random_scores(features=features)
    assert tuple(scores) == NAMES
    assert all(math.isnan(v) for v in scores.values())


def test_huge_features_still_score_finitely():
    scores = random_scores(features=normal(60, 8, 1) * 1e30)
    assert all(
        math.isfinite(v) for name, v in scores.items() if name != "kid_std"
    )  # whose square may be beyond float64
    assert scores["fcd"] > 1e50


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="k=5: expects a number of neighbours from 1 to below the 5 images given"):
        random_scores(n=5)
    with pytest.raises(ValueError, match="7 features a sample, where real images have 8"):
        random_scores(features=normal(60, 7, 1))
    with pytest.raises(ValueError, match=r"shapes \[59, 8\] and \[60, 3\]: expects \[N, D\] and \[N, C\]"):
        random_scores(features=normal(59, 8, 1))
    with pytest.raises(ValueError, match="the features of the real images are not finite"):
        Reference.of(normal(60, 8, 0) / 0, normal(60, 3, 0).softmax(1))
