"""One sighting as correlation looks at it: who sent it to whom, and by which numbers it is known again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from bothways.facts.address import Endpoint, IPAddress
from bothways.facts.packet import ICMP, ICMP6, TCP, UDP, Flag, Ip, Packet, Tcp
from bothways.facts.sighting import Capture, Sighting

__all__ = ["Key", "Mark", "Observation", "Route", "key_of", "observe_all"]

#: What stays the same at every tap and in every retransmission: flags, sequence number, acknowledgement.
#: None in place of a number means that packets of this kind are told apart without it.
Key = tuple[int, int | None, int | None]

#: What tells transmissions of the same key apart where it is known: sequence number, payload length, IP
#: identification, time stamp option. None fits everything.
Mark = tuple[int | None, int | None, int | None, int | None]

#: Source and destination, each end by its number in this correlation.
Route = tuple[int, int]

_ECHO: Final = {(ICMP, 8): True, (ICMP, 0): False, (ICMP6, 128): True, (ICMP6, 129): False}
_SYN: Final = Flag.SYN.value
_ACK: Final = Flag.ACK.value
_PUSH: Final = Flag.PSH.value
_PLACED: Final = (Flag.SYN | Flag.FIN | Flag.RST).value


@dataclass(slots=True, eq=False)
class Observation:
    """
    One sighting of TCP, UDP or ICMP echo. Nobody changes it: not frozen, since there are a hundred thousand.

    Ends, spots and places are numbered once, so that looking them up so often is cheap.

    :param capture: index of its capture.
    :param label: the identifier of an ICMP echo; None for what has ports.
    :param bits: the flags as a number.
    :param key: None if the evidence shows no numbers (text without ``seq``, UDP).
    :param opens: True if it tells that its sender is the client, False if its receiver is.
    :param spot: number of the capture, device and pair of ends.
    :param place: number of what a transmission shows at one passage: capture, device, direction, names, TTL,
        sender, in a tunnel or not.
    """

    sighting: Sighting
    host: str
    time_ns: int
    capture: int
    protocol: int
    label: int | None
    source: Endpoint
    destination: Endpoint
    route: Route
    bits: int
    key: Key | None
    mark: Mark
    opens: bool | None
    spot: int
    place: int

    @property
    def flags(self) -> Flag:
        """TCP flags; none for other protocols."""
        return Flag(self.bits)


@dataclass(slots=True)
class _Numbers:
    """Numbers for ends, spots and places."""

    ends: dict[tuple[int, int | None, int], tuple[int, Endpoint]] = field(default_factory=dict)
    spots: dict[tuple[object, ...], int] = field(default_factory=dict)
    places: dict[tuple[object, ...], int] = field(default_factory=dict)

    def end(self, address: IPAddress, port: int | None) -> tuple[int, Endpoint]:
        """The number, and one object for equal ends."""
        key = (int(address), port, address.version)
        found = self.ends.get(key)
        if found is None:
            found = self.ends[key] = (len(self.ends), Endpoint(address, port))
        return found

    def spot(self, capture: int, device: str | None, route: Route) -> int:
        spot = (capture, device, min(route), max(route))
        return self.spots.setdefault(spot, len(self.spots))

    def place(self, capture: int, sighting: Sighting, route: Route, ttl: int | None) -> int:
        sender = sighting.packet.ethernet.src
        way = None if sighting.direction is None else sighting.direction.value
        place = (capture, sighting.device, way, route, ttl, sender, sighting.tunnel is not None)
        return self.places.setdefault(place, len(self.places))


#: Protocol, source and destination port, ICMP identifier, flags, key, mark, and whether it opens.
_Reading = tuple[int, int | None, int | None, int | None, int, Key | None, Mark, bool | None]


def observe_all(captures: Sequence[Capture]) -> list[list[Observation]]:
    """Observations capture by capture in recorded order; what cannot be followed is left out."""
    numbers = _Numbers()
    return [list(_of_capture(index, capture, numbers)) for index, capture in enumerate(captures)]


def _of_capture(index: int, capture: Capture, numbers: _Numbers) -> Iterator[Observation]:
    for sighting in capture.sightings:
        ip = sighting.packet.ip
        reading = None if ip is None else _read(ip, sighting.packet)
        if ip is None or reading is None:
            continue
        protocol, sport, dport, label, bits, key, mark, opens = reading
        first, source = numbers.end(ip.src, sport)
        second, destination = numbers.end(ip.dst, dport)
        route = (first, second)
        yield Observation(
            sighting,
            sighting.tap.host,
            sighting.time_ns,
            index,
            protocol,
            label,
            source,
            destination,
            route,
            bits,
            key,
            mark,
            opens,
            numbers.spot(index, sighting.device, route),
            numbers.place(index, sighting, route, ip.ttl),
        )


def _read(ip: Ip, packet: Packet) -> _Reading | None:
    ident = ip.id or None
    if packet.tcp is not None:
        tcp = packet.tcp
        stamp = tcp.options.timestamp
        mark = (tcp.seq, tcp.length, ident, None if stamp is None else stamp[0])
        bits = tcp.flags.value
        opens = not bits & _ACK if bits & _SYN else None
        return TCP, tcp.sport, tcp.dport, None, bits, key_of(tcp), mark, opens
    if packet.udp is not None:
        udp = packet.udp
        return UDP, udp.sport, udp.dport, None, 0, None, (None, udp.length, ident, None), None
    icmp = packet.icmp
    request = None if icmp is None else _ECHO.get((ip.protocol, icmp.type))
    if icmp is None or request is None:
        return None
    key = (0, icmp.seq, int(request))
    return ip.protocol, None, None, icmp.id, 0, key, (None, None, ident, None), request


def key_of(tcp: Tcp) -> Key | None:
    """
    What a packet is known by at every tap; None where the text shows no number that all taps share.

    A bare ACK is known by what it acknowledges: tcpdump's text leaves its sequence number out.
    """
    if tcp.relative:
        return None
    bits = tcp.flags.value
    ack = tcp.ack if bits & _ACK else None
    if bits & _PLACED or tcp.length or bits & _PUSH:
        return None if tcp.seq is None else (bits, tcp.seq, ack)
    if ack is not None:
        return (bits, None, ack)
    return None if tcp.seq is None else (bits, tcp.seq, None)
