"""What the kernel carries along with a packet while it is inside one namespace (``struct sk_buff``)."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.address import IPAddress
from bothways.facts.packet import Packet
from bothways.model.linux.conntrack.entry import Tracking

__all__ = ["Buffer"]


@dataclass(slots=True)
class Buffer:
    """
    One packet inside a stack.

    :param device_in: where it came in, "" for a packet that was made here.
    :param device_out: where it leaves, "" before it is routed.
    :param mark: the packet's mark, ``nfmark``.
    :param tracking: what conntrack found, None before it was asked.
    :param untracked: True once a rule said NOTRACK.
    :param zone: the conntrack zone that a rule put it into.
    :param packet_type: ``host``, ``other``, ``broadcast``, ``multicast`` (``skb->pkt_type``) where a bridge
        looked at the frame; "" elsewhere.
    :param bridge: the bridge that the frame is in, "" elsewhere.
    :param next_hop: the neighbour that it goes to, None before it is routed.
    """

    packet: Packet
    device_in: str = ""
    device_out: str = ""
    mark: int = 0
    tracking: Tracking | None = None
    untracked: bool = False
    zone: int = 0
    next_hop: IPAddress | None = None
    packet_type: str = ""
    bridge: str = ""

    @property
    def mine(self) -> bool:
        """True if this namespace made the packet."""
        return not self.device_in
