"""A job's own section of a page: what it came to, its settings, its pictures with the verdicts beside, its report."""

import re
from pathlib import Path

from latent_lab.page import commands_of
from latent_lab.report_page.markup import Html, command, element, from_markdown, joined, sentence, sorted_by, table
from latent_lab.report_page.pictures import Film, Still
from latent_lab.results import headline, is_bound, left, settings, supervision
from latent_lab.rows import in_unit

FACTS = (
    "supervision",
    "unlabelled",
    "labels",
    "chosen",
    "warning",
    "scored_on",
    "seed",
    "fit",
    "fit_reused",
    "created",
)
SHADES = 10  # of a confusion matrix


def card(
    folder: Path,
    result: dict,
    pictures: list[Still | Film],
    charts: list[int],
    name: str,
    opened: bool,
    link: str | None = None,
) -> Html:
    """The section of a job.

    Args:
        folder: of the job, whose small files are read.
        result: the whole of its ``result.json``.
        pictures: of it that the page has room for.
        charts: the numbers of its charts in the page.
        name: what tells it from the others.
        opened: whether it is unfolded.
        link: where the page of a fit in the plane is, from here.
    """
    # the tallest last, which then has a column of its own
    films_first = sorted(pictures, key=lambda picture: (not isinstance(picture, Film), picture.name == "errors.png"))
    figures = [
        film(picture, result, folder) if isinstance(picture, Film) else still(picture) for picture in films_first
    ]
    if result.get("confusion"):
        figures.insert(0, confusion(result["confusion"], result.get("class_names")))
    page = element("a", "The fit as a page", href=link) if link else None
    written = _text(left(folder, result, "report.md"))
    said = result.get("summary") or result.get("statement")
    return element(
        "details",
        element("summary", element("b", name), " ", badge(result), " ", element("span", figures_of(result))),
        element("p", sentence(said), class_="statement") if said else None,
        element("p", page, ", to scrub and play: a file of its own in the job's folder.") if page else None,
        element("div", *figures, class_="figures"),
        element("div", *(element("figure", data_chart=number) for number in charts), class_="figures"),
        element("details", element("summary", "its report, in figures"), from_markdown(_beneath(written, said)))
        if written
        else None,
        element("details", element("summary", "settings, all metrics, the command"), _facts(result)),
        class_="card",
        open=opened,
    )


def _text(path: Path | None) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path else ""


def _beneath(report: str, statement: str | None) -> str:
    """A report without its first line where that is the statement, which stands above."""
    first, _, rest = report.partition("\n")
    return rest if statement and first.startswith("**") else report


def badge(result: dict) -> Html:
    """One word on how it ended."""
    labels = list((result.get("verdict") or {}).get("labels", {}).values())
    state = (result.get("convergence") or {}).get("state")
    word = labels[-1] if labels else state or ("done" if result["status"] == "ok" else result["status"])
    good = word in ("good", "converged", "done")
    return element("span", word, class_="badge good" if good else "badge")


def figures_of(result: dict) -> str:
    """The first of a result's headline metrics, in a line."""
    forms, metrics = headline(result), result.get("metrics", {})
    names = [name for name in forms if metrics.get(name) is not None and not is_bound(name)][:3]
    return ", ".join(f"{name} {in_unit(metrics[name], forms[name])}" for name in names)


def _facts(result: dict) -> Html:
    said = settings(result) | {key: result[key] for key in FACTS if result.get(key) not in (None, [], {})}
    said |= {"supervision": saw} if (saw := supervision(result)) else {}
    said |= {f"seconds, {key}": value for key, value in result.get("seconds", {}).items()}
    rows = [part for key, value in said.items() for part in (element("dt", key), element("dd", str(value)))]
    forms = headline(result)
    metrics = [
        [(name, None), ("-" if value is None else in_unit(value, forms.get(name, "number")), sorted_by(value))]
        for name, value in result.get("metrics", {}).items()
    ]
    return joined([
        *map(command, commands_of([result])),
        element("dl", *rows),
        table(["metric", "value"], metrics) if metrics else None,
    ])  # fmt: skip


def still(picture: Still, *whose: str) -> Html:
    """A picture with what it shows, after words on ``whose`` it is."""
    return element(
        "figure",
        element("figcaption", *whose, picture.words),
        element("img", src=picture.data, alt=picture.words, decoding="async"),
    )


def film(picture: Film, result: dict, folder: Path, name: str = "") -> Html:
    """The frames of an animation under a slider, which shows the last without script; beside it what was found then.
    With the ``name`` of its job, where that does not stand above."""
    epochs, verdict = epochs_of(picture, result, folder), result.get("verdict") or {}
    frames = []
    for at, data in picture.frames:
        says = _of_epoch(epochs[at], verdict) if epochs else f"frame {at + 1} of {picture.of}"
        frames.append(element("img", src=data, alt=says, data_says=says, decoding="async"))
    frames = [*(_hidden(frame) for frame in frames[:-1]), *frames[-1:]]
    slider = element("input", type="range", min=0, max=len(frames) - 1, value=len(frames) - 1, step=1,
                     aria_label="epoch" if epochs else "frame", hidden=True)  # fmt: skip
    said = re.search(r'data-says="([^"]*)"', frames[-1])[1]
    return element(
        "figure",
        element("figcaption", *([element("b", name), " ", badge(result), " "] if name else []), picture.words),
        slider if len(frames) > 1 else None,
        element("output", Html(said)),
        *frames,
        class_="film judged" if epochs and verdict else "film",
    )


def _hidden(image: Html) -> Html:
    return Html(image.replace("<img ", "<img hidden ", 1))


def _of_epoch(epoch: int, verdict: dict) -> str:
    """``epoch 3: not good: artefacts, blurred``, and whether its FCD is the least."""
    label = verdict.get("labels", {}).get(str(epoch))
    if label is None:
        return f"epoch {epoch}"
    reasons = ", ".join(verdict.get("reasons", {}).get(str(epoch), []))
    best = "; the least FCD of all" if verdict.get("best") == epoch else ""  # which need not be good
    return f"epoch {epoch}: {label}" + (f": {reasons}" if reasons else "") + best


def epochs_of(picture: Film, result: dict, folder: Path) -> list[int] | None:
    """The epochs of all frames of an animation: as the file says, else those that were judged where as many were drawn
    at the same intervals; None where that isn't known."""
    if picture.epochs or picture.name != "epochs.gif":
        return picture.epochs
    judged = [int(epoch) for epoch in (result.get("verdict") or {}).get("labels", {})]
    intervals = set(re.findall(r"every_n_epochs: (\S+)", _text(left(folder, result, "config.yaml"))))
    return judged if len(judged) == picture.of and len(intervals) == 1 else None


def confusion(counts: list[list[int]], names: list[str] | None) -> Html:
    """A confusion matrix (true, predicted): shares of the true class as shades, counts as numbers."""
    names = (
        [str(name) for name in names] if names and len(names) == len(counts) else [str(n) for n in range(len(counts))]
    )
    lines = [element("tr", element("th", "true \\ predicted"), *(element("th", name, scope="col") for name in names))]
    for true, row in zip(names, counts, strict=True):
        cells = []
        for predicted, count in zip(names, row, strict=True):
            share = count / max(1, sum(row))
            says = f"{true} taken for {predicted}: {count} of {sum(row)}, {100 * share:.1f} %"
            says = says.replace("taken for", "rightly") if true == predicted else says
            cells.append(element("td", str(count) if count else "", data_says=says, class_=f"c{round(SHADES * share)}"))
        lines.append(element("tr", element("th", true, scope="row"), *cells))
    grid = element("table", element("tbody", *lines), class_="confusion")
    caption = element("figcaption", "confusion matrix: rows are the true class, columns the predicted")
    return element("figure", caption, element("div", grid, class_="wide"), element("output", " "))
