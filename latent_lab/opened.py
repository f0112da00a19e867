"""A fit opened from its folder: its models, what its observers kept, what is derived from it."""

import copy
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch

from latent_lab.checkpoints import BEST, FRESH, LAST, Checkpoints, load_checkpoint, weights_digest
from latent_lab.fit_files import AGAIN, PICTURES, read_identity, read_record
from latent_lab.fits import describe, digest
from latent_lab.sources import source_digests
from latent_lab.storage import DamagedFile, checksum_of_file, damaged, load_arrays, read_json, save_arrays
from latent_lab.stored_config import REMEDY, Told, stored_config
from latent_lab.targets import build, taken

log = logging.getLogger("train")
SLACK = 2**26  # bytes of what a model has beside its weights


class OpenFit:
    """A fit that is finished (:class:`callbacks.analyses.base.Fitted`). What it has is read once, when it is asked for.

    Args:
        folder: of the fit.
        datamodule: its data, set up; None to have them read as its configuration says.
        data: where the data lie, if not where they lay when it was trained.
        config: of a job that looks at it, where that differs from the fit's in what decides no weight.
        told: says which file that is from, if it is from one.
        keep: whether what is derived from it is kept in its folder, and taken from there.
    """

    def __init__(
        self,
        folder: Path,
        datamodule=None,
        data: str | None = None,
        config: dict | None = None,
        told: AbstractContextManager | None = None,
        keep: bool = True,
    ):
        self.folder, self.name, self.keep = Path(folder), Path(folder).name, keep
        self.identity = read_identity(self.folder)
        self.digest = digest(self.identity)
        self._require_identity()
        self.told = told or (nullcontext() if config else Told(self.folder))
        self.config = config or stored_config(self.folder, self.identity, data, of=self.digest)
        self.asked_by = ""  # the analysis at work: what is derived is kept by its code, unless it names less
        self._datamodule = datamodule
        self._derived: dict[tuple[str, str], dict[str, np.ndarray]] = {}

    def _require_identity(self) -> None:
        """Raises DamagedFile for an identity that was edited: its record and its weights are both of another."""
        try:
            of = read_json(self.folder / "fit.json", {"identity": str})["identity"]
            edited = of != self.digest and load_checkpoint(self.folder / LAST, fit=of).get("fit") == of
        except (DamagedFile, FileNotFoundError):  # which is said once they are asked for
            return
        if edited:
            raise damaged(self.folder / "identity.json", "edited, or of another fit", REMEDY)

    @cached_property
    def datamodule(self) -> pl.LightningDataModule:
        """The data, set up.

        Raises:
            ValueError: if they are not what the fit was trained on.
        """
        with self.told:
            datamodule = self._datamodule or build(self.config["dataset"])
        datamodule.setup()
        now, then = describe(datamodule)["fingerprint"], self.identity["data"]["fingerprint"]
        if now != then:
            at = str(_first_path(self.config["dataset"]) or type(datamodule).__name__)
            raise ValueError(f"{self.name}: {at} holds other data now than it was trained on")
        return datamodule

    @property
    def settings(self) -> dict[str, str]:
        """Of its model and its data as they were configured, by their full names; of files the names only."""
        return _in_words({name: self.config[name] for name in ("model", "dataset")})

    @property
    def budget(self) -> str:
        """The setting of the trainer that ended it: epochs are -1 where updates are given."""
        trainer = self.config["trainer"]
        limits = (name for name in ("max_steps", "max_epochs", "max_time") if trainer.get(name) not in (None, -1))
        return next((f"trainer.{name}" for name in limits), "")

    @property
    def offers(self) -> dict:
        """What the data offer to models by parameter name, as it was when the fit was trained."""
        return {k: v for k, v in self.identity["data"].items() if k != "fingerprint"}

    @cached_property
    def checkpoint(self) -> dict:
        """``last.ckpt``."""
        try:
            return load_checkpoint(self.folder / LAST, fit=self.digest)
        except FileNotFoundError:
            raise ValueError(f"{self.folder / LAST}: is missing; {AGAIN}, by training anew") from None

    def fresh_model(self) -> pl.LightningModule:
        """The model before any training."""
        needed = taken(self.config["model"], self.identity.get("requires", {}))
        required = {name: self.required[name] for name in needed}
        with self.told:
            return build(self.config["model"], **self.offers, **required)

    def _require_no_larger(self) -> None:
        """Raises DamagedFile for a model much larger than its weights, before there is memory taken for it."""
        try:
            with torch.device("meta"):  # shapes only, which takes no draw either
                model = self.fresh_model()
        except Exception:  # not to be built so, or not at all, which is said when it is built
            return
        parts = (part for part in (*model.parameters(), *model.buffers()) if part.is_meta)
        size, kept = sum(part.numel() * part.element_size() for part in parts), (self.folder / LAST).stat().st_size
        with self.told:
            if size > 2 * kept + SLACK:
                raise ValueError(f"its model takes {size >> 20:,} MiB, where its weights are {kept >> 20:,} MiB")

    @cached_property
    def model(self) -> pl.LightningModule:
        """The last weights, in evaluation mode."""
        checkpoint = self.checkpoint
        self._require_no_larger()
        model = self._with(self.fresh_model(), checkpoint, LAST)
        return model.eval().to(device_of(self.config["trainer"]["accelerator"]))

    def best(self) -> pl.LightningModule:
        """The weights of the epoch that an observer scored best, in evaluation mode.

        Raises:
            ValueError: if none was kept, or ``best.ckpt`` is not that epoch's.
        """
        if not (self.folder / BEST).exists():
            raise ValueError(f"{self.folder / BEST}: absent, no epoch was scored; fresh=true trains anew")
        kept = load_checkpoint(self.folder / BEST, fit=self.digest)
        best = self.observed(Checkpoints)["epoch"]
        if best is not None and kept["epoch"] + 1 != best:
            raise ValueError(f"{self.folder / BEST}: of epoch {kept['epoch'] + 1}, where epoch {best} scored best; "
                             "fresh=true trains anew")  # fmt: skip
        return self._with(copy.deepcopy(self.model), kept, BEST).eval()

    def _with(self, model: pl.LightningModule, kept: dict, name: str) -> pl.LightningModule:
        try:
            model.load_state_dict(kept["state_dict"])
        except (RuntimeError, AttributeError, TypeError):
            raise damaged(self.folder / name, f"weights of no {type(model).__name__} as configured", FRESH) from None
        return model

    @cached_property
    def record(self) -> dict:
        """``fit.json``."""
        return read_record(self.folder, self.digest)

    @property
    def weights(self) -> str:
        """What stands for the finished fit's last weights.

        Raises:
            ValueError: if it is not finished.
        """
        if self.record.get("status") != "finished":
            raise ValueError(f"{self.folder}: is not trained to its end")
        return self.record.get("weights") or weights_digest(self.checkpoint["state_dict"])

    @cached_property
    def required(self) -> dict[str, pl.LightningModule]:
        """The models of the fits that this one required, by the name its callbacks know them by.

        Raises:
            ValueError: if one is absent, or has other weights than when it was needed.
        """
        models = {}
        for name, other in self.identity.get("requires", {}).items():
            opened = self.folder.parent / other
            if not (opened / LAST).exists():
                raise ValueError(f"{self.folder}: the fit {other}, which it requires as its {name}, is not beside it")
            opened = OpenFit(opened)
            if opened.weights != self.record.get("required", {}).get(name, opened.weights):
                raise ValueError(f"{self.folder}: {other}, its {name}, was trained anew since, to other weights; "
                                 "fresh=true trains this one anew")  # fmt: skip
            models[name] = opened.model
        return models

    def observed(self, observer: type[pl.Callback]) -> dict:
        """The state that an observer of that class kept.

        Raises:
            ValueError: if the fit was trained without one.
        """
        states, name = self.checkpoint["callbacks"], observer.__qualname__
        if name not in states:
            raise ValueError(
                f"{self.folder / LAST}: trained without the callback {name}; fresh=true trains anew, with it"
            )
        return states[name]

    def derived(
        self, name: str, make: Callable[[], dict[str, np.ndarray]], by: tuple[str, ...] = ()
    ) -> dict[str, np.ndarray]:
        """What ``make`` makes of these weights and data: once for a fit and the code that makes it.

        Args:
            name: tells it from what else that code makes; ``make`` may depend on nothing that it does not say.
            make: the arrays.
            by: the modules whose code it is, with what they import; the analysis that asks if none are named.
        """
        key = (by or (self.asked_by,), name)
        if key not in self._derived:
            self._derived[key] = self._from_folder(*key, make) if self.keep else make()
        return self._derived[key]

    def _from_folder(self, by: tuple[str, ...], name: str, make: Callable) -> dict[str, np.ndarray]:
        made_of = [self.weights, self.record.get("required"), self.datamodule.fingerprint(*self.datamodule.splits)]
        made_by = [by, source_digests(list(by), of_fit=False)]
        file = self.folder / f"derived-{digest([*made_of, *made_by])[:8]}" / f"{name}.safetensors"
        of = f"{file.parent.name}/{name}"
        try:
            return load_arrays(file, of=of)
        except DamagedFile as error:
            if file.exists():
                log.warning(f"{error}; made again")
        arrays = make()
        try:
            file.parent.mkdir(exist_ok=True)
            save_arrays(file, arrays, of)
        except OSError as error:  # another user's fit
            log.info(f"{file}: not kept, to be made again by the next job ({error.strerror})")
        return arrays

    def files(self, pattern: str) -> list[Path]:
        """The files in its folder that match, sorted; without a picture that is another than was drawn, and a warning
        that says so."""
        drawn, found = self.record.get("drawn", {}), []
        for path in sorted(self.folder.glob(pattern)):
            seal = drawn.get(path.name) if path.parent.name == PICTURES else None
            if path.is_file() and seal in (None, checksum_of_file(path)):
                found.append(path)
            else:
                log.warning(damaged(path, "it is not as it was drawn", f"evaluate.py fit={self.folder} draws it again"))
        return found


def _in_words(config: dict, prefix: str = "") -> dict[str, str]:
    """Settings by their dotted names, a class by its own name in the place of its group."""
    said = {}
    for name, value in config.items():
        if isinstance(value, dict):
            said |= _in_words(value, f"{prefix}{name}.")
        elif name == "_target_":
            said[prefix.rstrip(".")] = value.rpartition(".")[2]
        elif name != "root" and value is not None:
            said[f"{prefix}{name}"] = Path(value).name if name == "path" else str(value)
    return said


def device_of(accelerator: str) -> torch.device:
    """Where a model of a fit on that accelerator is looked at."""
    on_gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return torch.device("cuda" if on_gpu else "cpu")


def _first_path(config) -> str | None:
    """The first file or folder that a data set's configuration names."""
    if isinstance(config, dict):
        found = [v for k, v in config.items() if k in ("path", "root") and v is not None]
        return (found or [p for v in config.values() if (p := _first_path(v))] or [None])[0]
    return None
