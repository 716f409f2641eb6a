"""Sightings by hand, in few words: where, when, who to whom, which flags and numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bothways.correlate import Correlation, correlate
from bothways.facts.address import Endpoint, Mac, address
from bothways.facts.packet import (
    ICMP,
    TCP,
    UDP,
    Ethernet,
    Flag,
    Icmp,
    Ip,
    Packet,
    Tcp,
    TcpOptions,
    Tunnel,
    Udp,
)
from bothways.facts.sighting import Capture, Direction, Sighting, Tap
from bothways.facts.snapshot import Snapshot
from bothways.facts.span import Span
from bothways.facts.trajectory import Connection, Trajectory

_LETTERS = {"S": Flag.SYN, "F": Flag.FIN, "R": Flag.RST, "P": Flag.PSH, ".": Flag.ACK}
MS = 1_000_000
US = 1_000


def tap(text: str) -> Tap:
    where, device = text.split(":")
    host, _, netns = where.partition("/")
    return Tap(host, netns or "root", device)


def end(text: str) -> Endpoint:
    bare, _, port = text.partition(":")
    return Endpoint(address(bare), int(port) if port else None)


def flags(text: str) -> Flag:
    value = Flag(0)
    for letter in text:
        value |= _LETTERS[letter]
    return value


def seen(
    at: str,
    time_us: float,
    ends: str,
    what: str = ".",
    *,
    seq: int | None = None,
    ack: int | None = None,
    length: int | None = None,
    ttl: int | None = None,
    ident: int | None = None,
    stamp: int | None = None,
    macs: str = "",
    device: str | None = None,
    direction: Direction | None = None,
    tunnel: str = "",
    clock_only: bool = False,
) -> Sighting:
    """
    One TCP sighting.

    *ends* is ``10.0.0.1:1000 > 10.0.0.2:22``, *macs* ``SRC > DST``, *tunnel* ``10.1.0.1 > 10.1.0.2``. Without
    *seq* and *ack* it is the incident's text, which shows no numbers.
    """
    place = tap(at)
    source, destination = (end(part) for part in ends.split(" > "))
    sender, _, receiver = macs.partition(" > ")
    ethernet = Ethernet(Mac(sender), Mac(receiver))
    options = TcpOptions(timestamp=None if stamp is None else (stamp, 0))
    tcp = Tcp(
        source.port or 0,
        destination.port or 0,
        flags(what),
        seq,
        ack,
        length=0 if length is None and seq is not None else length,
        options=options,
    )
    packet = Packet(ethernet, Ip(source.address, destination.address, TCP, ttl, ident), tcp=tcp)
    return _sighting(place, time_us, packet, device, direction, tunnel, clock_only=clock_only)


def _sighting(
    place: Tap,
    time_us: float,
    packet: Packet,
    device: str | None = None,
    direction: Direction | None = None,
    tunnel: str = "",
    *,
    clock_only: bool = False,
) -> Sighting:
    carrier = None
    if tunnel:
        outer = [address(part) for part in tunnel.split(" > ")]
        carrier = Tunnel("vxlan", 7, outer[0], outer[1])
    known = device if place.device == "any" else device or place.device
    span = Span(f"{place}.pcap", frame=1, text=str(packet))
    return Sighting(
        place, known, direction, round(time_us * US), packet, span, 0, carrier, clock_only=clock_only
    )


def datagram(at: str, time_us: float, ends: str, length: int = 40, ident: int | None = None) -> Sighting:
    source, destination = (end(part) for part in ends.split(" > "))
    packet = Packet(
        ip=Ip(source.address, destination.address, UDP, id=ident),
        udp=Udp(source.port or 0, destination.port or 0, length),
    )
    return _sighting(tap(at), time_us, packet)


def echo(at: str, time_us: float, ends: str, *, reply: bool, ident: int, seq: int) -> Sighting:
    source, destination = (end(part) for part in ends.split(" > "))
    packet = Packet(
        ip=Ip(source.address, destination.address, ICMP), icmp=Icmp(0 if reply else 8, 0, ident, seq)
    )
    return _sighting(tap(at), time_us, packet)


def captures(
    sightings: Iterable[Sighting], *, filter_: str | None = "tcp", dropped: int | None = 0
) -> tuple[Capture, ...]:
    """One capture per tap, in order of the taps' first sightings; each in order of its times."""
    by_tap: dict[Tap, list[Sighting]] = {}
    for sighting in sightings:
        by_tap.setdefault(sighting.tap, []).append(sighting)
    found = []
    for place, rows in by_tap.items():
        file = f"{place}.pcap"
        numbered = tuple(
            replace(s, position=i, span=replace(s.span, file=file, frame=i + 1)) for i, s in enumerate(rows)
        )
        found.append(Capture(place, numbered, file, filter_, dropped=dropped))
    return tuple(found)


def admit_all(_capture: Capture, _sighting: Sighting) -> bool | None:
    return True


def together(*sightings: Sighting, snapshot: Snapshot | None = None, dropped: int | None = 0) -> Correlation:
    return correlate(captures(sightings, dropped=dropped), snapshot=snapshot or Snapshot(), admits=admit_all)


def path(trajectory: Trajectory) -> list[str]:
    return [str(s.tap) for s in trajectory.sightings]


def only(correlation: Correlation) -> Connection:
    (connection,) = correlation.connections
    return connection
