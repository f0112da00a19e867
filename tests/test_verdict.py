"""Where labels begin and end, and the sentence on every course that a training may take. On images:
``test_scored_failures.py``."""

import math

import pytest

from metrics.verdict import COLUMNS, Limits, label, table, verdict

FLOOR = dict(zip(COLUMNS, (0.3, 0.001, 0.02, 0.9, 0.95, 0.95, 0.5, 1.0, 0.97), strict=True))
FAILURE_SCORES = {
    "blur": FLOOR | {"fcd": 20.0},
    "noise": FLOOR | {"fcd": 8.0},
    "dropped_class": FLOOR | {"fcd": 6.0, "class_distance": 0.1, "rarest_class": 0.1},
    "half_classes": FLOOR | {"fcd": 50.0, "class_distance": 0.5, "coverage": 0.5, "knn_recall": 0.6},
}
LIMITS = Limits.from_scores(FLOOR, FAILURE_SCORES)
EPOCH = {
    "g": FLOOR | {"fcd": 4.1},
    "l": FLOOR | {"fcd": 9.0},
    "n": FLOOR | {"fcd": 80.0, "realism": 0.01},
    "c": FLOOR | {"fcd": 70.0, "coverage": 0.2, "knn_recall": 0.0},
    "d": dict.fromkeys(COLUMNS, math.nan),
}


def test_limits_are_shares_of_the_data():
    figures = {name: value for name, value in vars(LIMITS).items() if name != "floor"}
    assert figures == pytest.approx(
        {
            "realism": 0.015,
            "coverage": 0.25,
            "recall": 0.3,
            "class_distance": 0.5,
            "fcd": 6.0,
            "realistic": 0.25,
            "rarest_class": 0.5,
        }
    )
    assert LIMITS.floor is FLOOR
    few_images = FAILURE_SCORES | {"noise": FLOOR | {"fcd": 0.35}}
    assert Limits.from_scores(FLOOR, few_images).fcd == FLOOR["fcd"] > 0.75 * 0.35


@pytest.mark.parametrize(
    "change, expected",
    [
        ({}, "good"),
        ({"fcd": 6.0}, "good"),
        ({"fcd": 6.01}, "still learning"),
        ({"rarest_class": 0.5}, "still learning"),
        ({"rarest_class": 0.51, "class_distance": 0.49}, "good"),
        ({"class_distance": 0.5}, "collapsed"),
        ({"coverage": 0.24, "knn_recall": 0.29}, "collapsed"),
        ({"coverage": 0.25, "knn_recall": 0.29}, "good"),
        ({"coverage": 0.24, "knn_recall": 0.29, "realism": 0.249}, "still learning"),
        ({"class_distance": 0.5, "realism": 0.1}, "collapsed"),
        ({"coverage": 0.24, "knn_recall": 0.3, "fcd": 40.0}, "still learning"),
        ({"realism": 0.25}, "good"),
        ({"realism": 0.249}, "still learning"),
        ({"realism": 0.0151}, "still learning"),
        ({"realism": 0.0149, "coverage": 0.0, "knn_recall": 0.0}, "noise"),
        ({"realism": 0.0, "kid": math.nan}, "diverged"),
    ],
)
def test_where_labels_end(change, expected):
    assert label(FLOOR | change, LIMITS) == expected


def test_limits_refuse_what_no_verdict_can_rest_on():
    with pytest.raises(ValueError, match="limits need the scores of the failures: half_classes missing"):
        Limits.from_scores(FLOOR, {"blur": FLOOR, "noise": FLOOR, "dropped_class": FLOOR})
    with pytest.raises(ValueError, match=r"fcd 0.3 with all classes, 0.2 without one, 50 without half .* too weak"):
        Limits.from_scores(FLOOR, FAILURE_SCORES | {"dropped_class": FLOOR | {"fcd": 0.2}})
    with pytest.raises(ValueError, match=r"fcd 0.3 of real images, 0.29 of blurred or noisy ones: .* too weak"):
        Limits.from_scores(FLOOR, FAILURE_SCORES | {"blur": FLOOR | {"fcd": 0.29}})
    with pytest.raises(ValueError, match="limits need finite scores of real images"):
        Limits.from_scores(FLOOR | {"kid": math.nan}, FAILURE_SCORES)


# The sentence


@pytest.mark.parametrize(
    "course, sentence, best, good_from",
    [
        ("g", "never failed; good at epoch 1, the only one scored; best at epoch 1 (FCD 4.1, floor 0.3)", 1, 1),
        ("l", "never failed; never good; still learning at the end; least bad at epoch 1 (FCD 9, floor 0.3)", 1, None),
        ("n", "failed at epoch 1 (noise); never good; least bad at epoch 1 (FCD 80, floor 0.3)", 1, None),
        ("d", "diverged at epoch 1; never good; no epoch has finite scores", None, None),
        ("ggg", "never failed; good from epoch 1 on; best at epoch 1 (FCD 4.1, floor 0.3)", 1, 1),
        ("nnnllgg", "failed at epochs 1-3 (noise); good from epoch 6 on; best at epoch 6 (FCD 4.1, floor 0.3)", 6, 6),
        (
            "nnnlggcgg",
            "failed at epochs 1-3 (noise) and 7 (collapsed); good from epoch 8 on, and at epochs 5-6; "
            "best at epoch 5 (FCD 4.1, floor 0.3)",
            5,
            8,
        ),
        ("nlg", "failed at epoch 1 (noise); good at epoch 3, the last one scored; best at epoch 3 "
                "(FCD 4.1, floor 0.3)", 3, 3),
        ("nglc", "failed at epochs 1 (noise) and 4 (collapsed); good only at epoch 2; best at epoch 2 "
                 "(FCD 4.1, floor 0.3)", 2, None),
        ("ncncl", "failed at epochs 1, 3 (noise) and 2, 4 (collapsed); never good; still learning at the end; "
                  "least bad at epoch 5 (FCD 9, floor 0.3)", 5, None),
        ("lgddd", "diverged from epoch 3 on; good only at epoch 2; best at epoch 2 (FCD 4.1, floor 0.3)", 2, None),
        ("ndgd", "failed at epochs 1 (noise) and 2 (diverged); diverged from epoch 4 on; good only at epoch 3; "
                 "best at epoch 3 (FCD 4.1, floor 0.3)", 3, None),
        ("ddd", "diverged from epoch 1 on; never good; no epoch has finite scores", None, None),
    ],
)  # fmt: skip
def test_sentences(course, sentence, best, good_from):
    result = verdict(range(1, len(course) + 1), [EPOCH[c] for c in course], LIMITS)
    assert (result.sentence, result.best, result.good_from) == (sentence, best, good_from)


def test_epochs_keep_their_numbers():
    result = verdict([5, 10, 15, 25, 40], [EPOCH[c] for c in "nngcg"], LIMITS)
    assert result.sentence.startswith(
        "failed at epochs 5-10 (noise) and 25 (collapsed); good at epoch 40, the last one scored, and"
    )


def test_the_best_is_a_good_one_even_if_another_has_less_fcd():
    """A dropped class may have a small FCD."""
    unbalanced = FLOOR | {"fcd": 1.0, "rarest_class": 0.2}
    result = verdict([1, 2, 3], [unbalanced, EPOCH["g"], EPOCH["g"] | {"fcd": 3.5}], LIMITS)
    assert result.labels == ["still learning", "good", "good"]
    assert (result.best, result.good_from) == (3, 2)


@pytest.mark.parametrize("epochs", [[], [2, 1], [1, 1], [1, 2, 3]])
def test_epochs_that_do_not_fit_are_refused(epochs):
    with pytest.raises(ValueError, match="expects rising epochs, and the scores of each"):
        verdict(epochs, [EPOCH["g"]] * min(len(epochs), 2), LIMITS)


def test_table():
    assert table([3, 12], [EPOCH["c"], EPOCH["d"]], LIMITS).splitlines() == [
        "| epoch | label | fcd | kid | class_distance | rarest_class "
        "| knn_precision | knn_recall | realism | density | coverage |",
        "| :-- | :-- | --: | --: | --: | --: | --: | --: | --: | --: | --: |",
        "| floor | real images | 0.3 | 0.0 | 0.020 | 0.900 | 0.950 | 0.950 | 0.500 | 1.000 | 0.970 |",
        "| 3 | collapsed | 70.0 | 0.0 | 0.020 | 0.900 | 0.950 | 0.000 | 0.500 | 1.000 | 0.200 |",
        "| 12 | diverged | nan | nan | nan | nan | nan | nan | nan | nan | nan |",
    ]
