"""One bridge out of what ``ovs-vsctl``, OVSDB, ``ovs-ofctl`` and ``ovs-appctl`` say of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from bothways.facts.dump import Dump
from bothways.facts.openflow import LOCAL, Bridge, Flow, LearnedMac, Port
from bothways.parse.openflow import resolve_ports

__all__ = ["merge_bridge"]

#: Letters of a port's name in OpenFlow, whose field has 16 octets and ends with a zero (ofp_port.name).
_LONGEST: Final = 15


def merge_bridge(
    host: str,
    name: str,
    *,
    show: Bridge | None = None,
    ovsdb: Bridge | None = None,
    ports: Iterable[Port] | None = None,
    flows: Dump[Flow] | None = None,
    fdb: Dump[LearnedMac] | None = None,
) -> Bridge:
    """
    Merge everything that was collected of one bridge; None = not collected.

    A port's number, MAC, config and state are those of ``ovs-ofctl show`` (*ports*) where it lists the
    port, else of OVSDB; kind, options and VLANs are those of OVSDB, else of ``ovs-vsctl show`` (*show*). Its
    span is the first of these that knows it, in the order ``ovs-ofctl show``, ``ovs-vsctl show``, OVSDB.
    Flows that name ports get their numbers. OpenFlow cuts a port's name after 15 letters; the others know
    the rest.
    """
    merged: dict[str, Port] = {}
    for known in (
        None if ports is None else _whole_names(ports, [each for each in (ovsdb, show) if each is not None]),
        None if show is None else show.ports.values(),
        None if ovsdb is None else ovsdb.ports.values(),
    ):
        for port in known or ():
            merged[port.name] = port if port.name not in merged else _joined(merged[port.name], port)
    local = merged.get(name)
    if local is not None and local.number is None:
        merged[name] = replace(local, number=LOCAL)
    if flows is not None:
        short = {port.name[:_LONGEST]: port for port in merged.values() if len(port.name) > _LONGEST}
        flows = replace(flows, rows=resolve_ports(flows.rows, {**short, **merged}))
    described = [bridge for bridge in (ovsdb, show) if bridge is not None]
    return Bridge(
        host=host,
        name=name,
        ports=merged,
        flows=flows,
        fdb=fdb,
        datapath=next((b.datapath for b in described if b.datapath is not None), None),
        fail_mode=next((b.fail_mode for b in described if b.fail_mode is not None), None),
        mirrors=next((b.mirrors for b in described if b.mirrors is not None), None),
        flood_vlans=next((b.flood_vlans for b in described if b.flood_vlans), ()),
        mcast_snooping=any(b.mcast_snooping for b in described),
        external_ids=next((b.external_ids for b in described if b.external_ids), {}),
        other_config=next((b.other_config for b in described if b.other_config), {}),
        controllers=next((b.controllers for b in described if b.controllers is not None), None),
        spanning_tree=any(b.spanning_tree for b in described),
    )


def _whole_names(ports: Iterable[Port], described: Sequence[Bridge]) -> list[Port]:
    """
    Give ports whose names OpenFlow cut their whole names again.

    Where several names begin alike, the port's number in OVSDB decides; if that is not known either, the name
    stays cut.
    """
    known = {port.name: port for bridge in described for port in bridge.ports.values()}
    out = []
    for port in ports:
        long = [
            each
            for name, each in known.items()
            if len(port.name) == _LONGEST and len(name) > _LONGEST and name.startswith(port.name)
        ]
        if port.name in known or not long:
            out.append(port)
            continue
        if len(long) > 1:
            long = [each for each in long if each.number is not None and each.number == port.number]
        out.append(replace(port, name=long[0].name) if len(long) == 1 else port)
    return out


def _joined(old: Port, new: Port) -> Port:
    """What *old* says, completed by *new*; a description (kind, VLANs) of *new* is the fuller one."""
    described = new if new.kind is not None else old
    return replace(
        old,
        number=new.number if old.number is None else old.number,
        kind=described.kind,
        options=described.options or old.options,
        mac=new.mac if old.mac is None else old.mac,
        attached_mac=old.attached_mac or new.attached_mac,
        tag=described.tag,
        trunks=described.trunks,
        vlan_mode=described.vlan_mode,
        config=old.config or new.config,
        state=old.state or new.state,
        external_ids=old.external_ids or new.external_ids,
        cvlans=old.cvlans or new.cvlans,
        bond=old.bond or new.bond,
        bond_mode=old.bond_mode or new.bond_mode,
        lacp=old.lacp or new.lacp,
        other_config=old.other_config or new.other_config,
        mtu=new.mtu if old.mtu is None else old.mtu,
        protected=old.protected or new.protected,
        error=old.error or new.error,
    )
