"""JSON in a pasted text: which tool printed it, and where it ends."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["Brackets", "json_kind", "opens_json"]

_OPENS: Final = re.compile(r"\s*(?:\[\s*(?:[\[{\]]|\Z)|\{\s*(?:\"|\}|\Z))")
#: Kind -> keys that only this tool's rows have together.
_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "addr": ('"ifname"', '"addr_info"'),
    "fdb": ('"mac"', '"ifname"', '"flags"', '"state"'),
    "neigh": ('"dst"', '"dev"', '"state"'),
    "route": ('"dst"', '"flags"', '"dev"'),
    "rule": ('"priority"', '"src"', '"table"'),
    "bpf": ('"xdp":', '"tc":', '"flow_dissector":'),
    "ovsdb": ('"caption"', '"headings"', '"data"'),
}
_HEAD: Final = 20_000


@dataclass(slots=True)
class Brackets:
    """
    How deep a text stands in brackets; those in quotes do not count.

    :param depth: brackets that are open.
    """

    depth: int = 0

    def read(self, line: str) -> None:
        """Read one line. A string does not go past its line."""
        quoted = escaped = False
        for letter in line:
            if escaped:
                escaped = False
            elif quoted:
                escaped = letter == "\\"
                quoted = letter != '"'
            elif letter == '"':
                quoted = True
            elif letter in "[{":
                self.depth += 1
            elif letter in "]}":
                self.depth = max(0, self.depth - 1)


def opens_json(line: str) -> bool:
    """Whether a line begins an array of objects, or an object."""
    return _OPENS.match(line) is not None


def json_kind(text: str) -> str | None:
    """Which dump a JSON text is, by the keys of its rows; None if it is none."""
    if _OPENS.match(text) is None:
        return None
    head = text[:_HEAD]
    return next((kind for kind, keys in _KEYS.items() if all(key in head for key in keys)), None)
