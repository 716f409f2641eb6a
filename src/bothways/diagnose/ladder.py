"""Lay a connection out as a ladder: one column a tap, one rung a packet."""

from __future__ import annotations

from bothways.correlate import Correlation, corrected_ns
from bothways.facts.diagnosis import Ladder, Rung
from bothways.facts.packet import Flag, flags_text
from bothways.facts.sighting import Tap
from bothways.facts.trajectory import Connection, Trajectory, Way

__all__ = ["ladder_of"]

_NAMES = ((Flag.RST, "RST"), (Flag.SYN | Flag.ACK, "SYN/ACK"), (Flag.SYN, "SYN"), (Flag.FIN, "FIN"))


def ladder_of(connection: Connection, correlation: Correlation) -> Ladder:
    """Columns in the order in which the client's packets pass them, then taps that saw replies only."""
    taps = _columns(connection)
    rungs = [_rung(t, connection, correlation, taps) for t in connection.trajectories if t.sightings]
    rungs.sort(key=lambda rung: min(rung.corrected_ns))
    return Ladder(taps, tuple(rungs), correlation.reference)


def _columns(connection: Connection) -> tuple[Tap, ...]:
    """Merge the paths: a tap stands right after the one it was first seen behind."""
    order: list[Tap] = []
    for trajectory in sorted(connection.trajectories, key=lambda t: t.way is not Way.ORIGINAL):
        path = [s.tap for s in trajectory.sightings]
        if trajectory.way is Way.REPLY:
            path.reverse()
        previous: Tap | None = None
        for tap in path:
            if tap not in order:
                order.insert(order.index(previous) + 1 if previous in order else 0, tap)
            previous = tap
    return tuple(order)


def _rung(
    trajectory: Trajectory, connection: Connection, correlation: Correlation, taps: tuple[Tap, ...]
) -> Rung:
    first = trajectory.sightings[0].packet
    name = _name(trajectory)
    note = "" if trajectory.retransmission_of is None else "sent again"
    times = tuple(corrected_ns(s, correlation.clocks) for s in trajectory.sightings)
    expected = _expected(trajectory, connection)
    seen = {s.tap for s in trajectory.sightings}
    missing = tuple(
        (u.tap, u.why) for u in trajectory.unseen if u.tap in expected and u.tap not in seen and u.tap in taps
    )
    return Rung(
        f"{name} [{flags_text(trajectory.flags)}] {first.source} > {first.destination}",
        trajectory.sightings,
        times,
        missing,
        note,
    )


def _name(trajectory: Trajectory) -> str:
    for flags, name in _NAMES:
        if trajectory.flags & flags == flags:
            return name
    return "data" if trajectory.flags & Flag.PSH else "ACK"


def _expected(trajectory: Trajectory, connection: Connection) -> set[Tap]:
    """
    Taps that a packet should have passed: those that the connection's first packet passed.

    A reset is expected nowhere in particular: its sender may stand anywhere on the way.
    """
    if trajectory.flags & Flag.RST:
        return set()
    syn = next((t for t in connection.trajectories if t.flags & (Flag.SYN | Flag.ACK) == Flag.SYN), None)
    return set() if syn is None else {s.tap for s in syn.sightings}
