"""The configuration in a fit's or a job's folder, which somebody may have edited: what of it is taken.

Nothing is built of it before each part, at every depth, is of the kind that stands there; before its model and its data
are those that the fit was made with, as ``identity.json`` says; and before its counts are such as a person asks for.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.loggers import Logger

from callbacks.analyses.base import Analysis
from latent_lab import targets
from latent_lab.fit_files import DIGEST
from latent_lab.rounding import finite
from latent_lab.storage import DamagedFile, NoSpace, read_yaml

NAME = "config.yaml"
REMEDY = "remove it, and the command that trained it writes it again"
CONFIG = {"model": dict, "dataset": dict, "trainer": {"accelerator": str, "devices": int}, "seed": int,
          "compile": bool, "callbacks": {"observers": dict | None, "analyses": dict | None}}  # fmt: skip
WHOLE = (pl.LightningModule, pl.LightningDataModule, pl.Callback, pl.Trainer, Logger)  # which are no parts of others
# Where the classes of a part's own parts are defined
PARTS = {"model": ("lightning_modules",), "dataset": ("datamodules",), "callbacks": ("classifiers", "metrics")}
MOST = 10**7  # of a count that decides no weight: samples, points, images
LONGEST = 300  # characters of what is said of it
ABSENT = "absent"


class Told:
    """Within it an error says which stored configuration it is of, and what helps."""

    def __init__(self, folder: Path, remedy: str = REMEDY):
        self.file, self.remedy = Path(folder) / NAME, remedy

    def __enter__(self) -> None:
        pass

    def __exit__(self, _, error: BaseException | None, __) -> None:
        if not isinstance(error, Exception) or isinstance(error, DamagedFile | NoSpace | OSError):
            return
        if isinstance(error, ValueError) and type(error) not in (ValueError, targets.Lacks):
            return  # of the data, whose file it names
        said = " ".join(str(error).split()) or type(error).__name__
        said = said if len(said) <= LONGEST else f"{said[:LONGEST]}..."
        raise DamagedFile(f"{self.file}: {said}; {self.remedy}") from error


def stored_config(
    folder: Path, identity: dict, data: str | None = None, remedy: str = REMEDY, of: str = "", most: float = MOST
) -> dict:
    """The resolved configuration in a fit's or a job's folder, with the data where ``data`` says if it is given.

    Args:
        folder: of the fit or the job.
        identity: of the fit.
        data: where the data lie, if not where they lay then.
        remedy: what the error tells whoever reads it to do.
        of: the digest of the identity, if it is the fit's.
        most: of a count that is not of the identity.

    Raises:
        DamagedFile: if it is none, if a part of it is not of its kind, or if it is of another fit.
    """
    config = read_yaml(folder / NAME, CONFIG, remedy, of)
    with Told(folder, remedy):
        require_kind("model", config["model"], pl.LightningModule)
        require_kind("dataset", config["dataset"], pl.LightningDataModule)
        for group, kind in (("observers", pl.Callback), ("analyses", Analysis)):
            for name, described in (config["callbacks"][group] or {}).items():
                if described is not None:
                    require_kind(f"callbacks.{group}.{name}", described, kind)
                    described.pop("fit_folder", None)  # where it lies is known, and no file's to say
        for place in PARTS:
            _require_parts(place, config[place])
        _require_as_made(config, identity)
        _require_countable({name: config[name] for name in PARTS}, identity, most)
    if data is not None and "root" in config["dataset"]:
        config["dataset"]["root"] = str(data)
    return config


def require_kind(place: str, described, kind: type) -> None:
    """Raises ValueError for a part of a configuration that describes no object of that kind, or one of Lightning's that
    writes checkpoints."""
    if not isinstance(described, dict) or "_target_" not in described:
        raise ValueError(f"{place}: expects a group of settings with a _target_, or null")
    try:
        cls = targets.resolve(described["_target_"])
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    if not issubclass(cls, kind):
        raise ValueError(f"{place}: {described['_target_']} is no {kind.__name__}")
    if issubclass(cls, Checkpoint):
        raise ValueError(f"{place}: this project sees to checkpoints itself; leave it out")


def _require_parts(place: str, content) -> None:
    """Raises ValueError for a class, within another, that is not of those that are parts there."""
    depth = 2 if place == "callbacks" else 0  # of the groups that are looked at as wholes
    for path, target in _targets(content):
        if len(path) == depth:
            continue
        cls, name = targets.resolve(target), ".".join(map(str, (place, *path)))
        if issubclass(cls, WHOLE) or cls.__module__.split(".")[0] not in PARTS[place]:
            raise ValueError(f"{name}: {target} is no part of {'a callback' if place == 'callbacks' else f'a {place}'}")


def _targets(content, path: tuple = ()) -> Iterator[tuple[tuple, object]]:
    """Each ``_target_`` with where it stands."""
    if isinstance(content, dict) and "_target_" in content:
        yield path, content["_target_"]
    for name, value in _items(content):
        yield from _targets(value, (*path, name))


def _values(content, path: tuple = ()) -> Iterator[tuple[tuple, object]]:
    """Each value that holds no others, with where it stands."""
    if not isinstance(content, dict | list):
        yield path, content
    for name, value in _items(content):
        yield from _values(value, (*path, name))


def _items(content) -> list[tuple]:
    return list(
        content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    )


def _require_as_made(config: dict, identity: dict) -> None:
    """Raises ValueError for a model or data that are not those of the fit, or another seed.

    What a class leaves out of its identity may be anything. A file's content stands there in the place of its name: the
    data are held to their fingerprint once they are read.
    """
    for part in ("model", "dataset", "seed", "compile"):
        if part not in identity:  # of before
            continue
        raw, then = (dict(_values(finite(c[part]), (part,))) for c in (config, identity))
        for path, was in then.items():  # before anything is asked of the classes
            if path[-1] == "_target_" and raw.get(path, ABSENT) != was:
                raise _otherwise(path, raw.get(path, ABSENT), was)
        now = dict(_values(finite(targets.identity(config[part])), (part,)))
        for path in sorted(then.keys() | now.keys(), key=str):
            was, value = (values.get(path, ABSENT) for values in (then, now))
            if value == ABSENT:  # left out of identities since
                value = raw.get(path, ABSENT)
            of_a_file = value != raw.get(path) and re.fullmatch(DIGEST, str(was))
            if not of_a_file and (was != value or type(was) is not type(value)):
                raise _otherwise(path, dict(_values(config[part], (part,))).get(path, ABSENT), was)


def _otherwise(path: tuple, value: object, was: object) -> ValueError:
    made = "without it" if was == ABSENT else f"with {was!s:.40}"
    return ValueError(f"{'.'.join(map(str, path)):.60} is {value!s:.40}, and the fit was made {made}")


def _require_countable(parts: dict, identity: dict, most: float) -> None:
    """Raises ValueError for a count, of what is not in the identity, that no person asks for."""
    made = dict(_values(identity))
    for path, value in _values(parts):
        if path not in made and "seed" not in str(path[-1]) and isinstance(value, int) and value > most:
            raise ValueError(f"{'.'.join(map(str, path)):.60} is {value!s:.40}, where at most {most:,} is taken")
