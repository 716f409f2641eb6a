"""
Rulesets of iptables that lie in more than one dump: ``iptables-legacy-save`` beside ``iptables-nft-save``.

Both may hold rules at once, and every packet meets both. A dump of nft's says that there are legacy tables;
if these were not collected, it is a part of what is there. So is what ``iptables -L`` or ``-S`` prints of one
table.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from bothways.bundle.folder import Folder
from bothways.facts.dump import Dump
from bothways.facts.iptables import Table
from bothways.facts.parsed import Parsed
from bothways.parse.iptables import parse_iptables
from bothways.parse.iptables_write import iptables_save

__all__ = ["with_other_tables"]


class _Parser(Protocol):
    def __call__(self, text: str, *, file: str, read_at: float | None = None) -> Parsed[object]: ...


_DUMP = Callable[[_Parser, str, float | None], Dump[object] | None]
_MOST: Final = 400_000
_TABLE: Final = re.compile(r"(?m)^\s*\*[a-z]")


def with_other_tables(
    folder: Folder, dump: _DUMP, place: str, tool: str, found: Dump[object] | None
) -> Dump[object] | None:
    """
    The tables of all dumps of one IP version.

    :param tool: ``iptables`` or ``ip6tables``; *found* what its plain dump holds.
    """
    legacy = dump(parse_iptables, f"{place}/{tool}-legacy-save.txt", None)
    other = dump(parse_iptables, f"{place}/{tool}-nft-save.txt", None)
    whole = found
    for each in (other, legacy):
        if each is not None:
            known = {_shape(table) for table in whole or ()}
            rows = tuple(table for table in each.rows if _shape(table) not in known)
            whole = each if whole is None else replace(whole, rows=(*whole.rows, *rows))
    if whole is None or legacy is not None or not whole.whole:
        return whole
    names = (f"{place}/{tool}-save.txt", f"{place}/{tool}-nft-save.txt")
    texts = [(folder.text(name) or "")[:_MOST] for name in names if folder.has(name)]
    if any("legacy tables present" in text for text in texts):
        return replace(whole, partial=f"without the tables of `{tool}-legacy-save`")
    if len(whole) == 1 and not any(_TABLE.search(text) for text in texts):
        return replace(whole, partial=f"of one table, as `{tool} -L` or `{tool} -S` shows it")
    return whole


def _shape(table: object) -> object:
    """A table without its place: the plain dump holds the same as one of the two."""
    if not isinstance(table, Table):
        return table
    return iptables_save([table])
