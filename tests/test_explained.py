"""Pictures carry their own explanation: legends, budgets, what is not there; colours that all eyes tell apart."""

import itertools

import numpy as np
import pytest
import torch
from matplotlib.text import Text
from PIL import Image
from sweeps_of_heads import write_job
from test_plane_view import few_points, fitted  # noqa: F401  the fixture is used by all tests here

from callbacks.drawing import colours
from callbacks.drawing.codes_map import PALETTE
from callbacks.drawing.loss_charts import MOST_FITS, fcd_chart, losses_figure
from callbacks.drawing.output import save_png
from callbacks.drawing.plane_pictures import (
    LAYERS,
    absent,
    budgets,
    frame_figure,
    overview_figure,
    panel_figure,
    save_animation,
)
from callbacks.drawing.plane_scores import main_scores
from callbacks.observers.plane_view import PlaneView
from latent_lab.accuracy_chart import accuracy_figure
from latent_lab.charts import panels_figure
from latent_lab.head_table import blocks
from latent_lab.report_page.curves import accuracy_chart, score_charts, score_curves
from latent_lab.results import read_results, repeats
from latent_lab.rows import aggregate, varying
from lightning_modules.wgan_gp import WGANGP

# Machado et al. 2009, severity 1: what the three kinds of colour-blind eyes make of linear RGB
EYES = {
    "usual": np.eye(3),
    "protan": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
    "deutan": [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
    "tritan": [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]],
}


def apart(one: str, other: str) -> float:
    """The least CIE76 difference of two colours that any of these eyes sees; 10 are seen at a glance."""

    def lab(colour: str, eye) -> np.ndarray:
        rgb = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
        linear = np.clip(np.asarray(eye) @ np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4), 0, 1)
        to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
        x, y, z = np.cbrt(np.maximum(to_xyz @ linear / [0.9505, 1, 1.089], 1e-4))
        return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])

    return min(float(np.linalg.norm(lab(one, eye) - lab(other, eye))) for eye in EYES.values())


def test_every_eye_tells_real_from_generated_and_points_from_the_sheet():
    assert apart(colours.REAL, colours.GENERATED) > 80
    assert apart("#1b7f4b", "#7b3fa0") < 80, "the green and purple that were"
    for point, ground in itertools.product((colours.REAL, colours.GENERATED), colours.DECISIONS):
        assert apart(point, ground) > 35, (point, ground)
    for one, other in itertools.combinations(colours.DECISIONS, 2):
        assert apart(one, other) > 15
    for one, other in itertools.combinations(PALETTE, 2):
        assert apart(one, other) > 10, (one, other)
    for one, other in itertools.combinations(colours.SERIES, 2):
        assert apart(one, other) > 10, (one, other)
    assert len(set(colours.MARKERS)) == len(colours.MARKERS) >= len(colours.SERIES), "lines have shapes besides"


def texts(figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def test_a_frame_says_what_is_what_and_how_much_each_has_learned():
    view = PlaneView(every_n_updates=10)
    fitted(view=view)
    state = view.state_dict()
    said = texts(frame_figure(state, -1, LAYERS))
    for words in ("real points", "generated points, before the update", "where the generator's loss falls, before it",
                  "image of a grid of noise after it", "folded over", "discriminator: real", "after update 20: JS ",
                  " pairs)",
                  "generator 20 steps, discriminator 20 steps"):  # fmt: skip
        assert words in said, words
    axes = frame_figure(state, -1, LAYERS).axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "y")
    without = texts(frame_figure(state, -1, ["real"]))
    assert "folded" not in without and "discriminator: real" not in without and "real points" in without
    figure = overview_figure(state, LAYERS, "a long sentence " * 60)
    figure.draw_without_rendering()
    assert "updates" in texts(figure)
    above, own = (one._suptitle.get_window_extent() for one in (figure, figure.subfigs[0]))
    assert above.x0 >= 0 and above.y0 > own.y1 and own.y0 > figure.axes[0].get_window_extent().y1, "nothing overlaps"


def test_five_critic_steps_an_update_are_five_times_the_updates():
    state = {"says": "distance", "steps": {"critic": 5, "generator": 1}}
    assert budgets(state, {"update": 600}) == "generator 600 steps, critic 3,000 steps"
    assert budgets(state | {"steps": {"critic": 5, "generator": 0}}, {"update": 600}) == (
        "generator fixed, critic 3,000 steps"
    )


def test_points_that_are_not_seen_are_spoken_of():
    state, points = {"window": [0.0, 1.0, 0.0, 1.0]}, torch.full((4, 2), 0.5)
    assert absent(state, {"points": points}, LAYERS) == ""
    assert absent(state, {"points": points}, ["real", "decision"]) == "\nno generated points drawn"
    points[1:] = torch.tensor([[0.5, 1.1], [-1.0, 0.5], [float("nan"), 0.0]])
    assert absent(state, {"points": points}, LAYERS) == "\n3 of 4 generated points lie outside"


def test_a_panel_and_its_sheet_explain_themselves(tmp_path):
    view = PlaneView(every_n_updates=10)
    fitted(WGANGP, view=view, n_generator=0)
    said = texts(panel_figure(view.state_dict(), ["real", "decision"]))
    for words in ("generator fixed", "critic 20 steps", "no generated points drawn", "JS "):
        assert words in said, words
    for layers, drawn in ((["real", "decision"], False), (LAYERS, True)):
        for name in "ab":
            save_png(panel_figure(view.state_dict(), layers), tmp_path / f"{name}.png")
        sheet = panels_figure([({"model": name}, tmp_path / f"{name}.png") for name in "ab"])
        for words in ("real points", "model a"):
            assert words in texts(sheet), words
        assert ("generated points, before the last update" in texts(sheet)) is drawn
        sheet.draw_without_rendering()
        assert sheet.legends[0].get_window_extent().x0 >= 0, "the legend is not cut off"


def test_an_animations_frames_keep_the_colours(tmp_path):
    """Each frame has its title and legend; the palette is exact where points and the map are told apart by it."""
    view = PlaneView(every_n_updates=10)
    fitted(view=view)
    state = view.state_dict()
    state["frames"][-1]["points"][0] = -9.0  # a third line in the last frame, where the first is laid out with two
    save_animation(state, LAYERS, tmp_path / "view.gif")
    with Image.open(tmp_path / "view.gif") as film:
        for index in range(film.n_frames):
            film.seek(index)
            frame = np.asarray(film.convert("RGB"), int)
            for colour in (colours.REAL, colours.GENERATED):
                rgb = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
                assert (np.abs(frame - rgb).max(2) < 20).sum() > 20, (index, colour)
            assert (frame[:2].max(2) > 200).all(), "no letter is cut off, of however many lines"
            below = frame[int(0.86 * len(frame)) :]
            assert (below.max(2) < 120).sum() > 200, "letters of the legend"


@pytest.mark.parametrize("layer", ["real", "generated"])
def test_points_have_a_rim_and_a_shape_of_their_own(layer):
    from callbacks.drawing.plane_pictures import MARKS

    assert MARKS[layer]["edgecolors"] == "white" and MARKS["real"]["marker"] != MARKS["generated"]["marker"]


def history(scale: float = 1.0) -> dict:
    """A fit's, of two terms and one epoch."""
    charts = [{"title": f"chart {n}", "series": {"d": "D", "g": "G"}, "lines": {"ln 2": 0.7}} for n in range(3)]
    rows = [[scale / (at + 1), 1.0] for at in range(100)]
    epochs = [{"epoch": 1, "updates": 100, "train/d": 0.9, "val/d": 1.1}]
    return {"charts": charts, "names": ["d", "g"], "updates": list(range(1, 101)), "rows": rows, "epochs": epochs,
            "norm_counts": [[1.0, 2.0]]}  # fmt: skip


def test_losses_of_a_sweep_are_read_at_900_pixels():
    figure = losses_figure({f"fit {n}": history() for n in range(2)})
    figure.draw_without_rendering()
    assert figure.get_size_inches()[0] * figure.dpi == 900
    assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text().strip()) >= 8, "11 pixels"
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert len(shown) == 8 and len({round(axes.get_position().x0, 1) for axes in shown}) == 2, "two a row"
    for axes in shown:
        assert axes.get_legend().get_window_extent().y1 < axes.get_window_extent().y0, "no legend on a curve"
        assert axes.get_legend().get_window_extent().x0 >= 0, "nor beyond the sheet"
    assert {"fit 0", "fit 1"} <= set(texts(figure).split("\n"))


def test_a_loss_of_many_magnitudes_has_a_logarithmic_axis_with_plain_numbers():
    figure = losses_figure({"": history(1e4)})
    figure.draw_without_rendering()
    assert figure.axes[0].get_yscale() == "log"
    assert {"100", "1000"} <= {text.get_text() for text in figure.axes[0].get_yticklabels()}
    narrow = history() | {"rows": [[1 + at / 100, 1.0] for at in range(100)]}
    assert losses_figure({"": narrow}).axes[0].get_yscale() == "linear"
    negative = history() | {"rows": [[1e4 * (at % 2), -1.0] for at in range(100)]}
    assert losses_figure({"": negative}).axes[0].get_yscale() == "linear"


def test_a_sheet_of_losses_ends_and_says_where_the_others_are():
    said = texts(losses_figure({f"fit {n}": history() for n in range(MOST_FITS + 1)}))
    assert f"the first {MOST_FITS} of {MOST_FITS + 1} fits" in said and f"fit {MOST_FITS}" not in said.split("\n")


def test_heads_that_are_near_each_other_look_so(tmp_path):
    """89.0 and 90.5 are no abyss: the axis begins at 50 %, or below, in the picture and on the page."""
    for head, accuracy in {"knn": 0.89, "linear_svc": 0.905}.items():
        write_job(tmp_path, head, accuracy, dataset="digits")
        write_job(tmp_path, head, accuracy + 0.01, dataset="digits", n_labels=300)
    (block,) = blocks(read_results(tmp_path))
    (axes,) = accuracy_figure([block]).axes
    assert axes.get_ylim()[0] <= 50 and {"50", "90"} <= {text.get_text() for text in axes.get_yticklabels()}
    assert accuracy_chart(block)["y"]["range"][0] <= 50
    one, other = axes.containers
    assert one.lines[0].get_marker() != other.lines[0].get_marker() and one.lines[0].get_color() != "0.7"
    lines = [(series["colour"], series["dash"]) for series in accuracy_chart(block)["series"]]
    assert len({dash for _, dash in lines}) == 2
    low = score_charts(*_rows(read_results(tmp_path)))[0]["x"]["range"]
    assert low == [50, 100]


def _rows(results: list[dict]) -> tuple:
    shown, rows = aggregate(results)
    return rows, shown, varying(rows, repeats(results[0]))


def test_scores_of_a_fit_are_curves_of_its_report():
    kept = {"samples": 2000, "floor": {"fcd": 2.0}, "epochs": [
        {"epoch": n, "updates": 100 * n, "averaged": {"fcd": 50 / n}, "raw": {"fcd": float("nan")}} for n in (1, 2, 5)
    ]}  # fmt: skip
    (chart,) = score_curves({"scores": [fcd_chart(kept)]}, "words")
    assert chart["title"] == "FCD of 2,000 samples from as many held-out images"
    (averaged,) = chart["series"]
    assert [point[:2] for point in averaged["points"]] == [[100, 50], [200, 25], [500, 10]], "no number is left out"
    assert chart["y"]["scale"] == "log" and chart["y"]["ticks"] == [2, 5, 10, 20, 50]
    assert chart["lines"] == [["floor: training images", 2.0]] and score_curves({}, "words") == []
    view = PlaneView(every_n_updates=10)
    fitted(view=view)
    found = score_curves({"scores": main_scores(view.state_dict())}, "words")
    assert [one["title"] for one in found] == [
        "JS divergence in bits (10,000 points)",
        "Wasserstein-1 distance (300 points)",
    ]
