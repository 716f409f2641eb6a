"""``ip``: one row per object, abbreviated as iproute2 allows (``ip a d …``), see ip(8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from bothways.facts.address import network
from bothways.facts.change import Edit, RouteEdit, RoutingRuleEdit
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
_ANY4: Final = network("0.0.0.0/0")
_ANY6: Final = network("::/0")
_FLAGS: Final = ("-4", "-6", "-d", "-details", "-f", "-family", "-s", "-o", "-br", "-c", "-force")


def read_ip(command: Command) -> tuple[Edit, ...]:
    """
    Read one ``ip`` command that changes something; ``-n NETNS`` was taken off before.

    :raises ChangeError: if the object or an argument is not known.
    """
    arguments = Arguments(command)
    six = False
    while arguments.peek() in _FLAGS:
        six = arguments.skip("-6") or six or not arguments.skip(*_FLAGS)
        six = arguments.skip("inet6") or six
        arguments.skip("inet", "link")
    name = abbreviated(arguments.peek(), *_OBJECTS)
    if name is None:
        raise arguments.refuse(f"one of {', '.join(_OBJECTS)}")
    arguments.at += 1
    edits = _OBJECTS[name](arguments)
    return tuple(_of_ipv6(edit) for edit in edits) if six else edits


def _of_ipv6(edit: Edit) -> Edit:
    """What ``-6`` makes of a command that names no address: ``default`` is IPv6's, and so is a rule."""
    if isinstance(edit, RoutingRuleEdit):
        return replace(edit, version=6)
    if isinstance(edit, RouteEdit) and edit.route.destination == _ANY4:
        return replace(edit, route=replace(edit.route, destination=_ANY6))
    return edit
