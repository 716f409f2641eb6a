"""
Apply a change to a snapshot: a value in, a value out.

A change names its host, or the one host where it fits is meant. What goes away in the kernel with the thing
that was changed goes here too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, cast

from bothways.facts.address import Mac
from bothways.facts.change import (
    Act,
    AddressEdit,
    ConntrackEdit,
    FlowEdit,
    IptablesEdit,
    LinkEdit,
    NeighbourEdit,
    NftEdit,
    PlacedChange,
    PortEdit,
    RouteEdit,
    RoutingRuleEdit,
    SysctlEdit,
)
from bothways.facts.device import Device
from bothways.facts.snapshot import Host, Netns, Snapshot
from bothways.model.change.devices import change_address, change_link, without_device
from bothways.model.change.netfilter import change_iptables
from bothways.model.change.nft import change_nft
from bothways.model.change.refusal import NothingToChangeError
from bothways.model.change.switch import change_flow, change_port
from bothways.model.change.sysctls import change_sysctl, evaluated
from bothways.model.change.tables import (
    change_conntrack,
    change_neighbour,
    change_route,
    change_routing_rule,
)

__all__ = ["Applied", "apply_change"]

_Change = Callable[[Netns, object, str], Netns]


@dataclass(frozen=True, slots=True)
class Applied:
    """
    A snapshot after a change.

    :param host: where it was made, *netns* in which namespace ("" for the switch).
    :param notes: what went with it, one sentence each.
    :param unknown: what of the change the model does not know, one sentence each.
    """

    snapshot: Snapshot
    host: str
    netns: str
    notes: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def apply_change(snapshot: Snapshot, change: PlacedChange) -> Applied:
    """
    Apply all edits of one command.

    :raises NothingToChangeError: if it fits nowhere, or in several places where no host is named.
    """
    places = list(_places(snapshot, change))
    if not places:
        raise _nowhere(snapshot, change)
    done: list[Applied] = []
    refused: list[NothingToChangeError] = []
    for host, netns in places:
        try:
            done.append(_apply_at(snapshot, change, host, netns))
        except NothingToChangeError as error:
            refused.append(error)
    if not done:
        raise refused[0]
    if len(done) > 1:
        names = ", ".join(a.host if a.netns in ("", "root") else f"{a.host}/{a.netns}" for a in done)
        raise NothingToChangeError(
            f"`{change.command}` fits in several places: {names}", "name one: HOST[/NETNS]: COMMAND"
        )
    return done[0]


def _places(snapshot: Snapshot, change: PlacedChange) -> Iterator[tuple[Host, str]]:
    switched = all(isinstance(edit, FlowEdit | PortEdit) for edit in change.edits)
    for host in snapshot.hosts.values():
        if change.host not in (None, host.name):
            continue
        if switched:
            if host.switch is not None:
                yield host, ""
            continue
        named = change.netns or ("root" if change.host is not None else None)
        for name in host.netns:
            if named in (None, name):
                yield host, name


def _nowhere(snapshot: Snapshot, change: PlacedChange) -> NothingToChangeError:
    if change.host is not None and change.host not in snapshot.hosts:
        known = ", ".join(snapshot.hosts)
        return NothingToChangeError(f"there is no host {change.host} in the evidence", f"there are {known}")
    host = snapshot.hosts.get(change.host or "")
    if host is not None and change.netns is not None:
        return NothingToChangeError(
            f"{host.name} has no namespace {change.netns} in the evidence", f"it has {', '.join(host.netns)}"
        )
    where = change.host or "any host"
    return NothingToChangeError(f"nothing that `{change.command}` changes was collected of {where}")


def _apply_at(snapshot: Snapshot, change: PlacedChange, host: Host, netns: str) -> Applied:
    notes: list[str] = []
    unknown: list[str] = []
    for edit in change.edits:
        host = snapshot.hosts[host.name]
        if isinstance(edit, FlowEdit | PortEdit):
            snapshot, said = _switch(snapshot, host, edit, change.command)
            notes += said
        else:
            old = host.netns[netns]
            new = _CHANGES[type(edit)](old, edit, change.command)
            snapshot = _with_netns(snapshot, host, new)
            gone = _macs(old) - _macs(new)
            if isinstance(edit, LinkEdit) and edit.act is Act.DELETE:
                snapshot, peers = _without_peer(snapshot, old, edit.device)
                notes += [
                    f"{at.label}:{device.name}, the other end of the veth pair, goes too"
                    for at, device in peers
                ]
                gone |= {device.mac for _, device in peers}
            snapshot = _forget_stations(snapshot, gone)
            if isinstance(edit, SysctlEdit) and not evaluated(edit.name):
                unknown.append(f"what {edit.name} does to packets: it is not modelled, the walk is as before")
    return Applied(snapshot, host.name, netns, tuple(notes), tuple(unknown))


def _without_peer(
    snapshot: Snapshot, netns: Netns, name: str
) -> tuple[Snapshot, tuple[tuple[Netns, Device], ...]]:
    """Without the other end of a veth pair, if the dumps of the host name one device that can be it."""
    gone = netns.device(name)
    if gone is None or gone.kind != "veth" or gone.link is None:
        return snapshot, ()
    host = snapshot.hosts[netns.host]
    peers = tuple(
        (other, device)
        for other in host.netns.values()
        for device in other.devices or ()
        if device.kind == "veth" and (device.index, device.link) == (gone.link, gone.index)
    )
    if len(peers) != 1:
        return snapshot, ()
    return _with_netns(snapshot, host, without_device(peers[0][0], peers[0][1].name)), peers


def _switch(
    snapshot: Snapshot, host: Host, edit: FlowEdit | PortEdit, command: str
) -> tuple[Snapshot, list[str]]:
    if host.switch is None:
        raise NothingToChangeError(f"nothing of Open vSwitch on {host.name} was collected")
    if isinstance(edit, FlowEdit):
        return _with_host(snapshot, replace(host, switch=change_flow(host.switch, edit, command))), []
    found = host.switch.bridge_of(edit.port)
    changed = replace(host, switch=change_port(host.switch, edit))
    notes: list[str] = []
    gone: set[Mac] = set()
    if edit.act is Act.DELETE and found is not None and found[1].kind == "internal":
        # An internal port is a device of the switch: it goes with the port, wherever it was moved.
        for netns in host.netns.values():
            device = netns.device(edit.port)
            if device is not None:
                gone.add(device.mac)
                kept = without_device(netns, edit.port)
                changed = replace(changed, netns={**changed.netns, netns.name: kept})
                notes.append(f"{netns.label}:{edit.port} goes with the port, with its addresses and routes")
    return _forget_stations(_with_host(snapshot, changed), gone), notes


def _forget_stations(snapshot: Snapshot, gone: set[Mac]) -> Snapshot:
    """Without neighbour entries that were learned of stations which no longer exist: they age out."""
    gone = {mac for mac in gone if not list(snapshot.devices_with_mac(mac))}
    if not gone:
        return snapshot
    for netns in list(snapshot.namespaces()):
        if netns.neighbours is not None:
            rows = tuple(n for n in netns.neighbours if n.pinned or n.mac not in gone)
            changed = replace(netns, neighbours=replace(netns.neighbours, rows=rows))
            snapshot = _with_netns(snapshot, snapshot.hosts[netns.host], changed)
    return snapshot


def _macs(netns: Netns) -> set[Mac]:
    return {device.mac for device in netns.devices or () if device.mac}


def _with_netns(snapshot: Snapshot, host: Host, netns: Netns) -> Snapshot:
    return _with_host(snapshot, replace(host, netns={**host.netns, netns.name: netns}))


def _with_host(snapshot: Snapshot, host: Host) -> Snapshot:
    return replace(snapshot, hosts={**snapshot.hosts, host.name: host})


_CHANGES: Final[Mapping[type, _Change]] = {
    SysctlEdit: lambda netns, edit, command: change_sysctl(netns, cast("SysctlEdit", edit), command),
    LinkEdit: lambda netns, edit, _: change_link(netns, cast("LinkEdit", edit)),
    AddressEdit: lambda netns, edit, command: change_address(netns, cast("AddressEdit", edit), command),
    RouteEdit: lambda netns, edit, _: change_route(netns, cast("RouteEdit", edit)),
    RoutingRuleEdit: lambda netns, edit, _: change_routing_rule(netns, cast("RoutingRuleEdit", edit)),
    NeighbourEdit: lambda netns, edit, _: change_neighbour(netns, cast("NeighbourEdit", edit)),
    IptablesEdit: lambda netns, edit, _: change_iptables(netns, cast("IptablesEdit", edit)),
    NftEdit: lambda netns, edit, _: change_nft(netns, cast("NftEdit", edit)),
    ConntrackEdit: lambda netns, edit, _: change_conntrack(netns, cast("ConntrackEdit", edit)),
}
