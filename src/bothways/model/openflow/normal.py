"""
The action NORMAL: an Ethernet switch that learns, with 802.1Q VLANs.

``xlate_normal``, ``input_vid_is_valid`` and ``output_normal`` of ``ofproto/ofproto-dpif-xlate.c``; ports'
settings are those of ovs-vswitchd.conf.db(5), table Port. Bonds, mirrors, spanning tree and multicast
snooping are not modelled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bothways.facts.address import Mac, is_group
from bothways.facts.openflow import LOCAL, Bridge, LearnedMac, Port
from bothways.facts.span import Span

__all__ = ["MacTable", "Switched", "switch"]

#: 01:80:c2:00:00:0x are for the bridge itself, IEEE 802.1D table 7-10
_RESERVED: Final = "01:80:c2:00:00:0"


@dataclass(frozen=True, slots=True)
class _Place:
    port: int
    span: Span | None
    pinned: bool = False


class MacTable:
    """What the bridges of one walk have learned: dumps first, then the walk's own frames."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], dict[tuple[int, Mac], _Place]] = {}

    def seed(self, bridge: Bridge) -> None:
        """Take over what ``ovs-appctl fdb/show`` printed of a bridge."""
        known = self._places.setdefault((bridge.host, bridge.name), {})
        for row in bridge.fdb or ():
            known[row.vlan, row.mac] = _Place(row.port, row.span, pinned=_static(row))

    def learn(self, bridge: Bridge, vlan: int, mac: Mac, port: int) -> None:
        """Note that a station was heard at a port; a static entry stays."""
        known = self._places.setdefault((bridge.host, bridge.name), {})
        old = known.get((vlan, mac))
        if mac and not is_group(mac) and (old is None or (not old.pinned and old.port != port)):
            known[vlan, mac] = _Place(port, None)

    def look_up(self, bridge: Bridge, vlan: int, mac: Mac) -> tuple[int, Span | None] | None:
        """The port at which a station was heard, and the line that says so; None if it was not."""
        place = self._places.get((bridge.host, bridge.name), {}).get((vlan, mac))
        return None if place is None else (place.port, place.span)


def _static(row: LearnedMac) -> bool:
    return row.age is None and "static" in row.span.text


@dataclass(frozen=True, slots=True)
class Switched:
    """
    Where NORMAL sends a frame.

    :param targets: ports, and the VLAN ID of the frame there (0: untagged).
    :param assumed: what was taken for granted because the learned MACs were not collected.
    :param unknown: what is not modelled.
    """

    targets: tuple[tuple[Port, int], ...]
    reason: str
    evidence: tuple[Span, ...] = ()
    assumed: str = ""
    unknown: str = ""


def switch(bridge: Bridge, ingress: Port | None, src: Mac, dst: Mac, vid: int, macs: MacTable) -> Switched:
    """
    Switch a frame.

    :param vid: VLAN ID of the frame as it stands, 0 if it is untagged.
    """
    if ingress is None:
        return Switched((), "NORMAL: the ingress port is not known, dropped")
    if ingress.vlan_mode not in _VLAN_MODES:
        return Switched((), "", unknown=_odd(bridge, ingress))
    mode = _mode(ingress)
    if not mode.admits(ingress, vid):
        return Switched((), f"NORMAL: {ingress.name} is not a member of VLAN {vid}, dropped")
    if dst.startswith(_RESERVED):
        return Switched((), f"NORMAL: {dst} is reserved for bridges, dropped")
    vlan = mode.inward(ingress, vid)
    number = _number(bridge, ingress)
    if number is not None:
        macs.learn(bridge, vlan, src, number)
    found = None if is_group(dst) else macs.look_up(bridge, vlan, dst)
    if found is not None:
        return _to_learned(bridge, ingress, dst, vlan, found)
    targets = tuple(_flooded(bridge, ingress, vlan))
    names = ", ".join(port.name for port, _ in targets) or "no port"
    odd = "; ".join(_odd(bridge, p) for p in bridge.ports.values() if p.vlan_mode not in _VLAN_MODES)
    if is_group(dst):
        return Switched(targets, f"NORMAL: {dst} is a group, flooded to {names}", unknown=odd)
    reason = f"NORMAL: {dst} was not learned, flooded to {names}"
    return Switched(targets, reason, assumed=_assumed(bridge, dst), unknown=odd)


def _to_learned(
    bridge: Bridge, ingress: Port, dst: Mac, vlan: int, found: tuple[int, Span | None]
) -> Switched:
    number, span = found
    evidence = () if span is None else (span,)
    port = next((p for p in bridge.ports.values() if _number(bridge, p) == number), None)
    if port is None:
        text = f"which port {number} of {bridge.host} {bridge.name} is, where {dst} was learned"
        return Switched((), "", evidence, unknown=text)
    if port.name == ingress.name:
        return Switched(
            (), f"NORMAL: {dst} was learned at {port.name}, where the frame came in: dropped", evidence
        )
    if port.vlan_mode not in _VLAN_MODES:
        return Switched((), "", evidence, unknown=_odd(bridge, port))
    target = port, _mode(port).outward(port, vlan)
    return Switched((target,), f"NORMAL: {dst} was learned at {port.name}", evidence)


def _flooded(bridge: Bridge, ingress: Port, vlan: int) -> Iterator[tuple[Port, int]]:
    for port in bridge.ports.values():
        if port.name == ingress.name or "NO_FLOOD" in port.config or port.vlan_mode not in _VLAN_MODES:
            continue
        mode = _mode(port)
        if mode.carries(port, vlan):
            yield port, mode.outward(port, vlan)


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


# -- VLANs ---------------------------------------------------------------------------------------------


def _trunks(port: Port, vid: int) -> bool:
    return not port.trunks or vid in port.trunks


def _tag(port: Port) -> int:
    return port.tag or 0


@dataclass(frozen=True, slots=True)
class _Mode:
    """
    How a port treats VLANs.

    :param admits: whether a frame with a VLAN ID (0: untagged) may come in.
    :param inward: VLAN of a frame that came in.
    :param carries: whether frames of a VLAN may go out.
    :param outward: VLAN ID of a frame that goes out (0: untagged).
    """

    admits: Callable[[Port, int], bool]
    inward: Callable[[Port, int], int]
    carries: Callable[[Port, int], bool]
    outward: Callable[[Port, int], int]


_ACCESS: Final = _Mode(
    admits=lambda _, vid: vid == 0,
    inward=lambda port, _: _tag(port),
    carries=lambda port, vlan: vlan == _tag(port),
    outward=lambda _port, _vlan: 0,
)
_TRUNK: Final = _Mode(
    admits=_trunks, inward=lambda _, vid: vid, carries=_trunks, outward=lambda _, vlan: vlan
)


def _native(*, tagged: bool) -> _Mode:
    return _Mode(
        admits=lambda port, vid: vid == 0 or _trunks(port, vid),
        inward=lambda port, vid: vid or _tag(port),
        # The native VLAN is always a member, and VLAN 0 never is (bundle_set of ofproto-dpif.c).
        carries=lambda port, vlan: vlan == _tag(port) or (vlan != 0 and _trunks(port, vlan)),
        outward=lambda port, vlan: 0 if vlan == _tag(port) and not tagged else vlan,
    )


#: ``vlan_mode`` of a port; None: access if the port has a tag, else trunk
_VLAN_MODES: Final[Mapping[str | None, _Mode | None]] = {
    None: None,
    "access": _ACCESS,
    "trunk": _TRUNK,
    "native-tagged": _native(tagged=True),
    "native-untagged": _native(tagged=False),
}


def _mode(port: Port) -> _Mode:
    return _VLAN_MODES.get(port.vlan_mode) or (_TRUNK if port.tag is None else _ACCESS)
