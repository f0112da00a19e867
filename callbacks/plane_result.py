"""What an adversarial model's fit in the plane came to: scores of many points, whether it converged, and the page."""

import math
import time
from pathlib import Path

import pytorch_lightning as pl
import torch

from callbacks.loss_charts import losses_figure, plain_history
from callbacks.plane_page import judged, write_page
from callbacks.plane_pictures import LAYERS, overview_figure, panel_figure, require_layers, save_animation
from metrics.convergence import Convergence
from metrics.plane import CellGrid, floor, mode_counts, real_sample, wasserstein_1
from storage import kept_by_callbacks, write_atomically, write_json, write_text

SHOWN = ("kl", "js", "js_floor", "w1", "w1_floor", "modes", "near_modes")
NOISE_SEED = 6  # of the points that are scored


class PlaneResult(pl.Callback):
    """After the fit, scores the generator and its average (``_averaged``), and says whether the fit has converged.

    Args:
        points: generated, whose divergences on the grid are taken.
        paired: of them, the first ones, whose exact Wasserstein distance is taken from as many real ones.
        layers: of the pictures and the animation. The page has switches for all.
        folder: the job's: ``page.html``, ``view.gif``, ``view.png``, ``panel.png``, ``report.md``.
        fit_folder: where the checkpoint is.

    Attributes:
        metrics: after the fit, ``kl``, ``js`` in bits, ``w1``, for distributions with modes ``modes`` and
            ``near_modes``; with ``_floor`` those of points of the distribution itself, and ``js_limit``.
        facts: ``statement``, and ``convergence``.
        seconds: time the scores took.
        headline: the metrics of a sweep's table.
        repeats: the setting that table averages over.
    """

    headline = dict.fromkeys(SHOWN, "number")
    repeats = "seed"

    def __init__(
        self,
        points: int = 100_000,
        paired: int = 2000,
        layers: list[str] = LAYERS,
        folder: Path | None = None,
        fit_folder: Path | None = None,
    ):
        for name, value in {"points": points, "paired": paired}.items():
            if type(value) is not int or value < 1:
                raise ValueError(f"plane_result.{name}={value}: expects a positive whole number of points")
        if paired > points:
            raise ValueError(f"plane_result.paired={paired}: more than plane_result.points={points}")
        require_layers(layers)
        self.points, self.paired, self.layers = points, paired, list(layers)
        self.folder, self.fit_folder = folder, fit_folder
        self.metrics: dict[str, float] = {}
        self.facts: dict = {}
        self.figures: dict = {}
        self.seconds = 0.0

    def check(self, datamodule: pl.LightningDataModule) -> None:
        """Nothing of a distribution can be wrong here that its own check does not find."""

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        start = time.perf_counter()
        self.metrics = self._scores(pl_module, trainer.datamodule)
        self.seconds = time.perf_counter() - start
        view, history = kept_by_callbacks(self.fit_folder / "last.ckpt", "PlaneView", "LossHistory")
        history = plain_history(history)
        found = judged(view, history)
        self.facts = {"statement": found.sentence, "convergence": {"state": found.state, "since": found.since}}
        write_json(self.folder / "history.json", history)
        write_page(self.folder / "page.html", view, history, self.fit_folder.name, found.sentence)
        save_animation(view, self.layers, self.folder / "view.gif")
        self.figures = {
            "view": overview_figure(view, self.layers, found.sentence),
            "losses": losses_figure({"": history}),
        }
        panel = panel_figure(view, self.layers)
        write_atomically(self.folder / "panel.png", lambda temporary: panel.savefig(temporary, format="png"))
        write_text(self.folder / "report.md", _report(self.metrics, found, self.points, self.paired))

    def reload(self, pl_module: pl.LightningModule, datamodule: pl.LightningDataModule) -> None:
        """Scores the generators anew; ``metrics`` must come out the same."""
        self.metrics = self._scores(pl_module, datamodule)

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
