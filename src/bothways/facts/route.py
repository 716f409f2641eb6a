"""Routes and policy rules."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.address import IPAddress, IPNetwork
from bothways.facts.span import Span

__all__ = ["NextHop", "Route", "RoutingRule"]


@dataclass(frozen=True, slots=True)
class NextHop:
    """
    Where a route sends a packet: a device, a gateway, or both.

    :param flags: ``onlink``, ``linkdown``, ``dead`` …, of one next hop of several; those of the only one
        stand in the route.
    """

    device: str | None = None
    gateway: IPAddress | None = None
    weight: int = 1
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Route:
    """
    One route. Several next hops make a multipath route.

    :param kind: ``unicast``, ``local``, ``broadcast``, ``blackhole``, ``unreachable``, …
    :param table: ``main``, ``local``, or the number as text.
    :param mtu: the route's own MTU, None if it has none.
    :param unmodelled: parts of the route that bothways keeps as text and cannot evaluate (``encap`` …).
    :param tos: only packets with this TOS take it, None for any.
    :param source: only packets from there take it (IPv6, ``from``), None for any.
    :param preference: ``high``, ``medium`` or ``low``: which of several IPv6 routes is taken (RFC 4191), ""
        if the dump does not say.
    """

    kind: str
    destination: IPNetwork
    table: str
    hops: tuple[NextHop, ...]
    span: Span
    prefsrc: IPAddress | None = None
    metric: int = 0
    scope: str = "global"
    protocol: str = ""
    flags: frozenset[str] = frozenset()
    mtu: int | None = None
    unmodelled: tuple[str, ...] = ()
    tos: int | None = None
    source: IPNetwork | None = None
    preference: str = ""


@dataclass(frozen=True, slots=True)
class RoutingRule:
    """
    One policy rule (``ip rule``). A selector that is None admits every packet.

    :param action: ``lookup`` (with *table*), ``blackhole``, ``unreachable``, ``prohibit``, ``goto`` …
    :param unmodelled: selectors that bothways keeps as text and cannot evaluate.
    :param protocol: number of the IP protocol.
    :param source_ports: first and last port; *destination_ports* and *users* (uids) the same.
    :param suppress_prefixlength: a route with a prefix this short or shorter does not count.
    :param l3mdev: the table is that of the packet's VRF; packets of none are not asked.
    :param detached: names (``iif``, ``oif``) of devices that do not exist: no packet is asked.
    :param dscp: only packets with these six bits of the traffic class.
    """

    priority: int
    action: str
    span: Span
    table: str | None = None
    src: IPNetwork | None = None
    dst: IPNetwork | None = None
    iif: str | None = None
    oif: str | None = None
    fwmark: int | None = None
    fwmask: int = 0xFFFFFFFF
    tos: int | None = None
    invert: bool = False
    goto: int | None = None
    unmodelled: tuple[str, ...] = ()
    protocol: int | None = None
    source_ports: tuple[int, int] | None = None
    destination_ports: tuple[int, int] | None = None
    users: tuple[int, int] | None = None
    suppress_prefixlength: int | None = None
    l3mdev: bool = False
    detached: bool = False
    dscp: int | None = None
