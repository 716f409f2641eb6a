"""
Devices, addresses and sysctls of a namespace after a change.

An address that goes takes its local route with it, and the connected route of its prefix if it was the last
one of that prefix on the device (``net/ipv4/fib_frontend.c``, ``fib_del_ifaddr``). A device that goes
takes its routes and neighbours too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bothways.facts.address import IPAddress, network
from bothways.facts.change import Act, AddressEdit, LinkEdit, SysctlEdit
from bothways.facts.device import Device, InterfaceAddress
from bothways.facts.dump import Dump
from bothways.facts.route import NextHop, Route
from bothways.facts.snapshot import Netns, Sysctl
from bothways.facts.span import Span
from bothways.model.change.refusal import NothingToChangeError

__all__ = ["change_address", "change_link", "change_sysctl", "without_device"]


def change_sysctl(netns: Netns, edit: SysctlEdit, command: str) -> Netns:
    """Set a kernel parameter, whether or not the dump showed its old value."""
    row = Sysctl(edit.name, edit.value, Span("", text=command))
    old = netns.sysctls or Dump((), file="", partial="the change alone")
    return replace(netns, sysctls=replace(old, rows=(*(s for s in old if s.name != edit.name), row)))


def change_link(netns: Netns, edit: LinkEdit) -> Netns:
    """Set a device up or down, its MTU or MAC, or take it away. Raises NothingToChangeError without it."""
    device = _device(netns, edit.device)
    if edit.act is Act.DELETE:
        return without_device(netns, edit.device)
    changed = replace(
        device,
        up=device.up if edit.up is None else edit.up,
        carrier=device.carrier if edit.up is None else edit.up,
        mtu=device.mtu if edit.mtu is None else edit.mtu,
        mac=device.mac if edit.mac is None else edit.mac,
    )
    result = _with(netns, changed)
    if edit.up is False:
        result = _without_routes(result, edit.device, keep_local=True)
    return result


def change_address(netns: Netns, edit: AddressEdit, command: str) -> Netns:
    """Add or remove an address with its routes. Raises NothingToChangeError without it, or the device."""
    device = _device(netns, edit.device)
    if edit.act in (Act.ADD, Act.REPLACE):
        return _with_address(netns, device, edit, command)
    gone = [
        held
        for held in device.addresses
        if edit.act is Act.FLUSH or (held.address == edit.address and edit.prefix in (None, held.prefix))
    ]
    if not gone:
        raise NothingToChangeError(f"{netns.label}:{device.name} does not hold {edit.address}")
    left = tuple(held for held in device.addresses if held not in gone)
    result = _with(netns, replace(device, addresses=left))
    if result.routes is None:
        return result
    prefixes = {_connected(held) for held in gone} - {_connected(held) for held in left}
    singles = {held.address for held in gone}
    kept = tuple(
        r
        for r in result.routes
        if not (_through(r, device.name) and (_local_of(r, singles) or _connected_of(r, prefixes)))
        and r.prefsrc not in singles
    )
    return replace(result, routes=replace(result.routes, rows=kept))


def without_device(netns: Netns, name: str) -> Netns:
    """The namespace without a device, its routes and the neighbours behind it."""
    result = netns
    if result.devices is not None:
        rows = tuple(d for d in result.devices if d.name != name)
        result = replace(result, devices=replace(result.devices, rows=rows))
    result = _without_routes(result, name, keep_local=False)
    if result.neighbours is not None:
        known = tuple(n for n in result.neighbours if n.device != name)
        result = replace(result, neighbours=replace(result.neighbours, rows=known))
    return result


def _device(netns: Netns, name: str) -> Device:
    if netns.devices is None:
        raise NothingToChangeError(
            f"the devices of {netns.label} were not collected", "collect `ip -d -j addr` there"
        )
    device = netns.device(name)
    if device is None:
        known = ", ".join(d.name for d in netns.devices)
        raise NothingToChangeError(f"{netns.label} has no device {name}", f"it has {known}")
    return device


def _with(netns: Netns, device: Device) -> Netns:
    if netns.devices is None:
        return netns
    rows = tuple(device if d.name == device.name else d for d in netns.devices)
    return replace(netns, devices=replace(netns.devices, rows=rows))


def _with_address(netns: Netns, device: Device, edit: AddressEdit, command: str) -> Netns:
    if edit.address is None or edit.prefix is None:
        return netns
    span = Span("", text=command)
    held = InterfaceAddress(edit.address, edit.prefix, span)
    others = tuple(a for a in device.addresses if (a.address, a.prefix) != (held.address, held.prefix))
    result = _with(netns, replace(device, addresses=(*others, held)))
    if result.routes is None:
        return result
    rows = tuple(result.routes)
    added = tuple(r for r in _routes_of(device, held, span) if not any(_same(r, other) for other in rows))
    return replace(result, routes=replace(result.routes, rows=(*rows, *added)))


def _routes_of(device: Device, held: InterfaceAddress, span: Span) -> Iterator[Route]:
    hop = (NextHop(device.name),)
    single = network(str(held.address))
    yield Route("local", single, "local", hop, span, prefsrc=held.address, scope="host", protocol="kernel")
    if held.prefix < held.address.max_prefixlen:
        connected = network(f"{held.address}/{held.prefix}")
        yield Route(
            "unicast", connected, "main", hop, span, prefsrc=held.address, scope="link", protocol="kernel"
        )


def _same(one: Route, other: Route) -> bool:
    return (one.kind, one.destination, one.table, one.hops) == (
        other.kind,
        other.destination,
        other.table,
        other.hops,
    )


def _connected(held: InterfaceAddress) -> object:
    return network(f"{held.address}/{held.prefix}")


def _through(route: Route, device: str) -> bool:
    return any(hop.device == device for hop in route.hops)


def _local_of(route: Route, addresses: set[IPAddress]) -> bool:
    single = route.destination.num_addresses == 1
    return route.kind == "local" and single and route.destination.network_address in addresses


def _connected_of(route: Route, prefixes: set[object]) -> bool:
    return (
        route.kind in ("unicast", "broadcast")
        and route.protocol in ("kernel", "")
        and not any(hop.gateway for hop in route.hops)
        and route.destination in prefixes
    )


def _without_routes(netns: Netns, device: str, *, keep_local: bool) -> Netns:
    if netns.routes is None:
        return netns
    kept = tuple(r for r in netns.routes if not _through(r, device) or (keep_local and r.kind == "local"))
    return replace(netns, routes=replace(netns.routes, rows=kept))
