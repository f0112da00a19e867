"""The pictures in ``report.html``: of jobs, of the fits that they share; as many as its size allows."""

import json
import re
import shutil

import pytest
from pages_of_jobs import Read, add, animation, few_labels, noise, page_of, picture
from sweeps_of_heads import write_job

from latent_lab.html_report import MOST_BYTES, write_job_page, write_sweep_page
from latent_lab.report_page.pictures import OF_A_JOB, Film, Source, taken
from latent_lab.results import checksums

FIT, CREATED = "vae-digits-01234567", "2026-01-01T00:00:00"


@pytest.fixture
def sweep(tmp_path):
    few_labels(tmp_path / "few")
    return tmp_path / "few"


def test_a_sweep_of_many_pictures_stays_under_five_megabytes_and_says_how(tmp_path):
    for number in range(12):
        job = write_job(tmp_path, f"c{number:02}", 0.5)
        for name in ("errors.png", "codes.png", "styles.png"):
            noise(job / name, 400)
    text = page_of(tmp_path)
    assert 3_500_000 < len(text.encode()) < MOST_BYTES
    assert len(re.findall('alt="what the classifier got wrong', text)) == 12, "the most important of each stay"
    assert (
        re.search(r"Pictures are re-encoded, with some loss; \d+ more pictures are left out; ", text)
        and "the files in the folder have all." in text
    )


def test_an_animation_is_thinned_first_and_last_kept(tmp_path):
    animation(tmp_path / "epochs.gif", 4)
    source = Source(tmp_path, {}, OF_A_JOB)
    found, said = taken([source], 10**6)
    (film,) = found[tmp_path]
    assert isinstance(film, Film) and [at for at, _ in film.frames] == [0, 1, 2, 3] and said == []
    found, said = taken([source], sum(len(data) for _, data in film.frames) - 1)
    (film,) = found[tmp_path]
    assert [at for at, _ in film.frames] == [0, 3] and "at most 2 frames of an animation are shown" in said
    found, said = taken([source], 10)
    assert not found and said[-1] == "1 more picture is left out"


def test_a_picture_that_is_another_job_s_is_not_shown(sweep):
    first, second = sorted(path for path in sweep.iterdir() if path.is_dir())[:2]
    add(first, files=checksums(first))
    count = len(Read(page_of(sweep)).attributes("img"))
    picture(first / "errors.png", colour=200)
    assert len(Read(page_of(sweep)).attributes("img")) == count - 1
    picture(second / "errors.png", colour=200)  # of a result that knows no checksums
    assert len(Read(page_of(sweep)).attributes("img")) == count - 1


@pytest.fixture
def of_a_fit(tmp_path):
    """Jobs of a VAE, and the fit that they share, which drew samples, reconstructions and more."""
    from latent_lab.fit_files import drawn

    folder, fit = tmp_path / "sweeps" / "few", tmp_path / "fits" / FIT
    (fit / "pictures").mkdir(parents=True)
    for number, name in enumerate(("samples", "reconstructions", "prior_samples")):
        picture(fit / "pictures" / f"{name}.png", 50 + number)
    (fit / "fit.json").write_text(json.dumps({"status": "finished", "created": CREATED, "drawn": drawn(fit)}))
    few_labels(folder)
    for job in folder.glob("*/result.json"):
        add(job.parent, fit=FIT, fit_created=CREATED)
    return folder, fit


def captions(page) -> list[str]:
    text = page.read_text()
    _, _, shown = text.partition("What the fits draw</h2>")
    return [part.partition("</figcaption>")[0] for part in shown.split("<figcaption>")[1:] if f"<b>{FIT}</b>" in part]


def test_what_a_fit_drew_is_shown_once_for_all_its_jobs(of_a_fit):
    folder, fit = of_a_fit
    shown = captions(write_sweep_page(folder))
    assert [said.partition("</b>: ")[2].partition(",")[0] for said in shown] == ["samples", "validation images"]
    assert captions(write_job_page(next(folder.glob("*/result.json")).parent)) == shown
    for job in folder.glob("*n_labels=100*/result.json"):
        add(job.parent, fit="vae-digits-89abcdef")
    shutil.copytree(fit, fit.with_name("vae-digits-89abcdef"))
    shown = captions(write_sweep_page(folder))
    assert all(said.startswith(f"<b>{FIT}</b> (n_labels 20): ") for said in shown), "what tells it from the other"


@pytest.mark.parametrize("how", ["damaged", "trained anew", "gone", "the jobs have copies", "of another's naming"])
def test_pictures_of_another_training_or_damaged_are_not_shown(of_a_fit, how):
    folder, fit = of_a_fit
    if how == "damaged":
        picture(fit / "pictures" / "samples.png", 99)
        picture(fit / "pictures" / "reconstructions.png", 99)
    elif how == "trained anew":
        (fit / "fit.json").write_text((fit / "fit.json").read_text().replace("2026", "2027"))
    elif how == "gone":
        (fit / "fit.json").unlink()
    for job in folder.glob("*/result.json"):
        if how == "the jobs have copies":
            add(job.parent, files={"samples.png": "0" * 16})
        elif how == "of another's naming":
            add(job.parent, fit="../fits/" + FIT)
    assert not captions(write_sweep_page(folder))
