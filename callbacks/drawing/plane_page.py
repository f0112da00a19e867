"""A fit in the plane as one HTML page that opens from disk, with no network: plane_page.html with the data in it."""

import base64
import html
import json
import math
import statistics
from pathlib import Path

import torch
from torch import Tensor

from callbacks.drawing.mosaics import thinned
from callbacks.drawing.plane_scores import decided_as, score_series
from callbacks.fitted import Fitted
from metrics.advice import IN_A_FRAME
from metrics.convergence import Convergence, convergence
from metrics.plane_yardstick import PAIRED, Bound

TEMPLATE = Path(__file__).with_suffix(".html")
RECENT = 5  # the share of a history's windows, one in so many, whose mean is its recent loss
MOST_FRAMES = 150  # in a page, evenly thinned: 20 kB each
SCORES = ("kl", "js", "w1", "critic_w1", "modes", "near")  # of the shown frame; the charts have the others
NAMED = (
    *(f"model.{name}" for name in ("n_critic", "lr_generator", "lr_critic", "lr_decay")),
    *("dataset.batch_size", "dataset.seed"),
)  # settings, in a heading
MOST_VALUES = 400  # of a curve in a chart


def judged(view: dict, history: dict, fitted: Fitted | None = None) -> Convergence:
    """Whether a fit has converged, from what its callbacks kept (:mod:`metrics.convergence`).

    Args:
        view: the state of its :class:`callbacks.observers.plane_view.PlaneView`.
        history: of its :class:`callbacks.observers.loss_history.LossHistory`, plain.
        fitted: the fit, whose budget is named where it should have been longer.
    """
    if not view["steps"]["generator"]:
        said = "the generator is fixed, only the critic learned"
        return Convergence("fixed", None, said, said)
    columns = _columns(history)
    losses = {
        name.replace("_", " "): (statistics.fmean(columns[name][-max(1, len(columns[name]) // RECENT) :]), value)
        for name, value in view["equilibrium"].items()
        if view["range"] and name in columns
    }
    frames = view["frames"]
    updates, scores = [frame["update"] for frame in frames], [frame["scores"] for frame in frames]
    final = view.get("final")
    return convergence(
        updates,
        scores,
        _bounds(view["bounds"]),
        losses,
        decided_as(view),
        final and (final["averaged"], _bounds(final["bounds"])),
        fitted.budget if fitted else "",
    )


def _bounds(plain: dict[str, list[float]]) -> dict[str, Bound]:
    return {name: Bound(*fields) for name, fields in plain.items()}


def _columns(history: dict) -> dict[str, tuple[float, ...]]:
    """Each term of a history over its windows."""
    return dict(zip(history["names"], zip(*history["rows"], strict=True), strict=True))


def page_of(state: dict, history: dict, title: str, found: Convergence, settings: dict[str, str] | None = None) -> str:
    """The page's text.

    Args:
        state: of :class:`callbacks.observers.plane_view.PlaneView`.
        history: of :class:`callbacks.observers.loss_history.LossHistory`, plain.
        title: of the page.
        found: what the fit came to (:func:`judged`): the line above, and all its figures unfolded below.
        settings: of the model and the data, by their names, unfolded with them; those in ``NAMED`` stand above.
    """
    data = {
        "title": title, "sentence": _as_sentence(found.summary), "statement": _as_sentence(found.sentence),
        "settings": settings or {}, "named": _in_short(settings or {}, state["frames"][-1]["update"]),
        "scored": f"{IN_A_FRAME:,} points, W₁ of {PAIRED} pairs",
        "window": state["window"], "decision": state["says"], "noise": state["noise"], "steps": state["steps"],
        "real": _floats(state["real"]), "heat_size": len(state["frames"][0]["heat"]),
        "frames": [_frame(frame, state["range"]) for frame in thinned(state["frames"], MOST_FRAMES)],
        "charts": loss_charts(history) + [_rounded(chart) for chart in score_series(state)],
    }  # fmt: skip
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    page = TEMPLATE.read_text(encoding="utf-8")
    return page.replace("__TITLE__", html.escape(title)).replace("__DATA__", text)


def _in_short(settings: dict[str, str], updates: int) -> str:
    """What was learned, by whom, and the settings that most depends on: ``Ring, GAN, 5,070 updates, n_critic 2``."""
    named = {name.rpartition(".")[2]: settings[name] for name in NAMED if name in settings}
    what = settings.get("dataset.distribution.path") or settings.get("dataset.distribution")
    said = [what, settings.get("model"), f"{updates:,} updates", *(f"{name} {value}" for name, value in named.items())]
    return ", ".join(filter(None, said))


def _as_sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def loss_charts(history: dict) -> list[dict]:
    """A history's running means as the page's charts."""
    step = math.ceil(len(history["updates"]) / MOST_VALUES) or 1
    columns = _columns(history)
    charts = [
        {
            "title": chart["title"],
            "updates": history["updates"][::step],
            "series": {label: columns[name][::step] for name, label in chart["series"].items() if name in columns},
            "lines": chart["lines"],
            "log": False,
        }
        for chart in history["charts"]
    ]
    return [_rounded(chart) for chart in charts if chart["series"]]


def _rounded(chart: dict) -> dict:
    series = {
        label: [float(f"{value:.4g}") if math.isfinite(value) else None for value in values]
        for label, values in chart["series"].items()
    }
    return chart | {"series": series}


def _frame(frame: dict, limits: list[float] | None) -> dict:
    """A frame, its map in 256 levels between the limits; without any, between its own least and largest value."""
    heats = torch.stack([frame["heat_before"], frame["heat"]]).nan_to_num()  # JSON has no NaN, should a critic diverge
    low, high = limits or (float(heats.min()), float(heats.max()))
    levels = ((heats - low) / ((high - low) or 1.0) * 255).round().clamp(0, 255).to(torch.uint8)
    found = frame["manifold"]
    return {
        "update": frame["update"],
        "heat_before": _bytes(levels[0]), "heat": _bytes(levels[1]), "heat_range": [low, high],
        **{name: _floats(frame[name]) for name in ("points", "arrows", "moved")},
        "manifold": found and {
            "vertices": _floats(found["vertices"]),
            "size": math.isqrt(len(found["density"])) if len(found["vertices"]) > len(found["density"]) + 1
            else len(found["vertices"]),
            "density": _floats(found["density"].clamp(max=torch.finfo(torch.float32).max)),
            "fold": _bytes(found["fold"].to(torch.uint8)),
        },
        "scores": {k: v for k, v in frame["scores"].items() if k in SCORES and math.isfinite(v)},
    }  # fmt: skip


def _floats(values: Tensor) -> str:
    return base64.b64encode(values.contiguous().numpy().astype("<f4").tobytes()).decode()


def _bytes(values: Tensor) -> str:
    return base64.b64encode(values.contiguous().numpy().astype("u1").tobytes()).decode()
