"""The codes of a fit in the plane, with the labels that were drawn and the errors that a classifier makes of them."""

import colorsys
import importlib.util
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageColor, ImageDraw, ImageFont

from callbacks.drawing.mosaics import MARGIN, captioned
from datamodules.checks import require_one_of
from metrics.neighbours import squared_distances

METHODS = ("pca", "tsne", "umap")
MOST = 10_000  # codes that t-SNE or UMAP lays out: t-SNE takes a minute for them on one core
NEAREST = 5  # of those, between which every other code is placed

SIDE, FINER = 640, 3  # of the map, screen pixels; drawn so many times finer, then averaged
RIGHT, WRONG, LABELLED = 1.7, 2.4, 5.5  # radii of the dots
EDGE, RING = 1.0, 2.0  # widths of the line around an error, and of the two around a labelled code
BORDER = 12  # of paper around the outermost dots
FONT, LINE = 14, 22  # letters, and from one line of the legend to the next
MOST_LABELLED = 100  # labelled codes, the first ones: more would cover everything
NO_CLASS = (96, 96, 96)  # the colour of a dot that stands for all classes
PALE = 0.35  # how far what is right is mixed with white
# Ten colours, none grey, found by a search: the two most alike are far apart in OKLab, for eyes that see all colours
# and for those that lack red or green (Machado et al. 2009).
PALETTE = ("#1063ff", "#bdd900", "#a3006c", "#6ad8ff", "#5300aa", "#6a1d00", "#ff96b8", "#217809", "#8675b9", "#a79763")
Colour = tuple[int, int, int]


def require_method(**chosen: str) -> None:
    """Raises ValueError for a method that there is not, or whose library is absent, by the setting's name."""
    require_one_of(METHODS, **chosen)
    for name, method in chosen.items():
        if method == "umap" and importlib.util.find_spec("umap") is None:
            raise ValueError(f"{name}=umap: its library is absent; pip install umap-learn, or take {name}=tsne")


def plane_of(train_codes: np.ndarray, scored_codes: np.ndarray, method: str) -> dict[str, np.ndarray]:
    """Places codes in the plane, without a look at a class; once a fit, for all draws of labels.

    ``pca`` projects on the two directions in which the training codes vary most; with it goes the ``share (2,)`` of
    their variance. ``tsne`` (van der Maaten & Hinton 2008, perplexity 30) and ``umap`` (McInnes et al. 2018) lay out
    the scored codes, if there are more than 10,000 that many of them, evenly spaced. Neither can place a new code; each
    other one, so every training code, is put at the median (in each coordinate) of the 5 laid out ones whose codes are
    nearest, as openTSNE starts it (Poličar et al. 2024). All three give the same again for the same codes.

    Args:
        train_codes: those that labels are drawn from, ``(N, D)``.
        scored_codes: those of the images that a classifier is scored on, ``(M, D)``.
        method: ``pca``, ``tsne`` or ``umap``.

    Returns:
        ``train (N, 2)`` and ``scored (M, 2)``, float32, of no unit.

    Raises:
        ValueError: for another method, or without UMAP's library.
    """
    require_method(method=method)
    if train_codes.shape[1] == 1:
        train_codes, scored_codes = (np.pad(codes, ((0, 0), (0, 1))) for codes in (train_codes, scored_codes))
    if method == "pca":
        return _principal(train_codes, scored_codes)
    chosen = np.linspace(0, len(scored_codes) - 1, min(MOST, len(scored_codes))).astype(int)
    codes = scored_codes[chosen]
    points = (_tsne if method == "tsne" else _umap)(codes).astype(np.float32)
    scored = points if len(codes) == len(scored_codes) else _placed(scored_codes, codes, points)
    scored[chosen] = points
    return {"train": _placed(train_codes, codes, points), "scored": scored}


def _principal(train_codes: np.ndarray, scored_codes: np.ndarray) -> dict[str, np.ndarray]:
    shift = train_codes.mean(0, dtype=np.float64)
    centred = train_codes - shift
    variances, directions = np.linalg.eigh(centred.T @ centred / len(centred))
    directions = directions[:, [-1, -2]]
    directions *= np.sign(directions[np.abs(directions).argmax(0), [0, 1]])  # which way is up is a choice: the same one
    share = variances[[-1, -2]] / variances.sum()
    places = {"train": centred @ directions, "scored": (scored_codes - shift) @ directions, "share": share}
    return {name: values.astype(np.float32) for name, values in places.items()}


def _tsne(codes: np.ndarray) -> np.ndarray:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # threads add up in an order of their own: the same picture for the same codes
        return TSNE(perplexity=min(30, (len(codes) - 1) / 3), init="pca", random_state=0).fit_transform(codes)


def _umap(codes: np.ndarray) -> np.ndarray:
    from umap import UMAP

    return UMAP(n_neighbors=min(15, len(codes) - 1), random_state=0, n_jobs=1).fit_transform(codes)


def _placed(codes: np.ndarray, laid_out: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Where codes ``(N, D)`` belong among others ``(M, D)`` that lie at points ``(M, 2)``: ``(N, 2)`` float32."""
    a, b = (torch.from_numpy(array).double() for array in (codes, laid_out))
    k = min(NEAREST, len(b))
    nearest = torch.cat([squared.topk(k, largest=False).indices for _, squared in squared_distances(a, b)])
    return np.median(points[nearest.numpy()], axis=1).astype(np.float32)


def axes_of(method: str, plane: dict[str, np.ndarray]) -> str:
    """What the two axes of a map are.

    Args:
        method: ``pca``, ``tsne`` or ``umap``.
        plane: of :func:`plane_of`.
    """
    if method == "pca":
        across, up = (f"{share:.0%}" for share in plane["share"])
        return f"axes: the directions of most variance, {across} of it across and {up} upright (PCA)"
    return f"axes: of {'t-SNE' if method == 'tsne' else 'UMAP'}, without a meaning or a scale"


def codes_map(
    points: np.ndarray,
    targets: np.ndarray,
    predicted: np.ndarray,
    labelled_points: np.ndarray,
    labelled_targets: np.ndarray,
    class_names: Sequence[str],
    caption: str,
) -> np.ndarray:
    """The scored images' codes in the colour of their true class: what is right pale, what is wrong strong with a black
    edge, and the first 100 labelled codes large with a ring; beside it how many of each class are wrong.

    The scale is set by the scored codes alone, so that maps of several draws compare.

    Args:
        points: places of the scored codes ``(N, 2)``, of one unit in both directions.
        targets: their classes ``(N,)``, numbers from 0.
        predicted: what the classifier said ``(N,)``.
        labelled_points: places of the codes it was given with their class, ``(n, 2)``.
        labelled_targets: their classes ``(n,)``.
        class_names: of the K classes.
        caption: stands above all.

    Returns:
        uint8 ``(H, W, 3)``.
    """
    colours = palette(len(class_names))
    wrong, counts = targets != predicted, np.bincount(targets, minlength=len(class_names))
    errors = np.bincount(targets[wrong], minlength=len(class_names))
    marked = min(MOST_LABELLED, len(labelled_points))
    key = (
        f"{len(labelled_points)} labelled" + f", {marked} shown" * (marked < len(labelled_points)),
        f"{wrong.sum()} wrong",
        f"{len(points) - wrong.sum()} right",
    )
    classes = [f"{name}: {bad} of {n} wrong" for name, bad, n in zip(class_names, errors, counts, strict=True)]
    heights = LINE * (np.arange(len(key) + 1 + len(classes)) + 0.5)  # of the lines of the legend
    dots = np.stack([np.full(len(heights), SIDE + LINE / 2), heights], 1)

    depth = max(SIDE, LINE * len(heights))
    plan = Image.new("RGB", ((SIDE + LINE) * FINER, depth * FINER), "white")
    draw = ImageDraw.Draw(plan)
    scored, labelled = _on_map(points, points), _on_map(labelled_points[:marked], points)
    _dots(draw, scored[~wrong], [_right(colours[label]) for label in targets[~wrong]])
    _dots(draw, scored[wrong], [_wrong(colours[label]) for label in targets[wrong]])
    _dots(draw, labelled, [_labelled(colours[label]) for label in labelled_targets[:marked]])
    _dots(draw, dots[: len(key)], [_labelled(NO_CLASS), _wrong(NO_CLASS), _right(NO_CLASS)])
    _dots(draw, dots[len(key) + 1 :], [[(LABELLED, colour)] for colour in colours])

    font = ImageFont.load_default(FONT)
    breadth = SIDE + LINE + int(max(map(font.getlength, (*key, *classes)))) + 2 * MARGIN
    strip = captioned(torch.empty(0, breadth, dtype=torch.uint8), caption)
    sheet = Image.new("RGB", (max(breadth, strip.shape[1]), len(strip) + depth), "white")
    sheet.paste(Image.fromarray(strip.numpy()))
    sheet.paste(plan.reduce(FINER), (0, len(strip)))
    draw = ImageDraw.Draw(sheet)
    for label in np.flatnonzero(counts):
        own = scored[targets == label]
        middle = own[np.abs(own - np.median(own, axis=0)).sum(1).argmin()] + (0, len(strip))
        _write_name(draw, middle, class_names[label], colours[label], font)
    for height, text in zip(heights, (*key, "true class", *classes), strict=True):
        draw.text((SIDE + LINE + MARGIN, len(strip) + height), text, "black", font, anchor="lm")
    return np.array(sheet)


def palette(num_classes: int) -> list[Colour]:
    """A colour a class: of ten that colour-blind eyes tell apart; of more classes, hues all around in three shades."""
    if num_classes <= len(PALETTE):
        return [ImageColor.getrgb(colour) for colour in PALETTE[:num_classes]]
    shades = ((0.38, 0.9), (0.55, 0.6), (0.7, 0.9))  # lightness, saturation
    found = [colorsys.hls_to_rgb(i / num_classes, *shades[i % len(shades)]) for i in range(num_classes)]
    return [tuple(round(255 * part) for part in colour) for colour in found]


def _on_map(points: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Points in screen pixels from the upper left, such that all the ``shown`` ones are within the border; one unit is
    as long in both directions. What lies farther out stands on the border."""
    low, high = shown.min(0), shown.max(0)
    unit = (SIDE - 2 * BORDER) / (float(np.max(high - low)) or 1.0)
    return np.clip(SIDE / 2 + (points - (low + high) / 2) * unit * (1, -1), BORDER, SIDE - BORDER)


def _right(colour: Colour) -> list[tuple]:
    return [(RIGHT, tuple(round(part + PALE * (255 - part)) for part in colour))]


def _wrong(colour: Colour) -> list[tuple]:
    return [(WRONG + EDGE, "black"), (WRONG, colour)]


def _labelled(colour: Colour) -> list[tuple]:
    return [(LABELLED + 2 * RING, "white"), (LABELLED + RING, "black"), (LABELLED, colour)]


def _dots(draw: ImageDraw.ImageDraw, places: np.ndarray, dots: list[list[tuple]]) -> None:
    """Draws dots around places in screen pixels, each a few discs ``(radius, fill)`` over one another, onto a plan that
    is so many times finer."""
    for (x, y), discs in zip(places * FINER, dots, strict=True):
        for radius, fill in discs:
            reach = radius * FINER
            draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill)


def _write_name(draw: ImageDraw.ImageDraw, middle: np.ndarray, name: str, colour: Colour, font) -> None:
    half, high = font.getlength(name) / 2 + MARGIN, LINE / 2 - 1
    x, y = np.rint(middle).clip((half, 0), (SIDE - half, np.inf))  # the whole of it on the map
    draw.rounded_rectangle((x - half, y - high, x + half, y + high), 5, "white", colour, 2)
    draw.text((x, y), name, "black", font, anchor="mm")
