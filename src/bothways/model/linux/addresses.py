"""
The addresses of one namespace: which are its own, and which one it sends from.

``inet_select_addr`` and ``ip_dev_find`` of ``net/ipv4/devinet.c``. The addresses are those of ``ip addr``;
the local routing table, which the kernel makes from them, is derived here where no dump shows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from bothways.facts.address import IPAddress, network
from bothways.facts.device import Device, InterfaceAddress
from bothways.facts.route import NextHop, Route
from bothways.facts.snapshot import Netns
from bothways.model.linux.source_address import select_ipv6, usable

__all__ = ["connected_routes", "local_routes", "primary", "redirected", "select"]

#: Scopes from the widest to the narrowest; an address serves destinations of its own scope and narrower.
_SCOPES = {"global": 0, "universe": 0, "site": 200, "link": 253, "host": 254}
_IPV4 = 4
#: ``IP6_RT_PRIO_ADDRCONF``: the metric of routes that the kernel makes of IPv6 addresses.
_METRIC = 256
_SHORT = 31  # a prefix this long has no broadcast address, RFC 3021


def primary(device: Device, version: int = 4) -> Iterator[InterfaceAddress]:
    """Addresses of a device that are not secondary: the first one of each subnet."""
    seen = set()
    for held in device.addresses:
        if held.address.version != version or "secondary" in held.flags:
            continue
        subnet = ip_network((held.peer or held.address, held.prefix), strict=False)
        if subnet not in seen:
            seen.add(subnet)
            yield held


def select(netns: Netns, device: str, toward: IPAddress | None, *, scope: str = "global") -> IPAddress | None:
    """
    The address that packets get which leave by a device for a neighbour.

    One in the neighbour's subnet, else the first of the device, else the first of any other device; None if
    the namespace has none of this scope.
    """
    version = 4 if toward is None else toward.version
    if toward is not None and version != _IPV4:
        return select_ipv6(netns, device, toward)
    limit = _SCOPES.get(scope, 0)
    chosen = netns.device(device)
    first: IPAddress | None = None
    for held in () if chosen is None else primary(chosen, version):
        if _SCOPES.get(held.scope, 0) > limit:
            continue
        if toward is None or toward in ip_network((held.peer or held.address, held.prefix), strict=False):
            return held.address
        first = first or held.address
    if first is not None:
        return first
    return next(
        (
            held.address
            for other in netns.devices or ()
            for held in primary(other, version)
            if held.scope != "link" and _SCOPES.get(held.scope, 0) <= limit
        ),
        None,
    )


_LINK_SCOPE = 2  # RFC 4291 section 2.7


def redirected(device: Device, destination: IPAddress) -> IPAddress | None:
    """
    The address of the device where a packet came in, to which REDIRECT sends it.

    ``nf_nat_redirect``: the first one; of IPv6 the first that is of use, and for a destination on the link
    (an address or a group) the first of that kind.
    """
    held = (h for h in device.addresses if h.address.version == destination.version)
    if destination.version == _IPV4:
        return next((h.address for h in held), None)
    link_group = destination.is_multicast and destination.packed[1] & 0x0F == _LINK_SCOPE
    local = destination.is_link_local or link_group
    return next((h.address for h in held if usable(h) and (not local or h.address.is_link_local)), None)


def local_routes(netns: Netns) -> Iterator[Route]:
    """The rows of table ``local`` that the kernel makes of the addresses (``fib_add_ifaddr``)."""
    for device in netns.devices or ():
        if not device.up:
            continue
        for held in device.addresses:
            yield _row("local", held, str(held.address), device)
            if held.address.version != _IPV4:  # which alone has broadcasts and host prefixes
                continue
            subnet = ip_network((held.address, held.prefix), strict=False)
            if held.scope == "host" and held.address.is_loopback:
                yield _row("local", held, str(subnet), device)
            if held.prefix < _SHORT:
                yield _row("broadcast", held, str(subnet.broadcast_address), device)


def connected_routes(netns: Netns) -> Iterator[Route]:
    """The rows of table ``main`` that the kernel makes of the addresses."""
    for device in netns.devices or ():
        if not device.up:
            continue
        for held in device.addresses:
            if held.prefix < held.address.max_prefixlen and held.scope != "host":
                base = held.peer or held.address
                yield _row(
                    "unicast", held, str(ip_network((base, held.prefix), strict=False)), device, "main"
                )


def _row(kind: str, held: InterfaceAddress, destination: str, device: Device, table: str = "local") -> Route:
    return Route(
        kind,
        network(destination),
        table,
        (NextHop(device.name),),
        held.span,
        prefsrc=held.address,
        protocol="kernel",
        metric=_METRIC if held.address.version != _IPV4 and table == "main" else 0,
    )
