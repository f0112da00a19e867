"""Which classes a configuration may name: by the command line, and by a file that somebody else may have written."""

import pickle
import types

import pytest
import torch
from commands import DIGITS, fit_of, run, trained
from commands import edit as edit_file
from test_storage import Code

from latent_lab import targets
from latent_lab.targets import build, resolve

ALLOWED = {
    "lightning_modules.vae.VAE": "VAE",
    "callbacks.observers.pictures.Pictures": "Pictures",
    "classifiers.knn.KNNHead": "KNNHead",
    "pytorch_lightning.callbacks.EarlyStopping": "EarlyStopping",
    "pytorch_lightning.loggers.CSVLogger": "CSVLogger",
}
NO_CLASS_OF_OURS = [
    "lightning_modules.vae.torch.load",  # an attribute of a module that ours imports
    "datamodules.images.torch.fx.graph_module._exec_with_source",
    "lightning_modules.vae.VAE.load_from_checkpoint",  # of a class of ours
    "callbacks.analyses.latent_classifier.Outcome",  # ours, but defined elsewhere
    "callbacks.observers.pictures.Path",
    "lightning_modules.vae.pl",
    "lightning_modules.vae.vae_loss",
    "callbacks.analyses.__init__.Outcome",
    "latent_lab.fits.Fit",  # of a package that may not be named
    "os.system",
    "builtins.eval",
    "pytorch_lightning.Trainer",
    "pytorch_lightning.callbacks.callback.Callback",  # through a module of Lightning's
    "pytorch_lightning.callbacks.lambda_function",
    "pytorch_lightning.loggers.csv_logs",
    "lightning_modules.vae",
]
NO_NAMES = ["", ".", "VAE", "lightning_modules", "lightning_modules..vae.VAE", ".lightning_modules.vae.VAE",
            "lightning_modules.vae.", "lightning_modules./tmp/evil.VAE", "lightning_modules.vae.VAE ",
            "lightning_modules.vae.VÀE",
            ["lightning_modules.vae.VAE"], {"lightning_modules.vae": "VAE"}, 3, 1.5, True, None]  # fmt: skip


@pytest.mark.parametrize(("target", "name"), ALLOWED.items())
def test_a_class_is_named_where_it_is_defined(target, name):
    assert resolve(target).__name__ == name


@pytest.mark.parametrize("target", NO_CLASS_OF_OURS)
def test_what_is_no_class_defined_there_is_refused(target):
    with pytest.raises(ValueError, match=f"^_target_={target}: (only classes of lightning_modules|.* defines no such)"):
        resolve(target)


@pytest.mark.parametrize("target", NO_NAMES, ids=repr)
def test_what_is_no_name_is_a_mistake(target):
    with pytest.raises(ValueError, match="^_target_=.*: expects the name of a class, as package.module.Class$"):
        resolve(target)


@pytest.mark.parametrize("trick", ["attribute", "__module__"])
def test_a_class_put_into_a_module_of_ours_is_not_ours(monkeypatch, trick):
    """A subclass of ours that another module defines; what is no class and says that it is defined there."""
    vae = targets.importlib.import_module("lightning_modules.vae")
    derived = type("Derived", (vae.VAE,), {"__module__": "elsewhere"})
    liar = types.SimpleNamespace(__module__="lightning_modules.vae")
    monkeypatch.setattr(vae, trick.strip("_"), derived if trick == "attribute" else liar, raising=False)
    with pytest.raises(ValueError, match="lightning_modules.vae defines no such class"):
        resolve(f"lightning_modules.vae.{trick.strip('_')}")


EVIL = {"_target_": "lightning_modules.vae.torch.load", "f": "evil.pt", "weights_only": False}
MLP = {"_target_": "lightning_modules.networks.MLPEncoder"}


@pytest.mark.parametrize(
    "content",
    [
        EVIL,
        MLP | {"hidden": EVIL},
        MLP | {"hidden": [8, EVIL]},
        MLP | {"hidden": [[[{"deep": [EVIL]}]]]},
        MLP | {"hidden": MLP | {"hidden": {"a": {"b": EVIL}}}},
    ],
    ids=["top", "value", "list", "lists", "nested"],
)
def test_every_depth_is_looked_at(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Code()))
    with pytest.raises(ValueError, match="_target_=lightning_modules.vae.torch.load: only classes of"):
        build(content)
    assert not (tmp_path / "should-not-exist").exists()


@pytest.mark.parametrize("content", [None, [], {}, "lightning_modules.vae.VAE", 3], ids=repr)
def test_what_names_no_class_is_a_mistake(content):
    with pytest.raises(ValueError, match="expects a group of settings with a _target_"):
        build(content)


def test_lightnings_classes_are_callbacks_and_loggers_and_nothing_within_others():
    """A logger in a model's place would be built, and may speak to a server as it is."""
    logger = {"_target_": "pytorch_lightning.loggers.CSVLogger", "save_dir": "."}
    with pytest.raises(ValueError, match="CSVLogger: Lightning's are callbacks and loggers, no parts"):
        build(MLP | {"hidden": logger})


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs")
    drawn = [word for word in DIGITS if word != "callbacks.observers.pictures=null"]
    trained(folder, *drawn, "logger=none", "trainer.max_epochs=1")
    return folder


@pytest.fixture
def stored(outputs):
    """Edits the configuration that is stored with the fit and with its job; both are put back."""
    files = [fit_of(outputs) / "config.yaml", next(outputs.glob("runs/*/config.yaml"))]
    before = [file.read_bytes() for file in files]

    def edit(path: str, value) -> None:
        for file in files:
            edit_file(file, path, value)

    yield edit
    for file, content in zip(files, before, strict=True):
        file.write_bytes(content)


STORED = {
    "model.encoder.hidden": (EVIL, "_target_=lightning_modules.vae.torch.load: only classes of"),
    "model.encoder": ([EVIL], "_target_=lightning_modules.vae.torch.load: only classes of"),
    "model._target_": ("datamodules.digits.Digits", "model: datamodules.digits.Digits is no LightningModule"),
    "dataset._target_": ("lightning_modules.vae.VAE", "dataset: lightning_modules.vae.VAE is no LightningDataModule"),
    "callbacks.observers.x": ({"_target_": "pytorch_lightning.loggers.CSVLogger", "save_dir": "/"},
                              "callbacks.observers.x: pytorch_lightning.loggers.CSVLogger is no Callback"),
    "callbacks.analyses.x": ({"_target_": "callbacks.observers.pictures.Pictures"},
                             "callbacks.analyses.x: callbacks.observers.pictures.Pictures is no Analysis"),
    "callbacks.observers.y": ({"_target_": "pytorch_lightning.callbacks.ModelCheckpoint", "dirpath": "/tmp"},
                              "callbacks.observers.y: this project sees to checkpoints itself"),
    "callbacks.observers.z": ({"_target_": ["os.system"]}, "_target_=['os.system']: expects the name of a class"),
}  # fmt: skip


@pytest.mark.parametrize("place", STORED)
@pytest.mark.parametrize("asked", ["run", "fit"])
def test_a_stored_configuration_runs_no_code(outputs, stored, tmp_path, monkeypatch, place, asked):
    monkeypatch.chdir(tmp_path)
    torch.save({}, tmp_path / "evil.pt")
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Code()))
    content, message = STORED[place]
    stored(place, content)
    folder = next(outputs.glob("runs/*")) if asked == "run" else fit_of(outputs)
    said = run("evaluate", f"{asked}={folder}")
    assert (said.code, said.err.count("\n")) == (2, 1), said.text
    assert message in said.err and not (tmp_path / "should-not-exist").exists()


def test_a_stored_configuration_does_not_say_where_pictures_are_written(outputs, stored, tmp_path):
    pictures = {"_target_": "callbacks.observers.pictures.Pictures", "fit_folder": str(tmp_path)}
    stored("callbacks.observers.pictures", pictures)
    said = run("evaluate", f"fit={fit_of(outputs)}")
    assert said.code == 0 and str(fit_of(outputs)) in said.out, said.text
    assert not list(tmp_path.iterdir())
