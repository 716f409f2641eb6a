"""Write a packet's way down while it is walked: one trail for every copy."""

from __future__ import annotations

from dataclasses import dataclass, field

from bothways.facts.packet import Flag, Packet
from bothways.facts.prediction import Branch, Journey
from bothways.facts.step import Did, Place, Step
from bothways.facts.trajectory import Way

__all__ = ["Draft", "Frame"]


@dataclass(slots=True)
class Draft:
    """A journey that is still being walked."""

    name: str
    way: Way | None
    sender: str
    packet: Packet
    at_ns: int = 0
    trails: list[list[Step]] = field(default_factory=list)

    def journey(self) -> Journey:
        """The finished journey."""
        flags = Flag(0) if self.packet.tcp is None else self.packet.tcp.flags
        branches = tuple(Branch(tuple(trail)) for trail in self.trails if trail)
        return Journey(self.name, self.way, self.sender, self.packet, branches, self.at_ns, flags)


@dataclass(slots=True)
class Frame:
    """One copy of a packet on its way."""

    draft: Draft
    packet: Packet
    trail: list[Step]

    @classmethod
    def of(cls, draft: Draft) -> Frame:
        """The first copy of a packet."""
        trail: list[Step] = []
        draft.trails.append(trail)
        return cls(draft, draft.packet, trail)

    def note(self, place: Place, function: str, did: Did, reason: str, after: Packet | None = None) -> None:
        """Write one step."""
        self.trail.append(Step(place, function, did, self.packet, after or self.packet, reason))

    def another(self) -> Frame:
        """One more copy, with a trail of its own."""
        trail: list[Step] = []
        self.draft.trails.append(trail)
        return Frame(self.draft, self.packet, trail)

    def copies(self, packets: list[tuple[Packet, tuple[Step, ...]]]) -> list[Frame]:
        """Go on as several copies: the first keeps this trail, the others start one of their own."""
        frames = []
        for index, (packet, steps) in enumerate(packets):
            copy = Frame(self.draft, packet, self.trail) if index == 0 else self.another()
            copy.packet = packet
            copy.trail.extend(steps)
            frames.append(copy)
        return frames
