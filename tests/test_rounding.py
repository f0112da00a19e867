"""Figures as people read them: no digit before the point is lost, and a spread's decimals are its mean's."""

import json
import math
import re

import numpy as np
import pytest

from latent_lab.rounding import finite, rounded, with_spreads

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1245.83, "1246"), (123456.7, "123457"), (94.1234, "94.12"), (-94.7449, "-94.74"), (0.0123449, "0.01234"),
        (0.99996, "1.000"), (9999.6, "10000"), (1e-5, "1.000e-05"), (1.23456e-7, "1.235e-07"), (3e7, "3.000e+07"),
        (0.0, "0.0"), (-0.0, "0.0"), (5e-324, "4.941e-324"), (1.7e308, "1.700e+308"), (NAN, "-"), (INF, "inf"),
        (-INF, "-inf"), (1234567890, "1234567890"), (0, "0"), (True, "True"), (None, "-"), ("gpu", "gpu"),
        (9.9999e-5, "0.0001000"), (np.float64(1245.83), "1246"), (np.float32(0.25), "0.2500"),
    ],
)  # fmt: skip
def test_a_figure_alone_has_four_digits_and_all_before_its_point(value, text):
    assert rounded(value) == text


@pytest.mark.parametrize(
    ("mean", "spreads", "text"),
    [
        (1245.83, [3.21], "1245.8 ± 3.2"),
        (1245.83, [32.1], "1246 ± 32"),
        (3.0, [1234.0], "3 ± 1234"),
        (0.123456, [1.2e-5], "0.123456 ± 0.000012"),
        (5.0, [9.96], "5 ± 10"),
        (28.6, [2.04, 0.31], "28.60 ± 2.04 ± 0.31"),
        (76.0, [1.41, 0.0002], "76.000 ± 1.410 ± 0.000"),
        (1.2e-7, [3e-9], "(1.200 ± 0.030)e-07"),
        (1e8, [3e5], "(1.0000 ± 0.0030)e+08"),
        (-0.0004, [0.01], "0.000 ± 0.010"),
        (0.0, [0.03], "0.000 ± 0.030"),
        (12.5, [0.0], "12.50 ± 0.00"),
        (12.5, [1e-12], "12.50 ± 0.00"),
        (0.0, [0.0], "0.0 ± 0.0"),
        (12.5, [NAN], "12.50"),
        (12.5, [NAN, NAN], "12.50"),
        (12.5, [1.3, NAN], "12.5 ± 1.3 ± -"),
        (INF, [NAN, INF], "inf ± - ± inf"),
        (NAN, [1.0], "-"),
        (12.5, [], "12.50"),
        (9, [NAN], "9"),
        (1000, [0.0], "1000 ± 0"),
        (48, [1.41], "48.0 ± 1.4"),
        (0, [0.0], "0 ± 0"),
    ],
)
def test_a_spread_says_how_many_decimals(mean, spreads, text):
    assert with_spreads(mean, spreads) == text


def test_shares_are_in_per_cent_to_one_image_of_ten_thousand():
    assert with_spreads(0.98126, [0.0004, NAN], percent=True) == "98.13 ± 0.04 ± -"
    assert with_spreads(1.0, [NAN], percent=True) == "100.00" and with_spreads(NAN, [], percent=True) == "-"


def test_what_is_written_is_what_was_measured():
    """Of any size: within half of the last decimal, the same in both, and never a spread that is gone."""
    random = np.random.default_rng(0)
    for exponent, share, sign in zip(random.uniform(-30, 30, 3000), random.uniform(-4.5, 2, 3000),
                                     random.choice([-1, 1], 3000), strict=True):  # fmt: skip
        mean = sign * 10.0**exponent
        spread = abs(mean) * 10.0**share
        text = with_spreads(mean, [spread])
        inside, _, power = text.removeprefix("(").partition(")e")
        found = inside.split(" ± ")
        scale = 10.0 ** int(power or 0)
        decimals = {len(part.partition(".")[2]) for part in found}
        assert len(decimals) == 1, text
        half = 0.5000001 * 10.0 ** -decimals.pop() * scale
        assert abs(float(found[0]) * scale - mean) <= half + 1e-9 * abs(mean), (text, mean)
        assert abs(float(found[1]) * scale - spread) <= min(half, 0.051 * spread) + 1e-9 * spread, (text, spread)
        assert len(re.sub(r"\D", "", text)) < 25, text


def test_json_has_no_number_that_is_not_finite():
    content = {"a": [1.0, NAN, (INF, -INF)], "b": {"c": NAN, "d": True, "e": 3, "f": "nan"}, "g": None}
    found = finite(content)
    assert found == {"a": [1.0, None, [None, None]], "b": {"c": None, "d": True, "e": 3, "f": "nan"}, "g": None}
    json.dumps(found, allow_nan=False)
