"""
The tables of a bridge, and which flow of a table wins.

The highest priority wins (OpenFlow 1.3.5, section 5.3). Where two flows of one priority match and act
differently, OpenFlow leaves open which one it is: that is a choice, and it is said. So is a flow of which
nobody can tell whether it matches. Conjunctive flows match nothing by themselves; a conjunction of which
every clause has a match is said, as it is not modelled.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from bothways.facts.choice import Freedom, Oracle
from bothways.facts.dump import Dump
from bothways.facts.openflow import Action, Bridge, Flow
from bothways.model.openflow.key import Key
from bothways.model.openflow.match import Fit, fit, open_terms, words

__all__ = ["Found", "look_up", "tables_of"]

Tables = Mapping[int, tuple[Flow, ...]]

#: dumps whose index is kept, and options of one choice beyond which the rest is only said
_KEPT: Final = 64
_OPTIONS: Final = 4
_INDEX: OrderedDict[int, tuple[Dump[Flow], Tables]] = OrderedDict()


@dataclass(frozen=True, slots=True)
class Found:
    """
    What a table has for a packet.

    :param flow: the flow that wins, None if none matches.
    :param unknown: why another one might.
    """

    flow: Flow | None
    unknown: tuple[str, ...] = ()


def tables_of(flows: Dump[Flow]) -> Tables:
    """The flows by table, highest priority first; built once for every dump."""
    kept = _INDEX.get(id(flows))
    if kept is not None and kept[0] is flows:
        _INDEX.move_to_end(id(flows))
        return kept[1]
    rows: dict[int, list[Flow]] = defaultdict(list)
    for flow in flows:
        rows[flow.table].append(flow)
    tables = {table: tuple(sorted(found, key=lambda flow: -flow.priority)) for table, found in rows.items()}
    _INDEX[id(flows)] = (flows, tables)
    if len(_INDEX) > _KEPT:
        _INDEX.popitem(last=False)
    return tables


def look_up(bridge: Bridge, tables: Tables, table: int, key: Key, oracle: Oracle) -> Found:
    """Find the flow of a table that a packet hits."""
    sure: list[Flow] = []
    perhaps: list[Flow] = []
    soft: list[tuple[Flow, Action]] = []
    for _, level in groupby(tables.get(table, ()), key=lambda flow: flow.priority):
        if sure:
            break
        conjunctive: list[tuple[Flow, Action]] = []
        for flow in level:
            answer = fit(flow, key)
            if answer is Fit.NO:
                continue
            clauses = [action for action in flow.actions if action.name == "conjunction"]
            if clauses:
                conjunctive += [(flow, action) for action in clauses]
            elif answer is Fit.YES:
                sure.append(flow)
            else:
                perhaps.append(flow)
        if not sure:
            soft += conjunctive
    where = f"{bridge.host} {bridge.name} table {table}"
    unknown = list(_conjunctions(where, soft))
    options = _distinct([*sure, *perhaps] if sure else perhaps)
    if not perhaps and len(options) <= 1:
        return Found(options[0] if options else None, tuple(unknown))
    return _choose(where, options, [f for f in options if f in perhaps], key, oracle, unknown)


def _choose(
    where: str, options: list[Flow], perhaps: list[Flow], key: Key, oracle: Oracle, unknown: list[str]
) -> Found:
    """Ask which of several flows it is; the likeliest is one that surely matches."""
    sure = [flow for flow in options if flow not in perhaps]
    if len(sure) > 1:
        unknown.append(
            f"which flow of {where} wins: {' and '.join(words(f) for f in sure)} match and act differently"
        )
    unknown += [
        f"whether {words(flow)} of {where} matches: `{open_terms(flow, key)}` is not modelled, or not known"
        for flow in perhaps
    ]
    offered = options[:_OPTIONS]
    texts: dict[str, Flow | None] = {}
    if not sure:
        texts[f"no flow of {where} matches"] = None
    for flow in offered:
        texts[f"{where}: {words(flow)} ({flow.span})"] = flow
    if len(texts) == 1:
        return Found(offered[0], tuple(unknown))
    lines = " ".join(str(flow.span) for flow in offered)
    taken = oracle.choose(
        f"flow of {where}: {lines}",
        list(texts),
        freedom=Freedom.UNKNOWN,
        evidence=tuple(flow.span for flow in offered),
    )
    return Found(texts[taken], tuple(unknown))


def _distinct(flows: Iterable[Flow]) -> list[Flow]:
    """One flow of each behaviour, the first."""
    kept: list[Flow] = []
    senses: list[object] = []
    for flow in flows:
        sense = _sense(flow.actions)
        if sense not in senses:
            senses.append(sense)
            kept.append(flow)
    return kept


def _sense(given: object) -> object:
    """What an action does, without where and how it was written."""
    if isinstance(given, Action):
        text = "" if given.modelled else given.text
        return given.name, text, _sense(given.args)
    if isinstance(given, Mapping):
        return {name: _sense(value) for name, value in given.items()}
    if isinstance(given, tuple):
        return tuple(_sense(part) for part in given)
    return given


def _conjunctions(where: str, soft: list[tuple[Flow, Action]]) -> Iterator[str]:
    """Name conjunctions of which every clause has a match, or may have one."""
    met: dict[tuple[int, object], set[object]] = defaultdict(set)
    size: dict[tuple[int, object], object] = {}
    for flow, action in soft:
        name = (flow.priority, action.args.get("id"))
        met[name].add(action.args.get("clause"))
        size[name] = action.args.get("of")
    for name, clauses in met.items():
        if size[name] is None or len(clauses) == size[name]:
            yield (
                f"what the conjunction {name[1]} of {where} (priority {name[0]}) does: "
                "every clause has a match, and conjunctions are not modelled"
            )
