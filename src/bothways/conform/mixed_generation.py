"""
Sequences beyond TCP over IPv4, from a seed: what ``generation`` mixes among its own.

UDP, queries and answers of ICMP, errors about flows of every protocol, protocols without ports, zones, and
packets that are not tracked. A few wait until a time is over, or until a UDP flow counts as a stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

from bothways.conform.datagram import FLOWS
from bothways.conform.recording import Case, Segment

__all__ = ["MIXED_KINDS", "mixed_case"]

_OTHER: Final = {"A": "B", "B": "A"}
_QUERIES: Final = {4: {8: 0, 13: 14, 15: 16, 17: 18}, 6: {128: 129, 139: 140}}
_ERRORS: Final = {4: (3, 3, 11, 4, 5, 12), 6: (1, 1, 2, 3, 4, 100, 0, 127)}
#: Protocols without a tracker of their own; none of them is an extension header of IPv6.
_OTHERS: Final = (89, 94, 97, 253)
Maker = Callable[[Random, int], list[Segment]]


def _udp(chance: Random, version: int) -> list[Segment]:
    """Datagrams to and fro on up to three flows, one in eight damaged."""
    del version
    segments = []
    for _ in range(chance.randrange(2, 8)):
        segment: Segment = {"dir": chance.choice("AAB"), "proto": "udp", "flow": chance.randrange(3)}
        segment["len"] = chance.choice((0, 1, 8, 100, 1200))
        if chance.random() < 0.12:
            segment |= chance.choice(_DAMAGE)
        segments.append(segment)
    if chance.random() < 0.1:
        segments = [
            {"dir": each["dir"], "proto": "udplite", "flow": each["flow"], "len": each["len"]}
            for each in segments
        ]
    return segments


_DAMAGE: Final[tuple[dict[str, Any], ...]] = (
    {"badcsum": 1}, {"nosum": 1}, {"ulen": 7}, {"ulen": 0}, {"ulen": 9000}, {"trunc": 7}, {"trunc": 4},
    {"trunc": 3}, {"trunc": 0}, {"badcsum": 1, "nosum": 1},
)  # fmt: skip


def _icmp(chance: Random, version: int) -> list[Segment]:
    """Queries, answers, and messages of any type."""
    segments = []
    kinds = [kind for pair in _QUERIES[version].items() for kind in pair]
    first = chance.choice(list(_QUERIES[version]))
    for _ in range(chance.randrange(2, 7)):
        kind = chance.choice((first, _QUERIES[version][first], chance.choice(kinds), chance.randrange(256)))
        segment: Segment = {"dir": chance.choice("AB"), "proto": "icmp", "type": kind}
        segment["flow"] = chance.choice((0, 0, 0, 1))
        segment["len"] = chance.choice((0, 8, 56))
        if chance.random() < 0.1:
            segment["code"] = chance.choice((1, 5))
        if chance.random() < 0.1:
            segment |= chance.choice(({"badcsum": 1}, {"trunc": 7, "len": 0}, {"trunc": 4, "len": 0}))
        segments.append(segment)
    return segments


def _opening(chance: Random, version: int) -> list[Segment]:
    """A flow of some protocol, answered or not."""
    side = chance.choice("AAB")
    proto = chance.choice(("tcp", "udp", "icmp", chance.choice(_OTHERS)))
    answered = chance.random() < 0.6
    if proto == "tcp":
        segments = [_syn(side)]
        if answered:
            segments.append({**_syn(_OTHER[side]), "flags": "SA", "ack": 1001})
        return segments
    segment: Segment = {"dir": side, "proto": proto, "len": 8}
    back = {**segment, "dir": _OTHER[side]}
    if proto == "icmp":
        query = chance.choice(list(_QUERIES[version]))
        segment["type"], back["type"] = query, _QUERIES[version][query]
    return [segment, back] if answered else [segment]


def _syn(side: str) -> Segment:
    return {"dir": side, "flags": "S", "seq": 1000, "ack": 0, "win": 8192, "len": 0}


def _error(chance: Random, version: int) -> list[Segment]:
    """Errors about a flow: by its ends and by routers, right and wrong."""
    segments = _opening(chance, version)
    flow = list(segments)
    for _ in range(chance.randrange(1, 5)):
        about = dict(chance.choice(flow))
        if chance.random() < 0.15:
            about["flow"] = chance.randrange(FLOWS)
        if chance.random() < 0.1:
            about["trunc"] = chance.choice((3, 4, 8))
            about = about if isinstance(about.get("proto", "tcp"), str) else dict(chance.choice(flow))
        if chance.random() < 0.08:
            about = {"dir": about["dir"], "proto": "icmp", "type": 3, "len": 8}
        side = _OTHER[about["dir"]] if chance.random() < 0.85 else about["dir"]
        error: Segment = {
            "dir": side,
            "proto": "icmp",
            "type": chance.choice(_ERRORS[version]),
            "quote": about,
        }
        error["code"] = chance.choice((0, 1, 3, 4))
        for name, share in (("hop", 0.4), ("astray", 0.15), ("badcsum", 0.06)):
            if chance.random() < share:
                error[name] = 1
        segments.append(error)
        if chance.random() < 0.4:
            segments.append(dict(chance.choice(flow)))
    return segments


def _generic(chance: Random, version: int) -> list[Segment]:
    """A protocol without ports: all of it between two hosts is one connection."""
    del version
    protocols = chance.sample(_OTHERS, 2)
    return [
        {"dir": chance.choice("AB"), "proto": chance.choice(protocols), "len": chance.choice((1, 8, 100))}
        for _ in range(chance.randrange(2, 6))
    ]


def _zones(chance: Random, version: int) -> list[Segment]:
    """Flows of which each side's packets are tracked in a zone, for both directions or for one."""
    choices: tuple[dict[str, Any], ...] = (
        {}, {"zone": 1}, {"zone": 2}, {"zone": 1, "half": "original"}, {"zone": 1, "half": "reply"},
    )  # fmt: skip
    of = {"A": chance.choice(choices[1:]), "B": chance.choice(choices)}
    segments = _opening(chance, version) + _opening(chance, version) + _error(chance, version)
    return [
        {**each, **(chance.choice(choices) if chance.random() < 0.15 else of[each["dir"]])}
        for each in segments
    ]


def _untracked(chance: Random, version: int) -> list[Segment]:
    """Flows of which some packets are taken out of tracking."""
    segments = _opening(chance, version) + _error(chance, version)
    side = chance.choice("AB")
    return [
        {**each, "notrack": 1} if chance.random() < 0.2 or each["dir"] == side else each for each in segments
    ]


def _expiring(chance: Random, version: int) -> list[Segment]:
    """A flow, a pause after which its time is over or nearly, and more of it."""
    del chance
    echo = min(_QUERIES[version])
    flows: list[Segment] = [
        {"dir": "A", "proto": "udp", "flow": 0, "len": 8},
        {"dir": "A", "proto": "icmp", "type": echo, "flow": 0, "len": 8},
        {"dir": "A", "proto": _OTHERS[0], "len": 8},
        {**_syn("A"), "flow": 1},
    ]
    answer = _QUERIES[version][echo]
    backs: list[Segment] = [
        {**flows[0], "dir": "B"}, {**flows[1], "dir": "B", "type": answer}, {**flows[2], "dir": "B"},
        {**_syn("B"), "flow": 1, "flags": "SA", "ack": 1001},
    ]  # fmt: skip
    return [*flows, {**backs[0], "wait": 1.6}, *backs[1:], *flows]


def _stream(chance: Random, version: int) -> list[Segment]:
    """UDP before and after the two seconds."""
    del version
    flow = chance.randrange(FLOWS)
    ask, answer = ({"dir": side, "proto": "udp", "flow": flow, "len": 8} for side in "AB")
    return [ask, answer, {**ask, "wait": 1.5}, {**answer, "wait": 0.9}, ask]


#: kind -> how often among them, what makes one, and whether NAT may stand in its way.
MIXED_KINDS: Final[Mapping[str, tuple[int, Maker, bool]]] = {
    "udp": (4, _udp, True),
    "icmp": (4, _icmp, True),
    "error": (5, _error, True),
    "generic": (1, _generic, True),
    "zones": (2, _zones, False),
    "untracked": (1, _untracked, False),
}
#: Those that wait; so few that all together take some seconds.
WAITING: Final[Mapping[str, Maker]] = {"expiry": _expiring, "stream": _stream}


def mixed_case(
    chance: Random, name: str, sysctls: tuple[tuple[str, int], ...], *, waiting: bool = False
) -> Case:
    """
    Make one sequence without results.

    :param sysctls: of the router; those that wait shorten times beside.
    :param waiting: True for one that waits.
    """
    version = chance.choice((4, 6))
    if waiting:
        kind = chance.choice(list(WAITING))
        times = dict(sysctls) | (_SHORT if kind == "expiry" else {})
        segments = WAITING[kind](chance, version)
        settings = tuple(sorted(times.items()))
        return Case(name, kind, False, settings, tuple(segments), (), version, mixed=True)  # noqa: FBT003 (nat)
    kinds = list(MIXED_KINDS)
    kind = chance.choices(kinds, [MIXED_KINDS[each][0] for each in kinds])[0]
    _, make, may_translate = MIXED_KINDS[kind]
    nat = may_translate and chance.random() < 0.4
    segments = make(chance, version)
    return Case(name, kind, nat, sysctls, tuple(segments), (), version, mixed=True)


#: Times that are over where a sequence waits, and one that is not.
_SHORT: Final = {
    "nf_conntrack_udp_timeout": 1,
    "nf_conntrack_icmp_timeout": 1,
    "nf_conntrack_icmpv6_timeout": 3,
    "nf_conntrack_generic_timeout": 1,
    "nf_conntrack_tcp_timeout_syn_sent": 1,
}
