"""Routes and policy rules."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.address import IPAddress, IPNetwork
from bothways.facts.span import Span

__all__ = ["NextHop", "Route", "RoutingRule"]


@dataclass(frozen=True, slots=True)
class NextHop:
    """Where a route sends a packet: a device, a gateway, or both."""

    device: str | None = None
    gateway: IPAddress | None = None
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Route:
    """
    One route. Several next hops make a multipath route.

    :param kind: ``unicast``, ``local``, ``broadcast``, ``blackhole``, ``unreachable``, …
    :param table: ``main``, ``local``, or the number as text.
    :param mtu: the route's own MTU, None if it has none.
    :param unmodelled: parts of the route that bothways keeps as text and cannot evaluate (``encap`` …).
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


@dataclass(frozen=True, slots=True)
class RoutingRule:
    """
    One policy rule (``ip rule``). A selector that is None admits every packet.

    :param action: ``lookup`` (with *table*), ``blackhole``, ``unreachable``, ``prohibit``, ``goto`` …
    :param unmodelled: selectors that bothways keeps as text and cannot evaluate.
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
