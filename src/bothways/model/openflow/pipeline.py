"""
Run one packet through the tables of one bridge.

``process`` is pure but for two things: NORMAL learns in the ``MacTable`` that it is given, and what the
evidence leaves open is asked of the oracle. Source: OpenFlow 1.3.5 section 5, ovs-actions(7), and
``xlate_actions`` of ``ofproto/ofproto-dpif-xlate.c``.
"""

from __future__ import annotations

from typing import Final

from bothways.facts.choice import Freedom, Oracle
from bothways.facts.openflow import Action, Bridge
from bothways.facts.step import Did
from bothways.model.openflow import action_set
from bothways.model.openflow.actions import execute
from bothways.model.openflow.egress import port_of
from bothways.model.openflow.key import of_arrival
from bothways.model.openflow.normal import MacTable
from bothways.model.openflow.passage import Arrival, Output, Passage
from bothways.model.openflow.run import Frame, Run
from bothways.model.openflow.tables import tables_of
from bothways.model.openflow.tracker import Tracker

#: how often a packet may come back in one bridge (the datapath stops at 6 deep; copies count here)
_RECIRCULATIONS: Final = 64

__all__ = ["Arrival", "MacTable", "Output", "Passage", "process"]


def process(
    bridge: Bridge,
    arrival: Arrival,
    macs: MacTable,
    oracle: Oracle,
    tracker: Tracker | None = None,
    now_ns: int = 0,
) -> Passage:
    """
    Say what a bridge makes of a packet: copies that go out, or the reason why none does.

    :param macs: what NORMAL has learned; it learns more here.
    :param oracle: asked where the evidence does not decide.
    :param tracker: what ``ct()`` asks, at the time *now_ns*; None: what it does is not known.
    """
    ingress = port_of(bridge, arrival.in_port)
    key = of_arrival(arrival, ingress)
    tables = {} if bridge.flows is None else tables_of(bridge.flows)
    run = Run(bridge, ingress, key, tables, macs, oracle, came_to=key.get("tun_dst"))
    run.tracker, run.now_ns = tracker, now_ns
    if ingress is not None and "NO_RECV" in ingress.config:
        run.lose(f"{ingress.name} is configured NO_RECV")
        return run.passage()
    if bridge.flows is None:
        _without_flows(run)
    else:
        run.enter(0)
    _execute(run)
    action_set.finish(run)
    _execute(run)
    run.finals.append(run.key.everything())
    run = _come_back(run)
    if bridge.flows is not None and not bridge.flows.whole and run.steps:
        run.doubt(
            f"what those flows of {bridge.host} {bridge.name} do to the packet that the filtered view "
            f"({bridge.flows.partial}) hides"
        )
    return run.passage()


def _come_back(run: Run) -> Run:
    """Translate the copies that come back, and theirs; the last one tells why nothing goes out."""
    for frozen in run.frozen:
        blind, controlled = run.blind, run.controlled
        run = run.thaw(frozen)
        run.enter(frozen.table)
        _execute(run)
        action_set.finish(run)
        _execute(run)
        run.finals.append(run.key.everything())
        run.blind, run.controlled = run.blind or blind, run.controlled or controlled
        if len(run.frozen) > _RECIRCULATIONS:
            run.doubt(f"what becomes of {run.where}: it comes back again and again", blind=True)
            break
    return run


def _execute(run: Run) -> None:
    """Execute until no list of actions is left."""
    while run.frames:
        frame = run.frame
        if frame.at >= len(frame.actions):
            run.frames.pop()
            continue
        frame.at += 1
        execute(run, frame.actions[frame.at - 1])


def _without_flows(run: Run) -> None:
    """A bridge whose flows were not collected most likely switches, and may drop."""
    bridge = run.bridge
    where = f"{bridge.host} {bridge.name}"
    missing = f"`ovs-ofctl dump-flows {bridge.name}` was not collected"
    run.doubt(f"what the flows of {where} do to a packet: {missing}")
    switches, drops = f"{where} switches as NORMAL does", f"{where} drops what comes in"
    if run.oracle.choose(f"flows of {where}", [switches, drops], freedom=Freedom.UNKNOWN) == drops:
        run.note(Did.UNKNOWN, f"taken to be dropped: {missing}")
        run.blind = True
        return
    run.open(Frame(0, (Action("normal", {}, "NORMAL", 1),), (), f"taken for NORMAL: {missing}", 0, 0))
