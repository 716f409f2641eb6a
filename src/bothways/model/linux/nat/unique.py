"""
The address and port that a connection gets: in the range of the rule, and taken by no other.

``net/netfilter/nf_nat_core.c`` (``get_unique_tuple``, ``nf_nat_l4proto_unique_tuple``). Where the kernel
draws, this does not guess: an address is a choice of the network; of ports the first free one stands for
the set, and the set is named.

Not followed: ports below which a closing TCP connection is evicted to make room, the base of a shifted
port range, GRE keys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from bothways.facts.address import IPAddress
from bothways.facts.choice import Assumption, Freedom, Oracle
from bothways.facts.conntrack import Tuple
from bothways.facts.iptables import AddressRange
from bothways.facts.packet import ICMP, ICMP6, TCP, UDP
from bothways.model.linux.conntrack.entry import TrackedConnection
from bothways.model.linux.conntrack.table import ConntrackTable
from bothways.model.linux.conntrack.tuple import inverse
from bothways.model.linux.nat.target import NatTarget, Side

__all__ = ["Wanted", "unique_tuple"]

#: With these the port is drawn even where the packet's own is free.
_DRAWN: Final = frozenset({"random", "random-fully"})
_PORTS: Final = frozenset({TCP, UDP})
_QUERIES: Final = frozenset({ICMP, ICMP6})
#: A source port stays in its class (``nf_nat_l4proto_unique_tuple``): highest port -> lowest, highest drawn.
_CLASSES: Final = ((511, (1, 511)), (1023, (600, 1023)), (65535, (1024, 65535)))
#: Addresses of one range that are offered as choices of their own; of more, these stand for all.
_OFFERED: Final = 4


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted for one side of one connection."""

    side: Side
    target: NatTarget | None
    connection: TrackedConnection
    table: ConntrackTable
    oracle: Oracle

    def taken(self, one: Tuple) -> bool:
        """Whether answers to *one* are another connection's."""
        return self.table.taken(inverse(one), self.connection)


def unique_tuple(wanted: Wanted, now: Tuple) -> tuple[Tuple, str]:
    """
    Find what the connection shall look like when it leaves.

    :param now: what it looks like as yet.
    :return: the tuple, and a sentence about how it was chosen where that was not plain, else "".
    """
    target = wanted.target
    drawn = target is not None and bool(target.flags & _DRAWN)
    chosen = _range(wanted, now)
    if wanted.side is Side.SOURCE and not drawn:
        if _source_in(now, chosen):
            if not wanted.taken(now):
                return now, ""
        else:
            mapped = _mapped_already(wanted, now, chosen)
            if mapped is not None:
                return mapped, "as other connections of this source have it already"
    candidate = _with_address(wanted, now, chosen)
    if not drawn:
        if chosen.port_low is None:
            if not wanted.taken(candidate):
                return candidate, ""
        elif _port_in(candidate, wanted.side, chosen) and (
            chosen.port_low == chosen.port_high or not wanted.taken(candidate)
        ):
            return candidate, ""
    return _with_port(wanted, candidate, chosen, drawn=drawn)


def _range(wanted: Wanted, now: Tuple) -> AddressRange:
    """The range to choose from. Without a rule, the connection's own address."""
    target = wanted.target
    if target is None or not target.ranges:
        own = now.src if wanted.side is Side.SOURCE else now.dst
        return AddressRange(own, own)
    if target.kind == "NETMAP":
        return _mapped_network(wanted.side, now, target.ranges[0])
    if len(target.ranges) == 1:
        return target.ranges[0]
    options = {str(_named(each)): each for each in target.ranges}
    taken = wanted.oracle.choose(
        f"range of {wanted.side.word} for {wanted.connection} at {wanted.table.label}",
        tuple(options),
        freedom=Freedom.FREE,
        evidence=target.evidence,
    )
    return options[taken]


def _named(one: AddressRange) -> str:
    addresses = f"{one.low}" if one.low == one.high else f"{one.low}-{one.high}"
    ports = "" if one.port_low is None else f":{one.port_low}-{one.port_high}"
    return f"{addresses}{ports}"


def _mapped_network(side: Side, now: Tuple, network: AddressRange) -> AddressRange:
    """``xt_NETMAP``: the bits of the network are replaced, those of the host stay."""
    own = now.src if side is Side.SOURCE else now.dst
    if network.low is None or network.high is None:
        return AddressRange(own, own)
    host = int(network.low) ^ int(network.high)
    mapped = type(own)((int(network.low) & ~host) | (int(own) & host))
    return AddressRange(mapped, mapped)


def _source_in(one: Tuple, chosen: AddressRange) -> bool:
    return _address_in(one.src, chosen) and (chosen.port_low is None or _port_in(one, Side.SOURCE, chosen))


def _address_in(one: IPAddress, chosen: AddressRange) -> bool:
    if chosen.low is None:
        return True
    return int(chosen.low) <= int(one) <= int(chosen.high or chosen.low)


def _port_in(one: Tuple, side: Side, chosen: AddressRange) -> bool:
    low, high = _bounds(chosen)
    return low <= _port(one, side) <= high


def _bounds(chosen: AddressRange) -> tuple[int, int]:
    low = chosen.port_low or 0
    high = low if chosen.port_high is None else chosen.port_high
    return min(low, high), max(low, high)


def _port(one: Tuple, side: Side) -> int:
    return one.sport if side is Side.SOURCE or one.protocol in _QUERIES else one.dport


def _with(one: Tuple, side: Side, *, ip: IPAddress | None = None, port: int | None = None) -> Tuple:
    if ip is not None:
        one = replace(one, src=ip) if side is Side.SOURCE else replace(one, dst=ip)
    if port is None:
        return one
    sending = side is Side.SOURCE or one.protocol in _QUERIES
    return replace(one, sport=port) if sending else replace(one, dport=port)


def _mapped_already(wanted: Wanted, now: Tuple, chosen: AddressRange) -> Tuple | None:
    """``find_appropriate_src``: another connection of this source is translated into the range already."""
    for mapped in wanted.table.translated_source(wanted.connection):
        candidate = replace(now, src=mapped.src, sport=mapped.sport)
        if _source_in(candidate, chosen):
            return None if wanted.taken(candidate) else candidate
    return None


def _with_address(wanted: Wanted, now: Tuple, chosen: AddressRange) -> Tuple:
    """``find_best_ips_proto``: a hash with a secret seed picks among several addresses."""
    if chosen.low is None:
        return now
    low, high = int(chosen.low), int(chosen.high or chosen.low)
    if low >= high:
        return _with(now, wanted.side, ip=chosen.low)
    offered = list(range(low, min(high, low + _OFFERED - 1) + 1))
    if high not in offered:
        offered[-1] = high
        text = f"of the addresses {chosen.low}-{chosen.high} the walk tries {len(offered)} only"
        wanted.oracle.assume(Assumption(text))
    kind = type(chosen.low)
    options: dict[str, IPAddress] = {str(kind(each)): kind(each) for each in offered}
    target = wanted.target
    taken = wanted.oracle.choose(
        f"{wanted.side.word} address for {wanted.connection} at {wanted.table.label}",
        tuple(options),
        freedom=Freedom.FREE,
        evidence=() if target is None else target.evidence,
    )
    return _with(now, wanted.side, ip=options[taken])


def _with_port(wanted: Wanted, candidate: Tuple, chosen: AddressRange, *, drawn: bool) -> tuple[Tuple, str]:
    """``nf_nat_l4proto_unique_tuple``: a port of the range that no other connection has."""
    if candidate.protocol not in _PORTS | _QUERIES:
        return candidate, ""
    bounds = _drawn_from(wanted.side, candidate, chosen)
    if bounds is None:
        return candidate, ""
    low, high = bounds
    what = "id" if candidate.protocol in _QUERIES else "port"
    free = _first_free(wanted.taken, candidate, wanted.side, low, high)
    if free is None:
        return _with(candidate, wanted.side, port=high), f"every {what} of {low}-{high} is taken"
    if low == high or (wanted.side is Side.DESTINATION and not drawn):
        return free, ""
    whose = f"the {wanted.side.word} {what} of {wanted.connection} behind {wanted.table.label}"
    taken = _port(free, wanted.side)
    wanted.oracle.assume(Assumption(f"{whose} may be any free one of {low}-{high}; the walk takes {taken}"))
    return free, f"the {what} is drawn from {low}-{high}"


def _drawn_from(side: Side, candidate: Tuple, chosen: AddressRange) -> tuple[int, int] | None:
    if chosen.port_low is not None:
        return _bounds(chosen)
    if candidate.protocol in _QUERIES:
        return 0, 65535
    if side is Side.DESTINATION:
        return None
    return next(drawn for highest, drawn in _CLASSES if candidate.sport <= highest)


def _first_free(
    taken: Callable[[Tuple], bool], candidate: Tuple, side: Side, low: int, high: int
) -> Tuple | None:
    for port in range(low, high + 1):
        one = _with(candidate, side, port=port)
        if not taken(one):
            return one
    return None
