"""
The address and port that Open vSwitch's own NAT gives a connection.

``nat_get_unique_tuple`` of ``lib/conntrack.c``: a hash with a secret seed picks among the addresses of a
range and among its ports; a source port is kept where it is free, and stays in its class (below 512, below
1024, above). What is drawn is not guessed: an address is a choice of the network, of ports the first free
one stands for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Final

from bothways.facts.address import IPAddress
from bothways.facts.choice import Assumption, Freedom, Oracle
from bothways.facts.conntrack import Tuple
from bothways.facts.packet import TCP, UDP
from bothways.model.linux.nat.target import NatTarget
from bothways.model.openflow.userspace_table import Connection

__all__ = ["translated"]

_CLASSES: Final = ((511, 1, 511), (1023, 600, 1023), (65535, 1024, 65535))
#: Addresses of one range that are offered as choices of their own; of more, these stand for all.
_OFFERED: Final = 4


def translated(
    connection: Connection, nat: NatTarget, taken: Callable[[Tuple], bool], oracle: Oracle
) -> Tuple | None:
    """
    The reply tuple of a connection that is translated; None if every one is taken.

    :param taken: whether a tuple is another connection's.
    """
    source = nat.kind == "SNAT"
    plain = connection.reply
    own = plain.dst if source else plain.src
    address = _address(connection, nat, own, oracle)
    reply = replace(plain, dst=address) if source else replace(plain, src=address)
    if plain.protocol not in (TCP, UDP):
        return None if taken(reply) else reply
    for candidate in _candidates(reply, nat, source=source):
        if not taken(candidate):
            _said(connection, nat, candidate, oracle)
            return candidate
    return None


def _candidates(reply: Tuple, nat: NatTarget, *, source: bool) -> Iterator[Tuple]:
    chosen = nat.ranges[0] if nat.ranges else None
    low = None if chosen is None else chosen.port_low
    high = low if chosen is None or chosen.port_high is None else chosen.port_high
    ports = range(0) if low is None or high is None else range(low, high + 1)
    if source and ports:
        return (replace(reply, dport=port) for port in ports)
    first, last = next((low, high) for top, low, high in _CLASSES if reply.dport <= top)
    kept = chain((reply.dport,), range(reply.dport + 1, last + 1), range(first, reply.dport))
    if not ports:
        return (replace(reply, dport=port) for port in kept)
    by_port = (replace(reply, sport=port) for port in ports)
    return chain(by_port, (replace(reply, sport=ports[0], dport=port) for port in kept))


def _said(connection: Connection, nat: NatTarget, taken: Tuple, oracle: Oracle) -> None:
    chosen = nat.ranges[0] if nat.ranges else None
    if chosen is not None and chosen.port_low is not None and chosen.port_low != chosen.port_high:
        port = taken.dport if nat.kind == "SNAT" else taken.sport
        text = (
            f"the translated port of {connection} may be any free one of "
            f"{chosen.port_low}-{chosen.port_high}; the walk takes {port}"
        )
        oracle.assume(Assumption(text))


def _address(connection: Connection, nat: NatTarget, own: IPAddress, oracle: Oracle) -> IPAddress:
    chosen = nat.ranges[0] if nat.ranges else None
    if chosen is None or chosen.low is None or chosen.low.is_unspecified:
        return own
    low, high = int(chosen.low), int(chosen.high or chosen.low)
    if low >= high:
        return chosen.low
    kind = type(chosen.low)
    numbers = list(range(low, min(high, low + _OFFERED - 1) + 1))
    if high not in numbers:
        numbers[-1] = high
        oracle.assume(
            Assumption(f"of the addresses {chosen.low}-{chosen.high} the walk tries {len(numbers)} only")
        )
    options: dict[str, IPAddress] = {str(kind(number)): kind(number) for number in numbers}
    side = "source" if nat.kind == "SNAT" else "destination"
    taken = oracle.choose(
        f"{side} address for {connection} in zone {connection.zone} of Open vSwitch",
        tuple(options),
        freedom=Freedom.FREE,
        evidence=nat.evidence,
    )
    return options[taken]
