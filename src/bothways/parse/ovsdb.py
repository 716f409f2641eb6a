"""
OVSDB as ``ovsdb-client dump -f json`` prints it: one JSON object per table and line.

Read are the tables ``Bridge``, ``Port`` and ``Interface``; a bridge's port in the sense of OpenFlow is an
Interface. Values are atoms, ``["set", […]]``, ``["map", [[k, v], …]]`` and ``["uuid", …]`` (RFC 7047, section
5.1). ``ofport`` -1 means that the switch could not make the port. ``Bridge.host`` is empty:
``ovs_assemble.merge_bridge`` knows it. Columns: ovs-vswitchd.conf.db(5).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bothways.facts.address import Mac, mac
from bothways.facts.openflow import LOCAL, Bridge, Port
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.reading import Reading, lines, quoted

__all__ = ["parse_ovsdb"]

_TABLES: Final = ("Bridge table", "Port table", "Interface table")
_LOCAL: Final = 0xFFFE
_MAX_PORT: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class _Record:
    """One row of a table by column."""

    columns: Mapping[str, object]
    span: Span

    @property
    def uuid(self) -> str:
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
        return next((item for item in self.items(key) if isinstance(item, str)), None)

    def numbers(self, key: str) -> tuple[int, ...]:
        return tuple(i for i in self.items(key) if isinstance(i, int) and not isinstance(i, bool))

    def references(self, key: str) -> Iterator[str]:
        for item in self.items(key):
            if isinstance(item, list) and len(item) == 2 and isinstance(item[1], str):  # noqa: PLR2004
                yield item[1]

    def map(self, key: str) -> dict[str, str]:
        value = self.columns.get(key)
        if not (isinstance(value, list) and len(value) == 2 and value[0] == "map"):  # noqa: PLR2004
            return {}
        pairs = value[1] if isinstance(value[1], list) else []
        return {str(p[0]): str(p[1]) for p in pairs if isinstance(p, list) and len(p) == 2}  # noqa: PLR2004


def parse_ovsdb(text: str, *, file: str, read_at: float | None = None) -> Parsed[Bridge]:
    """Read an OVSDB dump; one row per bridge, ports with the numbers that the switch gave them."""
    reading: Reading[Bridge] = Reading()
    tables: dict[str, dict[str, _Record]] = {caption: {} for caption in _TABLES}
    for line in lines(text, file=file, read_at=read_at):
        if not line.text.strip():
            reading.skip()
            continue
        table = _table(line, reading)
        if table is None:
            continue
        caption, rows = table
        if caption in tables:
            tables[caption].update({record.uuid: record for record in _records(line, rows, reading)})
        else:
            reading.skip()
    bridges, ports, interfaces = (tables[caption] for caption in _TABLES)
    for bridge in bridges.values():
        name = bridge.text("name")
        if name is None:
            reading.malformed(bridge.span, "a bridge without a name")
            continue
        reading.rows.append(_bridge(name, bridge, ports, interfaces, reading))
    return reading.done()


def _table(line: Span, reading: Reading[Bridge]) -> tuple[str, Mapping[str, object]] | None:
    try:
        value = json.loads(line.text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        hint = "expected a line of `ovsdb-client dump -f json`"
        reading.malformed(line, f"not a JSON object: {quoted(line.text)}", hint)
        return None
    caption = value.get("caption")
    if not isinstance(caption, str):
        reading.unmodelled(line, "a table without caption", "dump it with `ovsdb-client dump -f json`")
        return None
    return caption, value


def _records(line: Span, table: Mapping[str, object], reading: Reading[Bridge]) -> Iterator[_Record]:
    headings, data = table.get("headings"), table.get("data")
    if not isinstance(headings, list) or not isinstance(data, list):
        reading.malformed(line, f"the table {quoted(line.text)} lacks headings or data")
        return
    names = [str(heading) for heading in headings]
    for row in data:
        if isinstance(row, list) and len(row) == len(names):
            yield _Record(dict(zip(names, row, strict=True)), _place(line, row))
        else:
            reading.malformed(line, "a row does not have as many values as there are headings")


def _place(line: Span, row: list[object]) -> Span:
    """The row's own part of the line."""
    text = json.dumps(row, separators=(",", ":"), ensure_ascii=False)
    start = line.text.find(text)
    column = None if start < 0 else start + 1
    return Span(line.file, line=line.line, text=text, column=column, read_at=line.read_at)


def _bridge(
    name: str,
    bridge: _Record,
    ports: Mapping[str, _Record],
    interfaces: Mapping[str, _Record],
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
                found[device] = _port(device, port, interface)
    return Bridge(
        host="",
        name=name,
        ports=found,
        datapath=None if "datapath_type" not in bridge.columns else bridge.text("datapath_type") or "system",
        fail_mode=bridge.text("fail_mode"),
    )


def _port(name: str, port: _Record, interface: _Record) -> Port:
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
    )


def _number(interface: _Record) -> int | None:
    number = next(iter(interface.numbers("ofport")), -1)
    if number == _LOCAL:
        return LOCAL
    return number if 0 < number < _MAX_PORT else None


def _mac(text: str | None) -> Mac | None:
    try:
        return None if text is None else mac(text)
    except ValueError:
        return None
