"""
Packets for a router that filters, routes and translates: first ones, answers, repeats, errors, and odd ones.

What comes next may hang on what came out before. A TCP connection to the router itself is opened and then
left alone: what its stack does with it afterwards is not what is held against each other here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from bothways.conform.netfilter_drawn_matches import PORTS
from bothways.conform.netfilter_place import LEGS, PLACES, Place, mac_behind
from bothways.facts.address import Mac, address
from bothways.facts.packet import (
    ETH_IP,
    ETH_IP6,
    ICMP,
    ICMP6,
    TCP,
    UDP,
    Ethernet,
    Flag,
    Icmp,
    Ip,
    Packet,
    Tcp,
    TcpOptions,
    Udp,
)

__all__ = ["FilterTraffic"]

_ECHO: Final = {4: (ICMP, 8, 0), 6: (ICMP6, 128, 129)}
_ERRORS: Final = {
    4: ((3, 1), (3, 3), (3, 4), (11, 0), (3, 13), (12, 0)),
    6: ((1, 4), (1, 1), (3, 0), (2, 0), (4, 0)),
}
_TOO_BIG: Final = ((3, 4), (2, 0))
_TTLS: Final = (64, 64, 64, 64, 64, 2, 1, 255, 3)
_TOS: Final = (0, 0, 0, 0x10, 0x28, 0x01, 0xB8)
_FLAGS: Final = (
    Flag.ACK,
    Flag.SYN | Flag.ACK,
    Flag.RST,
    Flag.FIN | Flag.ACK,
    Flag.PSH | Flag.ACK,
    Flag.SYN | Flag.FIN,
    Flag(0),
    Flag.RST | Flag.ACK,
)
_MSS: Final = TcpOptions(mss=1460, size=4)
_NONE: Final = TcpOptions(size=0)
#: Behind the tracker, what is written into a header of IPv6 spoils the checksum that the kernel has taken
#: of a long packet (``CHECKSUM_BREAK``, 76 octets): these are summed up anew by whoever receives them.
_LENGTHS: Final = (0, 0, 4, 16, 60)
_SYN: Final = Flag.SYN


@dataclass(slots=True)
class FilterTraffic:
    """
    Where a case stands.

    :param macs: leg -> MAC of the router there.
    :param seen: packets that were forwarded, with the leg where they came out.
    :param sent: what went in and may be repeated.
    """

    random: Random
    version: int
    macs: dict[str, str]
    seen: list[tuple[str, Packet]] = field(default_factory=list)
    sent: list[tuple[str, Packet]] = field(default_factory=list)
    port: int = 40000

    @property
    def place(self) -> Place:
        """The addresses that are used."""
        return PLACES[self.version]

    def next(self) -> tuple[str, Packet]:
        """Return the next packet, and the leg it goes into; "" for one of the router's own."""
        roll = self.random.random()
        made = None
        if self.seen and roll < 0.4:
            made = self._answer() if roll < 0.3 else self._error()
        elif self.sent and roll < 0.5:
            made = self._again()
        elif roll < 0.55:
            made = self._odd()
        leg, packet = made or self._first()
        if leg:
            packet = packet.with_macs(self._sender(leg, packet), self._receiver(leg))
        return leg, packet

    def heard(self, leg: str, packet: Packet, came: Sequence[tuple[str, Packet]], local: int) -> None:
        """
        Take note of what came out for a packet.

        :param local: how many packets went to a receiver of the router itself.
        """
        answered = any(each.tcp is not None and each.tcp.flags & Flag.RST for _, each in came)
        opened = any(
            each.tcp is not None and each.tcp.flags & (_SYN | Flag.ACK) == _SYN | Flag.ACK for _, each in came
        )
        opened = opened or local > 1 or (local > 0 and not answered)
        if packet.tcp is not None and packet.tcp.flags & _SYN and opened:
            # The router's own stack has taken it, and what it answers with is its own affair.
            self.sent = [each for each in self.sent if each[1].source != packet.source]
            return
        self.sent.append((leg, packet))
        self.seen += [(at, each) for at, each in came if each.ip is not None and _transport(each)]

    # -- what is sent ---------------------------------------------------------------------------------

    def _first(self) -> tuple[str, Packet]:
        chance, place = self.random, self.place
        own = chance.random() < 0.12
        leg = "" if own else chance.choice(LEGS)
        source = chance.choice(place.own) if own else self._source(leg)
        there = self._destination(leg)
        protocol = chance.choice((TCP, TCP, TCP, UDP, UDP, ICMP))
        return leg, self._made(source, there, protocol)

    def _source(self, leg: str) -> str:
        chance, place = self.random, self.place
        roll = chance.random()
        if roll < 0.8:
            return chance.choice(place.hosts[leg][:-1])
        if roll < 0.9:
            return chance.choice(place.stations)
        return chance.choice(place.remote) if roll < 0.97 else chance.choice(place.strange)

    def _destination(self, leg: str) -> str:
        chance, place = self.random, self.place
        roll = chance.random()
        if roll < 0.45:
            others = [each for at, hosts in place.hosts.items() if at != leg for each in hosts[:-1]]
            return chance.choice(others)
        if roll < 0.65:
            return chance.choice(place.remote)
        if roll < 0.96:
            return chance.choice((*place.own, *(held.partition("/")[0] for held in place.held.get(leg, ()))))
        return chance.choice((*place.strange, *place.everybody) if leg else place.own)

    def _made(self, source: str, there: str, protocol: int) -> Packet:
        chance = self.random
        self.port += 1
        ports = (self.port, chance.choice(PORTS))
        echo, query, _ = _ECHO[self.version]
        tos = chance.choice(_TOS)
        df = chance.random() < 0.5
        ip = Ip(
            address(source),
            address(there),
            echo if protocol == ICMP else protocol,
            ttl=chance.choice(_TTLS),
            id=1 if self.version == 4 else None,
            tos=tos,
            df=df if self.version == 4 else None,
        )
        link = Ethernet(type=ETH_IP if self.version == 4 else ETH_IP6)
        if protocol == TCP:
            flags = _SYN if chance.random() < 0.8 else chance.choice(_FLAGS)
            options = _MSS if flags & _SYN and chance.random() < 0.8 else _NONE
            length = 0 if flags & _SYN else chance.choice(_LENGTHS)
            numbers = chance.randrange(1 << 32), chance.randrange(1 << 32) if flags & Flag.ACK else 0
            tcp = Tcp(*ports, flags, *numbers, 64240, length, options, checksum_ok=True)
            return Packet(link, ip=ip, tcp=tcp)
        if protocol == UDP:
            return Packet(link, ip=ip, udp=Udp(*ports, chance.choice(_LENGTHS)))
        return Packet(link, ip=ip, icmp=Icmp(query, 0, chance.choice((1, 2, 3)), 1))

    def _answer(self) -> tuple[str, Packet] | None:
        chance = self.random
        leg, came = chance.choice(self.seen[-10:])
        if came.source is None or came.destination is None or came.ip is None:
            return None
        back = came.with_source(came.destination).with_destination(came.source).with_ttl(chance.choice(_TTLS))
        if came.tcp is not None and back.tcp is not None:
            seq, ack, flags = came.tcp.seq or 0, came.tcp.ack or 0, came.tcp.flags
            if flags & Flag.RST:
                return None
            taken = (came.tcp.length or 0) + bool(flags & _SYN) + bool(flags & Flag.FIN)
            choices = _TO_SYN if flags & (_SYN | Flag.ACK) == _SYN else _TO_OTHER
            number = ack if flags & Flag.ACK else chance.randrange(1 << 32)
            chosen = chance.choice(choices)
            tcp = replace(
                back.tcp,
                flags=chosen,
                seq=number,
                ack=(seq + taken) % (1 << 32),
                window=64240,
                length=chance.choice(_LENGTHS) if chosen & Flag.PSH else 0,
                options=_MSS if chosen & _SYN else _NONE,
                checksum_ok=True,
            )
            back = replace(back, tcp=tcp)
        elif came.icmp is not None:
            _, query, reply = _ECHO[self.version]
            if came.icmp.type != query:
                return None
            back = replace(back, icmp=replace(came.icmp, type=reply))
        return leg, replace(back, length=None)

    def _error(self) -> tuple[str, Packet] | None:
        chance = self.random
        leg, came = chance.choice(self.seen[-10:])
        if came.ip is None or (came.icmp is not None and came.icmp.type not in (8, 0, 128, 129)):
            return None
        kinds = _ERRORS[self.version]
        if came.icmp is not None:
            # What is said to be too long for an echo leaves a mark in the routes that no flush takes away.
            kinds = tuple(each for each in kinds if each not in _TOO_BIG)
        kind, code = chance.choice(kinds)
        hosts = self.place.hosts[leg]
        teller = chance.choice((*hosts, str(came.ip.dst), str(came.ip.dst)))
        to = came.ip.src if chance.random() < 0.9 else address(chance.choice(self.place.stations))
        protocol = _ECHO[self.version][0]
        ip = Ip(address(teller), to, protocol, ttl=64, tos=0, id=2 if self.version == 4 else None)
        return leg, Packet(
            came.ethernet, ip=ip, icmp=Icmp(kind, code, inner=replace(came, ethernet=Ethernet()))
        )

    def _again(self) -> tuple[str, Packet]:
        leg, sent = self.random.choice(self.sent[-10:])
        if sent.tcp is None or self.random.random() < 0.4:
            return leg, sent
        flags = self.random.choice((Flag.ACK, Flag.PSH | Flag.ACK, Flag.RST, Flag.FIN | Flag.ACK))
        tcp = replace(
            sent.tcp, flags=flags, seq=((sent.tcp.seq or 0) + 1) % (1 << 32), options=_NONE, length=0
        )
        if flags & Flag.ACK and not sent.tcp.flags & Flag.ACK:
            tcp = replace(tcp, ack=self.random.randrange(1 << 32))
        return leg, replace(sent, tcp=tcp)

    def _odd(self) -> tuple[str, Packet] | None:
        """A packet whose sender lies: the router's own address, or one of nobody."""
        leg = self.random.choice(LEGS)
        place = self.place
        source = self.random.choice((*place.strange, *place.own, *place.remote))
        there = self.random.choice((*place.stations, *place.own, *place.strange, *place.everybody))
        made = self._made(source, there, self.random.choice((TCP, UDP, ICMP)))
        if made.tcp is not None and made.tcp.flags & _SYN and source in place.own and there in place.own:
            # A listener would answer to itself, which is a connection of the router's own.
            made = replace(made, tcp=replace(made.tcp, flags=Flag.ACK, ack=1))
        return leg, made

    # -- link -----------------------------------------------------------------------------------------

    def _sender(self, leg: str, packet: Packet) -> Mac:
        """The station's own MAC, or the gateway's for what is from further away."""
        hosts = self.place.hosts[leg]
        source = "" if packet.ip is None else str(packet.ip.src)
        return Mac(mac_behind(source if source in hosts else hosts[-1]))

    def _receiver(self, leg: str) -> Mac:
        roll = self.random.random()
        if roll < 0.98:
            return Mac(self.macs[leg])
        return Mac("ff:ff:ff:ff:ff:ff") if roll < 0.99 else Mac("02:00:00:00:00:99")


def _transport(packet: Packet) -> bool:
    return packet.tcp is not None or packet.udp is not None or packet.icmp is not None


_TO_SYN: Final = (_SYN | Flag.ACK, _SYN | Flag.ACK, _SYN | Flag.ACK, Flag.RST | Flag.ACK, Flag.ACK)
_TO_OTHER: Final = (Flag.ACK, Flag.ACK, Flag.PSH | Flag.ACK, Flag.FIN | Flag.ACK, Flag.RST)
