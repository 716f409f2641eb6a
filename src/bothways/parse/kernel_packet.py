"""Packets and tuples in the tracer's JSON lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bothways.facts.address import Endpoint
from bothways.facts.kernel_event import KernelPacket, KernelTuple
from bothways.facts.packet import ICMP, ICMP6, TCP, UDP, Flag, Icmp, Ip, Packet, Tcp, Udp
from bothways.parse.kernel_values import (
    Decoding,
    Table,
    as_address,
    as_count,
    as_flags,
    as_number,
    as_object,
    as_port,
    as_protocol,
    as_word,
)
from bothways.parse.reading import NotModelledError

__all__ = ["as_packet", "as_tuple"]

#: Tunnels in tunnels deeper than this are nobody's network.
_DEEPEST: Final = 4


def as_packet(value: object, reader: Decoding) -> KernelPacket:
    """The headers of a packet, with what it carries."""
    reader.depth += 1
    try:
        if reader.depth > _DEEPEST:
            raise NotModelledError("packets are nested too deep")
        said = reader.members(_PACKET, as_object(value, reader), "packet")
    finally:
        reader.depth -= 1
    return KernelPacket(_headers(said), said.get("length"), said.get("vni"), said.get("inner"))


def _headers(said: Mapping[str, Any]) -> Packet:
    """The packet of ``facts`` that the members tell of. Without both addresses it has no header at all."""
    source, destination = said.get("source"), said.get("destination")
    if source is None or destination is None or source.version != destination.version:
        return Packet()
    protocol = said.get("protocol")
    ip = Ip(source, destination, 0 if protocol is None else protocol, said.get("ttl"), said.get("id"))
    source_port, port, payload = said.get("sport"), said.get("dport"), said.get("payload")
    if source_port is None or port is None:
        return _without_ports(ip, said)
    if protocol == TCP:
        flags = said.get("flags", Flag(0))
        # Without the flag ACK the field says nothing, and is None in facts; trackers look at that of a RST.
        ack = said.get("ack") if flags & (Flag.ACK | Flag.RST) else None
        numbers = said.get("seq"), ack, said.get("window")
        return Packet(ip=ip, tcp=Tcp(source_port, port, flags, *numbers, payload))
    return Packet(ip=ip, udp=Udp(source_port, port, payload)) if protocol == UDP else Packet(ip=ip)


def _without_ports(ip: Ip, said: Mapping[str, Any]) -> Packet:
    if ip.protocol in (ICMP, ICMP6) and "type" in said:
        quoted_packet = said.get("quoted")
        inner = None if quoted_packet is None else quoted_packet.packet
        return Packet(ip=ip, icmp=Icmp(said["type"], said.get("code", 0), inner=inner))
    return Packet(ip=ip)


def as_tuple(value: object, reader: Decoding) -> KernelTuple:
    """One direction of a tracker's entry."""
    said = reader.members(_TUPLE, as_object(value, reader), "tuple")
    if "source" not in said or "destination" not in said:
        raise ValueError("a tuple without both addresses")
    return KernelTuple(
        Endpoint(said["source"], said.get("sport")),
        Endpoint(said["destination"], said.get("dport")),
        said.get("protocol", ""),
    )


_PACKET: Final[Table] = {
    "family": ("family", as_number), "protocol": ("protocol", as_protocol),
    "source": ("source", as_address), "source_port": ("sport", as_port),
    "destination": ("destination", as_address), "destination_port": ("dport", as_port),
    "flags": ("flags", as_flags), "seq": ("seq", as_count), "ack": ("ack", as_count),
    "window": ("window", as_count), "ip_id": ("id", as_count), "ttl": ("ttl", as_count),
    "length": ("length", as_count), "payload": ("payload", as_count), "icmp_type": ("type", as_count),
    "icmp_code": ("code", as_count), "quoted": ("quoted", as_packet), "vni": ("vni", as_count),
    "inner": ("inner", as_packet),
}  # fmt: skip
_TUPLE: Final[Table] = {
    "source": ("source", as_address), "source_port": ("sport", as_port),
    "destination": ("destination", as_address), "destination_port": ("dport", as_port),
    "protocol": ("protocol", as_word),
}  # fmt: skip
