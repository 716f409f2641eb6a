"""
Run one packet through the tables of one bridge.

``process`` is pure but for three things: NORMAL learns in the ``MacTable`` that it is given, ``learn`` in the
``LearnedFlows``, and what the evidence leaves open is asked of the oracle. Source: OpenFlow 1.3.5 section 5,
ovs-actions(7), and ``xlate_actions`` of ``ofproto/ofproto-dpif-xlate.c``.
"""

from __future__ import annotations

from typing import Final

from bothways.facts.choice import Freedom, Oracle
from bothways.facts.openflow import Action, Bridge
from bothways.facts.step import Did
from bothways.model.openflow import action_set
from bothways.model.openflow.actions import execute
from bothways.model.openflow.egress import port_of
from bothways.model.openflow.ending import passage_of
from bothways.model.openflow.field import KNOWN
from bothways.model.openflow.frame import Frame
from bothways.model.openflow.here import Here
from bothways.model.openflow.key import of_arrival
from bothways.model.openflow.learned import LearnedFlows
from bothways.model.openflow.mac_table import MacTable
from bothways.model.openflow.mirroring import flood_order, mirror_ingress, mirror_output
from bothways.model.openflow.normal import is_mirror_output
from bothways.model.openflow.passage import Arrival, Output, Passage
from bothways.model.openflow.patch import refusal
from bothways.model.openflow.run import Peers, Run
from bothways.model.openflow.tracker import Tracker
from bothways.model.openflow.visit import begin, visit

#: how often a packet may come back in one bridge (the datapath stops at 6 deep; copies count here)
_RECIRCULATIONS: Final = 64
#: the same where a trace is followed, which has no end of its own
_TRACED: Final = 2000
#: both bits of ECN: congestion experienced
_CONGESTED: Final = 3

__all__ = ["Arrival", "MacTable", "Output", "Passage", "process"]


def process(
    bridge: Bridge,
    arrival: Arrival,
    macs: MacTable,
    oracle: Oracle,
    tracker: Tracker | None = None,
    now_ns: int = 0,
    *,
    learned: LearnedFlows | None = None,
    traced: Peers | None = None,
) -> Passage:
    """
    Say what a bridge makes of a packet: copies that go out, or the reason why none does.

    :param macs: what NORMAL has learned; it learns more here.
    :param oracle: asked where the evidence does not decide.
    :param tracker: what ``ct()`` asks, at the time *now_ns*; None: what it does is not known.
    :param learned: flows that ``learn`` has added; it adds more here. None: nothing was learned before.
    :param traced: go on behind patch ports, whose other ends it gives, and stop where ``ofproto/trace`` does,
        which follows copies that come back from a tracker only. None: copies go out of patch ports.
    """
    ingress = port_of(bridge, arrival.in_port)
    key = of_arrival(arrival, ingress)
    here = Here.of(bridge, ingress, tracker)
    run = Run(bridge, ingress, key, here.tables, macs, oracle, came_to=key.get("tun_dst"))
    run.here = here
    run.now_ns, run.execute, run.traced, run.peers = now_ns, execute, traced is not None, traced
    run.patched = arrival.depth or None
    run.learned = LearnedFlows() if learned is None else learned
    run.learned.settle()
    if bridge.flows is None:
        _without_flows(run, f"`ovs-ofctl dump-flows {bridge.name}` was not collected")
    elif _may_have_taken_over(bridge):
        _without_flows(run, "none is shown, and whether its controller answers is not known")
    else:
        _begin(run, arrival.depth)
    run.mirror = mirror_output if bridge.mirrors or traced is not None else None
    run.order = flood_order if traced is not None else None
    refusal = _refusal(run)
    if refusal:  # the table was looked up, but the flow does not act
        del run.steps[:], run.frames[:]
        run.losses.clear()
        run.lose(refusal)
    elif not arrival.depth:
        mirror_ingress(run)
    try:
        _translate(run, arrival.depth)
        run = _come_back(run)
    except RecursionError:  # some hundred copies within copies; a switch follows them all
        run.frames.clear()
        run.doubt(f"what becomes of {run.where}: it is copied within copies, too deep to follow", blind=True)
    if bridge.flows is not None and not bridge.flows.whole and run.steps:
        run.doubt(
            f"what those flows of {bridge.host} {bridge.name} do to the packet that the filtered view "
            f"({bridge.flows.partial}) hides"
        )
    return passage_of(run)


def _refusal(run: Run) -> str:
    """Why a packet is not translated at all."""
    ingress, key = run.ingress, run.key
    refused = "" if ingress is None else refusal(ingress)
    if refused:
        return refused
    if ingress is not None and ingress.kind != "patch" and is_mirror_output(run.bridge, ingress):
        return f"{ingress.name} is where a mirror sends to, and takes nothing in"
    congested = key.part("tun_tos", 0, 1) == (_CONGESTED, _CONGESTED)
    if congested and key.packet.ip is not None:
        tos, known = key.part("nw_tos", 0, 1)
        if known == _CONGESTED and not tos:
            return "the tunnel's header says congestion, and the packet in it cannot (RFC 6040)"
        key.put("nw_tos", (_CONGESTED, KNOWN), _CONGESTED)
    return ""


def _begin(run: Run, depth: int) -> None:
    """Look up the first table; behind a patch port the translation has begun before."""
    if depth:
        visit(run, 0, depth=depth, deeper=True)
    else:
        begin(run, 0)


def _translate(run: Run, depth: int = 0, table: int = 0) -> None:
    """Execute what was begun, then the action set."""
    run.drain()
    action_set.finish(run, depth, table)
    if run.traced:
        run.finals.append(run.key.everything())


def _come_back(run: Run) -> Run:
    """Translate the copies that come back, and theirs; the last one tells why nothing goes out."""
    for frozen in run.frozen:
        if run.traced and frozen.table is None:
            continue
        blind, controlled = run.blind, run.controlled
        run = run.thaw(frozen)
        run.learned.settle()
        mirror_ingress(run)
        if frozen.ends:
            run.frames.clear()
            run.lose("an `exit` before it ends the packet when it comes back")
            run.stop()
        elif frozen.table is not None:
            begin(run, frozen.table)
        _translate(run, table=frozen.table or 0)
        run.blind, run.controlled = run.blind or blind, run.controlled or controlled
        if len(run.frozen) > (_TRACED if run.traced else _RECIRCULATIONS):
            run.doubt(f"what becomes of {run.where}: it comes back again and again", blind=True)
            break
    return run


def _may_have_taken_over(bridge: Bridge) -> bool:
    """
    Whether a switch without flows may act by itself.

    While no controller answers, a bridge with ``fail_mode`` standalone (the default) has a flow that no dump
    shows, and it says NORMAL (``ofproto/fail-open.c``). A bridge without a controller shows its flow.
    """
    flows = bridge.flows
    empty = flows is not None and flows.whole and not flows.rows
    return empty and bool(bridge.controllers) and bridge.fail_mode != "secure"


def _without_flows(run: Run, missing: str) -> None:
    """A bridge whose flows are not known most likely switches, and may drop."""
    bridge = run.bridge
    where = f"{bridge.host} {bridge.name}"
    run.doubt(f"what the flows of {where} do to a packet: {missing}")
    switches, drops = f"{where} switches as NORMAL does", f"{where} drops what comes in"
    if run.oracle.choose(f"flows of {where}", [switches, drops], freedom=Freedom.UNKNOWN) == drops:
        run.note(Did.UNKNOWN, f"taken to be dropped: {missing}")
        run.blind = True
        return
    run.open(Frame(0, (Action("normal", {}, "NORMAL", 1),), (), f"taken for NORMAL: {missing}", 0, 0))
