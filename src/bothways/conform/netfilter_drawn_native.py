"""Random native nft tables: one row per statement, chains between and beside those of iptables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Final

from bothways.conform.netfilter_case import Chain, Line
from bothways.conform.netfilter_drawn_matches import PORTS
from bothways.conform.netfilter_place import LEGS, PLACES, Place, mac_behind

__all__ = ["CONDITIONS", "drawn_native"]

#: hook -> priorities of filter chains, none that another stage has
_PRIORITIES: Final[Mapping[str, tuple[int, ...]]] = {
    "prerouting": (-310, -290, -210, -190, -160, -140, -110, -90, 10),
    "input": (-160, -10, 10, 60, 90, 110),
    "forward": (-160, -10, 10, 60),
    "output": (-310, -290, -190, -140, -110, -90, 10, 60),
    "postrouting": (-160, -10, 10, 90, 110),
}
_SHARE: Final = {"prerouting": 3, "input": 2, "forward": 4, "output": 1, "postrouting": 2}
_NAT: Final[Mapping[str, tuple[int, ...]]] = {
    "prerouting": (-100, -110, -90), "input": (100, 90), "output": (-100, -105),
    "postrouting": (100, 90, 110),
}  # fmt: skip
_OUTGOING: Final = ("forward", "output", "postrouting")
_INCOMING: Final = ("prerouting", "input", "forward", "postrouting")


def _addresses(chance: Random, place: Place) -> str:
    return chance.choice((*place.networks, *place.stations, *place.remote, *place.own))


def _set(*values: str) -> str:
    return "{ " + ", ".join(dict.fromkeys(values)) + " }"


def _ip(place: Place) -> str:
    return "ip" if place.version == 4 else "ip6"


def _address(chance: Random, place: Place, field: str) -> str:
    kind = chance.random()
    if kind < 0.5:
        wanted = _addresses(chance, place)
    elif kind < 0.75:
        wanted = _set(*(chance.choice((*place.stations, *place.remote)) for _ in range(3)))
    else:
        hosts = place.hosts[chance.choice(LEGS)]
        wanted = f"{hosts[0]}-{hosts[1]}"
    return f"{_ip(place)} {field} {_not(chance)}{wanted}"


def _guard(chance: Random) -> str:
    """As people write it; without it, a rule takes the checksum of ICMP for a port, and nobody knows that."""
    return "" if chance.random() < 0.1 else "meta l4proto { tcp, udp } "


def _not(chance: Random) -> str:
    return "!= " if chance.random() < 0.25 else ""


def _port(chance: Random, protocol: str) -> str:
    low = chance.choice(PORTS)
    wanted = chance.choice(
        (str(low), str(low), f"{low}-{low + 400}", _set(*map(str, chance.sample(PORTS, 2))))
    )
    return f"{protocol} {chance.choice(('dport', 'dport', 'sport'))} {_not(chance)}{wanted}"


def _states(chance: Random) -> str:
    names = ("new", "established", "related", "invalid", "untracked")
    return ",".join(chance.sample(names, chance.choice((1, 1, 2, 3))))


#: Writes one statement.
_Writer = Callable[[Random, Place], str]
_Row = tuple[float, tuple[str, ...], _Writer]

#: kind -> (how often, hooks at which it may stand: empty for all, writer)
CONDITIONS: Final[Mapping[str, _Row]] = {
    "saddr": (3, (), lambda c, p: _address(c, p, "saddr")),
    "daddr": (3, (), lambda c, p: _address(c, p, "daddr")),
    "iifname": (2, _INCOMING, lambda c, _: f'iifname {_not(c)}"{c.choice((*LEGS, "nf*", "lo"))}"'),
    "oifname": (2, _OUTGOING, lambda c, _: f'oifname {_not(c)}"{c.choice((*LEGS, "lo"))}"'),
    "iif": (1, _INCOMING, lambda c, _: f"iif {_not(c)}{c.choice(('lo', *LEGS))}"),
    "l4proto": (2, (), lambda c, _: f"meta l4proto {_not(c)}{c.choice(('tcp', 'udp', _set('tcp', 'udp')))}"),
    "nfproto": (0.5, (), lambda c, _: f"meta nfproto {c.choice(('ipv4', 'ipv6'))}"),
    "tcp port": (3, (), lambda c, _: _port(c, "tcp")),
    "udp port": (2, (), lambda c, _: _port(c, "udp")),
    "th dport": (1, (), lambda c, _: f"{_guard(c)}th dport {_not(c)}{c.choice(PORTS)}"),
    "tcp flags": (
        1.5,
        (),
        lambda c, _: c.choice(
            (
                "tcp flags & (syn|ack|rst|fin) == syn",
                "tcp flags syn",
                "tcp flags & rst != 0",
                "tcp flags != syn,ack",
            )
        ),
    ),
    "icmp": (
        1,
        (),
        lambda c, _: (
            f"icmp type {_not(c)}{c.choice(('echo-request', 'echo-reply', 'destination-unreachable'))}"
        ),
    ),
    "icmpv6": (0.7, (), lambda c, _: f"icmpv6 type {_not(c)}{c.choice(('echo-request', 'echo-reply'))}"),
    "ct state": (4, (), lambda c, _: f"ct state {_not(c)}{_states(c)}"),
    "ct status": (
        1,
        (),
        lambda c, _: f"ct status {c.choice(('snat', 'dnat', 'assured', 'seen-reply', 'confirmed'))}",
    ),
    "ct direction": (1, (), lambda c, _: f"ct direction {c.choice(('original', 'reply'))}"),
    "ct mark": (1, (), lambda c, _: f"ct mark {_not(c)}{c.choice(('0x1', '0x2', '0x0'))}"),
    "ct original": (
        0.7,
        (),
        lambda c, p: f"ct original {_ip(p)} {c.choice(('saddr', 'daddr'))} {_not(c)}{_addresses(c, p)}",
    ),
    "mark": (
        1.5,
        (),
        lambda c, _: f"meta mark {_not(c)}{c.choice(('0x1', '0x2', '0x0', _set('0x1', '0x2')))}",
    ),
    "mark and": (0.5, (), lambda c, _: f"meta mark & 0x3 {c.choice(('==', '!='))} 0x1"),
    "ttl": (
        0.7,
        (),
        lambda c, p: (
            f"{'ip ttl' if p.version == 4 else 'ip6 hoplimit'} "
            f"{c.choice(('1', '< 3', '64', '!= 64', '> 63'))}"
        ),
    ),
    "dscp": (0.7, (), lambda c, p: f"{_ip(p)} dscp {_not(c)}{c.choice(('0x0a', '0x00', 'ef'))}"),
    "length": (0.7, (), lambda c, _: f"meta length {c.choice(('40', '44', '< 60', '28-60', '> 100'))}"),
    "pkttype": (
        0.5,
        ("prerouting", "input", "forward"),
        lambda c, _: f"meta pkttype {c.choice(('host', 'broadcast', 'multicast'))}",
    ),
    "ether saddr": (
        0.7,
        ("prerouting", "input", "forward"),
        lambda c, p: f"ether saddr {_not(c)}{mac_behind(c.choice(p.stations))}",
    ),
    "fib type": (
        1,
        ("prerouting", "input", "output", "forward"),
        lambda c, _: (
            f"fib {c.choice(('daddr', 'saddr'))} type {_not(c)}{c.choice(('local', 'unicast', 'broadcast'))}"
        ),
    ),
    "fib oif": (
        0.7,
        ("prerouting",),
        lambda c, _: c.choice(("fib saddr . iif oif 0", "fib saddr . iif oif != 0", "fib saddr oif exists")),
    ),
    "concatenation": (
        1,
        (),
        lambda c, p: (
            f"{_ip(p)} daddr . tcp dport "
            + _set(*(f"{c.choice((*p.stations, *p.own))} . {c.choice(PORTS)}" for _ in range(3)))
        ),
    ),
    "named set": (1, (), lambda c, p: f"{_ip(p)} {c.choice(('saddr', 'daddr'))} {_not(c)}@hosts{p.version}"),
    "interface set": (0.5, _INCOMING, lambda c, _: f"iifname {_not(c)}{_set(*c.sample(LEGS, 2))}"),
}


def _reject(chance: Random, place: Place) -> str:
    kind = "icmp" if place.version == 4 else "icmpv6"
    codes = {
        "icmp": ("port-unreachable", "admin-prohibited", "host-unreachable", "net-unreachable"),
        "icmpv6": ("port-unreachable", "admin-prohibited", "no-route", "addr-unreachable"),
    }[kind]
    return chance.choice(
        (
            "reject",
            f"reject with {kind} type {chance.choice(codes)}",
            "meta l4proto tcp reject with tcp reset",
        )
    )


def _payload(chance: Random, place: Place) -> str:
    ttl = "ttl" if place.version == 4 else "hoplimit"
    return chance.choice(
        (
            f"{_ip(place)} saddr set {chance.choice((*place.stations, *place.own))}",
            f"{_ip(place)} daddr set {chance.choice((*place.stations, *place.own))}",
            f"tcp dport set {chance.choice(PORTS)}",
            f"udp dport set {chance.choice(PORTS)}",
            f"{_ip(place)} dscp set {chance.choice(('0x0a', 'cs1'))}",
            f"{_ip(place)} {ttl} set 9",
        )
    )


#: kind -> as above; ``raw``: before the tracker
_ACTIONS: Final[Mapping[str, _Row]] = {
    "accept": (4, (), lambda _, __: "accept"),
    "drop": (3, (), lambda _, __: "drop"),
    "return": (1, (), lambda _, __: "return"),
    "counter": (0.7, (), lambda _, __: "counter"),
    "log": (0.3, (), lambda _, __: 'log prefix "seen: " group 7'),
    "reject": (3, ("input", "forward", "output"), _reject),
    "mark set": (
        3,
        (),
        lambda c, _: f"meta mark set {c.choice(('0x1', '0x2', '0x10', 'meta mark | 0x2', 'ct mark'))}",
    ),
    "ct mark set": (2, (), lambda c, _: f"ct mark set {c.choice(('0x1', 'meta mark', '0x2'))}"),
    "payload set": (1.5, (), _payload),
    "notrack": (2, ("raw",), lambda _, __: "notrack"),
    "vmap port": (
        1,
        (),
        lambda c, _: (
            "tcp dport vmap " + _set(f"{c.choice(PORTS[:3])} : drop", f"{c.choice(PORTS[3:])} : accept")
        ),
    ),
    "vmap state": (1, (), lambda _, __: "ct state vmap { established : accept, invalid : drop }"),
    "vmap iif": (
        0.7,
        ("prerouting", "input", "forward"),
        lambda c, _: (
            "iifname vmap "
            + _set(
                f'"{LEGS[0]}" : {c.choice(("drop", "accept"))}',
                f'"{LEGS[1]}" : {c.choice(("accept", "return"))}',
            )
        ),
    ),
    "map mark": (0.7, (), lambda _, __: "meta mark set tcp dport map { 22 : 0x1, 80 : 0x2, 443 : 0x10 }"),
    "limit": (0.1, (), lambda _, __: "limit rate 1/second accept"),
}
_NAT_ACTIONS: Final = {
    "prerouting": ("dnat", "dnat", "dnat port", "redirect", "dnat map"),
    "output": ("dnat", "redirect"),
    "input": ("snat",),
    "postrouting": ("snat", "masquerade", "masquerade", "snat"),
}


def drawn_native(chance: Random, version: int) -> tuple[list[Chain], list[Line]]:
    """Draw one or two native tables for packets of one IP version, in its own family or ``inet``."""
    place = PLACES[version]
    chains: list[Chain] = []
    lines: list[Line] = []
    for number in range(chance.choice((1, 1, 2))):
        family = chance.choice((_ip(place), _ip(place), "inet"))
        table = f"{family} own{version}{number}"
        hosts = _set(*chance.sample((*place.stations, *place.remote), 3))
        kind = "ipv4_addr" if version == 4 else "ipv6_addr"
        lines.append(Line("nft", table, "", f"set hosts{version} {{ type {kind}; elements = {hosts}; }}"))
        users = ("alpha", "beta")[: chance.choice((0, 1, 1, 2))]
        chains += [Chain("nft", table, user, "") for user in users]
        taken: set[tuple[str, int]] = set()
        for _ in range(chance.choice((1, 2, 3))):
            (hook,) = chance.choices(list(_SHARE), list(_SHARE.values()))
            priority = chance.choice(_PRIORITIES[hook])
            if (hook, priority) in taken:
                continue
            taken.add((hook, priority))
            policy = "drop" if chance.random() < 0.12 else "accept"
            kind = "route" if hook == "output" and chance.random() < 0.4 else "filter"
            head = f"type {kind} hook {hook} priority {priority + number}; policy {policy};"
            name = f"{hook}{len(taken)}"
            chains.append(Chain("nft", table, name, head))
            lines += [
                _rule(chance, table, name, hook, priority, place, users) for _ in range(chance.randint(1, 5))
            ]
        lines += [_rule(chance, table, user, "", 0, place, users[n + 1 :]) for n, user in enumerate(users)]
        lines += [_rule(chance, table, user, "", 0, place, ()) for user in users]
        if chance.random() < 0.35:
            _add_nat(chance, table, number, place, chains, lines)
    return chains, lines


def _add_nat(
    chance: Random, table: str, number: int, place: Place, chains: list[Chain], lines: list[Line]
) -> None:
    for hook in chance.sample(list(_NAT), chance.choice((1, 2))):
        name = f"nat_{hook}"
        head = f"type nat hook {hook} priority {chance.choice(_NAT[hook]) + number}; policy accept;"
        chains.append(Chain("nft", table, name, head))
        for _ in range(chance.choice((1, 1, 2))):
            kind = chance.choice(_NAT_ACTIONS[hook])
            words, kinds = _conditions(
                chance, hook, place, chance.choice((0, 1, 1)), table=table, action=kind
            )
            family = f" {_ip(place)}" if table.startswith("inet") else ""
            if table.startswith("inet"):
                words.insert(0, f"meta nfproto ipv{place.version}")
            lines.append(
                Line(
                    "nft",
                    table,
                    name,
                    " ".join([*words, _translation(chance, kind, family, place)]),
                    (*kinds, kind),
                )
            )


def _translation(chance: Random, kind: str, family: str, place: Place) -> str:
    there = chance.choice((*place.stations, *place.own))
    shown = f"[{there}]" if place.version == 6 else there
    texts = {
        "dnat": f"dnat{family} to {there}",
        "dnat port": f"meta l4proto tcp dnat{family} to {shown}:{chance.choice(PORTS)}",
        "dnat map": f"dnat{family} to tcp dport map {{ 80 : {place.stations[0]}, "
        f"443 : {place.stations[-1]} }}",
        "redirect": chance.choice(("redirect", f"meta l4proto udp redirect to :{chance.choice((53, 5000))}")),
        "snat": f"snat{family} to {chance.choice((*place.own, *place.stations))}",
        "masquerade": chance.choice(("masquerade", "masquerade random", "masquerade persistent")),
    }
    return texts[kind]


def _rule(
    chance: Random, table: str, chain: str, hook: str, priority: int, place: Place, users: tuple[str, ...]
) -> Line:
    raw = hook in ("prerouting", "output") and priority < -200
    fitting = {
        name: row
        for name, row in _ACTIONS.items()
        if not row[1] or (hook and hook in row[1]) or (raw and "raw" in row[1])
    }
    (name,) = chance.choices(list(fitting), [row[0] for row in fitting.values()])
    if users and chance.random() < 0.35:
        verb = chance.choice(("jump", "jump", "goto"))
        words, kinds = _conditions(chance, hook, place, chance.choice((1, 1, 2, 2)), table=table)
        return Line("nft", table, chain, " ".join([*words, verb, chance.choice(users)]), (*kinds, verb))
    words, kinds = _conditions(chance, hook, place, chance.choice((1, 1, 2, 2)), table=table, action=name)
    return Line("nft", table, chain, " ".join([*words, fitting[name][2](chance, place)]), (*kinds, name))


#: What a condition or action says of the protocol; two of them in one rule contradict each other.
_PROTOCOLS: Final[Mapping[str, str]] = {
    "l4proto": "any", "th dport": "any", "tcp port": "tcp", "udp port": "udp", "tcp flags": "tcp",
    "icmp": "icmp", "icmpv6": "icmpv6", "concatenation": "tcp", "vmap port": "tcp", "map mark": "tcp",
    "dnat port": "tcp",
    "dnat map": "tcp", "redirect": "udp", "payload set": "any", "reject": "any",
}  # fmt: skip


def _conditions(
    chance: Random, hook: str, place: Place, count: int, *, table: str = "", action: str = ""
) -> tuple[list[str], tuple[str, ...]]:
    words: list[str] = []
    kinds: list[str] = []
    protocol = _PROTOCOLS.get(action, "")
    for _ in range(count):
        fitting = {
            name: row
            for name, row in CONDITIONS.items()
            if (not row[1] or hook in row[1])
            and name not in kinds
            and (not protocol or _PROTOCOLS.get(name, "") in ("", protocol))
            and (name != "nfproto" or table.startswith("inet"))
        }
        (name,) = chance.choices(list(fitting), [row[0] for row in fitting.values()])
        words.append(fitting[name][2](chance, place))
        kinds.append(name)
        protocol = protocol or _PROTOCOLS.get(name, "")
    return words, tuple(kinds)
