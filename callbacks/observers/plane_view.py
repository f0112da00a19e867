"""Watches an adversarial model learn a distribution in the plane, as GAN Lab shows it (Kahng et al. 2018), exactly.

A frame holds what one update did: the critic before and after it learned, the generated points before and after, and
between the two the gradients that moved them.
"""

import math
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks.drawing.loss_charts import plain_history
from callbacks.drawing.output import show
from callbacks.drawing.plane_files import draw
from callbacks.drawing.plane_pictures import LAYERS, frame_figure, require_layers
from callbacks.fitted import Fitted
from callbacks.observers.loss_history import LossHistory
from callbacks.observers.watching import budget
from datamodules.checks import require_whole
from datamodules.distributions import Distribution
from lightning_modules.wgan_gp import norms_at
from metrics.plane_yardstick import DRAWS, PAIRED, PlaneYardstick
from metrics.pushforward import manifold

HEAT = 40  # cells on a side of the critic's map
POINTS = 200  # generated, and real, that are shown
SCORED = 10_000  # generated points whose scores are taken
DISTANCES = {"": 1, "_averaged": 4}  # Wasserstein distances whose mean is taken: of the average, which is judged, more
GRID = {1: 200, 2: 20}  # segments of the generator's curve, cells on a side of its grid
FINAL = 100_000, 6000  # generated points whose scores are taken after the last update, and of them for distances
NOISE_SEEDS = {"shown": 4, "scored": 5, "final": 6}
FRAMES = 100  # of a fit, unless it says how many updates are between two
SHOWN_IN_LOGGERS = 10


class PlaneView(pl.Callback):
    """Records frames, scores them, and shows some in the loggers. What is made of them after the fit: plane_result.py.

    Nothing here draws from torch's global generator, so that a fit is the same with it and without it.

    Args:
        every_n_updates: updates between two frames; ``None`` for a hundredth of the budget.
        layers: of the pictures, those that are drawn.
        fit_folder: where :meth:`redraw` puts ``pictures/``.
    """

    def __init__(self, every_n_updates: int | None = None, layers: list[str] = LAYERS, fit_folder: Path | None = None):
        require_whole(or_null=True, **{"view.every_n_updates": every_n_updates})
        require_layers(layers)
        self.every_n_updates, self.layers, self.folder = every_n_updates, list(layers), fit_folder
        self._frames: list[dict] = []
        self._facts: dict = {}
        self._final: dict = {}
        self._before: dict | None = None

    @classmethod
    def identity(cls, config: dict) -> dict:
        """What decides the frames that jobs read: all but which layers are drawn."""
        return {name: value for name, value in config.items() if name != "layers"}

    def state_dict(self) -> dict:
        """``frames``, and beside them what all of them share.

        Each has its ``update``; ``heat_before`` and ``heat`` ``(HEAT, HEAT)``, row 0 the lowest; ``points``, ``arrows``
        and ``moved`` ``(POINTS, 2)``; ``manifold``, a dict of what a ``Manifold`` has, or None; and ``scores``, of the
        generator and, with ``_averaged``, of its average. ``bounds`` has the fields of each score's
        :class:`metrics.plane_yardstick.Bound`. ``final``, after the last update, is what :func:`final_scores` finds.
        """
        return {"frames": self._frames, **self._final, **self._facts}

    def load_state_dict(self, state: dict) -> None:
        self._frames = state["frames"]
        self._final = {name: state[name] for name in ("final",) if name in state}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        device = pl_module.device
        self._yardstick = PlaneYardstick(trainer.datamodule.distribution, SCORED, PAIRED)
        self._noise = {
            name: pl_module.draw_noise(count, torch.Generator().manual_seed(NOISE_SEEDS[name])).to(device)
            for name, count in (("shown", POINTS), ("scored", SCORED))
        }
        window = self._yardstick.grid.window
        self._cells = cell_centres(window, HEAT).to(device)
        self._facts = {
            "window": list(window),
            "says": pl_module.loss.meaning,
            "range": pl_module.loss.decision_range and list(pl_module.loss.decision_range),
            "undecided": pl_module.loss.undecided,
            "noise": {"kind": pl_module.noise_name, "dim": pl_module.z_dim},
            "steps": {"critic": pl_module.n_critic, "generator": pl_module.n_generator},
            "equilibrium": dict(pl_module.equilibrium),
            "real": trainer.datamodule.train[0][:POINTS].cpu(),
            "bounds": {name: list(bound) for name, bound in self._yardstick.bounds.items()},
        }

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._total = budget(trainer)
        if self.every_n_updates is None and math.isinf(self._total):
            raise ValueError("view.every_n_updates=null: a hundredth of a budget, and there is none; give a number")
        self._every = self.every_n_updates or max(1, self._total // FRAMES)

    def _due(self, update: int) -> bool:
        return update == 1 or update % self._every == 0 or update == self._total

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch, batch_idx: int) -> None:
        if trainer.is_global_zero and self._due(trainer.global_step + 1):
            self._before = {
                "heat_before": self._heat(pl_module),
                "points": pl_module.generate(self._noise["shown"], averaged=False),
            }

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs, batch, batch_idx) -> None:
        if self._before is None:
            return
        frame = {"update": trainer.global_step} | self._before
        self._before = None
        frame["heat"] = self._heat(pl_module)
        frame["arrows"] = descent_directions(pl_module, frame["points"], self._facts["real"].to(pl_module.device))
        frame["moved"] = pl_module.generate(self._noise["shown"], averaged=False)
        frame = {name: value.cpu() if torch.is_tensor(value) else value for name, value in frame.items()}
        frame["manifold"] = self._manifold(pl_module)
        frame["scores"] = self._scores(pl_module) | self._critic_scores(pl_module, frame)
        self._frames.append(frame)
        if frame["update"] == self._total:
            self._final = {"final": final_scores(pl_module, self._yardstick.distribution, *FINAL)}
        scores = {f"plane/{name}": value for name, value in frame["scores"].items()}
        for logger in trainer.loggers:
            logger.log_metrics(scores, step=trainer.global_step)
        if (len(self._frames) - 1) % (FRAMES // SHOWN_IN_LOGGERS) == 0 and trainer.loggers:
            show(trainer.loggers, {"view": frame_figure(self.state_dict(), -1, self.layers)}, trainer.global_step)

    def redraw(self, fitted: Fitted) -> list[Path]:
        """Draws what a fit kept into ``pictures/``: the page, a picture, the animation; returns the files."""
        view, history = fitted.observed(PlaneView), plain_history(fitted.observed(LossHistory))
        return draw(view, history, fitted, self.layers, self.folder / "pictures")

    @torch.no_grad()
    def _heat(self, module: pl.LightningModule) -> Tensor:
        return module.decision(module.critic(module.scaled(self._cells)).float()).view(HEAT, HEAT)

    def _manifold(self, module: pl.LightningModule) -> dict | None:
        found = manifold(
            lambda z: module.unscaled(module.generator(z)),
            module.z_dim,
            module.noise,
            GRID.get(module.z_dim, 0),
            module.device,
        )
        return {name: value.cpu() for name, value in found._asdict().items()} if found else None

    def _scores(self, module: pl.LightningModule) -> dict[str, float]:
        scores = {}
        for suffix, distances in DISTANCES.items():
            points = module.generate(self._noise["scored"], averaged=suffix != "")
            found = self._yardstick.scores(points, distances)
            scores |= {f"{name}{suffix}": value for name, value in found.items()}
        return scores

    def _critic_scores(self, module: pl.LightningModule, frame: dict) -> dict[str, float]:
        """What the critic and its gradients say: ``gradient``, their mean length at the generated points; where scores
        decide something, ``decided``, the mean of |D - undecided| there and at real points, as a share of the range of
        decisions; or, where they estimate a distance, ``critic_w1``, :func:`critic_estimate`."""
        loss = module.loss
        scores = {"gradient": float(torch.linalg.vector_norm(frame["arrows"], dim=1).mean())}
        real, fake = (points.to(module.device) for points in (self._facts["real"], frame["moved"]))
        if loss.meaning == "distance":
            scores["critic_w1"] = critic_estimate(module, real, fake)
        if loss.decision_range is not None:
            low, high = loss.decision_range
            with torch.no_grad():
                decisions = module.decision(module.critic(module.scaled(torch.cat([real, fake]))).float())
            scores["decided"] = float((decisions - loss.undecided).abs().mean() / (high - low))
        return scores


def final_scores(module: pl.LightningModule, distribution: Distribution, points: int, paired: int) -> dict[str, dict]:
    """Scores of many points, by name: the ``generator``'s, its ``averaged``'s, and the ``bounds`` of such samples.

    Args:
        module: with the generators.
        distribution: that they learn.
        points: generated.
        paired: of them, the first ones, that Wasserstein distances are taken of: 300 at a time, 6000 at most.
    """
    yardstick = PlaneYardstick(distribution, points, min(PAIRED, paired))
    noise = module.draw_noise(points, torch.Generator().manual_seed(NOISE_SEEDS["final"])).to(module.device)
    return {
        name: yardstick.scores(module.generate(noise, averaged), max(1, min(DRAWS, paired // PAIRED)))
        for name, averaged in (("generator", False), ("averaged", True))
    } | {"bounds": {name: list(bound) for name, bound in yardstick.bounds.items()}}


def cell_centres(window: tuple[float, float, float, float], cells: int) -> Tensor:
    """The centres of a window's cells, row by row from the lowest, ``(cells^2, 2)``."""
    x_low, x_high, y_low, y_high = window
    at = (torch.arange(cells) + 0.5) / cells
    return torch.cartesian_prod(y_low + (y_high - y_low) * at, x_low + (x_high - x_low) * at).flip(1)


def critic_estimate(module: pl.LightningModule, real: Tensor, fake: Tensor) -> float:
    """What a critic makes of the Wasserstein-1 distance of points ``(N, 2)``, in the data's coordinates.

    E D(x) - E D(G(z)), divided by the critic's mean slope between the two: a penalty of finite weight holds the slope
    only near 1, and clipping at whatever it comes to.
    """
    share = torch.linspace(0, 1, len(real), device=real.device)[:, None]
    slopes = norms_at(lambda points: module.critic(module.scaled(points)), torch.lerp(fake, real, share))
    with torch.no_grad():
        difference = module.critic(module.scaled(real)).mean() - module.critic(module.scaled(fake)).mean()
        return float(difference / slopes.mean())


def descent_directions(module: pl.LightningModule, points: Tensor, real: Tensor) -> Tensor:
    """-dL/dx, where L is the *generator's loss* of one generated point x: ``(N, 2)``, in the data's coordinates.

    Each point's own, not divided by how many there are. (GAN Lab draws the discriminator's gradient instead.) A
    relative loss compares it with one of the real points ``(M, 2)``, in turn.
    """
    points = points.detach().requires_grad_()
    beside = module.real_scores(module.scaled(real[torch.arange(len(points), device=real.device) % len(real)]))
    with torch.enable_grad():
        loss = module.generator_loss(module.critic(module.scaled(points)), beside)  # a mean over points
        (gradient,) = torch.autograd.grad(loss * len(points), points)
    return -gradient
