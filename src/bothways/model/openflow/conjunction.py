"""
Conjunctive matches: flows that match nothing by themselves, but as clauses of a conjunction.

Source: ovs-fields(7), section Conjunctive Match Fields; ``classifier_lookup__`` of ``lib/classifier.c``. A
conjunction of which every clause has a matching flow, all of one priority, lets the table be looked up once
more with its number in ``conj_id`` and without clauses. If that finds nothing, the next conjunction of the
priority is tried, and then flows of lower priorities.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bothways.facts.openflow import Flow
from bothways.model.openflow.classifier import Classifier, is_clause, normal_match
from bothways.model.openflow.key import Key
from bothways.model.openflow.match import Fit

__all__ = ["Conjunction", "conjunctions", "highest", "led_to"]


@dataclass(frozen=True, slots=True)
class Conjunction:
    """
    A conjunction that is met.

    :param clauses: the flows that met it.
    :param sure: False if one of them may not match.
    """

    number: int
    clauses: tuple[Flow, ...]
    sure: bool


def conjunctions(clauses: Iterable[tuple[Flow, Fit]]) -> Iterator[Conjunction]:
    """The conjunctions that flows of one priority meet; those that are surely met come first."""
    given = list(clauses)
    sizes: dict[int, int] = {}
    met: dict[int, dict[int, tuple[Flow, Fit]]] = {}
    for flow, answer in given:
        for action in flow.actions:
            if action.name != "conjunction":
                continue
            number, clause, of = (action.args.get(name) for name in ("id", "clause", "of"))
            if not (isinstance(number, int) and isinstance(clause, int) and isinstance(of, int)):
                continue
            sizes.setdefault(number, of)
            held = met.setdefault(number, {})
            if clause not in held or (held[clause][1] is not Fit.YES and answer is Fit.YES):
                held[clause] = flow, answer
    whole = [
        Conjunction(
            number,
            tuple({id(flow): flow for flow, _ in held.values()}.values()),
            all(answer is Fit.YES for _, answer in held.values()),
        )
        for number, held in met.items()
        if len(held) == sizes[number]
    ]
    yield from sorted(whole, key=lambda each: not each.sure)


def led_to(table: Classifier, key: Key, number: int) -> list[tuple[Flow, Fit]]:
    """
    The flows that match once a conjunction is met, highest priority first; clauses are none of them.

    A clause hides flows of the very same match and a lower priority (each subtable offers one row only).
    """
    saved = key.get("conj_id")
    key.put("conj_id", (number, -1), -1)
    found = table.all_matching(key)
    key.put("conj_id", saved, -1)
    hidden: set[object] = set()
    left: list[tuple[Flow, Fit]] = []
    for flow, answer in found:
        match = normal_match(flow)
        if is_clause(flow):
            hidden.add(match)
        elif match not in hidden:
            left.append((flow, answer))
    return left


def highest(found: Sequence[tuple[Flow, Fit]]) -> list[tuple[Flow, Fit]]:
    """Flows up to the highest priority that surely matches: all that could win."""
    sure = next((flow.priority for flow, answer in found if answer is Fit.YES), None)
    return [(flow, answer) for flow, answer in found if sure is None or flow.priority >= sure]
