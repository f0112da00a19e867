"""Pictures of an adversarial model in the plane, made of the frames that ``PlaneView`` keeps."""

import math
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from callbacks.drawing.colours import BLACK, DECISIONS, FOLD, GENERATED, REAL
from callbacks.drawing.mosaics import save_gif, thinned
from callbacks.drawing.output import pixels
from callbacks.drawing.plane_scores import draw_scores, score_series
from metrics.advice import IN_A_FRAME
from metrics.plane_yardstick import PAIRED

if TYPE_CHECKING:  # matplotlib is imported where it draws: a mistake in a command needs none
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LAYERS = ("real", "generated", "decision", "gradients", "manifold")
CONTOURS, LETTERS = 10, 190  # lines of a map; in a line above the whole
LONGEST_ARROW = 1 / 12  # of the window's side, in the median frame
MOST_ARROW = 1 / 6  # longer ones, as early in training, would cover the plot
ANIMATION_FRAMES, ANIMATION_MS, LAST_MS = 60, 120, 1500
ANIMATION_DPI = 75
MARKS = {  # of the points: told apart by shape too, and from the sheet under them by a white rim
    "real": {"marker": "o", "s": 16, "color": REAL, "alpha": 0.85, "edgecolors": "white", "linewidths": 0.5},
    "generated": {"marker": "D", "s": 15, "color": GENERATED, "alpha": 0.95, "edgecolors": "white", "linewidths": 0.5},
}


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
        axes.scatter(*state["real"].numpy().T, **MARKS["real"], zorder=3)
    points = frame["points"].numpy()
    if "gradients" in layers:
        arrows = frame["arrows"].numpy() * (arrow_scale(state) if scale is None else scale)
        longest = np.linalg.norm(arrows, axis=1, keepdims=True) / (MOST_ARROW * (window[1] - window[0]))
        arrows = arrows / np.clip(longest, 1, None)
        axes.quiver(*points.T, *arrows.T, angles="xy", scale_units="xy", scale=1, color=BLACK, alpha=0.65,
                    width=0.0022, headwidth=5, headlength=6, headaxislength=5, zorder=4)  # fmt: skip
    if "generated" in layers:
        axes.scatter(*points.T, **MARKS["generated"], zorder=5)
    axes.set(xlim=window[:2], ylim=window[2:], aspect="equal", xlabel="x", ylabel="y")
    axes.tick_params(labelsize=8)


def _legend(state: dict, layers: list[str]) -> list:
    """What points, arrows, the generator's sheet and the map's colours mean, of the layers that are drawn."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    frame, found = state["frames"][-1], []
    for layer, words in (("real", "real points"), ("generated", "generated points, before the update")):
        if layer in layers:
            mark = MARKS[layer]
            style = {"marker": mark["marker"], "color": mark["color"], "markeredgecolor": "white", "markersize": 6}
            found.append(Line2D([], [], ls="", label=words, **style))
    if "gradients" in layers:
        arrow = {"marker": r"$\rightarrow$", "markersize": 12, "color": BLACK}
        found.append(Line2D([], [], ls="", label="where the generator's loss falls, before it", **arrow))
    if "manifold" in layers and frame["manifold"]:
        if state["noise"]["dim"] == 1:
            found.append(Line2D([], [], color=GENERATED, lw=1.5, label="all that the generator can make, after it"))
        else:
            style = {"facecolor": GENERATED, "alpha": 0.35, "edgecolor": GENERATED}
            found.append(Patch(label="image of a grid of noise after it, denser darker", **style))
            found.append(Patch(fill=False, edgecolor=FOLD, label="folded over"))
    if "decision" in layers:
        words = ("critic: low value", "critic: high value") if state["says"] == "distance" else (
            "discriminator: generated", "discriminator: real")  # fmt: skip
        found += [
            Patch(facecolor=colour, edgecolor="0.6", label=said)
            for colour, said in zip((DECISIONS[0], DECISIONS[-1]), words, strict=True)
        ]
    return found


def _draw_decision(axes: "Axes", heat: np.ndarray, window: list[float], limits: list[float] | None) -> None:
    """The critic's map, coloured between the limits of its decisions; where it has none, its shape is in contours."""
    from matplotlib.colors import LinearSegmentedColormap

    low, high = limits or (None, None)
    colours = LinearSegmentedColormap.from_list("decisions", list(DECISIONS))
    axes.imshow(heat, extent=window, origin="lower", cmap=colours, interpolation="bilinear", vmin=low, vmax=high)
    if limits is None and np.ptp(heat) > 0:
        cells = len(heat)
        x, y = (low + (high - low) * (np.arange(cells) + 0.5) / cells for low, high in (window[:2], window[2:]))
        axes.contour(x, y, heat, CONTOURS, colors="0.35", linewidths=0.6, linestyles="solid")


def _draw_manifold(axes: "Axes", found: dict[str, np.ndarray]) -> None:
    """The warped grid, or curve, the denser the darker; what is folded over has edges of its own colour."""
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.colors import to_rgb

    vertices, density = found["vertices"], found["density"]
    logs = np.log(np.clip(density, 1e-12, 1e12))
    low, high = np.quantile(logs, [0.05, 0.95])
    weight = np.clip((logs - low) / max(high - low, 1e-9), 0, 1)
    colours = np.tile(np.array([*to_rgb(GENERATED), 1.0]), (len(weight), 1))
    if len(vertices) == len(density) + 1:
        colours[:, 3] = 0.2 + 0.7 * weight
        segments = np.stack([vertices[:-1], vertices[1:]], axis=1)
        axes.add_collection(LineCollection(segments, colors=colours, lw=1.5, zorder=2))
        return
    side = math.isqrt(len(vertices))
    grid = vertices.reshape(side, side, 2)
    quads = np.stack([grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]], axis=2).reshape(-1, 4, 2)
    colours[:, 3] = 0.02 + 0.3 * weight
    edges = np.where(found["fold"][:, None], [*to_rgb(FOLD), 0.9], [*to_rgb(GENERATED), 0.2])
    axes.add_collection(PolyCollection(quads, facecolors=colours, edgecolors=edges, linewidths=0.5, zorder=2))


def frame_figure(state: dict, index: int, layers: list[str]) -> "Figure":
    """A frame with its scores and a legend."""
    figure = _figure(6.0, 6.9)
    _explained(figure, figure.subplots(), state, index, layers)
    return figure


def _explained(figure, axes: "Axes", state: dict, index: int, layers: list[str], scale: float | None = None) -> None:
    """A frame under what is to be known of it, over a legend."""
    draw_frame(axes, state, index, layers, scale)
    frame = state["frames"][index]
    third = (
        absent(state, frame, layers) or "\nall generated points lie within"
    )  # three lines in all frames: of one layout
    figure.suptitle(f"{caption(frame)}\n{budgets(state, frame)}{third}", fontsize=8)
    if not figure.legends:  # an animation's is all frames'
        figure.legend(handles=_legend(state, layers), loc="outside lower center", ncols=2, fontsize=8, frameon=False)


def caption(frame: dict) -> str:
    """``learning generator after update 1,200: JS 0.041 bits (10,000 points), W1 0.0189 (300 pairs), 8 modes``: not its
    average, which the headline is of; the points that are drawn are those before the update."""
    scores = frame["scores"]
    modes = f", {scores['modes']} modes" if "modes" in scores else ""
    distances = f"JS {scores['js']:.3f} bits ({IN_A_FRAME:,} points), W1 {scores['w1']:.4f} ({PAIRED} pairs)"
    return f"learning generator after update {frame['update']:,}: {distances}{modes}"


def budgets(state: dict, frame: dict) -> str:
    """What each of the two had learned by then: ``generator 600 steps, critic 3,000``."""
    judge = "critic" if state["says"] == "distance" else "discriminator"
    critic, generator = (steps * frame["update"] for steps in (state["steps"]["critic"], state["steps"]["generator"]))
    took = f"{generator:,} step{'s' * (generator != 1)}" if generator else "fixed"
    return f"generator {took}, {judge} {critic:,} step{'s' * (critic != 1)}"


def absent(state: dict, frame: dict, layers: list[str]) -> str:
    """A line on the generated points that one doesn't see; empty where all are seen."""
    if "generated" not in layers:
        return "\nno generated points drawn"
    points, (left, right, low, high) = frame["points"].numpy(), state["window"]
    inside = (points >= (left, low)).all(1) & (points <= (right, high)).all(1)
    return "" if inside.all() else f"\n{np.sum(~inside)} of {len(points)} generated points lie outside"


def panel_figure(state: dict, layers: list[str]) -> "Figure":
    """The last frame, small, as one of many on a sheet, whose legend is :func:`latent_lab.charts.panels_figure`'s. The
    figures above it are the headline's, of the averaged generator."""
    figure, frame = _figure(3.2, 3.6), state["frames"][-1]
    axes = figure.subplots()
    draw_frame(axes, state, -1, [layer for layer in layers if layer not in ("gradients", "manifold")])
    axes.set(xlabel="", ylabel="")
    axes.tick_params(labelsize=7)
    whose, scores = ("average", state["final"]["averaged"]) if state.get("final") else ("generator", frame["scores"])
    scores = f"{whose} after update {frame['update']:,}:\nJS {scores['js']:.4f} bits, W1 {scores['w1']:.4f}"
    steps = budgets(state, frame).replace(", ", "\n")
    axes.set_title(f"{steps}\n{scores}{absent(state, frame, layers)}", fontsize=8)
    figure.get_layout_engine().execute(figure)  # laid out, its plot has other ticks: the next layout is of those
    return figure


def overview_figure(state: dict, layers: list[str], title: str) -> "Figure":
    """The last frame beside the scores over updates."""
    charts = score_series(state)
    rows = math.ceil(len(charts) / 2)
    figure = _figure(14, max(7.6, 2.3 * rows))
    left, right = figure.subfigures(1, 2, width_ratios=[6, 8])
    _explained(left, left.subplots(), state, -1, layers)
    for place, chart in zip(right.subplots(rows, 2, squeeze=False).flat, charts, strict=False):
        draw_scores(place, chart)
    for place in right.axes[len(charts) :]:
        place.set_visible(False)
    figure.suptitle(textwrap.fill(title, LETTERS), fontsize=9)
    return figure


def save_animation(state: dict, layers: list[str], path: Path) -> None:
    """The frames as a GIF, evenly thinned, drawn to one scale."""
    scale, figure, images = arrow_scale(state), _figure(6.0, 6.9, ANIMATION_DPI), []
    axes, colours = figure.subplots(), _palette()
    for index in thinned(range(len(state["frames"])), ANIMATION_FRAMES):
        axes.clear()
        _explained(figure, axes, state, index, layers, scale)
        images.append(Image.fromarray(pixels(figure)).quantize(palette=colours, dither=Image.Dither.NONE))
        figure.set_layout_engine("none")  # the first frame's is all frames': to lay out costs as much as to draw
    save_gif(images, path, ANIMATION_MS, LAST_MS)


def _palette() -> Image.Image:
    """The 256 colours of a GIF's frames: shades of the map, and of all that is drawn, to the white of its rims."""
    from matplotlib.colors import to_rgb

    low, middle, high = (np.array(to_rgb(colour)) for colour in DECISIONS)
    ways = [(low, middle, 48), (middle, high, 48)]
    ways += [(to_rgb(colour), (1, 1, 1), 32) for colour in (GENERATED, REAL, FOLD)] + [((0, 0, 0), (1, 1, 1), 64)]
    shades = np.concatenate([np.linspace(start, end, count) for start, end, count in ways])
    image = Image.new("P", (1, 1))
    image.putpalette(np.rint(255 * shades).astype(np.uint8).tobytes())
    return image
