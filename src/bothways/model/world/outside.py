"""
Stations that no dump shows.

A MAC that no collected device bears and no flow claims belongs to somebody outside the evidence: a
physical router, a machine whose namespace was not collected. What it does with a packet was seen in
captures, or is free. It either is the destination, or passes the packet on to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bothways.facts.address import IPAddress, Mac, is_group, mac_to_int
from bothways.facts.choice import Freedom, Oracle
from bothways.facts.packet import Packet
from bothways.facts.snapshot import Snapshot
from bothways.model.world.observed import Observed
from bothways.model.world.wiring import At, Wiring

__all__ = ["Handling", "Outside", "Verdict"]


class Handling(StrEnum):
    """What becomes of a frame at the edge of the evidence."""

    NOBODY = "nobody"  # no station outside takes it
    DELIVERED = "delivered"  # the station is the destination, or stands before it
    PASSED_ON = "passed on"  # the station routes it back to a collected device
    LOST = "lost"  # the station was seen not to pass it on, or might not


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a station outside does with a frame; *packet* is what it sends on."""

    handling: Handling
    reason: str = ""
    packet: Packet | None = None


class Outside:
    """The edge of one snapshot."""

    def __init__(self, snapshot: Snapshot, wiring: Wiring, oracle: Oracle, observed: Observed) -> None:
        self._snapshot = snapshot
        self._wiring = wiring
        self._oracle = oracle
        self._observed = observed
        self._announced = _announced(snapshot)

    def handle(self, packet: Packet, at: At, *, heard: bool) -> Verdict:
        """
        Say what a station outside does with a frame that a device sends.

        :param heard: True if collected devices stand on the same wire. Then a MAC that some flow
            announces by ARP is that flow's, reached through one of them.
        """
        mac = packet.ethernet.dst
        if packet.ip is None or is_group(mac) or self._wiring.hears(mac):
            return Verdict(Handling.NOBODY)
        if heard and mac_to_int(mac) in self._announced:
            return Verdict(Handling.NOBODY)
        destination = packet.ip.dst
        owners = list(self._snapshot.owners_of(destination))
        if not owners:
            return Verdict(
                Handling.DELIVERED, f"{destination} is reached through {mac}, outside the evidence", packet
            )
        return self._pass_on(packet, mac, destination, owners[0][1].mac, at)

    def _pass_on(self, packet: Packet, mac: Mac, destination: IPAddress, owner: Mac, at: At) -> Verdict:
        yes = f"{mac}, whose dumps were not collected, passes packets for {destination} on"
        no = f"{mac}, whose dumps were not collected, does not pass packets for {destination} on"
        taken = self._oracle.choose(
            f"station {mac} at {at} for {destination}",
            [yes, no],
            freedom=Freedom.UNKNOWN,
            recorded=yes if mac in self._observed.forwarders else None,
        )
        if taken == no:
            return Verdict(Handling.LOST, no)
        ttl = None if packet.ip is None or packet.ip.ttl is None else packet.ip.ttl - 1
        return Verdict(Handling.PASSED_ON, yes, packet.with_macs(mac, owner).with_ttl(ttl))


def _announced(snapshot: Snapshot) -> frozenset[int]:
    """MACs that ARP responders in flows announce: stations that exist as flows only."""
    return frozenset(
        value
        for host in snapshot.hosts.values()
        if host.switch is not None
        for bridge in host.switch.bridges.values()
        for flow in bridge.flows or ()
        for action in flow.actions
        if action.name in ("load", "set_field") and action.args.get("field") == "arp_sha"
        for value in (action.args.get("value"),)
        if isinstance(value, int)
    )
