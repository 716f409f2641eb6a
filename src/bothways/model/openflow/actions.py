"""
What each action does to a translation.

``ACTIONS`` maps an action's name (``parse.openflow_actions``) to a function of the run and the action. What
is not in it is not modelled, and is said. Source: ovs-actions(7); ``do_xlate_actions`` of
``ofproto/ofproto-dpif-xlate.c``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bothways.facts.choice import Assumption
from bothways.facts.openflow import LOCAL, Action
from bothways.facts.step import Did
from bothways.model.openflow import action_set
from bothways.model.openflow.ct import ct, ct_clear
from bothways.model.openflow.egress import port_of, send, send_to
from bothways.model.openflow.field import FIELDS, KNOWN, VLAN_PRESENT
from bothways.model.openflow.normal import switch
from bothways.model.openflow.run import Run

__all__ = ["ACTIONS", "execute"]

Execute = Callable[[Run, Action], None]

#: names that ``output`` to a register may hold by number, OpenFlow 1.0 section 5.2.1
_RESERVED: Final[Mapping[int, str]] = {
    0xFFF8: "in_port", 0xFFF9: "table", 0xFFFA: "normal", 0xFFFB: "flood", 0xFFFC: "all",
    0xFFFD: "controller", 0xFFFE: "local", 0xFFFF: "none",
}  # fmt: skip
_VID: Final = 0xFFF


def execute(run: Run, action: Action) -> None:
    """Let an action act."""
    act = ACTIONS.get(action.name) if action.modelled else None
    if act is None:
        _unmodelled(run, action)
    else:
        act(run, action)


def _unmodelled(run: Run, action: Action) -> None:
    """Say that an action is not followed."""
    run.doubt(f"what `{action.text or action.name}` does to {run.where}: it is not modelled", blind=True)


def _number(action: Action, name: str) -> int:
    """A number that the parser always gives."""
    value = action.args.get(name)
    return value if isinstance(value, int) else 0


# -- where the packet goes -----------------------------------------------------------------------------


def _output(run: Run, action: Action) -> None:
    args = action.args
    length, limit = run.key.packet.length, args.get("max_len")
    if isinstance(limit, int) and (length is None or length > limit):
        run.doubt(f"what {run.where} is good for after `{action.text}` cut it: truncation is not modelled")
    if isinstance(args.get("port"), int):
        send_to(run, _number(action, "port"))
    elif "field" in args:
        _output_register(run, action)
    else:
        _output_named(run, str(args.get("port_name", "")))


def _output_register(run: Run, action: Action) -> None:
    low, high = _number(action, "low"), _number(action, "high")
    value, known = run.key.part(str(action.args["field"]), low, high)
    if known != (1 << (high - low + 1)) - 1:
        run.doubt(f"which port `{action.text}` means for {run.where}: the register is not known", blind=True)
    elif value in _RESERVED:
        execute(run, Action(_RESERVED[value], {}, action.text, action.column))
    elif value <= 0xFFFF:  # noqa: PLR2004 - larger numbers are ignored
        send_to(run, value)


def _output_named(run: Run, name: str) -> None:
    port = run.bridge.ports.get(name)
    if port is None:
        run.doubt(
            f"which port {name} of {run.bridge.host} {run.bridge.name} is: no dump lists it", blind=True
        )
    elif port.number is not None:
        send_to(run, port.number)
    elif run.ingress is None or run.ingress.name != name:
        send(run, port)


def _local(run: Run, _action: Action) -> None:
    send_to(run, LOCAL)


def _in_port(run: Run, _action: Action) -> None:
    port = port_of(run.bridge, run.key.in_port)
    if port is None:
        run.lose(f"{run.bridge.name} has no port {run.key.in_port}")
    else:
        send(run, port)


def _flood(run: Run, action: Action) -> None:
    """Send to every port but the ingress port; FLOOD leaves out those that are configured NO_FLOOD."""
    for name, port in run.bridge.ports.items():
        number = LOCAL if port.number is None and name == run.bridge.name else port.number
        if number != run.key.in_port and (action.name == "all" or "NO_FLOOD" not in port.config):
            send(run, port)


def _normal(run: Run, _action: Action) -> None:
    key, bridge = run.key, run.bridge
    tci, known = key.part("vlan_tci", 0, 12)
    if known & VLAN_PRESENT == 0 or (tci & VLAN_PRESENT and known & _VID != _VID):
        run.doubt(f"where NORMAL sends {run.where}: its VLAN is not known", blind=True)
        return
    ingress = port_of(bridge, key.in_port)
    ethernet = key.packet.ethernet
    vid = tci & _VID if tci & VLAN_PRESENT else 0
    switched = switch(bridge, ingress, ethernet.src, ethernet.dst, vid, run.macs)
    if switched.unknown:
        run.doubt(switched.unknown, blind=True)
    if switched.assumed:
        run.oracle.assume(Assumption(switched.assumed, f"ovs-appctl fdb/show {bridge.name}"))
    if not switched.targets:
        if switched.reason:
            run.lose(switched.reason)
        return
    run.note(Did.MATCHED, switched.reason, (*run.frame.evidence, *switched.evidence), "NORMAL")
    packet, tag = key.packet, key.get("vlan_tci")
    for port, out in switched.targets:
        if out != vid or not out:
            _retag(run, out)
        send(run, port)
        key.packet = packet
        key.put("vlan_tci", tag, 0xFFFF)
        key.packet = packet


def _retag(run: Run, vid: int) -> None:
    bits = (VLAN_PRESENT | vid, KNOWN) if vid else (0, KNOWN)
    mask = VLAN_PRESENT | _VID if vid and run.key.get("vlan_tci")[0] & VLAN_PRESENT else 0xFFFF
    run.key.put("vlan_tci", bits, mask)


def _controller(run: Run, action: Action) -> None:
    run.controlled = True
    run.note(
        Did.COPIED,
        "a copy goes to the controller, which is outside the evidence",
        run.frame.evidence,
        action.text,
    )
    if "pause" in action.args:
        run.doubt(f"what the controller does with {run.where}, which waits for it", blind=True)
        run.frames.clear()


def _drop(run: Run, _action: Action) -> None:
    run.lose("the flow drops it", run.frame.step)


# -- which table is next -------------------------------------------------------------------------------


def _goto_table(run: Run, action: Action) -> None:
    frame = run.frames.pop()
    run.enter(_number(action, "table"), depth=frame.depth)


def _resubmit(run: Run, action: Action) -> None:
    if action.args.get("ct"):
        _unmodelled(run, action)
        return
    frame, port = run.frame, action.args.get("port")
    table = action.args.get("table")
    target = table if isinstance(table, int) else frame.table
    if "port_name" in action.args and not isinstance(port, int):
        run.doubt(f"what `{action.text}` does to {run.where}: the port's number is not known", blind=True)
        return
    deeper = target <= frame.table
    given = port if isinstance(port, int) else None
    run.enter(target, given, depth=frame.depth + deeper, deeper=deeper)


def _exit(run: Run, _action: Action) -> None:
    run.frames.clear()


# -- what the packet becomes ---------------------------------------------------------------------------


def _set_field(run: Run, action: Action) -> None:
    mask = action.args.get("mask")
    name = str(action.args["field"])
    if action.text.startswith("mod_tp_") and run.key.packet.icmp is not None:
        run.doubt(f"what `{action.text}` writes to ICMP type or code of {run.where}: it is not modelled")
    known = FIELDS.get(name)
    whole = (1 << (128 if known is None else known.width)) - 1
    run.write(name, (_number(action, "value"), KNOWN), mask if isinstance(mask, int) else whole)


def _mask(action: Action) -> tuple[int, int]:
    low, high = _number(action, "low"), _number(action, "high")
    return low, ((1 << (high - low + 1)) - 1) << low


def _load(run: Run, action: Action) -> None:
    low, mask = _mask(action)
    run.write(str(action.args["field"]), (_number(action, "value") << low, KNOWN), mask)


def _move(run: Run, action: Action) -> None:
    source = str(action.args["source"])
    field = FIELDS.get(source)
    if field is not None and not field.needs(run.key.packet):
        return
    value, known = run.key.part(source, _number(action, "source_low"), _number(action, "source_high"))
    low, mask = _mask(action)
    run.write(str(action.args["field"]), (value << low, known << low), mask)


def _push(run: Run, action: Action) -> None:
    run.stack.append(run.key.part(str(action.args["field"]), _number(action, "low"), _number(action, "high")))


def _pop(run: Run, action: Action) -> None:
    if run.stack:
        low, mask = _mask(action)
        value, known = run.stack.pop()
        run.write(str(action.args["field"]), (value << low, known << low), mask)


def _dec_ttl(run: Run, _action: Action) -> None:
    """
    Take one off TTL or hop limit; one that would expire ends this list of actions.

    ``compose_dec_ttl``: lists from which this one was entered go on.
    """
    packet = run.key.packet
    if packet.ip is None:
        return
    ttl = packet.ip.ttl
    if ttl is None:
        run.oracle.assume(Assumption("a TTL that the evidence does not show is larger than 1"))
        run.changed(packet, Did.CHANGED, "TTL goes down by one")
    elif ttl > 1:
        run.write("nw_ttl", (ttl - 1, KNOWN), 0xFF)
    else:
        run.lose(f"the TTL of {ttl} is used up")
        run.frames.pop()


# -- VLANs ---------------------------------------------------------------------------------------------


def _push_vlan(run: Run, action: Action) -> None:
    if not _untagged(run):
        run.doubt(f"what `{action.text}` makes of {run.where}: a second VLAN tag is not modelled")
        return
    run.write("vlan_tci", (VLAN_PRESENT, KNOWN), 0xFFFF)


def _pop_vlan(run: Run, _action: Action) -> None:
    run.write("vlan_tci", (0, KNOWN), 0xFFFF)


def _untagged(run: Run) -> bool:
    value, known = run.key.get("vlan_tci")
    return bool(known & VLAN_PRESENT) and not value & VLAN_PRESENT


def _set_vlan_vid(run: Run, action: Action) -> None:
    _set_tag(run, action, _number(action, "vid"), _VID)


def _set_vlan_pcp(run: Run, action: Action) -> None:
    _set_tag(run, action, _number(action, "pcp") << 13, 7 << 13)


def _set_tag(run: Run, action: Action, bits: int, mask: int) -> None:
    """Write a part of the tag; an untagged frame gets a tag first if the action is an old one."""
    if _untagged(run):
        if action.args.get("push"):
            run.write("vlan_tci", (VLAN_PRESENT | bits, KNOWN), 0xFFFF)
        return
    run.write("vlan_tci", (bits, KNOWN), mask)


# -- the action set ------------------------------------------------------------------------------------


def _write_actions(run: Run, action: Action) -> None:
    action_set.gather(run, action)


def _clear_actions(run: Run, _action: Action) -> None:
    action_set.clear(run)


def _apply_actions(run: Run, action: Action) -> None:
    inner = action.args.get("actions")
    frame = run.frame
    if isinstance(inner, tuple):
        frame.actions = (*inner, *frame.actions[frame.at :])
        frame.at = 0


def _nothing(_run: Run, _action: Action) -> None:
    """Let an action be that does not touch where and how a packet goes."""


#: action -> what it does
ACTIONS: Final[Mapping[str, Execute]] = {
    "output": _output,
    "local": _local,
    "in_port": _in_port,
    "flood": _flood,
    "all": _flood,
    "normal": _normal,
    "controller": _controller,
    "table": _nothing,  # of a packet-out only
    "none": _nothing,
    "any": _nothing,
    "drop": _drop,
    "goto_table": _goto_table,
    "resubmit": _resubmit,
    "exit": _exit,
    "ct": ct,
    "ct_clear": ct_clear,
    "conjunction": _nothing,  # said where the table is looked up
    "set_field": _set_field,
    "load": _load,
    "move": _move,
    "push": _push,
    "pop": _pop,
    "dec_ttl": _dec_ttl,
    "push_vlan": _push_vlan,
    "pop_vlan": _pop_vlan,
    "set_vlan_vid": _set_vlan_vid,
    "set_vlan_pcp": _set_vlan_pcp,
    "write_actions": _write_actions,
    "clear_actions": _clear_actions,
    "apply_actions": _apply_actions,
    "set_queue": _nothing,
    "pop_queue": _nothing,
    "note": _nothing,
    "fin_timeout": _nothing,
    "sample": _nothing,
}
