"""
Complete a namespace from what captures show of it.

Where a dump is missing, the packets that were seen going in and coming out still tell what the
namespace does: an address that changed between two of its devices is a NAT rule, a device that a
packet left by is a route. Every inferred fact carries the frame that it was inferred from, and is
listed, so that a verdict that rests on it is never called proved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_network

from bothways.facts.address import IPAddress, Mac, network
from bothways.facts.device import Device, InterfaceAddress
from bothways.facts.dump import Dump
from bothways.facts.iptables import AddressRange, Chain, Match, Rule, Table, Target
from bothways.facts.packet import Flag
from bothways.facts.route import NextHop, Route
from bothways.facts.sighting import Sighting
from bothways.facts.snapshot import Netns
from bothways.facts.trajectory import Connection, Way

__all__ = ["Completed", "complete", "sightings_in"]

_STAND_IN = "02:00:00:00:00:{:02x}"  # locally administered, for devices whose MAC nobody printed


@dataclass(frozen=True, slots=True)
class Completed:
    """
    A namespace with inferred facts.

    :param inferred: one sentence each, empty if nothing had to be.
    :param stand_ins: the devices' MACs are stand-ins, as no dump shows them.
    """

    netns: Netns
    inferred: tuple[str, ...]
    stand_ins: bool = False


def sightings_in(connection: Connection, host: str, netns: str) -> list[tuple[int, list[Sighting]]]:
    """Per trajectory (its index) the sightings inside a namespace on named devices, in path order."""
    found = []
    for index, trajectory in enumerate(connection.trajectories):
        inside = [s for s in trajectory.sightings if (s.tap.host, s.tap.netns) == (host, netns) and s.device]
        if inside:
            found.append((index, inside))
    return found


def complete(netns: Netns, connection: Connection) -> Completed:
    """Fill what was not collected of a namespace from the connection's sightings in it."""
    seen = sightings_in(connection, netns.host, netns.name)
    inferred: list[str] = []
    devices = netns.devices
    if devices is None:
        devices = _devices(netns, connection, seen, inferred)
    result = replace(netns, devices=devices)
    if netns.iptables is None:
        tables = _nat(connection, seen, inferred)
        if tables is not None:
            result = replace(result, iptables=tables)
    if netns.routes is None:
        result = replace(result, routes=_routes(result, seen, inferred))
    return Completed(result, tuple(inferred), stand_ins=netns.devices is None)


def _devices(
    netns: Netns, connection: Connection, seen: list[tuple[int, list[Sighting]]], inferred: list[str]
) -> Dump[Device]:
    """Devices are those that have taps; the one that answered in an address's name holds it."""
    names = {s.device: s for _, inside in seen for s in inside if s.device}
    rows = []
    for number, (name, sighting) in enumerate(names.items(), 1):
        held = tuple(_answered_for(name, connection, seen))
        rows.append(Device(name, number, Mac(_STAND_IN.format(number)), sighting.span, addresses=held))
        inferred.extend(
            f"{netns.label}:{name} holds {a.address}: a RST in its name left there first" for a in held
        )
    return Dump(tuple(rows), file="")


def _answered_for(
    name: str, connection: Connection, seen: list[tuple[int, list[Sighting]]]
) -> Iterator[InterfaceAddress]:
    for index, inside in seen:
        trajectory = connection.trajectories[index]
        first = trajectory.sightings[0]
        ip = first.packet.ip
        made_here = first is inside[0] and first.device == name
        if trajectory.way is Way.REPLY and trajectory.flags & Flag.RST and made_here and ip is not None:
            yield InterfaceAddress(ip.src, ip.src.max_prefixlen, first.span)


def _nat(
    connection: Connection, seen: list[tuple[int, list[Sighting]]], inferred: list[str]
) -> Dump[Table] | None:
    """A destination or source that changed inside the namespace is a rule that changed it."""
    rules: dict[str, list[Rule]] = {"PREROUTING": [], "POSTROUTING": []}
    done: set[tuple[str, IPAddress, IPAddress]] = set()
    for index, inside in seen:
        if connection.trajectories[index].way is not Way.ORIGINAL:
            continue
        before, after = inside[0].packet.ip, inside[-1].packet.ip
        if before is None or after is None:
            continue
        for chain, match, option, old, new in (
            ("PREROUTING", "destination", "to-destination", before.dst, after.dst),
            ("POSTROUTING", "source", "to-source", before.src, after.src),
        ):
            if old == new or (chain, old, new) in done:
                continue
            done.add((chain, old, new))
            name = "DNAT" if chain == "PREROUTING" else "SNAT"
            target = Target(name, {option: AddressRange(new, new, None, None)})
            rules[chain].append(
                Rule("nat", chain, (Match(match, network(str(old))),), target, inside[-1].span)
            )
            inferred.append(
                f"{name} of {old} to {new} (the same packet bears both addresses in this namespace)"
            )
    if not done:
        return None
    span = next(iter(r.span for chain in rules.values() for r in chain))
    names = ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")
    chains = {name: Chain(name, "ACCEPT", tuple(rules.get(name, ())), span) for name in names}
    return Dump((Table("nat", chains, span),), file="")


def _routes(netns: Netns, seen: list[tuple[int, list[Sighting]]], inferred: list[str]) -> Dump[Route]:
    """Local and connected routes of the addresses, and one for everything that was seen to leave."""
    rows: list[Route] = []
    for device in netns.devices or ():
        for held in device.addresses:
            single = network(str(held.address))
            rows.append(Route("local", single, "local", (NextHop(device.name),), held.span, scope="host"))
            if held.prefix < held.address.max_prefixlen:
                connected = ip_network((held.address, held.prefix), strict=False)
                rows.append(Route("unicast", connected, "main", (NextHop(device.name),), held.span))
    for destination, sighting in _left(seen):
        known = any(destination in r.destination for r in rows)
        if not known and sighting.device is not None:
            rows.append(
                Route(
                    "unicast", network(str(destination)), "main", (NextHop(sighting.device),), sighting.span
                )
            )
            inferred.append(
                f"{netns.label} reaches {destination} through {sighting.device}: packets were seen there"
            )
    return Dump(tuple(rows), file="")


def _left(seen: list[tuple[int, list[Sighting]]]) -> Iterator[tuple[IPAddress, Sighting]]:
    """Destinations with the device behind which they are: where packets for them, or from them, were seen."""
    for _, inside in seen:
        first, last = inside[0], inside[-1]
        if last.packet.ip is not None:
            if first is not last:
                yield last.packet.ip.dst, last
            elif last.packet.ip is not None and len(inside) == 1:
                yield last.packet.ip.src, last
        if first.packet.ip is not None and first is not last:
            yield first.packet.ip.src, first
