"""Where pieces of evidence contradict each other: counters against counters, and against captures."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from bothways.facts.openflow import Bridge, Flow
from bothways.facts.packet import Packet
from bothways.facts.snapshot import Snapshot
from bothways.facts.span import Kind, Problem
from bothways.facts.trajectory import Connection, Way

__all__ = ["contradictions"]

#: Fields that a capture tells.
_SHOWN: Final = frozenset({"eth_type", "ip_proto", "nw_src", "nw_dst", "tp_src", "tp_dst"})


def contradictions(snapshot: Snapshot, connection: Connection | None) -> tuple[Problem, ...]:
    """
    Compare the counters of flows that the same packets must have met.

    A packet that a flow rewrote was seen with both addresses. A flow of an earlier table that matches it must
    have counted some packet too, if nothing else in that table could take it and no way goes round the table.
    Nothing is said of a flow that asks for what captures do not show, as its port. A filtered view may hide
    the flow that took the packet: there it is told with this reserve, for the port as well.
    """
    if connection is None:
        return ()
    found: dict[str, Problem] = {}
    for host, bridge, rewriter, packet in _rewrites(snapshot, connection):
        for flow in bridge.flows or ():
            if not (_takes(flow, bridge, packet) and _passes(bridge, flow.table, rewriter.table)):
                continue
            problem = _compare(host, bridge, flow, rewriter, packet)
            if problem is not None:
                found.setdefault(str(problem.span), problem)
    return tuple(found.values())


def _rewrites(snapshot: Snapshot, connection: Connection) -> Iterator[tuple[str, Bridge, Flow, Packet]]:
    for trajectory in connection.trajectories:
        if trajectory.way is not Way.REPLY:
            continue
        for before, after in pairwise(trajectory.sightings):
            old, new = before.packet.ip, after.packet.ip
            host = snapshot.hosts.get(after.tap.host)
            if old is None or new is None or old.src == new.src or host is None or host.switch is None:
                continue
            for bridge in host.switch.bridges.values():
                for flow in bridge.flows or ():
                    if _writes_source(flow, int(new.src)) and _admits(flow, before.packet):
                        yield host.name, bridge, flow, before.packet


def _takes(flow: Flow, bridge: Bridge, packet: Packet) -> bool:
    """True if no other flow of its table could have taken the packet instead."""
    return not any(
        other is not flow
        and other.table == flow.table
        and other.priority >= flow.priority
        and _admits(other, packet)
        for other in bridge.flows or ()
    )


def _passes(bridge: Bridge, table: int, onward: int) -> bool:
    """True if every way from table 0 to a table leads through another one."""
    steps: dict[int, set[int]] = {}
    for flow in bridge.flows or ():
        for action in flow.actions:
            target = action.args.get("table")
            if isinstance(target, int):
                steps.setdefault(flow.table, set()).add(target)
    reached, pending = set(), [0] if table else []
    while pending:
        at = pending.pop()
        if at not in reached and at != table:
            reached.add(at)
            pending += steps.get(at, ())
    return onward not in reached


def _compare(host: str, bridge: Bridge, flow: Flow, rewriter: Flow, packet: Packet) -> Problem | None:
    if flow.packets != 0 or not rewriter.packets or flow.table >= rewriter.table:
        return None
    onward = any(a.name in ("goto_table", "resubmit") for a in flow.actions)
    named = any(t.field in ("nw_src", "nw_dst") for t in flow.match)
    whole = bridge.flows is not None and bridge.flows.whole
    shown = not whole or all(term.field in _SHOWN for term in flow.match)
    if not (onward and named and shown and _admits(flow, packet)):
        return None
    reserve = "" if whole else ", unless a flow that this filtered view hides took them"
    return Problem(
        Kind.CONTRADICTION,
        flow.span,
        f"{host} {bridge.name}: table={flow.table} counts 0 packets where table={rewriter.table} counts "
        f"{rewriter.packets} of the same, which must have passed it before{reserve}",
        f"dump the flows of {bridge.name} again, whole, and compare n_packets: this may be a newer flow",
    )


def _writes_source(flow: Flow, source: int) -> bool:
    return any(
        a.name in ("set_field", "load") and a.args.get("field") == "nw_src" and a.args.get("value") == source
        for a in flow.actions
    )


def _admits(flow: Flow, packet: Packet) -> bool:
    """True unless an address, port or protocol of the packet contradicts the match."""
    ip, tcp = packet.ip, packet.tcp
    if ip is None:
        return False
    values = {
        "eth_type": 0x0800 if ip.src.version == 4 else 0x86DD,  # noqa: PLR2004
        "ip_proto": ip.protocol,
        "nw_src": int(ip.src),
        "nw_dst": int(ip.dst),
        "tp_src": None if tcp is None else tcp.sport,
        "tp_dst": None if tcp is None else tcp.dport,
    }
    for term in flow.match:
        have = values.get(term.field)
        if have is None or term.value is None:
            continue
        mask = -1 if term.mask is None else term.mask
        if have & mask != term.value & mask:
            return False
    return True
