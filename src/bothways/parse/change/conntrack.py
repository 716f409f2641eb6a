"""``conntrack -D`` with its filters and ``conntrack -F`` (conntrack(8))."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bothways.facts.address import network
from bothways.facts.change import ConntrackEdit, Edit
from bothways.parse.change.arguments import Arguments
from bothways.parse.change.words import Command
from bothways.parse.ports import port_number

__all__ = ["read_conntrack"]

_PROTOCOLS: Final = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58, "sctp": 132, "dccp": 33, "gre": 47}


def _protocol(text: str) -> int:
    return _PROTOCOLS[text.lower()] if text.lower() in _PROTOCOLS else int(text[:3])


def _number(text: str) -> int:
    return int(text[:12], 0)  # a mask behind it is not evaluated, and no number


#: option -> (field, decoder, what a good value looks like)
_FILTERS: Final[Mapping[str, tuple[str, Callable[[str], object], str]]] = {
    **dict.fromkeys(("-p", "--proto"), ("protocol", _protocol, "a protocol such as tcp")),
    **dict.fromkeys(("-s", "--src", "--orig-src"), ("source", network, "an address or prefix")),
    **dict.fromkeys(("-d", "--dst", "--orig-dst"), ("destination", network, "an address or prefix")),
    **dict.fromkeys(("-r", "--reply-src"), ("reply_source", network, "an address or prefix")),
    **dict.fromkeys(("-q", "--reply-dst"), ("reply_destination", network, "an address or prefix")),
    **dict.fromkeys(("--sport", "--orig-port-src"), ("sport", port_number, "a port")),
    **dict.fromkeys(("--dport", "--orig-port-dst"), ("dport", port_number, "a port")),
    "--state": ("state", str.upper, "a TCP state such as SYN_SENT"),
    **dict.fromkeys(("-w", "--zone", "--orig-zone"), ("zone", _number, "a zone")),
    **dict.fromkeys(("-m", "--mark"), ("mark", _number, "a mark")),
}
_NOTHING: Final = ("-f", "--family", "-o")


def read_conntrack(command: Command) -> tuple[Edit, ...]:
    """
    Read one command that deletes entries.

    :raises ChangeError: for other commands, and filters that are not known.
    """
    arguments = Arguments(command)
    if arguments.skip("-F", "--flush"):
        arguments.skip("conntrack")
        if not arguments.done:
            raise arguments.refuse("nothing more")
        return (ConntrackEdit(),)
    if not arguments.skip("-D", "--delete"):
        raise arguments.refuse("-D with filters, or -F")
    arguments.skip("conntrack")
    found: dict[str, object] = {}
    while not arguments.done:
        if arguments.skip(*_NOTHING):
            arguments.take("its value")
            continue
        known = _FILTERS.get(arguments.peek())
        if known is None:
            raise arguments.refuse(f"one of {', '.join(_FILTERS)}")
        arguments.at += 1
        name, decode, expected = known
        found[name] = arguments.value(expected, decode)
    return (ConntrackEdit(**found),)  # type: ignore[arg-type] # the table pairs each field with its decoder
