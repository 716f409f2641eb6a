"""
VXLAN devices of the kernel: to which hosts a frame is sent, and which device takes it out again.

``vxlan_xmit`` and ``vxlan_rcv`` of ``drivers/net/vxlan``: the entry of the frame's MAC, else that of the
MAC 00:00:00:00:00:00, names one host or several; without either the frame is dropped. ``remote`` and
``group`` of the device make such an entry. A frame that arrives is taken by the device with its VNI and
port.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from bothways.facts.address import IPAddress, Mac, address
from bothways.facts.device import Device
from bothways.facts.snapshot import Netns
from bothways.facts.span import Span

__all__ = ["Remote", "external", "listens", "local_of", "port_of", "remotes", "taker", "vni_of"]

_EVERYBODY: Final = Mac("00:00:00:00:00:00")
_PORT: Final = 8472
_IPV4: Final = 4


@dataclass(frozen=True, slots=True)
class Remote:
    """One host that gets a frame. Each gets a copy."""

    address: IPAddress
    vni: int
    evidence: tuple[Span, ...] = ()


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def vni_of(device: Device) -> int | None:
    """The VNI of a device."""
    return _number(device.info.get("id"))


def external(device: Device) -> bool:
    """True if programs say of each frame where it goes (``collect_metadata``)."""
    return bool(device.info.get("external"))


def local_of(device: Device) -> IPAddress | None:
    """The address that a device sends from, None if the route says."""
    text = device.info.get("local") or device.info.get("local6")
    return address(text) if isinstance(text, str) else None


def port_of(device: Device) -> int:
    """The UDP port of a device."""
    return _number(device.info.get("port")) or _PORT


def _version(device: Device) -> int:
    """The IP version of a device's socket."""
    six = any(device.info.get(name) for name in ("remote6", "local6", "group6"))
    return 6 if six else _IPV4


def remotes(
    netns: Netns, device: Device, target: Mac, learned: Mapping[Mac, IPAddress]
) -> tuple[Remote, ...]:
    """
    Where a frame goes; nothing if nothing names a host.

    :param learned: who was seen to send from a MAC during the walk.
    """
    vni = vni_of(device) or 0
    rows = [row for row in netns.fdb or () if row.device == device.name and row.dst is not None]
    fixed = [row for row in rows if row.mac == target]
    found = learned.get(target)
    if found is not None and not any(row.state == "permanent" for row in fixed):
        return (Remote(found, vni),)
    chosen = fixed or [row for row in rows if row.mac == _EVERYBODY]
    if chosen:
        return tuple(
            Remote(row.dst, vni if row.vni is None else row.vni, (row.span,))
            for row in chosen
            if row.dst is not None
        )
    for name in ("remote", "remote6", "group", "group6"):
        text = device.info.get(name)
        if netns.fdb is None and isinstance(text, str):
            return (Remote(address(text), vni, (device.span,)),)
    return ()


def listens(devices: Iterable[Device], port: int | None, version: int) -> Device | None:
    """The device that takes datagrams of its kind to a port (``vxlan_socket_create``)."""
    return next(
        (
            device
            for device in devices
            if device.kind == "vxlan"
            and device.up
            and port_of(device) == port
            and (external(device) or _version(device) == version)
        ),
        None,
    )


def taker(devices: Iterable[Device], sender: Device, vni: int) -> Device | None:
    """The device that takes a frame with this VNI out of its tunnel."""
    return next(
        (
            device
            for device in devices
            if device.kind == "vxlan"
            and device.up
            and port_of(device) == port_of(sender)
            and (vni_of(device) == vni and not external(device))
        ),
        None,
    )
