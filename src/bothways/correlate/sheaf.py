"""
Sightings that look like one packet, divided into its transmissions as each host saw them.

Numbers that NAT keeps gather the sightings of a packet; time stamp option and IP identification, where they
are kept, part its retransmissions. Where they are not, time does: a host that shows a packet at the same
place again after a tenth of a second shows another transmission, since no retransmission timer is shorter
(RFC 6298 asks for a second, Linux takes 200 ms at least). Sooner, a capture of all devices shows the same
packet twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bothways.correlate.episode import Ends, Episode
from bothways.correlate.observation import Key, Mark, Observation
from bothways.facts.address import Endpoint
from bothways.facts.packet import TCP, Flag
from bothways.facts.trajectory import Way

__all__ = ["Passage", "Sheaf", "sheaves_of"]

#: The same place again within this is the same transmission.
_AGAIN_NS: Final = 100_000_000
#: Another place of the same host within this is the same transmission: with numbers, and without.
_ONWARD_NS: Final = {True: 500_000_000, False: 20_000_000}
#: So many transmissions may be under way at one host at a time.
_UNDER_WAY: Final = 8
#: More marks than this are compared for equality only.
_MANY_MARKS: Final = 64
_HANDSHAKE: Final = (Flag.SYN | Flag.FIN).value
_ANY: Final = "any"


@dataclass(slots=True)
class Passage:
    """One transmission at one host."""

    host: str
    first_ns: int
    last_ns: int
    observations: list[Observation] = field(default_factory=list)
    places: dict[int, int] = field(default_factory=dict)

    def take(self, observation: Observation, place: int) -> None:
        """Add a sighting."""
        self.observations.append(observation)
        self.places[place] = self.places.get(place, 0) + 1
        self.last_ns = max(self.last_ns, observation.time_ns)


@dataclass(slots=True)
class Sheaf:
    """
    All sightings that look alike, host by host, each host's passages in time order.

    :param numbered: True if numbers say so; else flags alone.
    """

    way: Way
    flags: Flag
    numbered: bool
    passages: dict[str, list[Passage]]

    @property
    def lasting(self) -> bool:
        """True if the packet is not repeated in quick succession unless it is retransmitted."""
        return self.numbered or bool(self.flags.value & _HANDSHAKE)


def sheaves_of(group: Sequence[Episode], clients: Mapping[Ends, Endpoint]) -> list[Sheaf]:
    """Gather a connection's sightings, those with numbers first, each kind in order of first sight."""
    kinds: dict[tuple[bool, int, Key | None], list[Observation]] = {}
    for episode in group:
        client = clients[episode.ends]
        for observation in episode.observations:
            forth = observation.source is client
            if episode.protocol != TCP and observation.opens is not None:
                forth = observation.opens
            kinds.setdefault((forth, observation.bits, observation.key), []).append(observation)
    copies = _Copies()
    ordered = sorted(kinds.items(), key=lambda item: (item[0][2] is None, not item[0][1] & _HANDSHAKE))
    sheaves = []
    for (forth, bits, key), observations in ordered:
        way, flags = (Way.ORIGINAL if forth else Way.REPLY), Flag(bits)
        for cluster in _clusters(observations) if key is not None else [observations]:
            sheaf = Sheaf(way, flags, key is not None, {})
            sure = all(o.mark[2] is not None or o.mark[3] is not None for o in cluster)
            for host, seen in _by_host(cluster).items():
                sheaf.passages[host] = _passages(host, seen, sheaf, copies, sure=sure)
            if bits & Flag.SYN.value:
                copies.learn(sheaf)
            sheaves.append(sheaf)
    return sheaves


@dataclass(slots=True)
class _Copies:
    """How often a tap shows one packet under one name, learnt from packets that nobody repeats at once."""

    most: dict[tuple[int, bool], int] = field(default_factory=dict)

    def learn(self, sheaf: Sheaf) -> None:
        for passage in (p for passages in sheaf.passages.values() for p in passages):
            for observation in passage.observations:
                place = (observation.capture, sheaf.way is Way.ORIGINAL)
                count = passage.places[observation.place]
                self.most[place] = max(self.most.get(place, 1), count)

    def allowed(self, observation: Observation, way: Way) -> int:
        unknown = observation.sighting.tap.device == _ANY and observation.sighting.device is None
        return self.most.get((observation.capture, way is Way.ORIGINAL), 2 if unknown else 1)


def _by_host(observations: Iterable[Observation]) -> dict[str, list[Observation]]:
    hosts: dict[str, list[Observation]] = {}
    for observation in observations:
        hosts.setdefault(observation.host, []).append(observation)
    return hosts


def _passages(
    host: str, seen: list[Observation], sheaf: Sheaf, copies: _Copies, *, sure: bool
) -> list[Passage]:
    found: list[Passage] = []
    folding = sure or bool(sheaf.flags.value & _HANDSHAKE)
    for observation in sorted(seen, key=lambda o: (o.time_ns, o.capture, o.sighting.position)):
        place = observation.place
        most = None if folding else copies.allowed(observation, sheaf.way)
        passage = _fitting(found, place, observation.time_ns, most, numbered=sheaf.numbered, sure=sure)
        if passage is None:
            passage = Passage(host, observation.time_ns, observation.time_ns)
            found.append(passage)
        passage.take(observation, place)
    return found


def _fitting(
    found: list[Passage], place: int, time_ns: int, most: int | None, *, numbered: bool, sure: bool
) -> Passage | None:
    """The latest passage that can still show the packet at a place."""
    for passage in reversed(found[-_UNDER_WAY:]):
        since = time_ns - passage.last_ns
        count = passage.places.get(place, 0)
        if count:
            if since < _AGAIN_NS and (most is None or count < most):
                return passage
        elif sure or since <= _ONWARD_NS[numbered]:
            return passage
    return None


def _clusters(observations: list[Observation]) -> list[list[Observation]]:
    """Part what differs in a known mark; what shows fewer marks joins the only, or the nearest, that fits."""
    by_mark: dict[Mark, list[Observation]] = {}
    for observation in observations:
        by_mark.setdefault(observation.mark, []).append(observation)
    if len(by_mark) == 1:
        return [observations]
    clusters: list[tuple[list[Mark], list[Observation]]] = []
    for mark in sorted(by_mark, key=lambda m: m.count(None)):
        few = len(clusters) <= _MANY_MARKS
        fitting = [c for c in clusters if all(_fits(mark, other) for other in c[0])] if few else []
        if not fitting:
            clusters.append(([mark], list(by_mark[mark])))
        elif len(fitting) == 1:
            fitting[0][0].append(mark)
            fitting[0][1].extend(by_mark[mark])
        else:
            for observation in by_mark[mark]:
                min(fitting, key=lambda c: _distance(observation, c[1]))[1].append(observation)
    return [cluster for _, cluster in clusters]


def _fits(one: Mark, two: Mark) -> bool:
    return all(a is None or b is None or a == b for a, b in zip(one, two, strict=True))


def _distance(observation: Observation, cluster: list[Observation]) -> tuple[bool, int]:
    """How far away in time the nearest sighting of a cluster is; those of other hosts come last."""
    return min((o.host != observation.host, abs(o.time_ns - observation.time_ns)) for o in cluster)
