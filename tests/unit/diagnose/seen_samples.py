"""Packets of one connection, seen at taps, for tests of what is read from captures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bothways.facts.address import UNKNOWN_MAC, Endpoint, Mac, address
from bothways.facts.packet import TCP, Ethernet, Flag, Ip, Packet, Tcp
from bothways.facts.sighting import Direction, Sighting, Tap
from bothways.facts.span import Span
from bothways.facts.trajectory import Connection, Match, Trajectory, Way

CLIENT, SERVER = Endpoint(address("192.0.2.9"), 40000), Endpoint(address("203.0.113.7"), 22)
LETTERS = {"S": Flag.SYN, ".": Flag.ACK, "R": Flag.RST, "F": Flag.FIN, "P": Flag.PSH}
WIRE = Tap("net", "root", "eth0")


def packet(
    way: Way,
    flags: str,
    *,
    seq: int | None = None,
    ack: int | None = None,
    length: int | None = None,
    ttl: int | None = None,
    mac: Mac = UNKNOWN_MAC,
) -> Packet:
    """One segment; flags as tcpdump prints them."""
    source, destination = (CLIENT, SERVER) if way is Way.ORIGINAL else (SERVER, CLIENT)
    bits = Flag(0)
    for letter in flags:
        bits |= LETTERS[letter]
    return Packet(
        Ethernet(src=mac),
        ip=Ip(source.address, destination.address, TCP, ttl=ttl),
        tcp=Tcp(source.port or 0, destination.port or 0, bits, seq=seq, ack=ack, length=length),
    )


def sighting(seen: Packet, tap: Tap = WIRE, *, at: int = 0, direction: Direction | None = None) -> Sighting:
    """One packet at one tap; its frame is the time, so that spans differ."""
    device = None if tap.device == "any" else tap.device
    span = Span(f"hosts/{tap.host}/captures/{tap.netns}/{tap.device}.pcap", frame=at + 1)
    return Sighting(tap, device, direction, at, seen, span, at)


def trajectory(way: Way, sightings: Sequence[Sighting], *, again: bool = False) -> Trajectory:
    """One packet with all its sightings."""
    tcp = sightings[0].packet.tcp
    assert tcp is not None
    return Trajectory(
        way, tcp.flags, 1, tuple(sightings), Match.EXACT, retransmission_of=1 if again else None
    )


def connection(*trajectories: Trajectory) -> Connection:
    """A connection of these packets."""
    return Connection(TCP, CLIENT, SERVER, trajectories, sightings=len(trajectories))


def talk(*said: str) -> Connection:
    """
    A connection at one tap from words such as ``> S``, ``< S.``, ``> P. 5``: way, flags, bytes; ``again`` at
    the end marks a retransmission. Numbers are counted as TCP counts them.
    """
    next_seq = {Way.ORIGINAL: 100, Way.REPLY: 900}
    made = []
    for at, words in enumerate(said):
        arrow, flags, *rest = words.split()
        way = Way.ORIGINAL if arrow == ">" else Way.REPLY
        other = Way.REPLY if way is Way.ORIGINAL else Way.ORIGINAL
        again = "again" in rest
        length = next((int(word) for word in rest if word.isdigit()), 0)
        taken = length + ("S" in flags) + ("F" in flags)
        seq = next_seq[way] - (taken if again else 0)
        ack = next_seq[other] if "." in flags else None
        if "stale" in rest and ack is not None:
            ack -= 1
        next_seq[way] = seq + taken
        seen = packet(way, flags, seq=seq, ack=ack, length=length)
        made.append(trajectory(way, [sighting(seen, at=at)], again=again))
    return connection(*made)


def without_numbers(one: Connection) -> Connection:
    """The same connection as abbreviated text shows it."""
    return replace(one, trajectories=tuple(_blank(t) for t in one.trajectories))


def _blank(one: Trajectory) -> Trajectory:
    blank = []
    for seen in one.sightings:
        tcp = seen.packet.tcp
        assert tcp is not None
        bare = replace(tcp, seq=None, ack=None, length=None)
        blank.append(replace(seen, packet=replace(seen.packet, tcp=bare)))
    return replace(one, sightings=tuple(blank))
