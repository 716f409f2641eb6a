"""
What NAT makes of one packet at one hook.

``nf_nat_inet_fn``, ``nf_nat_packet`` and ``nf_nat_icmp_reply_translation`` of ``net/netfilter/nf_nat_core.c``
and ``nf_nat_proto.c``. The rules are asked once per side, by the first packet. Every later packet looks
like the inverse of the other direction's tuple: its own direction and the hook say which side is rewritten.
A packet without a connection (INVALID, UNTRACKED) passes as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from bothways.facts.address import Endpoint
from bothways.facts.choice import Oracle
from bothways.facts.packet import ICMP, Packet
from bothways.facts.quick import quick
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


@quick
@dataclass(frozen=True, slots=True)
class Translation:
    """
    A packet after one NAT hook.

    :param did: TRANSLATED: rewritten. MATCHED: a rule was met and changes nothing. NOT_TRANSLATED: the
        entry has a translation for this hook that the packet did not get. DROPPED. None: nothing to tell.
    :param said: sentence for the user, "" if *did* is None; put together when *reason* asks for it.
    :param evidence: the rules that the translation rests on, and the dump's line of the connection.
    """

    packet: Packet
    did: Did | None = None
    said: str | _Change = ""
    evidence: tuple[Span, ...] = ()

    @property
    def reason(self) -> str:
        """Sentence for the user, "" if *did* is None."""
        return str(self.said)


@quick
@dataclass(frozen=True, slots=True)
class _Change:
    """One side of a packet and what it becomes, or would become: a sentence that few ask for."""

    side: Side
    before: Packet
    after: Packet
    lead: str = ""
    stays: str = ""
    becomes: str = " becomes "
    tail: str = ""

    def __str__(self) -> str:
        old, new = _end(self.before, self.side), _end(self.after, self.side)
        return f"{self.lead}the {self.side.word}{self.stays} {old}{self.becomes}{new}{self.tail}"


def translate(
    tracking: Tracking,
    hook: Hook,
    packet: Packet,
    *,
    table: ConntrackTable,
    oracle: Oracle,
    rules: Callable[[Packet], NatTarget | None],
    device: str = "",
) -> Translation:
    """
    Translate a packet at a hook.

    :param device: by which the packet leaves, "" before it is routed.
    :param rules: walks the chain of the nat table; asked by a connection's first packet only. None = no
        rule matched.
    """
    side = SIDES.get(hook)
    if side is None:
        return Translation(packet)
    connection, way = tracking.connection, tracking.way
    if connection is None or way is None:
        return _left_alone(tracking, side, packet)
    if tracking.state is _RELATED and is_icmp_error(packet):
        return _error(connection, way, side, packet)
    binding: Binding | None = None
    target: NatTarget | None = None
    first = "CONFIRMED" not in connection.status and tracking.state in _FIRST
    if first and side.done not in connection.status:
        target = rules(packet)
        binding = bind(connection, side, target, table=table, oracle=oracle, device=device)
    elif connection.masqueraded_at not in ("", device) and hook is Hook.POSTROUTING and way is _ORIGINAL:
        table.kill(connection)
        reason = (
            f"its connection was masqueraded at {connection.masqueraded_at} and now leaves by {device}: "
            "the entry is removed, and the packet dropped"
        )
        return Translation(packet, Did.DROPPED, reason, connection.evidence)
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
    bound = side if way is _ORIGINAL else _OTHER[side]
    if bound not in connection.status:
        if target is None:
            return Translation(packet)
        return Translation(packet, Did.MATCHED, f"{target.kind} keeps the {side.word}", target.evidence)
    shape = inverse(connection.reply if way is _ORIGINAL else connection.original)
    after = readdressed(packet, shape, source=side is _SOURCE)
    if after is packet or (packet.icmp is not None and after == packet):
        return Translation(packet)
    lead = ""
    if binding is None:
        tail = _AS_THE_FIRST if way is _ORIGINAL else _ANSWERED
    elif target is None:
        tail = f": the answer would be another connection's ({binding.how})"
    else:
        lead, tail = f"{target.kind}: ", f" ({binding.how})" if binding.how else ""
    change = _Change(side, packet, after, lead=lead, tail=tail)
    evidence = connection.bindings.get(bound, ()) + connection.evidence
    return Translation(after, _TRANSLATED, change, evidence)


_AS_THE_FIRST: Final = ", as for the first packet of this connection"
_ANSWERED: Final = ": an answer gets its name back"
_OTHER: Final = {side: side.other for side in Side}
_FIRST: Final = (CtState.NEW, CtState.RELATED)
# Names of the module are found ten times as quickly as members of an enum, and each packet comes by here.
_RELATED: Final = CtState.RELATED
_ORIGINAL: Final = Way.ORIGINAL
_SOURCE: Final = Side.SOURCE
_TRANSLATED: Final = Did.TRANSLATED


def _error(connection: TrackedConnection, way: Way, side: Side, packet: Packet) -> Translation:
    """``nf_nat_icmp_reply_translation``: an ICMP error is rewritten outside, and inside on the other side."""
    bound = _bound(side, way)
    icmp, status = packet.icmp, connection.status
    if icmp is None or icmp.inner is None or packet.ip is None:
        return Translation(packet)
    if icmp.checksum_ok is False:
        reason = "an ICMP error whose checksum is wrong is dropped before anything is translated"
        return Translation(packet, Did.DROPPED, reason, connection.evidence)
    if packet.ip.protocol == ICMP and icmp.type == _REDIRECT:
        undecided = not {Side.SOURCE.done, Side.DESTINATION.done} <= status
        if undecided or status & {Side.SOURCE.value, Side.DESTINATION.value}:
            reason = "an ICMP redirect about a translated connection is dropped"
            return Translation(packet, Did.DROPPED, reason, connection.evidence)
    if bound.value not in status:
        return Translation(packet)
    if _too_short(icmp.inner):
        reason = "an ICMP error that quotes too little to be rewritten is dropped: it takes eight bytes"
        return Translation(packet, Did.DROPPED, reason, connection.evidence)
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


def _too_short(quoted: Packet) -> bool:
    """Whether only ports are quoted (``tcp_manip_pkt``, ``udp_manip_pkt``); unknown counts as enough."""
    if quoted.tcp is not None:
        return quoted.tcp.header_ok is False
    return quoted.udp is not None and quoted.udp.header_ok is False and quoted.udp.length is None


def _left_alone(tracking: Tracking, side: Side, packet: Packet) -> Translation:
    """Say which translation a refused packet did not get, if the entry that refused it has one."""
    entry, one = tracking.refused_by, tuple_of(packet)
    if entry is None or one not in (entry.original, entry.reply):
        return Translation(packet)
    forth = one == entry.original
    bound = side if forth else _OTHER[side]
    if bound not in entry.status:
        return Translation(packet)
    shape = inverse(entry.reply if forth else entry.original)
    would = readdressed(packet, shape, source=side is _SOURCE)
    lead = f"an {tracking.state} packet gets no translation: "
    change = _Change(side, packet, would, lead, stays=" stays", becomes=" and does not become ")
    return Translation(packet, Did.NOT_TRANSLATED, change, entry.bindings.get(bound, ()) + entry.evidence)


def _bound(side: Side, way: Way) -> Side:
    """The side of the connection's first packet that stands behind a side of this one."""
    return side if way is Way.ORIGINAL else side.other


def _opposite(way: Way) -> Way:
    return Way.REPLY if way is Way.ORIGINAL else Way.ORIGINAL


def _end(packet: Packet, side: Side) -> Endpoint | None:
    return packet.source if side is Side.SOURCE else packet.destination
