"""
Mirrors: copies of what comes in at some ports and goes out of some, for another port or a VLAN of its own.

``mirror_packet`` and ``mirror_ingress_packet`` of ``ofproto/ofproto-dpif-xlate.c``, ``mirror_set`` of
``ofproto/ofproto-dpif-mirror.c``. A copy is made at the port where the packet came in before any table is
looked up, and where it goes out behind each output; once at most for each destination. Patch ports are never
mirrored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from bothways.facts.choice import Freedom
from bothways.facts.openflow import Bridge, Mirror, Port
from bothways.facts.step import Did
from bothways.model.openflow.egress import port_of
from bothways.model.openflow.field import VLAN_PRESENT
from bothways.model.openflow.normal import Target, bundle_of, is_mirror_output, members_of, target_of
from bothways.model.openflow.run import Run
from bothways.model.openflow.sending import in_order, send_tagged, tags_of
from bothways.model.openflow.vlan_mode import Vlans, mode_of, vid_of

__all__ = ["flood_order", "mirror_ingress", "mirror_output"]

_VID: Final = 0xFFF
_RESERVED: Final = "01:80:c2:00:00:0"


def mirror_ingress(run: Run) -> None:
    """Copy a packet that comes in, before any table sees it."""
    if not run.bridge.mirrors:
        return
    port = port_of(run.bridge, run.key.in_port)
    if port is not None:
        _mirror(run, port, lambda mirror: mirror.select_src, "comes in")


def mirror_output(run: Run, port: Port) -> None:
    """Copy what has gone out of a port."""
    _mirror(run, port, lambda mirror: mirror.select_dst, "goes out")


def _mirror(run: Run, port: Port, selected: Callable[[Mirror], Iterable[str]], does: str) -> None:
    bridge = run.bridge
    wanted = [
        mirror
        for mirror in bridge.mirrors or ()
        if (mirror.select_all or bundle_of(port) in selected(mirror)) and _where(mirror) is not None
    ]
    if not wanted:
        return
    vlans, mode = tags_of(run), mode_of(port)
    if mode is None or vlans is None:
        run.doubt(f"what mirrors of {bridge.host} {bridge.name} copy at {port.name}: its VLAN is not known")
        return
    if not mode.admits(port, vid_of(vlans[0])):
        return
    inside = mode.inward(port, vlans)
    for mirror in _ordered(run, wanted):
        if _where(mirror) in run.mirrored or _leaves_out(run, mirror, inside):
            continue
        run.mirrored |= {_where(mirror)}
        _copy(run, mirror, inside, port, does)


def _ordered(run: Run, wanted: list[Mirror]) -> list[Mirror]:
    """
    The mirrors in the order of the switch.

    It is that of their making, which no dump shows. It can only change the tags of copies, where one mirror
    copies what another one sends: a choice where a trace is followed, and taken for granted elsewhere.
    """
    left = [mirror for mirror in wanted if _where(mirror) not in run.mirrored]
    if len(left) <= 1 or not run.traced:
        return left
    texts = {f"mirror {mirror.name} is the first": mirror for mirror in left}
    where = f"mirrors of {run.bridge.host} {run.bridge.name}"
    first = texts[run.oracle.choose(where, list(texts), freedom=Freedom.FREE)]
    return [first, *(mirror for mirror in left if mirror is not first)]


def flood_order(run: Run, copies: list[tuple[Port, Vlans]]) -> list[Port]:
    """
    Put those ports first of which mirrors get their copies, where copies of others would have other tags.

    The switch goes by a hash of its ports: a choice for each mirror, where a trace is followed.

    :param copies: the ports, each with the tags of what goes out of it.
    """
    left = [mirror for mirror in run.bridge.mirrors or () if _where(mirror) not in run.mirrored]
    firsts: list[Port] = []
    while left:
        found: dict[tuple[Vlans, frozenset[tuple[str, str, int] | None]], Port] = {}
        for port, vlans in copies:
            mode = mode_of(port)
            if mode is None or port.kind == "patch" or not mode.admits(port, vid_of(vlans[0])):
                continue
            inside = mode.inward(port, vlans)
            served = frozenset(_where(mirror) for mirror in left if _takes(mirror, port, inside))
            if served:
                found.setdefault((inside, served), port)
        if len(found) <= 1 or (len({inside for inside, _ in found}) == 1 and not _cascades(left)):
            break
        texts = {
            f"{port.name} is flooded before others": (port, served) for (_, served), port in found.items()
        }
        where = f"flood of {run.bridge.host} {run.bridge.name}"
        first, served = texts[run.oracle.choose(where, list(texts), freedom=Freedom.FREE)]
        firsts.append(first)
        left = [mirror for mirror in left if _where(mirror) not in served]
    return [*firsts, *(port for port, _ in copies if port not in firsts)]


def _cascades(mirrors: list[Mirror]) -> bool:
    """Whether a copy that one of them makes can go out where another one takes it."""
    return any(
        one.output is None or other.select_all or one.output in other.select_dst
        for one in mirrors
        for other in mirrors
        if one is not other
    )


def _takes(mirror: Mirror, port: Port, inside: Vlans) -> bool:
    """Whether a mirror copies what goes out of a port."""
    if not (mirror.select_all or bundle_of(port) in mirror.select_dst):
        return False
    return not mirror.select_vlans or vid_of(inside[0]) in mirror.select_vlans


def _where(mirror: Mirror) -> tuple[str, str, int] | None:
    """Where a mirror sends to; None if it has no destination, and so does nothing."""
    if mirror.output is not None:
        return "port", mirror.output, 0
    return None if mirror.output_vlan is None else ("vlan", "", mirror.output_vlan)


def _leaves_out(run: Run, mirror: Mirror, inside: Vlans) -> bool:
    """Whether a mirror does not take this packet."""
    if mirror.filter:
        where = f"{run.bridge.host} {run.bridge.name}"
        run.doubt(f"what mirror {mirror.name} of {where} copies: its filter is not modelled")
        return True
    return bool(mirror.select_vlans) and vid_of(inside[0]) not in mirror.select_vlans


def _copy(run: Run, mirror: Mirror, inside: Vlans, port: Port, does: str) -> None:
    steps, before, packet = list(run.steps), run.mirror_of, run.key.packet
    if does == "comes in":
        run.steps.clear()
    why = f"mirror {mirror.name} copies what {does} at {port.name}"
    run.note(Did.COPIED, why, (mirror.span,), f"mirror {mirror.name}")
    run.mirror_of = mirror
    for target in in_order(run, _targets(run.bridge, mirror, inside, packet.ethernet.dst)):
        send_tagged(run, target, mirror.snaplen)
    run.mirror_of = before
    run.steps[:] = steps


def _targets(bridge: Bridge, mirror: Mirror, inside: Vlans, dst: str) -> list[Target]:
    """Where the copies go, with their tags."""
    if mirror.output is not None:
        port = next((p for p in bridge.ports.values() if bundle_of(p) == mirror.output), None)
        target = None if port is None else target_of(bridge, port, inside)
        return [] if target is None else [target]
    if vid_of(inside[0]) == mirror.output_vlan or dst.startswith(_RESERVED):
        return []
    tag = (VLAN_PRESENT | (inside[0][0] & ~_VID) | (mirror.output_vlan or 0), inside[0][1] | _VID)
    moved: Vlans = (tag, inside[1])
    found: dict[str, Target] = {}
    for port in bridge.ports.values():
        mode = mode_of(port)
        if mode is None or not mode.carries(port, moved) or is_mirror_output(bridge, port):
            continue
        target = target_of(bridge, port, moved)
        if target is not None and members_of(bridge, port):
            found.setdefault(bundle_of(port), target)
    return list(found.values())
