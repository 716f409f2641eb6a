"""
The tables of a bridge, and which flow of a table wins.

The highest priority wins (OpenFlow 1.3.5, section 5.3). Where two flows of one priority match and act
differently, OpenFlow leaves open which one it is: that is a choice, and it is said. So is a flow of which
nobody can tell whether it matches. Clauses of a conjunction match nothing by themselves (``conjunction``).
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from bothways.facts.choice import Freedom, Oracle
from bothways.facts.dump import Dump
from bothways.facts.openflow import Action, Bridge, Flow
from bothways.model.openflow.classifier import Classifier, is_clause
from bothways.model.openflow.conjunction import Conjunction, conjunctions, highest, led_to
from bothways.model.openflow.key import Key
from bothways.model.openflow.match import Fit, open_terms, words

__all__ = ["Found", "Tables", "behaviour", "look_up", "tables_of"]

Tables = Mapping[int, Classifier]

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
    :param clauses: the flows of a conjunction that led to it.
    """

    flow: Flow | None
    unknown: tuple[str, ...] = ()
    clauses: tuple[Flow, ...] = ()


def tables_of(flows: Dump[Flow]) -> Tables:
    """The tables by number; built once for every dump."""
    kept = _INDEX.get(id(flows))
    if kept is not None and kept[0] is flows:
        _INDEX.move_to_end(id(flows))
        return kept[1]
    rows: dict[int, list[Flow]] = defaultdict(list)
    for flow in flows:
        rows[flow.table].append(flow)
    tables = {table: Classifier(found) for table, found in rows.items()}
    _INDEX[id(flows)] = (flows, tables)
    if len(_INDEX) > _KEPT:
        _INDEX.popitem(last=False)
    return tables


def look_up(bridge: Bridge, tables: Tables, table: int, key: Key, oracle: Oracle) -> Found:
    """Find the flow of a table that a packet hits."""
    classifier = tables.get(table)
    if classifier is None:
        return Found(None)
    best = None if classifier.conjunctive else classifier.best(key)
    if best is None:
        able = _contenders(classifier, key)
    elif len(best) <= 1:
        return Found(best[0] if best else None)
    else:
        able = _Contenders(sure=list(best))
    options = _distinct([*able.sure, *able.perhaps] if able.sure else able.perhaps)
    where = f"{bridge.host} {bridge.name} table {table}"
    if not able.perhaps and len(options) <= 1:
        return able.found(options[0] if options else None)
    return _choose(where, options, able, key, oracle)


@dataclass(slots=True)
class _Contenders:
    """
    Flows that could win.

    :param sure: those of the highest priority that surely match.
    :param perhaps: those above of which nobody can tell whether they match.
    :param clauses: identity of a flow -> the conjunction that leads to it.
    """

    sure: list[Flow] = field(default_factory=list)
    perhaps: list[Flow] = field(default_factory=list)
    clauses: dict[int, Conjunction] = field(default_factory=dict)

    def found(self, flow: Flow | None, unknown: Iterable[str] = ()) -> Found:
        """The outcome, with the clauses that led to it."""
        conjunction = self.clauses.get(id(flow))
        return Found(flow, tuple(unknown), () if conjunction is None else conjunction.clauses)


def _contenders(classifier: Classifier, key: Key) -> _Contenders:
    """Go down the priorities until a flow surely matches."""
    able = _Contenders()
    for _, level in groupby(classifier.all_matching(key), key=lambda each: each[0].priority):
        clauses: list[tuple[Flow, Fit]] = []
        for flow, answer in level:
            if is_clause(flow):
                clauses.append((flow, answer))
            elif answer is Fit.YES:
                able.sure.append(flow)
            else:
                able.perhaps.append(flow)
        if able.sure:
            break
        for met in conjunctions(clauses):
            _follow(able, met, classifier, key)
        if able.sure:
            break
    return able


def _follow(able: _Contenders, met: Conjunction, classifier: Classifier, key: Key) -> None:
    """Add the flows that a conjunction leads to."""
    for flow, answer in highest(led_to(classifier, key, met.number)):
        able.clauses.setdefault(id(flow), met)
        (able.sure if met.sure and answer is Fit.YES else able.perhaps).append(flow)


def _choose(where: str, options: list[Flow], able: _Contenders, key: Key, oracle: Oracle) -> Found:
    """Ask which of several flows it is; the likeliest is one that surely matches."""
    unknown: list[str] = []
    perhaps = [flow for flow in options if flow in able.perhaps]
    sure = [flow for flow in options if flow not in perhaps]
    undefined = not perhaps and all(id(flow) in able.clauses for flow in sure)
    if len(sure) > 1 and not undefined:
        unknown.append(
            f"which flow of {where} wins: {' and '.join(words(f) for f in sure)} match and act differently"
        )
    unknown += [_doubtful(where, flow, able, key) for flow in perhaps]
    offered = options[:_OPTIONS]
    texts: dict[str, Flow | None] = {}
    if not sure:
        texts[f"no flow of {where} matches"] = None
    for flow in offered:
        texts[f"{where}: {words(flow)} ({flow.span})"] = flow
    if len(texts) == 1:
        return able.found(offered[0], unknown)
    lines = " ".join(str(flow.span) for flow in offered)
    taken = oracle.choose(
        f"flow of {where}: {lines}",
        list(texts),
        # Which of several conjunctions of one priority counts is left open (ovs-fields(7)).
        freedom=Freedom.FREE if undefined else Freedom.UNKNOWN,
        evidence=tuple(flow.span for flow in offered),
    )
    return able.found(texts[taken], unknown)


def _doubtful(where: str, flow: Flow, able: _Contenders, key: Key) -> str:
    """Say what is not known of a flow that may match."""
    terms = open_terms(flow, key)
    conjunction = able.clauses.get(id(flow))
    if conjunction is not None and not conjunction.sure:
        terms = ",".join(
            filter(None, dict.fromkeys(open_terms(clause, key) for clause in conjunction.clauses))
        )
    return f"whether {words(flow)} of {where} matches: `{terms}` is not modelled, or not known"


def _distinct(flows: Iterable[Flow]) -> list[Flow]:
    """One flow of each behaviour, the first."""
    kept: list[Flow] = []
    senses: list[object] = []
    for flow in flows:
        sense = behaviour(flow.actions)
        if sense not in senses:
            senses.append(sense)
            kept.append(flow)
    return kept


def behaviour(given: object) -> object:
    """What an action does, without where and how it was written."""
    if isinstance(given, Action):
        text = "" if given.modelled else given.text
        return given.name, text, behaviour(given.args)
    if isinstance(given, Mapping):
        return {name: behaviour(value) for name, value in given.items()}
    if isinstance(given, tuple):
        return tuple(behaviour(part) for part in given)
    return given
