"""``ip neigh add|replace|change|del ADDRESS lladdr MAC [nud STATE] dev DEVICE`` and ``ip neigh flush``."""

from __future__ import annotations

from typing import Final

from bothways.facts.address import IPAddress, IPNetwork, address, mac, network
from bothways.facts.change import Act, Edit, NeighbourEdit
from bothways.facts.device import Neighbour
from bothways.facts.span import Span
from bothways.parse.change.arguments import Arguments, abbreviated
from bothways.parse.change.error import ChangeError

__all__ = ["read_neighbour"]

_ACTS: Final = {
    "add": Act.ADD,
    "replace": Act.REPLACE,
    "change": Act.REPLACE,
    "del": Act.DELETE,
    "delete": Act.DELETE,
    "flush": Act.FLUSH,
}
_STATES: Final = (
    "PERMANENT",
    "NOARP",
    "REACHABLE",
    "STALE",
    "NONE",
    "INCOMPLETE",
    "DELAY",
    "PROBE",
    "FAILED",
)


def read_neighbour(arguments: Arguments) -> tuple[Edit, ...]:
    """
    Read what stands behind ``ip neigh``. Without ``nud`` an added entry is PERMANENT, as the kernel does it.

    :raises ChangeError: if an argument is not known, or the device or the address is missing.
    """
    name = abbreviated(arguments.peek(), *_ACTS)
    if name is None:
        raise arguments.refuse(f"one of {', '.join(_ACTS)}")
    arguments.at += 1
    act = _ACTS[name]
    if act is Act.FLUSH:
        return (_flush(arguments),)
    arguments.skip("to")
    held: IPAddress = arguments.value("an address", address)
    device = hardware = None
    state = "PERMANENT"
    while not arguments.done:
        if arguments.skip("dev"):
            device = arguments.take("a device").text
        elif arguments.skip("lladdr"):
            hardware = arguments.value("a MAC", mac)
        elif arguments.skip("nud", "state"):
            state = arguments.value(f"one of {', '.join(_STATES).lower()}", _state)
        else:
            raise arguments.refuse("dev, lladdr or nud")
    if device is None:
        raise ChangeError("no device is named", arguments.column, "add `dev DEVICE`")
    if hardware is None and act is not Act.DELETE:
        raise ChangeError("no MAC is named", arguments.column, "add `lladdr MAC`")
    span = Span("", text=arguments.command.text)
    return (NeighbourEdit(act, Neighbour(held, device, hardware, frozenset({state}), span), device),)


def _flush(arguments: Arguments) -> NeighbourEdit:
    device = None
    wanted: IPNetwork | None = None
    while not arguments.done:
        if arguments.skip("dev"):
            device = arguments.take("a device").text
        elif arguments.skip("all", "to") or (arguments.skip("nud") and arguments.skip("all")):
            continue
        else:
            wanted = arguments.value("dev DEVICE, an address or all", network)
    return NeighbourEdit(Act.FLUSH, None, device, wanted)


def _state(text: str) -> str:
    upper = text.upper()
    if upper not in _STATES:
        raise ValueError(text)
    return upper
