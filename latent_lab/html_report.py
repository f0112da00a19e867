"""``report.html``: a job or a sweep as one file that opens from disk and can be sent to somebody. It has the tables,
which a click sorts, the charts, whose points say their values and commands, pictures, settings, versions and the
command that makes it again.

A pure function of the files in the folder, as ``results.md`` is, and of the pictures of fits that its jobs share;
without torch and matplotlib. Nothing is fetched, and
nothing that a name contains is markup or runs (:mod:`latent_lab.report_page.markup`).
"""

import os
from pathlib import Path
from urllib.parse import quote

from latent_lab.page import commands_of
from latent_lab.report_page import fits
from latent_lab.report_page.cards import card, film
from latent_lab.report_page.curves import loss_charts, score_curves
from latent_lab.report_page.markup import Html, command, element, joined, page, sentence
from latent_lab.report_page.pictures import OF_A_JOB, Film, Source, taken
from latent_lab.report_page.tables import all_jobs, differing, of_kind
from latent_lab.results import HEAVY, ended, kinds, left, read_result, read_results, settings, short
from latent_lab.rows import aggregate
from latent_lab.storage import DamagedFile, read_json, write_text
from latent_lab.written_plan import with_planned

NAME = "report.html"
MOST_BYTES = 5_000_000
# Jobs with a section of their own, and the bytes of pictures: the first that make a page small enough
SIZES = ((40, 4_200_000), (40, 3_000_000), (16, 2_500_000), (8, 1_500_000), (2, 0))
MOST_SAID = 200  # failures


def write_sweep_page(folder: Path, results: list[dict] | None = None) -> Path:
    """Writes ``report.html`` of a sweep into its folder; ``results`` are those in it, where they are read already."""
    results = with_planned(folder, read_results(folder)) if results is None else results
    write_text(folder / NAME, sweep_page(folder, results))
    return folder / NAME


def write_job_page(folder: Path) -> Path:
    """Writes ``report.html`` of a single job into its folder."""
    write_text(folder / NAME, job_page(folder))
    return folder / NAME


def sweep_page(folder: Path, results: list[dict]) -> str:
    """The page of a sweep with these results."""
    failed = [result for result in results if result["status"] != "ok"]
    every = _representatives(results)
    charts_of_tables: list[dict] = []
    tables = [of_kind(kind, charts_of_tables) for kind in kinds(results)]

    def of_size(jobs: int, pictures: int) -> str:
        chosen, charts = every[:jobs], list(charts_of_tables)
        jobs = [(folder / job["job_name"], job) for job in chosen]
        films, cards, drawn, notes = _cards(folder, jobs, charts, pictures)
        of = "" if len(chosen) == len(every) else f", of the first {len(chosen)} of {len(every)} rows"
        first = [f"of each row the first repetition is shown{of}"] * (len(chosen) < len(results) - len(failed))
        body = joined([
            element("h1", folder.name),
            element("p", _in_short(results), class_="soft"),
            *tables,
            _not_done(failed),
            element("h2", "Side by side") if films else None,
            element("div", *films, class_="figures") if films else None,
            *_of_fits(drawn),
            element("h2", "Jobs") if cards else None,
            _note([*first, *notes]),
            *cards,
            all_jobs(results),
            _made(results, [folder / job["job_name"] for job in chosen]),
        ])  # fmt: skip
        return page(folder.name, element("main", body), charts)

    return _small_enough(of_size)


def job_page(folder: Path) -> str:
    """The page of a single job."""
    result = _read(folder) | {"job_name": folder.name}

    def of_size(_jobs: int, pictures: int) -> str:
        charts: list[dict] = []
        _, cards, drawn, notes = _cards(folder, [(folder, result)], charts, pictures)
        body = joined([
            element("h1", folder.name),
            _not_done([result] if result["status"] != "ok" else []),
            _note(notes),
            *cards,
            *_of_fits(drawn),
            _made([result], [folder]),
        ])  # fmt: skip
        return page(folder.name, element("main", body), charts)

    return _small_enough(of_size)


def _small_enough(of_size) -> str:
    for size in SIZES:
        text = of_size(*size)
        if len(text.encode()) < MOST_BYTES:
            break
    return text


def _in_short(results: list[dict]) -> str:
    done = sum(result["status"] == "ok" for result in results)
    datasets = dict.fromkeys(r["choices"]["dataset"] for r in results if "dataset" in r.get("choices", {}))
    return ", ".join([f"{done} of {len(results)} job{'s' * (len(results) != 1)} done", *map(str, datasets)])


def _representatives(results: list[dict]) -> list[dict]:
    """Of each row of the tables the job that stands for it: the first seed, the first draw."""
    found = []
    for kind in kinds(results):
        for row in aggregate(kind)[1]:
            good = {key: member for key, member in row["members"].items() if member["status"] == "ok"}
            if good:
                found.append(good[min(good, key=lambda key: tuple((part is None, part or 0) for part in key))])
    return found


def _cards(
    page_in: Path, jobs: list[tuple[Path, dict]], charts: list[dict], most: int
) -> tuple[list[Html], list[Html], list[Html], list[str]]:
    """The animations of several jobs, which are compared; the section of each job; the pictures of their fits; and what
    was left out.

    Args:
        page_in: the folder of the page.
        jobs: folders and results.
        charts: of the page, to which those of the jobs are added.
        most: bytes of pictures.
    """
    shared = fits.of_fits(jobs)
    pictures, notes = taken([*(Source(*job, OF_A_JOB) for job in jobs), *shared.values()], most)
    varied, films, cards = differing([job for _, job in jobs]), [], []
    for folder, job in jobs:
        heavy = _read(folder)
        whole, found = job | {key: heavy[key] for key in HEAVY if key in heavy}, _losses(folder, job)
        numbers = range(len(charts), len(charts) + len(found))
        charts += found
        said, here = settings(job), pictures.get(folder, [])
        name = ", ".join(f"{short(key)} {said[key]}" for key in varied if key in said)
        name = name or f"{said.get('model', 'a fit')} on {said.get('dataset', 'data')}"
        fit_page = left(folder, job, "page.html")
        link = quote(os.fsencode(fit_page.relative_to(page_in).as_posix())) if fit_page else None
        if len(jobs) > 1:
            films += [film(picture, whole, folder, name) for picture in here if isinstance(picture, Film)]
            here = [picture for picture in here if not isinstance(picture, Film)]
        cards.append(card(folder, whole, here, list(numbers), name, not cards, link))
    results = [job for _, job in jobs]
    drawn = [part for fit, source in shared.items()
             for part in fits.figures(fit, results, varied, pictures.get(source.folder, []))]  # fmt: skip
    return films, cards, drawn, [*notes, "the files in the folder have all"] if notes else []


def _of_fits(drawn: list[Html]) -> list[Html]:
    return [element("h2", "What the fits draw"), element("div", *drawn, class_="figures")] if drawn else []


def _losses(folder: Path, job: dict) -> list[dict]:
    file = left(folder, job, "history.json")
    if file is None:
        return []
    try:
        history, command = read_json(file), "\n".join(commands_of([job]))
        return score_curves(history, command) + loss_charts(history, command)
    except (DamagedFile, KeyError, TypeError, ValueError, AttributeError):
        return []  # damaged: the page is of what can be read


def _read(folder: Path) -> dict:
    """A job's result; of one that can't be read, that it can't."""
    try:
        return read_result(folder)
    except DamagedFile as error:
        return {"status": "failed", "error": str(error)}


def _not_done(failed: list[dict]) -> Html | None:
    if not failed:
        return None
    items = [element("li", f"{r['job_name']}: {ended(r)}") for r in failed[:MOST_SAID]]
    more = [element("li", f"and {len(failed) - MOST_SAID} more in results.md")] * (len(failed) > MOST_SAID)
    return element("section", element("h2", "Not done"), element("ul", *items, *more))


def _note(notes: list[str]) -> Html | None:
    return element("p", sentence("; ".join(notes)), class_="note") if notes else None


def _made(results: list[dict], folders: list[Path]) -> Html:
    """The command that makes it again, and the versions by which the jobs in these folders were made."""
    versions: dict[str, dict[str, None]] = {}
    for folder in folders:
        result = _read(folder)
        device = (result.get("place") or {}).get("gpu") or "CPU"
        for name, version in ((result.get("versions") or {}) | {"device": device}).items():
            versions.setdefault(name, {})[str(version)] = None
    said = [(element("dt", name), element("dd", " and ".join(of))) for name, of in versions.items()]
    commands = [command(words) for words in commands_of(results)]
    return joined([element("h2", "Made again by"), *commands, element("dl", *(part for pair in said for part in pair))])
