"""The pictures of a page, as many as its size allows: as they are, else re-encoded, else fewer."""

import base64
import io
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from latent_lab.results import left

# Of a job's pictures: how important each is (0 is the last to go), and what it shows.
OF_A_JOB = {
    "errors.png": (0, "what the classifier got wrong, beside what it was given labelled"),
    "view.png": (0, "real and generated points, and what the critic or discriminator makes of every place"),
    "samples.png": (0, "samples of the averaged generator, beside training images"),
    "class_samples.png": (0, "samples of each class"),
    "nearest.png": (1, "under each sample the training image nearest to it"),
    "codes.png": (1, "the codes in the plane"),
    "styles.png": (1, "one hand that writes every class"),
    "interpolations.png": (2, "from one noise to another"),
    "samples_raw.png": (2, "samples of the generator that learned, not averaged"),
    "epochs.gif": (1, "samples from the same noise, epoch by epoch"),
    "view.gif": (1, "the fit, frame by frame"),
}
MOST_FRAMES = 400  # of all animations of a page together, as far as each keeps the least: encoding takes 5 ms each
LEAST_FRAMES = 4
PNG = b"\x89PNG\r\n\x1a\n"


class Source(NamedTuple):
    """A folder of pictures, the result that has their checksums, and which are ``shown``, as ``OF_A_JOB`` has it."""

    folder: Path
    result: dict
    shown: dict[str, tuple[int, str]]


class Stage(NamedTuple):
    """How pictures are taken into a page: re-encoded or as they are, animations with at most so many frames."""

    encoded: bool
    frames: int


STAGES = (Stage(False, 40), Stage(True, 24), Stage(True, 6), Stage(True, 2))


class Still(NamedTuple):
    """A picture of a job."""

    name: str
    words: str
    data: str


class Film(NamedTuple):
    """Frames of an animation, each with its number in it, from 0; ``epochs`` of all its frames where that is known."""

    name: str
    words: str
    frames: list[tuple[int, str]]
    epochs: list[int] | None
    of: int


def taken(sources: list[Source], most_bytes: int) -> tuple[dict[Path, list[Still | Film]], list[str]]:
    """The pictures in folders, within a size, the most important of each first; and what was done for it, in words."""
    wanted = [
        (folder, name, *said)
        for folder, result, shown in sources
        for name, said in shown.items()
        if left(folder, result, name)
    ]
    wanted.sort(key=lambda of: of[2])
    films = sum(_is_film(name) for _, name, *_ in wanted)
    each = max(LEAST_FRAMES, MOST_FRAMES // max(1, films))
    still, film = cache(_still), cache(_film)  # of this call: the next may find other files
    for number, stage in enumerate(STAGES):
        stage = stage._replace(frames=min(stage.frames, each))
        found, spent, left_out = {}, 0, 0
        for folder, name, _, words in wanted:
            try:
                is_film = _is_film(name)
                of = stage.frames if is_film else stage.encoded
                picture = (film if is_film else still)(folder / name, words, of)
            except Exception:  # of every kind, as PIL raises for damaged files
                continue
            size = sum(len(data) for _, data in picture.frames) if is_film else len(picture.data)
            if spent + size > most_bytes:
                left_out += 1
                if number < len(STAGES) - 1:
                    break
                continue
            spent += size
            found.setdefault(folder, []).append(picture)
        if not left_out:
            break
    return found, _said(stage, found, left_out)


def _said(stage: Stage, found: dict[Path, list], left_out: int) -> list[str]:
    films = [picture for of in found.values() for picture in of if isinstance(picture, Film)]
    thinned = any(len(film.frames) < film.of for film in films)
    return [
        *["pictures are re-encoded, with some loss"] * stage.encoded,
        *[f"at most {stage.frames} frames of an animation are shown"] * thinned,
        *[f"{left_out} more picture{'s are' if left_out > 1 else ' is'} left out"] * bool(left_out),
    ]


def _is_film(name: str) -> bool:
    return name.endswith(".gif")


def _still(path: Path, words: str, encoded: bool) -> Still:
    content = path.read_bytes()
    if not content.startswith(PNG):
        raise ValueError(f"{path}: no PNG")
    if not encoded:
        return Still(path.name, words, _url(content, "png"))
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        return Still(path.name, words, _encoded(image))


def _film(path: Path, words: str, most: int) -> Film:
    from PIL import Image

    with Image.open(path) as image:
        count = image.n_frames
        most = min(most, count)
        shown = [index * (count - 1) // max(1, most - 1) for index in range(most)] if most > 1 else [count - 1]
        frames = []
        for index in shown:
            image.seek(index)
            frames.append((index, _encoded(image)))
        comment = image.info.get("comment", b"").decode("ascii", "replace")
    epochs = [int(number) for number in re.findall(r"\d+", comment)] if comment.startswith("epochs ") else None
    return Film(path.name, words, frames, epochs if epochs and len(epochs) == count else None, count)


def _encoded(image) -> str:
    """An image as WebP; as JPEG where this installation of PIL has none."""
    from PIL import features

    kind = "webp" if features.check("webp") else "jpeg"
    out = io.BytesIO()
    grey = image.mode == "L" or (image.mode == "P" and all(a == b == c for _, (a, b, c) in _colours(image)))
    image.convert("L" if grey else "RGB").save(out, kind, quality=75, method=2)
    return _url(out.getvalue(), kind)


def _colours(image) -> list:
    return image.convert("RGB").getcolors(256) or [(0, (0, 0, 1))]


def _url(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
