"""
Devices and addresses of a namespace after a change.

An address comes with a local, a broadcast and a connected route, and takes them with it if no other address
of the device makes the same ones (``net/ipv4/fib_frontend.c``, ``fib_add_ifaddr``, ``fib_del_ifaddr``). With
it goes every route that prefers it as source, and its secondaries unless ``promote_secondaries`` is set
(``net/ipv4/devinet.c``, ``__inet_del_ifa``); with the last one of a device go all its routes and neighbours.
A device that goes takes its routes and neighbours too; one that goes down keeps its local routes only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from bothways.facts.address import IPAddress, IPNetwork, network
from bothways.facts.change import Act, AddressEdit, LinkEdit
from bothways.facts.device import Device, InterfaceAddress
from bothways.facts.route import Route
from bothways.facts.snapshot import Netns
from bothways.facts.span import Span
from bothways.model.change.refusal import NothingToChangeError
from bothways.model.linux.addresses import connected_routes, local_routes
from bothways.model.linux.settings import Settings

__all__ = ["change_address", "change_link", "without_device"]

_IPV4 = 4


def change_link(netns: Netns, edit: LinkEdit) -> Netns:
    """Set a device up or down, its MTU or MAC, or take it away. Raises NothingToChangeError without it."""
    device = _device(netns, edit.device)
    if edit.act is Act.DELETE:
        if device.kind in ("", "tun"):
            raise NothingToChangeError(
                f"{netns.label}:{device.name} cannot be deleted, or the dump does not show its kind"
            )
        return without_device(netns, edit.device)
    changed = replace(
        device,
        up=device.up if edit.up is None else edit.up,
        carrier=device.carrier if edit.up is None else edit.up,
        mtu=device.mtu if edit.mtu is None else edit.mtu,
        mac=device.mac if edit.mac is None else edit.mac,
    )
    result = _with(netns, changed)
    if edit.up is False and device.up:
        result = _without_neighbours(result, device.name)
        return _with_routes(result, lambda r: not _through(r, device.name) or r.kind == "local")
    if edit.up and not device.up:
        return _remade(netns, result, device.name)
    return result


def change_address(netns: Netns, edit: AddressEdit, command: str) -> Netns:
    """
    Add or remove an address with its routes.

    :raises NothingToChangeError: without it, without the device, or if an address to add is there already.
    """
    device = _device(netns, edit.device)
    if edit.act in (Act.ADD, Act.REPLACE):
        held = _held(edit, command)
        same = [a for a in device.addresses if (a.address, a.prefix) == (held.address, held.prefix)]
        if same and edit.act is Act.ADD:
            raise NothingToChangeError(f"{netns.label}:{device.name} holds {held.address} already")
        changed = replace(device, addresses=(*device.addresses, *([] if same else [held])))
        return _remade(netns, _with(netns, changed), device.name)
    gone = [
        held
        for held in device.addresses
        if edit.act is Act.FLUSH or (held.address == edit.address and edit.prefix in (None, held.prefix))
    ]
    if not gone:
        what = "an address" if edit.address is None else str(edit.address)
        raise NothingToChangeError(f"{netns.label}:{device.name} does not hold {what}")
    gone = [*gone, *(s for held in gone for s in _secondaries(netns, device, held) if s not in gone)]
    left = tuple(held for held in device.addresses if held not in gone)
    lost = frozenset(held.address for held in gone)
    result = _remade(netns, _with(netns, replace(device, addresses=left)), device.name, lost)
    for version in {held.address.version for held in gone} - {held.address.version for held in left}:
        if version == _IPV4:
            result = _without_neighbours(result, device.name, _IPV4)
            result = _with_routes(
                result, lambda r: not _through(r, device.name) or r.destination.version != _IPV4
            )
    return result


def without_device(netns: Netns, name: str) -> Netns:
    """The namespace without a device, its routes and the neighbours behind it."""
    result = netns
    if result.devices is not None:
        rows = tuple(d for d in result.devices if d.name != name)
        result = replace(result, devices=replace(result.devices, rows=rows))
    return _without_neighbours(_with_routes(result, lambda r: not _through(r, name)), name)


def _held(edit: AddressEdit, command: str) -> InterfaceAddress:
    if edit.address is None or edit.prefix is None:
        raise NothingToChangeError("the address is missing")
    scope = "host" if edit.address.is_loopback else "global"
    return InterfaceAddress(edit.address, edit.prefix, Span("", text=command), scope)


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


def _secondaries(netns: Netns, device: Device, gone: InterfaceAddress) -> Iterator[InterfaceAddress]:
    """What goes with a primary address: the later ones of its subnet, unless one of them takes its place."""
    promoted = Settings(netns).of_device("promote_secondaries", device.name)
    subnet = _subnet(gone)
    same = [held for held in device.addresses if _subnet(held) == subnet]
    if gone.address.version == _IPV4 and same[0] == gone and not (promoted is not None and promoted.value):
        yield from same[1:]


def _subnet(held: InterfaceAddress) -> tuple[IPNetwork, int]:
    return network(f"{held.address}/{held.prefix}"), held.prefix


# -- routes ----------------------------------------------------------------------------------------------


def _remade(old: Netns, new: Netns, device: str, lost: frozenset[IPAddress] = frozenset()) -> Netns:
    """
    The new namespace with the routes that the kernel makes of a device's addresses.

    :param lost: addresses that are gone: no route prefers them any more.
    """
    if new.routes is None:
        return new
    before, after = ({_key(r): r for r in _made(netns, device)} for netns in (old, new))
    kept = [
        r
        for r in new.routes
        if r.prefsrc not in lost and not (_is_made(r) and _key(r) in before and _key(r) not in after)
    ]
    known, shown = {_key(r) for r in kept}, {_key(r) for r in new.routes}
    # What the dump leaves out is derived where it is needed, and not put in here.
    local = any(r.table == "local" for r in new.routes)
    added = [
        r
        for key, r in after.items()
        if key not in known and (key in shown or key not in before) and (local or r.table != "local")
    ]
    return replace(new, routes=replace(new.routes, rows=(*kept, *added)))


def _made(netns: Netns, device: str) -> Iterator[Route]:
    """Routes of one device; a secondary address prefers its primary as source."""
    held = netns.device(device)
    first: dict[object, IPAddress] = {}
    for one in () if held is None else held.addresses:
        first.setdefault(_subnet(one), one.address)
    primary = {} if held is None else {one.address: first[_subnet(one)] for one in held.addresses}
    for route in (*local_routes(netns), *connected_routes(netns)):
        if _through(route, device) and route.prefsrc is not None:
            yield replace(route, prefsrc=primary.get(route.prefsrc, route.prefsrc))


def _key(route: Route) -> tuple[object, ...]:
    return route.kind, route.destination, route.table, tuple(hop.device for hop in route.hops)


def _is_made(route: Route) -> bool:
    return route.protocol in ("kernel", "") and not any(hop.gateway for hop in route.hops)


def _through(route: Route, device: str) -> bool:
    return any(hop.device == device for hop in route.hops)


def _with_routes(netns: Netns, keeps: Callable[[Route], bool]) -> Netns:
    if netns.routes is None:
        return netns
    rows = tuple(route for route in netns.routes if keeps(route))
    return replace(netns, routes=replace(netns.routes, rows=rows))


def _without_neighbours(netns: Netns, device: str, version: int | None = None) -> Netns:
    if netns.neighbours is None:
        return netns
    rows = tuple(
        n for n in netns.neighbours if n.device != device or version not in (None, n.address.version)
    )
    return replace(netns, neighbours=replace(netns.neighbours, rows=rows))
