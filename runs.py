"""What a fit is and where things lie: identities, folders, locks, result files.

A fit is a training run, named by all that decides its weights: the resolved configuration of its model, its training
data and its budget, its seed, and the source of the classes these name. Jobs that name the same fit share it.

    <outputs>/fits/<model>-<dataset>-<hash8>/   identity.json config.yaml last.ckpt fit.json codes.safetensors pictures/
    <outputs>/runs/<time>-<choices>/            a single job: result.json config.yaml classifier.safetensors train.log
    <outputs>/sweeps/<name>/<job>/              the jobs of a sweep, named by what was swept; the tables beside them
"""

import ast
import contextlib
import hashlib
import importlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

from storage import DamagedFile, load_checkpoint, read_json, write_json, write_text

ROOT = Path(__file__).resolve().parent
PACKAGES = ("lightning_modules", "datamodules", "callbacks", "classifiers", "metrics")
FOREIGN_TARGETS = ("pytorch_lightning.Trainer", "pytorch_lightning.loggers.TensorBoardLogger")
ALWAYS_IN_A_FIT = "callbacks.epoch_seed.EpochSeed"
# Trainer settings that do not change the weights; whatever is not named here does, and devices if there are several,
# for the batch is theirs together.
NOT_IN_THE_WEIGHTS = {
    "accelerator", "devices", "enable_progress_bar", "enable_model_summary", "log_every_n_steps",
    "num_sanity_val_steps", "check_val_every_n_epoch", "limit_val_batches", "limit_test_batches", "profiler",
    "_target_",
}  # fmt: skip


def targets(config) -> list[str]:
    """Every ``_target_`` in a plain configuration, depth first."""
    if isinstance(config, dict):
        own = [config["_target_"]] if "_target_" in config else []
        return own + [t for value in config.values() for t in targets(value)]
    return [t for value in config for t in targets(value)] if isinstance(config, list) else []


def require_known_targets(config) -> None:
    """Raises ValueError for a ``_target_`` outside our packages and the few foreign classes that we use."""
    for target in targets(config):
        if target.split(".")[0] not in PACKAGES and target not in FOREIGN_TARGETS:
            raise ValueError(f"_target_={target}: only classes of {', '.join(PACKAGES)} may be named")


def source_digests(names: list[str]) -> dict[str, str]:
    """Digest of each source file behind the named classes, with what these import from our packages.

    Files are compared as syntax trees without docstrings: a comment or a line break changes nothing. Each is read once
    in a process: what is digested is what was imported, also if it is edited while a sweep runs.

    Returns:
        relative path of the file to 16 hexadecimal digits.
    """
    digests: dict[str, str] = {}
    waiting = list(names)
    while waiting:
        path = _module_file(waiting.pop())
        if path is not None and (key := path.relative_to(ROOT).as_posix()) not in digests:
            digests[key], imports = _read_source(path)
            waiting += imports
    return dict(sorted(digests.items()))


@cache
def _read_source(path: Path) -> tuple[str, tuple[str, ...]]:
    """The digest of a file, and the names it imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            here = path.relative_to(ROOT).parts[: -node.level] if node.level else ()
            base = ".".join((*here, node.module) if node.module else here)
            imports += [f"{base}.{alias.name}" for alias in node.names]
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:16], tuple(imports)


def _module_file(name: str) -> Path | None:
    """The file of ``module`` or ``module.Class``, if it is ours."""
    for candidate in (name, name.rpartition(".")[0]):
        for path in (ROOT / (candidate.replace(".", "/") + ".py"), ROOT / candidate.replace(".", "/") / "__init__.py"):
            if candidate and path.is_file():
                return path
    return None


def weights_part(config: dict) -> dict:
    """What of a model's or data set's configuration decides the weights, as its class says (``identity``)."""
    module, _, name = config["_target_"].rpartition(".")
    narrow = getattr(getattr(importlib.import_module(module), name), "identity", dict)
    return narrow(config)


def digest(content) -> str:
    """SHA-256 of plain values as canonical JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def canonical(content):
    """Plain values with whole floats as integers: ``beta=1`` and ``beta=1.0`` are one setting."""
    if isinstance(content, dict):
        return {key: canonical(value) for key, value in content.items()}
    if isinstance(content, list):
        return [canonical(value) for value in content]
    return int(content) if isinstance(content, float) and content.is_integer() else content


class Fit:
    """One training run: its identity and its folder.

    Args:
        config: plain and resolved, with ``model``, ``dataset``, ``trainer``, ``seed``, ``compile``, ``callbacks``.
        label: ``<model>-<dataset>``, the readable part of the name.
        outputs: the folder of all outputs.
        requires: the fits its callbacks need, by the name they know them by; they choose its best checkpoint.
    """

    def __init__(self, config: dict, label: str, outputs: Path, requires: dict[str, "Fit"] | None = None):
        self.config = config
        trainer = config["trainer"]
        several = {"devices"} if trainer.get("devices", 1) != 1 else set()
        self.identity = {
            "model": canonical(weights_part(config["model"])),
            "dataset": canonical(weights_part(config["dataset"])),
            "trainer": canonical({k: v for k, v in trainer.items() if k not in NOT_IN_THE_WEIGHTS or k in several}),
            "seed": config["seed"],
            "compile": bool(config["compile"]),
            "code": source_digests([*targets(config["model"]), *targets(config["dataset"]), ALWAYS_IN_A_FIT]),
        }
        self.requires = requires or {}
        if self.requires:
            self.identity["requires"] = {name: fit.name for name, fit in self.requires.items()}
        self.label = label
        self.name = f"{label}-{digest(self.identity)[:8]}"
        self.folder = Path(outputs) / "fits" / self.name
        self.checkpoint = self.folder / "last.ckpt"
        # What only the test reads changes no weight, so its results are kept by what it was given.
        test_only = {k: v for k, v in config["model"].items() if k not in self.identity["model"]}
        test_only |= {name: config["dataset"].get(name) for name in ("eval_batch_size", "test_size")}
        self.test_file = self.folder / f"test-{digest(test_only)[:8]}.json"

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

    def cache(self, classes: list[str]) -> Path:
        """A folder for what the code of the named classes derives from these weights."""
        return self.folder / f"derived-{digest([self.record.get('created'), source_digests(classes)])[:8]}"

    def check(self) -> None:
        """Raises :class:`storage.DamagedFile` if a checkpoint is there that can't be read."""
        if self.checkpoint.exists():
            load_checkpoint(self.checkpoint)

    def create(self, config_yaml: str) -> None:
        """Makes the folder with what names the fit; without effect if it is there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.record:
            write_json(self.folder / "identity.json", self.identity)
            write_text(self.folder / "config.yaml", config_yaml)
            self.write_record(status="training", label=self.label, created=timestamp())

    @contextlib.contextmanager
    def lock(self, on_wait: Callable[[str], None]) -> Iterator[None]:
        """Held by the one process that trains this fit; the others wait, and ``on_wait`` is told for whom.

        The lock is the operating system's: it goes with its process, however that ends.
        """
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder.with_name(f".{self.name}.lock"))
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
        lock = FileLock(self.folder.with_name(f".{self.name}.lock"))
        try:
            with lock.acquire(timeout=0):
                # onto the empty folder just made, so that no other process takes the name
                return self.folder.rename(new_folder(self.folder.parent, f"{self.name}-replaced"))
        except Timeout:
            raise ValueError(f"fresh=true: {self.name} is being trained by another process") from None


def _flatten(content, prefix: str = "") -> dict:
    if not isinstance(content, dict):
        return {prefix: content}
    return {k: v for key, value in content.items() for k, v in _flatten(value, f"{prefix}{key}\0").items()}


def _differences(old: dict, new: dict) -> list[str]:
    before, after = _flatten(old), _flatten(new)
    lines = []
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            group, _, rest = key.strip("\0").partition("\0")
            if group == "code":
                lines.append(f"the code of {rest} has changed")
            else:
                name = key.strip("\0").replace("\0", ".")
                lines.append(f"{name} is {after.get(key, 'absent')}, was {before.get(key, 'absent')}")
    return lines


def timestamp() -> str:
    """Now, in local time, to the microsecond."""
    return datetime.now().isoformat()


def short_time() -> str:
    """Now, for a folder's name."""
    return datetime.now().strftime("%Y-%m-%d_%H-%M-%S")


def new_folder(parent: Path, name: str) -> Path:
    """Makes and returns ``parent/name``, or ``name-2``, ``name-3``, ... if that is taken."""
    parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        folder = parent / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1


def require_writable(outputs: Path) -> None:
    """Raises ValueError if nothing can be written into the folder of outputs."""
    probe = outputs / f".write-test-{os.getpid()}"
    try:
        outputs.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise ValueError(f"paths.outputs={outputs}: can't be written ({error.strerror or error})") from None


def set_results_aside(folder: Path) -> Path | None:
    """Moves the files of an earlier result in a job's folder, all but its log, into ``earlier-N``."""
    if not (folder / "result.json").exists():
        return None
    files = [path for path in folder.iterdir() if path.is_file() and path.name != "train.log"]
    number = 1
    while (kept := folder / f"earlier-{number}").exists():
        number += 1
    kept.mkdir()
    for path in files:
        path.rename(kept / path.name)
    return kept
