"""Random routes, policy rules and sysctls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_network
from random import Random
from typing import Final

from bothways.conform.netfilter_place import LEGS, PLACES, Place

__all__ = ["SYSCTLS", "drawn_sysctls", "drawn_ways"]

#: Priorities of rules begin here; the kernel's own are 0, 32766 and 32767.
_FIRST: Final = 1000
_TABLES: Final = ("100", "101")


def drawn_ways(chance: Random, version: int) -> list[str]:
    """Draw lines for ``ip -batch``: mostly a default route, now and then more of everything."""
    place = PLACES[version]
    front = "-6 " if version == 6 else ""
    lines = []
    if chance.random() < 0.85:
        leg = chance.choice(("nfb", "nfb", "nfc"))
        lines.append(f"route add default via {place.gateway(leg)} dev {leg}")
    lines += [_route(chance, place, "main", number) for number in range(chance.choice((0, 0, 1, 2, 3)))]
    if chance.random() < 0.35:
        for number, table in enumerate(_TABLES[: chance.choice((1, 2))]):
            lines.append(_route(chance, place, table, number + 10))
            if chance.random() < 0.7:
                leg = chance.choice(LEGS)
                lines.append(f"route add default via {place.gateway(leg)} dev {leg} table {table}")
        lines += [_policy(chance, place, number) for number in range(chance.choice((1, 1, 2, 3)))]
    return [front + line for line in dict.fromkeys(lines)]


def _route(chance: Random, place: Place, table: str, number: int) -> str:
    there = chance.choice((*place.networks, *place.remote, *place.stations))
    there = _network(there)
    words = f"route add {there}"
    kind = chance.choice(("via", "via", "via", "dev", "blackhole", "unreachable", "prohibit", "throw"))
    if kind == "throw" and table == "main":
        kind = "blackhole"
    where = "" if table == "main" else f" table {table}"
    metric = f" metric {50 + number}"
    if kind == "via":
        leg = chance.choice(LEGS)
        return f"{words} via {place.gateway(leg)} dev {leg}{where}{metric}"
    if kind == "dev" and there in place.remote:  # whom every leg has a MAC for
        return f"{words} dev {chance.choice(LEGS)}{where}{metric}"
    return f"route add {'blackhole' if kind == 'dev' else kind} {there}{where}{metric}"


def _network(text: str) -> str:
    """A prefix without bits behind its length, as ``ip route`` wants it."""
    return str(ip_network(text, strict=False)) if "/" in text else text


def _policy(chance: Random, place: Place, number: int) -> str:
    version = place.version
    selectors: Mapping[str, Callable[[], str]] = {
        "from": lambda: _network(chance.choice((*place.networks, *place.stations))),
        "to": lambda: _network(chance.choice((*place.networks, *place.remote))),
        "iif": lambda: chance.choice((*LEGS, "lo")),
        "fwmark": lambda: chance.choice(("0x1", "0x2", "0x1/0x3", "0x10/0xf0")),
        "tos": lambda: "0x10",
        "ipproto": lambda: chance.choice(("tcp", "udp", "icmp" if version == 4 else "ipv6-icmp")),
        "ipproto tcp dport": lambda: chance.choice(("22", "80-443", "8080")),
        "ipproto udp sport": lambda: chance.choice(("53", "40000-40010")),
        "oif": lambda: chance.choice(LEGS),
    }
    chosen = chance.sample(list(selectors), chance.choice((1, 1, 1, 2)))
    if len(chosen) > 1 and all("ipproto" in name for name in chosen):
        chosen = chosen[:1]
    text = " ".join(f"{name} {selectors[name]()}" for name in chosen)
    negated = "not " if chance.random() < 0.15 else ""
    action = chance.choice(
        (
            "lookup 100",
            "lookup 101",
            "lookup 100",
            "lookup main suppress_prefixlength 0",
            "prohibit",
            "blackhole",
            "unreachable",
        )
    )
    return f"rule add {negated}{text} priority {_FIRST + number * 10} {action}"


#: name -> (how often, values)
SYSCTLS: Final[Mapping[str, tuple[float, tuple[str, ...]]]] = {
    "net.ipv4.ip_forward": (0.05, ("0",)),
    "net.ipv4.conf.all.rp_filter": (0.3, ("1", "2")),
    "net.ipv4.conf.{}.rp_filter": (0.4, ("1", "2", "0")),
    "net.ipv4.conf.all.accept_local": (0.1, ("1",)),
    "net.ipv4.conf.{}.accept_local": (0.15, ("1",)),
    "net.ipv4.conf.{}.route_localnet": (0.15, ("1",)),
    "net.ipv4.conf.all.src_valid_mark": (0.15, ("1",)),
    "net.ipv4.conf.{}.forwarding": (0.1, ("0",)),
    "net.ipv4.fwmark_reflect": (0.15, ("1",)),
    "net.ipv6.fwmark_reflect": (0.15, ("1",)),
    "net.ipv6.conf.all.forwarding": (0.05, ("0",)),
    "net.ipv6.conf.{}.forwarding": (0.1, ("0",)),
    "net.netfilter.nf_conntrack_tcp_loose": (0.15, ("0",)),
    "net.netfilter.nf_conntrack_tcp_be_liberal": (0.15, ("1",)),
}


def drawn_sysctls(chance: Random) -> list[tuple[str, str]]:
    """Draw a few sysctls; what belongs to all devices comes before what belongs to one."""
    found = []
    for name, (odds, values) in SYSCTLS.items():
        if chance.random() < odds:
            found.append((name.format(chance.choice(LEGS)), chance.choice(values)))
    return found
