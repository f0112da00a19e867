"""What an adversarial model's fit in the plane came to: scores of many points, whether it converged, and the page."""

import math
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pytorch_lightning as pl
import torch

from callbacks.analyses.base import Analysis, Outcome
from callbacks.drawing.loss_charts import losses_figure, plain_history
from callbacks.drawing.output import save_png
from callbacks.drawing.plane_page import judged, page_of
from callbacks.drawing.plane_pictures import LAYERS, overview_figure, panel_figure, require_layers, save_animation
from callbacks.fitted import Fitted
from callbacks.observers.loss_history import LossHistory
from callbacks.observers.plane_view import PlaneView
from datamodules.checks import require_whole
from metrics.convergence import Convergence
from metrics.plane import CellGrid, floor, mode_counts, real_sample, wasserstein_1

SHOWN = ("kl", "js", "js_floor", "w1", "w1_floor", "modes", "near_modes")
NOISE_SEED = 6  # of the points that are scored


class PlaneResult(Analysis):
    """After the fit, scores the generator and its average (``_averaged``), and says whether the fit has converged.

    Args:
        points: generated, whose divergences on the grid are taken.
        paired: of them, the first ones, whose exact Wasserstein distance is taken from as many real ones.
        layers: of the pictures and the animation. The page has switches for all.

    The outcome has as metrics ``kl``, ``js`` in bits, ``w1``, for distributions with modes ``modes`` and
    ``near_modes``; with ``_floor`` those of points of the distribution itself, and ``js_limit``; the ``statement`` and
    the state of ``convergence``; ``page.html``, ``view.gif``, ``panel.png``, ``report.md``, ``history.json``.
    """

    headline = dict.fromkeys(SHOWN, "number")
    repeats = ("seed",)
    needs = (PlaneView, LossHistory)

    def __init__(self, points: int = 100_000, paired: int = 2000, layers: list[str] = LAYERS):
        require_whole(of="points", **{"plane_result.points": points, "plane_result.paired": paired})
        if paired > points:
            raise ValueError(f"plane_result.paired={paired}: more than plane_result.points={points}")
        require_layers(layers)
        self.points, self.paired, self.layers = points, paired, list(layers)

    def run(self, fitted: Fitted) -> Outcome:
        start = time.perf_counter()
        view, history = fitted.observed(PlaneView), plain_history(fitted.observed(LossHistory))
        metrics = self._scores(fitted.model, fitted.datamodule)
        seconds = time.perf_counter() - start
        found = judged(view, history)
        facts = {"statement": found.sentence, "convergence": {"state": found.state, "since": found.since}}
        figures = {
            "view": overview_figure(view, self.layers, found.sentence),
            "losses": losses_figure({"": history}),
        }
        artefacts = {
            "history.json": history,
            "page.html": page_of(view, history, fitted.name, found.sentence),
            "view.gif": partial(save_animation, view, self.layers),
            "panel.png": partial(save_png, panel_figure(view, self.layers)),
            "report.md": _report(metrics, found, self.points, self.paired),
        }
        return Outcome(metrics, facts, figures, artefacts, seconds)

    def reload(self, fitted: Fitted, stored: Callable[[str], dict[str, np.ndarray]]) -> dict[str, float]:
        """Scores the generators anew."""
        return self._scores(fitted.model, fitted.datamodule)

    def _scores(self, module: pl.LightningModule, datamodule: pl.LightningDataModule) -> dict[str, float]:
        distribution = datamodule.distribution
        grid, real = CellGrid(distribution), real_sample(distribution, self.paired)
        noise = module.draw_noise(self.points, torch.Generator().manual_seed(NOISE_SEED)).to(module.device)
        metrics = {}
        for suffix, averaged in (("", False), ("_averaged", True)):
            points = module.generate(noise, averaged).cpu()
            scores = grid.divergences(points) | {"w1": wasserstein_1(points[: self.paired], real)}
            metrics |= {f"{k}{suffix}": v for k, v in (scores | mode_counts(points, distribution)).items()}
        own = floor(grid, distribution, self.points, self.paired)
        return metrics | {f"{k}_floor": v for k, v in own.items()} | {"js_limit": grid.limit}


def _report(m: dict, found: Convergence, points: int, paired: int) -> str:
    """The job's part of a sweep's ``results.md``; pictures by their names in the job's folder."""
    names = [name for name in ("kl", "js", "w1", "modes", "near_modes") if name in m]
    rows = {"generator": "", "averaged generator": "_averaged", "floor: the data themselves": "_floor"}

    def cell(value: float) -> str:
        return str(value) if isinstance(value, int) or not math.isfinite(value) else f"{value:.4f}"

    lines = [
        f"**{found.sentence[0].upper()}{found.sentence[1:].rstrip('.')}.**",
        "",
        f"KL and JS in bits on 30x30 cells, of {points:,} points; exact Wasserstein-1 of {paired:,} pairs.",
        "",
        f"| | {' | '.join(names)} |",
        "|---" * (1 + len(names)) + "|",
        *(f"| {row} | {' | '.join(cell(m[n + end]) for n in names)} |" for row, end in rows.items()),
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
