"""What does not fit: gaps of captures that another tap disproves, and addresses where their owner is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from bothways.correlate.unseen import Admits
from bothways.facts.sighting import Capture, Sighting, Tap
from bothways.facts.snapshot import Snapshot
from bothways.facts.span import Kind, Problem
from bothways.facts.trajectory import Connection, Match

__all__ = ["find_gaps", "find_misplaced"]

_ANY: Final = "any"


def find_gaps(
    connections: Sequence[Connection], captures: Mapping[Tap, Capture], admits: Admits
) -> Iterator[Problem]:
    """
    Captures of all devices that lack frames which a device's own capture in the same namespace shows.

    Only a capture that recorded the connection before and after, and whose filter admits the frame, has a
    gap.
    """
    lacking: dict[Tap, list[Sighting]] = {}
    for connection in connections:
        spans: dict[Tap, tuple[int, int]] = {}
        for index, trajectory in enumerate(connection.trajectories):
            for tap in {s.tap for s in trajectory.sightings if s.tap.device == _ANY}:
                spans[tap] = (spans.get(tap, (index, index))[0], index)
        for index, trajectory in enumerate(connection.trajectories):
            seen = {s.tap for s in trajectory.sightings}
            for tap, (first, last) in spans.items():
                if tap in seen or not first < index < last or trajectory.match is not Match.EXACT:
                    continue
                shown = _elsewhere(trajectory.sightings, tap)
                if shown is not None and captures.get(tap) and admits(captures[tap], shown):
                    lacking.setdefault(tap, []).append(shown)
    for tap, frames in lacking.items():
        count = "a frame" if len(frames) == 1 else f"{len(frames)} frames"
        yield Problem(
            Kind.CONTRADICTION,
            frames[0].span,
            f"the capture {tap} lacks {count} that {frames[0].tap} shows",
            "a capture of all devices loses frames without telling; what it does not show may have passed",
        )


def _elsewhere(sightings: Sequence[Sighting], tap: Tap) -> Sighting | None:
    return next((s for s in sightings if (s.tap.host, s.tap.netns) == (tap.host, tap.netns)), None)


def find_misplaced(connections: Sequence[Connection], snapshot: Snapshot) -> Iterator[Problem]:
    """
    Hosts that give a packet a source address which a namespace of another host holds.

    Only a change that both sides of were seen on one host counts: a packet that merely passes bears foreign
    addresses by right.
    """
    told: set[tuple[str, object]] = set()
    for connection in connections:
        for trajectory in connection.trajectories:
            for before, after in pairwise(trajectory.sightings):
                old, new, host = before.packet.ip, after.packet.ip, after.tap.host
                if old is None or new is None or old.src == new.src or before.tap.host != host:
                    continue
                if (host, new.src) in told:
                    continue
                told.add((host, new.src))
                owners = list(snapshot.owners_of(new.src))
                if owners and all(netns.host != host for netns, _, _ in owners):
                    netns, device, _ = owners[0]
                    yield Problem(
                        Kind.CONTRADICTION,
                        after.span,
                        f"{host} gives packets from {old.src} the source `{new.src}`, "
                        f"which {netns.label}:{device.name} holds",
                        "one address has two owners",
                    )
