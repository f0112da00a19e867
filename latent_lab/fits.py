"""What a fit is: its identity, its folder, its lock.

A fit is a training run, named by all that decides a number which a later job reads: the resolved configuration of its
model, its training data and its budget, the content of the data, what its observers choose or keep, its seed, and the
source of the classes these name. Jobs that name the same fit share it.
"""

import contextlib
import hashlib
import json
import logging
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import Timeout

from latent_lab import targets
from latent_lab.checkpoints import BEST, FRESH, LAST, load_checkpoint
from latent_lab.fit_files import IDENTITY, differences, read_identity, read_record
from latent_lab.folders import new_folder, require_mine, timestamp
from latent_lab.rounding import finite
from latent_lab.sources import source_digests
from latent_lab.storage import (
    DamagedFile,
    file_lock,
    open_regular,
    read_json,
    read_yaml,
    remove_left_overs,
    write_json,
    write_yaml,
)
from latent_lab.trainer_settings import decisive

log = logging.getLogger("train")

# Lightning's callbacks that watch only; any other may change weights, and is part of the identity. What changes them
# after the last epoch's checkpoint, or writes checkpoints of its own, has no place here.
WATCHERS = {f"pytorch_lightning.callbacks.{name}" for name in (
    "LearningRateMonitor", "DeviceStatsMonitor", "ModelSummary", "RichModelSummary", "RichProgressBar",
    "TQDMProgressBar", "ThroughputMonitor",
)}  # fmt: skip
REFUSED = {
    "StochasticWeightAveraging", "WeightAveraging", "LearningRateFinder", "BatchSizeFinder", "ModelCheckpoint",
    "OnExceptionCheckpoint", "BasePredictionWriter",
}  # fmt: skip


def digest(content) -> str:
    """SHA-256 of plain values as canonical JSON: 1 and 1.0 are two settings, as they are to Lightning."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def deciding(observers: dict[str, dict | None]) -> dict[str, dict]:
    """Of the observers' configurations what decides a number that a later job reads.

    All of it does, but for what a class of ours leaves out by ``identity``; for one that says it ``only_watches``; and
    for those of Lightning's that only watch.
    """
    found = {}
    for name, config in observers.items():
        if config is None or config["_target_"] in WATCHERS:
            continue
        if not getattr(targets.resolve(config["_target_"]), "only_watches", False):
            found[name] = targets.identity(config)
    return found


def require_allowed(observers: dict[str, dict | None]) -> None:
    """Raises ValueError for a callback of Lightning's whose work would be lost, or mistaken for another's."""
    for name, config in observers.items():
        bases = targets.resolve(config["_target_"]).__mro__ if config is not None else ()
        if REFUSED & {base.__name__ for base in bases}:
            raise ValueError(
                f"callbacks.observers.{name}: {config['_target_'].rpartition('.')[2]} changes weights after the last "
                "checkpoint, or writes its own; this project keeps last.ckpt and best.ckpt itself"
            )


class Fit:
    """One training run.

    Args:
        config: plain and resolved, with ``model``, ``dataset``, ``trainer``, ``seed``, ``compile``, ``callbacks``.
        label: ``<model>-<dataset>``, the readable part of the name.
        outputs: the folder of all outputs.
        data: what the data module says of the data once they are read: ``fingerprint`` of what is trained on,
            ``other_fingerprint`` of all else (what labels are drawn from, the test set), and what models may ask for
            (``offers``).
        requires: the fits that its model and its callbacks need, by the name they know them by.
    """

    def __init__(self, config: dict, label: str, outputs: Path, data: dict, requires: dict[str, "Fit"] | None = None):
        self.config, self.label, self.data, self.requires = config, label, data, requires or {}
        observers = deciding(config["callbacks"]["observers"] or {})
        acted_on = any(targets.is_foreign(observer["_target_"]) for observer in observers.values())
        self._named = [*targets.targets([config["model"], config["dataset"], list(observers.values())]), EPOCH_SEED]
        self.identity = {
            "model": targets.identity(config["model"]),
            "dataset": targets.identity(config["dataset"]),
            "data": {"fingerprint": data["fingerprint"], **data["offers"]},
            "trainer": decisive(config["trainer"], acted_on),
            "observers": observers,
            "seed": config["seed"],
            "compile": config["compile"],
            "code": source_digests(self._named),
        }
        if self.requires:
            self.identity["requires"] = {name: fit.name for name, fit in self.requires.items()}
        self.digest = digest(self.identity)
        self.name = f"{label}-{self.digest[:8]}"
        self.folder = Path(outputs) / "fits" / self.name
        self.checkpoint = self.folder / LAST
        # What only the test reads changes no weight, so its results are kept by what it was given.
        test_only = {
            name: {k: v for k, v in config[name].items() if k not in self.identity[name]}
            for name in ("model", "dataset")
        }
        test_only["dataset"].pop("root", None)  # where the data lie: what they are is in their fingerprint
        test_only |= {"data": data["other_fingerprint"], "batches": config["trainer"].get("limit_test_batches")}
        self.test_file = self.folder / f"test-{digest(test_only)[:8]}.json"

    def fresh_model(self):
        """The model before any training, beside untrained ones that it requires."""
        model = self.config["model"]
        others = {name: self.requires[name].fresh_model() for name in targets.taken(model, self.requires)}
        return targets.build(model, **self.data["offers"], **others)

    @property
    def record(self) -> dict:
        """``fit.json``: ``status`` (training or finished), ``created``, ``seconds``, ...; empty if there is none."""
        return read_record(self.folder, self.digest) if (self.folder / "fit.json").exists() else {}

    def write_record(self, **fields) -> None:
        """Adds fields to ``fit.json``."""
        write_json(self.folder / "fit.json", self.record | fields)

    @property
    def finished(self) -> bool:
        return self.record.get("status") == "finished" and self.checkpoint.exists()

    def require_same_code(self) -> None:
        """Raises RuntimeError in a process that has imported other code than the one that named the fit."""
        now, then = source_digests(self._named), self.identity["code"]
        if changed := [file for file in now | then if now.get(file) != then.get(file)]:
            raise RuntimeError(f"{changed[0]} was edited since the command began; give it again")

    def require_same_identity(self) -> None:
        """Raises ValueError if what was trained, or begun, under this name is not this."""
        if not self.record and not self.checkpoint.exists():
            return
        then = read_identity(self.folder, FRESH)
        if then != json.loads(json.dumps(finite(self.identity))):  # as it is written
            how = "; ".join(differences(then, self.identity)[:2])
            raise ValueError(f"{self.folder}: another fit of this name ({how}); rename it, or fresh=true sets it aside")

    def check(self) -> None:
        """Looks at what is there before anything is trained; what the command itself says is written again where it is
        damaged.

        Raises:
            DamagedFile: if it can't be read.
            ValueError: if it is to be trained further, and is another user's.
        """
        if not self.finished:
            require_mine(self.folder, "is not trained to its end")
            require_mine(self.folder.with_name(f".{self.name}.lock"), "is the lock of a fit to be trained")
        for name in (LAST, BEST):
            if (self.folder / name).exists():
                load_checkpoint(self.folder / name, fit=self.digest)
        if self.record:
            self._mend()

    @property
    def damaged(self) -> bool:
        """Whether what is there can't be read, nor is written again by the command."""
        try:
            self.check()
        except DamagedFile:
            return True
        return False

    def _mend(self) -> None:
        try:
            read_identity(self.folder, FRESH)
        except DamagedFile as error:
            if self.record.get("identity") != self.digest:
                raise
            log.warning(f"{error}; written again")
            write_json(self.folder / "identity.json", self.identity)
        try:
            read_yaml(self.folder / "config.yaml", of=self.digest)
        except DamagedFile as error:
            log.warning(f"{error}; written again")
            write_yaml(self.folder / "config.yaml", self.config, self.digest)

    def create(self) -> None:
        """Makes the folder with what names the fit; without effect if it is there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.record:
            write_json(self.folder / "identity.json", self.identity)
            write_yaml(self.folder / "config.yaml", self.config, self.digest)
            self.write_record(status="training", label=self.label, created=timestamp(), identity=self.digest)

    def watched_otherwise(self) -> str:
        """How the observers of a fit that was found differ from those asked for, in what decides no number; or ''."""
        shape = {"callbacks": {"observers": dict | None}}
        try:
            then = read_yaml(self.folder / "config.yaml", shape, of=self.digest)["callbacks"]["observers"]
        except DamagedFile:  # which says nothing of it
            return ""
        return "; ".join(
            differences({"observers": then or {}}, {"observers": self.config["callbacks"]["observers"] or {}})
        )

    @contextlib.contextmanager
    def lock(self, on_wait: Callable[[str], None]) -> Iterator[None]:
        """Held by the one process that trains this fit; the others wait, and ``on_wait`` is told for whom.

        The lock is the operating system's: it goes with its process, however that ends.
        """
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        lock = file_lock(self.folder.with_name(f".{self.name}.lock"))
        owner = self.folder.with_name(f".{self.name}.owner")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            on_wait(_said_in(owner) or "another process")
            lock.acquire()
        try:
            remove_left_overs(self.folder)
            with contextlib.suppress(OSError):  # which is for the others only
                owner.unlink(missing_ok=True)
                owner.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
            yield
        finally:
            with contextlib.suppress(OSError):
                owner.unlink(missing_ok=True)
            lock.release()

    def why_new(self) -> str:
        """What sets this fit apart from the most similar one of the same label; empty if there is none."""
        others = []
        for path in self.folder.parent.glob(f"{self.label}-????????/identity.json"):
            if path.parent != self.folder:
                with contextlib.suppress(DamagedFile):
                    then = read_json(path, IDENTITY)
                    configs = _config_beside(path, digest(then)), self.config
                    differing = differences(then, self.identity, configs)
                    others.append((len(differing), -path.stat().st_mtime, path.parent.name, differing))
        if not others:
            return ""
        _, _, name, differing = min(others)
        return f"unlike {name}: " + "; ".join(differing[:4]) + (" ..." if len(differing) > 4 else "")

    def set_aside(self) -> Path | None:
        """Moves what is there out of the way, keeping it, and returns where it went."""
        if not self.folder.exists():
            return None
        lock = file_lock(self.folder.with_name(f".{self.name}.lock"))
        try:
            with lock.acquire(timeout=0):
                # onto the empty folder just made, so that no other process takes the name
                return self.folder.rename(new_folder(self.folder.parent, f"{self.name}-replaced"))
        except Timeout:
            raise ValueError(f"fresh=true: {self.name} is being trained by another process") from None


def _config_beside(identity: Path, of: str) -> dict:
    """The configuration of another fit; empty where it can't be read."""
    with contextlib.suppress(DamagedFile):
        return read_yaml(identity.with_name("config.yaml"), of=of)
    return {}


def _said_in(owner: Path) -> str:
    with contextlib.suppress(OSError, ValueError), open_regular(owner) as file:
        return file.read(200).decode()
    return ""


EPOCH_SEED = "callbacks.observers.epoch_seed"  # the module; every fit is seeded by it


def describe(datamodule) -> dict:
    """What a data module says of its data, for :class:`Fit`."""
    return {
        "fingerprint": datamodule.fingerprint("train", "val"),
        "other_fingerprint": datamodule.fingerprint(*(name for name in datamodule.splits if name != "train")),
        "offers": {k: list(v) if isinstance(v, tuple) else v for k, v in datamodule.offers.items()},
    }
