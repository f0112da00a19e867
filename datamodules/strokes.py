"""What of a picture was drawn: its strokes, and not the ground, its shade or noise."""

import numpy as np
from PIL import Image

FAINTEST, FAINT = 0.2, 0.12  # differences from the ground, of 1 from black to white, of strokes and of any mark
APART = 0.25  # such a difference between the border and the whole: one of them is no ground
STEP = 0.06  # such a difference between neighbours in a ground of 64 x 64 is an edge; light falls off slower
BLANK = "no stroke in it; strokes differ from their ground, which is most of the picture"
UNTOLD = "its strokes can't be told from shade or noise; light it evenly, leave a margin and draw strong, thin strokes"
LOOKED_AT = 2**14  # pixels of a kind, drawn at random, to tell how sharp their edges are


def strokes(bands: list[np.ndarray], opacity: np.ndarray) -> tuple[np.ndarray, bool]:
    """Which pixels ``(H, W)`` of colours and opacity in [0, 1] are strokes, and whether fainter marks are left out.

    They differ from the ground half as much as the strongest, in any colour. The ground is what most of a picture and
    its border are, lit evenly or not. Where at most half is opaque, that was drawn, or is a card that was drawn on.

    Raises:
        ValueError: nothing stands out, or it can't be told what from what.
    """
    drawn = opacity >= 0.5
    if not drawn.any():
        raise ValueError(BLANK)
    even = [np.median(band[drawn][:: 1 + band.size // 2**20]) for band in bands]
    is_card = drawn.mean() <= 0.5
    if is_card and ((_coarse(drawn) > 0.95).mean() <= drawn.mean() / 5 or _apart(bands, even)[drawn].max() < FAINTEST):
        return drawn, False
    if not drawn.all():
        bands = [np.where(drawn, band, level) for band, level in zip(bands, even, strict=True)]
    border = [np.median(_border(band)) for band in bands]
    framed = max(abs(a - b) for a, b in zip(border, even, strict=True)) > APART
    apart = _apart(bands, border if framed else even)
    found, least, sure = _stand_out(apart)
    if framed and (min(border) < 1 - APART or not sure or _is_slate(found)):
        raise ValueError("its border is of another colour than most of it; leave a margin of its ground around strokes")
    if not sure:
        apart = _apart_from_uneven(bands)
        found, least, sure = _stand_out(apart)
    if not sure:
        raise ValueError(UNTOLD)
    if is_card and (found.sum() > drawn.sum() / 4 or _drops(apart, found, ~drawn)[1].mean() > 0.1):
        raise ValueError("it is of several colours on nothing, and which is the ground? Make the ground opaque")
    faint = (apart >= least) & ~found
    drops, beside = _drops(apart, faint, found)
    fainter = faint.sum() * np.mean((drops >= FAINT / 2) & ~beside) if len(drops) else 0
    if fainter > 10 * found.sum():
        raise ValueError("only specks stand out, and its strokes are faint; remove the specks or draw stronger ones")
    return found, bool(fainter > found.sum() / 20)


def _apart(bands: list[np.ndarray], ground: list) -> np.ndarray:
    apart = np.zeros_like(bands[0])
    for band, level in zip(bands, ground, strict=True):
        np.maximum(apart, np.abs(band - level), out=apart)
    return apart


def _apart_from_uneven(bands: list[np.ndarray]) -> np.ndarray:
    """From a ground that changes slowly, of which strokes are the smaller part at each place; in shade, less counts."""
    from scipy.ndimage import median_filter

    ground = []
    for small in (_small(band, 64) for band in bands):
        reach = max(1, max(small.shape) // 8)
        around = np.pad(small, reach, mode="reflect", reflect_type="odd")
        small = median_filter(around, 2 * reach + 1)[reach:-reach, reach:-reach]
        if max(np.abs(np.diff(small, axis=axis)).max(initial=0) for axis in (0, 1)) > STEP:
            raise ValueError(UNTOLD)
        ground.append(np.asarray(Image.fromarray(small).resize(bands[0].shape[::-1], Image.Resampling.BILINEAR)))
    return np.minimum(_apart(bands, ground) / np.maximum(np.maximum.reduce(ground), 0.4), 1)


def _stand_out(apart: np.ndarray) -> tuple[np.ndarray, float, bool]:
    """What differs most, from which difference on anything is a mark, and whether the first is sharp and no noise."""
    marks = apart[apart >= FAINTEST]
    if not marks.size:
        raise ValueError(BLANK)
    step, some = max(1, max(apart.shape) // 64), 1 + apart.size // 2**20
    flat = apart.ravel()
    noise = 1.75 * float(np.median(np.abs(flat[step::some] - flat[:-step:some])))  # a standard deviation
    marks = marks[:: 1 + marks.size // 2**20]
    least = np.quantile(marks, 0.98) / 2  # of specks that are stronger than all strokes there are few
    found = apart >= max(least, 3 * noise)
    drops, beside = _drops(apart, found, ~found)
    sharp = least >= 2 * noise and beside.any() and np.mean(drops[beside] >= least / 2) >= 0.9
    thick, level = _coarse(found) > 0.95, _coarse(apart)  # a shadow is thick, and paler than strokes or at the border
    shadow = thick.any() and (_border(thick).any() or level[thick].mean() < 1.5 * least)
    return found, max(FAINT, 4 * noise), bool(sharp and not shadow)


def _drops(apart: np.ndarray, where: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of some of the pixels ``where``: how much nearer the ground others around are, and whether ``other`` is there."""
    places = np.flatnonzero(where)
    if len(places) > LOOKED_AT:
        places = places[np.random.default_rng(0).choice(len(places), LOOKED_AT, replace=False)]
    places = np.stack(np.unravel_index(places, where.shape), axis=1)

    def near(band, scale):
        steps = [np.multiply((y, x), scale).astype(int) for y in range(-2, 3) for x in range(-2, 3)]
        return [band[tuple(np.clip(places + step, 0, np.subtract(band.shape, 1)).T)] for step in steps]

    lowest = np.min(near(apart, max(2, max(apart.shape) // 100) / 2), 0)
    return apart[tuple(places.T)] - lowest, np.any(near(other, max(1, max(apart.shape) // 500)), 0)


def _border(band: np.ndarray) -> np.ndarray:
    return np.concatenate([band[0], band[-1], band[1:-1, 0], band[1:-1, -1]])


def _small(band: np.ndarray, most: int) -> np.ndarray:
    size = [max(1, round(side * min(1, most / max(band.shape)))) for side in band.shape[::-1]]
    return np.asarray(Image.fromarray(band.astype(np.float32)).resize(size, Image.Resampling.BOX))


def _coarse(band: np.ndarray) -> np.ndarray:
    """Of at most 16 x 16 cells; one of 1 in a mask is filled, so that something thick is there."""
    return _small(band, min(16, max(1, max(band.shape) // 3)))


def _is_slate(found: np.ndarray) -> bool:
    """Whether something light is within what is found, so that this may be a slate in a light frame."""
    from scipy.ndimage import binary_closing, binary_fill_holes

    dark = np.pad(_small(found, 128) > 0.98, 4)
    return (binary_fill_holes(binary_closing(dark, np.ones((5, 5)))) & ~dark).mean() > 0.005
