"""The page of a sweep, clicked in a real browser at the widths of a desktop and of a phone."""

import json

import pytest

pytest.importorskip("selenium", reason="selenium is not installed")

from chromium import NEEDS_CHROMIUM, headless
from pages_of_jobs import EVIL, add, adversarial, few_labels, history, picture
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from sweeps_of_heads import write_job

from latent_lab.html_report import write_job_page, write_sweep_page

pytestmark = NEEDS_CHROMIUM
DRAWN = "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
MARKS = "{} [role=img] circle:not(.ring)"
WIDTHS = {1280: 720, 390: 844}
SVC_20 = "python train.py -m model=vae dataset=digits classifier=linear_svc n_labels=20 label_seed=0,1 seed=0"


@pytest.fixture(scope="module")
def driver():
    with headless("browser") as driver:
        yield driver


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Of a sweep of few labels, of one of adversarial models, of a job of the latter."""
    folder = tmp_path_factory.mktemp("sweeps")
    few_labels(folder / "few")
    adversarial(folder / "gans")
    job = write_job_page(next((folder / "gans").glob("*model=dcgan*")))
    return {"few": write_sweep_page(folder / "few"), "gans": write_sweep_page(folder / "gans"), "job": job}


@pytest.fixture
def opened(driver, pages):
    """``opened(name, width)``: a page in the browser, which may leave no error: nothing refused, nothing missing."""

    def open_page(name: str, width: int = 1280, scheme: str = "light"):
        screen = {"width": width, "height": WIDTHS[width], "deviceScaleFactor": 1, "mobile": width < 500}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        driver.get(pages.get(name, name).as_uri())
        return driver

    driver.get_log("browser")
    yield open_page
    assert driver.get_log("browser") == []


def one(driver, selector: str):
    return driver.find_element("css selector", selector)


def column(driver, number: int) -> list[str]:
    return [cell.text for cell in driver.find_elements("css selector", f".sortable td:nth-child({number})")]


def point(driver, selector: str, number: int) -> None:
    """Moves the mouse onto a mark of a chart, in the order of its series."""
    driver.execute_async_script(DRAWN)
    mark = driver.find_elements("css selector", MARKS.format(selector))[number]
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", mark)
    ActionChains(driver, duration=0).move_to_element(mark).perform()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["few", "gans", "job"])
def test_nothing_is_wider_than_the_screen(opened, name, width):
    driver = opened(name, width)
    for details in driver.find_elements("css selector", "details"):
        driver.execute_script("arguments[0].open = true", details)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    broken = "return [...document.images].filter((image) => image.complete && !image.naturalWidth).length"
    assert driver.execute_script(broken) == 0
    for chart in driver.find_elements("css selector", "[data-chart]"):
        driver.execute_script("arguments[0].scrollIntoView()", chart)
        if chart.is_displayed():
            assert 250 < chart.size["width"] <= width and one(chart, "svg .grid")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_click_on_a_column_sorts_and_another_turns_it_round(opened, width):
    driver = opened("few", width)
    head = driver.find_elements("css selector", ".sortable th")[3]
    assert column(driver, 4)[:2] == ["71.50 ± 0.71", "74.50 ± 0.71"]
    one(head, "button").click()
    assert column(driver, 4)[:2] == ["74.50 ± 0.71", "71.50 ± 0.71"] and column(driver, 2)[0] == "linear_svc"
    assert head.get_attribute("aria-sort") == "descending"
    one(head, "button").send_keys(Keys.ENTER)
    assert column(driver, 4)[:2] == ["71.50 ± 0.71", "74.50 ± 0.71"]
    name = driver.find_elements("css selector", ".sortable th")[1]
    one(name, "button").click()
    assert column(driver, 2)[:2] == ["knn", "linear_svc"] and head.get_attribute("aria-sort") is None


def test_no_figure_comes_last_either_way(opened, tmp_path):
    for classifier, accuracy in (("a", 0.9), ("b", None), ("c", 0.95)):
        write_job(tmp_path, classifier, accuracy)
    driver = opened(write_sweep_page(tmp_path))
    button = driver.find_elements("css selector", ".sortable th button")[3]
    for expected in ("cab", "acb"):
        button.click()
        assert "".join(name for name in column(driver, 2) if name in ("a", "b", "c")) == expected


@pytest.mark.parametrize("width", WIDTHS)
def test_a_point_says_its_value_and_the_command_that_makes_it(opened, width):
    driver = opened("few", width)
    point(driver, ".chart", 2)  # the second head's first
    tip, code = one(driver, ".chart .tip"), one(driver, ".chart code")
    assert tip.text == "linear_svc on vae, supervised: 74.50 ± 0.71 % at 20 labelled images"
    assert code.text == SVC_20 and tip.rect["x"] >= 0 and tip.rect["x"] + tip.rect["width"] <= width
    one(driver, ".chart svg").send_keys(Keys.ARROW_RIGHT)
    assert tip.text.endswith("93.50 ± 0.71 % at 100 labelled images") and "n_labels=100" in code.text


def test_marks_stand_where_the_values_are(opened):
    driver = opened("few")
    place = "(mark) => [+mark.getAttribute('cx'), +mark.getAttribute('cy')]"
    xy = f"return [...document.querySelectorAll('{MARKS.format('.chart')}')].map({place})"
    (knn_20, knn_100, svc_20, svc_100) = driver.execute_script(xy)
    assert knn_20[0] < knn_100[0] - 300 and abs(knn_20[0] - svc_20[0]) < 10
    assert knn_20[1] > svc_20[1] > knn_100[1] > svc_100[1]  # 71.5, 74.5, 90.5, 93.5: higher is further up
    gaps = knn_20[1] - svc_20[1], knn_100[1] - svc_100[1]  # in the error's logarithm: 28.5 to 25.5, and 9.5 to 6.5
    assert gaps[1] / gaps[0] == pytest.approx(3.417, rel=0.02)  # ln(9.5/6.5) / ln(28.5/25.5)


def said(film) -> str:
    """What stands beside the frame, of which only the one it says may be shown."""
    (shown,) = [frame for frame in film.find_elements("css selector", "img") if frame.is_displayed()]
    assert shown.get_attribute("data-says") == one(film, "output").text
    return one(film, "output").text


@pytest.mark.parametrize("width", WIDTHS)
def test_the_slider_goes_through_the_epochs_with_their_verdicts(opened, width):
    driver = opened("gans", width)
    film, other = driver.find_elements("css selector", ".film")
    slider = one(film, "input")
    assert said(film) == "epoch 3: good; the least FCD of all"
    slider.send_keys(Keys.ARROW_LEFT)
    assert said(film) == "epoch 2: not good: blurred, artefacts"
    slider.send_keys(Keys.HOME)
    assert said(film) == "epoch 1: failed: noise" and said(other) == "epoch 3: good; the least FCD of all"
    assert slider.size["height"] >= (44 if width < 500 else 30)


def test_scores_can_be_chosen_by_metric(opened, tmp_path):
    for model, fcd in (("dcgan", 3.0), ("wgan_gp", 5.0)):
        job = write_job(tmp_path, model, 0.5)
        add(job, headline={"fcd": "number", "kid": "number"}, metrics={"fcd": fcd, "kid": 10 * fcd}, repeats=["seed"])
    driver = opened(write_sweep_page(tmp_path))
    point(driver, ".switched > div:not([hidden])", 0)
    assert one(driver, ".switched > div:not([hidden]) .tip").text == "classifier dcgan: 3.000"
    select = one(driver, ".switched select")
    select.send_keys(Keys.ARROW_DOWN)
    point(driver, ".switched > div:not([hidden])", 1)
    assert one(driver, ".switched > div:not([hidden]) .tip").text == "classifier wgan_gp: 50.00"


@pytest.mark.parametrize("width", WIDTHS)
def test_a_folded_job_unfolds_and_its_charts_are_as_wide_as_there_is_room(opened, width):
    driver = opened("gans", width)
    second = driver.find_elements("css selector", ".card")[1]
    assert not one(second, "svg").is_displayed()
    one(second, "summary").click()
    driver.execute_async_script(DRAWN)
    svg = one(second, "svg")
    drawn = driver.execute_script("return arguments[0].viewBox.baseVal.width", svg)
    assert drawn == svg.size["width"] == one(second, "[data-chart]").size["width"]
    assert svg.size["width"] > 300 and one(svg, ".curve").is_displayed()


def test_a_cell_of_the_confusion_matrix_says_its_counts(opened):
    driver = opened("few", 390)
    cell = driver.find_elements("css selector", ".confusion td")[1]
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", cell)
    cell.click()
    assert "0 taken for 1: 1 of 10, 10.0 %" in one(driver, "figure:has(.confusion)").text


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("shown", ["figure:not(.film) img", ".film img:not([hidden])"])
def test_a_click_opens_a_picture_in_full_and_another_closes_it(opened, width, shown):
    driver = opened("job", width)
    picture = one(driver, shown)
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", picture)
    before, (natural, high) = picture.size["width"], (picture.get_property(f"natural{s}") for s in ("Width", "Height"))
    picture.click()
    large = one(driver, "dialog[open] img")
    assert large.size["width"] > 1.5 * before and large.size["width"] >= natural
    assert large.size["width"] == width or large.size["height"] == WIDTHS[width], "as large as the screen"
    assert large.size["height"] == pytest.approx(large.size["width"] * high / natural, abs=1)
    large.click()
    assert not driver.find_elements("css selector", "dialog[open]") and picture.size["width"] == before
    picture.send_keys(Keys.ENTER)
    assert one(driver, "dialog[open]")
    ActionChains(driver).send_keys(Keys.ESCAPE).perform()
    assert not driver.find_elements("css selector", "dialog[open]")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_picture_larger_than_the_screen_is_opened_in_its_own_size(opened, tmp_path, width):
    few_labels(tmp_path)
    for errors in tmp_path.glob("*/errors.png"):
        picture(errors, size=2000)
    driver = opened(write_sweep_page(tmp_path), width)
    shown = one(driver, "figure img")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", shown)
    shown.click()
    assert one(driver, "dialog[open] img").size["width"] == 2000
    box = "const {scrollWidth, clientWidth} = document.querySelector('dialog'); return [scrollWidth, clientWidth]"
    inside, seen = driver.execute_script(box)
    assert inside == 2000 and seen <= width, "what is not seen can be scrolled to"


def test_what_lies_beyond_the_axis_leaves_the_frame(opened, tmp_path):
    """A running mean and a held-out value far above all others: no flat line and no mark at the edge."""
    job = write_job(tmp_path, "none", 0.5, "digits", model="gan")
    told = history()
    told |= {"updates": list(range(10, 2010, 10)), "rows": [[1 + n / 100] for n in range(200)]}
    told["rows"][50] = [900.0]
    told["epochs"] = [{"epoch": n, "updates": 10 * n, "train/critic_loss": 1.4 + (n == 30) * 500} for n in range(1, 40)]
    (job / "history.json").write_text(json.dumps(told))
    driver = opened(write_sweep_page(tmp_path))
    chart = one(driver, ".card [data-chart]")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
    driver.execute_async_script(DRAWN)
    marks = chart.find_elements("css selector", "[role=img] circle:not(.ring)")
    frame = chart.find_element("css selector", "svg svg")
    low, high = ([float(v) for v in frame.get_dom_attribute("viewBox").split()][i] for i in (1, 3))
    heights = [float(mark.get_attribute("cy")) for mark in marks]
    assert len(marks) == 38 and all(low + 1 < height < low + high - 1 for height in heights)
    path = chart.find_element("css selector", "svg svg .curve").get_attribute("d")
    ups = [float(point.split()[1]) for point in path[1:].split("L")]
    assert min(ups) < low - 1000 and sum(up < low for up in ups) == 1
    look = "const {overflow, width, height} = getComputedStyle(arguments[0]); return [overflow, width, height]"
    wide = float(frame.get_dom_attribute("viewBox").split()[2])
    assert driver.execute_script(look, frame) == ["hidden", f"{wide:g}px", f"{high:g}px"]
    svg = one(chart, "svg")
    for _ in range(51):
        svg.send_keys(Keys.ARROW_RIGHT)
    tip = one(chart, ".tip")
    assert tip.text == "D, running: 900 at 510 generator updates, beyond the axis"
    assert svg.rect["y"] - tip.size["height"] - 10 <= tip.rect["y"] <= svg.rect["y"] + svg.size["height"]
    assert one(chart, ".ring").get_attribute("visibility") == "hidden"


def test_published_figures_share_an_entry_of_the_legend_and_say_their_names_at_their_points(opened, tmp_path):
    write_job(tmp_path, "knn", 0.9, "mnist", 100)
    driver = opened(write_sweep_page(tmp_path))
    names = [item.text for item in driver.find_elements("css selector", ".chart .legend li")]
    assert names == ["knn on vae, supervised", "published (point at one)"]
    driver.execute_async_script(DRAWN)
    one(driver, ".chart svg").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert one(driver, ".chart .tip").text.startswith("published: ")


def test_a_command_is_copied(opened):
    driver = opened("few")
    button = driver.find_elements("css selector", ".command button")[-1]
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    watch = "new MutationObserver(() => said.push(arguments[0].textContent)).observe(arguments[0], {childList: true})"
    driver.execute_script(f"window.said = []; {watch}", button)
    button.click()
    WebDriverWait(driver, 10).until(lambda driver: driver.execute_script("return said.length"))
    assert driver.execute_script("return said[0]") in ("copied", "selected")


def test_dark_is_dark_and_light_is_light(opened):
    ink_and_paper = "const style = getComputedStyle(document.body); return [style.color, style.backgroundColor]"
    for scheme, order in (("light", 1), ("dark", -1)):
        colours = opened("few", scheme=scheme).execute_script(ink_and_paper)
        ink, paper = (sum(map(int, colour[4:-1].split(", "))) for colour in colours)
        assert order * (paper - ink) > 400


def test_names_that_would_be_scripts_are_text(opened, tmp_path):
    for number in range(2):
        job = write_job(tmp_path, f"c{number}", 0.5)
        words = {"model": EVIL, "dataset": EVIL}
        add(job, choices=words, settings=words | {"n": number}, overrides=[f"{EVIL}={number}"], statement=EVIL,
            headline={EVIL: "number"}, metrics={EVIL: number}, repeats=["seed"], setting=str(number))  # fmt: skip
        told = history()
        told["charts"][0]["title"] = EVIL
        (job / "history.json").write_text(json.dumps(told))
    driver = opened(write_sweep_page(tmp_path))
    point(driver, ".switched", 0)
    assert driver.title == tmp_path.name and driver.execute_script("return document.scripts.length") == 2
    assert EVIL in one(driver, ".statement").text and not driver.find_elements("css selector", "img")


def test_the_names_of_lines_close_together_stand_apart_in_their_order(opened, tmp_path):
    job = write_job(tmp_path, "none", 0.5, "digits", model="gan")
    told = history()
    told["charts"][0]["lines"] = {"lowest": 1.2, "highest": 1.21, "middle": 1.205}
    (job / "history.json").write_text(json.dumps(told))
    names = opened(write_sweep_page(tmp_path)).find_elements("css selector", ".card [role=img] text[text-anchor=end]")
    heights = {name.text: float(name.get_attribute("y")) for name in names if not name.text[0].isdigit()}
    assert [*heights] == ["highest", "middle", "lowest"]
    high, middle, low = heights.values()
    assert middle - high >= 12 and low - middle >= 12
