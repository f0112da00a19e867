"""The identity of a fit, its folder and its lock."""

import copy
import multiprocessing
import time

import pytest

import runs
from storage import read_json

CONFIG = {
    "model": {
        "_target_": "lightning_modules.vae.VAE",
        "latent_dim": 4,
        "encoder": {"_target_": "lightning_modules.networks.MLPEncoder", "hidden": [8]},
        "nll_samples": 10,
        "nll_images": None,
    },
    "dataset": {"_target_": "datamodules.images.Digits", "batch_size": 64, "train_subset": None, "label_seed": 0},
    "trainer": {"max_epochs": 3, "precision": "32-true", "devices": 1, "accelerator": "auto"},
    "seed": 0,
    "compile": False,
}


def fit(tmp_path, **changes) -> runs.Fit:
    config = copy.deepcopy(CONFIG)
    for path, value in changes.items():
        group, _, key = path.partition("__")
        if key:
            config[group][key] = value
        else:
            config[group] = value
    return runs.Fit(config, "vae-digits", tmp_path)


def test_the_name_is_a_function_of_what_decides_the_weights(tmp_path):
    name = fit(tmp_path).name
    assert name == fit(tmp_path).name
    assert name.startswith("vae-digits-") and len(name) == len("vae-digits-") + 8
    for change in (
        {"model__latent_dim": 5}, {"dataset__batch_size": 32}, {"trainer__max_epochs": 4}, {"seed": 1},
        {"trainer__precision": "bf16-mixed"}, {"compile": True}, {"dataset__train_subset": 50},
    ):  # fmt: skip
        assert fit(tmp_path, **change).name != name, change


def test_what_changes_no_weight_changes_no_name(tmp_path):
    name = fit(tmp_path).name
    for change in (
        {"model__nll_samples": 99}, {"dataset__label_seed": 7}, {"trainer__accelerator": "cpu"},
        {"dataset__root": "elsewhere"}, {"trainer__enable_progress_bar": False},
    ):  # fmt: skip
        assert fit(tmp_path, **change).name == name, change
    assert fit(tmp_path, model__nll_samples=99).test_file != fit(tmp_path).test_file


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A copy of one model file with an import, which can be edited."""
    monkeypatch.setattr(runs, "ROOT", tmp_path)
    (tmp_path / "lightning_modules").mkdir()
    model = tmp_path / "lightning_modules" / "model.py"
    model.write_text('"""Doc."""\nfrom lightning_modules.layers import f\n\nclass M:\n    """Doc."""\n    a = 1\n')
    (tmp_path / "lightning_modules" / "layers.py").write_text("def f(x):\n    return x + 1\n")
    return model


def digests() -> dict[str, str]:
    """As a new process would see them."""
    runs._read_source.cache_clear()
    return runs.source_digests(["lightning_modules.model.M"])


def test_a_comment_or_a_docstring_changes_nothing(source):
    before = digests()
    assert set(before) == {"lightning_modules/model.py", "lightning_modules/layers.py"}
    source.write_text(source.read_text().replace("Doc.", "Other words.").replace("a = 1", "a = (1)  # one"))
    assert digests() == before


def test_an_edit_to_the_code_or_to_what_it_imports_changes_the_digest(source):
    before = digests()
    source.write_text(source.read_text().replace("a = 1", "a = 2"))
    assert digests()["lightning_modules/model.py"] != before["lightning_modules/model.py"]
    layers = source.with_name("layers.py")
    layers.write_text(layers.read_text().replace("+ 1", "+ 2"))
    assert digests()["lightning_modules/layers.py"] != before["lightning_modules/layers.py"]


def test_a_new_fit_says_how_it_differs(tmp_path):
    old = fit(tmp_path)
    old.create("a: 1")
    assert old.why_new() == ""
    new = fit(tmp_path, trainer__max_epochs=9)
    assert new.why_new() == f"unlike {old.name}: trainer.max_epochs is 9, was 3"
    new.identity["code"]["lightning_modules/vae.py"] = "edited"
    assert "the code of lightning_modules/vae.py has changed" in new.why_new()


def test_only_known_targets_are_built():
    runs.require_known_targets(CONFIG)
    with pytest.raises(ValueError, match="_target_=os.system: only classes of lightning_modules, "):
        runs.require_known_targets({"model": [{"_target_": "os.system"}]})
    with pytest.raises(ValueError, match="_target_=pytorch_lightning.callbacks.Callback"):
        runs.require_known_targets({"_target_": "pytorch_lightning.callbacks.Callback"})


def _hold(folder, held, release):
    with runs.Fit(CONFIG, "vae-digits", folder).lock(on_wait=lambda owner: None):
        held.set()
        release.wait()


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the fit's lock, and the event that lets it go."""
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(tmp_path, held, release))
    process.start()
    assert held.wait(60)
    return process, release


def test_a_second_process_waits_and_is_told_for_whom(tmp_path, holder):
    process, release = holder
    waited = []
    with pytest.raises(ValueError, match="is being trained by another process"):
        fit(tmp_path).folder.mkdir(parents=True)
        fit(tmp_path).set_aside()

    def on_wait(owner):
        waited.append(owner)
        release.set()

    with fit(tmp_path).lock(on_wait):
        assert waited and waited[0].startswith(f"process {process.pid} on ")
    process.join()


def test_a_killed_holder_frees_the_lock(tmp_path, holder):
    process, _ = holder
    process.kill()
    process.join()
    start = time.monotonic()
    with fit(tmp_path).lock(on_wait=lambda owner: None):
        assert time.monotonic() - start < 5


def test_nothing_is_overwritten(tmp_path):
    assert [runs.new_folder(tmp_path, "a").name for _ in range(3)] == ["a", "a-2", "a-3"]
    one = fit(tmp_path)
    one.create("a: 1")
    kept = one.set_aside()
    assert kept.name == f"{one.name}-replaced" and not one.folder.exists()
    assert read_json(kept / "fit.json")["status"] == "training"
    one.create("a: 1")
    assert one.set_aside().name == f"{one.name}-replaced-2"


def test_an_earlier_result_is_kept(tmp_path):
    for number in (1, 2):
        (tmp_path / "result.json").write_text(f'{{"n": {number}}}')
        (tmp_path / "classifier.safetensors").write_text(str(number))
        runs.set_results_aside(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["earlier-1", "earlier-2"]
    assert read_json(tmp_path / "earlier-2" / "result.json") == {"n": 2}
    assert (tmp_path / "earlier-1" / "classifier.safetensors").read_text() == "1"
