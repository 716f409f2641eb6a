"""The pages and the code say the same."""

from __future__ import annotations

import ast
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest

from bothways.cli import main
from bothways.diagnose.causes import CAUSES
from bothways.facts.diagnosis import Confidence, Fate, Status

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])

SECTIONS = [
    "What it finds",
    "Why connections die",
    "Evidence it needs",
    "What would refute it",
    "How to fix",
    "References",
]


def read(*parts: str) -> str:
    return ROOT.joinpath(*parts).read_text(encoding="utf-8")


def first_column(text: str) -> set[str]:
    """Collect the code words that stand in the first cell of the rows of a page's tables."""
    return set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE))


def title(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_the_command_line_page_is_what_make_docs_writes() -> None:
    written = runpy.run_path(str(ROOT / "tools" / "write_cli_reference.py"))["page"]()
    assert read("docs", "reference", "cli.md") == written, "run `make docs`"


def test_every_verb_has_a_section() -> None:
    page = read("docs", "reference", "cli.md")
    assert set(re.findall(r"^## bothways ([a-z]+)$", page, re.MULTILINE)) == set(main.commands)


def test_every_verb_is_in_the_architecture() -> None:
    built = read("ARCHITECTURE.md").partition("## The command line")[2].partition("Planned verbs")[0]
    assert {verb for verb in main.commands if f"`{verb}`" not in built} == set()


def test_causes_and_pages_are_the_same_set() -> None:
    assert {page.stem for page in (DOCS / "causes").glob("*.md")} == {code for code, _ in CAUSES}


@pytest.mark.parametrize(("code", "name"), CAUSES)
def test_a_cause_has_its_page(code: str, name: str) -> None:
    page = read("docs", "causes", f"{code}.md")
    assert page.startswith(f"# {code} {name}\n")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == SECTIONS
    architecture = read("ARCHITECTURE.md")
    assert f"| [{code}](docs/causes/{code}.md) | {name} | built |" in architecture
    assert code in read("CHANGELOG.md")


def test_every_fate_and_status_has_a_row() -> None:
    page = read("docs", "concepts", "fates.md")
    assert first_column(page) == {*Fate, *Status}


def test_every_confidence_has_a_row() -> None:
    assert first_column(read("docs", "concepts", "confidence.md")) == set(Confidence)


def test_every_exit_code_has_a_row() -> None:
    page = read("docs", "reference", "exit-codes.md")
    assert re.findall(r"^\| (\d) \|", page, re.MULTILINE) == ["0", "1", "2", "3", "4"]


def test_the_nouns_of_the_architecture_exist() -> None:
    nouns = re.findall(r"^\| `(\w+)` \|.*\| `(facts/\w+\.py)` \|$", read("ARCHITECTURE.md"), re.MULTILINE)
    assert len(nouns) > 5
    for noun, module in nouns:
        tree = ast.parse(read("src", "bothways", *module.split("/")))
        assert noun in {node.name for node in tree.body if isinstance(node, ast.ClassDef)}, module


def links() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            if "://" not in target:
                yield page, target


@pytest.mark.parametrize(("page", "target"), [pytest.param(p, t, id=f"{title(p)}->{t}") for p, t in links()])
def test_a_link_leads_somewhere(page: Path, target: str) -> None:
    path, _, anchor = target.partition("#")
    leads_to = (page.parent / path).resolve() if path else page
    assert leads_to.exists()
    if anchor:
        heads = re.findall(r"^#+ (.+)$", leads_to.read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", head).strip().lower().replace(" ", "-") for head in heads}


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, todo = set(), [ROOT / "README.md"]
    edges = [(page, (page.parent / target.partition("#")[0]).resolve()) for page, target in links()]
    while todo:
        page = todo.pop()
        reached.add(page)
        todo.extend(to for start, to in edges if start == page and to.suffix == ".md" and to not in reached)
    assert {title(page) for page in PAGES} - {title(page) for page in reached} == set()


def test_paths_that_the_prose_names_exist() -> None:
    missing = set()
    for page in PAGES:
        for path in re.findall(
            r"`((?:src|tests|docs|examples|tools|bench)/[\w./*-]+)`", page.read_text("utf-8")
        ):
            if not list(ROOT.glob(path.rstrip("/"))):
                missing.add(f"{title(page)}: {path}")
    assert missing - {"CONTRIBUTING.md: docs/causes/BWxxx.md"} == set()
