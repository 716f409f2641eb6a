"""What goes into a bridge, and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bothways.facts.address import IPAddress
from bothways.facts.openflow import Flow, Port
from bothways.facts.packet import Packet
from bothways.facts.step import Step

__all__ = ["Arrival", "Output", "Passage"]

#: bits of what goes along through a patch port
_WIDTHS: Final[Mapping[str, int]] = {
    "vlan_tci": 16, "vlan_tci1": 16, "pkt_mark": 32, "ipv6_label": 20, "nd_target": 128, "nd_sll": 48,
    "nd_tll": 48, "nd_reserved": 32, "nd_options_type": 8, "mpls_label": 20, "mpls_tc": 3, "mpls_bos": 1,
    "mpls_ttl": 8, "mpls_lse1": 32, "mpls_lse2": 32, "nw_src": 32, "nw_dst": 32, "ipv6_src": 128,
    "ipv6_dst": 128, "tp_src": 16, "tp_dst": 16,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Arrival:
    """
    A packet that comes in at a port.

    :param in_port: OpenFlow port number.
    :param tun_id: key of the tunnel that it came out of; None if it came out of none, or if nobody knows.
    :param tun_src: underlay address of the sender, None if not known or no tunnel.
    :param tun_dst: underlay address that it was sent to, None if not known or no tunnel.
    :param fields: what else is known to come with it, field -> value: registers, metadata, conntrack's
        fields, what a ``Packet`` has no place for.
    :param depth: how deep the translation is that it continues behind a patch port, 0 = it begins here.
    """

    in_port: int
    packet: Packet
    tun_id: int | None = None
    tun_src: IPAddress | None = None
    tun_dst: IPAddress | None = None
    fields: Mapping[str, int] = field(default_factory=dict)
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Output:
    """
    One copy of the packet on its way out of a port.

    :param steps: its way through the tables.
    :param tun_id: the tunnel's key if the port is one, None if not known.
    :param tun_dst: the other end of the tunnel if the port is one, None if not known.
    :param fields: bits and known bits of what a ``Packet`` has no place for: a second VLAN tag, the priority
        of the first one, MPLS labels, neighbour discovery, ``pkt_mark``.
    :param cut: how many bytes of the copy go out at most, None: all.
    :param seen: what the tables of a bridge behind a patch port go on seeing of a packet that a tracker has
        translated unseen.
    :param depth: how often the way here went back to the same or an earlier table, or through a patch port.
    :param bridge: whose port it is, if patch ports were followed; empty: that of the arrival.
    :param mirror: name of the mirror that made the copy, empty if none did.
    """

    packet: Packet
    port: Port
    steps: tuple[Step, ...] = ()
    tun_id: int | None = None
    tun_dst: IPAddress | None = None
    fields: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    cut: int | None = None
    seen: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    depth: int = 0
    bridge: str = ""
    mirror: str = ""

    def through_patch(self, in_port: int) -> Arrival:
        """The copy as it comes in at the other end of a patch port."""
        along: dict[str, int] = {}
        for name, (value, known) in (*self.fields.items(), *self.seen.items()):
            whole = (1 << _WIDTHS.get(name, 128)) - 1
            if known & whole == whole:  # a priority that nobody knows does not become zero on the way
                along[name] = value & whole
        return Arrival(in_port, self.packet, fields=along, depth=self.depth + 1)


@dataclass(frozen=True, slots=True)
class Passage:
    """
    What a bridge made of one packet.

    :param steps: the way through the tables and why it ends, if nothing goes out but what mirrors copy.
    :param unknown: what was not collected or is not modelled and might have changed the rest.
    :param finals: every field and its known bits at the end of each translation: of the packet, then of what
        came back from each recirculation, in the order that ``ofproto/trace`` has; empty unless *traced*.
    :param visited: tables that were looked up, in order: the bridge, the table, and the flow that was hit;
        None: none was.
    """

    outputs: tuple[Output, ...] = ()
    steps: tuple[Step, ...] = ()
    unknown: tuple[str, ...] = ()
    finals: tuple[Mapping[str, tuple[int, int]], ...] = ()
    visited: tuple[tuple[str, int, Flow | None], ...] = ()
