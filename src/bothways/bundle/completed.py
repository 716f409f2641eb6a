"""What one dump of a namespace adds to another, and what a dump does not show although it looks whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from bothways.facts.device import Device
from bothways.facts.dump import Dump
from bothways.facts.route import Route
from bothways.facts.snapshot import Netns

__all__ = ["completed_devices", "marked_routes"]

_MAIN: Final = frozenset({"main", "254"})
_LOCAL: Final = frozenset({"local", "255"})
#: Tables whose rows are no loss: in the dump, derived from the addresses, or nearly always empty.
_USUAL: Final = _MAIN | _LOCAL | {"default", "253"}
_WITHOUT_TABLES: Final = "`ip route` without `table all`"


def completed_devices(devices: Dump[Device], links: Iterable[Device]) -> Dump[Device]:
    """Devices with kind, peer and details of *links* where they have none of their own."""
    details = {(link.index, link.name): link for link in links}
    return replace(
        devices, rows=tuple(_completed(row, details.get((row.index, row.name))) for row in devices)
    )


def _completed(device: Device, link: Device | None) -> Device:
    if link is None:
        return device
    if device.kind:
        told = {name: link.info[name] for name in ("xdp",) if name in link.info and name not in device.info}
        return replace(device, info={**device.info, **told}) if told else device
    return replace(
        device,
        kind=link.kind,
        mtu=device.mtu if device.mtu is not None else link.mtu,
        link=device.link if device.link is not None else link.link,
        link_netns=device.link_netns if device.link_netns is not None else link.link_netns,
        lower=device.lower or link.lower,
        master=device.master or link.master,
        info={**link.info, **device.info},
    )


def marked_routes(netns: Netns) -> Dump[Route] | None:
    """
    The routes, as a filtered view if they hold one table only and more may decide.

    ``ip route`` alone shows the table ``main``. The table ``local`` is no loss where the addresses are known,
    since the kernel makes it of them; any other one is, if a policy rule asks it.
    """
    routes = netns.routes
    if routes is None or not routes.whole or not len(routes):
        return routes
    if any(route.table not in _MAIN for route in routes):
        return routes
    asked = {rule.table for rule in netns.rules or () if rule.action == "lookup" and rule.table is not None}
    if netns.devices is not None and asked <= _USUAL:
        return routes
    return replace(routes, partial=_WITHOUT_TABLES)
