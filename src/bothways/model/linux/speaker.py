"""
Who a stack is when it answers by itself: the address that it speaks from, and the mark of its answers.

``icmp_send`` with ``icmp_route_lookup``, ``icmp6_send``, ``IP4_REPLY_MARK``. An ICMP error is routed back
with the type of service and the mark that it will have itself, so policy rules may give it another source
than the route of the packet that drew it.
"""

from __future__ import annotations

from typing import Final

from bothways.facts.address import IPAddress
from bothways.facts.packet import ICMP, ICMP6, Ip
from bothways.model.linux.addresses import select
from bothways.model.linux.answers import error_tos
from bothways.model.linux.buffer import Buffer, Sender
from bothways.model.linux.family import version_of
from bothways.model.linux.layer import Layer
from bothways.model.linux.routing import Outcome, Wanted

__all__ = ["error_source", "may_speak", "reply_mark", "source_by", "way_back"]

_IPV4: Final = 4
_REFLECT: Final = {_IPV4: "net.ipv4.fwmark_reflect", 6: "net.ipv6.fwmark_reflect"}


def reply_mark(layer: Layer, buffer: Buffer) -> int:
    """The mark of an answer: 0, or that of the packet where ``fwmark_reflect`` is set."""
    reflects = layer.settings.value(_REFLECT[version_of(buffer)])
    return buffer.mark if reflects is not None and reflects.value else 0


def way_back(layer: Layer, buffer: Buffer, ip: Ip) -> Outcome:
    """The route of an ICMP error about a packet, back to its sender."""
    ipv4 = ip.src.version == _IPV4
    asked = Wanted(
        ip.src,
        mark=reply_mark(layer, buffer),
        tos=error_tos(ip) if ipv4 else 0,
        protocol=ICMP if ipv4 else ICMP6,
    )
    return layer.routing.lookup(asked)


def error_source(layer: Layer, buffer: Buffer, ip: Ip) -> tuple[IPAddress | None, Sender]:
    """
    The sender of an ICMP error: the address that was asked, else the one toward the asker.

    IPv6 prefers the source that the route names, then an address of the device where the packet came in
    (``icmp6_send``). IPv4 does so where ``icmp_errors_use_inbound_ifaddr`` is set.

    :return: the address, None if there is none, and how it was chosen.
    """
    # IPv4 goes by the route that the packet has, whatever rules have written since (``RTCF_LOCAL``).
    if buffer.route == "local" if ip.src.version == _IPV4 else layer.routing.kind_of(ip.dst) == "local":
        return ip.dst, Sender.OWN
    back = way_back(layer, buffer, ip)
    if ip.src.version == _IPV4:
        inbound = layer.settings.value("net.ipv4.icmp_errors_use_inbound_ifaddr")
        if inbound is not None and inbound.value and buffer.device_in:
            return select(layer.netns, buffer.device_in, ip.src, scope="link"), Sender.OWN
        return source_by(layer, back), Sender.LATER
    if back.source is not None:
        return back.source, Sender.OWN
    return select(layer.netns, buffer.device_in or back.device, ip.src), Sender.OWN


def source_by(layer: Layer, route: Outcome) -> IPAddress | None:
    """The address that the stack takes for what leaves by a route."""
    if route.source is not None:
        return route.source
    if route.kind == "local":
        return route.next_hop or select(layer.netns, route.device, None)
    return select(layer.netns, route.device, route.next_hop) if route.kind == "unicast" else None


def may_speak(layer: Layer, source: IPAddress) -> bool:
    """IPv4 sends from addresses of its own only (``ip_route_output_key_hash_rcu``); IPv6 does not look."""
    return source.version != _IPV4 or layer.routing.kind_of(source) == "local"
