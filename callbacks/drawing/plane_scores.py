"""The scores of an adversarial model in the plane over its updates, as charts: plain values, and how they are drawn."""

from fractions import Fraction
from typing import TYPE_CHECKING

from callbacks.drawing.colours import BLACK, GENERATED, GREEN, GREY, PURPLE, REAL, role
from callbacks.drawing.loss_charts import log_axis
from metrics.advice import IN_A_FRAME
from metrics.plane_yardstick import PAIRED

if TYPE_CHECKING:  # matplotlib is imported where it draws
    from matplotlib.axes import Axes

OF_ROLE = {"average": BLACK, "real": REAL, "generated": GENERATED}
JS, W1 = f"JS divergence in bits ({IN_A_FRAME:,} points)", f"Wasserstein-1 distance ({PAIRED} points)"
OF_AVERAGE = 4  # distances whose mean a frame has of the averaged generator; of the one that learns it has one
UNDER = 26  # points from a chart to its legend: the numbers and the name of its axis
MORE_SERIES = (GREEN, PURPLE, GREY)


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
            JS,
            {"js": "generator", "js_averaged": "its average"},
            {"limit: data twice as wide": limit["js"], f"floor: {IN_A_FRAME:,} points of the data": floor["js"]},
            log=True,
        ),
        chart(
            f"KL divergence of the data in bits ({IN_A_FRAME:,} points)",
            {"kl": "generator", "kl_averaged": "its average"},
            {f"floor: {IN_A_FRAME:,} points of the data": floor["kl"]},
            log=True,
        ),
        chart(
            W1,
            {"w1": "generator", "w1_averaged": f"its average, mean of {OF_AVERAGE}", "critic_w1": "critic's estimate"},
            {"limit: a tenth moved to one place": limit["w1"], f"floor: {PAIRED} points of the data": floor["w1"]},
        ),
        chart("modes hit", {"modes": "generator", "modes_averaged": "its average"}, {"all": floor.get("modes", 0)}),
        chart(
            f"mass, of the average: least part, misplaced, near ({IN_A_FRAME:,} points)",
            {"least_averaged": "least", "misplaced_averaged": "misplaced", "near_averaged": "near"},
            {f"limit of {name}": limit[name] for name in ("least", "misplaced", "near")},
        ),
        chart("mean length of the gradients", {"gradient": "gradients"}, {}, log=True),
        chart(f"{decided_as(state)} at real and generated points", {"decided": "mean"}, {"undecided": 0.0}),
    ]
    return [found for found in charts if found["series"]]


def main_scores(state: dict) -> list[dict]:
    """Of :func:`score_series` those that a report shows."""
    return [chart for chart in score_series(state) if chart["title"] in (JS, W1)]


def draw_scores(axes: "Axes", chart: dict) -> None:
    """Scores over updates; what lines mean stands beneath, where it covers no curve."""
    from matplotlib.transforms import ScaledTranslation

    free, styles = iter(MORE_SERIES), iter(("-", "--", "-."))
    for label, values in chart["series"].items():
        colour = OF_ROLE.get(role(label)) or next(free)
        axes.plot(chart["updates"], values, next(styles), lw=1.2, color=colour, label=label)
    for (label, value), style in zip(chart["lines"].items(), (":", (0, (1, 4)), (0, (4, 4))), strict=False):
        axes.axhline(value, color=GREY, lw=1, ls=style, label=label)
    if chart["log"]:
        log_axis(axes)
    axes.set_title(chart["title"], fontsize=9)
    axes.set_xlabel("updates", fontsize=8)
    axes.tick_params(which="both", labelsize=8)
    axes.grid(alpha=0.3)
    # in points: a share of the axes' height would lie upon their label where they are low
    under = axes.transAxes + ScaledTranslation(0, -UNDER / 72, axes.get_figure(root=True).dpi_scale_trans)
    axes.legend(fontsize=7, ncols=2, loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=under, frameon=False)
