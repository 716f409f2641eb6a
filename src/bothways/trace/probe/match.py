"""
A filter's terms on the headers of a packet, for tiers whose kernel part cannot filter.

The terms are those of the option ``--filter``: a list of alternatives, each a mapping whose keys must all
hold.
"""

import ipaddress
from typing import Callable, Dict, Iterable, List, Optional, Sequence, Union

from bothways.trace.probe.packet import FLAGS, Packet

__all__ = ["Matcher"]

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
Term = Dict[str, object]

_NUMBERS = {"icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "icmpv6": 58, "sctp": 132, "udplite": 136}
_WITH_PORTS = frozenset({"tcp", "udp", "sctp"})


class Matcher:
    """
    Whether a packet is asked for.

    :param alternatives: the decoded option: a packet matches if all terms of one alternative do; none at
        all takes everything. An alternative is a mapping, or a list of mappings that must all hold.
    """

    def __init__(self, alternatives: Sequence[object]) -> None:
        self._alternatives = [_terms(each) for each in alternatives]
        self._networks: Dict[str, Optional[Network]] = {}

    @property
    def everything(self) -> bool:
        """Whether there is no filter."""
        return not self._alternatives

    def takes(self, packet: Optional[Packet]) -> bool:
        """
        Whether the packet, or the one inside it or quoted by it, is asked for.

        One without known headers never is.
        """
        if self.everything:
            return True
        while packet is not None:
            if any(all(self._holds(term, packet) for term in terms) for terms in self._alternatives):
                return True
            inside = packet.get("inner") or packet.get("quoted")
            packet = inside if isinstance(inside, dict) else None
        return False

    def _holds(self, term: Term, packet: Packet) -> bool:
        ported = any(key in term for key in ("port", "source_port", "destination_port"))
        if ported and packet["protocol"] not in _WITH_PORTS:
            return False
        if "flags_mask" in term and not _masked(term["flags_mask"], term.get("flags_value", 0), packet):
            return False
        return all(_KEYS[key](self, packet, value) for key, value in term.items() if key in _KEYS)

    def _within(self, address: object, network: object) -> bool:
        if not isinstance(address, str):
            return False
        text = str(network)
        if text not in self._networks:
            try:
                self._networks[text] = ipaddress.ip_network(text, strict=False)
            except ValueError:
                self._networks[text] = None
        known = self._networks[text]
        return known is not None and ipaddress.ip_address(address) in known

    def host(self, packet: Packet, value: object) -> bool:
        """Whether each of the networks is that of one side."""
        sides = (packet["source"], packet["destination"])
        return all(any(self._within(side, each) for side in sides) for each in _several(value))

    def source(self, packet: Packet, value: object) -> bool:
        """Whether the packet comes from the network."""
        return self._within(packet["source"], value)

    def destination(self, packet: Packet, value: object) -> bool:
        """Whether the packet goes to the network."""
        return self._within(packet["destination"], value)


def _terms(alternative: object) -> List[Term]:
    each = [alternative] if isinstance(alternative, dict) else alternative
    return [term for term in each if isinstance(term, dict)] if isinstance(each, list) else []


def _several(value: object) -> Iterable[object]:
    return value if isinstance(value, list) else [value]


def _in_range(port: object, bounds: object) -> bool:
    low, high = (bounds[0], bounds[-1]) if isinstance(bounds, list) and bounds else (bounds, bounds)
    return isinstance(port, int) and isinstance(low, int) and isinstance(high, int) and low <= port <= high


def _port(_matcher: Matcher, packet: Packet, value: object) -> bool:
    sides = (packet["source_port"], packet["destination_port"])
    wanted = value if isinstance(value, list) and any(isinstance(each, list) for each in value) else [value]
    return all(any(_in_range(side, each) for side in sides) for each in _several(wanted))


def _flags(packet: Packet) -> Optional[int]:
    letters = packet.get("flags")
    if not isinstance(letters, str):
        return None
    return sum(bit for bit, letter in FLAGS if letter in letters) if letters != "none" else 0


def _masked(mask: object, value: object, packet: Packet) -> bool:
    flags = _flags(packet)
    return flags is not None and isinstance(mask, int) and flags & mask == value


def _protocol(_matcher: Matcher, packet: Packet, value: object) -> bool:
    word = packet["protocol"]
    return isinstance(word, str) and str(_NUMBERS.get(word, word)) == str(value)


_KEYS: Dict[str, Callable[[Matcher, Packet, object], bool]] = {
    "family": lambda _, packet, value: packet["family"] == value,
    "protocol": _protocol,
    "source": Matcher.source,
    "destination": Matcher.destination,
    "host": Matcher.host,
    "source_port": lambda _, packet, value: _in_range(packet["source_port"], value),
    "destination_port": lambda _, packet, value: _in_range(packet["destination_port"], value),
    "port": _port,
}
