"""
Random native nft tables that use the language in its breadth.

``netfilter_drawn_native`` draws what sites write every day; here stand maps, verdict maps, concatenations,
intervals, sets that rules change, raw payloads, bits, and translations out of maps. Every row names what it
draws; nft may refuse a ruleset, then another is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from bothways.conform.netfilter_case import Chain, Line
from bothways.conform.netfilter_drawn_matches import PORTS
from bothways.conform.netfilter_place import LEGS, PLACES, Place, mac_behind

__all__ = ["CONDITIONS", "drawn_ruleset"]

_IN: Final = ("prerouting", "input", "forward")
_OUT: Final = ("forward", "output", "postrouting")
_PRIORITIES: Final[Mapping[str, tuple[str, ...]]] = {
    "prerouting": (
        "raw - 10",
        "-290",
        "mangle - 10",
        "mangle + 5",
        "dstnat - 5",
        "dstnat + 10",
        "filter + 1",
    ),
    "input": ("mangle - 10", "filter - 10", "filter + 10", "security + 10"),
    "forward": ("mangle - 10", "filter - 10", "filter + 10", "security + 10"),
    "output": ("raw - 10", "-290", "mangle + 10", "filter + 10"),
    "postrouting": ("mangle - 10", "filter", "srcnat - 10", "srcnat + 10"),
}
#: Shares of what is drawn now and then.
_FEW, _SOME, _MANY = 0.1, 0.3, 0.4
_SHARE: Final = {"prerouting": 4, "input": 2, "forward": 4, "output": 1, "postrouting": 2}


@dataclass(frozen=True, slots=True)
class _Draw:
    """What a row draws from: *hook* is "" for a chain that is jumped to."""

    chance: Random
    place: Place
    hook: str
    users: tuple[str, ...] = ()

    @property
    def ip(self) -> str:
        """The family's name in rules."""
        return "ip" if self.place.version == 4 else "ip6"  # noqa: PLR2004 - IPv4

    def host(self) -> str:
        """An address of somebody."""
        return self.chance.choice((*self.place.stations, *self.place.remote, *self.place.own))

    def hosts(self, count: int) -> tuple[str, ...]:
        """Several addresses, none twice."""
        return tuple(self.chance.sample((*self.place.stations, *self.place.remote, *self.place.own), count))

    def port(self) -> int:
        """A port that packets have."""
        return self.chance.choice(PORTS)

    def ports(self, count: int) -> tuple[int, ...]:
        """Several, none twice."""
        return tuple(self.chance.sample(PORTS, count))

    def side(self) -> str:
        """Of an address."""
        return self.chance.choice(("saddr", "daddr"))

    def turned(self) -> str:
        """``!=``, or nothing."""
        return "!= " if self.chance.random() < _SOME else ""

    def verdict(self) -> str:
        """What a verdict map may say."""
        words = [
            "accept",
            "drop",
            "continue",
            "return",
            *(f"{v} {u}" for u in self.users for v in ("jump", "goto")),
        ]
        return self.chance.choice(words)


_Row = tuple[float, tuple[str, ...], Callable[[_Draw], str]]


def _set(*values: object) -> str:
    return "{ " + ", ".join(map(str, dict.fromkeys(values))) + " }"


def _pairs(keys: tuple[object, ...], value: Callable[[], object], *, rest: bool = False) -> str:
    pairs = [f"{key} : {value()}" for key in dict.fromkeys(keys)]
    return "{ " + ", ".join([*pairs, *([f"* : {value()}"] if rest else [])]) + " }"


def _bits(d: _Draw) -> str:
    mask = d.chance.choice(("255.255.0.255", "0.0.0.3", "255.0.0.1"))
    host = d.host()
    low = ".".join(str(int(a) & int(b)) for a, b in zip(host.split("."), mask.split("."), strict=True))
    return f"ip {d.side()} & {mask} {d.chance.choice(('==', '!='))} {low}"


def _raw_address(d: _Draw) -> str:
    offset = d.chance.choice((96, 128))
    number = sum(int(part) << 8 * (3 - at) for at, part in enumerate(d.host().split(".")))
    return f"@nh,{offset},32 {d.turned()}{number:#x}"


def _v4(row: Callable[[_Draw], str]) -> Callable[[_Draw], str]:
    """A row that is for IPv4; the other version gets a condition that its packets meet."""
    return lambda d: row(d) if d.place.version == 4 else "ip6 version 6"  # noqa: PLR2004 - IPv4


def _orders(d: _Draw) -> str:
    return f"{d.chance.choice(('tcp', 'udp'))} dport {d.chance.choice(('<', '>', '<=', '>='))} {d.port()}"


def _concat_vmap(d: _Draw) -> str:
    keys = tuple(f"{host} . {d.port()}" for host in d.hosts(3))
    return f"{d.ip} {d.side()} . tcp dport vmap {_pairs(keys, d.verdict)}"


def _interval_vmap(d: _Draw) -> str:
    return (
        f"th dport vmap {_pairs(('0-79', '80-443', '1000-9999'), d.verdict, rest=d.chance.random() < _SOME)}"
    )


def _networks(d: _Draw) -> str:
    first, second = d.chance.sample(d.place.networks[1:], 2)
    return f"{d.ip} {d.side()} . th dport {d.turned()}{{ {first} . 0-1023, {second} . {d.port()} }}"


#: kind -> (how often, hooks at which it may stand: empty for all, writer)
CONDITIONS: Final[Mapping[str, _Row]] = {
    "bits of an address": (2, (), _v4(_bits)),
    "raw address": (2, (), _v4(_raw_address)),
    "raw protocol": (1, (), _v4(lambda d: f"@nh,72,8 {d.turned()}{d.chance.choice((6, 17, 1))}")),
    "raw ports": (1, (), lambda d: f"meta l4proto tcp @th,0,32 & 0xffff == {d.port():#x}"),
    "orders": (2, (), _orders),
    "networks and ports": (2, (), _networks),
    "named networks": (2, (), lambda d: f"{d.ip} {d.side()} {d.turned()}@nets"),
    "named pairs": (2, (), lambda d: f"{d.ip} daddr . tcp dport {d.turned()}@pairs"),
    "seen": (2, (), lambda d: f"{d.ip} saddr {d.turned()}@seen"),
    "devices": (
        1,
        ("forward",),
        lambda d: f'iifname . oifname {d.turned()}{{ "nfa" . "nfb", "nfb" . "nfa" }}',
    ),
    "wild devices": (
        1,
        _IN,
        lambda d: f'iifname {d.turned()}{{ "lo", "{d.chance.choice(("nf*", "nfa*"))}" }}',
    ),
    "flags": (
        3,
        (),
        lambda d: d.chance.choice(
            (
                "tcp flags ! rst,fin",
                "tcp flags == syn",
                "tcp flags { syn, syn | ack }",
                "tcp flags != ack / syn,ack",
                "tcp flags syn,rst",
                "tcp flags & (syn | ack) != syn",
            )
        ),
    ),
    "state": (
        2,
        (),
        lambda d: d.chance.choice(
            (
                "ct state { new, untracked }",
                "ct state != new",
                "ct state ! invalid",
                "ct state != { established, related }",
                "ct state . meta mark { new . 0x0, new . 0x2, invalid . 0x1 }",
                "ct status ! dnat",
                "ct status snat,dnat",
            )
        ),
    ),
    "connection's ends": (
        2,
        (),
        lambda d: d.chance.choice(
            (
                f"ct original {d.ip} daddr . meta l4proto {{ {d.host()} . tcp, {d.host()} . udp }}",
                f"meta l4proto tcp ct original proto-dst {d.turned()}{d.port()}",
                f"meta l4proto {{ tcp, udp }} ct reply proto-src {d.port()}",
                f"ct reply {d.ip} saddr {d.turned()}{_set(*d.hosts(3))}",
                f"ct protocol {d.turned()}tcp",
            )
        ),
    ),
    "marks": (
        2,
        (),
        lambda d: d.chance.choice(
            (
                "meta mark & 0x6 >= 0x2",
                "meta mark 0x0-0x1",
                "meta mark { 0x1, 0x4-0x10 }",
                "ct mark and 0x3 != 0x1",
                "meta mark | 0x1 == 0x3",
                "meta mark 0x10/28",
            )
        ),
    ),
    "fib": (
        1,
        ("prerouting", "input", "forward"),
        lambda d: d.chance.choice(
            (
                "fib saddr . iif oif missing",
                "fib saddr . iif oif exists",
                "fib daddr type { local, broadcast }",
                "fib daddr . iif type != local",
                'fib saddr oifname "nfa"',
            )
        ),
    ),
    "frame": (
        1,
        _IN,
        lambda d: d.chance.choice(
            (
                f"ether saddr . {d.ip} saddr {{ {mac_behind(d.place.stations[0])} . {d.place.stations[0]} }}",
                f"ether type {d.turned()}{d.ip}",
                f"ether saddr {d.turned()}{_set(*(mac_behind(h) for h in d.place.stations[:3]))}",
            )
        ),
    ),
    "header": (
        1,
        (),
        lambda d: d.chance.choice(
            (
                f"{d.ip} dscp {{ cs0, af11, ef }}",
                f"{d.ip} {'ttl' if d.ip == 'ip' else 'hoplimit'} {{ 1, 2-64 }}",
                "meta l4proto . th dport { tcp . 22, udp . 53, tcp . 8080 }",
                "icmp type . icmp code { echo-request . 0 }" if d.ip == "ip" else "icmpv6 type != echo-reply",
                "th dport != { 22, 53, 80 }",
                "meta length { 40, 41-60 }",
            )
        ),
    ),
    "next hop": (0.5, ("forward", "postrouting"), lambda d: f"rt {d.ip} nexthop {d.turned()}{d.host()}"),
}

_ACTIONS: Final[Mapping[str, _Row]] = {
    "accept": (3, (), lambda _: "accept"),
    "drop": (3, (), lambda _: "drop"),
    "continue": (0.3, (), lambda _: "continue"),
    "return": (0.7, (), lambda _: "return"),
    "vmap of pairs": (2, (), _concat_vmap),
    "vmap of ranges": (2, (), _interval_vmap),
    "named vmap": (2, (), lambda d: f"{d.ip} {d.side()} vmap @fates"),
    "vmap of states": (
        1,
        (),
        lambda d: (
            f"ct state vmap {{ new : {d.verdict()}, established : {d.verdict()}, invalid : {d.verdict()} }}"
        ),
    ),
    "vmap of protocols": (
        1,
        (),
        lambda d: f"meta l4proto vmap {{ tcp : {d.verdict()}, udp : {d.verdict()} }}",
    ),
    "remember": (2, (), lambda d: f"{d.chance.choice(('add', 'update'))} @seen {{ {d.ip} {d.side()} }}"),
    "forget": (1, (), lambda d: f"delete @seen {{ {d.ip} {d.side()} }}"),
    "remember a mark": (1, (), lambda d: f"update @marks {{ {d.ip} saddr : meta mark }}"),
    "mark of a map": (2, (), lambda d: f"meta mark set {d.ip} saddr map @marks"),
    "mark of ports": (1, (), lambda _: "meta mark set tcp dport map { 22 : 0x1, 53-443 : 0x2, 8080 : 0x6 }"),
    "bits of marks": (
        2,
        (),
        lambda d: (
            "meta mark set "
            + d.chance.choice(
                (
                    "meta mark | 0x4",
                    "meta mark ^ 0x3",
                    "meta mark & 0x5",
                    "ct mark & 0x3",
                    "meta mark and 0x2 or 0x1",
                )
            )
        ),
    ),
    "connection's mark": (
        2,
        (),
        lambda d: "ct mark set " + d.chance.choice(("meta mark", "0x3", "ct mark | 0x1", "meta mark & 0x2")),
    ),
    "address of a map": (
        1.5,
        (),
        lambda d: f"{d.ip} daddr set {d.ip} daddr map {_pairs(d.hosts(2), d.host)}",
    ),
    "port of a map": (1, (), lambda d: f"tcp dport set tcp dport map {_pairs(d.ports(2), d.port)}"),
    "write": (
        1,
        (),
        lambda d: d.chance.choice(
            (
                f"{d.ip} saddr set {d.host()}",
                f"th dport set {d.port()}",
                f"{d.ip} dscp set af11",
                f"{d.ip} {'ttl' if d.ip == 'ip' else 'hoplimit'} set 7",
            )
        ),
    ),
    "notrack": (1, ("raw",), lambda _: "notrack"),
    "reject": (
        1.5,
        ("input", "forward", "output"),
        lambda d: d.chance.choice(
            (
                "reject",
                "meta l4proto tcp reject with tcp reset",
                f"reject with icmpx {d.chance.choice(('no-route', 'host-unreachable', 'admin-prohibited'))}",
            )
        ),
    ),
}
_TRANSLATIONS: Final[Mapping[str, tuple[Callable[[_Draw], str], ...]]] = {
    "prerouting": (
        lambda d: f"dnat {d.ip} to {d.ip} daddr map {_pairs(d.hosts(3), d.host)}",
        lambda d: (
            f"dnat {d.ip} to {d.ip} daddr . tcp dport map "
            + _pairs(tuple(f"{h} . {d.port()}" for h in d.hosts(3)), lambda: f"{d.host()} . {d.port()}")
        ),
        lambda d: f"meta l4proto tcp dnat {d.ip} to @targets_",
        lambda d: f"meta l4proto tcp redirect to :tcp dport map {_pairs(d.ports(2), d.port)}",
        lambda d: (
            f"dnat {d.ip} prefix to {d.ip} daddr map "
            + ("{ 10.91.1.0/24 : 10.91.2.0/24 }" if d.ip == "ip" else "{ fd91:1::/64 : fd91:2::/64 }")
        ),
        lambda d: f"{d.ip} daddr {d.host()} dnat {d.ip} to {d.host()}",
    ),
    "postrouting": (
        lambda d: f"snat {d.ip} to {d.ip} saddr map {_pairs(d.hosts(3), d.host)}",
        lambda d: f'oifname "{d.chance.choice(LEGS)}" masquerade',
        lambda d: (
            f"snat {d.ip} prefix to {d.ip} saddr map "
            + ("{ 10.91.1.0/24 : 10.91.9.0/24 }" if d.ip == "ip" else "{ fd91:1::/64 : fd91:9::/64 }")
        ),
    ),
}


def drawn_ruleset(chance: Random, version: int) -> tuple[list[Chain], list[Line]]:
    """Draw a native table with sets and maps for packets of one IP version."""
    place = PLACES[version]
    plain = _Draw(chance, place, "")
    table = f"{chance.choice((plain.ip, 'inet'))} broad"
    users = ("alpha", "beta", "gamma")[: chance.choice((1, 2, 3))]
    lines = [Line("nft", table, "", text) for text in _named(plain)]
    chains = [Chain("nft", table, user, "") for user in reversed(users)]
    for number in range(chance.choice((1, 2, 2, 3))):
        (hook,) = chance.choices(list(_SHARE), list(_SHARE.values()))
        priority = chance.choice(_PRIORITIES[hook])
        policy = "drop" if chance.random() < _FEW else "accept"
        kind = "route" if hook == "output" and chance.random() < _MANY else "filter"
        name = f"{hook}{number}"
        chains.append(
            Chain("nft", table, name, f"type {kind} hook {hook} priority {priority}; policy {policy};")
        )
        draw = _Draw(chance, place, hook, users)
        early = priority in ("raw - 10", "-290")
        lines += [_rule(draw, table, name, early=early) for _ in range(chance.randint(1, 5))]
    for at, user in enumerate(users):
        draw = _Draw(chance, place, "", users[at + 1 :])
        lines += [_rule(draw, table, user, early=False) for _ in range(chance.choice((1, 2)))]
    for hook in _TRANSLATIONS:
        if chance.random() < _SOME:
            name = f"nat_{hook}"
            priority = "dstnat" if hook == "prerouting" else "srcnat"
            chains.append(
                Chain("nft", table, name, f"type nat hook {hook} priority {priority}; policy accept;")
            )
            text = chance.choice(_TRANSLATIONS[hook])(_Draw(chance, place, hook))
            lines.append(Line("nft", table, name, text.replace("@targets_", plain.host()), ("translate",)))
    return chains, lines


def _named(d: _Draw) -> list[str]:
    """Sets and maps that rules may name; a map leads to no chain, as that would have to stand before it."""
    kind = "ipv4_addr" if d.ip == "ip" else "ipv6_addr"
    networks = d.place.networks[1:]
    some = _set(*d.chance.sample(networks, 2))
    pairs = f"{{ {d.host()} . 0-1023, {networks[0]} . {d.port()} }}"
    fates = _pairs(networks[:2], lambda: d.chance.choice(("accept", "drop", "return", "continue")))
    return [
        f"set nets {{ type {kind}; flags interval; auto-merge; elements = {some}; }}",
        f"set pairs {{ type {kind} . inet_service; flags interval; elements = {pairs}; }}",
        f"set seen {{ type {kind}; size 1000; flags dynamic,timeout; timeout 1h; }}",
        f"map marks {{ type {kind} : mark; size 1000; flags dynamic; elements = {{ {d.host()} : 0x2 }}; }}",
        f"map fates {{ type {kind} : verdict; flags interval; elements = {fates}; }}",
    ]


def _rule(d: _Draw, table: str, chain: str, *, early: bool) -> Line:
    conditions = _fitting(CONDITIONS, d.hook, early=early)
    count = d.chance.choice((0, 1, 1, 2))
    kinds = d.chance.sample(sorted(conditions), min(count, len(conditions)))
    words = [conditions[name][2](d) for name in kinds]
    if d.users and d.chance.random() < _SOME:
        verb = d.chance.choice(("jump", "goto"))
        return Line("nft", table, chain, " ".join([*words, verb, d.chance.choice(d.users)]), (*kinds, verb))
    actions = _fitting(_ACTIONS, d.hook, early=early)
    (name,) = d.chance.choices(list(actions), [row[0] for row in actions.values()])
    return Line("nft", table, chain, " ".join([*words, actions[name][2](d)]), (*kinds, name))


def _fitting(rows: Mapping[str, _Row], hook: str, *, early: bool) -> dict[str, _Row]:
    return {
        name: row
        for name, row in rows.items()
        if not row[1] or (hook and hook in row[1]) or (early and "raw" in row[1])
    }
