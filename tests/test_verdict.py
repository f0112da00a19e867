"""Where labels begin and end, what is said to be wrong, and the sentence on every course that a training may take. On
images: ``test_scored_failures.py``."""

import math

import pytest

from metrics.failures import STRENGTHS
from metrics.limits import ASPECTS, Limits, figure, limits_table
from metrics.verdict import COLUMNS, failures_table, label, reasons, table, verdict

FLOOR = {
    "fcd": 0.3, "kid": 0.001, "kid_std": 0.02, "class_distance": 0.02, "rarest_class": 0.9, "knn_precision": 0.95,
    "knn_recall": 0.95, "least_recall": 0.9, "realism": 0.6, "coverage": 0.96, "sharpness": 1.0, "rough": 0.0,
    "spread": 1.1, "artefacts": 0.01, "duplicates": 0.01, "copies": 1.0,
}  # fmt: skip
SHARES = {"held_out": [0.1] * 10, "training": [0.1] * 10}
# What failures score at the strengths that limits are taken from
SPOILED = {
    ("noise_images", 0.1): {"fcd": 6.0, "artefacts": 0.11},
    ("averages", 0.6): {"realism": 0.33},
    ("blur", 0.5): {"sharpness": 0.7},
    ("typical", 0.5): {"knn_recall": 0.7, "least_recall": 0.4, "coverage": 0.88},
    ("half_classes", 1.0): {"class_distance": 0.5, "fcd": 50.0},
    ("dropped_class", 1.0): {"class_distance": 0.1, "fcd": 6.0},
}


def measured(floor: dict | None = None, shares: dict = SHARES, **changed: dict[float, dict]) -> dict:
    """What ``EpochScores`` keeps, with other scores of failures where these are given."""
    floor = FLOOR | (floor or {})
    failures = {
        name: {at: floor | SPOILED.get((name, at), {}) | changed.get(name, {}).get(at, {}) for at in strengths}
        for name, strengths in STRENGTHS.items()
    }
    return {"floor": floor, "failures": failures, "shares": shares}


LIMITS = Limits.of(measured())
WEIGHTS = [0.55 ** (i / 9) for i in range(10)]
SKEWED = sum(abs(w / sum(WEIGHTS) - 0.1) for w in WEIGHTS) / 2  # .0823
REAL = FLOOR | {"copies": 0.01}
EPOCH = {
    "g": REAL | {"fcd": 4.1},
    "f": REAL | {"fcd": 3.8, "artefacts": 0.2, "rarest_class": 0.5},
    "l": REAL | {"fcd": 9.0, "realism": 0.2},
    "n": REAL | {"fcd": 80.0, "realism": 0.01, "rough": 1.0},
    "c": REAL | {"fcd": 70.0, "class_distance": 0.6},
    "w": REAL | {"fcd": 30.0, "duplicates": 1.0, "knn_recall": 0.1},
    "m": REAL | {"fcd": 2.0, "copies": 0.9},
    "d": dict.fromkeys(REAL, math.nan),
}


# Limits


def test_limits_are_what_spoiled_images_score():
    expected = {"far from the data by FCD": 6.0, "artefacts": 0.11, "unrealistic": 0.33, "blurred": 0.7,
                "little variety within classes": 0.7, "a class without variety": 0.4, "duplicates": 0.0595,
                "unbalanced classes": SKEWED, "a rare class": 0.06 / 0.96 / 0.1,
                "copies of training images": 0.0595}  # fmt: skip
    assert LIMITS.good == pytest.approx(expected)
    assert (LIMITS.half_classes, LIMITS.coverage) == (0.45, 0.88)
    assert LIMITS.memorised == pytest.approx(0.505)
    assert LIMITS.floor == REAL


def test_a_limit_is_not_stricter_than_the_floor_and_an_fcd_than_twice_that():
    few = {"fcd": 4.0, "artefacts": 0.2, "realism": 0.3, "sharpness": 0.65, "knn_recall": 0.6, "least_recall": 0.3,
           "duplicates": 0.15, "class_distance": 0.2, "rarest_class": 0.4}  # fmt: skip
    limits = Limits.of(measured(few, dropped_class={1.0: {"class_distance": 0.25}}))
    real = {a.words: few.get(a.score) for a in ASPECTS} | {"far from the data by FCD": 8.0, "duplicates": 0.1925}
    assert limits.good == pytest.approx(real | {"copies of training images": 0.0595})
    assert reasons(FLOOR | few | {"copies": 0.01}, limits) == []


def test_limits_of_classes_are_medians_over_the_class_that_lacks():
    shares = {"held_out": [0.5, 0.3, 0.2], "training": [0.5, 0.3, 0.2]}
    lacking = [0.3 / 0.8 / 0.5, 0.18 / 0.88 / 0.3, 0.12 / 0.92 / 0.2]
    assert Limits.of(measured(shares=shares)).good["a rare class"] == pytest.approx(sorted(lacking)[1])
    skewed = [
        [0.5, 0.3 * 0.55**0.5, 0.2 * 0.55],
        [0.5 * 0.55, 0.3, 0.2 * 0.55**0.5],
        [0.5 * 0.55**0.5, 0.3 * 0.55, 0.2],
    ]
    moved = sorted(sum(abs(a / sum(s) - b) for a, b in zip(s, shares["held_out"], strict=True)) / 2 for s in skewed)
    assert Limits.of(measured(shares=shares)).good["unbalanced classes"] == pytest.approx(moved[1])
    absent = {"held_out": [0.5, 0.5, 0.0], "training": [0.5, 0.5, 0.0]}
    assert Limits.of(measured(shares=absent)).good["a rare class"] == pytest.approx(0.3 / 0.8 / 0.5)


def test_limits_refuse_what_no_verdict_can_rest_on():
    with pytest.raises(ValueError, match=r"fcd 0.3 with all classes, 0.2 without one, 50 without half .* too weak"):
        Limits.of(measured(dropped_class={1.0: {"fcd": 0.2}}))
    with pytest.raises(ValueError, match=r"class_distance 0.02 with .*, 0.6 without one, 0.5 without half"):
        Limits.of(measured(dropped_class={1.0: {"class_distance": 0.6}}))
    with pytest.raises(ValueError, match="limits need finite scores of real images"):
        Limits.of(measured({"kid": math.nan}))
    with pytest.raises(ValueError, match="limits need finite scores of real images"):
        Limits.of(measured(noise={0.2: {"fcd": math.inf}}))


# Labels and reasons


@pytest.mark.parametrize(
    ("score", "passes", "fails", "words"),
    [
        ("fcd", 6.0, 6.01, "far from the data by FCD"),
        ("artefacts", 0.11, 0.111, "artefacts"),
        ("realism", 0.33, 0.329, "unrealistic"),
        ("sharpness", 0.7, 0.699, "blurred"),
        ("knn_recall", 0.7, 0.699, "little variety within classes"),
        ("least_recall", 0.4, 0.399, "a class without variety"),
        ("duplicates", 0.059, 0.06, "duplicates"),
        ("class_distance", 0.082, 0.083, "unbalanced classes"),
        ("rarest_class", 0.63, 0.62, "a rare class"),
        ("copies", 0.059, 0.06, "copies of training images"),
    ],
)
def test_each_aspect_has_its_own_limit_and_words(score, passes, fails, words):
    assert label(REAL | {score: passes}, LIMITS) == "good" and reasons(REAL | {score: passes}, LIMITS) == []
    assert label(REAL | {score: fails}, LIMITS) == "not good" and reasons(REAL | {score: fails}, LIMITS) == [words]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"realism": 0.0, "kid": math.nan}, "diverged"),
        ({"critic_loss": math.inf}, "diverged"),
        ({"critic_loss": -1e9}, "good"),
        # all alike, however ugly
        ({"spread": 0.21, "realism": 0.0}, "collapsed"),
        ({"spread": 0.23, "realism": 0.0}, "not good"),
        # classes, where the samples look like data
        ({"class_distance": 0.45, "realism": 0.3}, "collapsed"),
        ({"class_distance": 0.44, "realism": 0.3}, "not good"),
        ({"class_distance": 0.5, "realism": 0.29}, "not good"),
        ({"copies": 0.51}, "memorised"),
        ({"copies": 0.5}, "not good"),
        ({"copies": 0.51, "class_distance": 0.5}, "collapsed"),
        ({"copies": 0.51, "duplicates": 1.0, "knn_recall": 0.1}, "memorised"),
        # variety
        ({"duplicates": 0.5, "knn_recall": 0.69, "realism": 0.3}, "collapsed within classes"),
        ({"duplicates": 0.49, "knn_recall": 0.69, "realism": 0.3}, "not good"),
        ({"duplicates": 0.9, "knn_recall": 0.69, "realism": 0.0}, "collapsed within classes"),
        ({"duplicates": 0.89, "knn_recall": 0.69, "realism": 0.0}, "not good"),
        ({"duplicates": 0.5, "knn_recall": 0.71}, "not good"),
        ({"coverage": 0.43, "knn_recall": 0.34}, "collapsed within classes"),
        ({"coverage": 0.45, "knn_recall": 0.34}, "not good"),
        ({"coverage": 0.43, "knn_recall": 0.36}, "not good"),
        ({"coverage": 0.43, "knn_recall": 0.34, "realism": 0.29}, "not good"),
        ({"coverage": 0.43, "knn_recall": 0.34, "sharpness": 0.6}, "not good"),
        # noise
        ({"realism": 0.017, "rough": 0.25}, "noise"),
        ({"realism": 0.017, "rough": 0.24}, "not good"),
        ({"realism": 0.019, "rough": 1.0}, "not good"),
    ],
)
def test_where_failures_begin(change, expected):
    assert label(REAL | change, LIMITS) == expected


# The sentence


@pytest.mark.parametrize(
    ("course", "sentence", "best", "good_from"),
    [
        ("g", "good at epoch 1, the only one scored; best at epoch 1 (FCD 4.1, floor 0.3)", 1, 1),
        ("l", "not good at epoch 1 (far from the data by FCD, unrealistic); never good; "
              "least bad at epoch 1 (FCD 9, floor 0.3, good up to 6: far from the data by FCD, unrealistic)", 1, None),
        ("n", "noise at epoch 1; never good; "
              "least bad at epoch 1 (FCD 80, floor 0.3, good up to 6: noise)", 1, None),
        ("d", "diverged at epoch 1 (images not finite); never good; no epoch has finite scores", None, None),
        ("ggg", "good from epoch 1 on; best at epoch 1 (FCD 4.1, floor 0.3)", 1, 1),
        ("nnnllgg", "noise at epochs 1-3; not good at epochs 4-5 (far from the data by FCD, unrealistic); "
                    "good from epoch 6 on; best at epoch 6 (FCD 4.1, floor 0.3)", 6, 6),
        ("nnnlggcgg", "noise at epochs 1-3; collapsed at epoch 7; not good at epoch 4 (far from the data by FCD, "
                      "unrealistic); good from epoch 8 on, and at epochs 5-6; best at epoch 5 (FCD 4.1, floor 0.3)",
         5, 8),
        ("nwg", "noise at epoch 1; collapsed within classes at epoch 2; good at epoch 3, the last one scored; "
                "best at epoch 3 (FCD 4.1, floor 0.3)", 3, 3),
        ("ngc", "noise at epoch 1; collapsed at epoch 3; good only at epoch 2; best at epoch 2 "
                "(FCD 4.1, floor 0.3)", 2, None),
        ("gddd", "diverged from epoch 2 on (images not finite); good only at epoch 1; best at epoch 1 "
                 "(FCD 4.1, floor 0.3)", 1, None),
        ("ndgd", "noise at epoch 1; diverged at epoch 2 (images not finite); diverged from epoch 4 on (images not "
                 "finite); good only at epoch 3; best at epoch 3 (FCD 4.1, floor 0.3)", 3, None),
        ("ddd", "diverged from epoch 1 on (images not finite); never good; no epoch has finite scores", None, None),
        # the least FCD is the best, also where it is not good
        ("fgg", "not good at epoch 1 (artefacts, a rare class); good from epoch 2 on; best FCD at epoch "
                "1 (FCD 3.8, floor 0.3), which is not good (artefacts, a rare class); the least of good ones at epoch "
                "2 (FCD 4.1)", 1, 2),
        ("gm", "memorised at epoch 2; good only at epoch 1; best FCD at epoch 2 (FCD 2, floor 0.3), which is "
               "not good (memorised); the least of good ones at epoch 1 (FCD 4.1)", 2, None),
        # each epoch by what is wrong with it, and the last word says why it is no better
        ("lfl", "not good at epochs 1, 3 (far from the data by FCD, unrealistic) and 2 (artefacts, a "
                "rare class); never good; least bad at epoch 2 (FCD 3.8, floor 0.3: artefacts, a rare class)", 2, None),
    ],
)  # fmt: skip
def test_sentences(course, sentence, best, good_from):
    result = verdict(range(1, len(course) + 1), [EPOCH[c] for c in course], LIMITS)
    assert (result.sentence, result.best, result.good_from) == (sentence, best, good_from)


@pytest.mark.parametrize(
    ("course", "summary"),
    [
        ("g", "good: at epoch 1, the only one scored"),
        ("ggg", "good: from epoch 1 on; least FCD at epoch 1"),
        ("nlgg", "good: from epoch 3 on; least FCD at epoch 3"),
        ("nnl", "not good: far from the data by FCD, unrealistic; never good; least FCD at epoch 3"),
        ("gnc", "collapsed: at epoch 3; good only at epoch 1; least FCD at epoch 1"),
        ("gd", "diverged: at epoch 2 (images not finite); good only at epoch 1; least FCD at epoch 1"),
        ("dd", "diverged: from epoch 1 on (images not finite); never good"),
        ("glddd", "diverged: from epoch 3 on (images not finite); good only at epoch 1; least FCD at epoch 1"),
        ("mw", "collapsed within classes: at epoch 2; never good; least FCD at epoch 1"),
    ],
)
def test_a_line_of_the_last_epoch(course, summary):
    assert verdict(range(1, len(course) + 1), [EPOCH[c] for c in course], LIMITS).summary == summary


def test_a_line_is_short_whatever_is_wrong():
    """With every aspect, and good epochs here and there, at numbers of four digits."""
    all_wrong = REAL | {"fcd": 9.0, "artefacts": 0.2, "realism": 0.32, "sharpness": 0.6, "knn_recall": 0.6,
                        "least_recall": 0.3, "duplicates": 0.2, "class_distance": 0.2, "rarest_class": 0.1,
                        "copies": 0.2}  # fmt: skip
    scores = [*[EPOCH["g"], EPOCH["n"]] * 2, all_wrong]
    found = verdict([1000, 2000, 3000, 4000, 5000], scores, LIMITS)
    assert len(found.reasons[-1]) == len(ASPECTS)
    assert found.summary == (
        "not good: far from the data by FCD, artefacts and 8 more; good only at 2 epochs; least FCD at epoch 1000"
    )


def test_an_fcd_of_fewer_samples_says_of_how_many():
    """The job's own table has one of more."""
    result = verdict([1], [EPOCH["l"]], LIMITS, 2000)
    assert "least bad at epoch 1 (FCD of 2,000 images 9, floor 0.3" in result.sentence
    assert "| fcd (n = 2,000) | kid |" in table([1], [EPOCH["l"]], LIMITS, 2000).splitlines()[0]
    assert "| fcd (n = 2,000) | at most 6.0 |" in limits_table(LIMITS, 2000)
    assert "| fcd (n = 500) |" in failures_table(measured()["failures"], LIMITS, 500).splitlines()[0]


def test_a_loss_that_is_lost_is_named():
    scores = REAL | {"critic_loss": math.inf, "generator_loss": math.nan}
    assert reasons(scores, LIMITS) == ["critic loss and generator loss not finite"]
    assert verdict([3], [scores], LIMITS).summary.startswith("diverged: at epoch 3 (critic loss and generator loss not")


def test_epochs_keep_their_numbers_and_their_reasons():
    result = verdict([5, 10, 15, 25, 40], [EPOCH[c] for c in "nfgdg"], LIMITS)
    assert result.sentence.startswith(
        "noise at epoch 5; diverged at epoch 25 (images not finite); not good at epoch 10 (artefacts, a rare class); "
        "good at epoch 40"
    )
    assert result.labels == ["noise", "not good", "good", "diverged", "good"]
    assert result.reasons[1:] == [["artefacts", "a rare class"], [], ["images not finite"], []]
    assert "unrealistic" in result.reasons[0]


@pytest.mark.parametrize(
    ("epochs", "course", "said"),
    [
        ([5, 10], "ll", "not good at epochs 5, 10 (far from the data by FCD, unrealistic); never good; "),
        ([5, 10, 15, 20, 25, 27], "nnnnnl", "noise at epochs 5, 10, ..., 25; not good at epoch 27 (far "),
        ([1, 5, 10, 15, 20], "nnnnl", "noise at epochs 1, 5, 10, 15; not good at epoch 20 (far "),
        ([4, 5, 6, 10], "nnnn", "noise at epochs 4-6, 10; never good; "),
        ([1, 2, 3, 4], "nnnn", "noise at epochs 1-4; never good; "),
        ([2, 4, 6, 8, 10], "nngnn", "noise at epochs 2, 4, 8, 10; good only at epoch 6; "),
        ([5, 10, 15, 20], "nggg", "noise at epoch 5; good from epoch 10 on; "),
    ],
)
def test_only_epochs_that_were_scored_are_named(epochs, course, said):
    """A range is of epochs that follow on each other; "from epoch 10 on" is followed by which were scored."""
    sentence = verdict(epochs, [EPOCH[c] for c in course], LIMITS).sentence
    assert sentence.startswith(said)
    ends = {(5, 10): "5, 10", (5, 10, 15, 20): "5, 10, ..., 20", (2, 4, 6, 8, 10): "2, 4, ..., 10"}
    if tuple(epochs) in ends:
        assert sentence.endswith(f"; scored at epochs {ends[tuple(epochs)]}")
    assert ("scored at" in sentence) == (epochs != [1, 2, 3, 4])


@pytest.mark.parametrize("epochs", [[], [2, 1], [1, 1], [1, 2, 3]])
def test_epochs_that_do_not_fit_are_refused(epochs):
    with pytest.raises(ValueError, match="expects rising epochs, and the scores of each"):
        verdict(epochs, [EPOCH["g"]] * min(len(epochs), 2), LIMITS)


# Tables


def test_table():
    assert table([3, 12], [EPOCH["f"] | {"fcd": 1245.83, "kid": 2308.14, "kid_std": 96.2}, EPOCH["d"]], LIMITS) == (
        f"| epoch | label | {' | '.join(COLUMNS)} |\n"
        f"| :-- | :-- |{' --: |' * len(COLUMNS)}\n"
        "| floor: real images |  | 0.3 | 0.0 ± 0.0 | 0.600 | 0.950 | 1.000 | 0.010 | 0.950 | 0.900 | 0.960 | 0.010 "
        "| 0.020 | 0.900 | 0.010 |\n"
        "| 3 | not good: far from the data by FCD, artefacts, a rare class | 1245.8 | 2308.1 ± 96.2 | 0.600 | 0.950 "
        "| 1.000 | 0.200 | 0.950 | 0.900 | 0.960 | 0.010 | 0.020 | 0.500 | 0.010 |\n"
        f"| 12 | diverged: images not finite | nan | nan ± nan |{' nan |' * 11}"
    )


def test_tables_of_limits_and_of_failures():
    rows = limits_table(LIMITS).splitlines()
    assert rows[2] == "| far from the data by FCD | fcd | at most 6.0 | noise_images 0.1 | 0.3 |"
    assert rows[-1] == "| copies of training images | copies | at most 0.060 | copied 0.05 | 0.010 |"
    assert "| unrealistic | realism | at least 0.330 | averages 0.6 | 0.600 |" in rows
    rows = failures_table(measured()["failures"], LIMITS).splitlines()
    assert len(rows) == 3 + sum(map(len, STRENGTHS.values()))
    assert rows[4].startswith("| noise_images 0.1 | good | 6.0 |")  # at the limit; that it is of copies is no fault


@pytest.mark.parametrize(
    ("value", "written"), [(1245.83, "1245.8"), (99.97, "100"), (57.12, "57.1"), (0.3612, "0.361"), (8.0, "8")]
)
def test_figures_keep_their_whole_part(value, written):
    assert figure(value) == written
