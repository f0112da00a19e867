"""Folders of jobs as they lie after a command, made up, for the page that is made of them."""

import json
import random
from html.parser import HTMLParser
from pathlib import Path

from PIL import Image
from sweeps_of_heads import write_job

from latent_lab.html_report import write_sweep_page

EPOCHS = (1, 2, 3)
LABELS = {"1": "failed", "2": "not good", "3": "good"}
EVIL = '</script><script>document.title="run"</script><img src=x onerror=alert(1)>&"\''
VERSIONS = {"python": "3.11.7", "torch": "2.14.1"}


def picture(path: Path, colour: int = 90, size: int = 64) -> None:
    Image.new("L", (size, size), colour).save(path)


def noise(path: Path, size: int) -> None:
    """A picture that no encoding makes small."""
    Image.frombytes("L", (size, size), random.Random(path.name).randbytes(size * size)).save(path)


def animation(path: Path, frames: int, comment: bytes = b"", size: int = 64) -> None:
    images = [Image.new("L", (size, size), 40 + 60 * number) for number in range(frames)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=100, comment=comment)


def add(job: Path, **facts) -> None:
    """More facts for a job's result."""
    file = job / "result.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | facts))


def few_labels(folder: Path, draws: int = 2) -> None:
    """A sweep of two classifiers at two numbers of labels, with confusion matrices and error sheets."""
    for classifier, ahead in (("knn", 0.0), ("linear_svc", 0.03)):
        for n_labels, accuracy in ((20, 0.71), (100, 0.9)):
            for draw in range(draws):
                job = write_job(folder, classifier, accuracy + ahead + draw / 100, "digits", n_labels, draw)
                add(job, confusion=[[9, 1], [0, 4]], versions=VERSIONS, place={"host": "secret", "gpu": None})
                picture(job / "errors.png")


def adversarial(folder: Path, models=("dcgan", "wgan_gp"), comment: bytes = b"epochs 1 2 3") -> None:
    """A sweep of models of samples: a verdict on each epoch, a sheet of each, losses."""
    for number, model in enumerate(models):
        job = write_job(folder, "none", 0.5, "digits", model=model)
        words = {"model": model, "dataset": "digits"}
        add(
            job, choices=words, settings=words, overrides=[f"{k}={v}" for k, v in words.items()], n_labels=None,
            label_seed=None, headline={"fcd": "number"}, repeats=["seed"], metrics={"fcd": 30.5 + number},
            setting=model, curve=model, supervision=None, versions=VERSIONS, statement="good at epoch 3",
            verdict={"labels": LABELS, "reasons": {"1": ["noise"], "2": ["blurred", "artefacts"], "3": []}, "best": 3},
        )  # fmt: skip
        animation(job / "epochs.gif", len(EPOCHS), comment)
        picture(job / "samples.png")
        (job / "report.md").write_text("**Good at epoch 3.**\n\n| a | fcd |\n|---|---|\n| x | 1.5 |\n\n![s](s.png)\n")
        (job / "history.json").write_text(json.dumps(history()))


def history() -> dict:
    charts = [{"title": "losses", "series": {"critic_loss": "D"}, "lines": {"ln 2": 0.693}}]
    updates = list(range(10, 1010, 10))
    rows = [[1.0 + update / 1000] for update in updates]
    epochs = [{"epoch": 1, "updates": 500, "train/critic_loss": 1.4, "val/critic_loss": None}]
    return {"charts": charts, "names": ["critic_loss"], "updates": updates, "rows": rows, "epochs": epochs}


class Read(HTMLParser):
    """The elements of a page with their attributes, its texts, and what its script elements hold."""

    def __init__(self, text: str):
        super().__init__()
        self.elements, self.texts, self.scripts, self._open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag):
        self._open = self._open[: len(self._open) - self._open[::-1].index(tag) - 1]

    def handle_data(self, data):
        (self.scripts if self._open and self._open[-1] in ("script", "style") else self.texts).append(data)

    def attributes(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def charts(self) -> list[dict]:
        (at,) = [n for n, a in enumerate(self.attributes("script")) if a.get("id") == "charts"]
        return json.loads(self.scripts[1 + at])  # the style comes first


def page_of(folder) -> str:
    return write_sweep_page(folder).read_text(encoding="utf-8")
