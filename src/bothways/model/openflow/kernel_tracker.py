"""
``ct()`` in the kernel's datapath: the host's own conntrack, in the host's own table.

``net/openvswitch/conntrack.c``: ``ovs_ct_lookup``, ``ovs_ct_commit``, ``ovs_ct_nat``, ``ovs_ct_get_state``.
The tracker is ``nf_conntrack`` of the namespace that the datapath lives in, so entries of iptables' world
and of Open vSwitch stand in one table, told apart by their zone alone. Marks are the connection's own;
labels are kept here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bothways.facts.choice import Oracle
from bothways.facts.conntrack import Entry
from bothways.facts.packet import Packet
from bothways.facts.step import Did
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack import entry
from bothways.model.linux.conntrack.entry import TrackedConnection, Tracking
from bothways.model.linux.conntrack.table import ConntrackTable
from bothways.model.linux.hook import Hook
from bothways.model.linux.nat.target import NatTarget, Side
from bothways.model.linux.nat.translation import translate
from bothways.model.openflow.tracker import CtState, Finding, Request, Tracked, masked

__all__ = ["KernelTracker"]

_DIDS: Final = {entry.CtState.INVALID: Did.INVALID, entry.CtState.UNTRACKED: Did.UNTRACKED}
_STATES: Final = {
    entry.CtState.NEW: CtState.NEW,
    entry.CtState.ESTABLISHED: CtState.EST,
    entry.CtState.RELATED: CtState.REL,
}
_NAT: Final = CtState.SNAT | CtState.DNAT
#: side of a packet -> hook at which the kernel's NAT would rewrite it on behalf of Open vSwitch
_HOOKS: Final = {Side.SOURCE: Hook.INPUT, Side.DESTINATION: Hook.OUTPUT}


@dataclass(frozen=True, slots=True)
class _Attached:
    """``skb->_nfct``: the connection that a packet belongs to, and in which zone it was looked up."""

    zone: int
    tracking: Tracking


class KernelTracker:
    """
    The tracker of one host's kernel datapath.

    :param table: the connections of the namespace that the datapath lives in.
    """

    def __init__(self, table: ConntrackTable, oracle: Oracle) -> None:
        self._table = table
        self._oracle = oracle
        self._labels: dict[int, tuple[TrackedConnection, int]] = {}

    def track(self, packet: Packet, request: Request, before: Tracked | None, now_ns: int) -> Tracked:
        """``ovs_ct_execute``: look the packet up, translate it, and commit its connection."""
        attached = None if before is None else before.memory
        findings: list[Finding] = []
        nat = CtState(0) if before is None else before.state & _NAT
        if (
            isinstance(attached, _Attached)
            and attached.zone == request.zone
            and attached.tracking.connection is not None
            and not (request.force and attached.tracking.way is Way.REPLY)
        ):
            tracking = attached.tracking
        else:
            tracking = self._look_up(packet, request, now_ns)
            nat = CtState(0)
            did = _DIDS.get(tracking.state, Did.TRACKED)
            reason = f"zone {request.zone}: {tracking.state}: {tracking.why}"
            evidence = (*tracking.evidence, *request.evidence)
            findings.append(Finding(did, "nf_conntrack_in", reason, packet, packet, evidence, tracking.cell))
        connection = tracking.connection
        if connection is None:
            state = CtState.TRK | CtState.INV
            lost = tracking.why if tracking.dropped else ""
            return Tracked(packet, state, request.zone, findings=tuple(findings), memory=None, lost=lost)
        if request.nat is not None and not nat & _NAT and (_confirmed(connection) or request.commit):
            packet, nat, lost = self._translate(packet, tracking, request, request.nat, findings)
            if lost:
                return Tracked(
                    packet, CtState.TRK | CtState.INV, request.zone, findings=tuple(findings), lost=lost
                )
        if request.commit:
            lost = self._commit(packet, tracking, request, now_ns, findings)
            if lost:
                return Tracked(
                    packet, CtState.TRK | CtState.INV, request.zone, findings=tuple(findings), lost=lost
                )
        return Tracked(
            packet,
            _state(tracking) | nat,
            request.zone,
            connection.mark,
            self._label(connection),
            connection.original,
            tuple(findings),
            _Attached(request.zone, tracking),
        )

    def forget(self, ours: Callable[[Entry], bool]) -> None:
        """Remove every connection for which *ours* is true."""
        self._table.forget(ours)

    # -- the parts --------------------------------------------------------------------------------

    def _look_up(self, packet: Packet, request: Request, now_ns: int) -> Tracking:
        tracking = self._table.track(packet, now_ns, zone=request.zone)
        found = tracking.connection
        if request.force and found is not None and tracking.way is Way.REPLY:
            # ``force``: a connection that somebody else opened the other way round makes room for this one
            self._table.forget(lambda one: (one.original, one.zone) == (found.original, found.zone))
            tracking = self._table.track(packet, now_ns, zone=request.zone)
        return tracking

    def _translate(
        self, packet: Packet, tracking: Tracking, request: Request, nat: NatTarget, findings: list[Finding]
    ) -> tuple[Packet, CtState, str]:
        """``ovs_ct_nat``: translate as the connection was, or as a new one shall be."""
        connection, way = tracking.connection, tracking.way
        if connection is None or way is None:
            return packet, CtState(0), ""
        side = _side(connection, tracking, nat, commit=request.commit)
        if side is None:
            return packet, CtState(0), ""
        sides = [side]
        if Side.DESTINATION.value in connection.status and Side.SOURCE.value in connection.status:
            sides.append(side.other)
        done = CtState(0)
        for each in sides:
            target = nat if each is side and nat.kind else None
            packet, lost = self._rewrite(packet, tracking, each, target, findings)
            if lost:
                return packet, done, lost
            if each is side:
                done |= CtState.SNAT if each is Side.SOURCE else CtState.DNAT
        if Side.DESTINATION.value in connection.status and len(sides) == 1 and way is Way.ORIGINAL:
            packet, lost = self._rewrite(packet, tracking, Side.SOURCE, None, findings)
            if lost:
                return packet, done, lost
        return packet, done, ""

    def _rewrite(
        self,
        packet: Packet,
        tracking: Tracking,
        side: Side,
        target: NatTarget | None,
        findings: list[Finding],
    ) -> tuple[Packet, str]:
        made = translate(
            tracking, _HOOKS[side], packet, table=self._table, oracle=self._oracle, rules=lambda _: target
        )
        if made.did is not None:
            findings.append(Finding(made.did, "ovs_ct_nat", made.reason, packet, made.packet, made.evidence))
        return made.packet, made.reason if made.did is Did.DROPPED else ""

    def _commit(
        self, packet: Packet, tracking: Tracking, request: Request, now_ns: int, findings: list[Finding]
    ) -> str:
        """``ovs_ct_commit``: marks first, then into the table. Returns why the packet is dropped."""
        connection = tracking.connection
        if connection is None:
            return ""
        connection.mark = masked(connection.mark, request.mark)
        label = masked(self._label(connection), request.label)
        if label:
            self._labels[id(connection)] = (connection, label)
        fresh = not _confirmed(connection)
        refusal = self._table.confirm(tracking, now_ns)
        if refusal is not None:
            findings.append(Finding(Did.DROPPED, "ovs_ct_commit", refusal, packet, packet, request.evidence))
            return refusal
        if fresh:
            reason = f"zone {request.zone}: the connection {connection} is committed"
            findings.append(Finding(Did.TRACKED, "ovs_ct_commit", reason, packet, packet, request.evidence))
        return ""

    def _label(self, connection: TrackedConnection) -> int:
        kept = self._labels.get(id(connection))
        return 0 if kept is None else kept[1]


def _confirmed(connection: TrackedConnection) -> bool:
    return "CONFIRMED" in connection.status


def _side(connection: TrackedConnection, tracking: Tracking, nat: NatTarget, *, commit: bool) -> Side | None:
    """Which side of the packet is rewritten first; None: the connection has no translation."""
    translated = connection.status & {Side.SOURCE.value, Side.DESTINATION.value}
    again = tracking.state is not entry.CtState.NEW and (
        tracking.state is not entry.CtState.RELATED or commit
    )
    related = tracking.state is entry.CtState.RELATED
    if translated and (again or related):
        first = Side.SOURCE if Side.SOURCE.value in translated else Side.DESTINATION
        return first if tracking.way is Way.ORIGINAL else first.other
    if nat.kind:
        return Side.SOURCE if nat.kind == "SNAT" else Side.DESTINATION
    # A first packet that is sent again is translated only by an action that says how.
    return None


def _state(tracking: Tracking) -> CtState:
    """``ovs_ct_get_state``; it is read before a commit, so a packet that commits is still new."""
    state = CtState.TRK | _STATES.get(tracking.state, CtState(0))
    return state | CtState.RPL if tracking.way is Way.REPLY else state
