"""
One IP version at the hooks of a namespace: its tables, its native chains, its tracker.

IPv4 and IPv6 have hooks of their own (``NFPROTO_IPV4``, ``NFPROTO_IPV6``). A table of ``ip6tables-save`` or
of the nft family ``ip6`` meets no packet of IPv4, one of the family ``inet`` meets both. The tracker is
hung up for each of them by itself (``nf_ct_netns_get``).
"""

from __future__ import annotations

from bothways.facts.dump import Dump
from bothways.facts.iptables import Table
from bothways.facts.snapshot import Netns
from bothways.model.linux.buffer import Buffer
from bothways.model.linux.doubts import doubts_of
from bothways.model.linux.hook import Hook
from bothways.model.linux.iptables.uses import tracks
from bothways.model.linux.stages import native_nat, stages_of

__all__ = ["Family", "version_of"]

_IPV4 = 4


def version_of(buffer: Buffer) -> int:
    """The IP version of a packet; what has no IP header counts as IPv4."""
    ip = buffer.packet.ip
    return _IPV4 if ip is None else ip.src.version


class Family:
    """
    What packets of one IP version meet in a namespace.

    ``collected`` is the dump of iptables' or ip6tables' rules, None if it was not made.
    """

    def __init__(self, netns: Netns, version: int) -> None:
        self.version = version
        self.collected: Dump[Table] | None = netns.iptables if version == _IPV4 else netns.ip6tables
        self.tables: dict[str, list[Table]] = {}
        for table in self.collected or ():
            self.tables.setdefault(table.name, []).append(table)
        self.stages = {hook: stages_of(netns, hook, version) for hook in Hook}
        self.native_nat = {hook: native_nat(netns, hook, version) for hook in Hook}
        self.tracks = tracks(netns, version)
        self.doubts = tuple(doubts_of(netns, version))
