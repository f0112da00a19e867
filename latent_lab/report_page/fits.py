"""Pictures of the fits that jobs share, for jobs that have none of their own: what a VAE draws is drawn once a fit."""

from pathlib import Path

from latent_lab.report_page.cards import still
from latent_lab.report_page.markup import Html, element
from latent_lab.report_page.pictures import Source, Still
from latent_lab.results import fit_folder, settings, short
from latent_lab.storage import DamagedFile, read_json

OWN = "samples.png"  # a job that has it has its fit's pictures
SHOWN = {
    "samples.png": (1, "samples, decoded from a density that is fitted to the codes of training images"),
    "reconstructions.png": (2, "validation images, and below each its reconstruction"),
    "interpolations.png": (3, "between the codes of two validation images"),
}
RECORD = {"created": str, "drawn?": {str: str}}


def of_fits(jobs: list[tuple[Path, dict]]) -> dict[Path, Source]:
    """Where the pictures of the fits of jobs (folders and results) are, by the fits' folders: of the training that the
    jobs saw, and with the checksums that they were drawn with."""
    found = {}
    for folder, result in jobs:
        try:
            fit = fit_folder(folder, result.get("fit", ""))
            record = read_json(fit / "fit.json", RECORD)
        except (DamagedFile, ValueError, OSError):
            continue  # taken away since, or damaged: the page is of what can be read
        drawn = record.get("drawn", {})
        if OWN not in result.get("files", {}) and drawn and record["created"] == result.get("fit_created"):
            shown = {name: said for name, said in SHOWN.items() if name in drawn}
            found[fit] = Source(fit / "pictures", {"files": drawn}, shown)
    return found


def figures(fit: Path, jobs: list[dict], varied: list[str], pictures: list[Still]) -> list[Html]:
    """The pictures of a fit under its name, and what tells it from others: of the settings that ``varied``, those in
    which its jobs agree."""
    values = {key: {str(settings(job).get(key)) for job in jobs if job.get("fit") == fit.name} for key in varied}
    known = ", ".join(f"{short(key)} {of.pop()}" for key, of in values.items() if len(of) == 1)
    said = f" ({known})" if known else ""
    return [still(picture, element("b", fit.name), f"{said}: ") for picture in pictures]
