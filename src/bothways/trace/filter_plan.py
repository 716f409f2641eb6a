"""
A capture filter, cut into what the kernel part takes and what is filtered behind it.

The kernel part takes up to eight terms, one of which must fit; a term is a conjunction of family, protocol,
addresses, ports and TCP flags. What it cannot say (negations, lengths, MACs, VLANs) is left out of the term,
which then takes more than was asked for, and the whole filter is held against each event again. Nothing is
ever left out that the filter admits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, product
from typing import Final

from bothways.correlate.kernel_identity import Ends, ends_of
from bothways.facts.address import IPNetwork
from bothways.facts.filter_tree import (
    All,
    Any,
    Everything,
    HardwareAddress,
    Hosts,
    Length,
    Node,
    Not,
    Ports,
    Protocol,
    Side,
    TcpFlags,
    Vlan,
    admits,
    unknown_parts,
)
from bothways.facts.kernel_event import KernelEvent, KernelPacket
from bothways.facts.packet import ETH_IP, ETH_IP6, TCP, UDP, Packet

__all__ = ["FilterError", "FilterPlan", "Term", "plan_filter"]

MOST_TERMS: Final = 8
#: Alternatives that are looked at before a filter is taken for too wide for the kernel part.
_MOST_ALTERNATIVES: Final = 256
_FAMILIES: Final[Mapping[int, int]] = {ETH_IP: 4, ETH_IP6: 6}
_SIDES: Final[Mapping[Side, tuple[str, ...]]] = {
    Side.SOURCE: ("source",),
    Side.DESTINATION: ("destination",),
    Side.BOTH: ("source", "destination"),
}

_PORTED: Final = frozenset({TCP, UDP, 132})
_LINK_HEADER: Final = 14

_Range = tuple[int, int]


#: A host or network by its name.
_NAMED: Final = re.compile(r"\b(?:host|net)\s+(?!and\b|or\b)[A-Za-z][\w.-]*\s*$")
_TAKEN: Final = (
    "host, net, port and portrange with src or dst, ip, ip6, tcp, udp, icmp, icmp6, sctp, proto N, "
    "tcp[tcpflags], less, greater, joined by and, or, not and brackets"
)


class FilterError(ValueError):
    """A filter that cannot be traced. The text says why; *hint* what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Term:
    """What all keys of a term ask for; None = not asked."""

    family: int | None = None
    protocol: int | None = None
    networks: Mapping[str, IPNetwork] = field(default_factory=dict)
    ports: Mapping[str, _Range] = field(default_factory=dict)
    flags_mask: int = 0
    flags_value: int = 0

    def as_json(self) -> dict[str, object]:
        """As the probe takes it."""
        row: dict[str, object] = {}
        if self.family is not None:
            row["family"] = self.family
        if self.protocol is not None:
            row["protocol"] = self.protocol
        row.update({key: str(network) for key, network in self.networks.items()})
        names = {"source": "source_port", "destination": "destination_port", "port": "port"}
        row.update({names[key]: list(ports) for key, ports in self.ports.items()})
        if self.flags_mask:
            row.update(flags_mask=self.flags_mask, flags_value=self.flags_value)
        return row


@dataclass(frozen=True, slots=True)
class FilterPlan:
    """
    What the kernel part is told, and what is left for us.

    :param tree: the whole filter.
    :param terms: for the kernel part; empty = every packet.
    :param exact: True if the terms say all that the filter says.
    :param behind: the parts that are filtered behind it, as a person reads them.
    """

    tree: Node
    terms: tuple[Term, ...]
    exact: bool
    behind: tuple[str, ...] = ()
    follow_nat: bool = True

    def as_json(self) -> list[list[dict[str, object]]]:
        """As ``--filter`` of the probe takes it."""
        return [[term.as_json() for term in self.terms]] if self.terms else []

    def admits(self, event: KernelEvent, names: Iterable[Ends] = ()) -> bool:
        """
        Whether an event's packet passes the filter, in any form in which it is known.

        What cannot be told passes: the kernel part found it fit.

        :param names: what the packet is called beyond translations, as other packets told.
        """
        if self.exact:
            return True
        forms = [
            each for given in (event.packet, event.before) if given is not None for each in _forms(given)
        ]
        if self.follow_nat and event.packet is not None:
            others = (*names, *_other_names(event))
            forms.extend(_named(event.packet.carried, ends) for ends in others)
        answers = [admits(self.tree, _length(form)) for form in forms]
        return not answers or any(answer is not False for answer in answers)


def _length(form: KernelPacket) -> Packet:
    """The packet with the length of its frame, as ``less`` and ``greater`` ask for."""
    if form.length is None:
        return form.packet
    return replace(form.packet, length=form.length + _LINK_HEADER)


def _forms(packet: KernelPacket) -> Iterator[KernelPacket]:
    yield packet
    if packet.inner is not None:
        yield from _forms(packet.inner)


def _named(packet: KernelPacket, ends: Ends) -> KernelPacket:
    """The packet under another name."""
    return replace(packet, packet=packet.packet.with_source(ends[0]).with_destination(ends[1]))


def _other_names(event: KernelEvent) -> Iterator[Ends]:
    """What a packet is called beyond a translation, by the tracker's entry that hung on it."""
    packet, entry = event.packet, event.conntrack
    if packet is None or entry is None or entry.original is None or entry.reply is None:
        return
    ends = ends_of(packet)
    forth = [(t.source, t.destination) for t in (entry.original, entry.reply.reversed())]
    back = [(t.source, t.destination) for t in (entry.reply, entry.original.reversed())]
    for names in (forth, back):
        if ends in names:
            yield from names


def _advice(part: str) -> str:
    """What to write in place of a part that is not understood."""
    if _NAMED.search(part):
        return "names are not looked up: give an address, as `host 192.0.2.1` or `net 192.0.2.0/24`"
    return f"of pcap-filter(7) the tracer takes {_TAKEN}"


def plan_filter(tree: Node, *, follow_nat: bool = True) -> FilterPlan:
    """
    Cut a filter.

    :param follow_nat: whether a packet also passes under the names that it has beyond a translation.
    :raises FilterError: if a part of it is not understood or not seen by the tracer, or if no packet of IP
        passes it.
    """
    strange = unknown_parts(tree)
    if strange:
        raise FilterError(
            f"a part of the filter is not understood: `{strange[0]}`",
            _advice(strange[0]),
        )
    behind: dict[str, None] = {}
    terms: list[Term] = []
    for literals in _alternatives(tree, negated=False):
        made, left = _terms(literals)
        terms.extend(term for term in made if term not in terms)
        behind.update(dict.fromkeys(left if made else ()))
    if not terms:
        raise FilterError(
            "no packet of IPv4 or IPv6 passes this filter", "the tracer sees packets from the IP header on"
        )
    if len(terms) > MOST_TERMS:
        terms = [_common(terms)]
        behind.setdefault(f"more alternatives than {MOST_TERMS}")
    if Term() in terms:
        terms = []
    return FilterPlan(tree, tuple(terms), not behind, tuple(behind), follow_nat)


#: One primitive, and whether it is negated.
_Literal = tuple[Node, bool]


def _alternatives(tree: Node, *, negated: bool) -> list[tuple[_Literal, ...]]:
    """
    The filter as alternatives of conjunctions.

    More of them than anybody writes are not told apart: one without literals stands for all, and takes every
    packet.
    """
    match tree:
        case Not(part):
            return _alternatives(part, negated=not negated)
        case All(parts) | Any(parts) if isinstance(tree, All) is not negated:
            lists = [_alternatives(part, negated=negated) for part in parts]
            if math.prod(len(each) for each in lists) > _MOST_ALTERNATIVES:
                return [((Not(tree) if negated else tree, False),)]
            return [tuple(chain.from_iterable(each)) for each in product(*lists)]
        case All(parts) | Any(parts):
            return [each for part in parts for each in _alternatives(part, negated=negated)]
        case _:
            return [((tree, negated),)]


def _terms(literals: Sequence[_Literal]) -> tuple[list[Term], list[str]]:
    """The terms of one conjunction, and what of it they do not say."""
    terms, left = [Term()], []
    for node, negated in literals:
        if isinstance(node, Everything):
            terms = [] if negated else terms
            continue
        narrow = None if negated else _NARROW.get(type(node))
        if type(node) in _UNSEEN:
            raise FilterError(f"the tracer does not see {_UNSEEN[type(node)]}", "leave that part out")
        if narrow is None:
            left.append(_words(node, negated=negated))
        else:
            terms = [made for term in terms for made in narrow(term, node)]
    return terms, left


def _words(node: Node, *, negated: bool) -> str:
    words = _SPELT[type(node)](node) if type(node) in _SPELT else "a part of many alternatives"
    return f"not {words}" if negated else words


def _family(term: Term, families: Iterable[int]) -> Iterator[Term]:
    allowed = frozenset(families)
    if term.family is not None:
        if term.family in allowed:
            yield term
    elif len(allowed) == 1:
        yield replace(term, family=next(iter(allowed)))
    elif allowed:
        yield term


def _of_types(ether_types: frozenset[int]) -> frozenset[int]:
    types = ether_types or frozenset(_FAMILIES)
    return frozenset(_FAMILIES[each] for each in types if each in _FAMILIES)


def _number(term: Term, number: int) -> Iterator[Term]:
    ported = bool(term.ports)
    if term.protocol in (None, number) and (not ported or number in _PORTED):
        yield replace(term, protocol=number)


def _protocol(term: Term, node: Protocol) -> Iterator[Term]:
    for each in _family(term, _of_types(node.ether_types)):
        if node.number is None:
            yield each
        else:
            yield from _number(each, node.number)


def _hosts(term: Term, node: Hosts) -> Iterator[Term]:
    families = _of_types(node.ether_types) & {node.network.version}
    for each in _family(term, families):
        if node.side is not Side.EITHER:
            yield from _addressed(each, _SIDES[node.side], node.network)
        elif "host" not in each.networks:
            yield replace(each, networks={**each.networks, "host": node.network})
        else:
            yield from _addressed(each, ("source",), node.network)
            yield from _addressed(each, ("destination",), node.network)


def _addressed(term: Term, slots: Sequence[str], network: IPNetwork) -> Iterator[Term]:
    networks = dict(term.networks)
    for slot in slots:
        both = _overlap(networks.get(slot, network), network)
        if both is None:
            return
        networks[slot] = both
    yield replace(term, networks=networks)


def _overlap(one: IPNetwork, other: IPNetwork) -> IPNetwork | None:
    """The smaller of two prefixes, if it lies in the other; None if they have nothing in common."""
    if one.version != other.version or not one.overlaps(other):
        return None
    return max(one, other, key=lambda network: network.prefixlen)


def _ports(term: Term, node: Ports) -> Iterator[Term]:
    if term.protocol is not None and term.protocol not in _PORTED:
        return
    for each in _family(term, _of_types(node.ether_types)):
        ported = [n for number in sorted(node.protocols) for n in _number(each, number)] or (
            [] if node.protocols else [each]
        )
        for narrowed in ported:
            yield from _ranged(narrowed, node.side, (node.low, node.high))


def _ranged(term: Term, side: Side, ports: _Range) -> Iterator[Term]:
    if side is Side.EITHER and "port" not in term.ports:
        yield replace(term, ports={**term.ports, "port": ports})
        return
    for slots in (("source",), ("destination",)) if side is Side.EITHER else (_SIDES[side],):
        given = dict(term.ports)
        for slot in slots:
            low, high = given.get(slot, ports)
            given[slot] = max(low, ports[0]), min(high, ports[1])
        if all(low <= high for low, high in given.values()):
            yield replace(term, ports=given)


def _flags(term: Term, node: TcpFlags) -> Iterator[Term]:
    """``tcp[tcpflags] & mask != value`` holds where at least one bit differs: one alternative a bit."""
    for four in _family(term, (4,)):
        for each in _number(four, TCP):
            if node.equal:
                yield from _masked(each, node.mask, node.value)
            elif node.value & ~node.mask:
                yield each
            else:
                for bit in (1 << place for place in range(8)):
                    if node.mask & bit:
                        yield from _masked(each, bit, ~node.value & bit)


def _masked(term: Term, mask: int, value: int) -> Iterator[Term]:
    shared = term.flags_mask & mask
    if not value & ~mask and term.flags_value & shared == value & shared:
        yield replace(term, flags_mask=term.flags_mask | mask, flags_value=term.flags_value | value)


def _common(terms: Sequence[Term]) -> Term:
    """What all terms ask for."""
    first = terms[0]
    alike = {
        name: getattr(first, name)
        for name in ("family", "protocol")
        if all(getattr(term, name) == getattr(first, name) for term in terms)
    }
    networks = {
        slot: network
        for slot, network in first.networks.items()
        if all(term.networks.get(slot) == network for term in terms)
    }
    ports = {slot: r for slot, r in first.ports.items() if all(term.ports.get(slot) == r for term in terms)}
    return Term(**alike, networks=networks, ports=ports)


_NARROW: Final[Mapping[type, Callable[..., Iterator[Term]]]] = {
    Protocol: _protocol,
    Hosts: _hosts,
    Ports: _ports,
    TcpFlags: _flags,
}
_UNSEEN: Final[Mapping[type, str]] = {HardwareAddress: "MAC addresses", Vlan: "VLAN tags"}
_SPELT: Final[Mapping[type, Callable[..., str]]] = {
    Protocol: lambda n: "ip" if n.number is None else f"proto {n.number}",
    Hosts: lambda n: f"{'' if n.side is Side.EITHER else f'{n.side} '}net {n.network}",
    Ports: lambda n: (
        f"{'' if n.side is Side.EITHER else f'{n.side} '}port {n.low}"
        + (f"-{n.high}" if n.high != n.low else "")
    ),
    TcpFlags: lambda n: f"tcp[tcpflags] & {n.mask:#x} {'==' if n.equal else '!='} {n.value:#x}",
    Length: lambda n: " and ".join(
        [
            *([f"greater {n.low}"] if n.low is not None else []),
            *([f"less {n.high}"] if n.high is not None else []),
        ]
    ),
}
