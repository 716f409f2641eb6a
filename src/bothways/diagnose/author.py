"""Who sent a packet: the namespace and device behind its first sighting."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.device import Device
from bothways.facts.sighting import Direction, Sighting
from bothways.facts.snapshot import Netns, Snapshot
from bothways.facts.trajectory import Trajectory

__all__ = ["Origin", "emitted", "origin_of"]

#: What stacks start a packet with: Linux and BSD 64, Windows 128, routers and Linux errors 255.
_INITIAL_TTLS = frozenset({64, 128, 255})


@dataclass(frozen=True, slots=True)
class Origin:
    """
    Where a packet comes from, as far as captures tell.

    :param host: None if the sender is no collected device; then *netns* and *device* are None too.
    :param device: None if the capture does not name it.
    :param why: the sentence that says how this is known.
    :param sure: False if another station may have sent it, and this one only passed it on.
    """

    host: str | None
    netns: str | None
    device: str | None
    sighting: Sighting
    why: str
    sure: bool = True


def origin_of(trajectory: Trajectory, snapshot: Snapshot) -> Origin | None:
    """
    Find who sent a packet.

    The sender's MAC of the first sighting names the device, if a dump knows it. Without MACs the
    first tap on the path is taken: where it stands, no tap before it saw the packet.
    """
    if not trajectory.sightings:
        return None
    first = trajectory.sightings[0]
    by_mac = _by_mac(first, snapshot)
    if by_mac is not None:
        netns, device = by_mac
        return _judge(netns, device, first)
    tap = first.tap
    mac = first.packet.ethernet.src
    if emitted(first, snapshot) is False or (mac and not list(snapshot.devices_with_mac(mac))):
        why = f"it came in at {tap} from {mac or 'a station'}, which is no collected device"
        return Origin(None, None, None, first, why, sure=False)
    device_name = first.device if first.device is not None else (None if tap.device == "any" else tap.device)
    why = f"{tap} is the first tap that saw it, no tap before it did"
    return Origin(tap.host, tap.netns, device_name, first, why, sure=device_name is not None)


def emitted(sighting: Sighting, snapshot: Snapshot) -> bool | None:
    """True if the device of a sighting sent the frame, False if it received it, None if unknown."""
    if sighting.direction is not None:
        return sighting.direction is Direction.OUT
    ethernet = sighting.packet.ethernet
    netns = snapshot.netns(sighting.tap.host, sighting.tap.netns)
    device = None if netns is None or sighting.device is None else netns.device(sighting.device)
    if device is None or not ethernet.src:
        return None
    if ethernet.src == device.mac:
        return True
    return False if ethernet.dst == device.mac else None


def _by_mac(first: Sighting, snapshot: Snapshot) -> tuple[Netns, Device] | None:
    mac = first.packet.ethernet.src
    if not mac:
        return None
    bearers = list(snapshot.devices_with_mac(mac))
    same = [(n, d) for n, d in bearers if n.host == first.tap.host]
    found = same or bearers
    return found[0] if len(found) == 1 else None


def _judge(netns: Netns, device: Device, first: Sighting) -> Origin:
    """Decide whether the device's namespace made the packet or only routed it."""
    ip = first.packet.ip
    owns = ip is not None and netns.owner_of(ip.src) is not None
    fresh = ip is not None and ip.ttl in _INITIAL_TTLS
    why = f"its sender's MAC {device.mac} is {netns.label}:{device.name}"
    if fresh and ip is not None:
        why += f", and its TTL {ip.ttl} was not lowered by a router"
    return Origin(netns.host, netns.name, device.name, first, why, sure=owns or fresh)
