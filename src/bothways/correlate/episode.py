"""One connection as one capture saw it under one pair of names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bothways.correlate.observation import Observation
from bothways.facts.address import Endpoint
from bothways.facts.packet import TCP, Flag

__all__ = ["Ends", "Episode", "episodes_of", "gap_ns"]

#: Both ends in a fixed order, whoever sent the packet.
Ends = tuple[Endpoint, Endpoint]

_WORD: Final = 1 << 32
_SYN: Final = Flag.SYN.value
_ACK: Final = Flag.ACK.value
_CLOSES: Final = (Flag.RST | Flag.FIN).value


@dataclass(slots=True)
class Episode:
    """
    Packets of one 5-tuple in one capture, between two uses of the same ports.

    :param client: who opened it, None if its packets do not tell.
    :param initial: initial sequence numbers by sender, as far as they are known.
    :param numbers: the first sequence number known of each end.
    :param progressed: the client went on after its SYN, or somebody closed: another SYN is another
        connection.
    """

    number: int
    capture: int
    host: str
    protocol: int
    label: int | None
    ends: Ends
    clock_only: bool
    first_ns: int
    last_ns: int
    client: Endpoint | None = None
    initial: dict[Endpoint, int] = field(default_factory=dict)
    numbers: dict[Endpoint, int] = field(default_factory=dict)
    progressed: bool = False
    observations: list[Observation] = field(default_factory=list)

    @property
    def numbered(self) -> bool:
        """True if every packet shows its numbers."""
        return self.protocol == TCP and all(o.key is not None for o in self.observations)

    def other(self, end: Endpoint) -> Endpoint:
        """The end at the other side."""
        return self.ends[1] if self.ends[0] == end else self.ends[0]

    def take(self, observation: Observation) -> None:
        """Add the next packet."""
        self.observations.append(observation)
        self.first_ns = min(self.first_ns, observation.time_ns)
        self.last_ns = max(self.last_ns, observation.time_ns)
        source, destination = observation.source, observation.destination
        if self.client is None and observation.opens is not None:
            self.client = source if observation.opens else destination
        if self.protocol != TCP:
            return
        bits = observation.bits
        if bits & _SYN or len(self.numbers) < len(self.ends):
            self._number(observation, source, destination)
        if not self.progressed:
            self.progressed = bool(bits & _CLOSES) or (source is self.client and not bits & _SYN)

    def _number(self, observation: Observation, source: Endpoint, destination: Endpoint) -> None:
        tcp = observation.sighting.packet.tcp
        if tcp is None or tcp.relative:
            return
        opening = observation.bits & _SYN
        if tcp.seq is not None:
            self.numbers.setdefault(source, tcp.seq)
            if opening:
                self.initial.setdefault(source, tcp.seq)
        if tcp.ack is not None and observation.bits & _ACK:
            self.numbers.setdefault(destination, tcp.ack)
            if opening:
                self.initial.setdefault(destination, (tcp.ack - 1) % _WORD)

    def begins_anew(self, observation: Observation) -> bool:
        """True if the packet opens another connection with the same ends."""
        tcp = observation.sighting.packet.tcp
        if tcp is None or not observation.bits & _SYN:
            return False
        if observation.bits & _ACK:
            asked = self.initial.get(observation.destination)
            return asked is not None and tcp.ack is not None and (tcp.ack - 1) % _WORD != asked
        before = self.initial.get(observation.source)
        if before is not None and tcp.seq is not None:
            return before != tcp.seq
        return self.progressed


def episodes_of(observations: Sequence[Sequence[Observation]]) -> list[Episode]:
    """Cut every capture into episodes, in the order in which they begin."""
    found: list[Episode] = []
    for recorded in observations:
        running: dict[tuple[int, int | None, int, int], Episode] = {}
        for observation in recorded:
            one, two = observation.route
            flow = (observation.protocol, observation.label, min(one, two), max(one, two))
            episode = running.get(flow)
            if episode is None or episode.begins_anew(observation):
                episode = _begin(len(found), observation)
                running[flow] = episode
                found.append(episode)
            episode.take(observation)
    return found


def _begin(number: int, observation: Observation) -> Episode:
    return Episode(
        number,
        observation.capture,
        observation.host,
        observation.protocol,
        observation.label,
        _ends(observation),
        observation.sighting.clock_only,
        observation.time_ns,
        observation.time_ns,
    )


def _ends(observation: Observation) -> Ends:
    source, destination = observation.source, observation.destination
    first = (int(source.address), -1 if source.port is None else source.port)
    second = (int(destination.address), -1 if destination.port is None else destination.port)
    return (source, destination) if first <= second else (destination, source)


def gap_ns(one: Episode, two: Episode) -> int:
    """How long between the end of one and the beginning of the other on raw clocks; 0 if they overlap."""
    return max(0, two.first_ns - one.last_ns, one.first_ns - two.last_ns)
