"""
Devices that share another one, and perhaps stand in another namespace: macvlan, ipvlan and their taps.

``macvlan_handle_frame`` and ``ipvlan_handle_frame`` take frames away from the device below before its own
namespace sees them. Which ones is not modelled; that one may be among them is told, and no more is concluded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from bothways.facts.bypass import Bypass, BypassKind, Selector
from bothways.facts.device import Device
from bothways.facts.dump import Dump
from bothways.facts.snapshot import Netns, Snapshot

__all__ = ["sharing_namespaces"]

_KINDS: Final = frozenset({"macvlan", "macvtap", "ipvlan", "ipvtap"})


def sharing_namespaces(snapshot: Snapshot) -> Iterator[Netns]:
    """All namespaces; those whose devices are shared have a foreign packet handler for each sharer."""
    sharers = [
        (netns, device)
        for netns in snapshot.namespaces()
        for device in netns.devices or ()
        if device.kind in _KINDS
    ]
    for netns in snapshot.namespaces():
        rows = tuple(_taken(netns, home, device) for home, device in sharers if home.host == netns.host)
        found = tuple(row for row in rows if row is not None)
        if not found:
            yield netns
            continue
        told = netns.handlers
        file = found[0].span.file if told is None else told.file
        yield replace(netns, handlers=Dump((*(told or ()), *found), file))


def _taken(netns: Netns, home: Netns, sharer: Device) -> Bypass | None:
    """What a sharer takes from a device of a namespace, None if it stands on none of its devices."""
    if (home is netns) is not (sharer.link_netns is None):
        return None
    below = next((each for each in netns.devices or () if _is_below(each, sharer)), None)
    if below is None:
        return None
    only = Selector(touches=frozenset(held.address for held in sharer.addresses))
    does = f"the {sharer.kind} device {sharer.name} of {home.label}, which takes frames from {below.name}"
    return Bypass(BypassKind.SHARED, does, sharer.span, below.name, only=only)


def _is_below(device: Device, sharer: Device) -> bool:
    return device.index == sharer.link or (sharer.link_netns is None and device.name == sharer.lower)
