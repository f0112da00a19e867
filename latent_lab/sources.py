"""Digests of the code that a fit, or a job, runs."""

import ast
import hashlib
from functools import cache
from pathlib import Path

from latent_lab.targets import ROOT

LEFT_OUT = "NOT_IN_A_FIT"  # a module's name for the reason why its code decides nothing about a fit


def source_digests(names: list[str], of_fit: bool = True) -> dict[str, str]:
    """Digest of each source file behind the named classes, with what these import from our packages.

    Files are compared as syntax trees without docstrings, and without the words of errors and warnings: a comment, a
    line break, a clearer message change nothing. Each is read once in a process: what is digested is what was imported,
    also if it is edited while a sweep runs.

    Args:
        names: of classes or modules, ``package.module.Class``.
        of_fit: leave out files that say of themselves that they decide nothing about a fit (``NOT_IN_A_FIT``).

    Returns:
        relative path of the file to 16 hexadecimal digits.
    """
    return dict(_digests(tuple(names), of_fit))


@cache
def _digests(names: tuple[str, ...], of_fit: bool) -> dict[str, str]:
    digests: dict[str, str] = {}
    waiting, seen = list(names), set()
    while waiting:
        path = _module_file(waiting.pop())
        if path is None or path in seen:
            continue
        seen.add(path)
        if of_fit and _left_out(path):
            continue
        digests[path.relative_to(ROOT).as_posix()], imports = _read_source(path)
        waiting += imports
    return dict(sorted(digests.items()))


class _Plain(ast.NodeTransformer):
    """Without docstrings and without what errors and warnings say."""

    def _without_docstring(self, node):
        self.generic_visit(node)
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return node

    visit_Module = visit_ClassDef = visit_FunctionDef = visit_AsyncFunctionDef = _without_docstring

    def visit_Raise(self, node: ast.Raise) -> ast.Raise:
        raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return ast.Raise(exc=raised, cause=None)

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        called = node.value.func if isinstance(node.value, ast.Call) else None
        name = getattr(called, "attr", getattr(called, "id", ""))
        return ast.Pass() if name.endswith(("warn", "warning")) else self.generic_visit(node)


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
    text = ast.unparse(ast.fix_missing_locations(_Plain().visit(tree)))
    return hashlib.sha256(text.encode()).hexdigest()[:16], tuple(imports)


@cache
def _left_out(path: Path) -> bool:
    """Whether a file, or a package it lies in, says that it decides nothing about a fit."""
    packages = [folder / "__init__.py" for folder in path.parents if ROOT in folder.parents]
    return any(_declares(file) for file in (path, *packages) if file.is_file())


@cache
def _declares(path: Path) -> bool:
    assigned = (
        node.targets for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.Assign)
    )
    return any(getattr(target, "id", None) == LEFT_OUT for names in assigned for target in names)


@cache
def _module_file(name: str) -> Path | None:
    """The file of ``module`` or ``module.Class``, if it is ours."""
    for candidate in (name, name.rpartition(".")[0]):
        for path in (ROOT / (candidate.replace(".", "/") + ".py"), ROOT / candidate.replace(".", "/") / "__init__.py"):
            if candidate and path.is_file():
                return path
    return None
