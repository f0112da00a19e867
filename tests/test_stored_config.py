"""A stored configuration that somebody edited: refused before anything is built of it, in a line with its file and what
helps; and that helps."""

import json
import shutil
import time

import pytest
import torch
import yaml
from commands import DIGITS, edit, fit_of, run, trained

from latent_lab.fits import digest, read_identity
from latent_lab.opened import OpenFit
from latent_lab.storage import DamagedFile
from latent_lab.stored_config import stored_config

WORDS = (*DIGITS, "logger=none", "trainer.max_epochs=1", "n_labels=20")
LOGGER = "callbacks.drawing.tensorboard.TensorBoard"
HEAD = "callbacks.analyses.latent_classifier"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("finished")
    drawn = [word for word in WORDS if word != "callbacks.observers.pictures=null"]
    trained(outputs, *drawn)
    return outputs


@pytest.fixture
def outputs(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "outputs")
    return tmp_path / "outputs"


def refused(*words: str) -> str:
    start = time.process_time()
    said = run("evaluate", *words)
    assert (said.code, said.err.count("\n")) == (2, 1) and "Traceback" not in said.text, said.text
    assert len(said.err) < 900 and time.process_time() - start < 10
    return said.err


EDITS = {
    "a logger in a head's place": (f"{HEAD}.classifier", {"_target_": LOGGER, "save_dir": "LOGS"},
                                   f"{HEAD}.classifier: {LOGGER} is no part of a callback"),
    "a logger in a number's": ("model.lr", {"_target_": LOGGER, "save_dir": "LOGS"},
                               f"model.lr: {LOGGER} is no part of a model"),
    "a logger in a list": ("model.encoder.hidden", [[{"_target_": LOGGER, "save_dir": "LOGS"}]],
                           f"model.encoder.hidden.0.0: {LOGGER} is no part of a model"),
    "Lightning's logger": ("dataset.seed", {"_target_": "pytorch_lightning.loggers.CSVLogger", "save_dir": "LOGS"},
                           "dataset.seed: pytorch_lightning.loggers.CSVLogger is no part of a dataset"),
    "an observer in an observer": ("callbacks.observers.pictures.seed", {
        "_target_": "callbacks.observers.pictures.Pictures", "fit_folder": "LOGS"},
        "callbacks.observers.pictures.seed: callbacks.observers.pictures.Pictures is no part of a callback"),
    "a model in a head's place": (f"{HEAD}.classifier", {"_target_": "lightning_modules.vae.VAE"},
                                  f"{HEAD}.classifier: lightning_modules.vae.VAE is no part of a callback"),
    "a head in a model": ("model.corruption", {"_target_": "classifiers.knn.KNNHead"},
                          "model.corruption: classifiers.knn.KNNHead is no part of a model"),
    "160 GB": ("model.encoder.hidden", [200_000, 200_000], "model.encoder.hidden.0 is 200000, and the fit was made wi"),
    "layers": ("model.encoder.hidden", [1] * 9000, "model.encoder.hidden.0 is 1, and the fit was made with 32"),
    "more layers": ("model.encoder.hidden", [1] * 20_000, "more than 10,000 names and values"),
    "a number of 30 digits": ("model.latent_dim", 10**30, "model.latent_dim is 1000000000000000000000000000000, and"),
    "another number": ("model.latent_dim", 49, "model.latent_dim is 49, and the fit was made with 50"),
    "another kind of number": ("model.latent_dim", 50.0, "model.latent_dim is 50.0, and the fit was made with 50"),
    "no number": ("model.lr", float("inf"), "model.lr is inf, and the fit was made with 0.001"),
    "a setting more": ("model.more", 1, "model.more is 1, and the fit was made without it"),
    "a number for a name": ("model", {"_target_": "lightning_modules.vae.VAE", 1: 2}, "damaged or unreadable (1 is no"),
    "a long name": ("model.encoder.act", "x" * 10**5, f"model.encoder.act is {'x' * 40}, and the fit was made with so"),
    "a long class": ("model._target_", "a." * 10**5 + "b", "model: _target_=a.a.a"),
    "another class": ("dataset", {"_target_": "datamodules.mnist.IdxImages", "root": "/", "name": ["a"]},
                      "dataset._target_ is datamodules.mnist.IdxImages, and the fit was made with datamodules.digits"),
    "a batch": ("dataset.batch_size", 10**12, "dataset.batch_size is 1000000000000, and the fit was made with 64"),
    "a seed": ("seed", 5, "seed is 5, and the fit was made with 0"),
    "samples": ("model.nll_samples", 10**9, "model.nll_samples is 1000000000, where at most 10,000,000 is taken"),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_what_is_edited_is_refused_and_what_the_line_says_helps(outputs, tmp_path, name):
    path, value, message = EDITS[name]
    value = json.loads(json.dumps(value).replace("LOGS", str(tmp_path / "logs"))) if "LOGS" in str(value) else value
    fit, job = fit_of(outputs), next(outputs.glob("runs/*"))
    for folder, asked, remedy in (
        (job, "run", "the job's command makes it again"),
        (fit, "fit", "remove it, and the command that trained it writes it again"),
    ):
        kept = (folder / "config.yaml").read_bytes()
        edit(folder / "config.yaml", path, value)
        line = refused(f"{asked}={folder}")
        assert line.startswith(f"evaluate.py: {folder / 'config.yaml'}: ") and message in line, line
        assert line.endswith(f"; {remedy}\n") and not (tmp_path / "logs").exists()
        (folder / "config.yaml").write_bytes(kept)


def test_removing_what_was_edited_helps(outputs):
    fit = fit_of(outputs)
    edit(fit / "config.yaml", "model.latent_dim", 49)
    assert "; remove it, and the command that trained it writes it again" in refused(f"fit={fit}")
    (fit / "config.yaml").unlink()
    drawn = [word for word in WORDS if word != "callbacks.observers.pictures=null"]
    assert f"fit {fit.name}: found finished" in trained(outputs, *drawn)
    assert run("evaluate", f"fit={fit}").code == 0


@pytest.mark.parametrize(
    "path, value",
    [(f"{HEAD}.classifier", "x"), ("trainer.devices", 10**9), ("callbacks.analyses.more", None), ("zz", 1)],
)
def test_of_a_job_nothing_is_taken_that_it_did_not_write(outputs, path, value):
    job = next(outputs.glob("runs/*"))
    edit(job / "config.yaml", path, value)
    line = refused(f"run={job}")
    assert f"{job / 'config.yaml'}: damaged or unreadable (its checksum is another" in line
    assert line.endswith("; the job's command makes it again\n")


@pytest.mark.parametrize(
    "path, value, said",
    [
        (f"{HEAD}.classifier", "x", "'str' object has no attribute 'supervision'"),
        ("trainer.devices", 10**9, "trainer.devices=1000000000: at most 1,024, a process each"),
        ("trainer", {"accelerator": "cpu", "devices": 1}, "max_epochs"),
        ("dataset.eval_batch_size", 0, "dataset.eval_batch_size=0: expects a positive whole number"),
        (f"{HEAD}.n_labels", "many", "n_labels=many"),
    ],
)
def test_where_the_result_says_nothing_of_it_the_file_is_named_still(outputs, path, value, said):
    job = next(outputs.glob("runs/*"))
    result = json.loads((job / "result.json").read_text())
    del result["checksum"], result["files"]["config.yaml"]
    (job / "result.json").write_text(json.dumps(result))
    edit(job / "config.yaml", path, value)
    line = refused(f"run={job}")
    assert line.startswith(f"evaluate.py: {job / 'config.yaml'}: ") and said in line, line
    assert line.endswith("; the job's command makes it again\n")


def test_an_edited_identity_is_named_and_not_the_weights(outputs):
    fit = fit_of(outputs)
    for name in ("identity.json", "config.yaml"):
        content = yaml.safe_load((fit / name).read_text())
        content.pop("checksum", None)
        content["model"]["latent_dim"] = content["model"]["encoder"]["latent_dim"] = 49
        (fit / name).write_text(json.dumps(content))
    line = refused(f"fit={fit}")
    assert line.startswith(f"evaluate.py: {fit / 'identity.json'}: damaged or unreadable (edited, or of another fit); ")
    assert line.endswith("; remove it, and the command that trained it writes it again\n")
    (fit / "identity.json").unlink(), (fit / "config.yaml").unlink()
    drawn = [word for word in WORDS if word != "callbacks.observers.pictures=null"]
    assert f"fit {fit.name}: found finished" in trained(outputs, *drawn)
    assert run("evaluate", f"fit={fit}").code == 0


def test_a_model_larger_than_its_weights_takes_no_memory(outputs):
    """All forged, to agree: 320 GB."""
    fit = fit_of(outputs)
    identity, config = (yaml.safe_load((fit / name).read_text()) for name in ("identity.json", "config.yaml"))
    for content in (identity, config):
        content["model"]["encoder"]["hidden"] = [200_000, 200_000, 200_000]
    del identity["checksum"]
    record, checkpoint = json.loads((fit / "fit.json").read_text()), torch.load(fit / "last.ckpt", weights_only=True)
    del record["checksum"]
    record["identity"] = checkpoint["fit"] = digest(identity)
    (fit / "identity.json").write_text(json.dumps(identity))
    (fit / "config.yaml").write_text(yaml.safe_dump(config))
    (fit / "fit.json").write_text(json.dumps(record))
    torch.save(checkpoint, fit / "last.ckpt")
    line = refused(f"fit={fit}")
    assert f"{fit / 'config.yaml'}: its model takes 305," in line and "where its weights are 0 MiB" in line, line


def test_what_a_fit_wrote_is_taken_whatever_it_left_out_since(outputs):
    """A class may leave more out of its identity than it did when the fit was made."""
    fit = fit_of(outputs)
    identity = read_identity(fit)
    config = stored_config(fit, identity, of=(of := digest(identity)))
    assert stored_config(fit, identity | {"model": identity["model"] | {"nll_images": 10}}, of=of) == config
    with pytest.raises(DamagedFile, match="model.nll_images is 10, and the fit was made with 11"):
        stored_config(fit, identity | {"model": identity["model"] | {"nll_images": 11}}, of=of)


def test_shapes_are_looked_at_without_a_draw(outputs):
    opened, state = OpenFit(fit_of(outputs)), torch.get_rng_state()
    opened._require_no_larger()
    assert torch.equal(state, torch.get_rng_state())
