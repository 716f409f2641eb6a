"""
Whether a table of nft needs the tracker of connections.

A rule that reads or writes ``ct``, translates, or hands connections to somebody asks for it when it is loaded
(``nft_ct_get_init``, ``nft_ct_set_init``, ``nft_nat_init``: ``nf_ct_netns_get``). ``notrack`` does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from bothways.facts.nft import NftTable
from bothways.facts.nft_action import Action, Assign, Divert, Gate, Translate, Update
from bothways.facts.nft_expression import Field

__all__ = ["needs_tracker"]

_DIVERTED = frozenset({"synproxy", "flow"})


def needs_tracker(table: NftTable) -> bool:
    """True if a rule of the table asks for the tracker."""
    return not table.dormant and any(
        _asks(statement.does)
        for chain in table.chains.values()
        for rule in chain.rules
        for statement in rule.statements
    )


def _asks(action: Action) -> bool:
    if isinstance(action, Translate | Assign):
        return True
    if isinstance(action, Divert) and action.kind in _DIVERTED:
        return True
    if isinstance(action, Gate) and action.kind == "ct count":
        return True
    if isinstance(action, Update) and any(_asks(gate) for gate in action.gates):
        return True
    return any(field.name.startswith("ct ") for field in _read(action))


def _read(found: object) -> Iterator[Field]:
    """Every field that a statement names."""
    if isinstance(found, Field):
        yield found
    elif isinstance(found, tuple | frozenset):
        for each in found:
            yield from _read(each)
    elif is_dataclass(found) and not isinstance(found, type):
        for name in fields(found):
            yield from _read(getattr(found, name.name))
