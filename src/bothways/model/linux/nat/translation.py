"""
What NAT makes of one packet at one hook.

``nf_nat_inet_fn``, ``nf_nat_packet`` and ``nf_nat_icmp_reply_translation`` of ``net/netfilter/nf_nat_core.c``
and ``nf_nat_proto.c``. The rules are asked once per side, by the first packet. Every later packet looks
like the inverse of the other direction's tuple: its own direction and the hook say which side is rewritten.
A packet without a connection (INVALID, UNTRACKED) passes as it is.

Not followed: a translated connection that is dropped because it now leaves by another device
(MASQUERADE).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from bothways.facts.address import Endpoint
from bothways.facts.choice import Oracle
from bothways.facts.packet import ICMP, Packet
from bothways.facts.span import Span
from bothways.facts.step import Did
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.entry import CtState, TrackedConnection, Tracking
from bothways.model.linux.conntrack.table import ConntrackTable
from bothways.model.linux.conntrack.tuple import inverse, is_icmp_error, readdressed, tuple_of
from bothways.model.linux.hook import Hook
from bothways.model.linux.nat.binding import Binding, bind
from bothways.model.linux.nat.target import SIDES, NatTarget, Side

__all__ = ["Translation", "translate"]

_REDIRECT = 5


@dataclass(frozen=True, slots=True)
class Translation:
    """
    A packet after one NAT hook.

    :param did: TRANSLATED: rewritten. MATCHED: a rule was met and changes nothing. NOT_TRANSLATED: the
        entry has a translation for this hook that the packet did not get. DROPPED. None: nothing to tell.
    :param reason: sentence for the user, "" if *did* is None.
    :param evidence: the rules that the translation rests on, and the dump's line of the connection.
    """

    packet: Packet
    did: Did | None = None
    reason: str = ""
    evidence: tuple[Span, ...] = ()


def translate(
    tracking: Tracking,
    hook: Hook,
    packet: Packet,
    *,
    table: ConntrackTable,
    oracle: Oracle,
    rules: Callable[[Packet], NatTarget | None],
) -> Translation:
    """
    Translate a packet at a hook.

    :param rules: walks the chain of the nat table; asked by a connection's first packet only. None = no
        rule matched.
    """
    side = SIDES.get(hook)
    if side is None:
        return Translation(packet)
    connection, way = tracking.connection, tracking.way
    if connection is None or way is None:
        return _left_alone(tracking, side, packet)
    if tracking.state is CtState.RELATED and is_icmp_error(packet):
        return _error(connection, way, side, packet)
    binding: Binding | None = None
    target: NatTarget | None = None
    first = tracking.state in (CtState.NEW, CtState.RELATED) and "CONFIRMED" not in connection.status
    if first and side.done not in connection.status:
        target = rules(packet)
        binding = bind(connection, side, target, table=table, oracle=oracle)
    return _apply(connection, way, side, packet, binding, target)


def _apply(
    connection: TrackedConnection,
    way: Way,
    side: Side,
    packet: Packet,
    binding: Binding | None,
    target: NatTarget | None,
) -> Translation:
    """``nf_nat_packet``: the packet shall look like the inverse of the other direction."""
    bound = _bound(side, way)
    evidence = connection.bindings.get(bound.value, ()) + connection.evidence
    if bound.value not in connection.status:
        if target is None:
            return Translation(packet)
        return Translation(packet, Did.MATCHED, f"{target.kind} keeps the {side.word}", target.evidence)
    shape = inverse(connection.tuple_of(_opposite(way)))
    after = readdressed(packet, shape, source=side is Side.SOURCE)
    if after == packet:
        return Translation(packet)
    old, new = _end(packet, side), _end(after, side)
    change = f"the {side.word} {old} becomes {new}"
    if binding is None:
        whose = "as for the first packet of this connection"
        reason = f"{change}, {whose}" if way is Way.ORIGINAL else f"{change}: an answer gets its name back"
    elif target is None:
        reason = f"{change}: the answer would be another connection's ({binding.how})"
    else:
        reason = f"{target.kind}: {change}" + (f" ({binding.how})" if binding.how else "")
    return Translation(after, Did.TRANSLATED, reason, evidence)


def _error(connection: TrackedConnection, way: Way, side: Side, packet: Packet) -> Translation:
    """``nf_nat_icmp_reply_translation``: an ICMP error is rewritten outside, and inside on the other side."""
    bound = _bound(side, way)
    icmp, status = packet.icmp, connection.status
    if icmp is None or icmp.inner is None or packet.ip is None:
        return Translation(packet)
    if packet.ip.protocol == ICMP and icmp.type == _REDIRECT:
        undecided = not {Side.SOURCE.done, Side.DESTINATION.done} <= status
        if undecided or status & {Side.SOURCE.value, Side.DESTINATION.value}:
            reason = "an ICMP redirect about a translated connection is dropped"
            return Translation(packet, Did.DROPPED, reason, connection.evidence)
    if bound.value not in status:
        return Translation(packet)
    other = connection.tuple_of(_opposite(way))
    inner = readdressed(icmp.inner, other, source=side.other is Side.SOURCE)
    shape = inverse(other)
    if side is Side.SOURCE:
        outer = packet.with_source(Endpoint(shape.src))
    else:
        outer = packet.with_destination(Endpoint(shape.dst))
    after = replace(outer, icmp=replace(icmp, inner=inner))
    if after == packet:
        return Translation(packet)
    reason = (
        f"the {side.word} {_end(packet, side)} becomes {_end(after, side)}, "
        f"and in the packet that the error quotes {side.other.word} {_end(icmp.inner, side.other)} becomes "
        f"{_end(inner, side.other)}"
    )
    evidence = connection.bindings.get(bound.value, ()) + connection.evidence
    return Translation(after, Did.TRANSLATED, reason, evidence)


def _left_alone(tracking: Tracking, side: Side, packet: Packet) -> Translation:
    """Say which translation a refused packet did not get, if the entry that refused it has one."""
    entry, one = tracking.refused_by, tuple_of(packet)
    if entry is None or one not in (entry.original, entry.reply):
        return Translation(packet)
    way = Way.ORIGINAL if one == entry.original else Way.REPLY
    bound = _bound(side, way)
    if bound.value not in entry.status:
        return Translation(packet)
    shape = inverse(entry.tuple_of(_opposite(way)))
    would = readdressed(packet, shape, source=side is Side.SOURCE)
    reason = (
        f"an {tracking.state} packet gets no translation: the {side.word} stays {_end(packet, side)} "
        f"and does not become {_end(would, side)}"
    )
    return Translation(
        packet, Did.NOT_TRANSLATED, reason, entry.bindings.get(bound.value, ()) + entry.evidence
    )


def _bound(side: Side, way: Way) -> Side:
    """The side of the connection's first packet that stands behind a side of this one."""
    return side if way is Way.ORIGINAL else side.other


def _opposite(way: Way) -> Way:
    return Way.REPLY if way is Way.ORIGINAL else Way.ORIGINAL


def _end(packet: Packet, side: Side) -> Endpoint | None:
    return packet.source if side is Side.SOURCE else packet.destination
