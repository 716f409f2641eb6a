"""What the kernel carries along with a packet while it is inside one namespace (``struct sk_buff``)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from bothways.facts.address import IPAddress, is_group
from bothways.facts.packet import Packet
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.entry import CtState, Tracking

__all__ = ["Buffer", "Sender"]


class Sender(Enum):
    """How an answer of the stack comes to its sender."""

    OWN = "an address of the namespace"
    ANY = "whoever the packet was for, as a rule does"
    LATER = "one that is chosen by the route, which is asked for without it"


_UNTRACKED = Tracking(CtState.UNTRACKED, None, None, None, "a rule took it out of connection tracking")

#: What is in a zone carries a template, which rules take for a new connection (``nf_ct_tmpl_alloc``).
_NEW = Tracking(CtState.NEW, None, None, None, "a rule put it into a zone")


@dataclass(slots=True)
class Buffer:
    """
    One packet inside a stack.

    :param device_in: where it came in, "" for a packet that was made here.
    :param device_out: where it leaves, "" before it is routed.
    :param mark: the packet's mark, ``nfmark``.
    :param tracking: what conntrack found, None before it was asked.
    :param untracked: True once a rule said NOTRACK.
    :param zone: the conntrack zone that a rule put it into; *half* is the only direction for which it holds.
    :param packet_type: ``host``, ``other``, ``broadcast``, ``multicast`` (``skb->pkt_type``) where a bridge
        looked at the frame; "" elsewhere.
    :param bridge: the bridge that the frame is in, "" elsewhere.
    :param next_hop: the neighbour that it goes to, None before it is routed.
    :param on_link: True if its route names no gateway: the neighbour is whoever the header names in the end.
    :param bound: device by which alone it may leave, "" for any.
    :param whole: True if a raw socket gave it with its IP header: its neighbour is chosen by the header that
        it had then (``FLOWI_FLAG_KNOWN_NH``).
    :param route: kind of the route that it has, "" before it is routed; what comes back through ``lo`` keeps
        it.
    :param sender: how an answer of the stack came to its sender; None for what came in or a socket sends.
    :param mtu: what its route says that fits, None if that is left to the device.
    :param port_in: the port of a bridge where it came in, and *port_out* where it leaves, as ``br_netfilter``
        keeps them; "" for what no bridge handed to the IP hooks.
    :param hollow: True of an answer to an UNTRACKED packet: it refers to no connection, and is tracked, but
        iptables' ``CT`` takes it for one that was looked at (``nf_conntrack_attach``).
    :param prerouted: True if it passed PREROUTING inside of a bridge.
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
    on_link: bool = False
    bound: str = ""
    port_in: str = ""
    port_out: str = ""
    prerouted: bool = False
    whole: bool = False
    route: str = ""
    sender: Sender | None = None
    mtu: int | None = None
    half: Way | None = None
    hollow: bool = False

    @property
    def mine(self) -> bool:
        """True if this namespace made the packet."""
        return not self.device_in

    @property
    def seen(self) -> Tracking | None:
        """What rules see of the tracker: before its turn, a packet that NOTRACK met is UNTRACKED already."""
        if self.tracking is not None:
            return self.tracking
        return _UNTRACKED if self.untracked else _NEW if self.zone else None

    @property
    def single(self) -> bool:
        """True of a frame for this host alone (``PACKET_HOST``): by its MAC, or because a rule said so."""
        if self.packet_type:
            return self.packet_type == "host"
        return not is_group(self.packet.ethernet.dst)
