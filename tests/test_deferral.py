"""Lightning imported without what it imports for nothing: all of it is there once it is used."""

import subprocess
import sys

import pytest
from commands import ROOT, environment

from latent_lab import deferral

BEGIN = """
import sys
from latent_lab.deferral import Deferred, import_lightning
import_lightning()
import torch, torchmetrics, pytorch_lightning as pl
LATER = ("torchvision", "scipy", "matplotlib", "torch._dynamo")
absent = lambda: [name for name in LATER if name not in sys.modules]
assert absent() == list(LATER), absent()
"""
PARTS = {
    "modules": """
import gc
import scipy.signal, torchvision.ops, torchmetrics.utilities.plot, torch._dynamo
assert gc.isenabled()
for module in (scipy, scipy.signal, torchvision, torchvision.ops, torchmetrics.utilities.plot, torch._dynamo):
    assert module.__file__ and sys.modules[module.__name__] is module, module
assert torchvision.ops.box_area(torch.tensor([[0.0, 0, 2, 3]])).item() == 6
assert not any(type(finder).__module__ == "latent_lab.deferral" for finder in sys.meta_path)
""",
    "plot": """
metric = torchmetrics.classification.MulticlassConfusionMatrix(3)
metric.update(torch.tensor([0, 1, 2]), torch.tensor([0, 1, 1]))
figure, axes = metric.plot()
assert type(figure).__module__ == "matplotlib.figure"
""",
    "functions": """
from torchmetrics.functional.audio import permutation_invariant_training, scale_invariant_signal_distortion_ratio
sound = torch.randn(2, 4, 50)
best, order = permutation_invariant_training(sound.flip(1), sound, scale_invariant_signal_distortion_ratio)
assert order.tolist() == [[3, 2, 1, 0]] * 2  # by SciPy's linear_sum_assignment
boxes = [{"boxes": torch.tensor([[0.0, 0, 2, 2]]), "labels": torch.tensor([1]), "scores": torch.ones(1)}]
overlap = torchmetrics.detection.IntersectionOverUnion()
overlap.update(boxes, boxes)
assert overlap.compute()["iou"] == 1
""",
    "compiler": """
kept = pl.utilities.compile.OptimizedModule
linear = torch.nn.Linear(1, 1)
assert type(kept) is Deferred and not isinstance(linear, kept) and "torch._dynamo" not in sys.modules
compiled = torch.compile(linear, backend="eager")
assert isinstance(compiled, kept) and compiled(torch.ones(1, 1)).shape == (1, 1)
class Derived(kept):
    pass
assert issubclass(Derived, kept) and not issubclass(torch.nn.Linear, kept)
""",
    "not compiled": """
from latent_lab.deferral import _not_compiled
from pytorch_lightning.trainer.connectors.logger_connector.result import _ResultCollection
log = _ResultCollection.log
assert log.__module__ == _ResultCollection.__module__ and log.__qualname__ == "_ResultCollection.log" and log.__doc__
compiling = torch.compiler.is_compiling
apart, also_apart = _not_compiled(compiling), _not_compiled(recursive=False)(lambda: compiling())
assert not apart() and "torch._dynamo" not in sys.modules
compiled = torch.compile(lambda x: (x + 1, compiling(), apart(), also_apart()), backend="eager")
assert compiled(torch.ones(1))[1:] == (True, False, False)
""",
    "copies": """
import copy, pickle
metric = pickle.loads(pickle.dumps(copy.deepcopy(torchmetrics.MeanMetric())))
metric.update(2.0)
assert metric.compute() == 2 and pickle.loads(pickle.dumps(pl.Trainer)) is pl.Trainer
""",
}


@pytest.mark.parametrize("part", PARTS)
def test_what_was_deferred_works_once_it_is_used(part):
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", BEGIN + PARTS[part]], cwd=ROOT, env=environment(),
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A module ``library_under_test``, and one that it uses."""
    (tmp_path / "used_by_library").mkdir()
    (tmp_path / "used_by_library" / "__init__.py").write_text(
        "from used_by_library.part import answer\n__version__ = '1.2'\n"
    )
    (tmp_path / "used_by_library" / "part.py").write_text("def answer():\n    return 42\n\n\nclass Kind:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    finder = deferral._StandIns(("used_by_library", "not_installed"))
    monkeypatch.setattr(deferral, "UNUSED", ("used_by_library", "not_installed"))
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])

    def write(text: str):
        (tmp_path / "library_under_test.py").write_text(text)
        import library_under_test

        return library_under_test, finder

    yield write
    for name in ("library_under_test", "used_by_library", "used_by_library.part"):
        sys.modules.pop(name, None)


def test_a_name_is_kept_and_found_when_it_is_called(library):
    text = "import used_by_library as u\nfrom used_by_library.part import answer, Kind\n"
    module, finder = library(text + "def f(x: Kind | None = None, y: str | Kind = '') -> tuple[Kind]: ...\n")
    assert isinstance(module.answer, deferral.Deferred) and not isinstance(1, module.Kind)
    finder.remove("used_by_library")
    assert "used_by_library" not in sys.modules
    assert module.answer() == 42 == module.u.answer()
    assert isinstance(sys.modules["used_by_library.part"].Kind(), module.Kind)


@pytest.mark.parametrize(
    "use", ["value = answer()", "class Derived(Kind): pass", "value = answer.__call__()", "value = Kind.mro()"]
)
def test_a_library_that_uses_it_at_once_is_given_it_at_once(library, use):
    library(f"from used_by_library.part import answer, Kind\n{use}\n")
    assert sys.modules["used_by_library.part"].answer() == 42


@pytest.mark.parametrize("use", ["used_by_library.part.level = 7", "from used_by_library import part; part.level = 7"])
def test_what_a_library_sets_is_set_in_the_module_itself(library, use):
    _, finder = library(f"import used_by_library.part\n{use}\n")
    finder.remove("used_by_library")
    import used_by_library.part

    assert used_by_library.part.level == 7


def test_a_library_may_ask_which_version_it_has(library):
    module, _ = library("import used_by_library\nfound = used_by_library.__version__\n")
    assert module.found == "1.2"


def test_what_is_not_installed_is_not_stood_in_for(library):
    with pytest.raises(ModuleNotFoundError, match="not_installed"):
        library("import not_installed\n")
    with pytest.raises(ModuleNotFoundError, match="used_by_library.nothing"):
        library("import used_by_library.nothing\n")
