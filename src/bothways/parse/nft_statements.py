"""
Actions of nft rules, as the targets of iptables that do the same.

One row per statement. Writes to the header have no target in iptables: they are named by what they write,
``ip saddr``, ``ip daddr``, ``th sport``, ``th dport``, ``ether saddr``, ``ether daddr``;
so is ``meta pkttype``. Source: nft(8), *Statements*.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from bothways.facts.address import address, network
from bothways.facts.iptables import Target
from bothways.parse import iptables_values as value
from bothways.parse.nft_cursor import Cursor
from bothways.parse.nft_values import number
from bothways.parse.ports import port_number
from bothways.parse.reading import NotModelledError, quoted

__all__ = ["STATEMENTS"]

Read = Callable[[Cursor], Target | None]

_ALL: Final = 0xFFFFFFFF
_FLAGS: Final = {"random": "random", "fully-random": "random-fully", "persistent": "persistent"}
_AND, _OR, _XOR = frozenset({"and", "&"}), frozenset({"or", "|"}), frozenset({"xor", "^"})
_REJECTIONS: Final = {
    "port-unreachable": "icmp-port-unreachable",
    "host-unreachable": "icmp-host-unreachable",
    "net-unreachable": "icmp-net-unreachable",
    "no-route": "icmp-net-unreachable",
    "prot-unreachable": "icmp-proto-unreachable",
    "host-prohibited": "icmp-host-prohibited",
    "net-prohibited": "icmp-net-prohibited",
    "admin-prohibited": "icmp-admin-prohibited",
}
#: Words of ``log`` with a value.
_LOGGED: Final = frozenset({"prefix", "level", "group", "snaplen", "queue-threshold", "flags"})


def _plain(name: str) -> Read:
    return lambda _: Target(name)


def _to_chain(*, goto: bool) -> Read:
    return lambda cursor: Target(cursor.take(), {"jump": True}, goto=goto)


def _nothing(words: int) -> Read:
    def read(cursor: Cursor) -> Target | None:
        for _ in range(words):
            cursor.take()
        return None

    return read


def _counter(cursor: Cursor) -> Target | None:
    if cursor.skip("packets"):
        cursor.take()
        if cursor.skip("bytes"):
            cursor.take()
    elif cursor.skip("name"):
        cursor.take()
    return None


def _log(cursor: Cursor) -> Target | None:
    while cursor.peek() in _LOGGED:
        cursor.take()
        cursor.take()
        while cursor.skip(","):
            cursor.take()
    return None


def _reject(cursor: Cursor) -> Target:
    kind = "icmp-port-unreachable"
    if cursor.skip("with"):
        family = cursor.take()
        if family == "tcp":
            cursor.skip("reset")
            kind = "tcp-reset"
        else:
            cursor.skip("type")
            word = cursor.take()
            if family not in ("icmp", "icmpx") or word not in _REJECTIONS:
                raise NotModelledError(f"{quoted(f'reject with {family} {word}')} is not evaluated")
            kind = _REJECTIONS[word]
    return Target("REJECT", {"reject-with": kind})


def _translation(name: str, option: str) -> Read:
    def read(cursor: Cursor) -> Target:
        options: dict[str, object] = {}
        cursor.skip("ip", "ip6")
        maps_network = cursor.skip("prefix")
        if cursor.skip("to"):
            word = cursor.take()
            if cursor.peek() in ("map", ".", "saddr", "daddr"):
                raise NotModelledError("an address out of a map is not evaluated")
            if maps_network:
                return Target("NETMAP", {"to": network(word)})
            if option == "to-ports":
                options[option] = value.dash_ports(word.removeprefix(":"))
            else:
                options[option] = value.target_range(_ends_of_prefix(word))
        while cursor.peek() in _FLAGS:
            options[_FLAGS[cursor.take()]] = True
            cursor.skip(",")
        return Target(name, options)

    return read


def _ends_of_prefix(word: str) -> str:
    """``192.0.2.20/31:80`` as ``192.0.2.20-192.0.2.21:80``: so nft prints a range that is a prefix."""
    found = re.match(r"\[?([0-9a-fA-F.:]+/[0-9]{1,3})\]?", word)
    if found is None:
        return word
    whole = network(found[1])
    ends = f"{whole[0]}-{whole[-1]}"
    return word.replace(found[0], f"[{ends}]" if found[0].startswith("[") else ends, 1)


def _bits(cursor: Cursor) -> tuple[int, int]:
    """``[and MASK] [xor|or VALUE]`` behind a mark: the bits that stay, and those that are turned."""
    keep, turn = _ALL, 0
    if cursor.peek() in _AND:
        cursor.at += 1
        keep = number(cursor.take())
    if cursor.peek() in _XOR:
        cursor.at += 1
        turn = number(cursor.take())
    elif cursor.peek() in _OR:
        cursor.at += 1
        turn = number(cursor.take())
        keep &= ~turn & _ALL
    return keep, turn


def _source(cursor: Cursor) -> str:
    """Where a mark is taken from: ``meta``, ``ct``, or "" for a number."""
    if cursor.skip("mark"):
        return "meta"
    for owner in ("meta", "ct"):
        if cursor.ahead(2) == (owner, "mark"):
            cursor.at += 2
            return owner
    return ""


def _set_mark(cursor: Cursor) -> Target:
    source = _source(cursor)
    if not source:
        return Target("MARK", {"set-xmark": (number(cursor.take()), _ALL)})
    keep, turn = _bits(cursor)
    if source == "meta":
        return Target("MARK", {"set-xmark": (turn, ~keep & _ALL)})
    if turn:
        raise NotModelledError("a mark put together from the connection's is not evaluated")
    return Target("CONNMARK", {"restore-mark": True, "nfmask": _ALL, "ctmask": keep})


def _set_ct_mark(cursor: Cursor) -> Target:
    source = _source(cursor)
    if not source:
        return Target("CONNMARK", {"set-xmark": (number(cursor.take()), _ALL)})
    keep, turn = _bits(cursor)
    if source == "ct":
        return Target("CONNMARK", {"set-xmark": (turn, ~keep & _ALL)})
    if turn:
        raise NotModelledError("a connection's mark put together from the packet's is not evaluated")
    return Target("CONNMARK", {"save-mark": True, "nfmask": keep, "ctmask": _ALL})


def _zone(cursor: Cursor) -> Target:
    return Target("CT", {"zone": value.zone(cursor.take())})


def _packet_type(cursor: Cursor) -> Target:
    word = cursor.take()
    if word not in ("host", "unicast", "broadcast", "multicast", "other"):
        raise NotModelledError(f"the packet type {quoted(word)} is not evaluated")
    return Target("meta pkttype", {"set": "host" if word == "unicast" else word})


def _write(name: str, decode: Callable[[str], object]) -> Read:
    def read(cursor: Cursor) -> Target:
        word = cursor.take()
        if not cursor.done and cursor.peek() in ("map", ".", "saddr", "daddr"):
            raise NotModelledError("a value out of a map is not evaluated")
        return Target(name, {"set": decode(word)})

    return read


#: first words of a statement -> what reads the rest; None for what changes nothing
STATEMENTS: Final[Mapping[tuple[str, ...], Read]] = {
    ("accept",): _plain("ACCEPT"),
    ("drop",): _plain("DROP"),
    ("return",): _plain("RETURN"),
    ("continue",): _nothing(0),
    ("jump",): _to_chain(goto=False),
    ("goto",): _to_chain(goto=True),
    ("notrack",): _plain("NOTRACK"),
    ("counter",): _counter,
    ("log",): _log,
    ("comment",): _nothing(1),
    ("reject",): _reject,
    ("snat",): _translation("SNAT", "to-source"),
    ("dnat",): _translation("DNAT", "to-destination"),
    ("masquerade",): _translation("MASQUERADE", "to-ports"),
    ("redirect",): _translation("REDIRECT", "to-ports"),
    ("mark", "set"): _set_mark,
    ("meta", "mark", "set"): _set_mark,
    ("ct", "mark", "set"): _set_ct_mark,
    ("ct", "zone", "set"): _zone,
    ("meta", "nftrace", "set"): _nothing(1),
    ("meta", "priority", "set"): _nothing(1),
    ("meta", "pkttype", "set"): _packet_type,
    ("pkttype", "set"): _packet_type,
    ("ether", "saddr", "set"): _write("ether saddr", value.mac_address),
    ("ether", "daddr", "set"): _write("ether daddr", value.mac_address),
    ("ip", "saddr", "set"): _write("ip saddr", address),
    ("ip", "daddr", "set"): _write("ip daddr", address),
    ("tcp", "sport", "set"): _write("th sport", port_number),
    ("tcp", "dport", "set"): _write("th dport", port_number),
    ("udp", "sport", "set"): _write("th sport", port_number),
    ("udp", "dport", "set"): _write("th dport", port_number),
    ("th", "sport", "set"): _write("th sport", port_number),
    ("th", "dport", "set"): _write("th dport", port_number),
}
