"""From flights to trajectories: order in time, ordinals, retransmissions, doubles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bothways.correlate.flight import Flight
from bothways.facts.packet import Flag, Tcp
from bothways.facts.sighting import Sighting
from bothways.facts.trajectory import Match, Trajectory, Way

__all__ = ["trajectories_of"]

_ANY: Final = "any"
_SENT_AGAIN: Final = Flag.SYN | Flag.FIN

_Looks = tuple[Way, Flag]
_Segment = tuple[Way, Flag, int, int | None]


def trajectories_of(flights: Sequence[Flight]) -> tuple[Trajectory, ...]:
    """
    Name a connection's packets.

    :param flights: in time order.

    A packet is a retransmission if an earlier one of the same way and flags carries the same sequence
    number and takes up sequence space; without numbers only a repeated SYN, SYN/ACK or FIN is known to be
    one.
    """
    count: dict[_Looks, int] = {}
    segments: dict[_Segment, int] = {}
    found = []
    for flight in flights:
        looks = (flight.way, flight.flags)
        count[looks] = ordinal = count.get(looks, 0) + 1
        sightings = tuple(o.sighting for o in flight.observations)
        found.append(
            Trajectory(
                flight.way,
                flight.flags,
                ordinal,
                sightings,
                Match.EXACT if flight.exact else Match.INFERRED,
                _doubles(sightings),
                (),
                _repeats(flight, sightings, ordinal, segments),
            )
        )
    return tuple(found)


def _repeats(
    flight: Flight, sightings: Sequence[Sighting], ordinal: int, segments: dict[_Segment, int]
) -> int | None:
    """The ordinal of the first transmission, None if this is it."""
    tcp = next((s.packet.tcp for s in sightings if s.packet.tcp is not None), None)
    if tcp is None:
        return None
    numbered = next((t for s in sightings if (t := s.packet.tcp) is not None and _placed(t)), None)
    if numbered is not None and numbered.seq is not None:
        segment: _Segment = (flight.way, flight.flags, numbered.seq, numbered.length or 0)
    elif flight.flags & _SENT_AGAIN and not flight.exact:
        segment = (flight.way, flight.flags, -1, None)
    else:
        return None
    first = segments.setdefault(segment, ordinal)
    return None if first == ordinal else first


def _placed(tcp: Tcp) -> bool:
    """True if the packet takes up sequence space at a known place."""
    return tcp.seq is not None and not tcp.relative and bool(tcp.length or tcp.flags & _SENT_AGAIN)


def _doubles(sightings: Sequence[Sighting]) -> tuple[Sighting, ...]:
    """Sightings of a capture of all devices that show the packet once more under the same names."""
    shown: set[object] = set()
    doubles = []
    for sighting in sightings:
        if sighting.tap.device != _ANY:
            continue
        look = (sighting.tap, sighting.packet.source, sighting.packet.destination)
        if look in shown:
            doubles.append(sighting)
        shown.add(look)
    return tuple(doubles)
