"""What a fit is: its identity, its folder, its lock.

A fit is a training run, named by all that decides a number which a later job reads: the resolved configuration of its
model, its training data and its budget, the content of the data, what its observers choose or keep, its seed, and the
source of the classes these name. Jobs that name the same fit share it.
"""

import contextlib
import hashlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import Timeout

from latent_lab import targets
from latent_lab.checkpoints import LAST, load_checkpoint
from latent_lab.folders import new_folder, timestamp
from latent_lab.sources import source_digests
from latent_lab.storage import DamagedFile, file_lock, read_json, write_json, write_yaml
from latent_lab.trainer_settings import decisive

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
        self.name = f"{label}-{digest(self.identity)[:8]}"
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
        path = self.folder / "fit.json"
        return read_json(path) if path.exists() else {}

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
        then = read_json(self.folder / "identity.json")
        if then != json.loads(json.dumps(self.identity)):
            how = "; ".join(_differences(then, self.identity)[:2])
            raise ValueError(f"{self.folder}: another fit of this name ({how}); rename it, or fresh=true sets it aside")

    def check(self) -> None:
        """Raises :class:`storage.DamagedFile` if a checkpoint is there that can't be read."""
        if self.checkpoint.exists():
            load_checkpoint(self.checkpoint)

    def create(self) -> None:
        """Makes the folder with what names the fit; without effect if it is there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.record:
            write_json(self.folder / "identity.json", self.identity)
            write_yaml(self.folder / "config.yaml", self.config)
            self.write_record(status="training", label=self.label, created=timestamp())

    def watched_otherwise(self) -> str:
        """How the observers of a fit that was found differ from those asked for, in what decides no number; or ''."""
        from omegaconf import OmegaConf

        file = self.folder / "config.yaml"
        then = OmegaConf.to_container(OmegaConf.load(file))["callbacks"]["observers"] if file.exists() else {}
        return "; ".join(
            _differences({"observers": then or {}}, {"observers": self.config["callbacks"]["observers"] or {}})
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
            on_wait(owner.read_text(encoding="utf-8") if owner.exists() else "another process")
            lock.acquire()
        try:
            for left_over in self.folder.glob(".*.tmp"):  # of a process that was killed while it wrote
                left_over.unlink()
            owner.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
            yield
        finally:
            owner.unlink(missing_ok=True)
            lock.release()

    def why_new(self) -> str:
        """What sets this fit apart from the most similar one of the same label; empty if there is none."""
        others = []
        for path in self.folder.parent.glob(f"{self.label}-????????/identity.json"):
            if path.parent != self.folder:
                with contextlib.suppress(DamagedFile):
                    differences = _differences(read_json(path), self.identity)
                    others.append((len(differences), -path.stat().st_mtime, path.parent.name, differences))
        if not others:
            return ""
        _, _, name, differences = min(others)
        return f"unlike {name}: " + "; ".join(differences[:4]) + (" ..." if len(differences) > 4 else "")

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


EPOCH_SEED = "callbacks.observers.epoch_seed"  # the module; every fit is seeded by it


def describe(datamodule) -> dict:
    """What a data module says of its data, for :class:`Fit`."""
    return {
        "fingerprint": datamodule.fingerprint("train", "val"),
        "other_fingerprint": datamodule.fingerprint(*(name for name in datamodule.splits if name != "train")),
        "offers": {k: list(v) if isinstance(v, tuple) else v for k, v in datamodule.offers.items()},
    }


def _flatten(content, prefix: str = "") -> dict:
    if not isinstance(content, dict):
        return {prefix: content}
    return {k: v for key, value in content.items() for k, v in _flatten(value, f"{prefix}{key}\0").items()}


def _differences(old: dict, new: dict) -> list[str]:
    before, after = _flatten(old), _flatten(new)
    lines = []
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key) or type(before.get(key)) is not type(after.get(key)):
            group, _, rest = key.strip("\0").partition("\0")
            name = key.strip("\0").replace("\0", ".")
            if group == "code":
                if key in before and key in after:  # else other classes were named, or another file imports it
                    lines.append(f"the code of {rest} has changed")
            elif name == "data.fingerprint":
                lines.append("the data have changed")
            else:
                lines.append(f"{name} is {after.get(key, 'absent')}, was {before.get(key, 'absent')}")
    return lines
