"""
Actions that send a packet: to a port, to what a register names, everywhere, as a switch would.

``xlate_output_action`` and ``xlate_output_trunc_action`` of ``ofproto/ofproto-dpif-xlate.c``; ovs-actions(7).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from bothways.facts.choice import Assumption, Freedom
from bothways.facts.openflow import LOCAL, Action, Port
from bothways.facts.step import Did
from bothways.model.openflow.egress import port_of, send, send_to
from bothways.model.openflow.field import KNOWN, VLAN_PRESENT
from bothways.model.openflow.key import TUNNELS
from bothways.model.openflow.normal import Target, switch
from bothways.model.openflow.run import Run
from bothways.model.openflow.vlan_mode import Vlans, as_written

__all__ = [
    "controller",
    "drop",
    "flood",
    "in_order",
    "in_port",
    "local",
    "normal",
    "output",
    "output_number",
    "send_tagged",
    "tags_of",
]

_VID: Final = 0xFFF
#: bytes that a copy for the controller takes among datapath actions, with what is set before, at most
_ASKS: Final = 300
#: names that a register may hold by number, OpenFlow 1.0 section 5.2.1
_RESERVED: Final[Mapping[int, str]] = {
    0xFFF8: "in_port", 0xFFF9: "table", 0xFFFA: "normal", 0xFFFB: "flood", 0xFFFC: "all",
    0xFFFD: "controller", 0xFFFE: "local", 0xFFFF: "none",
}  # fmt: skip
#: the largest number of a port, and of a reserved one
_LARGEST: Final = 0xFFFF


def output(run: Run, action: Action) -> None:
    """``output`` in all its forms."""
    args = action.args
    limit = args.get("max_len")
    cut = limit if isinstance(limit, int) and "(" in action.text else None
    port = args.get("port")
    if isinstance(port, int):
        send_to(run, port, cut)
    elif "field" in args:
        _to_register(run, action)
    else:
        _to_named(run, str(args.get("port_name", "")), cut)


def _to_register(run: Run, action: Action) -> None:
    low, high = action.args.get("low"), action.args.get("high")
    low, high = low if isinstance(low, int) else 0, high if isinstance(high, int) else 0
    value, known = run.key.part(str(action.args["field"]), low, high)
    whole = (1 << (high - low + 1)) - 1
    if known & whole != whole:
        run.doubt(f"which port `{action.text}` means for {run.where}: the register is not known", blind=True)
    else:
        output_number(run, value, action)


def output_number(run: Run, value: int, action: Action) -> None:
    """Send to a port, or to what a reserved number stands for; larger numbers are ignored."""
    name = _RESERVED.get(value)
    if name is not None:
        run.execute(run, Action(name, {}, action.text, action.column))
    elif value <= _LARGEST:
        send_to(run, value)


def _to_named(run: Run, name: str, cut: int | None) -> None:
    port = run.bridge.ports.get(name)
    if port is None:
        run.doubt(
            f"which port {name} of {run.bridge.host} {run.bridge.name} is: no dump lists it", blind=True
        )
    elif port.number is not None:
        send_to(run, port.number, cut)
    elif run.ingress is None or run.ingress.name != name:
        send(run, port, cut)


def local(run: Run, action: Action) -> None:
    """``LOCAL``."""
    limit = action.args.get("max_len")
    send_to(run, LOCAL, limit if isinstance(limit, int) else None)


def in_port(run: Run, action: Action) -> None:
    """``IN_PORT``: back to where the packet came from."""
    port = port_of(run.bridge, run.key.in_port)
    limit = action.args.get("max_len")
    if port is None:
        run.lose(f"{run.bridge.name} has no port {run.key.in_port}")
    else:
        send(run, port, limit if isinstance(limit, int) else None)


def flood(run: Run, action: Action) -> None:
    """Send to every port but the ingress port; FLOOD leaves out those that are configured NO_FLOOD."""
    ports: list[Port] = []
    for name, port in run.bridge.ports.items():
        number = LOCAL if port.number is None and name == run.bridge.name else port.number
        if number != run.key.in_port and (action.name == "all" or "NO_FLOOD" not in port.config):
            ports.append(port)
    outer = _note_flood(run, ports)
    vlans = tags_of(run)
    if run.order is not None and vlans is not None:
        ports = run.order(run, [(port, vlans) for port in ports])
    for port in ports:
        send(run, port)
    run.several = outer


def _note_flood(run: Run, ports: list[Port]) -> bool:
    """
    Remember that a flood goes into several tunnels, or on behind a patch port and in other directions.

    :return: what was known of the flood that it is a part of, to be put back at its end.
    """
    outer, run.several = run.several, sum(port.kind in TUNNELS for port in ports) > 1
    if run.peers is not None and len(ports) > 1 and any(port.kind == "patch" for port in ports):
        run.unordered = True
    return outer


def controller(run: Run, action: Action) -> None:
    """Give a copy to the controller, which is outside the evidence."""
    run.controlled = True
    run.beside += _ASKS
    run.note(
        Did.COPIED,
        "a copy goes to the controller, which is outside the evidence",
        run.frame.evidence,
        action.text,
    )
    if "pause" in action.args:
        run.doubt(f"what the controller does with {run.where}, which waits for it", blind=True)
        run.stop()


def drop(run: Run, _action: Action) -> None:
    """Send it nowhere; only what was sent before goes out."""
    run.lose("the flow drops it", run.frame.step)


# -- as a switch -----------------------------------------------------------------------------------------


def normal(run: Run, _action: Action) -> None:
    """``NORMAL``."""
    key, bridge = run.key, run.bridge
    vlans = tags_of(run)
    if vlans is None:
        run.doubt(f"where NORMAL sends {run.where}: its VLAN is not known", blind=True)
        return
    if bridge.mcast_snooping and _is_multicast(run):
        run.doubt(f"where NORMAL sends {run.where}: multicast snooping is not modelled", blind=True)
        return
    ethernet = key.packet.ethernet
    ingress = port_of(bridge, key.in_port)
    switched = switch(bridge, ingress, key.in_port, (ethernet.src, ethernet.dst), vlans, run.macs)
    if switched.unknown:
        run.doubt(switched.unknown, blind=True)
    if switched.refused:
        active = f"{run.ingress.name if run.ingress else ''} is the active member of its bond"
        where = f"{bridge.host} {bridge.name}: {active}"
        if run.oracle.choose(where, [active, switched.refused], freedom=Freedom.FREE) == switched.refused:
            run.lose(switched.refused)
            return
    if switched.assumed:
        run.oracle.assume(Assumption(switched.assumed, f"ovs-appctl fdb/show {bridge.name}"))
    if not switched.targets:
        if switched.reason:
            run.lose(switched.reason)
        return
    run.note(Did.MATCHED, switched.reason, (*run.frame.evidence, *switched.evidence), "NORMAL")
    outer = _note_flood(run, [target.members[0] for target in switched.targets])
    for target in in_order(run, switched.targets):
        send_tagged(run, target)
    run.several = outer


def in_order(run: Run, targets: Sequence[Target]) -> Sequence[Target]:
    """Return copies of one packet in the order that they go out in, as far as it matters."""
    if run.order is None:
        return targets
    by_name = {target.members[0].name: target for target in targets}
    copies = [(target.members[0], target.vlans) for target in targets]
    return [by_name[port.name] for port in run.order(run, copies)]


def tags_of(run: Run) -> Vlans | None:
    """The packet's tags, as a switch tells them; None if its VLAN is not known."""
    tci, known = run.key.part("vlan_tci", 0, 15)
    if known & VLAN_PRESENT == 0 or (tci & VLAN_PRESENT and known & _VID != _VID):
        return None
    return _tag(tci, known), _tag(*run.key.part("vlan_tci1", 0, 15))


def _tag(tci: int, known: int) -> tuple[int, int]:
    return (tci, known) if tci & VLAN_PRESENT else (0, KNOWN)


def _is_multicast(run: Run) -> bool:
    ip = run.key.packet.ip
    return ip is not None and ip.dst.is_multicast


def send_tagged(run: Run, target: Target, cut: int | None = None) -> None:
    """
    Send one copy with the tags that its port wants; the packet stays as it is.

    :param cut: how many bytes go out at most.
    """
    port = _member(run, target.members)
    key = run.key
    outer, inner = (as_written(tag, port) for tag in target.vlans)
    if not outer[0] & VLAN_PRESENT:
        inner = outer  # a tag inside of none is none
    before, second = key.get("vlan_tci"), key.get("vlan_tci1")
    if (outer, inner) == (before, second):
        send(run, port, cut)
        return
    packet = key.packet
    grown = 4 * (_tags(outer, inner) - _tags(before, second))
    key.put("vlan_tci", outer, 0xFFFF)
    key.put("vlan_tci1", inner, 0xFFFF)
    length = None if packet.length is None else packet.length + grown
    key.packet = replace(key.packet, length=length)
    send(run, port, cut)
    key.put("vlan_tci", before, 0xFFFF)
    key.put("vlan_tci1", second, 0xFFFF)
    key.packet = packet


def _tags(*tags: tuple[int, int]) -> int:
    return sum(bool(tag[0] & VLAN_PRESENT) for tag in tags)


def _member(run: Run, members: tuple[Port, ...]) -> Port:
    """The port of a target; of a bond one of its members, as the bond chooses."""
    able = [port for port in members if "PORT_DOWN" not in port.config and "LINK_DOWN" not in port.state]
    able = able or list(members)
    if len(able) == 1:
        return able[0]
    names = {f"bond {port.bond} sends through {port.name}": port for port in able}
    where = f"{run.bridge.host} {run.bridge.name} bond {able[0].bond}"
    return names[run.oracle.choose(where, list(names), freedom=Freedom.FREE)]
