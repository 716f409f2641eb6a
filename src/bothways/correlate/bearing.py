"""Which of two hosts a packet passed first, from what its frames say and not from clocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from bothways.correlate.atlas import Atlas
from bothways.correlate.observation import Observation
from bothways.facts.sighting import Direction

__all__ = ["Legs", "first_of"]

#: One host's sightings of a flight, leg by leg.
Legs = dict[int, list[Observation]]


def first_of(one: tuple[str, Legs], two: tuple[str, Legs], leg: int, atlas: Atlas) -> int:
    """
    1 if a packet passed host *one* before *two* on a leg that both saw, -1 if after, 0 if nothing tells.

    In order of trust: the ends of a tunnel; who saw the leg before, or the leg after; who owns the sender's
    and the receiver's MAC; one that only sent it and one that only received it.
    """
    for tells in _EVIDENCE:
        found = tells(one, two, leg, atlas)
        if found:
            return found
    return 0


def _host_votes(first: str | None, last: str | None, one: str, two: str) -> int:
    vote = (first == one) - (first == two) + (last == two) - (last == one)
    return (vote > 0) - (vote < 0)


def _by_tunnel(one: tuple[str, Legs], two: tuple[str, Legs], leg: int, atlas: Atlas) -> int:
    """Of the two ends of a tunnel; a host that shows a packet bare as well may stand before or behind it."""
    ends = {one[0], two[0]} - {host for host, legs in (one, two) if _in_tunnel(legs[leg])}
    for observation in (*one[1][leg], *two[1][leg]):
        tunnel = observation.sighting.tunnel
        if tunnel is None or tunnel.src is None or tunnel.dst is None:
            continue
        first, last = atlas.address_hosts.get(tunnel.src), atlas.address_hosts.get(tunnel.dst)
        if ends <= {first, last}:
            return _host_votes(first, last, one[0], two[0])
    return 0


def _in_tunnel(observations: Sequence[Observation]) -> bool:
    """True if a host shows the packet in the tunnel only."""
    return all(o.sighting.tunnel is not None for o in observations)


def _by_neighbour_legs(one: tuple[str, Legs], two: tuple[str, Legs], leg: int, _atlas: Atlas) -> int:
    before = (leg - 1 in one[1]) - (leg - 1 in two[1])
    after = (leg + 1 in two[1]) - (leg + 1 in one[1])
    return (before + after > 0) - (before + after < 0)


def _by_mac(one: tuple[str, Legs], two: tuple[str, Legs], leg: int, atlas: Atlas) -> int:
    vote = 0
    for observation in (*one[1][leg], *two[1][leg]):
        ethernet = observation.sighting.packet.ethernet
        first = atlas.mac_hosts.get(ethernet.src) if ethernet.src else None
        last = atlas.mac_hosts.get(ethernet.dst) if ethernet.dst else None
        vote += _host_votes(first, last, one[0], two[0])
    return (vote > 0) - (vote < 0)


def _by_direction(one: tuple[str, Legs], two: tuple[str, Legs], leg: int, _atlas: Atlas) -> int:
    sent, received = _directions(one[1][leg]), _directions(two[1][leg])
    if sent == {Direction.OUT} and received == {Direction.IN}:
        return 1
    return -1 if sent == {Direction.IN} and received == {Direction.OUT} else 0


def _directions(observations: Sequence[Observation]) -> set[Direction]:
    return {o.sighting.direction for o in observations if o.sighting.direction is not None}


_Tells = Callable[[tuple[str, Legs], tuple[str, Legs], int, Atlas], int]

_EVIDENCE: Final[tuple[_Tells, ...]] = (_by_tunnel, _by_neighbour_legs, _by_mac, _by_direction)
