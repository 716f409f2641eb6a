"""Devices beyond which a frame is not followed, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["UNFOLLOWED"]

_TUNNEL: Final = "tunnels of the kernel other than VXLAN are not followed"
_SHARED: Final = "devices that share another one are not followed"

#: Kind of a device -> why.
UNFOLLOWED: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            "geneve", "gre", "gretap", "ip6gre", "ip6gretap", "ipip", "sit", "ip6tnl", "wireguard", "macsec",
            "erspan", "ip6erspan",
        ),
        _TUNNEL,
    ),
    **dict.fromkeys(("macvlan", "macvtap", "ipvlan", "ipvtap"), _SHARED),
}  # fmt: skip
