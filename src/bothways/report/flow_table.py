"""
The flows of a switch that somebody asked for.

A filter is terms between commas, all of which a flow must have: ``table=20``, ``cookie=0xd1``,
``cookie=0x10/0xf0``, ``priority=3``, or a piece of its match or of its actions as it is printed, ports by
number or name. ``n_packets>0`` asks for what was hit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from bothways.bundle import Bundle
from bothways.facts.openflow import LOCAL, Bridge, Flow
from bothways.facts.openflow_flow import Action, Term

__all__ = ["FilterError", "FlowRow", "FlowTable", "flow_tables"]

_NUMBER: Final = re.compile(r"(0[xX][0-9a-fA-F]+|\d+)(?:/(0[xX][0-9a-fA-F]+|-1|\d+))?")
_COUNTED: Final = re.compile(r"(n_packets|n_bytes)\s*(>=|>|=|<=|<)\s*(\d+)")
_COMPARED: Final[dict[str, Callable[[int, int], bool]]] = {
    ">": lambda have, asked: have > asked,
    ">=": lambda have, asked: have >= asked,
    "=": lambda have, asked: have == asked,
    "<=": lambda have, asked: have <= asked,
    "<": lambda have, asked: have < asked,
}
_NUMBERS: Final[dict[str, Callable[[Flow], int]]] = {
    "table": lambda flow: flow.table,
    "priority": lambda flow: flow.priority,
    "cookie": lambda flow: flow.cookie,
}
#: a comma between terms, not one inside the brackets of an action
_BETWEEN: Final = re.compile(r",(?![^()]*\))")
_COOKIE_BITS: Final = (1 << 64) - 1

Wanted = Callable[["FlowRow"], bool]


class FilterError(ValueError):
    """A filter that asks for nothing that a flow has; the text says what was expected."""


@dataclass(frozen=True, slots=True)
class FlowRow:
    """
    One flow in words.

    :param match: its terms, with names of ports; ``any packet`` if it has none.
    :param actions: one each, with names of ports.
    """

    flow: Flow
    match: str
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FlowTable:
    """
    What was asked for of one bridge, by table and falling priority, as the switch looks.

    :param total: how many flows the dump has; None if it was not collected.
    :param partial: the filter of a filtered view, None for a whole dump.
    """

    bridge: Bridge
    rows: tuple[FlowRow, ...]
    total: int | None
    file: str = ""
    partial: str | None = None


def flow_tables(bundle: Bundle, bridge: str = "", host: str = "", asked: str = "") -> Iterator[FlowTable]:
    """
    Give the flows of every bridge that fits.

    :param bridge: its name; *host* that of its host; empty: any.
    :param asked: a filter; empty: every flow.
    :raises FilterError: for a number that is none.
    """
    named = _names_of_tables(bundle)
    wanted = [_term(word.strip(), named) for word in _BETWEEN.split(asked) if word.strip()]
    for site in bundle.snapshot.hosts.values():
        if site.switch is None or host not in ("", site.name):
            continue
        for each in site.switch.bridges.values():
            if bridge in ("", each.name):
                yield _table(each, wanted)


def _table(bridge: Bridge, wanted: list[Wanted]) -> FlowTable:
    if bridge.flows is None:
        return FlowTable(bridge, (), None)
    names = {port.number: name for name, port in bridge.ports.items() if port.number is not None}
    names.setdefault(LOCAL, bridge.name)
    rows = (_row(flow, names) for flow in bridge.flows)
    kept = sorted(
        (row for row in rows if all(each(row) for each in wanted)),
        key=lambda row: (row.flow.table, -row.flow.priority),
    )
    return FlowTable(bridge, tuple(kept), len(bridge.flows), bridge.flows.file, bridge.flows.partial)


def _row(flow: Flow, names: dict[int, str]) -> FlowRow:
    terms = dict.fromkeys(_match(term, names) for term in flow.match)
    return FlowRow(
        flow, ",".join(terms) or "any packet", tuple(_action(each, names) for each in flow.actions)
    )


def _match(term: Term, names: dict[int, str]) -> str:
    if term.field == "in_port" and term.value in names:
        return f"in_port={names[term.value]}"
    return term.text


def _action(action: Action, names: dict[int, str]) -> str:
    port = action.args.get("port")
    if action.name == "output" and isinstance(port, int) and port in names:
        return f"output:{names[port]}"
    return action.text


def _names_of_tables(bundle: Bundle) -> frozenset[str]:
    """Tables that dumps call by name."""
    return frozenset(
        flow.table_name
        for site in bundle.snapshot.hosts.values()
        for each in (site.switch.bridges.values() if site.switch is not None else ())
        for flow in each.flows or ()
        if flow.table_name is not None
    )


def _term(word: str, named: frozenset[str]) -> Wanted:
    """Make a test of one term of a filter."""
    counted = _COUNTED.fullmatch(word)
    if counted:
        kind, sign, number = counted.groups()
        return lambda row: _counts(row.flow, kind, _COMPARED[sign], int(number))
    name, equals, value = word.partition("=")
    if name == "table" and value.strip('"') in named:
        return lambda row: row.flow.table_name == value.strip('"')
    if equals and name in _NUMBERS:
        found = _NUMBER.fullmatch(value)
        if found is None:
            message = f"`{word}`: a number was expected behind `{name}=`"
            raise FilterError(message)
        number, mask = int(found[1], 0), int(found[2] or "-1", 0) & _COOKIE_BITS
        return lambda row: not (_NUMBERS[name](row.flow) ^ number) & mask
    piece = re.compile(rf"(?<![\w.]){re.escape(word)}(?!\w)", re.IGNORECASE)
    return lambda row: any(piece.search(text) for text in _texts(row))


def _texts(row: FlowRow) -> Iterator[str]:
    """Everything that a piece of text is looked for in: as shown, and as printed."""
    yield from (row.match, *row.actions)
    yield ",".join(term.text for term in row.flow.match)
    yield from (action.text for action in row.flow.actions)


def _counts(flow: Flow, kind: str, compare: Callable[[int, int], bool], asked: int) -> bool:
    have = flow.packets if kind == "n_packets" else flow.octets
    return have is not None and compare(have, asked)
