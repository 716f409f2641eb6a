"""Open vSwitch of one host: ``hosts/HOST/ovs/``, merged bridge by bridge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar, cast

from bothways.bundle.dumps import DumpReader
from bothways.facts.datapath import MulticastMember
from bothways.facts.dump import Dump
from bothways.facts.openflow import Bridge, Flow, Group, LearnedMac, Meter, Port, Switch, TunnelOption
from bothways.parse.openflow import parse_flows
from bothways.parse.openflow_groups import parse_groups, with_ports
from bothways.parse.openflow_meters import parse_meters
from bothways.parse.openflow_ports import parse_ports
from bothways.parse.ovs_appctl import parse_fdb_show, parse_tunnel_neighbours
from bothways.parse.ovs_assemble import merge_bridge
from bothways.parse.ovs_conntrack import parse_datapath_conntrack
from bothways.parse.ovs_dpctl import parse_datapath_flows
from bothways.parse.ovs_list import OvsRow, listed_bridges, listed_ports, parse_vsctl_list
from bothways.parse.ovs_mdb import parse_mdb_show
from bothways.parse.ovs_tlv_map import parse_tlv_map
from bothways.parse.ovs_tunnels import (
    parse_dpif_show,
    parse_tunnel_listeners,
    parse_tunnel_routes,
    parse_tunnels,
)
from bothways.parse.ovs_vsctl import parse_vsctl_show
from bothways.parse.ovsdb import parse_ovsdb

__all__ = ["read_switch"]

_LISTS: Final = ("list-bridge.txt", "list-port.txt", "list-interface.txt")
_SHOW: Final = "show.txt"
_OVSDB: Final = "ovsdb.jsonl"
#: field of Switch -> file, and who reads it
_WHOLE: Final = {
    "tunnel_neighbours": ("tnl-neigh-show.txt", parse_tunnel_neighbours),
    "conntrack": ("dpctl-dump-conntrack.txt", parse_datapath_conntrack),
    "datapath_flows": ("dpctl-dump-flows.txt", parse_datapath_flows),
    "datapath_ports": ("dpif-show.txt", parse_dpif_show),
    "tunnels": ("ofproto-list-tunnels.txt", parse_tunnels),
    "tunnel_listeners": ("tnl-ports-show.txt", parse_tunnel_listeners),
    "tunnel_routes": ("ovs-route-show.txt", parse_tunnel_routes),
}
_ENDS: Final = (
    ".flows.txt",
    ".ports.txt",
    ".fdb.txt",
    ".groups.txt",
    ".meters.txt",
    ".mdb.txt",
    ".tlv-map.txt",
)

Row = TypeVar("Row")


def _described(reader: DumpReader, host: str) -> tuple[Mapping[str, Bridge], Mapping[str, Bridge]]:
    """Bridges as ``ovs-vsctl show`` and as OVSDB describe them, by name."""
    place = f"hosts/{host}/ovs"
    show = reader.parsed(parse_vsctl_show, f"{place}/{_SHOW}", reader.ages.of_switch(host, _SHOW))
    ovsdb = reader.parsed(parse_ovsdb, f"{place}/{_OVSDB}", reader.ages.of_switch(host, _OVSDB))
    return (
        {row.name: row for row in show or () if isinstance(row, Bridge)},
        {row.name: row for row in ovsdb or () if isinstance(row, Bridge)},
    )


def _listed(reader: DumpReader, host: str) -> tuple[OvsRow, ...]:
    """Rows of ``ovs-vsctl list``, one file a table."""
    rows: list[OvsRow] = []
    for file in _LISTS:
        found = reader.parsed(parse_vsctl_list, f"hosts/{host}/ovs/{file}", reader.ages.of_switch(host, file))
        rows.extend(cast("tuple[OvsRow, ...]", found or ()))
    return tuple(rows)


def _completed(
    name: str, show: Bridge | None, ports: Iterable[Port] | None, rows: Sequence[OvsRow]
) -> Bridge | None:
    """What the rows say of ports that other dumps know to be the bridge's; None if nothing."""
    known = {port.name: port for port in ports or ()} | dict({} if show is None else show.ports)
    owned = any(row.table == "Port" for row in rows)
    found = {port.name: port for port in listed_ports(rows) if port.name in known}
    if not owned:
        # VLANs stand in the table Port alone.
        found = {
            key: replace(port, tag=known[key].tag, trunks=known[key].trunks, vlan_mode=known[key].vlan_mode)
            for key, port in found.items()
        }
    return Bridge("", name, found) if found else None


def _bridge(
    reader: DumpReader,
    host: str,
    name: str,
    described: tuple[Bridge | None, Bridge | None],
    rows: Sequence[OvsRow],
) -> Bridge:
    place = f"hosts/{host}/ovs/{name}"
    ages = partial(reader.ages.of_bridge, host, name)
    ports = reader.parsed(parse_ports, f"{place}.ports.txt", ages("ports"))
    whole = f"{place}.flows.txt" not in reader.partial
    flows = reader.dump(partial(parse_flows, whole=whole), f"{place}.flows.txt", ages("flows"))
    show, ovsdb = described
    if ovsdb is None:
        ovsdb = _completed(name, show, cast("tuple[Port, ...] | None", ports), rows)
    bridge = merge_bridge(
        host,
        name,
        show=show,
        ovsdb=ovsdb,
        ports=cast("tuple[Port, ...] | None", ports),
        flows=cast("Dump[Flow] | None", flows),
    )
    # FDB rows may name ports, and only the merged bridge knows their numbers.
    parse_fdb = partial(parse_fdb_show, ports=bridge.ports)
    fdb = reader.dump(parse_fdb, f"{place}.fdb.txt", ages("fdb"))
    groups = reader.dump(parse_groups, f"{place}.groups.txt", ages("groups"))
    if groups is not None:
        numbers = {port.name: port.number for port in bridge.ports.values() if port.number is not None}
        found = cast("tuple[Group, ...]", groups.rows)
        groups = replace(groups, rows=tuple(with_ports(each, numbers) for each in found))
    meters = reader.dump(parse_meters, f"{place}.meters.txt", ages("meters"))
    mdb = reader.dump(parse_mdb_show, f"{place}.mdb.txt", ages("mdb"))
    options = reader.dump(parse_tlv_map, f"{place}.tlv-map.txt", ages("tlv-map"))
    return replace(
        bridge,
        fdb=cast("Dump[LearnedMac] | None", fdb),
        groups=cast("Dump[Group] | None", groups),
        meters=cast("Dump[Meter] | None", meters),
        mdb=cast("Dump[MulticastMember] | None", mdb),
        tunnel_options=cast("Dump[TunnelOption] | None", options),
    )


def _whole_switch(reader: DumpReader, host: str) -> dict[str, Dump[object]]:
    """Dumps that are of no one bridge; a field whose file is missing is left out."""
    found: dict[str, Dump[object]] = {}
    for target, (file, parser) in _WHOLE.items():
        dump = reader.dump(parser, f"hosts/{host}/ovs/{file}", reader.ages.of_switch(host, file))
        if dump is not None:
            found[target] = dump
    return found


def read_switch(reader: DumpReader, host: str) -> Switch | None:
    """Read the switch of a host; None if nothing of it was collected."""
    names = reader.folder.below("hosts", host, "ovs")
    if not names:
        return None
    show, ovsdb = _described(reader, host)
    rows = _listed(reader, host)
    if not ovsdb:
        listed = listed_bridges(rows)
        reader.folder.problems.extend(listed.problems)
        ovsdb = {row.name: row for row in listed.rows}
    named = {name.removesuffix(end) for name in names for end in _ENDS if name.endswith(end)}
    bridges = {
        name: _bridge(reader, host, name, (show.get(name), ovsdb.get(name)), rows)
        for name in sorted(named | show.keys() | ovsdb.keys())
    }
    return Switch(host, bridges, **_whole_switch(reader, host))  # type: ignore[arg-type]  # the table pairs each field with its rows
