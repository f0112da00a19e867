"""The page of a run in the plane, clicked in a real browser: what it shows is read off its text and its pixels."""

import base64
import io
import itertools
import json
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("selenium", reason="selenium is not installed")

from chromium import NEEDS_CHROMIUM, headless
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from test_plane_view import fitted

from callbacks.drawing import colours
from callbacks.drawing.loss_charts import plain_history
from callbacks.drawing.plane_page import TEMPLATE, judged, page_of
from callbacks.observers.plane_view import PlaneView
from lightning_modules.gan import GAN
from lightning_modules.wgan_gp import WGANGP

pytestmark = NEEDS_CHROMIUM

UPDATES = [0, 100, 250, 700, 1000]
LAYERS = ["real", "generated", "decision", "gradients", "manifold"]
REAL = np.array([[-1.5, 1.5], [1.5, 1.5], [1.0, -1.0]])
STEP = 0.01  # how far the generator's step moves every point; the window is 4 wide, so 20 times that is drawn


def packed(values, dtype="float32") -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype).tobytes()).decode()


def sheet() -> dict:
    """A noise grid of 3 x 3 cells over the lower left of the window; the last cell is folded over."""
    line = np.linspace(-1.8, -0.6, 4)
    vertices = np.stack(np.meshgrid(line, line), axis=-1)
    fold = [0, 0, 0, 0, 0, 0, 0, 0, 1]
    return {"vertices": packed(vertices), "size": 3, "density": packed(np.ones(9)), "fold": packed(fold, "uint8")}


def curve() -> dict:
    vertices = np.stack([np.linspace(-1.5, 1.5, 50), np.zeros(50)], axis=1)
    fold = np.zeros(49)
    return {"vertices": packed(vertices), "size": 50, "density": packed(np.ones(49)), "fold": packed(fold, "uint8")}


def frame(update: int, **changes) -> dict:
    points = np.array([[0.0, 0.0], [0.5, 0.5], [0.5, -0.5], [-0.5, 0.5]]) + update / 5000
    heat = np.repeat(np.linspace(0, 255, 8), 8)  # rises with y
    return {
        "update": update,
        "heat_before": packed(255 - heat, "uint8"),
        "heat": packed(heat, "uint8"),
        "heat_range": [0, 1],
        "points": packed(points),
        "arrows": packed(np.tile([0.0, 0.3], (4, 1))),
        "moved": packed(points + np.array([STEP, 0])),
        "manifold": sheet(),
        "scores": {"kl": update / 1000, "modes": 8},
    } | changes


def run_data(**changes) -> dict:
    losses = {"discriminator": [1.0, 1.1, None, 1.3, 1.4], "generator": [2.0, 1.5, 1.2, 0.9, 0.7]}
    chart = {"title": "losses", "updates": UPDATES, "series": losses, "lines": {"ln 2": 0.693}, "log": False}
    return {
        "title": "gan-ring-1a2b3c4d",
        "sentence": "converged",
        "statement": "converged, within all limits",
        "settings": {"model.n_critic": "5"},
        "window": [-2, 2, -2, 2],
        "decision": "probability",
        "noise": {"kind": "normal", "dim": 2},
        "steps": {"critic": 5, "generator": 1},
        "real": packed(REAL),
        "heat_size": 8,
        "frames": [frame(update) for update in UPDATES],
        "charts": [chart, chart | {"title": "JS", "log": True, "lines": {}}],
    } | changes


class Page:
    """The page as its reader has it: controls by id, text, pixels."""

    def __init__(self, driver):
        self.driver = driver

    def __getitem__(self, name: str):
        return self.driver.find_element("id", name)

    def click(self, *names: str) -> None:
        for name in names:
            self[name].click()

    def text(self, name: str) -> str:
        return self[name].text

    def js(self, code: str, *arguments):
        return self.driver.execute_script(f"return {code}", *arguments)

    def picture(self) -> str:
        return self.js("document.getElementById('plot').toDataURL()")

    def colours(self, points) -> np.ndarray:
        """RGB of the plot at points of the plane."""
        code = "arguments[0].map(([x, y]) => [...plane.ctx.getImageData(plane.x(x), plane.y(y), 1, 1).data])"
        return np.array(self.js(code, [[float(x), float(y)] for x, y in points]))[:, :3]

    def colour(self, x: float, y: float) -> np.ndarray:
        return self.colours([(x, y)])[0]

    def folded(self) -> int:
        """How many pixels of the plot have the colour of a fold."""
        picture = Image.open(io.BytesIO(base64.b64decode(self.picture().partition(",")[2]))).convert("RGB")
        return int((np.abs(np.asarray(picture, int) - [182, 82, 143]).max(2) < 40).sum())

    def wait(self, condition, seconds: float = 5) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"waited {seconds} s in vain; the caption is {self.text('caption')!r}"
            time.sleep(0.02)


@pytest.fixture(scope="module")
def driver():
    with headless("browser", "performance") as driver:
        yield driver


@pytest.fixture
def page(driver, tmp_path):
    """``page(**changes)``: the page of a run with those changes, open at 1280 x 900; ``page(file)``: a page that there
    is. No test may leave an error."""

    def open_page(file: Path | None = None, width=1280, height=900, motion="no-preference", **changes) -> Page:
        if file is None:
            file = tmp_path / "page.html"
            text = TEMPLATE.read_text().replace("__TITLE__", "a run")
            file.write_text(text.replace("__DATA__", json.dumps(run_data(**changes)).replace("<", "\\u003c")))
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        preference = {"name": "prefers-reduced-motion", "value": motion}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [preference]})
        driver.get(file.as_uri())
        return Page(driver)

    driver.get_log("browser")
    yield open_page
    assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert not driver.find_element("id", "error").is_displayed()


def is_blue(colour) -> bool:
    return colour[2] > colour[0] + 60 and colour[2] > colour[1] + 30


def is_orange(colour) -> bool:
    return colour[0] > colour[2] + 80 and colour[0] > colour[1] + 60


@pytest.mark.parametrize("kind", [GAN, pytest.param(WGANGP, marks=pytest.mark.slow)])
def test_the_page_of_a_real_fit_opens_plays_and_goes_slowly(page, tmp_path, kind):
    view = PlaneView(every_n_updates=4)
    _, history, _ = fitted(kind, view=view)
    state, losses = view.state_dict(), plain_history(history.state_dict())
    (tmp_path / "fit.html").write_text(page_of(state, losses, "a fit", judged(state, losses), {"model.n_critic": "5"}))
    opened = page(tmp_path / "fit.html")
    assert opened.text("title") == "a fit" and opened.text("statement") == ""  # folded
    opened.js("document.querySelector('#details summary').click()")
    assert opened.text("statement").count("limit") > 2 and opened.text("settings") == "model.n_critic\n5"
    opened.js("document.querySelector('#details summary').click()")
    assert opened.text("iteration") == "20"
    last = state["frames"][-1]["scores"]
    assert float(opened.text("scores").split()[1]) == pytest.approx(last["kl"], rel=0.01)
    opened.click("first")
    assert opened.text("iteration") == "1"
    opened.click("slow")
    opened.wait(lambda: ("critic" if kind is WGANGP else "discriminator") in opened.text("caption"), 15)


def test_it_opens_at_the_last_frame_and_says_what_it_is(page):
    opened = page()
    assert opened.text("iteration") == "1000"
    assert (opened.text("title"), opened.text("sentence")) == ("gan-ring-1a2b3c4d", "converged")
    assert opened.text("scores").split() == ["KL", "1", "modes", "8"]


def test_points_and_decision_lie_where_the_data_says(page):
    opened = page()
    opened.click("layer-manifold", "layer-gradients")
    assert all(is_blue(opened.colour(x, y)) for x, y in REAL)
    assert is_orange(opened.colour(0.2, 0.2)) and is_orange(opened.colour(0.7, -0.3))
    top, middle, bottom = (opened.colour(-1, y) for y in (1.9, 0, -1.9))
    assert top[2] > top[0] + 30 and bottom[0] > bottom[2] + 30 and np.ptp(middle) < 10


def test_the_scrubber_goes_to_a_frame(page):
    opened = page()
    before = opened.picture()
    opened["scrub"].send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert opened.text("iteration") == "250" and opened.text("scores").split()[:2] == ["KL", "0.25"]
    assert opened.picture() != before
    assert is_orange(opened.colour(0.05, 0.05)), "the frame's own points"
    opened["scrub"].send_keys(Keys.HOME)
    assert opened.text("iteration") == "0"


def test_the_buttons_step(page):
    opened = page()
    seen = []
    for name in ("first", "prev", "next", "next", "prev", "last", "next"):
        opened.click(name)
        seen.append(int(opened.text("iteration")))
    assert seen == [0, 0, 100, 250, 100, 1000, 1000]


def test_the_keyboard_steps_and_plays(page):
    opened = page()
    body = opened.driver.find_element("tag name", "body")
    body.send_keys(Keys.ARROW_LEFT)
    assert opened.text("iteration") == "700"
    body.send_keys(Keys.SPACE)
    opened.wait(lambda: opened.text("iteration") == "1000")


def test_play_goes_through_the_frames_and_stops_at_the_last(page):
    opened = page()
    watch = "new MutationObserver(() => seen.push(+iteration.textContent)).observe(iteration, {childList: true})"
    opened.js(f"(window.seen = [], window.iteration = document.getElementById('iteration'), {watch})")
    opened.click("play")
    assert opened["play"].get_attribute("aria-label") == "Pause"
    opened.wait(lambda: opened["play"].get_attribute("aria-label") == "Play")
    assert opened.js("seen") == UPDATES


def test_pause_holds_the_frame(page):
    opened = page(frames=[frame(update) for update in range(100)])
    opened.click("play")
    opened.wait(lambda: int(opened.text("iteration")) in range(2, 99))
    opened.click("play")
    held = opened.text("iteration")
    time.sleep(0.4)
    assert opened.text("iteration") == held and int(held) < 99


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_goes_and_comes_back_exactly(page, layer):
    opened = page()
    before = opened.picture()
    opened.click(f"layer-{layer}")
    assert opened.picture() != before
    opened.click(f"layer-{layer}")
    assert opened.picture() == before


def test_without_layers_the_plot_is_blank(page):
    opened = page()
    opened.click(*(f"layer-{layer}" for layer in LAYERS))
    assert (opened.colour(*REAL[0]) == 255).all() and (opened.colour(0.2, 0.2) == 255).all() and opened.folded() == 0


def test_a_folded_cell_has_purple_edges(page):
    assert page().folded() > 60, "the outline of a cell of 50 x 50 pixels"
    assert page(frames=[frame(0, manifold=sheet() | {"fold": packed(np.zeros(9), "uint8")})]).folded() == 0


def test_a_click_on_a_chart_jumps_to_the_nearest_frame(page):
    opened = page()
    chart = opened["charts"].find_element("css selector", "canvas")
    left, right, middle = 44, chart.size["width"] - 8, chart.size["width"] / 2
    strip = "[...arguments[0].getContext('2d').getImageData(arguments[1] - 1, 10, 3, 80).data]"
    mouse = ActionChains(opened.driver, duration=0)
    for fraction, update in [(0.0, 0), (0.14, 100), (0.2, 250), (0.6, 700), (1.0, 1000)]:
        mouse.move_to_element_with_offset(chart, round(left + fraction * (right - left) - middle), 0).click().perform()
        assert opened.text("iteration") == str(update)
        pixels = np.array(opened.js(strip, chart, round(left + update / 1000 * (right - left)))).reshape(80, 3, 4)
        dark = pixels[..., :3].max(2) + 255 - pixels[..., 3] < 170
        assert dark.any(1).mean() > 0.8, "the marker is there, from top to bottom"


def test_a_chart_says_its_values_at_the_frame(page):
    opened = page()
    assert opened.text("charts").split()[:5] == ["losses", "discriminator", "1.4", "generator", "0.7"]
    opened["scrub"].send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert opened.text("charts").split()[:5] == ["losses", "discriminator", "–", "generator", "1.2"]


def test_slow_motion_tells_five_stages_and_leaves_no_trace(page):
    opened = page(motion="reduce")
    before = opened.picture(), opened.text("caption")
    opened.click("slow")
    captions, pictures = [], []
    for stage in range(1, 6):
        opened.wait(lambda stage=stage: opened.text("caption").startswith(f"{stage} of 5"))
        captions.append(opened.text("caption"))
        pictures.append(opened.picture())
        opened.click("slow-next")
    for words, caption in zip(["noise", "discriminator", "5 steps", "arrows", "one step"], captions, strict=True):
        assert words in caption
    assert len(set(pictures)) == 5 and not opened["layer-real"].is_enabled()
    opened.click("slow-prev")
    opened.wait(lambda: opened.text("caption") == captions[3])
    opened.click("slow-exit")
    assert (opened.picture(), opened.text("caption")) == before and opened["layer-real"].is_enabled()


def test_slow_motion_goes_on_by_itself(page):
    opened = page()
    opened.click("slow")
    opened.wait(lambda: opened.text("caption").startswith("2 of 5"), seconds=4)


def test_the_discriminators_change_is_shown_from_before_to_after(page):
    opened = page(motion="reduce")
    opened.click("slow", "slow-next")
    opened.wait(lambda: opened.text("caption").startswith("2 of 5"))
    assert is_before(opened.colour(-1, 1.9)), "the top is orange before"
    opened.click("slow-next")
    opened.wait(lambda: opened.text("caption").startswith("3 of 5"))
    assert not is_before(opened.colour(-1, 1.9)), "and blue after"


def is_before(colour) -> bool:
    return colour[0] > colour[2] + 30


def test_the_generators_step_is_drawn_as_many_times_longer_as_it_says(page):
    opened = page(motion="reduce")
    opened.click("slow", *["slow-next"] * 4)
    opened.wait(lambda: "Drawn 20 times as far" in opened.text("caption"))
    assert is_orange(opened.colour(0.2 + 20 * STEP, 0.2)) and is_orange(opened.colour(0.7 + 20 * STEP, -0.3))


def test_with_reduced_motion_a_stage_stands_still_and_waits(page):
    opened = page(motion="reduce")
    opened.click("slow", *["slow-next"] * 3)
    opened.wait(lambda: opened.text("caption").startswith("4 of 5"))
    before = opened.picture()
    time.sleep(0.3)
    assert opened.picture() == before


def test_on_a_phone_nothing_is_wider_than_the_screen(page):
    opened = page(width=390, height=844)
    assert opened.js("document.documentElement.scrollWidth") <= 390
    controls = ["scrub", "play", "first", "last", "prev", "next", "speed", "slow"]
    boxes = "arguments[0].map((id) => document.getElementById(id).getBoundingClientRect().toJSON())"
    for box in opened.js(boxes, controls + [f"layer-{layer}" for layer in LAYERS]):
        assert box["left"] >= 0 and box["right"] <= 390 and box["width"] > 10
    assert all(box["height"] >= 44 for box in opened.js(boxes, controls)), "large enough for a finger"
    plot = opened["plot"].rect
    assert opened["charts"].rect["y"] > plot["y"] + plot["height"] and plot["width"] > 340
    opened.click("slow")
    assert opened["slow-exit"].is_displayed() and opened.js("document.documentElement.scrollWidth") <= 390


def test_on_a_desktop_the_charts_are_beside_the_plot_and_the_controls_on_the_screen(page):
    opened = page()
    plot = opened["plot"].rect
    assert opened["charts"].rect["x"] > plot["x"] + plot["width"] and plot["width"] > 480
    assert opened["story"].rect["y"] + opened["story"].rect["height"] <= 900
    assert opened.js("document.documentElement.scrollWidth") <= 1280


@pytest.mark.parametrize("decision", ["probability", "distance"])
def test_the_explanation_ends_on_the_screen_of_a_small_laptop(page, decision):
    """Each of its five steps, with what presses the buttons, at 1366 x 768, of square and of long windows."""
    for window in ([-2, 2, -2, 2], [-3, 3, -2, 2], [-2, 2, -3, 3]):
        changes = {"window": window, "decision": decision, "settings": {}, "named": "cat.png, GAN, 5,070 updates"}
        opened = page(width=1366, height=768, motion="reduce", sentence="Early: 300 updates are few.", **changes)
        assert opened.text("named") == "cat.png, GAN, 5,070 updates" and opened["named"].rect["y"] < 50
        opened.click("slow")
        for stage in range(1, 6):
            opened.wait(lambda page=opened, stage=stage: page.text("caption").startswith(f"{stage} of 5"))
            story = opened["story"].rect
            assert story["y"] + story["height"] <= 768, (stage, window)
            opened.click("slow-next")
        assert opened["plot"].rect["height"] > 250


def test_the_noise_covers_no_real_point_where_a_corner_is_free(page):
    boxes = "[inset.x(0), inset.x(1), inset.y(0), inset.y(1)]"
    for taken in ([(-1.5, -1.5)], [(-1.5, -1.5), (1.5, -1.5)], [(-1.5, -1.5), (1.5, -1.5), (1.5, 1.5)], [(-1.0, -1.0)]):
        points = np.concatenate([REAL[:0], np.array(taken)])
        left, right, low, high = page(real=packed(points)).js(boxes)
        assert -2 < left < right < 2 and -2 < low < high < 2 and right - left == pytest.approx(high - low)
        assert not any(left - 0.05 <= x <= right + 0.05 and low - 0.05 <= y <= high + 0.05 for x, y in points), taken
        assert right - left == pytest.approx(0.22 * 4)
    modes = [-1.6, -0.8, 0, 0.8, 1.6]
    for taken in ([(x, y) for x in (-1.2, 1.2) for y in (-1.2, 1.2)], [(x, y) for x in modes for y in modes]):
        left, right, low, high = page(real=packed(np.array(taken))).js(boxes)
        assert right - left < 0.2 * 4 and not any(left <= x <= right and low <= y <= high for x, y in taken)


@pytest.mark.parametrize(
    "lines",
    [
        {"limit: a tenth moved": 0.2, "floor: 300 points": 0.19},
        {"a": 0.2, "b": 0.2},
        {"limit of least": 0.7, "limit of misplaced": 0.69, "limit of near": 0.71},
        {"lowest": 0.0, "next": 0.02},
        {"highest": 2.0, "next": 1.99},
        {"one": 1.0},
    ],
)
def test_labels_of_lines_stand_apart_and_no_line_strikes_them(page, lines):
    chart = {
        "title": "x",
        "updates": UPDATES,
        "series": {"generator": [2.0, 1.0, 0.5, 0.2, 0.0]},
        "lines": lines,
        "log": False,
    }
    opened = page(charts=[chart])
    found = opened.js("""(() => { const one = charts[0], { ctx, width, height } = fit(one.canvas, 116);
      const y = (v) => lerp(height - CHART.bottom, CHART.top, (v - one.limits[0]) / (one.limits[1] - one.limits[0]));
      const lines = linesOf(one.chart, y), curve = one.all[0].map((v, i) => [CHART.left + 60 * i, y(v)]);
      const places = labelPlaces(ctx, lines, curve, width - CHART.right, height - CHART.bottom);
      return [places, lines.map(({ at }) => at), height]; })()""")
    places, at, height = found
    assert {place["label"] for place in places} == set(lines)
    tops = [place["top"] for place in places]
    assert all(later - former >= 13 for former, later in itertools.pairwise(tops)), tops
    assert all(0 <= top <= height - 18 - 13 for top in tops)
    assert not any(top < y < top + 13 for top in tops for y in at), (tops, at)


def test_scores_say_whose_they_are_and_of_how_many_points(page):
    opened = page(scored="10,000 points, W₁ of 300 pairs")
    assert opened.text("when") == (
        "The generator that learns, not its average, after this iteration's update: 10,000 points, W₁ of 300 pairs"
    )


def test_a_critics_value_has_contour_lines_and_its_range(page):
    frames = [frame(update, heat_range=[-3.5, 12]) for update in UPDATES]
    opened = page(decision="distance", frames=frames)
    opened.click("layer-manifold")
    assert "−3.5" in opened.text("legend") and "12" in opened.text("legend") and "every 2" in opened.text("legend")
    column = opened.colours([(-1.0, y) for y in np.linspace(-1.9, 1.9, 380)]).sum(1)
    dips = (column[1:-1] < column[:-2] - 20) & (column[1:-1] <= column[2:])
    assert dips.sum() in (7, 8), "lines at -2, 0, ... 10, of which those in the outer half cells have no place"
    opened.click("slow", "slow-next")
    opened.wait(lambda: opened.text("caption").startswith("2 of 5"))
    assert "critic" in opened.text("caption") and "discriminator" not in opened.text("caption")


def test_a_margin_has_its_two_ends_and_no_contour_lines(page):
    opened = page(decision="margin", frames=[frame(update, heat_range=[-1, 1]) for update in UPDATES])
    opened.click("layer-manifold", "layer-gradients")
    assert opened.text("legend").split("\n")[-1] == "D(x): real from 1 on, generated up to −1, undecided between"
    column = opened.colours([(-1.9, y) for y in np.linspace(-1.9, 1.9, 380)]).sum(1)
    dips = (column[1:-1] < column[:-2] - 20) & (column[1:-1] <= column[2:])
    assert dips.sum() == 0 and np.ptp(opened.colour(-1.9, 0)) < 10, "0, in the middle, is grey"
    opened.click("slow", "slow-next")
    opened.wait(lambda: opened.text("caption").startswith("2 of 5"))
    assert "go to the discriminator" in opened.text(
        "caption"
    ) and "a value, higher where points look real" in opened.text("caption")


@pytest.mark.parametrize("changes", [
    {"noise": {"kind": "uniform", "dim": 1}, "frames": [frame(update, manifold=curve()) for update in UPDATES]},
    {"noise": {"kind": "normal", "dim": 16}, "frames": [frame(update, manifold=None) for update in UPDATES]},
    {"frames": [frame(1000)]},
    {"frames": [frame(1000, arrows=packed(np.zeros(8)), moved=frame(1000)["points"], scores={})], "charts": []},
], ids=["noise on a line", "no manifold", "one frame", "nothing moves"])  # fmt: skip
def test_other_runs_show_and_play_slowly_too(page, changes):
    opened = page(motion="reduce", **changes)
    assert opened.text("iteration") == "1000"
    assert is_blue(opened.colour(*REAL[0])) and is_orange(opened.colour(0.2, 0.2))
    assert opened["layer-manifold"].is_enabled() == (changes["frames"][0]["manifold"] is not None)
    opened.click("slow", *["slow-next"] * 4)
    opened.wait(lambda: opened.text("caption").startswith("5 of 5"))
    assert is_orange(opened.colour(0.2 + (0 if "charts" in changes else 20 * STEP), 0.2))


def test_text_of_the_run_is_never_markup(page):
    opened = page(title="</script><b>run</b>", sentence="a < b & <i>c</i>")
    assert (opened.text("title"), opened.text("sentence")) == ("</script><b>run</b>", "a < b & <i>c</i>")


def test_an_error_is_shown_and_not_swallowed(page, driver):
    opened = page(frames=[frame(1000, points="not base64!")])
    assert "failed" in opened.text("error")
    assert any(entry["level"] == "SEVERE" for entry in driver.get_log("browser"))
    page()  # a page without an error, for the check after the test


def test_it_asks_nothing_of_the_network(page, driver):
    driver.get_log("performance")
    opened = page()
    opened.click("play", "slow", "slow-exit", "layer-real")
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert urls and all(url.startswith(("file:", "data:")) for url in urls)
    assert sum(url.startswith("file:") for url in urls) == 1, "the page itself"


def test_dark_is_dark_in_the_plane_too_and_points_stay_seen(page, driver):
    """Of the plot and the page; the change of scheme redraws without a reload."""
    opened = page()
    opened.click("layer-manifold", "layer-gradients")

    def looks(scheme: str) -> tuple[float, float, float]:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia",
                               {"features": [{"name": "prefers-color-scheme", "value": scheme}]})  # fmt: skip
        # the event that redraws comes with the browser's next frame
        opened.wait(lambda: all((opened.colour(-1, y).mean() < 128) == (scheme == "dark") for y in (0, 1.9)))
        paper = opened.js("getComputedStyle(document.body).backgroundColor")
        return (
            np.mean([float(n) for n in paper[4:-1].split(",")]),
            opened.colour(-1, 0).mean(),
            opened.colour(-1, 1.9).mean(),
        )

    light, dark = looks("light"), looks("dark")
    assert min(light) > 190 and max(dark) < 80
    assert is_blue(opened.colour(*REAL[0])) and is_orange(opened.colour(0.2, 0.2))
    assert looks("light") == light


def test_the_page_and_the_pictures_have_the_same_colours():
    style = TEMPLATE.read_text()
    for name, colour in {"real": colours.REAL, "generated": colours.GENERATED, "fold": colours.FOLD,
                         **dict(zip(("low", "middle", "high"), colours.DECISIONS, strict=True))}.items():  # fmt: skip
        assert f"--{name}: {colour};" in style, name


def test_what_each_of_the_two_has_learned_is_said(page):
    """With five steps of the critic an update, a fifth of the updates is as much work."""
    opened = page(steps={"critic": 5, "generator": 1})
    assert "the generator took 1,000 steps, the discriminator took 5,000" in opened.text("caption")
    opened = page(steps={"critic": 5, "generator": 0})
    assert "the generator is fixed, the discriminator took 5,000" in opened.text("caption")


def test_one_step_is_no_steps(page):
    opened = page(frames=[frame(1)], charts=[])
    assert "the generator took 1 step, the discriminator took 5." in opened.text("caption")


def test_what_is_before_and_what_after_the_update_is_said(page):
    opened = page()
    caption = opened.text("caption")
    assert "orange diamonds generated before this update." in caption and "a grid of noise after the update" in caption
    assert opened.text("when") == "The generator that learns, not its average, after this iteration's update"
    opened.click("layer-real")
    assert "Orange diamonds generated before" in opened.text("caption") and "lue dots" not in opened.text("caption")


def test_a_value_beyond_the_axis_has_no_dot(page):
    """Of a chart's axis, which 1 % of the values at either end do not set."""
    values, updates = [1 + n % 2 for n in range(280)], list(range(300))
    drawn = {}
    for last in (1.5, 900.0):
        series = {"generator": [*values, *[None] * 19, last]}
        chart = {"title": "losses", "updates": updates, "series": series, "lines": {}, "log": False}
        opened = page(charts=[chart], frames=[frame(299)])
        canvas = opened["charts"].find_element("css selector", "canvas")
        assert opened.text("charts").split() == ["losses", "generator", str(last).removesuffix(".0")]
        strip = "[...arguments[0].getContext('2d').getImageData(arguments[1] - 4, 0, 12, 116).data]"
        pixels = np.array(opened.js(strip, canvas, canvas.size["width"] - 8)).reshape(116, 12, 4)
        drawn[last] = sum(is_orange(pixel[:3].astype(int)) and pixel[3] > 200 for pixel in pixels.reshape(-1, 4))
    assert drawn[1.5] > 15 and drawn[900.0] == 0
