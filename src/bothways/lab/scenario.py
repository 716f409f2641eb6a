"""
Scenario files: ``scenarios/NAME/scenario.toml`` -> a site, and the verdict that the lab must earn there.

A scenario may build on another (``base``): tables are laid over those of the base, lists and texts replace
them, and ``remove`` takes paths out.
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bothways.lab.mesh import spread
from bothways.lab.read_site import SiteError, read_site
from bothways.lab.renumber import renumber
from bothways.lab.schema import Flaw, flaws
from bothways.lab.site import Site

__all__ = ["FORMAT", "Expectation", "Scenario", "ScenarioError", "read_scenario"]

FORMAT: Final = "bothways-scenario/1"
_DEEPEST: Final = 8


class ScenarioError(Exception):
    """A file that is no scenario; the text begins with ``file:line``."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """
    The verdict that reality and the diagnosis must give.

    :param fate: what becomes of the connection: ``works``, ``reset``, ``refused``, ``timeout``, ``stall`` …
    :param author: ``HOST[/NETNS][:DEVICE]`` that the first author of the diagnosis must be.
    :param culprit: words that one culprit's place or text must hold.
    """

    status: str
    fate: str
    cause: str | None = None
    author: str | None = None
    culprit: str | None = None
    latent: str | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """A site, and what is to be said of it; nothing, if it comes from a bundle."""

    name: str
    path: Path
    site: Site
    expectation: Expectation | None = None
    pinned: str | None = None


def read_scenario(path: Path, seed: int | None = None) -> Scenario:
    """
    Read a scenario, and give it other numbers and names if a *seed* is given.

    :raises ScenarioError: with the place of everything that is wrong.
    :raises OSError: if a file cannot be read.
    """
    said = _merged(path, 0)
    wrong = list(flaws(said))
    if said.get("format") not in {None, FORMAT}:
        wrong.append(Flaw(("format",), f"`{FORMAT}` is expected"))
    if wrong:
        raise ScenarioError("\n".join(f"{_place(path, flaw.path)}: {_said(flaw)}" for flaw in wrong))
    if seed is not None:
        said = renumber(said, seed)
    try:
        site = read_site(spread(said))
    except SiteError as error:
        raise ScenarioError(f"{_place(path, error.path)}: {'.'.join(error.path)}: {error}") from None
    pinned = said.get("contested", {}).get("pinned")
    if pinned is not None and pinned not in site.winners:
        where = _place(path, ("contested", "pinned"))
        raise ScenarioError(f"{where}: contested.pinned: one of {', '.join(site.winners)} is expected")
    return Scenario(path.parent.name, path, site, Expectation(**said["expect"]), pinned)


def _said(flaw: Flaw) -> str:
    return f"{'.'.join(flaw.path)}: {flaw.text}" if flaw.path else flaw.text


def _merged(path: Path, depth: int) -> dict[str, Any]:
    """Read a file, laid over its base."""
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        raise ScenarioError(f"{path}:{line.group(1) if line else 1}: no TOML: {error}") from None
    except UnicodeDecodeError:
        raise ScenarioError(f"{path}:1: no text in UTF-8") from None
    base = said.pop("base", None)
    gone = said.pop("remove", [])
    if base is not None:
        below = (path.parent / str(base)).resolve()
        if depth == _DEEPEST:
            raise ScenarioError(f"{_place(path, ('base',))}: base: a circle of bases")
        if not below.is_file():
            raise ScenarioError(f"{_place(path, ('base',))}: base: no file `{base}` beside this one")
        lower = _merged(below, depth + 1)
        for each in gone:
            _remove(lower, str(each), path)
        said = _over(lower, said)
    return said


def _over(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    out = copy.deepcopy(dict(lower))
    for key, value in upper.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = _over(out[key], value) if both else copy.deepcopy(value)
    return out


def _remove(said: dict[str, Any], path: str, file: Path) -> None:
    """Take out what a path like ``hosts.host1.netns.NAME`` leads to; ``/`` may stand for the dot."""
    *way, last = path.split("/" if "/" in path else ".")
    here: Any = said
    for step in way:
        here = here.get(step) if isinstance(here, dict) else None
    if not isinstance(here, dict) or last not in here:
        raise ScenarioError(f"{_place(file, ('remove',))}: remove: the base has no `{path}`")
    del here[last]


def _place(path: Path, way: tuple[str, ...]) -> str:
    """``file:line`` of a key, as near as it can be found: TOML's reader does not tell lines."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    best, start = 1, 0
    for depth in range(len(way), 0, -1):
        header = re.compile(r"^\s*\[+\s*" + r"\s*\.\s*".join(map(_key, way[:depth])) + r"\s*\]+")
        found = next((number for number, line in enumerate(lines) if header.match(line)), None)
        if found is not None:
            best, start = found + 1, found
            break
    else:
        depth = 0
    for step in way[depth:]:
        key = re.compile(rf"(^|[{{,\s.]){_key(step)}\s*[=.]")
        found = next((n for n, line in enumerate(lines[start:], start) if key.search(line)), None)
        if found is None:
            break
        best, start = found + 1, found
    return f"{path}:{best}"


def _key(name: str) -> str:
    return rf"[\"']?{re.escape(name)}[\"']?"
