"""
What stays the same in a packet's headers while it is translated, routed, copied and tunnelled.

TCP's sequence numbers, flags and the IP header's identification and length stay; addresses, ports and TTL may
change. Without them (UDP that the sender does not number, IPv6) two packets can look the same, so a key says
whether it is strong.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bothways.facts.address import Endpoint
from bothways.facts.kernel_event import KernelEvent, KernelPacket
from bothways.facts.packet import Packet

__all__ = ["Ends", "Key", "Translations", "ends_of", "key_of", "quoted_key", "with_before"]

#: Source and destination.
Ends = tuple[Endpoint, Endpoint]


@dataclass(frozen=True, slots=True)
class Key:
    """
    What two sightings of one packet have in common.

    :param numbers: of the transport header, protocol first.
    :param strong: False if another packet of the same connection may well have the same key.
    """

    numbers: tuple[int | None, ...]
    id: int | None
    length: int | None
    strong: bool


def key_of(packet: KernelPacket) -> Key | None:
    """The key of a packet, tunnels taken off; None without an IP header."""
    carried = packet.carried
    headers = carried.packet
    ip = headers.ip
    if ip is None:
        return None
    # An identification of zero is what unnumbered packets have.
    number = ip.id or None
    if headers.tcp is not None:
        tcp = headers.tcp
        numbers = (ip.protocol, int(tcp.flags), tcp.seq, tcp.ack)
        return Key(numbers, number, carried.length, strong=bool(tcp.seq))
    if headers.icmp is not None:
        numbers = (ip.protocol, headers.icmp.type, headers.icmp.code, _quoted_number(headers))
        return Key(numbers, number, carried.length, strong=False)
    return Key((ip.protocol, ip.offset), number, carried.length, strong=False)


def _quoted_number(headers: Packet) -> int | None:
    """What tells two ICMP errors apart: the number of the TCP segment that they quote."""
    inner = None if headers.icmp is None else headers.icmp.inner
    return None if inner is None or inner.tcp is None else inner.tcp.seq


def quoted_key(quoted: Packet, packet: Packet) -> bool:
    """
    True if an ICMP error may quote this packet: eight octets of its transport header are all that is sure.

    :param quoted: what stands in the error; *packet* the packet with the same addresses.
    """
    if quoted.ip is None or packet.ip is None or quoted.ip.protocol != packet.ip.protocol:
        return False
    if quoted.source != packet.source or quoted.destination != packet.destination:
        return False
    if quoted.tcp is not None and packet.tcp is not None and quoted.tcp.seq is not None:
        return quoted.tcp.seq == packet.tcp.seq
    return not quoted.ip.id or not packet.ip.id or quoted.ip.id == packet.ip.id


def ends_of(packet: KernelPacket) -> Ends | None:
    """Source and destination, tunnels taken off."""
    headers = packet.carried.packet
    source, destination = headers.source, headers.destination
    return None if source is None or destination is None else (source, destination)


def with_before(event: KernelEvent, previous: KernelEvent | None) -> KernelEvent:
    """
    The event with the headers that its packet had at the event before, if they are others now.

    Kernel parts say so themselves where they look on both sides of a hook; elsewhere it is seen afterwards.
    """
    if event.before is not None or event.packet is None or previous is None or previous.packet is None:
        return event
    if not event.buffer or previous.host != event.host or ends_of(previous.packet) == ends_of(event.packet):
        return event
    return replace(event, before=previous.packet)


@dataclass(slots=True)
class Translations:
    """
    Names of one packet on both sides of a translation, as trackers' entries and changed headers tell.

    :param names: ends -> the ends that the same packet has elsewhere.
    """

    names: dict[Ends, frozenset[Ends]] = field(default_factory=dict)

    def note(self, event: KernelEvent, previous: KernelEvent | None = None) -> None:
        """
        Read what hung on a packet, and what became of its headers.

        :param previous: the event before it of the same buffer.
        """
        entry = event.conntrack
        if entry is not None and entry.original is not None and entry.reply is not None:
            there, back = entry.original, entry.reply
            self._join((there.source, there.destination), (back.destination, back.source))
            self._join((there.destination, there.source), (back.source, back.destination))
        earlier = event.before or (None if previous is None else previous.packet)
        if earlier is not None and event.packet is not None:
            before, after = ends_of(earlier), ends_of(event.packet)
            if before is not None and after is not None:
                self._join(before, after)

    def same(self, one: Ends, other: Ends) -> bool:
        """True if one translation at most lies between these names."""
        return one == other or other in self.names.get(one, frozenset())

    def alike(self, one: Ends, other: Ends) -> bool:
        """True if they may be names of one packet, whatever was translated: one end is the same."""
        return self.same(one, other) or one[0] == other[0] or one[1] == other[1]

    def _join(self, one: Ends, other: Ends) -> None:
        # Pairs only: another connection may get one of these names later.
        if one != other:
            self.names[one] = self.names.get(one, frozenset()) | {other}
            self.names[other] = self.names.get(other, frozenset()) | {one}
