"""
Values in nft rules: what stands behind a selector, decoded to what the same iptables option holds.

A value is a word, a list with commas, or a set in braces; ``!=`` turns it round. Source: nft(8),
*Expressions* and *Data types*.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bothways.facts.iptables import Match
from bothways.facts.packet import ETH_ARP
from bothways.parse import iptables_values as value
from bothways.parse.ports import MAX_PORT, port_range
from bothways.parse.reading import NotModelledError, quoted

__all__ = ["SELECTORS", "Decode", "compared", "flags", "number"]

#: One element of a value -> a match of iptables, not negated.
Decode = Callable[[str], Match]

_ALL: Final = 0xFFFFFFFF
_FAMILIES: Final = {"ip": "0.0.0.0/0", "ipv4": "0.0.0.0/0", "ip6": "::/0", "ipv6": "::/0"}
_STATES: Final = {
    "expected": "EXPECTED",
    "seen-reply": "SEEN_REPLY",
    "assured": "ASSURED",
    "confirmed": "CONFIRMED",
}
_KINDS: Final = frozenset(
    {
        "unspec", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable",
        "prohibit",
    }
)  # fmt: skip


def _fixed(name: str, decode: Callable[[str], object]) -> Decode:
    """A selector that iptables has as one option."""
    return lambda text: Match(name, decode(text))


def _word(name: str, *allowed: str) -> Decode:
    """A keyword out of a list, kept as a frozenset in upper case."""

    def decode(text: str) -> Match:
        if text not in allowed:
            raise ValueError(f"{quoted(text)} is none of {', '.join(allowed)}")
        return Match(name, frozenset({text.upper()}))

    return decode


def _device(name: str) -> Decode:
    """A device; ``*`` at the end is iptables' ``+``."""
    return lambda text: Match(name, f"{text[:-1]}+" if text.endswith("*") else text)


def _address(side: str) -> Decode:
    """An address, a prefix or a range; *side* is ``source`` or ``destination``."""
    short = "src" if side == "source" else "dst"

    def decode(text: str) -> Match:
        if "-" in text:
            return Match(f"iprange.{short}-range", value.address_range(text))
        return Match(side, value.network_of(text))

    return decode


def _port(name: str) -> Decode:
    """A port, a service or a range, as (low, high); for multiport a tuple of one."""

    def decode(text: str) -> Match:
        span = port_range(text, "-")
        return Match(name, (span,) if name.startswith("multiport") else span)

    return decode


def compared(operator: str, text: str) -> tuple[int, int]:
    """The ports that an order admits: ``> 1023`` is (1024, 65535)."""
    number_, _ = port_range(text, "-")
    spans = {
        "<": (0, number_ - 1),
        "<=": (0, number_),
        ">": (number_ + 1, MAX_PORT),
        ">=": (number_, MAX_PORT),
    }
    return spans[operator]


def number(text: str) -> int:
    """A number of 32 bits, decimal or hexadecimal."""
    found = value.integer(text)
    if not isinstance(found, int) or found > _ALL:
        raise ValueError(f"{quoted(text)} is not a number of 32 bits")
    return found


def _family(text: str) -> Match:
    """The family of the packet: a source in the whole of it."""
    if text == "arp":
        return Match("ether.type", ETH_ARP)
    if text not in _FAMILIES:
        raise NotModelledError(f"the protocol {quoted(text)} is not evaluated")
    return Match("source", value.network_of(_FAMILIES[text]))


def _status(text: str) -> Match:
    """``ct status``: what iptables asks in part by ``--ctstate``, in part by ``--ctstatus``."""
    if text in ("snat", "dnat"):
        return Match("conntrack.ctstate", frozenset({text.upper()}))
    if text not in _STATES:
        raise NotModelledError(f"the status {quoted(text)} is not evaluated")
    return Match("conntrack.ctstatus", frozenset({_STATES[text]}))


def _kind(name: str) -> Decode:
    """``fib daddr type``: the kind of an address."""
    return _word(name, *sorted(_KINDS))


def flags(text: str) -> int:
    """TCP flags with commas or bars between, as bits."""
    bits, _ = _pair(value.tcp_flags(text.replace("|", ",").upper(), "NONE"))
    return bits


def _pair(found: object) -> tuple[int, int]:
    if isinstance(found, tuple) and len(found) == 2:  # noqa: PLR2004 (mask and value)
        return int(found[0]), int(found[1])
    raise ValueError(f"{found} are no flags")


#: (selector, …) -> the decoder of one element
SELECTORS: Final[Mapping[tuple[str, ...], Decode]] = {
    ("iifname",): _device("in-interface"),
    ("iif",): _device("in-interface"),
    ("meta", "iifname"): _device("in-interface"),
    ("meta", "iif"): _device("in-interface"),
    ("oifname",): _device("out-interface"),
    ("oif",): _device("out-interface"),
    ("meta", "oifname"): _device("out-interface"),
    ("meta", "oif"): _device("out-interface"),
    ("ip", "saddr"): _address("source"),
    ("ip", "daddr"): _address("destination"),
    ("ip6", "saddr"): _address("source"),
    ("ip6", "daddr"): _address("destination"),
    ("ip", "protocol"): _fixed("protocol", value.protocol),
    ("meta", "l4proto"): _fixed("protocol", value.protocol),
    ("meta", "nfproto"): _family,
    ("meta", "protocol"): _family,
    ("ether", "type"): _family,
    ("ether", "saddr"): _fixed("ether.saddr", value.mac_address),
    ("ether", "daddr"): _fixed("ether.daddr", value.mac_address),
    ("ibrname",): _device("bridge.in"),
    ("obrname",): _device("bridge.out"),
    ("meta", "ibrname"): _device("bridge.in"),
    ("meta", "obrname"): _device("bridge.out"),
    ("tcp", "sport"): _port("tcp.sport"),
    ("tcp", "dport"): _port("tcp.dport"),
    ("udp", "sport"): _port("udp.sport"),
    ("udp", "dport"): _port("udp.dport"),
    ("th", "sport"): _port("multiport.sports"),
    ("th", "dport"): _port("multiport.dports"),
    ("icmp", "type"): _fixed("icmp.icmp-type", value.icmp_type),
    ("ct", "state"): _word("conntrack.ctstate", "invalid", "new", "established", "related", "untracked"),
    ("ct", "status"): _status,
    ("ct", "original", "saddr"): _fixed("conntrack.ctorigsrc", value.network_of),
    ("ct", "original", "daddr"): _fixed("conntrack.ctorigdst", value.network_of),
    ("ct", "original", "ip", "saddr"): _fixed("conntrack.ctorigsrc", value.network_of),
    ("ct", "original", "ip", "daddr"): _fixed("conntrack.ctorigdst", value.network_of),
    ("ct", "reply", "ip", "saddr"): _fixed("conntrack.ctreplsrc", value.network_of),
    ("ct", "reply", "ip", "daddr"): _fixed("conntrack.ctrepldst", value.network_of),
    ("ct", "direction"): _fixed("conntrack.ctdir", str.upper),
    ("fib", "saddr", "type"): _kind("addrtype.src-type"),
    ("fib", "daddr", "type"): _kind("addrtype.dst-type"),
    ("meta", "pkttype"): _fixed("pkttype.pkt-type", value.lower),
    ("pkttype",): _fixed("pkttype.pkt-type", value.lower),
}
