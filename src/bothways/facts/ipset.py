"""What ``ipset save`` and ``ipset list`` print: named sets of addresses, networks, ports, devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bothways.facts.address import IPNetwork, Mac
from bothways.facts.span import Span

__all__ = ["IpSet", "Member", "Part"]

#: One part of a member: an address or network, ``(protocol, low, high)`` of ports, a number, a name, a MAC.
Part = IPNetwork | tuple[int, int, int] | int | str | Mac


@dataclass(frozen=True, slots=True)
class Member:
    """
    One element.

    :param parts: one for each word of the set's type, in its order; ranges of addresses are several members.
    :param options: ``timeout``, ``nomatch``, ``packets``, ``skbmark`` … as they were printed; flags are "".
    """

    parts: tuple[Part, ...]
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def nomatch(self) -> bool:
        """True for an exception inside a larger network."""
        return "nomatch" in self.options


@dataclass(frozen=True, slots=True)
class IpSet:
    """
    One set.

    :param method: ``hash``, ``bitmap`` or ``list``; *types* the words behind: ``ip``, ``net``, ``port``,
        ``iface``, ``mac``, ``mark``, ``set``.
    :param members: in the order of the dump.
    :param options: of ``create``: ``family``, ``timeout``, ``netmask`` …; flags are "".
    :param whole: False if a member could not be read; a packet that none of the others means may be in it.
    """

    name: str
    method: str
    types: tuple[str, ...]
    members: tuple[Member, ...]
    span: Span
    options: Mapping[str, str] = field(default_factory=dict)
    whole: bool = True
