"""What rules ask the routing tables: nft's ``fib`` and iptables' ``rpfilter``, with mark, TOS and device."""

from __future__ import annotations

from dataclasses import replace

import pytest
from linux_samples import Told, device, frame, netns, route, rule, stack

from bothways.facts.address import address
from bothways.facts.dump import Dump
from bothways.facts.nft import NftTable
from bothways.facts.packet import TCP, Ip
from bothways.facts.route import RoutingRule
from bothways.facts.snapshot import Netns
from bothways.facts.step import Did
from bothways.parse.nft_text import parse_nft

OUT, IN = device("out0", "192.0.2.1/24", "2001:db8::1/64", number=2), device("in0", "10.0.0.1/24", number=3)
ROUTES = (
    route("192.0.2.0/24 dev out0"),
    route("10.0.0.0/24 dev in0"),
    route("192.0.2.1 dev out0", table="local", kind="local"),
    route("10.0.0.1 dev in0", table="local", kind="local"),
    route("192.0.2.255 dev out0", table="local", kind="broadcast"),
    route("default via 10.0.0.254 dev in0", table="7"),
    route("198.51.100.0/24 via 10.0.0.254 dev in0"),
    route("203.0.113.0/24", kind="blackhole"),
    route("2001:db8::/64 dev out0"),
    route("2001:db8:1::/64 dev in0"),
    route("2001:db8:2::/64", kind="prohibit"),
    route("2001:db8::1 dev out0", table="local", kind="local"),
    route("2001:db8:: dev out0", table="local", kind="anycast"),
)
BY_MARK = (rule(0, "local"), rule(10, "7", fwmark=1), rule(32766, "main"))
BY_TOS = (rule(0, "local"), RoutingRule(10, "lookup", rule(10).span, "7", tos=0x10), rule(32766, "main"))
PLAIN = (rule(0, "local"), rule(32766, "main"))


def space(rules: tuple[RoutingRule, ...], nft: str = "", iptables: str = "") -> Netns:
    parsed = parse_nft(nft, file="nft.txt")
    assert parsed.problems == ()
    rows = tuple(row for row in parsed.rows if isinstance(row, NftTable))
    six = Dump(tuple(r for r in rules if r.priority != 32767), "rule6")
    made = netns(OUT, IN, routes=ROUTES, rules=rules, iptables=iptables, sysctls={})
    return replace(made, nft=Dump(rows, "nft.txt"), rules6=six)


def dropped(made: Netns, source: str, to: str, *, tos: int = 0) -> bool:
    """Whether a rule drops a packet that comes in at out0."""
    packet = replace(
        frame("192.0.2.9:4000", "10.0.0.5:22", to=OUT),
        ip=Ip(address(source), address(to), TCP, ttl=64, tos=tos),
    )
    passage = stack(made, Told()).receive("out0", packet, 0)
    return any(s.did is Did.DROPPED and s.function.endswith(("do_chain", "do_table")) for s in passage.steps)


def table(condition: str, hook: str = "prerouting") -> str:
    head = f"type filter hook {hook} priority -150; policy accept;"
    return f"table inet t {{\n\tchain c {{\n\t\t{head}\n\t\t{condition} drop\n\t}}\n}}\n"


@pytest.mark.parametrize(
    ("condition", "rules", "source", "tos", "holds"),
    [
        ('fib saddr oifname "out0"', PLAIN, "192.0.2.9", 0, True),
        ('fib saddr oifname "in0"', PLAIN, "198.51.100.9", 0, True),
        ("fib saddr oif missing", PLAIN, "203.0.113.9", 0, True),  # a black hole leads nowhere
        ("fib saddr oif missing", PLAIN, "8.8.8.8", 0, True),
        ("fib saddr oif missing", PLAIN, "192.0.2.1", 0, True),  # an own address counts as missing
        ('fib daddr oifname "in0"', PLAIN, "192.0.2.9", 0, True),
        ("fib saddr . iif oif missing", PLAIN, "198.51.100.9", 0, True),  # reached by another device
        ("fib saddr . iif oif exists", PLAIN, "192.0.2.9", 0, True),
        # The type of service goes with the question, the mark only where it is asked for.
        ("fib saddr . iif oif exists", BY_TOS, "8.8.8.8", 0, False),
        ('fib saddr oifname "in0"', BY_TOS, "8.8.8.8", 0x10, True),
        ('fib saddr oifname "in0"', BY_TOS, "8.8.8.8", 0, False),
        ('meta mark set 0x1 fib saddr oifname "in0"', BY_MARK, "8.8.8.8", 0, False),
        ('meta mark set 0x1 fib saddr . mark oifname "in0"', BY_MARK, "8.8.8.8", 0, True),
        ('fib saddr . mark oifname "in0"', BY_MARK, "8.8.8.8", 0, False),
        ("fib saddr type unicast", PLAIN, "203.0.113.9", 0, True),  # only the local table is asked
        ("fib saddr type local", PLAIN, "192.0.2.1", 0, True),
        ("fib saddr type broadcast", PLAIN, "192.0.2.255", 0, True),
        ("fib daddr . iif type local", PLAIN, "192.0.2.9", 0, False),
    ],
)
def test_fib_of_ipv4(
    condition: str, rules: tuple[RoutingRule, ...], source: str, tos: int, *, holds: bool
) -> None:
    assert dropped(space(rules, table(condition)), source, "10.0.0.5", tos=tos) is holds


@pytest.mark.parametrize(
    ("condition", "source", "to", "holds"),
    [
        ('fib saddr oifname "out0"', "2001:db8::9", "2001:db8:1::5", True),
        ("fib saddr oif missing", "2001:db8:2::9", "2001:db8:1::5", True),
        ("fib saddr . iif oif missing", "2001:db8:1::9", "2001:db8:1::5", True),
        ("fib daddr type local", "2001:db8::9", "2001:db8::1", True),
        ("fib daddr type anycast", "2001:db8::9", "2001:db8::", True),
        ("fib daddr type local", "2001:db8::9", "2001:db8::", False),
        ("fib daddr type unicast", "2001:db8::9", "2001:db8:1::5", True),
        # IPv6 looks a kind up with a route (``__nft_fib6_eval_type``).
        ("fib daddr type prohibit", "2001:db8::9", "2001:db8:2::5", True),
        ("fib daddr type unreachable", "2001:db8::9", "2001:db8:9::5", True),
        ("fib daddr . iif type local", "2001:db8::9", "2001:db8::1", True),
        ("fib daddr type multicast", "2001:db8::9", "ff02::5", False),  # no route of the dump leads there
    ],
)
def test_fib_of_ipv6(condition: str, source: str, to: str, *, holds: bool) -> None:
    assert dropped(space(PLAIN, table(condition)), source, to) is holds


@pytest.mark.parametrize(
    ("options", "rules", "source", "tos", "passes"),
    [
        ("", PLAIN, "192.0.2.9", 0, True),
        ("", PLAIN, "198.51.100.9", 0, False),
        ("--loose", PLAIN, "198.51.100.9", 0, True),
        ("--loose", PLAIN, "203.0.113.9", 0, False),
        ("--invert", PLAIN, "198.51.100.9", 0, True),
        ("", PLAIN, "192.0.2.1", 0, False),
        ("--accept-local", PLAIN, "192.0.2.1", 0, True),
        ("--accept-local", PLAIN, "10.0.0.1", 0, False),  # an address of another device
        ("--accept-local --loose", PLAIN, "10.0.0.1", 0, True),
        ("--loose", BY_TOS, "8.8.8.8", 0x10, True),
        ("--loose", BY_TOS, "8.8.8.8", 0, False),
        ("--loose", BY_MARK, "8.8.8.8", 0, False),
        ("--loose --validmark", BY_MARK, "8.8.8.8", 0, True),
    ],
)
def test_rpfilter(
    options: str, rules: tuple[RoutingRule, ...], source: str, tos: int, *, passes: bool
) -> None:
    text = (
        "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j MARK --set-xmark 0x1/0xffffffff\n"
        f"-A PREROUTING -m rpfilter {options} -j DROP\nCOMMIT\n"
    )

    assert dropped(space(rules, iptables=text), source, "10.0.0.5", tos=tos) is passes
