"""
How a namespace came to reset a connection that it should have forwarded.

The steps are the model's; the namespace is found in a replayed hop (observed input) or in a walk of
the whole site. A mechanism is a candidate only: a cause is what survives the flips.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bothways.diagnose.hop import Hop, Visit
from bothways.facts.packet import Flag, Packet
from bothways.facts.prediction import Journey, Walk
from bothways.facts.step import Did, Step
from bothways.facts.trajectory import Way

__all__ = ["Mechanism", "in_hop", "in_walk"]


@dataclass(frozen=True, slots=True)
class Mechanism:
    """
    A tracker that saw one direction only, and answered for a machine behind it.

    :param tracked: where the SYN was taken into the table.
    :param invalid: where a later packet of the same direction was refused.
    :param untranslated: the rule that would have translated it and was not asked, if there is one.
    :param local: where the untranslated packet was found to be for the namespace itself.
    :param reset: where the RST was made.
    :param visits: for a replayed hop: the SYN's visit and the refused packet's.
    """

    host: str
    netns: str
    tracked: Step
    translated: Step | None
    invalid: Step
    untranslated: Step | None
    local: Step | None
    reset: Step
    visits: tuple[Visit, ...] = ()

    @property
    def label(self) -> str:
        """``host/netns``."""
        return self.host if self.netns == "root" else f"{self.host}/{self.netns}"


def in_hop(hop: Hop) -> Mechanism | None:
    """Look for the mechanism in a replayed namespace."""
    opened: Visit | None = None
    for visit in hop.visits:
        if visit.trajectory.way is Way.REPLY:
            return None
        if opened is None and visit.step(Did.TRACKED) is not None and _opens(visit.entered.packet):
            opened = visit
        if opened is not None and visit is not opened and visit.answered:
            found = _read(hop.netns.host, hop.netns.name, opened.steps, visit.steps)
            if found is not None:
                return replace(found, visits=(opened, visit))
    return None


def in_walk(walk: Walk) -> Mechanism | None:
    """Look for the mechanism in a predicted outcome: which namespace made the RST, and why."""
    for journey in walk.journeys:
        steps = _steps(journey)
        answered = next((s for s in steps if s.did is Did.ANSWERED and _is_reset(s.after)), None)
        if answered is None or journey.way is not Way.ORIGINAL:
            continue
        host, netns = answered.place.host, answered.place.netns
        openers = [j for j in walk.journeys if j.way is Way.ORIGINAL and j.name == "SYN"]
        replies = [j for j in walk.journeys if j.way is Way.REPLY and j.name == "SYN/ACK"]
        if not openers or any(_visits(_steps(reply), host, netns) for reply in replies):
            continue
        found = _read(host, netns, _steps(openers[0]), steps)
        if found is not None and replies:
            return found
    return None


def _read(host: str, netns: str, opening: Iterable[Step], refused: Iterable[Step]) -> Mechanism | None:
    first = [s for s in opening if (s.place.host, s.place.netns) == (host, netns)]
    later = _until_answered(s for s in refused if (s.place.host, s.place.netns) == (host, netns))
    tracked = _find(first, Did.TRACKED)
    invalid, reset = _find(later, Did.INVALID), _find(later, Did.ANSWERED)
    if tracked is None or invalid is None or reset is None or not _is_reset(reset.after):
        return None
    local = next((s for s in later if s.did is Did.ROUTED or s.function.startswith("ip_local_deliver")), None)
    return Mechanism(
        host,
        netns,
        tracked,
        _find(first, Did.TRANSLATED),
        invalid,
        _find(later, Did.NOT_TRANSLATED),
        local,
        reset,
    )


def _until_answered(steps: Iterable[Step]) -> list[Step]:
    """What was done to the packet itself: the steps of its answer follow the one in which that was made."""
    own: list[Step] = []
    for step in steps:
        own.append(step)
        if step.did is Did.ANSWERED:
            break
    return own


def _find(steps: Iterable[Step], did: Did) -> Step | None:
    return next((s for s in steps if s.did is did), None)


def _steps(journey: Journey) -> list[Step]:
    return [step for branch in journey.branches for step in branch.steps]


def _visits(steps: Iterable[Step], host: str, netns: str) -> bool:
    return any((s.place.host, s.place.netns) == (host, netns) and s.did is not Did.IGNORED for s in steps)


def _opens(packet: Packet) -> bool:
    return packet.tcp is not None and packet.tcp.flags & (Flag.SYN | Flag.ACK) == Flag.SYN


def _is_reset(packet: Packet | None) -> bool:
    return packet is not None and packet.tcp is not None and bool(packet.tcp.flags & Flag.RST)
