"""What a route is asked for (``struct flowi4``, ``flowi6``), and what comes back (``struct fib_result``)."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.address import IPAddress
from bothways.facts.packet import Packet
from bothways.facts.span import Span

__all__ = ["Outcome", "Wanted", "asked_by"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    What a route is asked for.

    :param device_in: where the packet came in, "" for one of this namespace.
    :param device_out: only routes out of this device, None for any.
    :param protocol: None where the kernel asks without it; ports the same.
    """

    destination: IPAddress
    source: IPAddress | None = None
    device_in: str = ""
    device_out: str | None = None
    mark: int = 0
    tos: int | None = None
    protocol: int | None = None
    sport: int | None = None
    dport: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    Where a packet goes.

    :param kind: ``unicast``, ``local``, ``broadcast``, ``multicast``, ``blackhole``, ``unreachable``,
        ``prohibit``; ``none`` if there is no route, ``unknown`` if nothing tells.
    :param next_hop: the neighbour that gets it: the gateway, or the destination itself.
    :param source: the address that packets of this namespace get on this way, None if the route names none.
    :param devices: every device that the route may use; more than one for a multipath route.
    :param direct: True if the destination stands on the link of the device, without a gateway.
    :param mtu: the route's own MTU, None if it has none.
    """

    kind: str
    reason: str
    device: str = ""
    next_hop: IPAddress | None = None
    source: IPAddress | None = None
    evidence: tuple[Span, ...] = ()
    devices: frozenset[str] = frozenset()
    direct: bool = False
    mtu: int | None = None


def asked_by(packet: Packet, *, device_in: str = "", mark: int = 0) -> Wanted:
    """
    What the kernel asks for a packet, with protocol and ports.

    :raises ValueError: if the packet has no IP header.
    """
    ip = packet.ip
    if ip is None:
        raise ValueError("a packet without an IP header is routed nowhere")
    transport = packet.tcp or packet.udp
    sport, dport = (None, None) if transport is None else (transport.sport, transport.dport)
    return Wanted(ip.dst, ip.src, device_in, None, mark, ip.tos, ip.protocol, sport, dport)
