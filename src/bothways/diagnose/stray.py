"""
How a namespace let a reply out with the address inside.

It translates connections that it saw begin. A reply whose first packet passed elsewhere is unknown to its
tracker: INVALID, so it is routed on as it came, and the client gets an answer from somebody it never asked. A
candidate only: a cause is what survives the flips.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bothways.diagnose.hop import Hop, Visit
from bothways.facts.packet import Flag
from bothways.facts.prediction import Journey, Walk
from bothways.facts.sighting import Sighting
from bothways.facts.snapshot import Snapshot
from bothways.facts.step import Did, Step
from bothways.facts.trajectory import Connection, Way

__all__ = ["Stray", "stray_in_hop", "stray_in_walk", "visited"]


@dataclass(frozen=True, slots=True)
class Stray:
    """
    A reply that a namespace did not know and let through untranslated.

    :param invalid: where the tracker refused it.
    :param untranslated: the rule that would have translated it.
    :param left: where it went out.
    :param visit: for a replayed hop: the reply's visit.
    """

    host: str
    netns: str
    invalid: Step
    untranslated: Step
    left: Step
    visit: Visit | None = None

    @property
    def label(self) -> str:
        """``host/netns``."""
        return self.host if self.netns == "root" else f"{self.host}/{self.netns}"


def visited(connection: Connection, snapshot: Snapshot) -> list[tuple[str, str]]:
    """Namespaces in which the SYN/ACK was captured, and no SYN that was meant for them."""
    opening = {
        _place(s)
        for t in connection.trajectories
        if _opens(t.flags)
        for s in t.sightings
        if not _overheard(s, snapshot)
    }
    answered = [
        _place(s)
        for t in connection.trajectories
        if t.way is Way.REPLY and _answers(t.flags)
        for s in t.sightings
        if s.device
    ]
    return [place for place in dict.fromkeys(answered) if place not in opening]


def stray_in_hop(hop: Hop) -> Stray | None:
    """Look for it in a replayed namespace."""
    for visit in hop.visits:
        if _opens(visit.trajectory.flags) and visit.step(Did.TRACKED) is not None:
            return None
        if visit.trajectory.way is Way.REPLY and _answers(visit.trajectory.flags) and visit.forwarded:
            return _read(hop.netns.host, hop.netns.name, visit.steps, visit)
    return None


def stray_in_walk(walk: Walk) -> Stray | None:
    """Look for it in a predicted outcome."""
    syns = [j for j in walk.journeys if j.way is Way.ORIGINAL and j.name == "SYN"]
    for journey in walk.journeys:
        if journey.way is not Way.REPLY or journey.name != "SYN/ACK":
            continue
        for branch in journey.branches:
            places = dict.fromkeys((s.place.host, s.place.netns) for s in branch.steps if s.place.netns)
            for host, netns in places:
                passed = any(_passes(syn, host, netns) for syn in syns)
                found = None if passed else _read(host, netns, branch.steps, None)
                if found is not None:
                    return found
    return None


def _read(host: str, netns: str, steps: Iterable[Step], visit: Visit | None) -> Stray | None:
    here = [s for s in steps if (s.place.host, s.place.netns) == (host, netns)]
    found = {did: next((s for s in here if s.did is did), None) for did in Did}
    invalid, untranslated = found[Did.INVALID], found[Did.NOT_TRANSLATED]
    left = next((s for s in reversed(here) if s.did in (Did.SENT, Did.CHANGED)), None)
    if invalid is None or untranslated is None or left is None or found[Did.TRANSLATED] is not None:
        return None
    return Stray(host, netns, invalid, untranslated, left, visit)


def _passes(journey: Journey, host: str, netns: str) -> bool:
    return any(
        (s.place.host, s.place.netns) == (host, netns) and s.did is not Did.IGNORED
        for branch in journey.branches
        for s in branch.steps
    )


def _overheard(sighting: Sighting, snapshot: Snapshot) -> bool:
    """True for a frame that is addressed to another station than the device it was seen at."""
    netns = snapshot.netns(sighting.tap.host, sighting.tap.netns)
    device = None if netns is None or sighting.device is None else netns.device(sighting.device)
    ethernet = sighting.packet.ethernet
    return device is not None and bool(ethernet.dst) and device.mac not in (ethernet.dst, ethernet.src)


def _place(sighting: Sighting) -> tuple[str, str]:
    return sighting.tap.host, sighting.tap.netns


def _opens(flags: Flag) -> bool:
    return flags & (Flag.SYN | Flag.ACK) == Flag.SYN


def _answers(flags: Flag) -> bool:
    return flags & (Flag.SYN | Flag.ACK) == Flag.SYN | Flag.ACK
