"""``ip address add|del|replace|change ADDRESS[/PREFIX] dev DEVICE`` and ``ip address flush``."""

from __future__ import annotations

from ipaddress import ip_interface
from typing import Final

from bothways.facts.change import Act, AddressEdit, Edit
from bothways.parse.change.arguments import Arguments, abbreviated
from bothways.parse.change.error import ChangeError

__all__ = ["read_address"]

_ACTS: Final = {
    "add": Act.ADD,
    "del": Act.DELETE,
    "delete": Act.DELETE,
    "replace": Act.REPLACE,
    "change": Act.REPLACE,
    "flush": Act.FLUSH,
}
#: words with a value that does not decide what is changed
_WITH_VALUE: Final = frozenset({"brd", "broadcast", "label", "valid_lft", "preferred_lft", "proto"})
_ALONE: Final = frozenset({"nodad", "home", "mngtmpaddr", "autojoin", "local"})


def read_address(arguments: Arguments) -> tuple[Edit, ...]:
    """
    Read what stands behind ``ip address``.

    :raises ChangeError: if it is not known, or names no device.
    """
    name = abbreviated(arguments.peek(), *_ACTS)
    if name is None:
        raise arguments.refuse(f"one of {', '.join(_ACTS)}")
    arguments.at += 1
    act = _ACTS[name]
    held = None
    device = None
    while not arguments.done:
        if arguments.skip("dev"):
            device = arguments.take("a device").text
        elif act is not Act.FLUSH and arguments.peek() in _WITH_VALUE:
            arguments.at += 1
            arguments.take("its value")
        elif act is not Act.FLUSH and arguments.peek() in _ALONE:
            arguments.at += 1
        elif act is Act.FLUSH and device is None:
            device = arguments.take("a device").text
        else:
            text = arguments.peek()
            held = (arguments.value("an address such as 192.0.2.1/24", ip_interface), "/" in text)
    if device is None:
        raise ChangeError("no device is named", arguments.column, "add `dev DEVICE`")
    if held is None and act is not Act.FLUSH:
        raise ChangeError("no address is named", arguments.column, "expected an address such as 192.0.2.1/24")
    if held is None:
        return (AddressEdit(act, device),)
    interface, prefixed = held
    prefix = interface.network.prefixlen if prefixed or act is not Act.DELETE else None
    return (AddressEdit(act, device, interface.ip, prefix),)
