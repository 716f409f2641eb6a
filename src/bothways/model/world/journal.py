"""Write a packet's way down while it is walked: one trail for every copy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from bothways.facts.bypass import BypassKind
from bothways.facts.packet import Flag, Packet
from bothways.facts.prediction import Branch, Journey
from bothways.facts.step import Did, Place, Step
from bothways.facts.trajectory import Way
from bothways.model.linux.bypass import CELL

__all__ = ["Draft", "Frame", "passed_on"]

_TAKEN: Final = f"{CELL}{BypassKind.SHARED}"


@dataclass(slots=True)
class Draft:
    """A journey that is still being walked."""

    name: str
    way: Way | None
    sender: str
    packet: Packet
    at_ns: int = 0
    trails: list[list[Step]] = field(default_factory=list)
    splits: dict[int, tuple[list[Step], int]] = field(default_factory=dict)

    def journey(self) -> Journey:
        """The finished journey."""
        flags = Flag(0) if self.packet.tcp is None else self.packet.tcp.flags
        numbers = {id(trail): number for number, trail in enumerate(each for each in self.trails if each)}
        branches = tuple(Branch(tuple(trail), self._split(trail, numbers)) for trail in self.trails if trail)
        return Journey(self.name, self.way, self.sender, self.packet, branches, self.at_ns, flags)

    def mattering(self) -> Iterator[Step]:
        """Steps of every copy that went on, or ended for a reason; not of those that nobody took."""
        lasting: dict[int, int] = {}
        trails = {id(trail): trail for trail in self.trails}
        for trail in self.trails:
            # A frame that another device takes away looks as if nobody took it.
            if not trail or (trail[-1].did is Did.IGNORED and all(s.cell != _TAKEN for s in trail)):
                continue
            one, upto = trail, len(trail)
            while True:
                lasting[id(one)] = max(lasting.get(id(one), 0), upto)
                source = self.splits.get(id(one))
                if source is None:
                    break
                one, upto = source
        for key, upto in lasting.items():
            yield from trails[key][:upto]

    def begin(self, source: list[Step] | None = None, shared: int = 0) -> list[Step]:
        """Begin a trail; *shared* steps of *source* are its past."""
        trail: list[Step] = []
        self.trails.append(trail)
        if source is not None:
            self.splits[id(trail)] = (source, shared)
        return trail

    def _split(self, trail: list[Step], numbers: dict[int, int]) -> tuple[int, int] | None:
        """Where a trail begins; a trail that stayed empty hands its own beginning down."""
        source = self.splits.get(id(trail))
        while source is not None:
            if source[0]:
                return numbers[id(source[0])], source[1]
            source = self.splits.get(id(source[0]))
        return None


@dataclass(slots=True)
class Frame:
    """One copy of a packet on its way."""

    draft: Draft
    packet: Packet
    trail: list[Step]

    @classmethod
    def of(cls, draft: Draft) -> Frame:
        """The first copy of a packet."""
        return cls(draft, draft.packet, draft.begin())

    def note(self, place: Place, function: str, did: Did, reason: str, after: Packet | None = None) -> None:
        """Write one step."""
        self.trail.append(Step(place, function, did, self.packet, after or self.packet, reason))

    def another(self) -> Frame:
        """One more copy, with a trail of its own."""
        return Frame(self.draft, self.packet, self.draft.begin(self.trail, len(self.trail)))

    def copies(self, packets: list[tuple[Packet, tuple[Step, ...]]]) -> list[Frame]:
        """Go on as several copies: the first keeps this trail, the others start one of their own."""
        frames = []
        shared = len(self.trail)
        for index, (packet, steps) in enumerate(packets):
            trail = self.trail if index == 0 else self.draft.begin(self.trail, shared)
            copy = Frame(self.draft, packet, trail)
            copy.trail.extend(steps)
            frames.append(copy)
        return frames


def passed_on(one: Packet, other: Packet) -> bool:
    """True if a stack passed *other* on as *one*; False if it made a packet of its own."""
    if one.arp is not None or other.arp is not None:
        return one.arp is not None and other.arp is not None and one.arp.op == other.arp.op
    if one.tcp is not None and other.tcp is not None:
        return one.tcp.flags == other.tcp.flags and one.tcp.seq == other.tcp.seq
    if one.icmp is not None and other.icmp is not None:
        return one.icmp.type == other.icmp.type
    return one.ip is not None and other.ip is not None and one.ip.protocol == other.ip.protocol
