"""What comes out of a stack for one packet that went into it."""

from __future__ import annotations

from dataclasses import dataclass, field

from bothways.facts.address import IPAddress
from bothways.facts.packet import Packet
from bothways.facts.span import Span
from bothways.facts.step import Did, Place, Step

__all__ = ["Account", "Passage", "Transmission"]


@dataclass(frozen=True, slots=True)
class Transmission:
    """
    One packet on its way out of a device.

    :param next_hop: the neighbour whose MAC is still to be found; None if the frame is complete.
    """

    device: str
    packet: Packet
    next_hop: IPAddress | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """
    What a stack made of one packet.

    Steps stand in the order in which things happened; those of an answer follow the ANSWERED step.

    :param delivered: packets that a socket of this namespace took.
    :param unknown: what was not collected or is not modelled and might have changed the rest.
    :param heard: ARP replies that a device of this namespace took, with that device.
    """

    steps: tuple[Step, ...] = ()
    transmissions: tuple[Transmission, ...] = ()
    delivered: tuple[Packet, ...] = ()
    unknown: tuple[str, ...] = ()
    heard: tuple[tuple[str, Packet], ...] = ()


@dataclass(slots=True)
class Account:
    """A passage while it is written."""

    host: str
    netns: str
    steps: list[Step] = field(default_factory=list)
    transmissions: list[Transmission] = field(default_factory=list)
    delivered: list[Packet] = field(default_factory=list)
    unknown: dict[str, None] = field(default_factory=dict)
    heard: list[tuple[str, Packet]] = field(default_factory=list)

    def note(
        self,
        device: str,
        function: str,
        did: Did,
        packet: Packet,
        reason: str,
        *,
        after: Packet | None = None,
        evidence: tuple[Span, ...] = (),
        cell: str = "",
    ) -> None:
        """Write one step; a packet that ends in it has no *after*."""
        place = Place(self.host, self.netns, device)
        left = None if did in (Did.DROPPED, Did.IGNORED, Did.UNKNOWN) else after or packet
        self.steps.append(Step(place, function, did, packet, left, reason, evidence, cell))

    def doubt(self, text: str) -> None:
        """Note once what is not known."""
        self.unknown.setdefault(text)

    def passage(self) -> Passage:
        """The finished passage."""
        return Passage(
            tuple(self.steps),
            tuple(self.transmissions),
            tuple(self.delivered),
            tuple(self.unknown),
            tuple(self.heard),
        )
