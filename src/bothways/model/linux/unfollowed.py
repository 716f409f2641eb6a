"""
Devices beyond which a frame is not followed, and why.

What is followed is listed: a device of a kind that nobody thought of is not taken for a wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bothways.facts.device import Device

__all__ = ["FOLLOWED", "lost_beyond"]

#: Kinds of devices that the model knows; "" is hardware, or what a dump without ``-d`` shows.
FOLLOWED: Final = frozenset(
    {
        "",
        "veth",
        "bridge",
        "vlan",
        "vxlan",
        "bond",
        "team",
        "dummy",
        "tun",
        "openvswitch",
        "vrf",
        "virtio_net",
    }
)
_TUNNEL: Final = "tunnels of the kernel other than VXLAN are not followed"
_SHARED: Final = "devices that share another one are not followed"
#: Kind of a device -> why; of others it is their kind alone.
_WHY: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            "geneve", "gre", "gretap", "ip6gre", "ip6gretap", "ipip", "sit", "ip6tnl", "wireguard", "macsec",
            "erspan", "ip6erspan", "vti", "vti6", "xfrm", "bareudp", "gtp", "amt",
        ),
        _TUNNEL,
    ),
    **dict.fromkeys(("macvlan", "macvtap", "ipvlan", "ipvtap"), _SHARED),
}  # fmt: skip


def lost_beyond(device: Device | None, label: str) -> str:
    """
    Why a frame is lost sight of that a device sends, "" for one that is followed.

    :param label: the namespace, as it is told.
    """
    if device is None or device.kind in FOLLOWED:
        return ""
    why = _WHY.get(device.kind, "devices of this kind are not followed")
    return f"where a frame goes that {device.kind} device {device.name} of {label} sends: {why}"
