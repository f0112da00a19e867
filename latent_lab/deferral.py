"""PyTorch Lightning imported without what a command may never use, which is two thirds of what it imports.

Lightning imports torchmetrics, for one class; that imports SciPy, torchvision and, for its plots, matplotlib;
torchvision imports torch's compiler, as Lightning does for one class more. Nothing of this is used before something is
trained or drawn. So while Lightning is imported, stand-ins are found in the place of these modules. What a library
takes from one is a :class:`Deferred`, which it may keep, annotate with, and test instances against: the module itself
is imported when somebody calls it. Afterwards the stand-ins are gone, and ``import scipy`` imports SciPy.

A library that does more with a stand-in while it is imported, as to look up its version, to derive from it or to set
something in it, is given the module at once: that is slower, not wrong. But a stand-in has every name that it is asked
for, also one that the module lacks, and is no number: so torchmetrics does not give scipy.signal the hamming() that
SRMRpy looks for, and 2 * scipy.constants.pi is a TypeError.
"""

import functools
import gc
import importlib
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Union

UNUSED = ("scipy", "torch._dynamo", "torchmetrics.utilities.plot", "torchvision")


def import_lightning() -> None:
    """Imports torch and Lightning; to be called before anything else does, and while no other thread imports anything.

    The garbage collector waits meanwhile, and leaves alone what came of it: looking again and again through a million
    objects of which all stay is a fifth of what the imports cost.
    """
    if "pytorch_lightning" in sys.modules:
        return
    collected = gc.isenabled()
    gc.disable()
    try:
        from unittest import mock

        import torch.compiler

        with _StandIns(UNUSED), mock.patch.object(torch.compiler, "disable", _not_compiled):
            import pytorch_lightning  # noqa: F401
    finally:
        if collected:
            gc.freeze()
            gc.enable()


def _not_compiled(function: Callable | None = None, recursive: bool = True, **reason):
    """``torch.compiler.disable``, which asks for the compiler, of a function that asks whether there is one at work."""
    if function is None:
        return functools.partial(_not_compiled, recursive=recursive, **reason)

    @functools.cache
    def disabled() -> Callable:
        import torch.compiler

        return torch.compiler.disable(function, recursive, **reason)

    @functools.wraps(function)
    def called(*args, **kwargs):
        return (disabled() if "torch._dynamo" in sys.modules else function)(*args, **kwargs)

    return called


class Deferred:
    """What a name in a module means: found out when it is called, looked into, or derived from."""

    def __init__(self, module: str, name: str):
        vars(self).update(_module=module, _name=name)

    def _found(self):
        return getattr(_imported(self._module), self._name)

    def _is_imported(self) -> bool:
        return self._module in sys.modules and not isinstance(sys.modules[self._module], _StandIn)

    def __getattr__(self, name: str):
        if name.startswith("__"):  # of a protocol that is none of these: copying, pickling, typing, ...
            raise AttributeError(name)
        return getattr(self._found(), name)

    def __setattr__(self, name: str, value) -> None:
        setattr(self._found(), name, value)

    def __call__(self, *args, **kwargs):
        return self._found()(*args, **kwargs)

    def __mro_entries__(self, bases: tuple) -> tuple[type]:
        return (self._found(),)

    def __instancecheck__(self, instance) -> bool:
        return self._is_imported() and isinstance(instance, self._found())

    def __subclasscheck__(self, cls: type) -> bool:
        return self._is_imported() and issubclass(cls, self._found())

    def __or__(self, other):
        return Union[self, other]  # noqa: UP007 (this is what | means)

    def __ror__(self, other):
        return Union[other, self]  # noqa: UP007


class _StandIn(ModuleType):
    """A module that is not imported yet: has every name, and keeps nothing but the stand-ins for its submodules."""

    def __getattr__(self, name: str):
        if name == "__version__":
            return getattr(_imported(self.__name__), name)
        if name.startswith("__"):
            raise AttributeError(f"{self.__name__} is not imported yet: no {name}")
        return Deferred(self.__name__, name)

    def __setattr__(self, name: str, value) -> None:
        if name.startswith("__") or isinstance(value, _StandIn):  # as the import system does
            super().__setattr__(name, value)
        else:
            setattr(_imported(self.__name__), name, value)


class _StandIns:
    """Finds and loads stand-ins for modules that are installed; within it as a context."""

    def __init__(self, names: tuple[str, ...]):
        self.names = set(names)

    def __enter__(self) -> None:
        sys.meta_path.insert(0, self)

    def __exit__(self, *_) -> None:
        sys.meta_path.remove(self)
        self.remove(*self.names)

    def find_spec(self, name: str, path=None, target=None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if any(_lies_in(name, unused) for unused in self.names) else None
        if spec is None:
            return None
        stand_in = ModuleSpec(name, self, origin=spec.origin)
        stand_in.submodule_search_locations = spec.submodule_search_locations
        return stand_in

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass  # there is nothing in it

    def remove(self, *roots: str) -> None:
        """Takes away the stand-ins for these modules and all that lies in them."""
        self.names -= set(roots)
        for name, module in list(sys.modules.items()):
            if isinstance(module, _StandIn) and any(_lies_in(name, root) for root in roots):
                del sys.modules[name]
                parent, _, last = name.rpartition(".")
                if vars(sys.modules.get(parent, sys)).get(last) is module:
                    delattr(sys.modules[parent], last)


def _lies_in(name: str, package: str) -> bool:
    return f"{name}.".startswith(f"{package}.")


def _imported(name: str) -> ModuleType:
    """The module of that name; in the place of its stand-in, if there still is one."""
    if isinstance(sys.modules.get(name), _StandIn):
        stand_ins = sys.modules[name].__spec__.loader
        stand_ins.remove(*(root for root in UNUSED if _lies_in(name, root)))
    return importlib.import_module(name)
