"""
Flows and ports of a switch after a change.

``del-flows`` and ``mod-flows`` are loose unless ``--strict``: they reach every flow whose match is the same
or narrower (ovs-ofctl(8)). A term that the parser could not read agrees with itself only.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bothways.facts.change import Act, FlowEdit, PortEdit
from bothways.facts.dump import Dump
from bothways.facts.openflow import Action, Bridge, Flow, Port, Switch, Term
from bothways.facts.span import Span
from bothways.model.change.refusal import NothingToChangeError

__all__ = ["change_flow", "change_port"]

_RESERVED: Final = 0xFF00  # port numbers from here on have a meaning of their own


def change_flow(switch: Switch, edit: FlowEdit, command: str) -> Switch:
    """
    Add, modify or delete flows.

    :raises NothingToChangeError: without the bridge, its flows, or any flow that the command reaches.
    """
    bridge = switch.bridges.get(edit.bridge)
    if bridge is None:
        known = ", ".join(switch.bridges)
        raise NothingToChangeError(f"{switch.host} has no bridge {edit.bridge}", f"it has {known}")
    if bridge.flows is None:
        raise NothingToChangeError(
            f"the flows of {switch.host} {edit.bridge} were not collected",
            f"collect `ovs-ofctl dump-flows {edit.bridge}` there",
        )
    rows = tuple(bridge.flows)
    edit = replace(edit, flow=_numbered(edit.flow, bridge))
    added = replace(edit.flow, span=Span("", text=command))
    if edit.act is Act.ADD:
        rows = (*(f for f in rows if not _identical(edit.flow, f)), added)
    else:
        reached = {id(f) for f in rows if _reaches(edit, f)}
        if not reached:
            raise NothingToChangeError(
                f"no flow of {switch.host} {edit.bridge} matches `{edit.flow.span.text}`",
                "see `ovs-ofctl dump-flows`; loose matching needs every term that is given",
            )
        if edit.act is Act.DELETE:
            rows = tuple(f for f in rows if id(f) not in reached)
        else:
            rows = tuple(replace(f, actions=edit.flow.actions) if id(f) in reached else f for f in rows)
    return _with(switch, replace(bridge, flows=replace(bridge.flows, rows=rows)))


def _numbered(flow: Flow, bridge: Bridge) -> Flow:
    """The flow with numbers for the ports that it names, as ``ovs-ofctl`` looks them up."""

    def number(name: str) -> int:
        port = bridge.ports.get(name)
        if port is None or port.number is None:
            known = ", ".join(bridge.ports)
            raise NothingToChangeError(
                f"{bridge.host} {bridge.name} has no port or action `{name}`", f"its ports are {known}"
            )
        return port.number

    def term(old: Term) -> Term:
        if old.field != "in_port" or old.value is not None:
            return old
        return replace(old, value=number(old.text.partition("=")[2].strip('"')))

    def action(old: Action) -> Action:
        name = old.args.get("port_name")
        rest = {key: value for key, value in old.args.items() if key != "port_name"}
        return old if not isinstance(name, str) else replace(old, args={**rest, "port": number(name)})

    return replace(flow, match=tuple(map(term, flow.match)), actions=tuple(map(action, flow.actions)))


def change_port(switch: Switch, edit: PortEdit) -> Switch:
    """
    Add, change or remove a port; what becomes of a device behind it is the caller's concern.

    :raises NothingToChangeError: without the bridge or the port.
    """
    bridge = _bridge_of(switch, edit)
    if edit.act is Act.DELETE:
        return _with(switch, _without_port(bridge, bridge.ports[edit.port]))
    if edit.act is Act.REPLACE:
        old = bridge.ports[edit.port]
        changed = replace(
            old,
            kind=edit.kind or old.kind,
            options={**old.options, **edit.options},
            tag=old.tag if edit.tag is None else edit.tag,
        )
        return _with(switch, replace(bridge, ports={**bridge.ports, edit.port: changed}))
    if switch.bridge_of(edit.port) is not None:
        raise NothingToChangeError(
            f"{switch.host} has a port {edit.port} already", "remove it first: del-port"
        )
    number = 1 + max(
        (p.number for p in bridge.ports.values() if p.number is not None and p.number < _RESERVED), default=0
    )
    port = Port(edit.port, number, Span("", text=edit.port), edit.kind, dict(edit.options), tag=edit.tag)
    return _with(switch, replace(bridge, ports={**bridge.ports, edit.port: port}))


def _without_port(bridge: Bridge, port: Port) -> Bridge:
    fdb: Dump | None = bridge.fdb  # type: ignore[type-arg] # rows are kept as they are
    if fdb is not None:
        fdb = replace(fdb, rows=tuple(row for row in fdb if row.port != port.number))
    return replace(bridge, ports={n: p for n, p in bridge.ports.items() if n != port.name}, fdb=fdb)


def _bridge_of(switch: Switch, edit: PortEdit) -> Bridge:
    named = edit.bridge
    if named is None:
        found = switch.bridge_of(edit.port)
        if found is None:
            raise NothingToChangeError(f"no bridge of {switch.host} has a port {edit.port}")
        return found[0]
    bridge = switch.bridges.get(named)
    if bridge is None:
        known = ", ".join(switch.bridges)
        raise NothingToChangeError(f"{switch.host} has no bridge {named}", f"it has {known}")
    if edit.act is Act.DELETE and edit.port not in bridge.ports:
        known = ", ".join(bridge.ports)
        raise NothingToChangeError(f"{switch.host} {named} has no port {edit.port}", f"it has {known}")
    return bridge


def _with(switch: Switch, bridge: Bridge) -> Switch:
    return replace(switch, bridges={**switch.bridges, bridge.name: bridge})


def _reaches(edit: FlowEdit, flow: Flow) -> bool:
    if not edit.any_table and edit.flow.table != flow.table:
        return False
    if edit.cookie_mask is not None and (edit.flow.cookie ^ flow.cookie) & edit.cookie_mask:
        return False
    if edit.strict:
        return _identical(replace(edit.flow, table=flow.table), flow)
    return all(any(_within(term, wanted) for term in flow.match) for wanted in edit.flow.match)


def _identical(one: Flow, other: Flow) -> bool:
    return (one.table, one.priority, _terms(one)) == (other.table, other.priority, _terms(other))


def _terms(flow: Flow) -> frozenset[object]:
    return frozenset(
        (t.field, t.value, t.mask) if t.modelled else (t.field, t.text, None) for t in flow.match
    )


def _within(term: Term, wanted: Term) -> bool:
    """True if a term admits nothing that the wanted one does not admit."""
    if term.field != wanted.field:
        return False
    if term.value is None or wanted.value is None:
        return term.text == wanted.text
    everything = -1
    narrow = everything if term.mask is None else term.mask
    wide = everything if wanted.mask is None else wanted.mask
    return wide & ~narrow == 0 and (term.value ^ wanted.value) & wide == 0
