"""A recorded switch -> the bridges that the model knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bothways.conform.openflow_case import BridgeRecord, Setting
from bothways.facts.dump import Dump
from bothways.facts.openflow import LOCAL, Bridge, Flow, Port
from bothways.facts.span import Span
from bothways.parse.openflow import read_flow, resolve_ports
from bothways.parse.ovs_appctl import parse_fdb_show

__all__ = ["HOST", "BuiltSwitch", "built"]

#: host name in the model's sentences; a recording knows no hosts
HOST: Final = "switch"


@dataclass(frozen=True, slots=True)
class BuiltSwitch:
    """
    The bridges of a setting, by name.

    :param beyond: what of the setting the model does not have; a case in it cannot agree.
    """

    bridges: Mapping[str, Bridge]
    beyond: tuple[str, ...] = ()


def built(setting: Setting) -> BuiltSwitch:
    """Build the bridges of a setting. Lines that cannot be read are told in *beyond*."""
    bridges: dict[str, Bridge] = {}
    beyond: list[str] = []
    for record in setting.bridges.values():
        bridges[record.name] = _bridge(record, beyond)
    return BuiltSwitch(bridges, tuple(beyond))


def _bridge(record: BridgeRecord, beyond: list[str]) -> Bridge:
    beyond += [f"{record.name}: {what}" for what in record.beyond]
    ports = {str(row["name"]): _port(record, row) for row in record.ports}
    rows: list[Flow] = []
    file = f"{record.name}.flows"
    for number, text in enumerate(record.flows, 1):
        flow, problems = read_flow(Span(file, number, text=text))
        if flow is None:
            beyond.append(f"{record.name}: the flow `{text}`: {problems[0].message if problems else ''}")
        else:
            rows.append(flow)
    fdb = parse_fdb_show(record.fdb, file=f"{record.name}.fdb", ports=ports)
    return Bridge(
        HOST,
        record.name,
        ports,
        Dump(resolve_ports(rows, ports), file),
        Dump(tuple(fdb.rows), f"{record.name}.fdb"),
        fail_mode="secure",
    )


def _port(record: BridgeRecord, row: Mapping[str, Any]) -> Port:
    number = row.get("ofport")
    if number in (LOCAL, LOCAL & 0xFFFF):
        number = LOCAL
    tag, mode = row.get("tag"), row.get("vlan_mode")
    return Port(
        str(row["name"]),
        number if isinstance(number, int) and number > 0 else None,
        Span(f"{record.name}.ports"),
        kind=str(row.get("type") or ""),
        options={str(key): str(value) for key, value in (row.get("options") or {}).items()},
        tag=tag if isinstance(tag, int) else None,
        trunks=_numbers(row.get("trunks")),
        vlan_mode=str(mode) if mode else None,
        cvlans=_numbers(row.get("cvlans")),
        other_config={str(key): str(value) for key, value in (row.get("other_config") or {}).items()},
        protected=bool(row.get("protected")),
        config=frozenset(row.get("config") or ()),
        state=frozenset(row.get("state") or ()),
    )


def _numbers(value: Any) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,)
    return tuple(int(each) for each in value or ())
