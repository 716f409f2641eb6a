"""
The address and port that a connection gets: in the range of the rule, and taken by no other.

``get_unique_tuple`` of ``net/netfilter/nf_nat_core.c``. A source keeps what it has if that is in the range
and free; else it gets what another connection of the same source has; else an address by ``spread`` and,
where the port is not free or not in the range, a port by ``draw``.

Not followed: GRE keys (they change for PPTP alone), ports of SCTP and DCCP.
"""

from __future__ import annotations

from typing import Final

from bothways.facts.address import IPAddress
from bothways.facts.choice import Freedom
from bothways.facts.conntrack import Tuple
from bothways.facts.iptables import AddressRange
from bothways.facts.packet import TCP, UDP
from bothways.model.linux.nat.draw import drawn_tuple
from bothways.model.linux.nat.spread import spread
from bothways.model.linux.nat.target import Side
from bothways.model.linux.nat.wanted import QUERIES, Wanted, port_of, with_part

__all__ = ["Wanted", "unique_tuple"]

#: With these the port is drawn even where the packet's own is free.
_DRAWN: Final = frozenset({"random", "random-fully"})
_PORTS: Final = frozenset({TCP, UDP})
#: A source port stays in its class (``nf_nat_l4proto_unique_tuple``): highest port -> lowest, highest drawn.
_CLASSES: Final = ((511, (1, 511)), (1023, (600, 1023)), (65535, (1024, 65535)))


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
        elif (
            chosen.port_base is None
            and _port_in(candidate, wanted.side, chosen)
            and (chosen.port_low == chosen.port_high or not wanted.taken(candidate))
        ):
            return candidate, ""
    bounds = _drawn_from(wanted.side, candidate, chosen)
    if bounds is None:
        return candidate, ""
    return drawn_tuple(wanted, candidate, bounds, base=chosen.port_base, drawn=drawn)


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
    """``l4proto_in_range``: protocols without ports are in every range."""
    if one.protocol not in _PORTS | QUERIES:
        return True
    low, high = _bounds(chosen)
    return low <= port_of(one, side) <= high


def _bounds(chosen: AddressRange) -> tuple[int, int]:
    low = chosen.port_low or 0
    high = low if chosen.port_high is None else chosen.port_high
    return min(low, high), max(low, high)


def _mapped_already(wanted: Wanted, now: Tuple, chosen: AddressRange) -> Tuple | None:
    """
    What another connection of this source has, the newest first, if it is in the range.

    ``find_appropriate_src``: the first that is in the range is taken, or nothing if it is not free.
    """
    for mapped in wanted.table.translated_source(now, wanted.connection):
        candidate = with_part(now, Side.SOURCE, ip=mapped.src, port=mapped.sport)
        if _source_in(candidate, chosen):
            return None if wanted.taken(candidate) else candidate
    return None


def _with_address(wanted: Wanted, now: Tuple, chosen: AddressRange) -> Tuple:
    """``find_best_ips_proto``: of several addresses, the one that the hash of the connection says."""
    if chosen.low is None:
        return now
    high = chosen.high or chosen.low
    if chosen.low == high:
        return with_part(now, wanted.side, ip=chosen.low)
    target = wanted.target
    picked = spread(
        now,
        chosen.low,
        high,
        source=wanted.side is Side.SOURCE,
        zone=wanted.connection.zone,
        persistent=target is not None and "persistent" in target.flags,
    )
    return with_part(now, wanted.side, ip=picked)


def _drawn_from(side: Side, candidate: Tuple, chosen: AddressRange) -> tuple[int, int] | None:
    """The ports to look through; None for what has none, or may not change it."""
    if candidate.protocol not in _PORTS | QUERIES:
        return None
    if chosen.port_low is not None:
        return _bounds(chosen)
    if candidate.protocol in QUERIES:
        return 0, 65535
    if side is Side.DESTINATION:
        return None
    return next(drawn for highest, drawn in _CLASSES if candidate.sport <= highest)
