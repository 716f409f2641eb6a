"""
Rows of OVSDB's tables ``Bridge``, ``Port`` and ``Interface``, put together to bridges.

A bridge's port in the sense of OpenFlow is an Interface. Values are atoms, ``["set", […]]``,
``["map", [[k, v], …]]`` and ``["uuid", …]`` (RFC 7047, section 5.1). ``ofport`` -1 means that the switch
could not make the port. Columns: ovs-vswitchd.conf.db(5).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from bothways.facts.address import Mac, mac
from bothways.facts.openflow import LOCAL, Bridge, Mirror, Port
from bothways.facts.span import Span
from bothways.parse.reading import Reading, quoted

__all__ = ["Record", "assemble", "port_of"]

_LOCAL: Final = 0xFFFE
_MAX_PORT: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Record:
    """
    One row of a table by column.

    :param columns: values as RFC 7047 writes them in JSON.
    """

    columns: Mapping[str, object]
    span: Span

    @property
    def uuid(self) -> str:
        """The row's own id, "" if it was not dumped."""
        return next(iter(self.references("_uuid")), "")

    def items(self, key: str) -> tuple[object, ...]:
        """The atoms of a column: those of a set, or the one there is."""
        value = self.columns.get(key)
        if isinstance(value, list):
            inner = value[1] if len(value) == 2 and value[0] == "set" else None  # noqa: PLR2004 - tag and content
            if isinstance(inner, list):
                return tuple(inner)
            return (value,) if value[:1] == ["uuid"] else ()
        return () if value is None else (value,)

    def text(self, key: str) -> str | None:
        """The first string of a column."""
        return next((item for item in self.items(key) if isinstance(item, str)), None)

    def numbers(self, key: str) -> tuple[int, ...]:
        """The integers of a column."""
        return tuple(i for i in self.items(key) if isinstance(i, int) and not isinstance(i, bool))

    def true(self, key: str) -> bool:
        """Whether a column says so; False if there is none."""
        return True in [item for item in self.items(key) if isinstance(item, bool)]

    def references(self, key: str) -> Iterator[str]:
        """The ids of rows that a column names."""
        for item in self.items(key):
            if isinstance(item, list) and len(item) == 2 and isinstance(item[1], str):  # noqa: PLR2004
                yield item[1]

    def map(self, key: str) -> dict[str, str]:
        """A map of strings; empty if the column is none."""
        value = self.columns.get(key)
        if not (isinstance(value, list) and len(value) == 2 and value[0] == "map"):  # noqa: PLR2004
            return {}
        pairs = value[1] if isinstance(value[1], list) else []
        return {str(p[0]): str(p[1]) for p in pairs if isinstance(p, list) and len(p) == 2}  # noqa: PLR2004


def assemble(
    bridges: Mapping[str, Record],
    ports: Mapping[str, Record],
    interfaces: Mapping[str, Record],
    reading: Reading[Bridge],
    mirrors: Mapping[str, Record] | None = None,
    controllers: Mapping[str, Record] | None = None,
) -> None:
    """
    Put the rows of the tables, by their ids, together to bridges; what does not fit is a problem.

    :param mirrors: rows of ``Mirror``, None if that table was not dumped; *controllers* of ``Controller``.
    """
    for bridge in bridges.values():
        name = bridge.text("name")
        if name is None:
            reading.malformed(bridge.span, "a bridge without a name")
        else:
            made = _bridge(name, bridge, ports, interfaces, reading)
            copied = _mirrors(bridge, ports, mirrors or {})
            masters = _targets(bridge, controllers or {})
            reading.rows.append(replace(made, mirrors=copied, controllers=masters))


def _targets(bridge: Record, controllers: Mapping[str, Record]) -> tuple[str, ...] | None:
    """Where a bridge's controllers are, None if a row that it names is not there."""
    given = list(bridge.references("controller"))
    if "controller" not in bridge.columns or any(each not in controllers for each in given):
        return None
    return tuple(controllers[each].text("target") or "" for each in given)


def _mirrors(
    bridge: Record, ports: Mapping[str, Record], mirrors: Mapping[str, Record]
) -> tuple[Mirror, ...] | None:
    """What a bridge copies, None if a row that it names is not there."""
    given = list(bridge.references("mirrors"))
    if "mirrors" not in bridge.columns or any(each not in mirrors for each in given):
        return None
    return tuple(_mirror(mirrors[each], ports) for each in given)


def _mirror(row: Record, ports: Mapping[str, Record]) -> Mirror:
    def names(column: str) -> tuple[str, ...]:
        return tuple(ports[each].text("name") or "" for each in row.references(column) if each in ports)

    return Mirror(
        row.text("name") or "",
        row.span,
        row.true("select_all"),
        names("select_src_port"),
        names("select_dst_port"),
        row.numbers("select_vlan"),
        next(iter(names("output_port")), None),
        next(iter(row.numbers("output_vlan")), None),
        next(iter(row.numbers("snaplen")), None),
        row.text("filter") or "",
    )


def _bridge(
    name: str,
    bridge: Record,
    ports: Mapping[str, Record],
    interfaces: Mapping[str, Record],
    reading: Reading[Bridge],
) -> Bridge:
    found: dict[str, Port] = {}
    for reference in bridge.references("ports"):
        port = ports.get(reference)
        for inner in port.references("interfaces") if port is not None else (reference,):
            interface = interfaces.get(inner)
            device = None if interface is None else interface.text("name")
            if port is None or interface is None or device is None:
                reading.contradiction(
                    bridge.span,
                    f"bridge {quoted(name)} has a port that the dump does not hold",
                    "dump it whole",
                )
            else:
                members = tuple(port.references("interfaces"))
                made = port_of(device, interface, port)
                found[device] = made if len(members) == 1 else _member(made, port)
    return Bridge(
        host="",
        name=name,
        ports=found,
        datapath=None if "datapath_type" not in bridge.columns else bridge.text("datapath_type") or "system",
        fail_mode=bridge.text("fail_mode"),
        flood_vlans=bridge.numbers("flood_vlans"),
        mcast_snooping=bridge.true("mcast_snooping_enable"),
        external_ids=bridge.map("external_ids"),
        other_config=bridge.map("other_config"),
        spanning_tree=bridge.true("stp_enable") or bridge.true("rstp_enable"),
    )


def _member(made: Port, port: Record) -> Port:
    """One of several interfaces of a port: a bond."""
    return replace(
        made,
        bond=port.text("name"),
        bond_mode=port.text("bond_mode") or "active-backup",
        lacp=port.text("lacp"),
    )


def port_of(name: str, interface: Record, port: Record) -> Port:
    """A port as its Interface and its Port say; an empty row says nothing."""
    external = {**port.map("external_ids"), **interface.map("external_ids")}
    tags = port.numbers("tag")
    return Port(
        name=name,
        number=_number(interface),
        span=interface.span,
        kind=interface.text("type") if "type" in interface.columns else None,
        options=interface.map("options"),
        mac=_mac(interface.text("mac_in_use")),
        attached_mac=_mac(external.get("attached-mac")),
        tag=tags[0] if tags else None,
        trunks=port.numbers("trunks"),
        vlan_mode=port.text("vlan_mode"),
        external_ids=external,
        cvlans=port.numbers("cvlans"),
        other_config={**port.map("other_config"), **interface.map("other_config")},
        mtu=next(iter(interface.numbers("mtu")), None),
        protected=port.true("protected"),
        error=interface.text("error"),
    )


def _number(interface: Record) -> int | None:
    number = next(iter(interface.numbers("ofport")), -1)
    if number == _LOCAL:
        return LOCAL
    return number if 0 < number < _MAX_PORT else None


def _mac(text: str | None) -> Mac | None:
    try:
        return None if text is None else mac(text)
    except ValueError:
        return None
