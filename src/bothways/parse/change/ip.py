"""``ip``: one row per object, abbreviated as iproute2 allows (``ip a d …``), see ip(8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bothways.facts.change import Edit
from bothways.parse.change.arguments import Arguments, abbreviated
from bothways.parse.change.ip_address import read_address
from bothways.parse.change.ip_link import read_link
from bothways.parse.change.ip_neighbour import read_neighbour
from bothways.parse.change.ip_route import read_route, read_rule
from bothways.parse.change.words import Command

__all__ = ["read_ip"]

#: object -> its reader; the order decides what a shortened name means, as in ``ip/ip.c``
_OBJECTS: Final[Mapping[str, Callable[[Arguments], tuple[Edit, ...]]]] = {
    "address": read_address,
    "link": read_link,
    "route": read_route,
    "rule": read_rule,
    "neighbour": read_neighbour,
    "neighbor": read_neighbour,
}
_FLAGS: Final = ("-4", "-6", "-d", "-details", "-f", "-family", "-s", "-o", "-br", "-c", "-force")


def read_ip(command: Command) -> tuple[Edit, ...]:
    """
    Read one ``ip`` command that changes something; ``-n NETNS`` was taken off before.

    :raises ChangeError: if the object or an argument is not known.
    """
    arguments = Arguments(command)
    while arguments.skip(*_FLAGS):
        arguments.skip("inet", "inet6", "link")
    name = abbreviated(arguments.peek(), *_OBJECTS)
    if name is None:
        raise arguments.refuse(f"one of {', '.join(_OBJECTS)}")
    arguments.at += 1
    return _OBJECTS[name](arguments)
