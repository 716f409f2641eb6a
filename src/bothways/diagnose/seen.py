"""What captures tell the model where the dumps leave the network free."""

from __future__ import annotations

from bothways.facts.address import Endpoint, IPAddress, Mac
from bothways.facts.packet import Flag
from bothways.facts.sighting import Direction, Sighting
from bothways.facts.snapshot import Snapshot
from bothways.facts.trajectory import Connection, Trajectory, Way
from bothways.model.world import At, Entrance, Observed

__all__ = ["observe"]


def observe(connection: Connection | None, snapshot: Snapshot) -> Observed:
    """Read neighbours, listeners, routers and the client's entrance from a connection's sightings."""
    if connection is None:
        return Observed()
    neighbours: dict[tuple[str, IPAddress], Mac] = {}
    forwarders: set[Mac] = set()
    for trajectory in connection.trajectories:
        for sighting in trajectory.sightings:
            _neighbour(sighting, snapshot, neighbours)
        forwarders |= _forwarders(trajectory, snapshot)
    return Observed(neighbours, _accepts(connection), frozenset(forwarders), _entrance(connection, snapshot))


def _neighbour(sighting: Sighting, snapshot: Snapshot, into: dict[tuple[str, IPAddress], Mac]) -> None:
    """A frame that a stack's own device sent carries the MAC that the stack had for its next hop."""
    packet, tap = sighting.packet, sighting.tap
    netns = snapshot.netns(tap.host, tap.netns)
    device = None if netns is None or sighting.device is None else netns.device(sighting.device)
    if device is None or packet.ip is None or not packet.ethernet.dst or sighting.tunnel is not None:
        return
    if packet.ethernet.src == device.mac:
        into.setdefault((str(At(tap.host, tap.netns, device.name)), packet.ip.dst), packet.ethernet.dst)


def _accepts(connection: Connection) -> dict[Endpoint, bool]:
    accepts: dict[Endpoint, bool] = {}
    for trajectory in connection.trajectories:
        if trajectory.way is not Way.REPLY:
            continue
        for sighting in trajectory.sightings:
            source = sighting.packet.source
            if source is None:
                continue
            if trajectory.flags & (Flag.SYN | Flag.ACK) == Flag.SYN | Flag.ACK:
                accepts[source] = True
            elif trajectory.flags & Flag.RST:
                accepts.setdefault(source, False)
    return accepts


def _forwarders(trajectory: Trajectory, snapshot: Snapshot) -> set[Mac]:
    """MACs to which the packet was sent and from which it was sent on."""
    sent_to = {s.packet.ethernet.dst for s in trajectory.sightings}
    sent_by = {s.packet.ethernet.src for s in trajectory.sightings}
    return {mac for mac in sent_to & sent_by if mac and not list(snapshot.devices_with_mac(mac))}


def _entrance(connection: Connection, snapshot: Snapshot) -> Entrance | None:
    """Where a client's first packet came in, if no collected namespace holds its address."""
    if list(snapshot.owners_of(connection.client.address)):
        return None
    for trajectory in connection.trajectories:
        if trajectory.way is Way.ORIGINAL:
            for sighting in trajectory.sightings:
                ethernet = sighting.packet.ethernet
                if sighting.device is None or sighting.direction is Direction.OUT or not ethernet.dst:
                    continue
                at = At(sighting.tap.host, sighting.tap.netns, sighting.device)
                return Entrance(at, ethernet.src, ethernet.dst)
    return None
