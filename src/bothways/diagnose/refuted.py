"""
Causes that fit the symptom and that the evidence refutes: what a colleague would ask first.

Each row looks for one cause and answers with a ``RuledOut`` only where something in the evidence speaks
against it. That nothing speaks for a cause refutes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from bothways.diagnose.case import Case
from bothways.diagnose.hop import Visit
from bothways.diagnose.verdict import Explanation
from bothways.facts.diagnosis import Fate, RuledOut
from bothways.facts.sighting import Sighting
from bothways.facts.step import Did
from bothways.facts.trajectory import Way

__all__ = ["refuted"]


def refuted(case: Case, explanation: Explanation) -> tuple[RuledOut, ...]:
    """Every cause of the table that is refuted in a case, in the order of the table."""
    found = (look(case, explanation) for look in _LOOKS)
    return tuple(item for item in found if item is not None)


def _no_listener(case: Case, _: Explanation) -> RuledOut | None:
    """BW601: a server that answers with SYN/ACK listens."""
    story = case.story
    if story is None or story.synack is None or not story.synack.sightings:
        return None
    first = story.synack.sightings[0]
    return RuledOut(
        "BW601",
        f"{first.packet.source} answered with a SYN/ACK, so something listens there",
        case.ages.all(first),
    )


def _by_application(case: Case, explanation: Explanation) -> RuledOut | None:
    """BW801: a RST that another namespace than the server's made was not sent by the application."""
    origin, author = case.origin, explanation.author
    if origin is None or author is None or not origin.sure or case.story is None or case.story.reset is None:
        return None
    inside = {s.packet.source.address for s in _replies(case) if s.packet.source is not None}
    held = {
        (netns.host, netns.name)
        for address in inside
        for netns, _, _ in case.bundle.snapshot.owners_of(address)
    }
    machine = held - {(author.host, author.netns)}
    if not machine and held:
        return None
    where = author.host if author.netns in (None, "root") else f"{author.host}/{author.netns}"
    why = f"the RST was made in {where}, not where the server runs: {origin.why}"
    return RuledOut("BW801", why, case.ages.all(origin.sighting))


def _bad_checksum(case: Case, _: Explanation) -> RuledOut | None:
    """BW109: where every captured checksum is right, none was refused for a wrong one."""
    if case.story is None:
        return None
    seen = [s for t in case.story.connection.trajectories for s in t.sightings if s.packet.tcp is not None]
    sums = [s.packet.tcp.checksum_ok for s in seen if s.packet.tcp is not None]
    if not sums or not all(sums):
        return None
    drew = next((visit.entered for visit in _answered(case)), seen[0])
    why = f"the checksums of all {len(sums)} captured packets of the connection are right"
    return RuledOut("BW109", why, case.ages.all(drew))


def _rejected(case: Case, explanation: Explanation) -> RuledOut | None:
    """BW402: the packet that drew the RST met no REJECT rule on its way through the namespace."""
    netns = None if explanation.place is None else case.bundle.snapshot.netns(*explanation.place)
    if netns is None or netns.iptables is None or not netns.iptables.whole or case.fate is not Fate.RESET:
        return None
    for visit in _answered(case):
        made = visit.step(Did.ANSWERED)
        if made is not None and made.function.startswith("tcp_"):
            why = f"{made.function} made the RST; no REJECT rule of {netns.label} matched what drew it"
            return RuledOut("BW402", why, case.ages.all(visit.entered))
    return None


def _replies(case: Case) -> Iterator[Sighting]:
    if case.story is None:
        return
    for trajectory in case.story.connection.trajectories:
        if trajectory.way is Way.REPLY and trajectory is not case.story.reset:
            yield from trajectory.sightings[:1]


def _answered(case: Case) -> Iterator[Visit]:
    """Packets that the replayed namespace answered itself."""
    return (visit for visit in (case.hop.visits if case.hop is not None else ()) if visit.answered)


_LOOKS: Final[tuple[Callable[[Case, Explanation], RuledOut | None], ...]] = (
    _no_listener,
    _by_application,
    _bad_checksum,
    _rejected,
)
