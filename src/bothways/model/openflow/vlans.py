"""
Actions on VLAN tags; a switch follows two of them.

``flow_push_vlan_uninit`` and ``flow_pop_vlan`` of ``lib/flow.c``: a third tag pushes the innermost one
out, from the packet too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bothways.facts.openflow import Action
from bothways.model.openflow.field import KNOWN, VLAN_PRESENT, Bits
from bothways.model.openflow.run import Run
from bothways.model.openflow.writing import number_of

__all__ = ["pop_vlan", "push_vlan", "set_vlan_pcp", "set_vlan_vid"]

_VID: Final = 0xFFF
_TAG_BYTES: Final = 4


def push_vlan(run: Run, action: Action) -> None:
    """``push_vlan:TYPE``: a new tag outside of those that are there."""
    outer = run.key.get("vlan_tci")
    if not outer[1] & VLAN_PRESENT:
        run.doubt(f"what `{action.text}` makes of {run.where}: whether it has a tag is not known")
        return
    if outer[0] & VLAN_PRESENT:
        if not run.key.get("vlan_tci1")[0] & VLAN_PRESENT:
            _grow(run, _TAG_BYTES)
        run.key.put("vlan_tci1", outer, 0xFFFF)
    run.write("vlan_tci", (VLAN_PRESENT, KNOWN), 0xFFFF)


def pop_vlan(run: Run, _action: Action) -> None:
    """``pop_vlan``: the tag inside becomes the outer one."""
    inner = run.key.get("vlan_tci1")
    run.write("vlan_tci", inner, 0xFFFF)
    if inner[0] & VLAN_PRESENT:
        run.key.put("vlan_tci1", (0, KNOWN), 0xFFFF)
        _grow(run, -_TAG_BYTES)


def _grow(run: Run, octets: int) -> None:
    packet = run.key.packet
    if packet.length is not None:
        run.key.packet = replace(packet, length=packet.length + octets)


def set_vlan_vid(run: Run, action: Action) -> None:
    """``set_vlan_vid``, and ``mod_vlan_vid``, which tags an untagged frame first."""
    _set_tag(run, action, number_of(action, "vid"), _VID)


def set_vlan_pcp(run: Run, action: Action) -> None:
    """``set_vlan_pcp``, and ``mod_vlan_pcp``, which tags an untagged frame first."""
    _set_tag(run, action, number_of(action, "pcp") << 13, 7 << 13)


def _set_tag(run: Run, action: Action, bits: int, mask: int) -> None:
    """Write a part of the tag; an untagged frame gets a tag first if the action is an old one."""
    if _untagged(run.key.get("vlan_tci")):
        if action.args.get("push"):
            run.write("vlan_tci", (VLAN_PRESENT | bits, KNOWN), 0xFFFF)
    else:
        run.write("vlan_tci", (VLAN_PRESENT | bits, KNOWN), VLAN_PRESENT | mask)


def _untagged(tag: Bits) -> bool:
    return bool(tag[1] & VLAN_PRESENT) and not tag[0] & VLAN_PRESENT
