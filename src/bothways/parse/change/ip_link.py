"""``ip link set DEVICE up|down|mtu N|address MAC`` and ``ip link del DEVICE``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bothways.facts.address import mac
from bothways.facts.change import Act, Edit, LinkEdit
from bothways.parse.change.arguments import Arguments, abbreviated
from bothways.parse.change.error import ChangeError

__all__ = ["read_link"]

_KINDS: Final = ("set", "del", "delete")
_FORM: Final = "one of up, down, mtu N, address MAC"
#: word -> field of the edit, and what reads its value
_SETTINGS: Final[Mapping[str, tuple[str, Callable[[Arguments], object]]]] = {
    "up": ("up", lambda _: True),
    "down": ("up", lambda _: False),
    "mtu": ("mtu", lambda arguments: arguments.value("a number of bytes", int)),
    "address": ("mac", lambda arguments: arguments.value("a MAC", mac)),
    "addr": ("mac", lambda arguments: arguments.value("a MAC", mac)),
}


def read_link(arguments: Arguments) -> tuple[Edit, ...]:
    """
    Read what stands behind ``ip link``.

    :raises ChangeError: for settings that are not modelled, and without a device.
    """
    name = abbreviated(arguments.peek(), *_KINDS)
    if name is None:
        raise arguments.refuse(f"one of {', '.join(_KINDS)}")
    arguments.at += 1
    if name != "set":
        arguments.skip("dev")
        device = arguments.take("a device").text
        arguments.skip("type") and arguments.take("a kind of device")
        if not arguments.done:
            raise arguments.refuse("nothing more")
        return (LinkEdit(device, Act.DELETE),)
    found: dict[str, object] = {}
    device = ""
    while not arguments.done:
        setting = _SETTINGS.get(arguments.peek())
        if setting is not None:
            arguments.at += 1
            name, read = setting
            found[name] = read(arguments)
        elif arguments.skip("dev") or not device:
            device = arguments.take("a device").text
        else:
            raise arguments.refuse(_FORM)
    if not device:
        raise arguments.refuse("a device")
    if not found:
        raise ChangeError("nothing is set", arguments.column, f"expected {_FORM}")
    return (LinkEdit(device, **found),)  # type: ignore[arg-type] # the table pairs each field with its reader
