"""
How ports treat VLANs: access, trunk, native and 802.1Q tunnel ports.

``input_vid_is_valid``, ``xvlan_input_translate``, ``xbundle_includes_vlan`` and ``xvlan_output_translate`` of
``ofproto/ofproto-dpif-xlate.c``; settings are those of ovs-vswitchd.conf.db(5), table Port.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bothways.facts.openflow import Port
from bothways.model.openflow.field import KNOWN, VLAN_PRESENT, Bits

__all__ = ["UNTAGGED", "VlanMode", "Vlans", "as_written", "mode_of", "vid_of", "with_priority"]

_VID: Final = 0xFFF
_PRIORITY: Final = 0xE000

#: outer and inner tag of a frame; inside a bridge VLAN 0 may have one
Vlans = tuple[Bits, Bits]

_NONE: Final[Bits] = (0, KNOWN)
UNTAGGED: Final[Vlans] = (_NONE, _NONE)


@dataclass(frozen=True, slots=True)
class VlanMode:
    """
    How a port treats VLANs.

    :param admits: whether a frame with an outer VLAN ID (0: untagged) may come in.
    :param inward: VLANs inside the bridge of a frame that came in.
    :param carries: whether a frame may go out.
    :param outward: tags of a frame that goes out.
    """

    admits: Callable[[Port, int], bool]
    inward: Callable[[Port, Vlans], Vlans]
    carries: Callable[[Port, Vlans], bool]
    outward: Callable[[Port, Vlans], Vlans]


def vid_of(tag: Bits) -> int:
    """VLAN ID of a tag, 0 if there is none."""
    return tag[0] & _VID


def as_written(tag: Bits, port: Port) -> Bits:
    """
    The tag as the frame gets it on its way out of a port.

    VLAN 0 with a priority is a tag, VLAN 0 without is none, unless the port wants it (``priority-tags``).
    """
    value, known = tag[0] & (_VID | _PRIORITY), tag[1]
    if value & known or (port.other_config.get("priority-tags") == "always" and tag[0] & VLAN_PRESENT):
        return VLAN_PRESENT | value, known | VLAN_PRESENT
    return _NONE


def with_priority(tag: Bits, port: Port, frame: Bits) -> Bits:
    """The tag with the priority that the frame has as it stands, if the port asks for it."""
    if port.other_config.get("priority-tags", "never") in ("never", "false"):
        return tag
    return tag[0] & ~_PRIORITY | frame[0] & _PRIORITY, tag[1] & ~_PRIORITY | frame[1] & _PRIORITY


def _tag(port: Port) -> int:
    return port.tag or 0


def _moved(port: Port, tag: Bits) -> Bits:
    """The port's VLAN with the priority of a tag."""
    return VLAN_PRESENT | _tag(port) | tag[0] & _PRIORITY, tag[1] | _VID


def _trunks(port: Port, vid: int) -> bool:
    return not port.trunks or vid in port.trunks


def _allows_inner(port: Port, vid: int) -> bool:
    return not port.cvlans or vid in port.cvlans


_ACCESS: Final = VlanMode(
    admits=lambda _, vid: vid == 0,
    inward=lambda port, vlans: (_moved(port, vlans[0]), _NONE),
    carries=lambda port, vlans: vid_of(vlans[0]) == _tag(port) and vid_of(vlans[1]) == 0,
    outward=lambda _port, _vlans: UNTAGGED,
)
_TRUNK: Final = VlanMode(
    admits=_trunks,
    inward=lambda _, vlans: vlans,
    carries=lambda port, vlans: _trunks(port, vid_of(vlans[0])),
    outward=lambda _, vlans: vlans,
)
_TUNNEL: Final = VlanMode(
    admits=_allows_inner,
    inward=lambda port, vlans: ((VLAN_PRESENT | _tag(port), KNOWN), vlans[0]),
    carries=lambda port, vlans: vid_of(vlans[0]) == _tag(port) and _allows_inner(port, vid_of(vlans[1])),
    outward=lambda _, vlans: (vlans[1], _NONE),
)


def _native(*, tagged: bool) -> VlanMode:
    def outward(port: Port, vlans: Vlans) -> Vlans:
        return (vlans[1], _NONE) if vid_of(vlans[0]) == _tag(port) and not tagged else vlans

    def carries(port: Port, vlans: Vlans) -> bool:
        # The native VLAN is always a member, and VLAN 0 never is (bundle_set of ofproto-dpif.c).
        vid = vid_of(vlans[0])
        return vid == _tag(port) or (vid != 0 and _trunks(port, vid))

    return VlanMode(
        admits=lambda port, vid: vid == 0 or _trunks(port, vid),
        inward=lambda port, vlans: vlans if vid_of(vlans[0]) else (_moved(port, vlans[0]), vlans[1]),
        carries=carries,
        outward=outward,
    )


#: ``vlan_mode`` of a port
_MODES: Final[Mapping[str, VlanMode]] = {
    "access": _ACCESS,
    "trunk": _TRUNK,
    "native-tagged": _native(tagged=True),
    "native-untagged": _native(tagged=False),
    "dot1q-tunnel": _TUNNEL,
}


def mode_of(port: Port) -> VlanMode | None:
    """The mode of a port, access or trunk by its tag where none is set; None if nobody knows the mode."""
    if port.vlan_mode is None:
        return _TRUNK if port.tag is None else _ACCESS
    return _MODES.get(port.vlan_mode)
