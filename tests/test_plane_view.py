"""What the view shows, against closed forms: the critic's map, the gradients, the frames, the page's data."""

import io
import itertools
import json
import math
import re
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from callbacks.analyses.base import InTraining
from callbacks.analyses.plane_result import PlaneResult, _report
from callbacks.drawing.loss_charts import plain_history
from callbacks.drawing.plane_page import judged, page_of
from callbacks.drawing.plane_pictures import (
    LAYERS,
    arrow_scale,
    caption,
    frame_figure,
    overview_figure,
    panel_figure,
    save_animation,
)
from callbacks.drawing.plane_scores import OF_AVERAGE, main_scores, score_series
from callbacks.observers.loss_history import LossHistory
from callbacks.observers.plane_view import (
    DISTANCES,
    HEAT,
    POINTS,
    PlaneView,
    cell_centres,
    critic_estimate,
    descent_directions,
    final_scores,
)
from datamodules.distributions import EightGaussians, Parabola
from datamodules.plane import Plane
from latent_lab.opened import OpenFit
from lightning_modules.gan import GAN
from lightning_modules.losses.hinge import Hinge
from lightning_modules.losses.least_squares import LeastSquares
from lightning_modules.plane_networks import DataPlusNoise, MLPCritic, MLPGenerator
from lightning_modules.wgan import WGAN
from lightning_modules.wgan_gp import WGANGP
from metrics.plane_yardstick import PlaneYardstick

W, B = torch.tensor([1.5, -0.5]), 0.25


@pytest.fixture(autouse=True)
def few_points(monkeypatch):
    """Scores of few points beside few draws of the data: what they come to is tested in test_plane_metrics.py."""
    monkeypatch.setattr("metrics.plane_yardstick.DRAWS", 4)
    small = {"FINAL": (3000, 100), "SCORED": 1000, "PAIRED": 50}
    for name, value in small.items():
        monkeypatch.setattr(f"callbacks.observers.plane_view.{name}", value)


def linear(kind, output_range=(0.0, 1.0), **settings):
    """A model whose critic is w x + b in the networks' coordinates."""
    critic = MLPCritic([])
    critic.net[0].weight.data, critic.net[0].bias.data = W[None].clone(), torch.tensor([B])
    return kind(MLPGenerator(2, [8], output_range=output_range), critic, z_dim=2, **settings)


KINDS = {
    "non-saturating": (GAN, {}, lambda d: 1 - torch.sigmoid(d)),  # -dL/dD of L = log(1 + e^-D)
    "least squares": (GAN, {"loss": LeastSquares()}, lambda d: 1 - d),  # of L = (D - 1)^2 / 2
    "hinge": (GAN, {"loss": Hinge()}, torch.ones_like),  # of L = -D
    "wasserstein": (WGANGP, {}, torch.ones_like),  # of L = -D
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_linear_critic_has_arrows_along_its_weights(kind):
    model, settings, slope = KINDS[kind]
    module = linear(model, (-2.0, 2.0), **settings)
    points = torch.rand(7, 2, generator=torch.Generator().manual_seed(0))
    logits = (4 * points - 2) @ W + B
    expected = slope(logits)[:, None] * 4 * W  # four networks' units to one of the data
    assert torch.allclose(descent_directions(module, points, points), expected, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_arrows_are_finite_differences_of_the_generators_loss(kind):
    torch.manual_seed(0)
    model, settings, _ = KINDS[kind]
    module = model(MLPGenerator(2, [8], output_range=(-2, 2)), MLPCritic([16], act="softplus"), z_dim=2, **settings)
    module.double()
    points, h = torch.rand(5, 2, dtype=torch.float64), 1e-5
    arrows = descent_directions(module, points, points)

    def loss(x):
        return module.critic(module.scaled(x)).double()

    for axis in range(2):
        step = torch.zeros(2, dtype=torch.float64)
        step[axis] = h
        scores = [loss(points + step), loss(points - step)]
        above, below = ([_double_loss(module, s) for s in side] for side in scores)
        slopes = [-(a - b) / (2 * h) for a, b in zip(above, below, strict=True)]
        assert arrows[:, axis].tolist() == pytest.approx(slopes, rel=1e-5)


def _double_loss(module, score):
    """The generator's loss of one score, in float64: the modules' own is in float32, too coarse for differences."""
    d = score.item()
    if isinstance(module, WGANGP) or isinstance(module.loss, Hinge):
        return -d
    return (d - 1) ** 2 / 2 if isinstance(module.loss, LeastSquares) else math.log1p(math.exp(-d))


def test_least_squares_at_the_undecided_discriminator():
    module = linear(GAN, loss=LeastSquares())
    module.critic.net[0].weight.data.zero_()
    module.critic.net[0].bias.data.fill_(0.5)
    loss, shown = module.critic_loss(torch.rand(6, 2), torch.rand(6, 2))
    assert loss.item() == module.equilibrium["critic_loss"] == 0.25
    assert module.generator_loss(torch.full((4,), 0.5)).item() == module.equilibrium["generator_loss"] == 0.125
    assert shown["d_real"].item() == 0.5
    real, fake = torch.tensor([[1.0, 1.0], [0.0, 2.0]]), torch.tensor([[1.0, 0.0]])
    module = linear(GAN, loss=LeastSquares())  # D = 1.25, -0.75 and 1.75
    assert module.critic_loss(real, fake)[0].item() == pytest.approx((0.25**2 + 1.75**2) / 4 + 1.75**2 / 2)


def test_an_undecided_discriminator_is_at_two_ln_two_and_ln_two():
    module = linear(GAN)
    module.critic.net[0].weight.data.zero_()
    module.critic.net[0].bias.data.zero_()
    assert module.critic_loss(torch.rand(6, 2), torch.rand(6, 2))[0].item() == pytest.approx(2 * math.log(2))
    assert module.generator_loss(torch.zeros(3)).item() == pytest.approx(math.log(2))
    assert list(module.equilibrium.values()) == pytest.approx([2 * math.log(2), math.log(2)])


def test_clipping_holds_every_weight_after_every_step():
    torch.manual_seed(0)
    module = WGAN(MLPGenerator(2, [8]), MLPCritic([16]), z_dim=2, clip=0.05, lr_critic=0.1, lr_generator=0.1)
    assert max(p.abs().max() for p in module.critic.parameters()) <= 0.05
    optimizer = torch.optim.SGD(module.critic.parameters(), lr=10.0)
    module._step(module.critic_loss(torch.rand(4, 2) + 3, torch.rand(4, 2))[0], module.critic, optimizer)
    sizes = torch.cat([p.detach().flatten() for p in module.critic.parameters()]).abs()
    assert sizes.max() == torch.tensor(0.05) and (sizes == 0.05).sum() > 10
    before = [p.clone() for p in module.generator.parameters()]
    module._step(module.generator_loss(module.critic(module.generator(module._draw(4)))), module.generator,
                 torch.optim.SGD(module.generator.parameters(), lr=0.1))  # fmt: skip
    assert max(p.abs().max() for p in module.generator.parameters()) > 0.05, "the generator is not clipped"
    assert any(not torch.equal(a, b) for a, b in zip(before, module.generator.parameters(), strict=True))


def test_data_plus_noise_is_just_that():
    distribution = EightGaussians()
    generator = DataPlusNoise(distribution, std=0.5)
    z = torch.randn(20_000, 5, generator=torch.Generator().manual_seed(0))
    z[:, 3:] = 0
    points = generator(z)
    distances = torch.cdist(points.double(), distribution.modes).min(1).values
    assert (distances < 4 * distribution.mode_sigma).float().mean() > 0.999
    z[:, 3:] = torch.tensor([2.0, -4.0])
    assert torch.allclose(generator(z) - points, torch.tensor([1.0, -2.0]), atol=1e-6)


def test_a_critics_estimate_is_the_distance_whatever_its_slope():
    module, shift = linear(WGANGP, (-2.0, 2.0)), 0.3 * W / W.norm()
    points = torch.rand(50, 2, generator=torch.Generator().manual_seed(0))
    assert critic_estimate(module, points + shift, points) == pytest.approx(0.3, rel=1e-4)


def fitted(kind=GAN, epochs=2, view=None, z_dim=2, distribution=None, seed=0, more=(), updates=-1, **settings):
    torch.manual_seed(seed)
    module = kind(MLPGenerator(z_dim, [16]), MLPCritic([16]), z_dim=z_dim, n_critic=1, ema_horizon=0.1, **settings)
    data = Plane(distribution or Parabola(), batch_size=50, train_size=500, val_size=100, test_size=100)
    callbacks = [LossHistory(5), *([view] if view else []), *more]
    trainer = pl.Trainer(max_epochs=epochs, max_steps=updates, logger=False, enable_checkpointing=False,
                         enable_progress_bar=False, enable_model_summary=False, accelerator="cpu",
                         num_sanity_val_steps=0, callbacks=callbacks)  # fmt: skip
    trainer.fit(module, data)
    return module, callbacks[0], data


def test_the_view_changes_no_weight():
    with_view, without = fitted(view=PlaneView(1))[0], fitted()[0]
    assert all(torch.equal(a, b) for a, b in zip(with_view.parameters(), without.parameters(), strict=True))


def test_frames_hold_what_one_update_did():
    view = PlaneView(every_n_updates=1)
    module, _, _ = fitted(view=view)
    frames = view.state_dict()["frames"]
    assert [frame["update"] for frame in frames] == list(range(1, 21))
    for earlier, later in itertools.pairwise(frames):
        assert torch.equal(earlier["heat"], later["heat_before"]) and torch.equal(earlier["moved"], later["points"])
        assert not torch.equal(later["heat_before"], later["heat"])
        assert not torch.equal(later["points"], later["moved"])
    last = frames[-1]
    centres = cell_centres(view.state_dict()["window"], HEAT)
    assert torch.allclose(last["heat"].flatten(), torch.sigmoid(module.critic(centres)).detach())
    assert torch.allclose(last["arrows"], descent_directions(module, last["points"], last["points"]), atol=1e-6)
    assert last["points"].shape == (POINTS, 2) and last["manifold"]["vertices"].shape == (441, 2)


def test_frames_are_due_every_n_updates_at_the_first_and_at_the_last():
    view = PlaneView(every_n_updates=7)
    fitted(view=view)
    assert [frame["update"] for frame in view.state_dict()["frames"]] == [1, 7, 14, 20]


def test_the_last_frame_is_that_of_a_budget_in_updates():
    view = PlaneView(every_n_updates=7)
    fitted(view=view, epochs=-1, updates=16)
    assert [frame["update"] for frame in view.state_dict()["frames"]] == [1, 7, 14, 16]
    with pytest.raises(ValueError, match="view.every_n_updates=null: a hundredth of a budget, and there is none"):
        fitted(view=PlaneView(), epochs=-1)


def test_the_map_has_its_lowest_row_first():
    centres = cell_centres([0.0, 4.0, 10.0, 14.0], 4)
    assert (
        centres[0].tolist() == [0.5, 10.5] and centres[1].tolist() == [1.5, 10.5] and centres[4].tolist() == [0.5, 11.5]
    )


def test_a_critics_estimate_is_in_the_datas_units():
    view = PlaneView(every_n_updates=20)
    torch.manual_seed(0)
    module = linear(WGANGP, (-2.0, 2.0), n_critic=1, lr_critic=1e-12, lr_generator=1e-12)
    data = Plane(Parabola(), batch_size=50, train_size=500, val_size=100, test_size=100)
    pl.Trainer(max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu",
               enable_model_summary=False, callbacks=[view]).fit(module, data)  # fmt: skip
    state = view.state_dict()
    fake = state["frames"][-1]["moved"]
    # a linear critic, of whatever slope, estimates the difference of the means along its weights
    expected = (state["real"].mean(0) - fake.mean(0)) @ W / W.norm()
    assert state["frames"][-1]["scores"]["critic_w1"] == pytest.approx(expected.item(), rel=1e-3)


@pytest.mark.parametrize("kind, z_dim", [(GAN, 2), (GAN, 1), (WGANGP, 3)])
def test_the_page_holds_the_frames_and_opens_without_a_network(kind, z_dim):
    view = PlaneView(every_n_updates=4)
    _, history, _ = fitted(kind, view=view, z_dim=z_dim, distribution=EightGaussians())
    state, losses = view.state_dict(), plain_history(history.state_dict())
    text = page_of(state, losses, "a <title>", judged(state, losses))
    assert len(text) < 5_000_000 and "a &lt;title&gt;" in text
    assert not re.search(r"(src|href)\s*=\s*[\"']?https?:", text) and "@import" not in text
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert [frame["update"] for frame in data["frames"]] == [1, 4, 8, 12, 16, 20]
    assert data["title"] == "a <title>" and data["sentence"].count(". ") == 0 and "JS in bits" in data["statement"]
    assert (data["frames"][0]["manifold"] is None) == (z_dim == 3)
    titles = [chart["title"] for chart in data["charts"]]
    assert "JS divergence in bits (10,000 points)" in titles and "modes hit" in titles
    bounds = state["bounds"]
    (chart,) = [chart for chart in data["charts"] if chart["title"] == "Wasserstein-1 distance (300 points)"]
    assert {bounds["w1"][0], bounds["w1"][2]} == set(chart["lines"].values())
    assert all(len(values) == len(chart["updates"]) for chart in data["charts"] for values in chart["series"].values())


def test_a_fit_that_diverged_ends_with_a_page_and_says_so():
    view = PlaneView(every_n_updates=10)
    _, history, _ = fitted(WGANGP, view=view, lr_critic=1e30, lr_generator=1e30)
    state, losses = view.state_dict(), plain_history(history.state_dict())
    found = judged(state, losses)
    assert found.state == "diverged" and "lower both rates" in found.sentence
    page = page_of(state, losses, "x", found)
    assert "NaN" not in re.search(r'id="data">(.*?)</script>', page)[1]
    overview_figure(state, LAYERS, found.sentence)


def test_a_hinge_critic_is_on_its_margin_and_estimates_no_distance():
    """Its map has one scale in all frames, 0 in the middle; decisions count by their range of 2; no word of W1."""
    view = PlaneView(every_n_updates=10)
    module, history, _ = fitted(view=view, loss=Hinge())
    state, losses = view.state_dict(), plain_history(history.state_dict())
    assert (state["says"], state["range"], state["undecided"]) == ("margin", [-1.0, 1.0], 0.0)
    last = state["frames"][-1]
    with torch.no_grad():
        scores = module.critic(torch.cat([state["real"], last["moved"]]))
    assert last["scores"]["decided"] == pytest.approx(scores.abs().mean().item() / 2, rel=1e-5)
    assert "critic_w1" not in last["scores"]
    found = judged(state, losses)
    assert re.search(r"the discriminator (not )?undecided \(mean \|D\| / 2 0\.\d\d\)", found.sentence)
    assert "estimate" not in found.sentence and "its equilibrium 2.000" in found.sentence
    page = page_of(state, losses, "x", found)
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert data["decision"] == "margin" and all(frame["heat_range"] == [-1, 1] for frame in data["frames"])
    assert {"|D| / 2 at real and generated points"} <= {chart["title"] for chart in data["charts"]}


def test_only_a_critic_of_distances_estimates_one_and_its_map_is_its_own():
    view = PlaneView(every_n_updates=20)
    _, history, _ = fitted(WGANGP, view=view)
    state = view.state_dict()
    assert state["range"] is None and {"critic_w1"} == {"critic_w1", "decided"} & state["frames"][-1]["scores"].keys()
    assert "the critic's estimate of W1" in judged(state, plain_history(history.state_dict())).sentence


def test_the_result_of_a_fit_in_a_notebook():
    """Scores of many points, and all that is left of the fit, under the names of the files it becomes."""
    view, result = PlaneView(every_n_updates=10), PlaneResult(points=500, paired=50)
    module, history, _ = fitted(view=view, distribution=EightGaussians(), more=[result])
    outcome = result.outcome
    assert set(outcome.artefacts) == {"history.json", "page.html", "view.gif", "panel.png", "report.md"}
    assert set(outcome.figures) == {"view", "losses"}
    assert outcome.facts["convergence"] == {"state": "early", "since": None}
    assert outcome.facts["summary"] == "early: 20 updates are few; train longer", "a notebook has no trainer.max_epochs"
    final, metrics = view.state_dict()["final"], outcome.metrics
    assert metrics["w1_averaged"] != final["averaged"]["w1"], "a smaller sample than the verdict's was asked for"
    assert "kl_limit" not in metrics and metrics["js_limit"] == final["bounds"]["js"][2]
    line = outcome.artefacts["report.md"].split("| averaged generator | ")[1].split(" |")[0]
    assert line == f"{metrics['kl_averaged']:.4f}"
    told = json.loads(re.search(r'id="data">(.*?)</script>', outcome.artefacts["page.html"], re.DOTALL)[1])["statement"]
    assert told[0].lower() + told[1:].rstrip(".") == outcome.facts["statement"].rstrip(".")
    kept = plain_history(history.state_dict()) | {"scores": main_scores(view.state_dict())}
    assert outcome.artefacts["history.json"] == kept
    fit = InTraining(module.trainer, module)
    assert result.reload(fit, None) == result.metrics and {"kl", "w1_averaged", "js_floor"} <= result.metrics.keys()


def test_the_verdict_and_the_table_are_of_the_same_points():
    view, result = PlaneView(every_n_updates=10), PlaneResult(points=3000, paired=100)
    fitted(view=view, distribution=EightGaussians(), more=[result])
    final, metrics = view.state_dict()["final"], result.outcome.metrics
    assert {f"{name}_averaged": value for name, value in final["averaged"].items()}.items() <= metrics.items()
    limits = {f"{name}_limit": bound[2] for name, bound in final["bounds"].items() if name != "kl"}
    assert limits.items() <= metrics.items()
    said = f"W1 {metrics['w1_averaged']:.4f} (over its limit {metrics['w1_limit']:.4f}"
    assert said in result.outcome.facts["statement"]


@pytest.mark.parametrize(
    ("paired", "distances", "said"),
    [
        (1000, [300] * 3, "of 300 pairs of points, the mean over 3 x 300"),
        (100, [100], "of 100 pairs of points, as are its floor and its limit"),
        (599, [300], "of 300 pairs of points, as are its floor and its limit"),
        (6000, [300] * 20, "of 300 pairs of points, the mean over 20 x 300"),
        (9000, [300] * 20, "of 300 pairs of points, the mean over 20 x 300"),
    ],
)
def test_the_report_says_of_how_many_points_a_distance_is(monkeypatch, paired, distances, said):
    """And that many are taken: the distances of the averaged generator's points are counted."""
    monkeypatch.setattr("callbacks.observers.plane_view.PAIRED", 300)
    monkeypatch.setattr("metrics.plane_yardstick.DRAWS", 20)
    taken = []
    monkeypatch.setattr(PlaneYardstick, "w1_of", lambda self, points, index: taken.append(len(points)) or 0.1)
    found = final_scores(linear(GAN), EightGaussians(), max(paired, 10), paired)
    assert taken[-len(distances) :] == distances and len(taken) == 2 * len(distances) + 40, "and two of each draw"
    metrics = PlaneResult._named(found)
    text = _report(metrics, "early: x", "not yet", 10_000, paired)
    assert f"of 10,000 points; W1, the exact Wasserstein-1 distance, {said}. The other scores are" in text


def test_each_figure_says_of_how_many_points_and_of_which_generator_it_is():
    """But the headline's, which is of the averaged generator after the last update."""
    assert DISTANCES == {"": 1, "_averaged": OF_AVERAGE}
    view, result = PlaneView(every_n_updates=10), PlaneResult(points=500, paired=50)
    _, history, _ = fitted(view=view, distribution=EightGaussians(), more=[result])
    state, losses, metrics = view.state_dict(), plain_history(history.state_dict()), result.outcome.metrics
    charts = {chart["title"]: list(chart["series"]) for chart in score_series(state)}
    assert charts["Wasserstein-1 distance (300 points)"] == ["generator", "its average, mean of 4"]
    assert "mass, of the average: least part, misplaced, near (10,000 points)" in charts
    frame = state["frames"][-1]
    assert caption(frame).startswith("learning generator after update 20: JS ")
    assert (
        f"JS {frame['scores']['js']:.3f} bits (10,000 points), W1 {frame['scores']['w1']:.4f} (300 pairs)"
        in caption(frame)
    )
    panel = panel_figure(
        state | {"final": {"averaged": {"js": metrics["js_averaged"], "w1": metrics["w1_averaged"]}}}, LAYERS
    )
    headline = f"average after update 20:\nJS {metrics['js_averaged']:.4f} bits, W1 {metrics['w1_averaged']:.4f}"
    assert headline in panel.axes[0].get_title()
    assert "generator after update 20:\nJS" in panel_figure(state | {"final": None}, LAYERS).axes[0].get_title()
    data = json.loads(
        re.search(r'id="data">(.*?)</script>', page_of(state, losses, "x", judged(state, losses)), re.DOTALL)[1]
    )
    assert data["scored"] == "10,000 points, W₁ of 300 pairs"


def test_the_heading_has_the_data_set_and_what_most_depends_on():
    view = PlaneView(every_n_updates=10)
    _, history, _ = fitted(view=view)
    state, losses = view.state_dict(), plain_history(history.state_dict())
    settings = {"model": "GAN", "model.lr_critic": "0.01", "model.z_dim": "2", "dataset": "Plane", "dataset.seed": "3",
                "dataset.distribution": "Drawing", "dataset.distribution.path": "cat.png"}  # fmt: skip

    def named(settings: dict | None) -> str:
        page = page_of(state, losses, "x", judged(state, losses), settings)
        return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])["named"]

    assert named(settings) == "cat.png, GAN, 20 updates, lr_critic 0.01, seed 3"
    assert named(settings | {"dataset.distribution.path": ""}).startswith("Drawing, GAN, 20 updates, ")
    assert named(None) == "20 updates"


@pytest.mark.parametrize(
    ("trainer", "named"),
    [
        ({"max_epochs": -1, "max_steps": 20}, " (trainer.max_steps)"),
        ({"max_epochs": 2, "max_steps": -1}, " (trainer.max_epochs)"),
        ({"max_epochs": 2}, " (trainer.max_epochs)"),
        ({"max_epochs": -1, "max_steps": -1, "max_time": "00:00:01:00"}, " (trainer.max_time)"),
        (None, ""),
    ],
)
def test_the_budget_in_force_is_named(trainer, named):
    view = PlaneView(every_n_updates=10)
    _, history, _ = fitted(view=view)
    opened = SimpleNamespace(config={"trainer": trainer})
    fit = SimpleNamespace(budget=OpenFit.budget.fget(opened) if trainer else "")  # none in a notebook
    found = judged(view.state_dict(), plain_history(history.state_dict()), fit)
    assert found.summary.endswith(f"; train longer{named}"), found.summary


def test_a_result_without_its_observer_is_told():
    with pytest.raises(ValueError, match="GAN: trained without the callback PlaneView; give the trainer one"):
        fitted(more=[PlaneResult(points=500, paired=50)])


@pytest.mark.parametrize("layer", LAYERS)
def test_each_layer_can_be_switched_off(layer):
    view = PlaneView(every_n_updates=10)
    fitted(view=view)
    state = view.state_dict()

    def pixels(layers):
        drawn = io.BytesIO()
        frame_figure(state, -1, layers).savefig(drawn, format="rgba")
        return drawn.getvalue()

    assert pixels(LAYERS) == pixels(LAYERS) != pixels([name for name in LAYERS if name != layer])


def test_pictures_and_animation_are_drawn(tmp_path):
    from PIL import Image

    view = PlaneView(every_n_updates=2)
    fitted(view=view, distribution=EightGaussians())
    state = view.state_dict()
    save_animation(state, LAYERS, tmp_path / "view.gif")
    with Image.open(tmp_path / "view.gif") as animation:
        assert animation.n_frames == len(state["frames"]) == 11
    figure = overview_figure(state, LAYERS, "x")
    assert figure.subfigs[0].get_suptitle().startswith("learning generator after update 20: JS ")
    assert "modes hit" in [axes.get_title() for axes in figure.axes]
    assert arrow_scale(state) > 0


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: PlaneView(0), "view.every_n_updates=0: expects a positive whole number, or null"),
        (lambda: PlaneView(layers=["heat"]), "view.layers: heat is none; accepted are real, generated, decision"),
        (lambda: PlaneResult(points=0), "plane_result.points=0: expects a positive whole number of points"),
        (lambda: PlaneResult(points=10, paired=20), "plane_result.paired=20: more than plane_result.points=10"),
        (lambda: linear(GAN, noise="cauchy"), "model.noise=cauchy: accepted are normal, uniform"),
        (lambda: linear(GAN, optimizer_critic="lion"), "model.optimizer_critic=lion: accepted are adam, sgd"),
        (lambda: linear(GAN, n_generator=-1), "model.n_generator=-1: expects a number from 0"),
        (lambda: linear(WGAN, clip=0), "model.clip=0: expects a positive number"),
        (lambda: DataPlusNoise(Parabola(), z_dim=4), "model.z_dim=4 model.noise=normal: data plus noise takes five"),
        (lambda: DataPlusNoise(Parabola(), noise="uniform"), "model.noise=uniform: data plus noise takes five normal"),
        (lambda: MLPGenerator(2, [0]), r"hidden\[0\]=0: expects a positive number"),
        (lambda: MLPCritic([4], act="tan"), "activation=tan: accepted are relu"),
        (lambda: MLPCritic([4], init="zero"), "init=zero: accepted are default, he"),
    ],
)
def test_impossible_settings_are_told(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_sgd_steps_by_the_gradient_and_several_generator_steps_are_one_update():
    settings = {"optimizer_generator": "sgd", "optimizer_critic": "sgd", "lr_generator": 0.1, "lr_critic": 0.1}
    module, history, _ = fitted(GAN, epochs=1, n_generator=3, **settings)
    assert isinstance(module.configure_optimizers()[0], torch.optim.SGD)
    assert history.state_dict()["updates"][-1] == 10 and module.trainer.global_step == 10
    parameter = nn.Parameter(torch.tensor([2.0]))
    one = nn.Module()
    one.weight = parameter
    module._step((parameter**2).sum(), one, torch.optim.SGD([parameter], lr=0.25))
    assert parameter.item() == 1.0


def test_a_generator_left_as_it_is_still_counts_updates():
    torch.manual_seed(0)
    before = MLPGenerator(2, [16]).state_dict()
    module, history, _ = fitted(WGANGP, epochs=1, n_generator=0)
    assert all(torch.equal(before[k], v) for k, v in module.generator.state_dict().items())
    assert module.trainer.global_step == 10 and "generator_loss" not in history.state_dict()["names"]


def test_both_rates_fall_to_zero_by_a_cosine():
    module, _, _ = fitted(GAN, lr_decay="cosine", lr_generator=1.0, lr_critic=2.0)
    rates = [group["lr"] for optimizer in module.trainer.optimizers for group in optimizer.param_groups]
    assert rates == pytest.approx([0.0, 0.0], abs=1e-12)
    schedules = module.lr_schedulers()
    assert [s.base_lrs for s in schedules] == [[1.0], [2.0]] and [s.last_epoch for s in schedules] == [20, 20]
    assert schedules[0].lr_lambdas[0](10) == pytest.approx(0.5)


def test_uniform_noise_fills_its_square():
    module = linear(GAN, noise="uniform")
    z = module.draw_noise(10_000, torch.Generator().manual_seed(0))
    assert z.abs().max() <= 1 and z.var(0).tolist() == pytest.approx([1 / 3, 1 / 3], rel=0.05)
    assert module._draw(7).shape == (7, 2) and module.fixed_noise.abs().max() <= 1
