"""``nat(...)`` inside ``ct(...)``: which end is rewritten, and to which range. Source: ovs-actions(7)."""

from __future__ import annotations

from bothways.facts.address import IPAddress, address
from bothways.parse.openflow_lex import Piece, cut, keyed
from bothways.parse.openflow_values import number

__all__ = ["read_nat"]


def read_nat(value: Piece) -> dict[str, object]:
    """
    Read what stands in ``nat(...)``; ``nat`` alone is empty and re-applies the connection's translation.

    :raises ValueError: if it is not what ``ovs-ofctl`` prints.
    """
    args: dict[str, object] = {}
    flags: list[str] = []
    for piece in cut(value.text, value.column):
        word, inner = keyed(piece)
        if word in ("src", "dst"):
            args["direction"] = word
            if inner is not None:
                args |= _range(inner.text)
        elif word in ("random", "hash", "persistent"):
            flags.append(word)
        else:
            raise ValueError(piece.text)
    if flags:
        args["flags"] = tuple(flags)
    return args


def _range(text: str) -> dict[str, object]:
    """Read ``a``, ``a-b``, ``a-b:p-q``, ``[a]-[b]:p-q`` and ``[a-b]:p-q``."""
    if text.startswith("["):
        addresses, _, ports = text[1:].rpartition("]")
        addresses, ports = addresses.replace("]-[", "-"), ports.removeprefix(":")
    elif text.count(":") > 1:
        addresses, ports = text, ""
    else:
        addresses, _, ports = text.partition(":")
    low, _, high = addresses.partition("-")
    first: IPAddress = address(low)
    args: dict[str, object] = {"low": first, "high": address(high) if high else first}
    if first.is_unspecified and not high:
        args = {}  # a switch takes it as no address at all
    if ports:
        start, _, end = ports.partition("-")
        args |= {"low_port": number(start), "high_port": number(end or start)}
    return args
