"""
Whether a packet is in a set of ipset: ``-m set --match-set NAME src,dst``.

Each direction gives one part of the key, in the order of the set's type; a set with fewer parts ignores the
rest. Of networks the most specific one decides, and ``nomatch`` takes it out again. Sources: ipset(8),
``net/netfilter/xt_set.c``, ``net/netfilter/ipset/ip_set_hash_*.c``, ``ip_set_list_set.c``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_network
from typing import Final

from bothways.facts.address import IPAddress, IPNetwork
from bothways.facts.ipset import IpSet, Member, Part
from bothways.facts.iptables import Match, Rule, Table
from bothways.facts.packet import ICMP, ICMP6, Packet
from bothways.model.linux.iptables.condition import Fulfils, maybe
from bothways.model.linux.iptables.probe import Probe

__all__ = ["SETS", "holds", "written_sets"]

_NESTED: Final = 8
_PORTED: Final = frozenset({6, 17, 33, 132, 136})


def _match(probe: Probe, match: Match, rule: Rule) -> bool | None:
    if not isinstance(match.value, tuple) or probe.ipsets is None:
        return None
    name, directions = match.value
    found = {each.name: each for each in probe.ipsets}
    answer = holds(found, str(name), tuple(directions), probe)
    if answer is None:
        return None
    plain = not any(m.name == "set.return-nomatch" for m in rule.matches)
    return maybe(answer, match) if plain else None


def written_sets(tables: Iterable[Table]) -> Iterator[str]:
    """Names of sets that a rule adds packets to (``-j SET --add-set``)."""
    for table in tables:
        for chain in table.chains.values():
            for rule in chain.rules:
                added = None if rule.target is None else rule.target.options.get("add-set")
                if isinstance(added, tuple):
                    yield str(added[0])


def holds(sets: Mapping[str, IpSet], name: str, directions: tuple[str, ...], probe: Probe) -> bool | None:
    """True if a packet is in a set; None if that cannot be told."""
    return _holds(sets, name, directions, probe, 0)


def _holds(
    sets: Mapping[str, IpSet], name: str, directions: tuple[str, ...], probe: Probe, nested: int
) -> bool | None:
    found = sets.get(name)
    if found is None or nested > _NESTED:
        return None
    if found.method == "list":
        inner = [
            _holds(sets, str(member.parts[0]), directions, probe, nested + 1) for member in found.members
        ]
        return True if True in inner else None if None in inner or not found.whole else False
    if len(directions) < len(found.types):
        return False  # the kernel refuses such a rule; a list of sets skips such a member
    keys = [_KEYS[kind](probe, side == "src") for kind, side in zip(found.types, directions, strict=False)]
    family = found.options.get("family", "inet")
    ip = probe.packet.ip
    ours = ip is not None and (ip.src.version == 4) is (family == "inet")  # noqa: PLR2004 - IPv4
    if not ours and found.types[0] in ("ip", "net"):
        return False
    if any(key is None for key in keys):
        return None
    if any(key is _NOTHING for key in keys):
        return False
    best: tuple[int, ...] = ()
    answer = False
    for member in found.members:
        depth = _fits(member, keys, found)
        if depth is not None and depth >= best:
            best, answer = depth, not member.nomatch
    return None if not answer and not (found.whole and _lasting(found, probe)) else answer


def _lasting(found: IpSet, probe: Probe) -> bool:
    """False for a set that this namespace's rules add packets to: one that was not in may be now."""
    return found.name not in probe.written_sets


_NOTHING: Final = object()


def _address(probe: Probe, source: bool) -> object:  # noqa: FBT001 - the direction
    ip = probe.packet.ip
    return _NOTHING if ip is None else ip.src if source else ip.dst


def _port(probe: Probe, source: bool) -> object:  # noqa: FBT001 - the direction
    """``ip_set_get_ip4_port``: ports, ICMP's type and code; other protocols have port 0."""
    packet: Packet = probe.packet
    ip = packet.ip
    if ip is None or ip.offset:
        return _NOTHING
    transport = packet.tcp or packet.udp
    if transport is not None:
        return ip.protocol, transport.sport if source else transport.dport
    if ip.protocol in (ICMP, ICMP6):
        return None if packet.icmp is None else (ip.protocol, packet.icmp.type << 8 | packet.icmp.code)
    return None if ip.protocol in _PORTED else (ip.protocol, 0)


def _device(probe: Probe, source: bool) -> object:  # noqa: FBT001 - the direction
    return (probe.device_in if source else probe.device_out) or _NOTHING


def _mac(probe: Probe, source: bool) -> object:  # noqa: FBT001 - the direction
    ethernet = probe.packet.ethernet
    if probe.mine:
        return _NOTHING
    return (ethernet.src if source else ethernet.dst) or None


def _mark(probe: Probe, _: bool) -> object:  # noqa: FBT001 - the direction
    return probe.mark


_KEYS: Final[Mapping[str, Callable[[Probe, bool], object]]] = {
    "ip": _address,
    "net": _address,
    "port": _port,
    "iface": _device,
    "mac": _mac,
    "mark": _mark,
}


def _fits(member: Member, keys: list[object], found: IpSet) -> tuple[int, ...] | None:
    """How specific the networks are by which a member means a key; None if it does not."""
    depth: list[int] = []
    for part, key, kind in zip(member.parts, keys, found.types, strict=False):
        if not _FIT.get(kind, _equal)(part, key, found):
            return None
        depth.append(part.prefixlen if isinstance(part, IPNetwork) else 0)
    if len(member.parts) < len(keys) and found.types[-1] != "mac":
        return None
    return tuple(depth)


def _equal(part: Part, key: object, _: IpSet) -> bool:
    return part == key


def _inside(part: Part, key: object, found: IpSet) -> bool:
    if not isinstance(part, IPNetwork) or not isinstance(key, IPAddress):
        return False
    length = found.options.get("netmask", "")
    if length.isascii() and length.isdigit():
        key = ip_network(f"{key}/{length}", strict=False).network_address
    return key.version == part.version and key in part


def _between(part: Part, key: object, found: IpSet) -> bool:
    """Ports of the same protocol; a bitmap of ports does not keep the protocol (TCP and UDP alike)."""
    if not isinstance(part, tuple) or not isinstance(key, tuple):
        return False
    protocol, low, high = part
    return (found.method == "bitmap" or protocol == key[0]) and bool(low <= key[1] <= high)


def _marked(part: Part, key: object, found: IpSet) -> bool:
    mask = found.options.get("markmask", "0xffffffff")
    return isinstance(key, int) and isinstance(part, int) and (key & int(mask, 0)) == part


_FIT: Final[Mapping[str, Callable[[Part, object, IpSet], bool]]] = {
    "ip": _inside,
    "net": _inside,
    "port": _between,
    "mark": _marked,
}

#: match name of ``parse.iptables`` -> row
SETS: Final[Mapping[str, Fulfils]] = {"set.match-set": _match}
