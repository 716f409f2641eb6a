"""
What a NAT rule asks for, and which side of a packet is rewritten at which hook.

``HOOK2MANIP`` of ``include/net/netfilter/nf_nat.h``: destinations at PREROUTING and OUTPUT, before the
route is looked up; sources at POSTROUTING and INPUT, after it. FORWARD translates nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from bothways.facts.iptables import AddressRange
from bothways.facts.span import Span
from bothways.model.linux.hook import Hook

__all__ = ["SIDES", "NatTarget", "Side"]


class Side(StrEnum):
    """Which side of a packet is rewritten; the value is the status bit of a connection that has it."""

    SOURCE = "SRC_NAT"
    DESTINATION = "DST_NAT"

    @property
    def done(self) -> str:
        """Status bit: this side was decided, with or without a translation."""
        return f"{self}_DONE"

    @property
    def other(self) -> Side:
        """The side that an answer has rewritten in its place."""
        return Side.DESTINATION if self is Side.SOURCE else Side.SOURCE

    @property
    def word(self) -> str:
        """``source`` or ``destination``."""
        return "source" if self is Side.SOURCE else "destination"


SIDES: Final[Mapping[Hook, Side]] = MappingProxyType(
    {
        Hook.PREROUTING: Side.DESTINATION,
        Hook.INPUT: Side.SOURCE,
        Hook.OUTPUT: Side.DESTINATION,
        Hook.POSTROUTING: Side.SOURCE,
    }
)


@dataclass(frozen=True, slots=True)
class NatTarget:
    """
    The target that a packet met in the nat table.

    :param kind: ``SNAT``, ``DNAT``, ``MASQUERADE``, ``REDIRECT`` or ``NETMAP``.
    :param ranges: what it may choose from. MASQUERADE and REDIRECT take the device's address: who walks the
        rules puts it here. NETMAP: first and last address of the network. Empty: address and port stay.
    :param flags: options without a value: ``random``, ``random-fully``, ``persistent``.
    :param evidence: the rule's line.
    """

    kind: str
    ranges: tuple[AddressRange, ...] = ()
    flags: frozenset[str] = frozenset()
    evidence: tuple[Span, ...] = ()
