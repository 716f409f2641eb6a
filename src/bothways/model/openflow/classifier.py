"""
The flows of one table, so that those which match a packet are found without trying them all.

Flows with the same masks on the same fields make up a subtable: what a packet has under these masks is the
key of a mapping to the flows that want just this (tuple space search; ``lib/classifier.c``). ``best`` answers
if nothing about the packet is open, ``all_matching`` in every case.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bothways.facts.openflow import LOCAL, Flow, Term
from bothways.model.openflow.field import FIELDS
from bothways.model.openflow.key import PIPELINE, WIDE, Key
from bothways.model.openflow.match import Fit, fit
from bothways.model.openflow.options import OTHERS, presence

__all__ = ["Classifier", "Masks", "is_clause", "normal_match"]

#: field and mask, by field
Masks = tuple[tuple[str, int], ...]
Values = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Subtable:
    """
    Flows with the same masks.

    :param rows: what a packet must have under the masks -> flows, highest priority first.
    :param top: the highest priority of all.
    :param readable: False if a term of these flows is not modelled: then no packet surely matches.
    """

    masks: Masks
    rows: dict[Values, tuple[Flow, ...]]
    top: int
    readable: bool


class Classifier:
    """
    The flows of one table.

    ``conjunctive`` tells whether one of them is part of a conjunction.
    """

    __slots__ = ("_subtables", "conjunctive")

    def __init__(self, flows: Iterable[Flow]) -> None:
        rows: dict[tuple[Masks, bool], dict[Values, list[Flow]]] = defaultdict(lambda: defaultdict(list))
        self.conjunctive = False
        for flow in flows:
            matched = normal_match(flow)
            if matched is None:
                continue
            masks, values = matched
            readable = all(term.value is not None for term in flow.match)
            rows[masks, readable][values].append(flow)
            self.conjunctive = self.conjunctive or is_clause(flow)
        subtables = [_subtable(masks, readable, found) for (masks, readable), found in rows.items()]
        self._subtables = tuple(sorted(subtables, key=lambda subtable: -subtable.top))

    def best(self, key: Key) -> tuple[Flow, ...] | None:
        """
        The matching flows of the highest priority; None if it is not known whether some flow matches.

        No part of it knows of conjunctions: not for a table that is ``conjunctive``.
        """
        best: tuple[Flow, ...] = ()
        priority = -1
        for subtable in self._subtables:
            if subtable.top < priority:
                break
            values = key.masked(subtable.masks) if subtable.readable else None
            if values is None:
                return None
            found = subtable.rows.get(values)
            if found is None or found[0].priority < priority:
                continue
            equal = (found[0],) if len(found) == 1 else _level(found)
            best = equal if found[0].priority > priority else best + equal
            priority = found[0].priority
        return best

    def all_matching(self, key: Key) -> list[tuple[Flow, Fit]]:
        """Every flow that matches, or may, highest priority first, and as they were dumped within one."""
        found: list[tuple[Flow, Fit]] = []
        for subtable in self._subtables:
            values = key.masked(subtable.masks) if subtable.readable else None
            if values is not None:
                found += [(flow, Fit.YES) for flow in subtable.rows.get(values, ())]
                continue
            for flows in subtable.rows.values():
                found += [(flow, answer) for flow in flows if (answer := fit(flow, key)) is not Fit.NO]
        return sorted(found, key=lambda each: (-each[0].priority, each[0].span.line or 0))


def is_clause(flow: Flow) -> bool:
    """Whether a flow is part of a conjunction and matches nothing by itself."""
    return any(action.name == "conjunction" for action in flow.actions)


def _subtable(masks: Masks, readable: bool, found: dict[Values, list[Flow]]) -> _Subtable:  # noqa: FBT001 - a key
    rows = {values: tuple(sorted(flows, key=lambda flow: -flow.priority)) for values, flows in found.items()}
    return _Subtable(masks, rows, max(flows[0].priority for flows in rows.values()), readable)


def _level(flows: tuple[Flow, ...]) -> tuple[Flow, ...]:
    """The flows that have the priority of the first one."""
    return tuple(flow for flow in flows if flow.priority == flows[0].priority)


# -- one form for every match --------------------------------------------------------------------------


def normal_match(flow: Flow) -> tuple[Masks, Values] | None:
    """
    The match of a flow with one mask for each field, wide registers taken apart.

    Terms that are not modelled leave no trace.

    :return: None if the match contradicts itself.
    """
    found: dict[str, tuple[int, int]] = {}
    for term in flow.match:
        if term.value is None:
            continue
        for name, value, mask in _parts(term):
            old, before = found.get(name, (0, 0))
            if (old ^ value) & before & mask:
                return None
            found[name] = (old | value, before | mask)
    fields = sorted(name for name, (_, mask) in found.items() if mask)
    return tuple((name, found[name][1]) for name in fields), tuple(found[name][0] for name in fields)


_WIDTHS: Final = {**{name: field.width for name, field in FIELDS.items()}, **PIPELINE}


def _parts(term: Term) -> Iterable[tuple[str, int, int]]:
    """Field, value and mask of a term; several for a wide register."""
    value = term.value or 0
    narrow = WIDE.get(term.field)
    if narrow is None:
        if term.field == "in_port" and value >= LOCAL & 0xFFFF:
            value &= 0xFFFF
        width = _WIDTHS.get(term.field)
        whole = -1 if width is None else (1 << width) - 1
        mask = whole if term.mask is None else term.mask & whole
        if term.field.startswith(OTHERS):
            return ((presence(term.field), 1, 1), (term.field, value & mask, mask))
        return ((term.field, value & mask, mask),)
    mask = -1 if term.mask is None else term.mask
    places = [(name, 32 * place) for place, name in enumerate(reversed(narrow))]
    return [
        (name, value >> shift & mask >> shift & 0xFFFFFFFF, mask >> shift & 0xFFFFFFFF)
        for name, shift in places
    ]
