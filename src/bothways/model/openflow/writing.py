"""
Actions that change what a packet says, registers and the stack: ovs-actions(7).

``nxm_execute_stack_push`` and ``nxm_execute_stack_pop`` of ``lib/nx-match.c``; ``compose_dec_ttl`` of
``ofproto/ofproto-dpif-xlate.c``.
"""

from __future__ import annotations

from bothways.facts.choice import Assumption
from bothways.facts.openflow import Action
from bothways.facts.step import Did
from bothways.model.openflow.field import FIELDS, KNOWN, VLAN_PRESENT
from bothways.model.openflow.options import OPTION_WIDTH, is_option
from bothways.model.openflow.run import Run

__all__ = ["dec_ttl", "load", "move", "number_of", "pop", "push", "set_field"]


def number_of(action: Action, name: str) -> int:
    """A number that the parser always gives."""
    value = action.args.get(name)
    return value if isinstance(value, int) else 0


def set_field(run: Run, action: Action) -> None:
    """``set_field:VALUE[/MASK]->FIELD`` and its older spellings."""
    if _lacks_tag(run, action):
        return
    mask = action.args.get("mask")
    name = str(action.args["field"])
    if action.text.startswith("mod_tp_") and run.key.packet.icmp is not None:
        run.doubt(f"what `{action.text}` writes to ICMP type or code of {run.where}: it is not modelled")
    known = FIELDS.get(name)
    width = known.width if known is not None else OPTION_WIDTH if is_option(name) else 128
    whole = (1 << width) - 1
    run.write(name, (number_of(action, "value"), KNOWN), mask if isinstance(mask, int) else whole)


def _lacks_tag(run: Run, action: Action) -> bool:
    """Whether an action is about the priority of a VLAN tag, and there is none: then it does nothing."""
    if "vlan_tci" not in (action.args.get("field"), action.args.get("source")):
        return False
    tci, known = run.key.get("vlan_tci")
    absent = bool(known & VLAN_PRESENT) and not tci & VLAN_PRESENT
    return absent and "vlan_pcp" in action.text.lower()


def _mask(action: Action) -> tuple[int, int]:
    low, high = number_of(action, "low"), number_of(action, "high")
    return low, ((1 << (high - low + 1)) - 1) << low


def load(run: Run, action: Action) -> None:
    """``load:VALUE->FIELD[a..b]``."""
    if _lacks_tag(run, action):
        return
    low, mask = _mask(action)
    run.write(str(action.args["field"]), (number_of(action, "value") << low, KNOWN), mask)


def move(run: Run, action: Action) -> None:
    """``move:FIELD[a..b]->FIELD[c..d]``."""
    source = str(action.args["source"])
    field = FIELDS.get(source)
    if (field is not None and not field.needs(run.key.packet)) or _lacks_tag(run, action):
        return
    value, known = run.key.part(source, number_of(action, "source_low"), number_of(action, "source_high"))
    low, mask = _mask(action)
    run.write(str(action.args["field"]), (value << low, known << low), mask)


def push(run: Run, action: Action) -> None:
    """``push:FIELD[a..b]``."""
    low, high = number_of(action, "low"), number_of(action, "high")
    value, known = run.key.part(str(action.args["field"]), low, high)
    width = high - low + 1
    run.stack.append((value, known | ~((1 << width) - 1), (width + 7) // 8 + 1))


def pop(run: Run, action: Action) -> None:
    """``pop:FIELD[a..b]``: the lowest bits of what is on top; nothing if the stack is empty."""
    if run.stack:
        low, mask = _mask(action)
        value, known, _ = run.stack.pop()
        if _lacks_tag(run, action):
            return
        run.write(str(action.args["field"]), (value << low, known << low), mask)


def dec_ttl(run: Run, _action: Action) -> None:
    """
    Take one off TTL or hop limit; one that would expire ends this list of actions.

    Lists from which this one was entered go on.
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
