"""
What the README and the tutorial show is what the commands print.

Blocks marked ```console are run: a line after ``$ `` is a command, the lines below it are what it prints, in
that order. ``…`` on a line of its own stands for any number of lines, ``…`` within a line for any text.
``(exit 1)`` as the last line names the exit code, which is 0 otherwise. Only `bothways` and harmless readers
of text are run.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
HARMLESS = frozenset({".venv/bin/bothways", "bothways", "cat", "grep", "head", "ls"})


class Shown(NamedTuple):
    """One command of a page, and what the page says it prints."""

    page: str
    command: str
    output: list[str]
    exit_code: int


def shown() -> Iterator[Shown]:
    for page in PAGES:
        for block in re.findall(
            r"^```console\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
        ):
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, *output = part.rstrip("\n").split("\n")
                code = re.fullmatch(r"\(exit (\d)\)", output[-1]) if output else None
                lines = output[:-1] if code else output
                yield Shown(str(page.relative_to(ROOT)), command, lines, int(code[1]) if code else 0)


SHOWN = list(shown())


def as_pattern(lines: list[str]) -> str:
    """Turn shown lines into a pattern; trailing blanks do not count."""
    pattern = ""
    for line in lines:
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*?".join(re.escape(part) for part in line.rstrip().split("…")) + r" *\n"
    return pattern


def test_the_readme_shows_the_incident() -> None:
    verdicts = [each for each in SHOWN if each.page == "README.md" and "diagnose" in each.command]
    assert len(verdicts) == 1
    assert verdicts[0].output


@pytest.mark.parametrize("each", SHOWN, ids=lambda each: f"{each.page}: {each.command}"[:80])
def test_a_shown_command_prints_what_the_page_shows(each: Shown) -> None:
    programs = [shlex.split(part)[0] for part in each.command.split(" | ")]
    assert set(programs) <= HARMLESS
    venv = str(Path(sys.executable).parent)
    command = each.command.replace(".venv/bin/bothways", "bothways")
    result = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{venv}:{os.environ['PATH']}", "COLUMNS": "100", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == each.exit_code, result.stderr
    printed = "".join(f"{line.rstrip()}\n" for line in result.stdout.splitlines())
    assert re.fullmatch(as_pattern(each.output), printed) if each.output else True, printed


def test_the_make_targets_that_pages_name_exist() -> None:
    menu = set(re.findall(r"^([a-z]+):.* ## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {
        target
        for page in [*PAGES, ROOT / "CONTRIBUTING.md"]
        for target in re.findall(r"(?:^|`)make ([a-z]+)(?=`|\s+#)", page.read_text("utf-8"), re.MULTILINE)
    }
    assert named
    assert named - menu == set()
