"""
Flows that ``learn`` adds to the tables of the bridges of one walk.

A flow with the match and the priority of one that is there takes its place (``OFPFC_MODIFY_STRICT``,
``learn_execute`` of ``lib/learn.c``). A translation looks up the tables as they were when it began
(``tables_version``), so what it learns is there for the next one: of another packet, or of a copy that comes
back. Timeouts do not pass within a walk.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bothways.facts.openflow import Bridge, Flow
from bothways.model.openflow.classifier import Classifier, normal_match
from bothways.model.openflow.tables import Tables, behaviour

__all__ = ["LearnedFlows"]


@dataclass(slots=True)
class LearnedFlows:
    """
    What the bridges of one walk have learned.

    :param still: True: nothing is learned, as in ``ofproto/trace``.
    """

    still: bool = False
    _flows: dict[tuple[str, str], list[Flow]] = field(default_factory=dict)
    _fresh: list[tuple[tuple[str, str], Flow]] = field(default_factory=list)
    _tables: dict[tuple[str, str], Tables] = field(default_factory=dict)

    def add(self, bridge: Bridge, flow: Flow) -> None:
        """Note a flow; it is seen from the next translation on."""
        if not self.still:
            self._fresh.append(((bridge.host, bridge.name), flow))

    def settle(self) -> None:
        """Begin a translation: what was learned before is in the tables."""
        for name, flow in self._fresh:
            held = self._flows.setdefault(name, [])
            sense = _sense(flow)
            held[:] = [other for other in held if _sense(other) != sense]
            held.append(flow)
            self._tables.pop(name, None)
        self._fresh.clear()

    def tables(self, bridge: Bridge, tables: Tables) -> Tables:
        """The tables of a bridge with what it has learned."""
        name = bridge.host, bridge.name
        learned = self._flows.get(name)
        if not learned:
            return tables
        found = self._tables.get(name)
        if found is None:
            senses = {_sense(flow): flow for flow in learned}
            changed = {flow.table for flow in learned}
            rows = [
                flow for flow in bridge.flows or () if flow.table in changed and _sense(flow) not in senses
            ]
            rows += learned
            fresh = {table: Classifier(flow for flow in rows if flow.table == table) for table in changed}
            found = self._tables[name] = {**tables, **fresh}
        return found

    def fits(self, bridge: Bridge, flow: Flow, limit: int) -> bool:
        """
        Whether a table takes one more flow, as long as it has fewer than *limit* of its cookie.

        One that is there already, with the same actions and timeouts, counts as taken
        (``ofproto_flow_mod_init_for_learn``).
        """
        flows: tuple[Flow, ...] = (*(bridge.flows or ()), *self.all(bridge))
        there = {_sense(each): each for each in flows if each.table == flow.table}
        same = there.get(_sense(flow))
        if same is not None and _lasting(same) == _lasting(flow):
            return True
        return sum(each.cookie == flow.cookie for each in there.values()) < limit

    def all(self, bridge: Bridge) -> tuple[Flow, ...]:
        """Every flow that a bridge has learned, also in the present translation."""
        name = bridge.host, bridge.name
        return (*self._flows.get(name, ()), *(flow for other, flow in self._fresh if other == name))


def _lasting(flow: Flow) -> tuple[object, ...]:
    return flow.cookie, flow.idle_timeout, flow.hard_timeout, behaviour(flow.actions)


def _sense(flow: Flow) -> tuple[object, ...]:
    return flow.table, flow.priority, normal_match(flow)
