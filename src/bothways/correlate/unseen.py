"""
Taps that a packet should have passed and that did not show it, and how certain that is.

Not seen is a finding only at a tap that ran, whose filter admits the packet, that lost none, and that no
tap of the same device or beyond disproves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from bothways.correlate.flight import Flight
from bothways.correlate.translations import Names
from bothways.correlate.witness import Witness, witnesses_of
from bothways.facts.packet import Flag, Packet, Tunnel
from bothways.facts.sighting import Capture, Sighting, Tap
from bothways.facts.trajectory import Trajectory, Unseen, Way

__all__ = ["Admits", "Watch", "first_unseen"]

#: Whether the filter of a capture admits a packet; None = cannot be told.
Admits = Callable[[Capture, Sighting], bool | None]

_ANY: Final = "any"
_NANOSECONDS: Final = 1_000_000_000


def first_unseen(trajectory: Trajectory) -> Unseen | None:
    """The first tap on the way that certainly did not see a packet; None if there is none."""
    return next((u for u in trajectory.unseen if u.certain), None)


@dataclass(slots=True)
class Watch:
    """
    The captures of a case, asked what they could have missed.

    :param offsets: each host's clock less a common one.
    """

    captures: Mapping[Tap, Capture]
    admits: Admits
    offsets: Mapping[str, int]

    def complete(
        self, flights: Sequence[Flight], trajectories: Sequence[Trajectory], names: Sequence[Names]
    ) -> tuple[Trajectory, ...]:
        """
        The trajectories of one connection with what was not seen of each, in the order of its way.

        :param flights: what *trajectories* were made of, in the same order.
        :param names: all names of the connection.
        """
        inquiry = _Inquiry(self, witnesses_of(flights), tuple(names))
        return tuple(
            replace(trajectory, unseen=tuple(inquiry.of(index, flight, trajectory)))
            for index, (flight, trajectory) in enumerate(zip(flights, trajectories, strict=True))
        )

    def ran(self, capture: Capture, flight: Flight) -> bool:
        """
        True if its own times say that a capture ran when a packet passed.

        A file that holds fewer packets than were captured broke off: what came last is not in it.
        """
        host = capture.tap.host
        if capture.started is None or capture.stopped is None:
            return False
        if capture.captured is not None and capture.captured > len(capture.sightings):
            return False
        dated = [o for o in flight.observations if not o.sighting.clock_only]
        moments = [o.time_ns for o in dated if o.host == host]
        if not moments and host in self.offsets:
            there = self.offsets[host]
            moments = [o.time_ns - self.offsets[o.host] + there for o in dated if o.host in self.offsets]
        return bool(moments) and (
            capture.started * _NANOSECONDS <= min(moments) and max(moments) <= capture.stopped * _NANOSECONDS
        )


@dataclass(slots=True)
class _Inquiry:
    watch: Watch
    witnesses: dict[Tap, Witness]
    names: tuple[Names, ...]
    admitted: dict[tuple[object, ...], bool | None] = field(default_factory=dict)
    ranks: dict[Way, dict[Tap, int]] = field(default_factory=dict)

    def of(self, index: int, flight: Flight, trajectory: Trajectory) -> Iterator[Unseen]:
        taps = {s.tap for s in trajectory.sightings}
        seen = {o.spot for o in flight.observations}
        expected = [
            tap
            for tap, witness in self.witnesses.items()
            if tap not in taps and self._passes(witness, trajectory, seen)
        ]
        rank = self._rank(trajectory.way)
        for tap in sorted(expected, key=lambda t: (rank[t], t)):
            certain, why = self._judge(index, flight, tap, self.witnesses[tap])
            yield Unseen(tap, certain, why)

    def _rank(self, way: Way) -> dict[Tap, int]:
        """How far along the way each tap lies."""
        if way not in self.ranks:
            self.ranks[way] = {tap: len(witness.before(way)) for tap, witness in self.witnesses.items()}
        return self.ranks[way]

    def _passes(self, witness: Witness, trajectory: Trajectory, seen: set[int]) -> bool:
        """
        True if the packet should pass a tap: another of its way did, or for an answer the question.

        A reset may be made anywhere on the way, so it is expected only behind what saw it.
        """
        if trajectory.way is Way.ORIGINAL and trajectory.way not in witness.ways:
            return False
        if not trajectory.flags & Flag.RST:
            return True
        return not seen.isdisjoint(witness.before(trajectory.way))

    def _judge(self, index: int, flight: Flight, tap: Tap, witness: Witness) -> tuple[bool, str]:
        capture = self.watch.captures.get(tap)
        if capture is None:
            return False, "nothing is known of the capture"
        if tap.device == _ANY:
            return False, "a capture of all devices loses frames without telling"
        other = _disproved(flight, tap, witness)
        if other is not None:
            return False, f"{other} shows it, so this capture has a gap"
        between = witness.passed[0] < index < witness.passed[-1]
        if not between and not self.watch.ran(capture, flight):
            return False, "whether the capture ran at that time is not known"
        if capture.dropped is None:
            return False, "whether the capture lost packets is not known"
        if capture.dropped:
            return False, f"the capture lost {capture.dropped} packets"
        admitted = self._admitted(capture, flight, witness)
        if not admitted:
            words = "does not admit the packet" if admitted is False else "may not admit the packet"
            return (
                False,
                f"the filter `{capture.filter}` {words}" if capture.filter else "its filter is not known",
            )
        ran = "it recorded the connection before and after" if between else "it ran"
        return True, f"{ran}, its filter admits the packet, and it lost none"

    def _admitted(self, capture: Capture, flight: Flight, witness: Witness) -> bool | None:
        model = flight.observations[0].sighting
        length = model.packet.length if capture.filter and _measures(capture.filter) else None
        question = (capture.source, flight.way, flight.flags, length)
        if question not in self.admitted:
            tunnel = None if witness.bare else _tunnel(witness, flight.way)
            answers = set()
            for names in self.names:
                source, destination = names if flight.way is Way.ORIGINAL else names[::-1]
                packet = model.packet.with_source(source).with_destination(destination)
                answers.add(self.watch.admits(capture, _as_seen(model, capture.tap, packet, tunnel)))
            self.admitted[question] = True if answers == {True} else False if False in answers else None
        return self.admitted[question]


def _disproved(flight: Flight, tap: Tap, witness: Witness) -> Tap | None:
    """Another tap that shows the packet on the same device, or behind this tap on the same way."""
    for observation in flight.observations:
        there = observation.sighting.tap
        if (there.host, there.netns, observation.sighting.device) == (tap.host, tap.netns, tap.device):
            return there
    # What came by another way than the packets that this tap saw says nothing of this tap.
    beyond = witness.beyond(flight.way)
    for observation in flight.observations:
        if observation.spot in beyond:
            return observation.sighting.tap
        if observation.spot not in witness.together:
            return None
    return None


def _as_seen(model: Sighting, tap: Tap, packet: Packet, tunnel: Tunnel | None) -> Sighting:
    """A packet as it would look at a tap."""
    device = None if tap.device == _ANY else tap.device
    return replace(model, tap=tap, device=device, direction=None, packet=packet, tunnel=tunnel)


def _tunnel(witness: Witness, way: Way) -> Tunnel | None:
    """The tunnel that a packet is in at an underlay tap; that of the other way turned round."""
    if way in witness.tunnels:
        return witness.tunnels[way]
    other = next(iter(witness.tunnels.values()), None)
    return None if other is None else replace(other, src=other.dst, dst=other.src)


def _measures(text: str) -> bool:
    """True if a filter may look at the length of a frame."""
    return any(word in text for word in ("len", "less", "greater"))
