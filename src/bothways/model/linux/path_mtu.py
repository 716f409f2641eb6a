"""
What fits on the way of a packet, and on the way back to its sender.

``dst_mtu`` and ``tcpmss_reverse_mtu`` of ``net/netfilter/xt_TCPMSS.c``, ``get_tcpmss`` of ``nft_rt.c``: what
an ICMP error taught, else what the route says, else what the device takes.
"""

from __future__ import annotations

from bothways.facts.address import IPAddress
from bothways.facts.snapshot import Netns
from bothways.model.linux.buffer import Buffer
from bothways.model.linux.learned import Learned
from bothways.model.linux.routing import Outcome, Routing, Wanted

__all__ = ["LEAST_IPV6", "path_mtu"]

#: ``IPV6_MIN_MTU``, RFC 8200: no link of IPv6 takes less.
LEAST_IPV6 = 1280


def path_mtu(netns: Netns, routing: Routing, learned: Learned, buffer: Buffer) -> int | None:
    """The smaller of what fits to the receiver of a packet and back to its sender; None if not known."""
    ip = buffer.packet.ip
    if ip is None or not buffer.device_out:
        return None
    there = learned.mtu.get(ip.dst) or buffer.mtu or _of_device(netns, buffer.device_out)
    back = _of_route(netns, learned, ip.src, routing.lookup(Wanted(ip.src)))
    return None if there is None else there if back is None else min(there, back)


def _of_route(netns: Netns, learned: Learned, target: IPAddress, route: Outcome) -> int | None:
    if route.kind not in ("unicast", "local"):
        return None
    device = "lo" if route.kind == "local" else route.device
    return learned.mtu.get(target) or route.mtu or _of_device(netns, device)


def _of_device(netns: Netns, name: str) -> int | None:
    found = netns.device(name)
    return None if found is None else found.mtu
