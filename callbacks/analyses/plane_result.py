"""What an adversarial model's fit in the plane came to: scores of many points, whether it converged, and the page."""

import math
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from callbacks.analyses.base import Analysis, Outcome
from callbacks.drawing.loss_charts import losses_figure, plain_history
from callbacks.drawing.output import save_png
from callbacks.drawing.plane_page import judged, page_of
from callbacks.drawing.plane_pictures import LAYERS, overview_figure, panel_figure, require_layers, save_animation
from callbacks.drawing.plane_scores import main_scores
from callbacks.fitted import Fitted
from callbacks.observers.loss_history import LossHistory
from callbacks.observers.plane_view import FINAL, PlaneView, final_scores
from datamodules.checks import require_whole
from metrics.advice import SCORES
from metrics.plane import CELLS
from metrics.plane_yardstick import DRAWS, PAIRED

SHOWN = (
    "js_averaged", "js_limit", "w1_averaged", "w1_floor", "w1_limit", "least_averaged", "misplaced_averaged",
    "near_averaged", "modes_averaged",
)  # fmt: skip


class PlaneResult(Analysis):
    """After the fit, scores the generator and its average (``_averaged``), and says whether the fit has converged.

    Args:
        points: generated, whose divergences on the grid are taken.
        paired: of them, the first ones, whose Wasserstein distances are taken, 300 at a time, 6000 at most: ``w1`` is
            their mean. Of fewer than 300 it is one distance, with a floor and a limit of as many.
        layers: of the pictures and the animation. The page has switches for all.

    The outcome has as metrics ``kl``, ``js`` in bits, ``w1``, those of :class:`metrics.plane_yardstick.Parts`, and
    ``modes`` of distributions that have some; with ``_floor`` and ``_floor_sd`` the mean and standard deviation of
    those of points of the distribution itself, and with ``_limit`` what counts as near; the ``statement``, its
    ``summary`` in a line, and the state of ``convergence``; ``page.html``, ``view.gif``, ``panel.png``, ``report.md``,
    ``history.json``.

    The verdict is by the frames that the fit kept and, of its end, by the same points as the metrics.
    """

    headline = dict.fromkeys(SHOWN, "number")
    repeats = ("seed",)
    needs = (PlaneView, LossHistory)

    def __init__(self, points: int = FINAL[0], paired: int = FINAL[1], layers: list[str] = LAYERS):
        require_whole(of="points", **{"plane_result.points": points, "plane_result.paired": paired})
        if paired > points:
            raise ValueError(f"plane_result.paired={paired}: more than plane_result.points={points}")
        require_layers(layers)
        self.points, self.paired, self.layers = points, paired, list(layers)

    def run(self, fitted: Fitted) -> Outcome:
        start = time.perf_counter()
        view, history = fitted.observed(PlaneView), plain_history(fitted.observed(LossHistory))
        final = view.get("final") if (self.points, self.paired) == FINAL else None
        final = final or self._scored(fitted)
        metrics = self._named(final)
        seconds = time.perf_counter() - start
        view = view | {"final": final}
        found = judged(view, history, fitted)
        facts = {"statement": found.sentence, "summary": found.summary}
        facts["convergence"] = {"state": found.state, "since": found.since}
        figures = {
            "view": overview_figure(view, self.layers, found.summary),
            "losses": losses_figure({"": history}),
        }
        artefacts = {
            "history.json": history | {"scores": main_scores(view)},
            "page.html": page_of(view, history, fitted.name, found, fitted.settings),
            "view.gif": partial(save_animation, view, self.layers),
            "panel.png": partial(save_png, panel_figure(view, self.layers)),
            "report.md": _report(metrics, found.summary, found.sentence, self.points, self.paired),
        }
        return Outcome(metrics, facts, figures, artefacts, seconds)

    def reload(self, fitted: Fitted, stored: Callable[[str], dict[str, np.ndarray]]) -> dict[str, float]:
        """Scores the generators anew."""
        return self._named(self._scored(fitted))

    def _scored(self, fitted: Fitted) -> dict[str, dict]:
        return final_scores(fitted.model, fitted.datamodule.distribution, self.points, self.paired)

    @staticmethod
    def _named(found: dict[str, dict]) -> dict[str, float]:
        """What :func:`final_scores` found, by metrics' names."""
        metrics = found["generator"] | {f"{name}_averaged": value for name, value in found["averaged"].items()}
        for column, ending in enumerate(("_floor", "_floor_sd", "_limit")):
            values = {f"{name}{ending}": bound[column] for name, bound in found["bounds"].items()}
            metrics |= {name: value for name, value in values.items() if math.isfinite(value)}  # KL has no limit
        return metrics


def _distances(paired: int) -> str:
    """How :func:`final_scores` takes Wasserstein distances of so many points."""
    pairs, count = min(PAIRED, paired), max(1, min(DRAWS, paired // PAIRED))
    if count == 1:
        return f"W1, the exact Wasserstein-1 distance, of {pairs} pairs of points, as are its floor and its limit"
    return f"W1, the exact Wasserstein-1 distance, of {pairs} pairs of points, the mean over {count} x {pairs}"


def _report(m: dict, summary: str, sentence: str, points: int, paired: int) -> str:
    """The job's part of a sweep's ``results.md``; pictures by their names in the job's folder."""
    names = [name for name in ("kl", *SCORES) if name in m]
    rows = {
        "generator": "",
        "averaged generator": "_averaged",
        "limit": "_limit",
        "floor: the data themselves": "_floor",
        "its standard deviation over draws": "_floor_sd",
    }

    def cell(name: str) -> str:
        value = m.get(name, math.nan)
        return "" if math.isnan(value) else f"{value:.0f}" if name.startswith("modes") else f"{value:.4f}"

    lines = [
        f"**{summary[0].upper()}{summary[1:]}.**",
        "",
        f"{sentence[0].upper()}{sentence[1:]}.",
        "",
        f"KL and JS in bits on {CELLS}x{CELLS} cells, of {points:,} points; {_distances(paired)}. The other scores are "
        "of parts, modes or stretches of a curve.",
        "",
        f"| | {' | '.join(names)} |",
        "|---" * (1 + len(names)) + "|",
        *(f"| {row} | {' | '.join(cell(n + end) for n in names)} |" for row, end in rows.items()),
        "",
        "[the fit as a page](page.html)",
        "",
        "![view](view.png)",
        "",
        "![losses](losses.png)",
        "",
        "![animation](view.gif)",
    ]
    return "\n".join(lines)
