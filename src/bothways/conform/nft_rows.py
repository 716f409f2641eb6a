"""
What random native nft rules are drawn from: conditions, actions and translations, row by row.

``netfilter_drawn_native`` draws what sites write every day; here stand maps, verdict maps, concatenations,
intervals, sets that rules change, raw payloads, bits, and translations out of maps. Every row names what it
draws; nft may refuse a ruleset, then another is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from bothways.conform.netfilter_drawn_matches import PORTS
from bothways.conform.netfilter_place import LEGS, Place, mac_behind
from bothways.conform.nft_field_rows import READ, READ_BEHIND, WRITTEN, WRITTEN_EARLY

__all__ = ["ACTIONS", "CONDITIONS", "TRANSLATIONS", "Draw", "Row", "written_pairs", "written_set"]

_IN: Final = ("prerouting", "input", "forward")
_OUT: Final = ("forward", "output", "postrouting")
_KINDS: Final = (
    "unicast", "local", "broadcast", "multicast", "anycast", "blackhole", "unreachable", "prohibit", "unspec",
)  # fmt: skip
#: Shares of what is drawn now and then.
_FEW, _SOME, _MANY = 0.1, 0.3, 0.4


@dataclass(frozen=True, slots=True)
class Draw:
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


Row = tuple[float, tuple[str, ...], Callable[[Draw], str]]


def written_set(*values: object) -> str:
    """Write an anonymous set."""
    return "{ " + ", ".join(map(str, dict.fromkeys(values))) + " }"


def written_pairs(keys: tuple[object, ...], value: Callable[[], object], *, rest: bool = False) -> str:
    """Write the pairs of an anonymous map; *rest* adds one for whatever is left."""
    pairs = [f"{key} : {value()}" for key in dict.fromkeys(keys)]
    return "{ " + ", ".join([*pairs, *([f"* : {value()}"] if rest else [])]) + " }"


def _bits(d: Draw) -> str:
    mask = d.chance.choice(("255.255.0.255", "0.0.0.3", "255.0.0.1"))
    host = d.host()
    low = ".".join(str(int(a) & int(b)) for a, b in zip(host.split("."), mask.split("."), strict=True))
    return f"ip {d.side()} & {mask} {d.chance.choice(('==', '!='))} {low}"


def _raw_address(d: Draw) -> str:
    offset = d.chance.choice((96, 128))
    number = sum(int(part) << 8 * (3 - at) for at, part in enumerate(d.host().split(".")))
    return f"@nh,{offset},32 {d.turned()}{number:#x}"


def _v4(row: Callable[[Draw], str]) -> Callable[[Draw], str]:
    """A row that is for IPv4; the other version gets a condition that its packets meet."""
    return lambda d: row(d) if d.place.version == 4 else "ip6 version 6"  # noqa: PLR2004 - IPv4


def _guard(d: Draw) -> str:
    """As people write it; without it, a rule takes the checksum of ICMP for a port, and nobody knows that."""
    return "" if d.chance.random() < _FEW else "meta l4proto { tcp, udp } "


def _orders(d: Draw) -> str:
    return f"{d.chance.choice(('tcp', 'udp'))} dport {d.chance.choice(('<', '>', '<=', '>='))} {d.port()}"


def _concat_vmap(d: Draw) -> str:
    keys = tuple(f"{host} . {d.port()}" for host in d.hosts(3))
    return f"{d.ip} {d.side()} . tcp dport vmap {written_pairs(keys, d.verdict)}"


def _interval_vmap(d: Draw) -> str:
    ports = ("0-79", "80-443", "1000-9999")
    return f"{_guard(d)}th dport vmap " + written_pairs(ports, d.verdict, rest=d.chance.random() < _SOME)


def _networks(d: Draw) -> str:
    first, second = d.chance.sample(d.place.networks[1:], 2)
    return (
        f"{_guard(d)}{d.ip} {d.side()} . th dport {d.turned()}{{ {first} . 0-1023, {second} . {d.port()} }}"
    )


def _negated(d: Draw, text: str) -> str:
    return text.replace("{!}", d.turned()).replace("{{", "{").replace("}}", "}")


#: kind -> (how often, hooks at which it may stand: empty for all, writer)
CONDITIONS: Final[Mapping[str, Row]] = {
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
                f"ct reply {d.ip} saddr {d.turned()}{written_set(*d.hosts(3))}",
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
                "fib saddr . mark oif exists",
                "fib saddr . mark . iif oif missing",
                f'fib daddr oifname {d.turned()}"{d.chance.choice(LEGS)}"',
                f'fib saddr . iif oifname {d.turned()}"{d.chance.choice(LEGS)}"',
                f"fib {d.side()} type {d.turned()}{d.chance.choice(_KINDS)}",
                f"fib {d.side()} . iif type {d.turned()}{d.chance.choice(_KINDS)}",
            )
        ),
    ),
    "fib behind": (
        0.5,
        ("output", "postrouting", "forward"),
        lambda d: f"fib {d.side()} . oif type {d.turned()}{d.chance.choice(_KINDS)}",
    ),
    "frame": (
        1,
        _IN,
        lambda d: d.chance.choice(
            (
                f"ether saddr . {d.ip} saddr {{ {mac_behind(d.place.stations[0])} . {d.place.stations[0]} }}",
                f"ether type {d.turned()}{d.ip}",
                f"ether saddr {d.turned()}{written_set(*(mac_behind(h) for h in d.place.stations[:3]))}",
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
                f"{_guard(d)}th dport != {{ 22, 53, 80 }}",
                "meta length { 40, 41-60 }",
            )
        ),
    ),
    "seldom read": (3, (), lambda d: _negated(d, d.chance.choice(READ[d.place.version]))),
    "seldom read behind": (
        1,
        _OUT,
        lambda d: _negated(d, d.chance.choice(READ_BEHIND)),
    ),
    "next hop": (0.5, ("forward", "postrouting"), lambda d: f"rt {d.ip} nexthop {d.turned()}{d.host()}"),
}

ACTIONS: Final[Mapping[str, Row]] = {
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
    "vmap of chance": (
        0.7,
        (),
        lambda d: f"numgen random mod 2 vmap {{ 0 : {d.verdict()}, 1 : {d.verdict()} }}",
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
        lambda d: f"{d.ip} daddr set {d.ip} daddr map {written_pairs(d.hosts(2), d.host)}",
    ),
    "port of a map": (1, (), lambda d: f"tcp dport set tcp dport map {written_pairs(d.ports(2), d.port)}"),
    "write": (
        1,
        (),
        lambda d: d.chance.choice(
            (
                f"{d.ip} saddr set {d.host()}",
                # Not `th dport set`: behind a condition on TCP nft lists it as `tcp dport set`.
                f"udp dport set {d.port()}",
                f"{d.ip} dscp set af11",
                f"{d.ip} {'ttl' if d.ip == 'ip' else 'hoplimit'} set 7",
            )
        ),
    ),
    "seldom written": (1.5, (), lambda d: d.chance.choice(WRITTEN[d.place.version])),
    "written early": (2, ("raw",), lambda d: d.chance.choice(WRITTEN_EARLY)),
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
TRANSLATIONS: Final[Mapping[str, tuple[Callable[[Draw], str], ...]]] = {
    "prerouting": (
        lambda d: f"dnat {d.ip} to {d.ip} daddr map {written_pairs(d.hosts(3), d.host)}",
        lambda d: (
            f"dnat {d.ip} to {d.ip} daddr . tcp dport map "
            + written_pairs(
                tuple(f"{h} . {d.port()}" for h in d.hosts(3)), lambda: f"{d.host()} . {d.port()}"
            )
        ),
        lambda d: f"meta l4proto tcp dnat {d.ip} to @targets_",
        lambda d: f"dnat {d.ip} to numgen random mod 2 map {{ 0 : {d.host()}, 1 : {d.host()} }}",
        lambda d: f"meta l4proto tcp redirect to :tcp dport map {written_pairs(d.ports(2), d.port)}",
        lambda d: (
            f"dnat {d.ip} prefix to {d.ip} daddr map "
            + ("{ 10.91.1.0/24 : 10.91.2.0/24 }" if d.ip == "ip" else "{ fd91:1::/64 : fd91:2::/64 }")
        ),
        lambda d: f"{d.ip} daddr {d.host()} dnat {d.ip} to {d.host()}",
    ),
    "postrouting": (
        lambda d: f"snat {d.ip} to {d.ip} saddr map {written_pairs(d.hosts(3), d.host)}",
        lambda d: f'oifname "{d.chance.choice(LEGS)}" masquerade',
        lambda d: (
            f"snat {d.ip} prefix to {d.ip} saddr map "
            + ("{ 10.91.1.0/24 : 10.91.9.0/24 }" if d.ip == "ip" else "{ fd91:1::/64 : fd91:9::/64 }")
        ),
    ),
}
