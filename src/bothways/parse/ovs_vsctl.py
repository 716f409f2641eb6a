"""
``ovs-vsctl show``: bridges, their ports, and what kind of port each is.

The text is a tree by indentation: ``Bridge``, ``Port``, ``Interface``, and ``key: value`` below each. One
OpenFlow port is one ``Interface`` line; ``tag``, ``trunks`` and ``vlan_mode`` stand at its ``Port`` (a bond
has several interfaces). Columns at their default are not printed, so a missing ``fail_mode`` is None and a
missing ``datapath_type`` says nothing. ``Bridge.host`` is empty: ``ovs_assemble.merge_bridge`` knows it.
Source: ovs-vsctl(8).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bothways.facts.openflow import Bridge, Port
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.openflow_lex import cut
from bothways.parse.openflow_values import unquoted
from bothways.parse.reading import Reading, lines, quoted

__all__ = ["parse_vsctl_show"]

_LINE: Final = re.compile(r"(?P<indent>\s*)(?P<key>[A-Za-z_]\w*):?(?P<value>\s.*)?\Z")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_RECORDS: Final = ("Bridge", "Port", "Interface")
#: records that stand beside bridges and ports
_OTHER: Final = ("Manager", "Controller")


@dataclass(slots=True)
class _Record:
    """A Bridge, Port or Interface while its lines are read."""

    kind: str
    name: str
    span: Span
    indent: int
    values: dict[str, tuple[str, Span]] = field(default_factory=dict)
    inner: list[_Record] = field(default_factory=list)
    masters: list[str] = field(default_factory=list)

    def text(self, key: str) -> str | None:
        found = self.values.get(key)
        return None if found is None else unquoted(found[0])


def parse_vsctl_show(text: str, *, file: str, read_at: float | None = None) -> Parsed[Bridge]:
    """Read ``ovs-vsctl show``; one row per bridge, with ports that have no number yet."""
    reading: Reading[Bridge] = Reading()
    bridges: list[_Record] = []
    path: list[_Record] = []
    for line in lines(text, file=file, read_at=read_at):
        found = _LINE.match(line.text)
        if not line.text.strip() or _UUID.match(line.text.strip()):
            reading.skip()
        elif found is None:
            reading.malformed(line, f"cannot read {quoted(line.text)}", "expected a line of `ovs-vsctl show`")
        else:
            _take(found, line, bridges, path, reading)
    for record in bridges:
        reading.rows.append(_bridge(record, reading))
    return reading.done()


def _take(
    found: re.Match[str], line: Span, bridges: list[_Record], path: list[_Record], reading: Reading[Bridge]
) -> None:
    indent, key, value = len(found["indent"].expandtabs()), found["key"], (found["value"] or "").strip()
    while path and path[-1].indent >= indent:
        path.pop()
    if key in _RECORDS or key in _OTHER:
        record = _Record(key, unquoted(value), line, indent)
        outer = _RECORDS[_RECORDS.index(key) - 1] if key in _RECORDS[1:] else None
        if outer is not None and (not path or path[-1].kind != outer):
            reading.malformed(
                line, f"{quoted(line.text)} stands outside of a {outer}", "the text was cut or indented anew"
            )
        elif outer is not None:
            path[-1].inner.append(record)
        elif key == "Bridge":
            bridges.append(record)
        elif key == "Controller" and path and path[-1].kind == "Bridge":
            path[-1].masters.append(record.name)
        path.append(record)
    elif path:
        path[-1].values[key] = (value, line)
    else:
        reading.skip()  # ovs_version, or a prompt


def _bridge(record: _Record, reading: Reading[Bridge]) -> Bridge:
    ports = {
        interface.name: _port(port, interface, reading) for port in record.inner for interface in port.inner
    }
    return Bridge(
        host="",
        name=record.name,
        ports=ports,
        datapath=record.text("datapath_type") or None,
        fail_mode=record.text("fail_mode"),
        controllers=tuple(record.masters),
    )


def _port(port: _Record, interface: _Record, reading: Reading[Bridge]) -> Port:
    return Port(
        name=interface.name,
        number=None,
        span=interface.span,
        kind=interface.text("type") or "",
        options=_map(interface, "options", reading),
        tag=_tag(port, reading),
        trunks=_trunks(port, reading),
        vlan_mode=port.text("vlan_mode"),
        bond=port.name if len(port.inner) > 1 else None,
        bond_mode=port.text("bond_mode") or ("active-backup" if len(port.inner) > 1 else None),
        error=interface.text("error"),
    )


def _tag(port: _Record, reading: Reading[Bridge]) -> int | None:
    found = port.values.get("tag")
    if found is None:
        return None
    tags = _vlans(found, reading)
    return tags[0] if tags else None


def _trunks(port: _Record, reading: Reading[Bridge]) -> tuple[int, ...]:
    found = port.values.get("trunks")
    return () if found is None else _vlans(found, reading)


def _vlans(found: tuple[str, Span], reading: Reading[Bridge]) -> tuple[int, ...]:
    value, line = found
    words = value.strip("[]").replace(",", " ").split()
    if not all(word.isascii() and word.isdigit() and len(word) <= 4 for word in words):  # noqa: PLR2004 - 4095
        reading.malformed(line, f"cannot read the VLANs {quoted(value)}", "expected `5` or `[5, 6]`")
        return ()
    return tuple(int(word) for word in words)


def _map(record: _Record, key: str, reading: Reading[Bridge]) -> Mapping[str, str]:
    value, line = record.values.get(key, ("{}", record.span))
    if not (value.startswith("{") and value.endswith("}")):
        reading.malformed(line, f"cannot read {quoted(line.text)}", f"expected `{key}: {{name=value, …}}`")
        return {}
    pairs = (piece.text.partition("=") for piece in cut(value[1:-1], 1))
    return {unquoted(name.strip()): unquoted(text.strip()) for name, _, text in pairs}
