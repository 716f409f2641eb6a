"""What a rule may ask about a packet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bothways.facts.address import IPAddress
from bothways.facts.dump import Dump
from bothways.facts.ipset import IpSet
from bothways.facts.packet import Packet
from bothways.facts.snapshot import Netns
from bothways.model.linux.conntrack.entry import Tracking
from bothways.model.linux.hook import Hook
from bothways.model.linux.routing import Outcome, Wanted

__all__ = ["Probe"]


@dataclass(frozen=True, slots=True)
class Probe:
    """
    One packet at one hook, as matches see it.

    :param device_in: "" where the hook does not tell; *device_out* the same.
    :param tracking: None if conntrack does not run or was not asked yet.
    :param mine: True if this namespace made the packet.
    :param kind_of: what an address is by the local routing table (``local``, ``broadcast``, …).
    :param holder_of: the device of an address in the local routing table, "" if it stands in none.
    :param route: asks the routing tables.
    :param is_anycast: whether an address is one that several hosts share.
    :param port_in: ports of a bridge that handed the packet to the IP hooks, as ``physdev`` sees them.
    :param netns: where all of this is.
    :param mtu: says what fits on the way of the packet and back.
    :param ipsets: sets of ipset, None if they were not collected; *written_sets* those that a rule writes to.
    """

    packet: Packet
    hook: Hook
    device_in: str
    device_out: str
    mark: int
    tracking: Tracking | None
    mine: bool
    kind_of: Callable[[IPAddress], str]
    holder_of: Callable[[IPAddress], str]
    route: Callable[[Wanted], Outcome]
    is_anycast: Callable[[IPAddress], bool]
    ipsets: Dump[IpSet] | None = None
    written_sets: frozenset[str] = frozenset()
    port_in: str = ""
    port_out: str = ""
    netns: Netns | None = None
    mtu: Callable[[], int | None] = lambda: None

    def group_of(self, device: str) -> str | None:
        """The group of a device as the dump names it, None if it does not say."""
        found = None if self.netns is None else self.netns.device(device)
        return None if found is None else found.group or None
