"""The nearest codes against brute force and scikit-learn's, where rounding and duplicates would make a difference."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from classifiers import neighbours
from classifiers.neighbours import nearest_codes, whitened


def codes_of(n: int, dims: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(0, 1, (n, dims)) * np.linspace(2, 0.2, dims)).astype(np.float32)


def by_brute_force(codes, k, queries=None):
    """Of all distances in float64, rounded to float32; ties by index."""
    asked = codes if queries is None else queries
    distances = np.sqrt(((asked[:, None].astype(np.float64) - codes[None]) ** 2).sum(2)).astype(np.float32)
    if queries is None:
        np.fill_diagonal(distances, np.inf)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(distances, order, 1)


def same(found, expected):
    np.testing.assert_array_equal(found.indices, expected[0])
    np.testing.assert_allclose(found.distances, expected[1], rtol=1e-6)


@pytest.fixture(params=[64 * 2**20, 200_000], ids=["one block", "blocks"])
def block_bytes(request, monkeypatch):
    """Blocks of all rows, and of 25 of 2,000 columns."""
    monkeypatch.setattr(neighbours, "BLOCK_BYTES", request.param)


def test_they_are_scikit_learns(block_bytes):
    codes, queries = codes_of(2000, 32), codes_of(130, 32, seed=1)
    theirs = NearestNeighbors(n_neighbors=12, algorithm="kd_tree").fit(codes.astype(np.float64))
    distances, indices = theirs.kneighbors()
    same(nearest_codes(codes, 12, whitening=0), (indices, distances))
    distances, indices = theirs.kneighbors(queries.astype(np.float64))
    found = nearest_codes(codes, 12, queries, whitening=0)
    same(found, (indices, distances))
    assert found.indices.dtype == np.int32 and found.distances.dtype == np.float32


@pytest.mark.parametrize("copies", [2, 20])  # fewer and more duplicates than there are candidates
def test_duplicates_are_neighbours_and_no_code_is_its_own(block_bytes, copies):
    codes = np.repeat(codes_of(2000 // copies, 8), copies, axis=0)
    found = nearest_codes(codes, 5, whitening=0)
    same(found, by_brute_force(codes, 5))
    assert (found.distances[:, : copies - 1] == 0).all() and (found.indices != np.arange(2000)[:, None]).all()
    assert found.indices[41, : copies - 1].tolist() == [40, 42, 43, 44, 45][: copies - 1]  # of equally near the first


def test_near_duplicates_far_from_the_mean_are_told_apart():
    """By differences of 1e-4 at norms of 1000, whose squares are 1e6: float32 has none of that left."""
    far = 700 * np.sign(codes_of(2, 2)).astype(np.float32)[np.arange(1200) % 2]
    codes = far + np.float32(1e-4) * np.random.default_rng(0).integers(0, 2000, (1200, 2)).astype(np.float32)
    same(nearest_codes(codes, 7, whitening=0), by_brute_force(codes, 7))


def test_a_code_has_the_same_neighbours_whatever_is_asked_with_it():
    codes, queries = codes_of(3000, 16), codes_of(300, 16, seed=1)
    together, alone = nearest_codes(codes, 6, queries), nearest_codes(codes, 6, queries[17:18])
    assert together.indices[17].tolist() == alone.indices[0].tolist()
    assert together.distances[17].tolist() == alone.distances[0].tolist()


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_whitening_divides_components_by_their_deviation(power):
    codes, mixing = codes_of(4000, 6), np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))[0].astype(np.float32)
    before = np.linalg.eigvalsh(np.cov(codes.T))
    whole = whitened(codes @ mixing + 100, power)(codes @ mixing + 100)
    after = np.linalg.eigvalsh(np.cov(whole.T))
    np.testing.assert_allclose(whole.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(np.sort(after), np.sort(before ** (1 - power)), rtol=1e-3)
    same(nearest_codes(codes, 4, whitening=power), by_brute_force(whitened(codes, power)(codes), 4))


def test_whitening_leaves_noise_small():
    codes = codes_of(1000, 5)
    codes[:, 4] *= 1e-7
    whole = whitened(codes, 1.0)(codes)
    assert np.sort(whole.std(0))[0] < 1e-3 < np.sort(whole.std(0))[1]
    assert np.isfinite(whitened(np.ones((10, 3), np.float32), 0.5)(np.ones((10, 3), np.float32))).all()


@pytest.mark.parametrize(
    ("k", "queries", "message"),
    [
        (20, None, r"classifier.neighbours=20: expects 1 to 19, the number of codes to choose from"),
        (21, 3, r"classifier.neighbours=21: expects 1 to 20"),
        (0, None, r"classifier.neighbours=0: expects 1 to 19"),
    ],
)
def test_too_few_codes_are_refused(k, queries, message):
    with pytest.raises(ValueError, match=message):
        nearest_codes(codes_of(20, 3), k, queries and codes_of(queries, 3))


def test_codes_that_are_no_numbers_are_refused():
    codes = codes_of(20, 3)
    codes[7, 1] = np.nan
    for given in ((codes, 2), (codes_of(20, 3), 2, codes)):
        with pytest.raises(ValueError, match="some codes are not finite numbers"):
            nearest_codes(*given)
