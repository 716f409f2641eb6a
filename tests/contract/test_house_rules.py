"""The house rules of CONTRIBUTING.md that a machine can check."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import conftest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "bothways"
MODULES = sorted(SOURCE.rglob("*.py"))
PUBLIC = [path for path in MODULES if not path.stem.startswith("_") or path.stem == "__init__"]

LONGEST = 400
#: modules that are longer all the same; this list only ever shrinks
TOO_LONG: frozenset[str] = frozenset()

NAMELESS = frozenset({"base", "common", "core", "helper", "helpers", "manager", "misc", "util", "utils"})

# Spelled in two halves, so that this file passes its own test.
FORBIDDEN = {
    "a path of one machine": r"(?<![\w.>})$/-])/(?:wo" r"rk|ro" r"ot|ho" r"me/\w+|fa" r"rm)/",
    "the address of a package registry": r"py"
    r"pi\.org|python"
    r"hosted|deb\.deb"
    r"ian\.org|cra"
    r"tes\.io",
    "work that was left for later": r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b",
}
TEXT = frozenset({"", ".cfg", ".css", ".html", ".j2", ".json", ".lock", ".md", ".py", ".sh", ".toml", ".txt"})
NOT_OURS = frozenset({".git", ".hypothesis", ".venv", "__pycache__", "build", "dist", "node_modules"})


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree() -> Iterator[Path]:
    """Every text file of the project, except what tools make."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        if any(part in NOT_OURS or part.endswith(("_cache", ".egg-info")) for part in parts):
            continue
        if path.is_file() and path.suffix in TEXT:
            yield path


def run(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)


def test_import_contracts_are_kept() -> None:
    result = run(Path(sys.executable).with_name("lint-imports"), "--no-cache")
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_package_is_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    packages = [path.parent.name for path in SOURCE.glob("*/__init__.py")]
    assert packages
    assert [package for package in packages if f"{package}/" not in text] == []


def test_no_module_is_too_long() -> None:
    long = {name(path) for path in MODULES if len(path.read_text(encoding="utf-8").splitlines()) > LONGEST}
    assert long - TOO_LONG == set(), "what are they two of?"
    assert TOO_LONG - long == set(), "these are short enough now: take them off the list"


def test_no_module_is_a_drawer() -> None:
    named = {name(path) for path in MODULES if NAMELESS & {path.stem, path.parent.name}}
    assert named == set(), "a module is named for the noun that it holds"


@pytest.mark.parametrize("path", PUBLIC, ids=name)
def test_a_public_module_says_what_it_is_and_exports(path: Path) -> None:
    module = ast.parse(path.read_text(encoding="utf-8"))
    docstring = ast.get_docstring(module) or ""
    assert len(docstring.split()) > 1, "one sentence that says what the module holds"
    exported = exports(module)
    defined = {
        node.name
        for node in module.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    }
    bound = defined | {target for node in module.body for target in targets(node)}
    if defined or exported is not None:
        assert exported is not None, "`__all__` is missing"
        assert defined - set(exported) == set(), "public, but not in `__all__`"
        assert set(exported) - bound == set(), "in `__all__`, but not defined"


def exports(module: ast.Module) -> list[str] | None:
    """Read ``__all__``, None if the module has none."""
    for node in module.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and "__all__" in set(targets(node)) and node.value:
            value: list[str] = ast.literal_eval(node.value)
            return value
    return None


def targets(node: ast.stmt) -> Iterator[str]:
    """Names that a statement at the top of a module binds, other than by ``def`` and ``class``."""
    if isinstance(node, ast.ImportFrom | ast.Import):
        yield from ((alias.asname or alias.name) for alias in node.names)
    elif isinstance(node, ast.Assign):
        yield from (leaf.id for leaf in node.targets if isinstance(leaf, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_tree_speaks_of_itself_alone(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    found = [
        f"{name(path)}:{number}: {line.strip()[:100]}"
        for path in tree()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


def test_the_lock_has_hashes_and_no_addresses() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert re.findall(r"https?://|py" r"pi|--index|--find-links", lock) == []
    entries = re.findall(r"^([a-z0-9-]+)==\S+((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", lock, re.MULTILINE)
    lines = [line for line in lock.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(entries) == len(lines), "every requirement is pinned with `==` and has hashes"


def test_the_lock_covers_the_project() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [
        *table["project"]["dependencies"],
        *table["project"]["optional-dependencies"]["dev"],
        *table["build-system"]["requires"],
    ]
    names = [re.split(r"[<>=~!\[ ;]", requirement, maxsplit=1)[0].lower() for requirement in wanted]
    assert [each for each in names if f"\n{each}==" not in f"\n{lock}"] == []


def test_ci_installs_every_program_that_a_test_may_need() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").split()
    words = {word.strip('"').removeprefix('needed="').removeprefix('optional="') for word in script}
    assert set(conftest.PACKAGES.values()) - words == set()
