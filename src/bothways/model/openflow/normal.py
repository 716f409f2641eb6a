"""
The action NORMAL: an Ethernet switch that learns, with VLANs and bonds.

``xlate_normal``, ``xlate_normal_flood`` and ``output_normal`` of ``ofproto/ofproto-dpif-xlate.c``. Which
member of a bond a frame takes is a choice. Multicast snooping is not modelled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bothways.facts.address import Mac, is_group
from bothways.facts.openflow import LOCAL, Bridge, Port
from bothways.facts.span import Span
from bothways.model.openflow.field import Bits
from bothways.model.openflow.mac_table import MacTable
from bothways.model.openflow.vlan_mode import VlanMode, Vlans, mode_of, vid_of, with_priority

__all__ = [
    "NOBODY",
    "Switched",
    "Target",
    "bundle_of",
    "is_mirror_output",
    "members_of",
    "switch",
    "target_of",
]

#: 01:80:c2:00:00:0x are for the bridge itself, IEEE 802.1D table 7-10
_RESERVED: Final = "01:80:c2:00:00:0"
#: ingress ports of packets that a controller made: any VLAN may come in, and nothing is learned
NOBODY: Final = frozenset({0xFFFF, 0xFFFD, 0xFFFFFFFF, 0xFFFFFFFD})


@dataclass(frozen=True, slots=True)
class Target:
    """
    One copy that goes out.

    :param members: the port, or those of a bond, of which one takes it.
    :param vlans: its tags.
    """

    members: tuple[Port, ...]
    vlans: Vlans


@dataclass(frozen=True, slots=True)
class Switched:
    """
    Where NORMAL sends a frame.

    :param assumed: what was taken for granted because the learned MACs were not collected.
    :param unknown: what is not modelled.
    :param refused: why it may be dropped instead, as its bond is free to choose.
    """

    targets: tuple[Target, ...]
    reason: str
    evidence: tuple[Span, ...] = ()
    assumed: str = ""
    unknown: str = ""
    refused: str = ""


def switch(
    bridge: Bridge, ingress: Port | None, number: int, ends: tuple[Mac, Mac], vlans: Vlans, macs: MacTable
) -> Switched:
    """
    Switch a frame.

    :param number: of the ingress port.
    :param ends: source and destination.
    :param vlans: the frame's tags as it stands.
    """
    src, dst = ends
    inside = vlans
    if ingress is not None:
        mode = mode_of(ingress)
        if mode is None:
            return Switched((), "", unknown=_odd(bridge, ingress))
        if is_mirror_output(bridge, ingress):
            return Switched((), f"NORMAL: {ingress.name} is where a mirror sends to, dropped")
        vid = vid_of(vlans[0])
        if not mode.admits(ingress, vid):
            return Switched((), f"NORMAL: {ingress.name} is not a member of VLAN {vid}, dropped")
        if dst.startswith(_RESERVED) and bridge.other_config.get("forward-bpdu") != "true":
            return Switched((), f"NORMAL: {dst} is reserved for bridges, dropped")
        inside = mode.inward(ingress, vlans)
        own = _number(bridge, ingress)
        if own is not None:
            macs.learn(bridge, vid_of(inside[0]), src, own)
        if ingress.bond is not None and is_group(dst):
            inactive = (
                f"NORMAL: {dst} came in at {ingress.name}, and another member of its bond is the active one"
            )
            return _flood(bridge, ingress, dst, inside, vlans, inactive)
    elif number not in NOBODY:
        return Switched((), "NORMAL: the ingress port is not known, dropped")
    found = None if is_group(dst) else macs.look_up(bridge, vid_of(inside[0]), dst)
    if vid_of(inside[0]) in bridge.flood_vlans:
        found = None
    if found is not None:
        return _to_learned(bridge, ingress, dst, (inside, vlans[0]), found)
    return _flood(bridge, ingress, dst, inside, vlans)


def _to_learned(
    bridge: Bridge, ingress: Port | None, dst: Mac, tags: tuple[Vlans, Bits], found: tuple[int, Span | None]
) -> Switched:
    number, span = found
    evidence = () if span is None else (span,)
    port = next((p for p in bridge.ports.values() if _number(bridge, p) == number), None)
    if port is None:
        text = f"which port {number} of {bridge.host} {bridge.name} is, where {dst} was learned"
        return Switched((), "", evidence, unknown=text)
    if is_mirror_output(bridge, port):
        return Switched(
            (), f"NORMAL: {dst} was learned at {port.name}, where a mirror sends to: dropped", evidence
        )
    if ingress is not None and bundle_of(port) == bundle_of(ingress):
        return Switched(
            (), f"NORMAL: {dst} was learned at {port.name}, where the frame came in: dropped", evidence
        )
    if ingress is not None and port.protected and ingress.protected:
        return Switched((), f"NORMAL: {port.name} and {ingress.name} are protected: dropped", evidence)
    mode = mode_of(port)
    if mode is None:
        return Switched((), "", evidence, unknown=_odd(bridge, port))
    target = Target(members_of(bridge, port), _tags(mode, port, *tags))
    return Switched((target,), f"NORMAL: {dst} was learned at {port.name}", evidence)


def _flood(
    bridge: Bridge, ingress: Port | None, dst: Mac, vlans: Vlans, frame: Vlans, refused: str = ""
) -> Switched:
    targets = tuple(_flooded(bridge, ingress, vlans, frame[0]))
    names = ", ".join("/".join(port.name for port in target.members) for target in targets) or "no port"
    odd = "; ".join(_odd(bridge, p) for p in bridge.ports.values() if mode_of(p) is None)
    if is_group(dst):
        return Switched(
            targets, f"NORMAL: {dst} is a group, flooded to {names}", unknown=odd, refused=refused
        )
    reason = f"NORMAL: {dst} was not learned, flooded to {names}"
    return Switched(targets, reason, assumed=_assumed(bridge, dst), unknown=odd)


def _tags(mode: VlanMode, port: Port, vlans: Vlans, frame: Bits) -> Vlans:
    """The tags of a copy; *frame* is the outer tag as the frame came."""
    outer, inner = mode.outward(port, vlans)
    return with_priority(outer, port, frame), inner


def _flooded(bridge: Bridge, ingress: Port | None, vlans: Vlans, frame: Bits) -> Iterator[Target]:
    seen: set[str] = set()
    for port in bridge.ports.values():
        mode, bundle = mode_of(port), bundle_of(port)
        if bundle in seen or mode is None or not _floods_to(bridge, ingress, port, mode, vlans):
            continue
        seen.add(bundle)
        yield Target(members_of(bridge, port), _tags(mode, port, vlans, frame))


def _floods_to(bridge: Bridge, ingress: Port | None, port: Port, mode: VlanMode, vlans: Vlans) -> bool:
    same = ingress is not None and bundle_of(port) == bundle_of(ingress)
    if same or (ingress is not None and port.protected and ingress.protected):
        return False
    if any("NO_FLOOD" in member.config for member in members_of(bridge, port)):
        return False
    return mode.carries(port, vlans) and not is_mirror_output(bridge, port)


def target_of(bridge: Bridge, port: Port, vlans: Vlans, frame: Bits | None = None) -> Target | None:
    """
    A copy for a port, with the tags that it gets there; None if nobody knows the port's mode.

    :param vlans: VLANs inside the bridge.
    :param frame: the outer tag as the frame stands, for ports that ask for its priority.
    """
    mode = mode_of(port)
    if mode is None:
        return None
    return Target(members_of(bridge, port), _tags(mode, port, vlans, vlans[0] if frame is None else frame))


def bundle_of(port: Port) -> str:
    """The name of the port in the database: that of its bond, if it is a member of one."""
    return port.bond or port.name


def members_of(bridge: Bridge, port: Port) -> tuple[Port, ...]:
    """The port, or all ports of its bond."""
    if port.bond is None:
        return (port,)
    return tuple(other for other in bridge.ports.values() if other.bond == port.bond)


def is_mirror_output(bridge: Bridge, port: Port) -> bool:
    """Whether a mirror sends to a port, which then takes nothing else from a switch that learns."""
    return any(mirror.output in (port.name, port.bond) for mirror in bridge.mirrors or () if mirror.output)


def _odd(bridge: Bridge, port: Port) -> str:
    return (
        f"what NORMAL does at {bridge.host} {bridge.name} port {port.name}: "
        f"vlan_mode={port.vlan_mode} is not modelled"
    )


def _assumed(bridge: Bridge, dst: Mac) -> str:
    """An assumption is needed where a row might be missing from the evidence."""
    if bridge.fdb is not None and bridge.fdb.whole:
        return ""
    return f"{bridge.host} {bridge.name} has not learned {dst} and floods"


def _number(bridge: Bridge, port: Port) -> int | None:
    return LOCAL if port.number is None and port.name == bridge.name else port.number
