"""
A tracker that says what it was told to, as ``ofproto/trace --ct-next`` does.

``ofproto_trace_recirc_node`` of ``ofproto/ofproto-dpif-trace.c``: each copy that comes back takes the next
state, and ``trk|new`` when none is left; a translation goes to the first address and port of its range.
Nothing is remembered from packet to packet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from bothways.facts.address import Endpoint
from bothways.facts.conntrack import Entry
from bothways.facts.packet import Packet
from bothways.model.linux.nat.target import NatTarget
from bothways.model.openflow.tracker import CtState, Request, Tracked, masked

__all__ = ["GivenTracker"]


class GivenTracker:
    """
    A tracker without a memory.

    :param states: what the copies that come back get, in this order.
    """

    def __init__(self, states: Iterable[int] = ()) -> None:
        self._states = [CtState(state) for state in states]

    def track(self, packet: Packet, request: Request, before: Tracked | None, now_ns: int) -> Tracked:
        """Give a copy that comes back the next state."""
        del before, now_ns
        after = packet if request.nat is None else _first(packet, request.nat)
        if not request.comes_back:
            return Tracked(after, CtState.TRK, request.zone)
        state = self._states.pop(0) if self._states else CtState.TRK | CtState.NEW
        mark, label = masked(0, request.mark), masked(0, request.label)
        return Tracked(after, state, request.zone, mark, label)

    def forget(self, ours: Callable[[Entry], bool]) -> None:
        """There is nothing to forget."""


def _first(packet: Packet, nat: NatTarget) -> Packet:
    if not nat.ranges or nat.ranges[0].low is None or packet.ip is None:
        return packet
    first = nat.ranges[0]
    source = nat.kind == "SNAT"
    if first.low is None or first.low.version != packet.ip.src.version:
        return packet
    if packet.icmp is not None and first.port_low is not None:
        # It writes the port all the same, where ICMP has its type and code.
        octet = first.port_low & 0xFF
        icmp = replace(packet.icmp, type=octet) if source else replace(packet.icmp, code=octet)
        packet = replace(packet, icmp=icmp)
    end = Endpoint(first.low, first.port_low)
    return packet.with_source(end) if source else packet.with_destination(end)
