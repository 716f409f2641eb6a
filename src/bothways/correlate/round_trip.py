"""How long a tap waited for the answer to what it saw: on one clock, so no bounds are needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bothways.facts.packet import Flag, Tcp
from bothways.facts.sighting import Sighting, Tap
from bothways.facts.trajectory import Connection, Trajectory, Way

__all__ = ["RoundTrip", "round_trips"]

_WORD: Final = 1 << 32
_ANSWERED_BY: Final = {Flag.SYN: Flag.SYN | Flag.ACK, Flag.SYN | Flag.ACK: Flag.ACK}
_Number = tuple[Tap, Way, int]


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """
    A packet and its answer at one tap.

    :param way: the way of the packet that asked.
    """

    tap: Tap
    way: Way
    asked: Sighting
    answered: Sighting

    @property
    def time_ns(self) -> int:
        """From the tap to the answering end and back."""
        return self.answered.time_ns - self.asked.time_ns


def round_trips(connection: Connection) -> tuple[RoundTrip, ...]:
    """
    All round trips of a connection, tap by tap in order of the answers.

    An answer acknowledges exactly what the packet carried; without numbers only the handshake is
    understood. What was sent twice gives none, since nobody knows which of them was answered (Karn).
    """
    return tuple(_walk(connection))


def _walk(connection: Connection) -> Iterator[RoundTrip]:
    repeated = {
        (t.way, t.flags, t.retransmission_of)
        for t in connection.trajectories
        if t.retransmission_of is not None
    }
    waiting: dict[_Number, Sighting] = {}
    for trajectory in connection.trajectories:
        again = (trajectory.way, trajectory.flags, trajectory.ordinal) in repeated
        other = Way.REPLY if trajectory.way is Way.ORIGINAL else Way.ORIGINAL
        for tap, sighting in _first_at(trajectory).items():
            for number in _answers(sighting.packet.tcp):
                asked = waiting.pop((tap, other, number), None)
                if asked is not None and asked.time_ns <= sighting.time_ns:
                    yield RoundTrip(tap, other, asked, sighting)
            due = _awaited(sighting.packet.tcp)
            if due is not None and not again and trajectory.retransmission_of is None:
                waiting[tap, trajectory.way, due] = sighting


def _first_at(trajectory: Trajectory) -> dict[Tap, Sighting]:
    first: dict[Tap, Sighting] = {}
    for sighting in trajectory.sightings:
        known = first.get(sighting.tap)
        if known is None or sighting.time_ns < known.time_ns:
            first[sighting.tap] = sighting
    return first


def _awaited(tcp: Tcp | None) -> int | None:
    """The acknowledgement that would answer a packet; for a handshake without numbers minus the flags."""
    if tcp is None:
        return None
    room = (tcp.length or 0) + bool(tcp.flags & Flag.SYN) + bool(tcp.flags & Flag.FIN)
    if tcp.seq is not None and not tcp.relative:
        return (tcp.seq + room) % _WORD if room else None
    answer = _ANSWERED_BY.get(tcp.flags)
    return None if answer is None else -int(answer)


def _answers(tcp: Tcp | None) -> Iterator[int]:
    if tcp is None or not tcp.flags & Flag.ACK:
        return
    if tcp.ack is not None and not tcp.relative:
        yield tcp.ack
    else:
        yield -int(tcp.flags)
