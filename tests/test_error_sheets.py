"""What a classifier gets wrong: which images a sheet shows and what it says of them, and the map of the codes."""

import itertools
import re
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import ImageDraw

from callbacks.drawing import codes_map as maps
from callbacks.drawing import errors, mosaics
from callbacks.drawing.codes_map import codes_map, palette, plane_of, require_method
from callbacks.drawing.errors import errors_of, errors_sheet

FASHION = ["T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]


@pytest.fixture
def written(monkeypatch):
    """Everything that is written onto a picture: ``(text, colour, left, y, right)``."""
    found, text = [], ImageDraw.ImageDraw.text

    def noted(draw, xy, words, fill=None, font=None, **kwargs):
        width = font.getlength(words)
        left = xy[0] - width / 2 * (kwargs.get("anchor", "la")[0] == "m")
        found.append((words, fill, left, xy[1], left + width))
        text(draw, xy, words, fill, font, **kwargs)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", noted)
    return found


def greys(first: int, count: int, side: int = 28) -> torch.Tensor:
    """Images each of one grey of its own."""
    return torch.arange(first, first + count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, side, side).clone()


def where(sheet: np.ndarray, grey: int, side: int = errors.CELL) -> tuple[int, int] | None:
    """The upper left corner ``(x, y)`` of the square of one grey, if it is on the sheet; letters hold greys, too."""
    same = (sheet == grey).all(2)
    corners = ((int(x), int(y)) for y, x in np.argwhere(same) if same[y:, x:][:side, :side].sum() == side**2)
    return next(corners, None)


def test_errors_are_sorted_by_the_commonest_confusion():
    targets = np.array([1, 1, 1, 1, 1, 1, 0, 2])
    predicted = np.array([2, 0, 3, 0, 1, 3, 1, 2])
    assert errors_of(1, targets, predicted).tolist() == [1, 3, 2, 5, 0], "0 and 3 twice each, then 2"
    assert errors_of(2, targets, predicted).tolist() == []


def test_a_sheet_shows_what_is_wrong_with_what_was_said_and_what_was_labelled(written):
    targets, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 2, 1, 1, 2, 2])
    before = targets.copy(), predicted.copy()
    given = greys(100, 6), targets, predicted, greys(40, 3), np.array([2, 0, 1]), ["ox", "bee", "cat"], "caption"
    sheet = errors_sheet(*given)
    assert sheet.dtype == np.uint8 and sheet.ndim == 3 and sheet.shape[2] == 3
    assert [where(sheet, 100 + index) is not None for index in range(6)] == [False, True, True, False, True, False]
    places = {grey: where(sheet, grey) for grey in (40, 41, 42, 101, 102, 104)}
    ox, bee, cat = places[41], places[42], places[40]
    assert ox[0] == bee[0] == cat[0] < places[102][0], "labelled images on the left"
    assert ox[1] == places[101][1] == places[102][1] < bee[1] == places[104][1] < cat[1], "a class a row"
    x, y = places[102]
    (bee,) = [row for row in written if row[0] == "bee" and row[1] == errors.RED]
    assert (bee[2] + bee[4]) / 2 == x + errors.CELL // 2 and bee[3] == y + errors.CELL, "beneath its image"
    texts = [text for text, *_ in written]
    assert [text for text in texts if "wrong" in text and "images" not in text] == [
        "2 of 3 wrong", "1 of 2 wrong", "0 of 1 wrong"]  # fmt: skip
    assert "as bee (1), cat (1)" in texts and "as cat (1)" in texts and texts.count("1 labelled") == 3
    assert any(text.startswith("3 of 6 images wrong. Left:") for text in texts)
    assert np.array_equal(sheet, errors_sheet(*given)) and all(map(np.array_equal, before, (targets, predicted)))


def test_of_many_errors_each_confusion_is_shown_by_its_share(written):
    """Of 80 errors 60 as one class and 20 as another, 16 are shown: 12 and 4; of 30 labelled images the first 10."""
    targets, predicted = np.zeros(100, np.int64), np.repeat([2, 1, 0], [20, 60, 20])
    sheet = errors_sheet(greys(0, 100), targets, predicted, greys(120, 30), np.zeros(30, np.int64), FASHION, "")
    shown = [index for index in range(100) if where(sheet, index)]
    assert len(shown) == 16 and sum(index < 20 for index in shown) == 4 and max(shown) < 80
    assert [index for index in range(30) if where(sheet, 120 + index)] == list(range(10))
    texts = [text for text, *_ in written]
    assert "10 of 30 labelled" in texts and "as trouser (60), pullover (20)" in texts
    assert texts.count("trouser") == 12 + 1 and texts.count("pullover") == 4 + 1


def test_without_errors_nothing_is_red(written):
    targets = np.arange(10)
    sheet = errors_sheet(greys(0, 10, 8), targets, targets, greys(20, 10, 8), targets, FASHION, "all right")
    assert (sheet[..., 0] == sheet[..., 1]).all() and (sheet[..., 0] == sheet[..., 2]).all()
    assert sum(text == "0 of 1 wrong" for text, *_ in written) == 10
    assert all(where(sheet, 20 + index) for index in range(10)) and not any(where(sheet, i) for i in range(1, 10))


@pytest.mark.parametrize(
    "class_names",
    [FASHION, [chr(65 + i) for i in range(26)], ["a name that is far too long for what is below it", "b"]],
)
def test_all_that_is_written_is_on_the_sheet_and_touches_no_other(written, class_names):
    rng = np.random.default_rng(0)
    targets, predicted = rng.integers(0, len(class_names), (2, 2000))
    labelled = np.arange(2 * len(class_names)) % len(class_names)
    images, few = torch.zeros(2000, 1, 28, 28), torch.zeros(len(labelled), 1, 28, 28)
    sheet = errors_sheet(images, targets, predicted, few, labelled, class_names, "")
    beneath = [row for row in written if row[1] == errors.RED and " wrong" not in row[0]]
    assert len(beneath) == len(class_names) * (8 if len(class_names) > 13 else 16)
    assert all(left >= 0 and right <= sheet.shape[1] for _, _, left, _, right in written)
    lines = {}
    for _, colour, left, y, right in written:
        if colour != mosaics.INK:  # the caption is drawn by itself
            lines.setdefault(y, []).append((left, right))
    for line in map(sorted, lines.values()):
        assert all(right <= left + 1 for (_, right), (left, _) in itertools.pairwise(line))
    counted = re.findall(r"\((\d+)\)", " ".join(text for text, *_ in written if text.startswith("as ")))
    assert sum(map(int, counted)) == (targets != predicted).sum(), "others are counted too"


def test_the_map_shows_right_wrong_and_labelled_codes_apart():
    """Two classes, each with its middle elsewhere than the codes that are looked at."""
    points = np.array([[10, 10], [0, 0], [4, 4], [4, 4], [4, 4], [6, 7], [6, 7], [6, 7]], np.float32)
    targets, predicted = np.array([1, 0, 0, 0, 0, 1, 1, 1]), np.array([0, 0, 0, 0, 0, 1, 1, 1])
    map_ = codes_map(points, targets, predicted, np.array([[0, 10], [99, 0]]), np.array([1, 0]), ["a", "b"], "caption")
    top = len(map_) - maps.SIDE
    low, high = maps.BORDER, maps.SIDE - maps.BORDER
    blue, yellow = (np.array(colour) for colour in palette(2))

    def at(x, y):
        return map_[top + y, x].astype(int)

    assert np.abs(at(low, high) - (blue + maps.PALE * (255 - blue))).max() < 40, "right: pale, lower left"
    assert np.abs(at(high, low) - yellow).max() < 25, "wrong: in the colour of its true class, upper right"
    assert at(high, low + 3).max() < 110, "with a black edge"
    assert np.abs(at(low, low) - yellow).max() < 3 and at(low, low + 6).max() < 60, "labelled, upper left, with a ring"
    assert np.abs(at(high, high) - blue).max() < 3, "labelled, beyond what is scored: on the border"
    others = codes_map(points, targets, predicted, points[1:2], targets[1:2], ["a", "b"], "caption")
    assert np.array_equal(map_[top : top + 560, 60:600], others[top : top + 560, 60:600]), "no label moves the scored"


def test_the_legend_counts(written):
    targets = np.repeat([0, 1, 2], [50, 30, 20])
    predicted = np.where(np.arange(100) < 7, 2, targets)
    points = np.random.default_rng(0).normal(size=(100, 2))
    labelled = np.repeat(points, 2, axis=0)[:150]
    sheet = codes_map(points, targets, predicted, labelled, np.arange(150) % 3, ["a", "b", "c"], "a caption")
    texts = [text for text, *_ in written]
    for text in ("150 labelled, 100 shown", "7 wrong", "93 right", "a: 7 of 50 wrong", "b: 0 of 30 wrong"):
        assert text in texts
    assert all(right <= sheet.shape[1] for *_, right in written)
    again = codes_map(points, targets, predicted, labelled, np.arange(150) % 3, ["a", "b", "c"], "a caption")
    assert np.array_equal(sheet, again)
    one_place = codes_map(np.zeros((100, 2)), targets, targets, labelled[:0], np.arange(0), ["a", "b", "c"], "")
    assert one_place.shape[0] == sheet.shape[0], "codes that all lie in one place"


def test_a_long_name_stays_on_the_map(written):
    """Its class lies at the left border."""
    points, targets = np.array([[0, 0], [0, 9], [9, 0], [9, 9.0]]), np.array([0, 0, 1, 1])
    codes_map(points, targets, targets, points[:0], targets[:0], ["a name of some length", "and one more"], "")
    on_map = [(left, right) for text, _, left, _, right in written if text in ("a name of some length", "and one more")]
    assert len(on_map) == 2 and all(left >= 0 and right <= maps.SIDE for left, right in on_map)


@pytest.mark.parametrize("classes", [2, 10, 26, 47])
def test_colours_are_apart(classes):
    colours = np.array(palette(classes))
    distances = np.abs(colours[:, None] - colours).sum(2) + 999 * np.eye(classes)
    assert colours.shape == (classes, 3) and distances.min() >= (60 if classes <= 10 else 12)


def heaps(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    return (8 * np.eye(6)[labels] + rng.normal(0, 0.5, (count, 6))).astype(np.float32), labels


def test_pca_is_fitted_on_the_training_codes_alone():
    from sklearn.decomposition import PCA

    train, scored = heaps(300, 0)[0] * [3, 2, 1, 1, 1, 1] + 5, heaps(90, 1)[0] - 2
    places = plane_of(train.astype(np.float32), scored, "pca")
    reference = PCA(2, svd_solver="full").fit(train.astype(np.float64))
    signs = np.sign(np.sum(places["train"] * reference.transform(train), 0))
    assert np.allclose(places["train"] * signs, reference.transform(train), atol=1e-3)
    assert np.allclose(places["scored"] * signs, reference.transform(scored), atol=1e-3)
    assert np.allclose(places["share"], reference.explained_variance_ratio_, atol=1e-5)
    assert {name: array.dtype for name, array in places.items()} == dict.fromkeys(places, np.float32)
    flipped = plane_of(-train.astype(np.float32), -scored, "pca")
    assert np.allclose(flipped["train"], -places["train"], atol=1e-3), "the sign goes with the codes, by no accident"
    one = plane_of(train[:, :1].astype(np.float32), scored[:, :1], "pca")
    assert one["scored"].shape == (90, 2) and (one["scored"][:, 1] == 0).all() and np.ptp(one["scored"][:, 0]) > 1


def test_tsne_keeps_heaps_apart_and_repeats_itself():
    (train, classes), (scored, truth) = heaps(240, 0), heaps(120, 1)
    places = plane_of(train, scored, "tsne")
    again = plane_of(train, scored, "tsne")
    assert all(places[name].tobytes() == again[name].tobytes() for name in ("train", "scored"))
    middles = np.stack([places["scored"][truth == c].mean(0) for c in range(3)])
    for found, labels in ((places["scored"], truth), (places["train"], classes)):
        assert (np.linalg.norm(found[:, None] - middles, axis=2).argmin(1) == labels).all()


def fake_umap(monkeypatch) -> list:
    """A library that lays codes out by their first two dimensions, and what it was built with and given."""
    calls = []

    class UMAP:
        def __init__(self, **kwargs):
            calls.append(kwargs)

        def fit_transform(self, codes):
            calls.append(codes)
            return codes[:, :2]

    module = ModuleType("umap")
    module.UMAP, module.__spec__ = UMAP, object()
    monkeypatch.setitem(sys.modules, "umap", module)
    return calls


def test_what_is_not_laid_out_stands_between_its_nearest(monkeypatch):
    calls = fake_umap(monkeypatch)
    monkeypatch.setattr(maps, "MOST", 20)
    (train, _), (scored, _) = heaps(50, 0), heaps(77, 1)
    places = plane_of(train, scored, "umap")
    settings, codes = calls
    assert settings["random_state"] == 0 and settings["n_neighbors"] == 15 and len(codes) == 20
    laid_out = [int(np.flatnonzero((scored == code).all(1))[0]) for code in codes]
    assert laid_out[0] == 0 and laid_out[-1] == 76 and set(np.diff(laid_out)) == {4}
    assert np.array_equal(places["scored"][laid_out], codes[:, :2])
    for name, given in (("train", train), ("scored", np.delete(scored, laid_out, 0))):
        found = places[name] if name == "train" else np.delete(places[name], laid_out, 0)
        distances = np.linalg.norm(given[:, None] - codes, axis=2)
        nearest = np.argsort(distances, axis=1)[:, : maps.NEAREST]
        assert np.allclose(found, np.median(codes[nearest][..., :2], axis=1), atol=1e-6)


def test_a_method_that_there_is_not_and_a_library_that_is_absent(monkeypatch):
    codes = heaps(9, 0)[0]
    with pytest.raises(ValueError, match="^codes_map=mds: accepted are pca, tsne, umap$"):
        require_method(codes_map="mds")
    monkeypatch.setitem(sys.modules, "umap", None)
    for call in (lambda: require_method(codes_map="umap"), lambda: plane_of(codes, codes, "umap")):
        with pytest.raises(ValueError, match="=umap: its library is absent; pip install umap-learn, or take .*=tsne$"):
            call()
    fake_umap(monkeypatch)
    require_method(codes_map="umap")
