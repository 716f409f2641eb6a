"""Native nft tables: chains with their hooks, and rules as statements."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.facts.iptables import AddressRange, Match, Target
from bothways.facts.nft import NftChain, NftStatement, NftTable
from bothways.facts.parsed import Parsed
from bothways.facts.span import Kind
from bothways.parse.nft_text import parse_nft

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
ALL = 0xFFFFFFFF


def table_of(text: str) -> tuple[NftTable, Parsed[object]]:
    parsed = parse_nft(text, file="nft.txt")
    (table,) = [row for row in parsed.rows if isinstance(row, NftTable)]
    return table, parsed


def statements_of(rule: str, sets: str = "") -> tuple[NftStatement, ...]:
    head = "type filter hook prerouting priority 0; policy accept;"
    table, parsed = table_of(f"table ip t {{\n{sets}\n\tchain c {{\n\t\t{head}\n\t\t{rule}\n\t}}\n}}\n")
    assert parsed.problems == ()
    (read,) = table.chains["c"].rules
    return read.statements


@pytest.mark.parametrize(
    ("typed", "matches"),
    [
        ('iifname "eth0"', [Match("in-interface", "eth0")]),
        ("iif lo", [Match("in-interface", "lo")]),
        ('oifname != "qr-*"', [Match("out-interface", "qr-+", negate=True)]),
        ('meta iifname { "a", "b" }', [Match("in-interface", "a"), Match("in-interface", "b")]),
        ("ip saddr 192.0.2.0/24", [Match("source", ip_network("192.0.2.0/24"))]),
        ("ip daddr 192.0.2.1", [Match("destination", ip_network("192.0.2.1/32"))]),
        (
            "ip daddr 192.0.2.1-192.0.2.9",
            [Match("iprange.dst-range", AddressRange(ip_address("192.0.2.1"), ip_address("192.0.2.9")))],
        ),
        ("ip protocol tcp", [Match("protocol", 6)]),
        ("meta l4proto { tcp, udp }", [Match("protocol", 6), Match("protocol", 17)]),
        ("tcp dport 22", [Match("tcp.dport", (22, 22))]),
        ("tcp dport ssh", [Match("tcp.dport", (22, 22))]),
        ("udp sport != 1024-65535", [Match("udp.sport", (1024, 65535), negate=True)]),
        ("tcp dport >= 1024", [Match("tcp.dport", (1024, 65535))]),
        ("tcp dport < 1024", [Match("tcp.dport", (0, 1023))]),
        ("th dport 53", [Match("multiport.dports", ((53, 53),))]),
        ("icmp type echo-request", [Match("icmp.icmp-type", (8, None))]),
        ("ct state established,related", [Match("conntrack.ctstate", frozenset({"ESTABLISHED", "RELATED"}))]),
        ("ct state { invalid }", [Match("conntrack.ctstate", frozenset({"INVALID"}))]),
        ("ct status dnat", [Match("conntrack.ctstate", frozenset({"DNAT"}))]),
        ("ct status assured", [Match("conntrack.ctstatus", frozenset({"ASSURED"}))]),
        ("ct mark 0x10", [Match("connmark.mark", (0x10, ALL))]),
        ("meta mark & 0x0000ffff != 0x2", [Match("mark.mark", (2, 0xFFFF), negate=True)]),
        ("mark and 0xff == 0x2", [Match("mark.mark", (2, 0xFF))]),
        ("meta mark != 0x04000000/16", [Match("mark.mark", (0x04000000, 0xFFFF0000), negate=True)]),
        ("tcp flags syn", [Match("tcp.tcp-flags", (2, 2))]),
        ("tcp flags & (fin | syn | rst | ack) == syn", [Match("tcp.tcp-flags", (0x17, 2))]),
        ("tcp flags syn / fin,syn,rst,ack", [Match("tcp.tcp-flags", (0x17, 2))]),
        ("fib daddr type local", [Match("addrtype.dst-type", frozenset({"LOCAL"}))]),
        ("meta nfproto ipv4", [Match("source", ip_network("0.0.0.0/0"))]),
        ("limit rate 10/second burst 5 packets", [Match("limit.limit", "10/second burst 5 packets")]),
    ],
)  # fmt: skip
def test_a_condition_is_what_iptables_would_ask(typed: str, matches: list[Match]) -> None:
    first, last = statements_of(f"{typed} counter packets 1 bytes 60 accept")[::2]

    assert list(first.matches) == matches
    assert first.text == typed
    assert last.target == Target("ACCEPT")


@pytest.mark.parametrize(
    ("typed", "target"),
    [
        ("drop", Target("DROP")),
        ("return", Target("RETURN")),
        ("notrack", Target("NOTRACK")),
        ("jump c", Target("c", {"jump": True})),
        ("goto c", Target("c", {"jump": True}, goto=True)),
        ("reject", Target("REJECT", {"reject-with": "icmp-port-unreachable"})),
        ("reject with tcp reset", Target("REJECT", {"reject-with": "tcp-reset"})),
        (
            "reject with icmpx type admin-prohibited",
            Target("REJECT", {"reject-with": "icmp-admin-prohibited"}),
        ),
        ("meta mark set 0x1", Target("MARK", {"set-xmark": (1, ALL)})),
        ("meta mark set mark and 0xffff0000 xor 0x2", Target("MARK", {"set-xmark": (2, 0xFFFF)})),
        ("meta mark set meta mark | 0x2", Target("MARK", {"set-xmark": (2, 2)})),
        (
            "meta mark set ct mark",
            Target("CONNMARK", {"restore-mark": True, "nfmask": ALL, "ctmask": ALL}),
        ),
        (
            "ct mark set mark and 0xff",
            Target("CONNMARK", {"save-mark": True, "nfmask": 0xFF, "ctmask": ALL}),
        ),
        ("ct zone set 7", Target("CT", {"zone": 7})),
        (
            "dnat to 192.0.2.1:22",
            Target(
                "DNAT",
                {"to-destination": AddressRange(ip_address("192.0.2.1"), ip_address("192.0.2.1"), 22, 22)},
            ),
        ),
        (
            "dnat to 192.0.2.20/31:80-280",
            Target(
                "DNAT",
                {"to-destination": AddressRange(ip_address("192.0.2.20"), ip_address("192.0.2.21"), 80, 280)},
            ),
        ),
        ("snat ip prefix to 192.0.2.0/24", Target("NETMAP", {"to": ip_network("192.0.2.0/24")})),
        (
            "snat ip to 192.0.2.1 fully-random,persistent",
            Target(
                "SNAT",
                {
                    "to-source": AddressRange(ip_address("192.0.2.1"), ip_address("192.0.2.1")),
                    "random-fully": True,
                    "persistent": True,
                },
            ),
        ),
        ("masquerade", Target("MASQUERADE")),
        ("redirect to :9697", Target("REDIRECT", {"to-ports": (9697, 9697)})),
        ("ip daddr set 192.0.2.1", Target("ip daddr", {"set": ip_address("192.0.2.1")})),
        ("tcp dport set 80", Target("th dport", {"set": 80})),
        ("counter", None),
        ("counter packets 1 bytes 2", None),
        ('log prefix "gone; accept " level warn flags all', None),
        ("meta nftrace set 1", None),
    ],
)
def test_an_action_is_what_iptables_would_do(typed: str, target: Target | None) -> None:
    (statement,) = statements_of(typed)

    assert statement.target == target
    assert statement.matches == ()
    assert statement.modelled


def test_a_named_set_is_its_elements() -> None:
    sets = (
        "\tset good {\n\t\ttype ipv4_addr\n\t\tflags interval,timeout\n"
        "\t\telements = { 192.0.2.1 timeout 5m expires 3m,\n\t\t\t     198.51.100.0/24 }\n\t}"
    )

    assert [m.value for m in statements_of("ip saddr @good accept", sets)[0].matches] == [
        ip_network("192.0.2.1/32"),
        ip_network("198.51.100.0/24"),
    ]


@pytest.mark.parametrize(
    ("header", "kind", "hook", "priority", "policy"),
    [
        ("type filter hook input priority filter; policy drop;", "filter", "input", 0, "drop"),
        ("type filter hook input priority filter + 10;", "filter", "input", 10, "accept"),
        ("type nat hook prerouting priority dstnat - 5; policy accept;", "nat", "prerouting", -105, "accept"),
        ("type route hook output priority mangle; policy accept;", "route", "output", -150, "accept"),
        ("type filter hook prerouting priority -310; policy accept;", "filter", "prerouting", -310, "accept"),
        ("type filter hook forward priority 0;\n\t\tpolicy drop;", "filter", "forward", 0, "drop"),
    ],
)
def test_a_chain_on_a_hook(header: str, kind: str, hook: str, priority: int, policy: str) -> None:
    table, parsed = table_of(f"table inet t {{\n\tchain c {{\n\t\t{header}\n\t\taccept\n\t}}\n}}\n")
    chain = table.chains["c"]

    assert (chain.kind, chain.hook, chain.priority, chain.policy) == (kind, hook, priority, policy)
    assert len(chain.rules) == 1
    assert parsed.problems == ()


@pytest.mark.parametrize(
    "rule",
    [
        "ip dscp cs1 accept",
        "ip saddr . tcp dport { 192.0.2.1 . 22 } accept",
        "ip saddr @missing accept",
        "tcp option maxseg size set 1400",
        "ip daddr 192.0.2.300 accept",
        "foo bar baz accept",
    ],
)
def test_a_condition_that_is_not_known_is_kept_open(rule: str) -> None:
    table, parsed = table_of(
        f"table ip t {{\n\tchain c {{\n\t\ttype filter hook input priority 0;\n\t\t{rule}\n\t}}\n}}\n"
    )
    (read,) = table.chains["c"].rules

    assert not read.statements[0].modelled
    assert read.statements[0].matches
    assert [(p.kind, p.span.line) for p in parsed.problems] == [(Kind.UNMODELLED, 4)]


@pytest.mark.parametrize(
    "rule",
    [
        "ct state vmap { invalid : drop, new : jump x }",
        "dnat to ip daddr map { 192.0.2.1 : 10.0.0.1 }",
        "jump",
    ],
)
def test_what_may_decide_and_is_not_known_stays_undecided(rule: str) -> None:
    table, parsed = table_of(
        f"table ip t {{\n\tchain c {{\n\t\ttype filter hook input priority 0;\n\t\t{rule}\n\t}}\n}}\n"
    )
    (statement,) = table.chains["c"].rules[0].statements

    assert statement.target is not None
    assert not statement.modelled
    assert parsed.problems


def test_a_table_that_is_off_its_hooks() -> None:
    table, _ = table_of(
        "table ip t {\n\tflags dormant\n\tchain c {\n\t\ttype filter hook input priority 0;\n\t}\n}\n"
    )

    assert table.dormant


def test_rules_that_iptables_wrote_are_left_to_its_own_dump() -> None:
    for path in EXAMPLES.rglob("nft.txt"):
        parsed = parse_nft(path.read_text("utf-8"), file="nft.txt")
        assert [row for row in parsed.rows if isinstance(row, NftTable)] == []
        assert parsed.problems == ()


def test_spans_are_the_lines() -> None:
    head = "table ip t {\n\tchain c {\n\t\ttype filter hook input priority 0; policy drop;\n"
    text = f"{head}\t\taccept # why\n\t}}\n}}\n"
    table, _ = table_of(text)
    chain: NftChain = table.chains["c"]

    assert (table.span.line, chain.span.line, chain.rules[0].span.line) == (1, 3, 4)
    assert chain.rules[0].span.text == "\t\taccept # why"


WORDS = """
table ip inet t { } chain c type filter hook input priority 0 ; policy drop "eth0" iifname != == { } , & ( )
set
tcp dport flags syn / 22 ct state vmap : mark meta elements = @s jump limit rate 1/second # \\
"""


@given(st.lists(st.sampled_from([*WORDS.split(), "\n"]), max_size=40).map(" ".join) | st.text(max_size=80))
def test_any_text_is_read_to_its_end(text: str) -> None:
    parsed = parse_nft(text, file="nft.txt")

    assert all(p.span.line is not None for p in parsed.problems)
