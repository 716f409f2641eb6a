"""Who sent a packet: the namespace and device behind its first sighting."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.device import Device
from bothways.facts.sighting import Direction, Sighting, Tap
from bothways.facts.snapshot import Netns, Snapshot
from bothways.facts.trajectory import Connection, Trajectory

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


def origin_of(trajectory: Trajectory, connection: Connection, snapshot: Snapshot) -> Origin | None:
    """
    Find who sent a packet.

    The sender's MAC of the first sighting names the device, if a dump knows it. Without MACs the
    first tap on the path is taken, if nothing says that the packet came in there. A namespace that bears the
    source address may still only have translated the packet to it: a TTL that no router lowered, or a tap at
    its other side that did not see the packet, tells the two apart.
    """
    if not trajectory.sightings:
        return None
    first = trajectory.sightings[0]
    by_mac = _by_mac(first, snapshot)
    if by_mac is not None:
        netns, device = by_mac
        return _sender(netns, device, first, _other_side(netns, device.name, trajectory, connection))
    mac = first.packet.ethernet.src
    if emitted(first, snapshot) is False or (mac and not list(snapshot.devices_with_mac(mac))):
        why = f"it came in at {first.tap} from {mac or 'a station'}, which is no collected device"
        return Origin(None, None, None, first, why, sure=False)
    return _at_tap(first, trajectory, connection, snapshot)


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


def _sender(netns: Netns, device: Device, first: Sighting, other_side: Tap | None) -> Origin:
    """Decide whether the device's namespace made the packet or only routed it."""
    ttl = None if first.packet.ip is None else first.packet.ip.ttl
    why = f"its sender's MAC {device.mac} is {netns.label}:{device.name}"
    if ttl in _INITIAL_TTLS:
        return Origin(
            netns.host,
            netns.name,
            device.name,
            first,
            f"{why}, and its TTL {ttl} was not lowered by a router",
        )
    if ttl is not None:
        why = f"{why}, but its TTL {ttl} was lowered by a router: it may have been passed on"
        return Origin(netns.host, netns.name, device.name, first, why, sure=False)
    if other_side is not None:
        why = f"{why}, and {other_side} behind it did not see the packet"
    return Origin(netns.host, netns.name, device.name, first, why, sure=other_side is not None)


def _at_tap(
    first: Sighting, trajectory: Trajectory, connection: Connection, snapshot: Snapshot
) -> Origin | None:
    """Without MACs: the namespace of the first tap, if the packet did not come in there."""
    tap, ip = first.tap, first.packet.ip
    netns = snapshot.netns(tap.host, tap.netns) or Netns(tap.host, tap.netns)
    if netns.devices is not None and ip is not None and netns.owner_of(ip.src) is None:
        why = f"{tap} is the first tap that saw it; {ip.src} is no address there, so it came from elsewhere"
        return Origin(None, None, None, first, why, sure=False)
    device = first.device if first.device is not None or tap.device == "any" else tap.device
    other_side = None if device is None else _other_side(netns, device, trajectory, connection)
    why = f"{tap} is the first tap that saw it"
    if other_side is not None:
        why = f"{why}; {other_side}, the other side of the same namespace, did not"
    return Origin(tap.host, tap.netns, device, first, why, sure=other_side is not None)


def _other_side(netns: Netns, device: str, trajectory: Trajectory, connection: Connection) -> Tap | None:
    """A tap at another device of a namespace that saw the connection, but not this packet."""
    seen = {s.tap for s in trajectory.sightings}
    return next(
        (
            sighting.tap
            for other in connection.trajectories
            for sighting in other.sightings
            if (sighting.tap.host, sighting.tap.netns) == (netns.host, netns.name)
            and sighting.tap.device not in (device, "any")
            and sighting.tap not in seen
        ),
        None,
    )
