"""``ip link set DEVICE up|down|mtu N|address MAC`` and ``ip link del DEVICE``."""

from __future__ import annotations

from typing import Final

from bothways.facts.address import mac
from bothways.facts.change import Act, Edit, LinkEdit
from bothways.parse.change.arguments import Arguments, abbreviated
from bothways.parse.change.error import ChangeError

__all__ = ["read_link"]

_KINDS: Final = ("set", "del", "delete")
_SETTINGS: Final = "one of up, down, mtu N, address MAC"


def read_link(arguments: Arguments) -> tuple[Edit, ...]:
    """
    Read what stands behind ``ip link``.

    :raises ChangeError: for settings that are not modelled, and without a device.
    """
    name = abbreviated(arguments.peek(), *_KINDS)
    if name is None:
        raise arguments.refuse(f"one of {', '.join(_KINDS)}")
    arguments.at += 1
    arguments.skip("dev")
    device = arguments.take("a device").text
    if name != "set":
        arguments.skip("type") and arguments.take("a kind of device")
        if not arguments.done:
            raise arguments.refuse("nothing more")
        return (LinkEdit(device, Act.DELETE),)
    up: bool | None = None
    mtu = hardware = None
    while not arguments.done:
        if arguments.skip("up"):
            up = True
        elif arguments.skip("down"):
            up = False
        elif arguments.skip("mtu"):
            mtu = arguments.value("a number of bytes", int)
        elif arguments.skip("address", "addr"):
            hardware = arguments.value("a MAC", mac)
        else:
            raise arguments.refuse(_SETTINGS)
    if up is None and mtu is None and hardware is None:
        raise ChangeError("nothing is set", arguments.column, f"expected {_SETTINGS}")
    return (LinkEdit(device, up=up, mtu=mtu, mac=hardware),)
