"""
Take one fact out of a snapshot, to see whether the fate of a connection hangs on it.

A flip is a value: the snapshot without the fact, and the facts that were taken out. Neighbour entries
that exist only because of the fact (the MAC of a removed station) go with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

from bothways.facts.address import IPAddress, Mac
from bothways.facts.device import Device
from bothways.facts.dump import Dump
from bothways.facts.iptables import AddressRange, Chain, Rule, Table
from bothways.facts.nft import NftChain
from bothways.facts.openflow import Bridge, Flow
from bothways.facts.snapshot import Host, Netns, Snapshot
from bothways.facts.span import Span

__all__ = [
    "Flip",
    "forget_neighbour",
    "nat_rules_for",
    "without_address",
    "without_flow",
    "without_nft_rules",
]


@dataclass(frozen=True, slots=True)
class Flip:
    """A snapshot without some facts. *removed*: their spans."""

    snapshot: Snapshot
    removed: tuple[Span, ...]


def without_flow(snapshot: Snapshot, host: str, bridge: str, flow: Flow) -> Flip:
    """The snapshot without one flow."""

    def drop(old: Bridge) -> Bridge:
        if old.flows is None:
            return old
        rows = tuple(row for row in old.flows if row.span != flow.span)
        return replace(old, flows=replace(old.flows, rows=rows))

    return Flip(_edit_bridge(snapshot, host, bridge, drop), (flow.span,))


def without_nft_rules(snapshot: Snapshot, host: str, netns: str, spans: Collection[Span]) -> Flip:
    """The snapshot without some rules of native nft tables."""

    def kept(chain: NftChain) -> NftChain:
        return replace(chain, rules=tuple(rule for rule in chain.rules if rule.span not in spans))

    def drop(old: Netns) -> Netns:
        if old.nft is None:
            return old
        rows = tuple(replace(t, chains={n: kept(c) for n, c in t.chains.items()}) for t in old.nft)
        return replace(old, nft=replace(old.nft, rows=rows))

    return Flip(_edit_netns(snapshot, host, netns, drop), tuple(spans))


def without_address(snapshot: Snapshot, netns: Netns, device: Device, address: IPAddress) -> Flip:
    """
    The snapshot in which a namespace no longer owns an address.

    Gone are the address, its local routes, the NAT rules that name it, and what the rest of the
    site learned of the address being at this device's MAC.
    """
    removed = [held.span for held in device.addresses if held.address == address]
    removed += [rule.span for rule in nat_rules_for(netns, address)]

    def drop(old: Netns) -> Netns:
        devices = old.devices
        if devices is not None:
            rows = tuple(_without(d, address) if d.name == device.name else d for d in devices)
            devices = replace(devices, rows=rows)
        routes = old.routes
        if routes is not None:
            kept = tuple(
                r
                for r in routes
                if not (r.destination.num_addresses == 1 and r.destination.network_address == address)
            )
            routes = replace(routes, rows=kept)
        spans = set(removed)
        return replace(old, devices=devices, routes=routes, iptables=_without_rules(old.iptables, spans))

    flipped = _edit_netns(snapshot, netns.host, netns.name, drop)
    return Flip(forget_neighbour(flipped, address, device.mac), tuple(removed))


def forget_neighbour(snapshot: Snapshot, address: IPAddress, mac: Mac) -> Snapshot:
    """The snapshot in which nobody has learned that *address* is at *mac*."""

    def drop(old: Netns) -> Netns:
        if old.neighbours is None:
            return old
        rows = tuple(n for n in old.neighbours if n.pinned or n.address != address or n.mac != mac)
        return replace(old, neighbours=replace(old.neighbours, rows=rows))

    for netns in list(snapshot.namespaces()):
        snapshot = _edit_netns(snapshot, netns.host, netns.name, drop)
    return snapshot


def nat_rules_for(netns: Netns, address: IPAddress) -> Iterator[Rule]:
    """NAT rules of a namespace that match on an address or translate to it."""
    for table in netns.iptables or ():
        if table.name != "nat":
            continue
        for chain in table.chains.values():
            for rule in chain.rules:
                if _names(rule, address):
                    yield rule


def _names(rule: Rule, address: IPAddress) -> bool:
    for match in rule.matches:
        network = match.value
        if match.name in ("source", "destination") and not match.negate:
            single = getattr(network, "num_addresses", 0) == 1
            if single and getattr(network, "network_address", None) == address:
                return True
    options = rule.target.options.values() if rule.target is not None else ()
    return any(isinstance(option, AddressRange) and option.low == address for option in options)


def _without(device: Device, address: IPAddress) -> Device:
    return replace(device, addresses=tuple(a for a in device.addresses if a.address != address))


def _without_rules(tables: Dump[Table] | None, spans: set[Span]) -> Dump[Table] | None:
    if tables is None:
        return None

    def drop(chain: Chain) -> Chain:
        return replace(chain, rules=tuple(r for r in chain.rules if r.span not in spans))

    rows = tuple(replace(t, chains={n: drop(c) for n, c in t.chains.items()}) for t in tables)
    return replace(tables, rows=rows)


def _edit_netns(snapshot: Snapshot, host: str, name: str, edit: Callable[[Netns], Netns]) -> Snapshot:
    def change(old: Host) -> Host:
        netns = old.netns.get(name)
        return old if netns is None else replace(old, netns={**old.netns, name: edit(netns)})

    return _edit_host(snapshot, host, change)


def _edit_bridge(snapshot: Snapshot, host: str, name: str, edit: Callable[[Bridge], Bridge]) -> Snapshot:
    def change(old: Host) -> Host:
        if old.switch is None or name not in old.switch.bridges:
            return old
        bridges = {**old.switch.bridges, name: edit(old.switch.bridges[name])}
        return replace(old, switch=replace(old.switch, bridges=bridges))

    return _edit_host(snapshot, host, change)


def _edit_host(snapshot: Snapshot, host: str, edit: Callable[[Host], Host]) -> Snapshot:
    found = snapshot.hosts.get(host)
    if found is None:
        return snapshot
    return replace(snapshot, hosts={**snapshot.hosts, host: edit(found)})
