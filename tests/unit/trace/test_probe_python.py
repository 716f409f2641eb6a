"""The probe runs under the Python of the traced host, from 3.6 on."""

from __future__ import annotations

import ast
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bothways.trace import probe

FOLDER = Path(probe.__file__).parent
MODULES = sorted(FOLDER.glob("*.py"))
#: what the standard library has since 3.7 only, and is easily taken
NEWER = frozenset(
    {
        "BooleanOptionalAction",
        "Final",
        "Literal",
        "ParamSpec",
        "Protocol",
        "TypeAlias",
        "TypedDict",
        "batched",
        "cache",
        "cached_property",
        "capture_output",
        "clock_gettime_ns",
        "contextvars",
        "dataclass",
        "dataclasses",
        "fromisoformat",
        "get_running_loop",
        "importlib.metadata",
        "importlib.resources",
        "isqrt",
        "memfd_create",
        "monotonic_ns",
        "nullcontext",
        "override",
        "pairwise",
        "perf_counter_ns",
        "pidfd_open",
        "prod",
        "removeprefix",
        "removesuffix",
        "run_coroutine",
        "setns",
        "time_ns",
        "to_thread",
        "tomllib",
        "unshare",
        "zoneinfo",
    }
)
OLD = ("python3.6", "python3.7", "python3.8")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_every_module_is_written_in_the_old_language(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 6))
    taken = {name: line for line, name in taken_from_the_library(tree)}
    newer = {name: line for name, line in taken.items() if name in NEWER - guarded(tree)}
    assert newer == {}, "newer than Python 3.6"
    nodes = list(ast.walk(tree))
    assert not any(isinstance(node, ast.NamedExpr) for node in nodes)
    froms = [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    assert "__future__" not in froms, "annotations that are not evaluated are of 3.7"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_no_annotation_that_is_evaluated_takes_parameters_of_a_builtin(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    generic = {"dict", "frozenset", "list", "set", "tuple", "type", "deque", "OrderedDict", "array", "Popen"}
    found = [
        f"line {node.lineno}: {node.value.id}[...] needs Python 3.9"
        for annotation in evaluated(tree)
        for node in ast.walk(annotation)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in generic
    ]
    assert found == []


def evaluated(tree: ast.Module) -> Iterator[ast.expr]:
    """Annotations that Python evaluates: of modules, classes and signatures, not those inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef):
            yield from (each.annotation for each in node.body if isinstance(each, ast.AnnAssign))
        elif isinstance(node, ast.FunctionDef):
            every = [*node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
            yield from (each.annotation for each in every if each is not None and each.annotation is not None)
            if node.returns is not None:
                yield node.returns


def taken_from_the_library(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Where which name is imported, read from a module, given as a keyword, or called as a method."""
    nodes = list(ast.walk(tree))
    modules = {
        alias.asname or alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names
    }
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((node.lineno, alias.name) for alias in node.names)
            if isinstance(node, ast.ImportFrom):
                yield node.lineno, node.module or ""
        elif (
            isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules
        ):
            yield node.lineno, node.attr
        elif isinstance(node, ast.Call):
            yield from ((node.lineno, keyword.arg) for keyword in node.keywords if keyword.arg)
            if isinstance(node.func, ast.Attribute) and node.func.attr.startswith("remove"):
                yield node.lineno, node.func.attr


def guarded(tree: ast.AST) -> set[str]:
    """Names that a module asks for before it takes them: ``hasattr(time, "clock_gettime_ns")``."""
    return {
        argument.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"hasattr", "getattr"}
        for argument in node.args[1:2]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_module_takes_nothing_but_the_standard_library_and_its_own_room(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            module = node.module or ""
            assert not module.startswith("bothways") or module.startswith("bothways.trace.probe"), module


def old_interpreter() -> str | None:
    for name in OLD:
        path = shutil.which(name)
        if path and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return path
    return None


def test_every_module_is_imported_by_an_old_python() -> None:
    python = old_interpreter()
    if python is None:
        pytest.skip("this machine has no Python older than 3.9")
    names = [f"bothways.trace.probe.{path.stem}" for path in MODULES if path.stem != "__init__"]
    code = f"import sys; sys.path.insert(0, {str(FOLDER.parents[2])!r}); sys.dont_write_bytecode = True\n"
    code += "\n".join(f"import {name}" for name in names)
    result = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
