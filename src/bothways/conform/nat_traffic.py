"""
Packets through a translating router: first ones that collide on ports, answers, repeats, and ICMP errors.

What comes next may hang on what came out before: an answer goes to the address that the packet came with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from bothways.conform.nat_rules import CLIENTS, LEGS, OWN, PUBLIC, REMOTE
from bothways.facts.address import Mac, address
from bothways.facts.packet import ICMP, TCP, UDP, Ethernet, Flag, Icmp, Ip, Packet, Tcp, TcpOptions, Udp

__all__ = ["Traffic"]

_PORTS: Final = (40000, 40001, 39999, 600, 601, 500, 80, 1023, 1024, 511, 512)
_SERVICES: Final = (80, 53, 8080, 81)
_OWN: Final = tuple(held.partition("/")[0] for leg in LEGS for held in OWN[leg])
_ERRORS: Final = ((3, 1), (3, 3), (3, 4), (11, 0), (5, 1), (12, 0), (4, 0))
_PATHS: Final = ("10.77.2.254", "203.0.113.200", "10.77.1.77")
_NONE: Final = TcpOptions(size=0)
_FAR: Final = Mac("02:00:00:00:00:77")


@dataclass(slots=True)
class Traffic:
    """Where a case stands. *seen*: what came out so far, with its leg; *sent* likewise what went in."""

    random: Random
    seen: list[tuple[str, Packet]] = field(default_factory=list)
    sent: list[tuple[str, Packet]] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    there: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Keep few ports and destinations for the whole case, so that connections collide."""
        self.ports = self.random.sample(_PORTS, self.random.choice((1, 2, 4)))
        self.there = self.random.sample((*PUBLIC, *REMOTE, *_OWN, *CLIENTS), self.random.choice((2, 3, 6)))

    def next(self) -> tuple[str, Packet]:
        """Return the next packet, and the leg it goes into; "" for one of the router's own."""
        roll = self.random.random()
        if self.seen and roll < 0.35:
            made = self._answer()
        elif self.seen and roll < 0.45:
            made = self._error()
        elif self.sent and roll < 0.55:
            made = self._again()
        else:
            made = self._first()
        self.sent.append(made)
        return made

    def heard(self, came: Sequence[tuple[str, Packet]]) -> None:
        """Take note of what came out."""
        self.seen += came

    def _first(self) -> tuple[str, Packet]:
        random = self.random
        own = random.random() < 0.15
        source = random.choice(_OWN if own else CLIENTS)
        leg = "" if own else "bna" if source.startswith("10.77.1.") else "bnc"
        there = random.choice(self.there)
        protocol = random.choice((TCP, TCP, UDP, UDP, ICMP))
        ip = Ip(address(source), address(there), protocol, ttl=64, id=1)
        ports = random.choice(self.ports), random.choice(_SERVICES)
        if protocol == TCP:
            seq = random.randrange(1 << 32)
            return leg, Packet(
                Ethernet(_FAR), ip=ip, tcp=Tcp(*ports, Flag.SYN, seq, 0, 64240, 0, _NONE, checksum_ok=True)
            )
        if protocol == UDP:
            return leg, Packet(Ethernet(_FAR), ip=ip, udp=Udp(*ports, 4))
        return leg, Packet(Ethernet(_FAR), ip=ip, icmp=Icmp(8, 0, random.choice((1, 2, 3)), 1))

    def _answer(self) -> tuple[str, Packet]:
        leg, came = self.random.choice(self.seen[-8:])
        source, destination = came.source, came.destination
        if source is None or destination is None or came.ip is None:
            return self._first()
        back = came.with_source(destination).with_destination(source).with_ttl(64)
        if came.tcp is not None and back.tcp is not None:
            seq, ack = came.tcp.seq or 0, came.tcp.ack or 0
            syn = bool(came.tcp.flags & Flag.SYN)
            flags = self.random.choice(_ANSWERS[syn])
            number = ack or self.random.randrange(1 << 32)
            after = (seq + syn) % (1 << 32)
            answer = replace(back.tcp, flags=flags, seq=number, ack=after, length=0)
            back = replace(back, tcp=replace(answer, options=_NONE, checksum_ok=True))
        elif came.icmp is not None:
            if came.icmp.type != 8:
                return self._first()
            back = replace(back, icmp=replace(came.icmp, type=0))
        return leg, back

    def _error(self) -> tuple[str, Packet]:
        leg, came = self.random.choice(self.seen[-8:])
        if came.ip is None or came.source is None or (came.icmp is not None and came.icmp.inner is not None):
            return self._first()
        kind, code = self.random.choice(_ERRORS)
        teller = self.random.choice((*_PATHS, str(came.ip.dst)))
        to = came.ip.src if self.random.random() < 0.9 else address(_PATHS[0])
        ip = Ip(address(teller), to, ICMP, ttl=64, id=2)
        return leg, Packet(Ethernet(_FAR), ip=ip, icmp=Icmp(kind, code, inner=came))

    def _again(self) -> tuple[str, Packet]:
        leg, sent = self.random.choice(self.sent[-8:])
        if sent.tcp is None or self.random.random() < 0.5:
            return leg, sent
        flags = self.random.choice((Flag.ACK, Flag.RST, Flag.FIN | Flag.ACK, Flag.SYN))
        more = self.random.choice((0, 1, 1, 1000))
        tcp = replace(sent.tcp, flags=flags, seq=((sent.tcp.seq or 0) + more) % (1 << 32))
        return leg, replace(sent, tcp=tcp)


_ANSWERS: Final = {
    True: (Flag.SYN | Flag.ACK, Flag.SYN | Flag.ACK, Flag.SYN | Flag.ACK, Flag.RST | Flag.ACK),
    False: (Flag.ACK, Flag.ACK, Flag.FIN | Flag.ACK, Flag.RST),
}
