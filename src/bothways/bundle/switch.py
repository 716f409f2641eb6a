"""Open vSwitch of one host: ``hosts/HOST/ovs/``, merged bridge by bridge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar, cast

from bothways.bundle.dumps import DumpReader
from bothways.facts.dump import Dump
from bothways.facts.openflow import Bridge, Flow, LearnedMac, Port, Switch, TunnelNeighbour
from bothways.parse.openflow import parse_flows
from bothways.parse.openflow_ports import parse_ports
from bothways.parse.ovs_appctl import parse_fdb_show, parse_tunnel_neighbours
from bothways.parse.ovs_assemble import merge_bridge
from bothways.parse.ovs_list import OvsRow, listed_bridges, listed_ports, parse_vsctl_list
from bothways.parse.ovs_vsctl import parse_vsctl_show
from bothways.parse.ovsdb import parse_ovsdb

__all__ = ["read_switch"]

_LISTS: Final = ("list-bridge.txt", "list-port.txt", "list-interface.txt")
_SHOW: Final = "show.txt"
_OVSDB: Final = "ovsdb.jsonl"
_NEIGHBOURS: Final = "tnl-neigh-show.txt"
_ENDS: Final = (".flows.txt", ".ports.txt", ".fdb.txt")

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
    flows = reader.dump(parse_flows, f"{place}.flows.txt", ages("flows"))
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
    return replace(bridge, fdb=cast("Dump[LearnedMac] | None", fdb))


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
    neighbours = reader.dump(
        parse_tunnel_neighbours,
        f"hosts/{host}/ovs/{_NEIGHBOURS}",
        reader.ages.of_switch(host, _NEIGHBOURS),
    )
    return Switch(host, bridges, cast("Dump[TunnelNeighbour] | None", neighbours))
