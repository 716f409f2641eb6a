"""What goes into a bridge, and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bothways.facts.address import IPAddress
from bothways.facts.openflow import Flow, Port
from bothways.facts.packet import Packet
from bothways.facts.step import Step

__all__ = ["Arrival", "Output", "Passage"]


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
    """

    in_port: int
    packet: Packet
    tun_id: int | None = None
    tun_src: IPAddress | None = None
    tun_dst: IPAddress | None = None
    fields: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Output:
    """
    One copy of the packet on its way out of a port.

    :param steps: its way through the tables.
    :param tun_id: the tunnel's key if the port is one, None if not known.
    :param tun_dst: the other end of the tunnel if the port is one, None if not known.
    """

    packet: Packet
    port: Port
    steps: tuple[Step, ...] = ()
    tun_id: int | None = None
    tun_dst: IPAddress | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """
    What a bridge made of one packet.

    :param steps: the way through the tables and why it ends, if nothing goes out.
    :param unknown: what was not collected or is not modelled and might have changed the rest.
    :param finals: every field and its known bits at the end of each translation: of the packet, then of what
        came back from each recirculation, in the order that ``ofproto/trace`` has.
    :param visited: tables that were looked up, in order, and the flow that was hit; None: none was.
    """

    outputs: tuple[Output, ...] = ()
    steps: tuple[Step, ...] = ()
    unknown: tuple[str, ...] = ()
    finals: tuple[Mapping[str, tuple[int, int]], ...] = ()
    visited: tuple[tuple[int, Flow | None], ...] = ()
