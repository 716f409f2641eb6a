"""A recorded switch -> the bridges that the model knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from bothways.conform.openflow_case import BridgeRecord, Setting
from bothways.facts.dump import Dump
from bothways.facts.openflow import LOCAL, Action, Bridge, Flow, Group, Mirror, Port, TunnelOption
from bothways.facts.span import Span
from bothways.parse.openflow import read_flow, resolve_ports
from bothways.parse.openflow_groups import read_group, with_ports
from bothways.parse.ovs_appctl import parse_fdb_show
from bothways.parse.ovs_tlv_map import parse_tlv_map

__all__ = ["HOST", "BuiltSwitch", "as_encoded", "built"]

#: host name in the model's sentences; a recording knows no hosts
HOST: Final = "switch"
_VLAN_PRESENT: Final = 0x1000


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
            rows.append(as_encoded(flow) if record.encoded else flow)
    groups: list[Group] = []
    numbers = {name: port.number for name, port in ports.items() if port.number is not None}
    for number, text in enumerate(record.groups, 1):
        group, problems = read_group(Span(f"{record.name}.groups", number, text=text))
        if group is None:
            beyond.append(f"{record.name}: the group `{text}`: {problems[0].message if problems else ''}")
        else:
            groups.append(with_ports(group, numbers))
    fdb = parse_fdb_show(record.fdb, file=f"{record.name}.fdb", ports=ports)
    return Bridge(
        HOST,
        record.name,
        ports,
        Dump(resolve_ports(rows, ports), file),
        Dump(tuple(fdb.rows), f"{record.name}.fdb"),
        fail_mode="secure",
        groups=Dump(tuple(groups), f"{record.name}.groups"),
        mcast_snooping="mcast_snooping" in record.settings,
        spanning_tree=bool({"stp", "rstp"} & record.settings),
        mirrors=tuple(_mirror(record, row) for row in record.mirrors),
        tunnel_options=_options(record),
    )


def _options(record: BridgeRecord) -> Dump[TunnelOption] | None:
    if not record.tlv_map:
        return None
    file = f"{record.name}.tlv-map"
    return Dump(tuple(parse_tlv_map(record.tlv_map, file=file).rows), file)


def as_encoded(flow: Flow) -> Flow:
    """
    The flow as a switch has it that was given it in OpenFlow 1.1 or later.

    ``encode_SET_VLAN_VID`` and its like in ``lib/ofp-actions.c``: ``mod_vlan_vid`` and ``mod_vlan_pcp``
    become ``push_vlan`` and a write, unless the match or an action before asks for a tag.
    """
    tagged = any(term.field == "vlan_tci" and (term.value or 0) & _VLAN_PRESENT for term in flow.match)
    actions: list[Action] = []
    for action in flow.actions:
        old = action.name in ("set_vlan_vid", "set_vlan_pcp") and action.args.get("push")
        if old and not tagged:
            actions.append(Action("push_vlan", {"ethertype": 0x8100}, action.text, action.column))
        tagged = (tagged or bool(old) or action.name == "push_vlan") and action.name != "pop_vlan"
        actions.append(replace(action, args={**action.args, "push": False}) if old else action)
    return replace(flow, actions=tuple(actions))


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
        bond=str(row["bond"]) if row.get("bond") else None,
        bond_mode=str(row["bond_mode"]) if row.get("bond_mode") else None,
    )


def _mirror(record: BridgeRecord, row: Mapping[str, Any]) -> Mirror:
    output, vlan, snaplen = row.get("output_port"), row.get("output_vlan"), row.get("snaplen")
    return Mirror(
        str(row["name"]),
        Span(f"{record.name}.mirrors"),
        select_all=bool(row.get("select_all")),
        select_src=tuple(map(str, row.get("select_src_port") or ())),
        select_dst=tuple(map(str, row.get("select_dst_port") or ())),
        select_vlans=_numbers(row.get("select_vlan")),
        output=str(output) if output else None,
        output_vlan=vlan if isinstance(vlan, int) else None,
        snaplen=snaplen if isinstance(snaplen, int) else None,
        filter=str(row.get("filter") or ""),
    )


def _numbers(value: Any) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,)
    return tuple(int(each) for each in value or ())
