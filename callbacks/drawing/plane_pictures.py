"""Pictures of an adversarial model in the plane, made of the frames that ``PlaneView`` keeps."""

import math
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from callbacks.drawing.mosaics import save_gif, thinned
from callbacks.drawing.output import pixels

if TYPE_CHECKING:  # matplotlib is imported where it draws: a mistake in a command needs none
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LAYERS = ("real", "generated", "decision", "gradients", "manifold")
REAL, GENERATED, FOLD = "#1b7f4b", "#7b3fa0", "#e07b00"
DECISIONS = ["#c9a6dd", "#f2f2f2", "#a4d8bd"]  # from generated over undecided to real
CONTOURS = 10
LONGEST_ARROW = 1 / 12  # of the window's side, in the median frame
ANIMATION_FRAMES, ANIMATION_MS, LAST_MS = 60, 120, 1500
ANIMATION_DPI = 65


def _figure(width: float, height: float, dpi: int = 100) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=dpi, layout="constrained")


def require_layers(layers: list[str]) -> None:
    """Raises ValueError for a layer that there is not."""
    for layer in layers:
        if layer not in LAYERS:
            raise ValueError(f"view.layers: {layer} is none; accepted are {', '.join(LAYERS)}")


def arrow_scale(state: dict) -> float:
    """How many window units a gradient of length 1 is drawn as, the same in all frames."""
    longest = sorted(float(np.linalg.norm(frame["arrows"].numpy(), axis=1).max()) for frame in state["frames"])
    side = state["window"][1] - state["window"][0]
    middle = longest[len(longest) // 2]
    return LONGEST_ARROW * side / middle if 0 < middle < math.inf else 0.0


def draw_frame(axes: "Axes", state: dict, index: int, layers: list[str], scale: float | None = None) -> None:
    """One frame: the critic's map after it learned, the points before the generator did, and what moves them."""
    frame, window = state["frames"][index], state["window"]
    if "decision" in layers:
        _draw_decision(axes, frame["heat"].numpy(), window, state["range"])
    if "manifold" in layers and frame["manifold"]:
        _draw_manifold(axes, {name: value.numpy() for name, value in frame["manifold"].items()})
    if "real" in layers:
        axes.scatter(*state["real"].numpy().T, s=7, color=REAL, alpha=0.7, linewidths=0, zorder=3)
    points = frame["points"].numpy()
    if "gradients" in layers:
        from matplotlib.collections import LineCollection

        ends = points + frame["arrows"].numpy() * (arrow_scale(state) if scale is None else scale)
        axes.add_collection(LineCollection(np.stack([points, ends], 1), colors=GENERATED, lw=0.6, alpha=0.7, zorder=4))
    if "generated" in layers:
        axes.scatter(*points.T, s=9, color=GENERATED, alpha=0.85, linewidths=0, zorder=5)
    axes.set(xlim=window[:2], ylim=window[2:], aspect="equal")
    axes.tick_params(labelsize=7)


def _draw_decision(axes: "Axes", heat: np.ndarray, window: list[float], limits: list[float] | None) -> None:
    """The critic's map, coloured between the limits of its decisions; where it has none, its shape is in contours."""
    from matplotlib.colors import LinearSegmentedColormap

    low, high = limits or (None, None)
    colours = LinearSegmentedColormap.from_list("decisions", DECISIONS)
    axes.imshow(heat, extent=window, origin="lower", cmap=colours, interpolation="bilinear", vmin=low, vmax=high)
    if limits is None and np.ptp(heat) > 0:
        cells = len(heat)
        x, y = (low + (high - low) * (np.arange(cells) + 0.5) / cells for low, high in (window[:2], window[2:]))
        axes.contour(x, y, heat, CONTOURS, colors="0.35", linewidths=0.6)


def _draw_manifold(axes: "Axes", found: dict[str, np.ndarray]) -> None:
    """The warped grid, or curve, the denser the darker; what is folded over, in orange."""
    from matplotlib.collections import LineCollection, PolyCollection

    vertices, density = found["vertices"], found["density"]
    logs = np.log(np.clip(density, 1e-12, 1e12))
    low, high = np.quantile(logs, [0.05, 0.95])
    weight = np.clip((logs - low) / max(high - low, 1e-9), 0, 1)
    colours = np.tile(np.array([0.48, 0.25, 0.63, 1.0]), (len(weight), 1))
    if len(vertices) == len(density) + 1:
        colours[:, 3] = 0.2 + 0.7 * weight
        segments = np.stack([vertices[:-1], vertices[1:]], axis=1)
        axes.add_collection(LineCollection(segments, colors=colours, lw=1.5, zorder=2))
        return
    side = math.isqrt(len(vertices))
    grid = vertices.reshape(side, side, 2)
    quads = np.stack([grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]], axis=2).reshape(-1, 4, 2)
    colours[:, 3] = 0.03 + 0.4 * weight
    edges = np.where(found["fold"][:, None], [0.88, 0.48, 0.0, 0.9], [0.48, 0.25, 0.63, 0.25])
    axes.add_collection(PolyCollection(quads, facecolors=colours, edgecolors=edges, linewidths=0.5, zorder=2))


def frame_figure(state: dict, index: int, layers: list[str]) -> "Figure":
    """A frame with its scores."""
    figure = _figure(5.6, 5.8)
    axes = figure.subplots()
    draw_frame(axes, state, index, layers)
    axes.set_title(caption(state["frames"][index]), fontsize=9)
    return figure


def caption(frame: dict) -> str:
    """``update 1,200: JS .041 bits, W1 .0189, 8 modes``."""
    scores = frame["scores"]
    modes = f", {scores['modes']} modes" if "modes" in scores else ""
    return f"update {frame['update']:,}: JS {scores['js']:.3f} bits, W1 {scores['w1']:.4f}{modes}"


def panel_figure(state: dict, layers: list[str]) -> "Figure":
    """The last frame, small and bare, as one of many on a sheet."""
    figure = _figure(2.4, 2.4)
    axes = figure.subplots()
    draw_frame(axes, state, -1, [layer for layer in layers if layer not in ("gradients", "manifold")])
    axes.set(xticks=[], yticks=[])
    return figure


def decided_as(state: dict) -> str:
    """The score ``decided`` as a formula: ``|D - 1/2|``, and ``|D| / 2`` where decisions go from -1 to 1."""
    if state["range"] is None:
        return ""
    (low, high), undecided = state["range"], state["undecided"]
    distance = f"|D - {Fraction(undecided)}|" if undecided else "|D|"
    return distance if high - low == 1 else f"{distance} / {high - low:g}"


def score_series(state: dict) -> list[dict]:
    """The scores over updates as charts: title, updates, series, lines, whether logarithmic."""
    frames, bounds = state["frames"], state["bounds"]
    floor, limit = ({name: bound[i] for name, bound in bounds.items()} for i in (0, 2))
    updates = [frame["update"] for frame in frames]

    def chart(title: str, series: dict[str, str], lines: dict[str, float], log: bool = False) -> dict:
        found = {
            label: [frame["scores"][name] for frame in frames]
            for name, label in series.items()
            if name in frames[0]["scores"]
        }
        return {"title": title, "updates": updates, "series": found, "lines": lines, "log": log}

    charts = [
        chart(
            "JS divergence from the data, bits",
            {"js": "generator", "js_averaged": "its average"},
            {"limit: data twice as wide": limit["js"], "floor: as many points of the data": floor["js"]},
            log=True,
        ),
        chart(
            "KL divergence of the data from it, bits",
            {"kl": "generator", "kl_averaged": "its average"},
            {"floor": floor["kl"]},
            log=True,
        ),
        chart(
            "Wasserstein-1 distance",
            {"w1": "generator", "w1_averaged": "its average", "critic_w1": "critic's estimate"},
            {"limit: a tenth moved to one place": limit["w1"], "floor: two samples of the data": floor["w1"]},
        ),
        chart("modes hit", {"modes": "generator", "modes_averaged": "its average"}, {"all": floor.get("modes", 0)}),
        chart(
            "mass: least share of a part in its due, in the wrong part, near",
            {"least_averaged": "least", "misplaced_averaged": "misplaced", "near_averaged": "near"},
            {f"limit of {name}": limit[name] for name in ("least", "misplaced", "near")},
        ),
        chart("mean length of the gradients", {"gradient": "gradients"}, {}, log=True),
        chart(f"{decided_as(state)} at real and generated points", {"decided": "mean"}, {"undecided": 0.0}),
    ]
    return [found for found in charts if found["series"]]


def overview_figure(state: dict, layers: list[str], title: str) -> "Figure":
    """The last frame beside the scores over updates."""
    charts = score_series(state)
    rows = math.ceil(len(charts) / 2)
    figure = _figure(14, 6.6)
    left, right = figure.subfigures(1, 2, width_ratios=[6, 8])
    axes = left.subplots()
    draw_frame(axes, state, -1, layers)
    axes.set_title(caption(state["frames"][-1]), fontsize=9)
    for place, chart in zip(right.subplots(rows, 2, squeeze=False).flat, charts, strict=False):
        for label, values in chart["series"].items():
            place.plot(chart["updates"], values, lw=1, label=label)
        for label, value in chart["lines"].items():
            place.axhline(value, color="0.3", lw=0.8, ls=":")
            place.annotate(label, (1, value), xycoords=("axes fraction", "data"), fontsize=6, ha="right", va="bottom")
        place.set_yscale("log" if chart["log"] else "linear")
        place.set_title(chart["title"], fontsize=8)
        place.tick_params(labelsize=6)
        place.grid(alpha=0.3)
        place.legend(fontsize=6)
    for place in right.axes[len(charts) :]:
        place.set_visible(False)
    figure.suptitle(title, fontsize=9, wrap=True)
    return figure


def save_animation(state: dict, layers: list[str], path: Path) -> None:
    """The frames as a GIF, evenly thinned, drawn to one scale."""
    scale, figure, images = arrow_scale(state), _figure(5.6, 5.8, ANIMATION_DPI), []
    axes = figure.subplots()
    for index in thinned(range(len(state["frames"])), ANIMATION_FRAMES):
        axes.clear()
        draw_frame(axes, state, index, layers, scale)
        axes.set_title(caption(state["frames"][index]), fontsize=9)
        images.append(Image.fromarray(pixels(figure)).quantize(method=Image.Quantize.FASTOCTREE))
        figure.set_layout_engine("none")  # the first frame's is all frames': to lay out costs as much as to draw
    save_gif(images, path, ANIMATION_MS, LAST_MS)
