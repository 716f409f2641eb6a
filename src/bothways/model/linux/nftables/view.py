"""What a rule of nft sees: one packet at one hook, the table, and what sets learned during the walk."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from bothways.facts.nft import NftTable
from bothways.facts.nft_expression import Element, Interval, Word
from bothways.facts.packet import Packet
from bothways.model.linux.buffer import Buffer
from bothways.model.linux.conntrack.entry import TrackedConnection, Tracking
from bothways.model.linux.hook import Hook
from bothways.model.linux.iptables.probe import Probe

__all__ = ["BREAK", "Break", "Learned", "Memory", "Value", "View"]

_LINK_FAMILIES = frozenset({"bridge", "netdev", "arp"})


class Break(Enum):
    """``NFT_BREAK``: a packet does not have what a rule reads, and the rule ends."""

    ENDS = "the rule ends"


BREAK = Break.ENDS

#: What a field or expression gives: a number, all numbers of a range, a name; None if it is not known.
Value = int | str | Interval | Break | None

#: What rules put into a set and took out of it: key -> element, None if it was deleted.
Learned = dict[tuple[Interval | Word, ...], Element | None]
#: (family, table, set) -> what it learned during the walk
Memory = dict[tuple[str, str, str], Learned]


@dataclass(frozen=True, slots=True)
class View:
    """One packet at one hook, for the rules of one table."""

    table: NftTable
    hook: Hook
    buffer: Buffer
    probe: Probe
    memory: Memory

    @property
    def packet(self) -> Packet:
        """The packet as it is now."""
        return self.buffer.packet

    @property
    def family(self) -> str:
        """Family of the table."""
        return self.table.family

    @property
    def linked(self) -> bool:
        """True if the family sees frames, not packets of IP."""
        return self.table.family in _LINK_FAMILIES

    @property
    def tracking(self) -> Tracking | None:
        """What the tracker said of the packet."""
        return self.probe.tracking

    @property
    def connection(self) -> TrackedConnection | None:
        """The connection of the packet."""
        return None if self.probe.tracking is None else self.probe.tracking.connection
