"""Digests of source files: code counts, and of it only what decides something about a fit."""

import shutil

import pytest

from conftest import ROOT
from latent_lab import sources, targets
from latent_lab.targets import PACKAGES


def forget() -> None:
    """As a new process would see the files."""
    for cached in (sources._read_source, sources._left_out, sources._declares, sources._module_file, sources._digests):
        cached.cache_clear()


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty folder in the place of the repository."""
    monkeypatch.setattr(targets, "ROOT", tmp_path)
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    forget()
    yield tmp_path
    forget()


@pytest.fixture
def source(root):
    """One model file with an import, which can be edited."""
    (root / "lightning_modules").mkdir()
    model = root / "lightning_modules" / "model.py"
    model.write_text('"""Doc."""\nfrom lightning_modules.layers import f\n\nclass M:\n    """Doc."""\n    a = 1\n')
    (root / "lightning_modules" / "layers.py").write_text("def f(x):\n    return x + 1\n")
    return model


def digests(name: str = "lightning_modules.model.M", of_fit: bool = True) -> dict[str, str]:
    forget()
    return sources.source_digests([name], of_fit)


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


@pytest.mark.parametrize(
    ("body", "edited", "counts"),
    [
        ('raise ValueError("no")', 'raise ValueError(f"no, {x} is none")', False),
        ('raise ValueError("no")', 'raise ValueError("no") from None', False),
        ('warnings.warn("no")', 'warnings.warn("no, never")', False),
        ('log.warning("no %s", x)', 'log.warning("never %s", x)', False),
        ('raise ValueError("no")', 'raise TypeError("no")', True),
        ('raise ValueError("no")', "return 3", True),
        ('if x > 3:\n        raise ValueError("no")', 'if x > 4:\n        raise ValueError("no")', True),
        ('y = warn("no")', 'y = warn("never")', True),
        ('print("no")', 'print("never")', True),
    ],
)
def test_the_words_of_errors_and_warnings_change_nothing_but_what_is_done_does(source, body, edited, counts):
    layers = source.with_name("layers.py")
    layers.write_text(f"def f(x):\n    {body}\n")
    before = digests()
    layers.write_text(f"def f(x):\n    {edited}\n")
    assert (digests() != before) is counts


def test_what_says_it_is_not_in_a_fit_is_left_out_with_what_it_imports(source):
    folder = source.parent
    (folder / "layers.py").write_text("from lightning_modules import colours\n\nNOT_IN_A_FIT = 'it only raises'\n")
    (folder / "colours.py").write_text("RED = 1\n")
    assert set(digests()) == {"lightning_modules/model.py"}
    every = {"lightning_modules/model.py", "lightning_modules/layers.py", "lightning_modules/colours.py"}
    assert set(digests(of_fit=False)) == every
    (folder / "layers.py").write_text("from lightning_modules import colours\n")
    assert set(digests()) == every
    (folder / "__init__.py").write_text("NOT_IN_A_FIT = 'nothing here is'\n")
    assert set(digests()) == set()


@pytest.fixture
def copied(root):
    """The project's own packages, to be edited."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def edit(file, *words: str) -> None:
    """Replaces each old word by the new one that follows it."""
    text = file.read_text()
    for old, new in zip(words[::2], words[1::2], strict=True):
        assert old in text, f"{file} has no {old}"
        text = text.replace(old, new)
    file.write_text(text)


ADVERSARIAL = [
    "lightning_modules.wgan_gp.WGANGP",
    "lightning_modules.adversarial_networks.ConvGenerator",
    "datamodules.mnist.MNIST",
    "callbacks.observers.epoch_scores.EpochScores",
    "callbacks.observers.loss_history.LossHistory",
    "callbacks.observers.plane_view.PlaneView",
]
VAE = ["lightning_modules.vae.VAE", "lightning_modules.networks.ConvEncoder", "datamodules.mnist.MNIST"]


def edits_of_words(folder) -> list:
    """Error texts and a picture's colours: nothing of it decides a weight."""
    changed = []
    for file in [*folder.glob("*/checks.py"), *folder.glob("callbacks/drawing/*.py")]:
        file.write_text(file.read_text() + "\nRED = '#ff0000'\n")
        changed.append(file)
    return changed


@pytest.mark.parametrize("names", [VAE, ADVERSARIAL], ids=["vae", "wgan_gp"])
def test_an_errors_text_or_a_pictures_colour_retrains_nothing(copied, names):
    forget()
    before = sources.source_digests(names)
    assert before == {file: digest for file, digest in before.items() if (ROOT / file).is_file()} and len(before) > 4
    assert len(edits_of_words(copied)) > 6
    for file in before:  # and every message in the rest
        path = copied / file
        path.write_text(path.read_text().replace("expects", "ought to be").replace("accepted are", "there are"))
    forget()
    assert sources.source_digests(names) == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("lightning_modules/wgan_gp.py", "penalty_weight: float = 10.0", "penalty_weight: float = 10.5"),
        ("lightning_modules/losses/wasserstein.py", ".mean()", ".sum()"),
        ("lightning_modules/optimizers.py", "cos", "sin"),
        ("datamodules/batches.py", "permutation(self.size)", "permutation(self.size)[::-1]"),
        ("callbacks/observers/epoch_scores.py", "NOISE_SEED = 1", "NOISE_SEED = 11"),
        ("metrics/samples.py", "KID_SUBSET_SIZE = 10, 1000", "KID_SUBSET_SIZE = 10, 500"),
    ],
)
def test_what_a_fit_runs_is_in_its_digests(copied, file, old, new):
    forget()
    before = sources.source_digests(ADVERSARIAL)
    edit(copied / file, old, new)
    forget()
    after = sources.source_digests(ADVERSARIAL)
    assert {name for name in before if before[name] != after[name]} == {file}
