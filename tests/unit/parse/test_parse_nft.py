"""Nft tables in words: chains with their hooks, rules as statements, sets."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.facts.address import address
from bothways.facts.nft import NftChain, NftRule, NftStatement, NftTable
from bothways.facts.nft_action import (
    Action,
    Assign,
    Compare,
    Dispatch,
    Divert,
    Gate,
    Notrack,
    Opaque,
    Reject,
    Remark,
    Translate,
    Update,
    Write,
)
from bothways.facts.nft_expression import (
    Concat,
    Draw,
    Element,
    Expression,
    Fib,
    Field,
    Interval,
    Mapped,
    NamedSet,
    Operation,
    SetOf,
    Verdict,
    Word,
)
from bothways.facts.parsed import Parsed
from bothways.facts.span import Kind
from bothways.parse.nft_text import parse_nft

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def table_of(text: str) -> tuple[NftTable, Parsed[object]]:
    parsed = parse_nft(text, file="nft.txt")
    (table,) = [row for row in parsed.rows if isinstance(row, NftTable)]
    return table, parsed


def statements_of(rule: str, sets: str = "", family: str = "ip") -> tuple[NftStatement, ...]:
    head = "type filter hook prerouting priority 0; policy accept;"
    table, parsed = table_of(f"table {family} t {{\n{sets}\n\tchain c {{\n\t\t{head}\n\t\t{rule}\n\t}}\n}}\n")
    assert parsed.problems == ()
    (read,) = table.chains["c"].rules
    return read.statements


def one(number: int) -> Interval:
    return Interval(number, number)


def ip(text: str) -> Interval:
    return one(int(address(text)))


def span(low: str, high: str) -> Interval:
    return Interval(int(address(low)), int(address(high)))


def of(*keys: Interval | Word) -> SetOf:
    return SetOf(tuple(Element((key,)) for key in keys))


IIF, OIF = Field("meta iifname", "ifname"), Field("meta oifname", "ifname")
SADDR, DADDR = Field("ip saddr", "ipv4_addr"), Field("ip daddr", "ipv4_addr")
DPORT, FLAGS = Field("tcp dport", "inet_service"), Field("tcp flags", "tcp_flag")
MARK, CT_MARK, STATE = Field("meta mark", "mark"), Field("ct mark", "mark"), Field("ct state", "ct_state")


@pytest.mark.parametrize(
    ("typed", "left", "operator", "right"),
    [
        ('iifname "eth0"', IIF, "==", Word("eth0")),
        ("iif lo", Field("meta iif", "iface_index"), "==", Word("lo")),
        ('oifname != "qr-*"', OIF, "!=", Word("qr-*")),
        ('meta iifname { "a", "b" }', IIF, "==", of(Word("a"), Word("b"))),
        ("ip saddr 192.0.2.0/24", SADDR, "==", span("192.0.2.0", "192.0.2.255")),
        ("ip daddr 192.0.2.1", DADDR, "==", ip("192.0.2.1")),
        ("ip daddr 192.0.2.1-192.0.2.9", DADDR, "==", span("192.0.2.1", "192.0.2.9")),
        ("ip6 saddr fd00::/8", Field("ip6 saddr", "ipv6_addr"), "==",
         Interval(0xFD << 120, (0xFE << 120) - 1)),
        ("ip protocol tcp", Field("ip protocol", "inet_proto"), "==", one(6)),
        ("meta l4proto { tcp, udp }", Field("meta l4proto", "inet_proto"), "==", of(one(6), one(17))),
        ("tcp dport ssh", DPORT, "==", one(22)),
        ("tcp dport { 22, 80-90 }", DPORT, "==", of(one(22), Interval(80, 90))),
        ("tcp dport >= 1024", DPORT, ">=", one(1024)),
        ("tcp dport lt 1024", DPORT, "<", one(1024)),
        ("icmp type echo-request", Field("icmp type", "icmp_type"), "==", one(8)),
        ("icmpv6 type nd-neighbor-solicit", Field("icmpv6 type", "icmpv6_type"), "==", one(135)),
        ("ct state established,related", STATE, "in", one(6)),
        ("ct state != established", STATE, "!=", one(2)),
        ("ct state ! established", STATE, "!", one(2)),
        ("ct state { invalid, new }", STATE, "==", of(one(1), one(8))),
        ("ct status dnat", Field("ct status", "ct_status"), "in", one(32)),
        ("ct mark 0x10", CT_MARK, "==", one(16)),
        ("ct original saddr 192.0.2.1", Field("ct original ip saddr", "ipv4_addr"), "==", ip("192.0.2.1")),
        ("ct reply proto-dst 22", Field("ct reply proto-dst", "inet_service"), "==", one(22)),
        ("meta mark & 0x0000ffff != 0x2", Operation("&", MARK, one(0xFFFF)), "!=", one(2)),
        ("mark and 0xff == 0x2", Operation("&", MARK, one(0xFF)), "==", one(2)),
        ("meta mark & 0xff | 0x100 == 0x101", Operation("|", Operation("&", MARK, one(0xFF)), one(0x100)),
         "==", one(0x101)),
        ("meta mark != 0x04000000/16", MARK, "!=", Interval(0x04000000, 0x0400FFFF)),
        ("tcp flags syn", FLAGS, "in", one(2)),
        ("tcp flags == syn", FLAGS, "==", one(2)),
        ("tcp flags & (fin | syn | rst | ack) == syn", Operation("&", FLAGS, one(0x17)), "==", one(2)),
        ("tcp flags syn / fin,syn,rst,ack", Operation("&", FLAGS, one(0x17)), "==", one(2)),
        ("tcp flags != syn / syn,ack", Operation("&", FLAGS, one(0x12)), "!=", one(2)),
        ("fib daddr type local", Fib(("daddr",), "type"), "==", one(2)),
        ("fib saddr . iif oif missing", Fib(("saddr", "iif"), "oif"), "==", one(0)),
        ("meta nfproto ipv4", Field("meta nfproto", "nf_proto"), "==", one(2)),
        ("numgen random mod 4 offset 2 < 3", Draw("numgen random", 4, 2), "<", one(3)),
        ("@nh,96,32 0xc0000201", Field("@nh,96,32", "integer"), "==", ip("192.0.2.1")),
        ("ip saddr . tcp dport { 192.0.2.1 . 22, 198.51.100.0/24 . 80-90 }", Concat((SADDR, DPORT)), "==",
         SetOf((Element((ip("192.0.2.1"), one(22))),
                Element((span("198.51.100.0", "198.51.100.255"), Interval(80, 90)))))),
        ("ip saddr != @good", SADDR, "!=", NamedSet("good")),
        ("tcp option maxseg size 1400", Field("tcp option maxseg size", "integer"), "==", one(1400)),
        ("tcp option sack-permitted exists", Field("tcp option sack-perm", "boolean"), "==", one(1)),
        ("frag more-fragments 1", Field("exthdr frag more-fragments", "integer"), "==", one(1)),
        ("rt nexthop 192.0.2.1", Field("rt ip nexthop", "ipv4_addr"), "==", ip("192.0.2.1")),
        ("rt type 0", Field("exthdr rt type", "integer"), "==", one(0)),
        ("ip dscp cs1", Field("ip dscp", "dscp"), "==", one(8)),
        ('meta hour "10:00"-"12:00"', Field("meta hour", "hour"), "==", Interval(36000, 43200)),
        ("ct expiration 1m30s", Field("ct expiration", "time"), "==", one(90)),
    ],
)  # fmt: skip
def test_a_condition(typed: str, left: Expression, operator: str, right: Expression) -> None:
    first, _, last = statements_of(f"{typed} counter packets 1 bytes 60 accept")

    assert first.does == Compare(left, operator, right)
    assert first.text == typed
    assert last.does == Verdict("accept")


def mapped(key: Expression, *pairs: tuple[Interval, Expression | Verdict]) -> SetOf:
    assert key is not None
    return SetOf(tuple(Element((one_,), data) for one_, data in pairs))


@pytest.mark.parametrize(
    ("typed", "action"),
    [
        ("drop", Verdict("drop")),
        ("return", Verdict("return")),
        ("jump c", Verdict("jump", "c")),
        ("goto c", Verdict("goto", "c")),
        ("notrack", Notrack()),
        ("reject", Reject("icmp", "port-unreachable")),
        ("reject with tcp reset", Reject("tcp reset")),
        ("reject with icmpx type admin-prohibited", Reject("icmpx", "admin-prohibited")),
        ("reject with icmp host-unreachable", Reject("icmp", "host-unreachable")),
        ("meta mark set 0x1", Write(MARK, one(1))),
        ("meta mark set mark and 0xffff0000 xor 0x2",
         Write(MARK, Operation("^", Operation("&", MARK, one(0xFFFF0000)), one(2)))),
        ("meta mark set ct mark", Write(MARK, CT_MARK)),
        ("ct mark set mark and 0xff", Write(CT_MARK, Operation("&", MARK, one(0xFF)))),
        ("ct zone set 7", Write(Field("ct zone", "integer"), one(7))),
        ("ip daddr set 192.0.2.1", Write(DADDR, ip("192.0.2.1"))),
        ("tcp dport set 80", Write(DPORT, one(80))),
        ("meta pkttype set host", Write(Field("meta pkttype", "pkt_type"), one(0))),
        ("meta mark set ip saddr map { 192.0.2.1 : 5 }",
         Write(MARK, Mapped(SADDR, mapped(SADDR, (ip("192.0.2.1"), one(5)))))),
        ("dnat to 192.0.2.1:22", Translate("dnat", ip("192.0.2.1"), one(22), family="ip")),
        ("dnat to 192.0.2.20/31:80-280",
         Translate("dnat", span("192.0.2.20", "192.0.2.21"), Interval(80, 280), family="ip")),
        ("dnat ip6 to [2001:db8::1]:22",
         Translate("dnat", ip("2001:db8::1"), one(22), family="ip6")),
        ("dnat ip6 to 2001:db8::1-2001:db8::9",
         Translate("dnat", span("2001:db8::1", "2001:db8::9"), family="ip6")),
        ("snat ip prefix to 192.0.2.0/24",
         Translate("snat", span("192.0.2.0", "192.0.2.255"), netmap=True, family="ip")),
        ("snat ip to 192.0.2.1 fully-random,persistent",
         Translate("snat", ip("192.0.2.1"), flags=frozenset({"fully-random", "persistent"}), family="ip")),
        ("masquerade", Translate("masquerade")),
        ("masquerade to :1024-2048 random", Translate("masquerade", None, Interval(1024, 2048),
                                                      frozenset({"random"}))),
        ("redirect to :9697", Translate("redirect", None, one(9697))),
        ("redirect to :tcp dport map { 22 : 23 }",
         Translate("redirect", None, Mapped(DPORT, mapped(DPORT, (one(22), one(23)))))),
        ("dnat to tcp dport map { 22 : 192.0.2.1 }:80",
         Translate("dnat", Mapped(DPORT, mapped(DPORT, (one(22), ip("192.0.2.1")))), one(80), family="ip")),
        ("dnat to ip daddr map { 192.0.2.1 : 192.0.2.9 . 80 }",
         Translate("dnat", Mapped(DADDR, mapped(DADDR, (ip("192.0.2.1"),
                                                        Concat((ip("192.0.2.9"), one(80)))))), family="ip")),
        ("ct state vmap { invalid : drop, new : jump x }",
         Dispatch(STATE, mapped(STATE, (one(1), Verdict("drop")), (one(8), Verdict("jump", "x"))))),
        ("tcp dport vmap @ports", Dispatch(DPORT, NamedSet("ports"))),
        ("limit rate 10/second burst 5 packets",
         Gate("limit", (("rate", "10 packets/second"), ("burst", "5 packets")))),
        ("limit rate over 10 mbytes/second", Gate("limit", (("rate", "10 mbytes/second"),), over=True)),
        ("quota over 10 mbytes", Gate("quota", (("value", "10 mbytes"),), over=True)),
        ("ct count over 20", Gate("ct count", (("value", "20"),), over=True)),
        ("add @seen { ip saddr timeout 5m }", Update("add", "seen", SADDR, timeout_s=300)),
        ("update @seen { ip saddr limit rate 5/second }",
         Update("update", "seen", SADDR,
                gates=(Gate("limit", (("rate", "5 packets/second"), ("burst", "5 packets"))),))),
        ("update @seen { ip saddr : meta mark }", Update("update", "seen", SADDR, MARK)),
        ("tproxy to 127.0.0.1:50080", Divert("tproxy", address=ip("127.0.0.1"), port=one(50080))),
        ("queue num 1-3 bypass", Divert("queue", terms=(("num", "1-3"), ("flags", "bypass")))),
        ('dup to 192.0.2.1 device "eth1"', Divert("dup", Word("eth1"), ip("192.0.2.1"))),
        ("flow add @ft", Divert("flow", terms=(("flowtable", "ft"),))),
        ('ct helper set "ftp-21"', Assign("ct helper", "ftp-21")),
        ("counter", Remark("counter")),
        ("counter packets 1 bytes 2", Remark("counter")),
        ('log prefix "gone; accept " level warn flags all', Remark("log")),
    ],
)  # fmt: skip
def test_an_action(typed: str, action: Action) -> None:
    (statement,) = statements_of(typed)

    assert statement.does == action
    assert statement.modelled


def test_a_named_set_is_its_elements() -> None:
    sets = (
        "\tset good {\n\t\ttype ipv4_addr . inet_service\n\t\tflags interval,timeout\n\t\ttimeout 1h\n"
        '\t\telements = { 192.0.2.1 . 22 timeout 5m expires 3m comment "an; ssh",\n'
        "\t\t\t     198.51.100.0/24 . 80-90 counter packets 1 bytes 2 }\n\t}\n"
        "\tmap ports {\n\t\ttypeof tcp dport : verdict\n\t\telements = { 22 : jump c, * : drop }\n\t}\n"
    )
    head = "type filter hook input priority 0;"
    table, parsed = table_of(f"table ip t {{\n{sets}\n\tchain c {{\n\t\t{head}\n\t}}\n}}\n")
    good, ports = table.sets["good"], table.sets["ports"]

    assert parsed.problems == ()
    assert (good.key, good.flags, good.timeout_s) == (
        ("ipv4_addr", "inet_service"),
        frozenset({"interval", "timeout"}),
        3600,
    )
    assert good.elements == (
        Element((ip("192.0.2.1"), one(22)), timeout_s=300, comment="an; ssh"),
        Element((span("198.51.100.0", "198.51.100.255"), Interval(80, 90))),
    )
    assert (ports.key, ports.data) == (("inet_service",), ("verdict",))
    assert ports.elements == (Element((one(22),), Verdict("jump", "c")), Element((), Verdict("drop")))


def test_objects_of_a_table() -> None:
    text = (
        "table inet t {\n\tcounter seen {\n\t\tpackets 5 bytes 6\n\t}\n\n"
        '\tct helper ftp-21 {\n\t\ttype "ftp" protocol tcp\n\t}\n\n'
        "\tflowtable ft {\n\t\thook ingress priority filter\n\t\tdevices = { eth0, eth1 }\n\t}\n}\n"
    )
    table, parsed = table_of(text)

    assert parsed.problems == ()
    assert set(table.objects) == {("counter", "seen"), ("ct helper", "ftp-21"), ("flowtable", "ft")}
    assert table.objects["flowtable", "ft"].devices == ("eth0", "eth1")


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


def rule_of(rule: str) -> tuple[NftRule, Parsed[object]]:
    table, parsed = table_of(
        f"table ip t {{\n\tchain c {{\n\t\ttype filter hook input priority 0;\n\t\t{rule}\n\t}}\n}}\n"
    )
    (read,) = table.chains["c"].rules
    return read, parsed


@pytest.mark.parametrize(
    "rule",
    [
        "ip saddr $good accept",
        "ip daddr 192.0.2.300 accept",
        "tcp dport no-such-service accept",
        'osf name "Linux" accept',
        'xt match "physdev" accept',
    ],
)  # fmt: skip
def test_a_condition_that_is_not_known_is_kept_open(rule: str) -> None:
    read, parsed = rule_of(rule)

    assert not read.statements[0].modelled
    assert read.statements[-1].does == Verdict("accept")
    assert [(p.kind, p.span.line) for p in parsed.problems] == [(Kind.UNMODELLED, 4)]


@pytest.mark.parametrize(
    "rule",
    [
        "ct state vmap { foo : drop, new : jump x }",
        "dnat to ip daddr map { 192.0.2.1 : no-address }",
        "jump",
        "reject with foo type bar",
        'xt target "MASQUERADE"',
    ],
)
def test_what_may_decide_and_is_not_known_stays_undecided(rule: str) -> None:
    read, parsed = rule_of(rule)
    (statement,) = read.statements

    assert isinstance(statement.does, Opaque)
    assert statement.does.decides
    assert parsed.problems


def test_a_set_with_an_element_that_is_not_known_is_told() -> None:
    sets = "set s {\n\t\ttype ipv4_addr\n\t\telements = { 192.0.2.1, host.example }\n\t}"
    table, parsed = table_of(
        f"table ip t {{\n\t{sets}\n\tchain c {{\n\t\ttype filter hook input priority 0;\n\t}}\n}}\n"
    )

    assert len(table.sets["s"].elements) == 2
    assert [p.kind for p in parsed.problems] == [Kind.UNMODELLED]


def test_handles_and_comments() -> None:
    read, _ = rule_of('tcp dport 22 accept comment "the door" # handle 12')

    assert (read.handle, read.comment, len(read.statements)) == (12, "the door", 2)


def test_a_table_that_is_off_its_hooks() -> None:
    table, _ = table_of(
        "table ip t {\n\tflags dormant\n\tchain c {\n\t\ttype filter hook input priority 0;\n\t}\n}\n"
    )

    assert table.dormant


@pytest.mark.parametrize(
    ("family", "hook"), [("arp", "input"), ("netdev", "egress"), ("bridge", "forward"), ("inet", "ingress")]
)
def test_families_and_their_hooks(family: str, hook: str) -> None:
    device = 'device "eth0" ' if hook in ("ingress", "egress") else ""
    head = f"type filter hook {hook} {device}priority 0;"
    table, parsed = table_of(f"table {family} t {{\n\tchain c {{\n\t\t{head}\n\t\tdrop\n}}\n}}\n")

    assert parsed.problems == ()
    assert table.chains["c"].devices == (("eth0",) if device else ())


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
set map vmap . to dnat redirect add update fib daddr oif numgen random mod tproxy jump goto 10.0.0.1 22-80
tcp dport flags syn / 22 ct state : mark meta elements = @s @nh limit rate 1/second # \\ fwd dup typeof
"""


@given(st.lists(st.sampled_from([*WORDS.split(), "\n"]), max_size=40).map(" ".join) | st.text(max_size=80))
def test_any_text_is_read_to_its_end(text: str) -> None:
    parsed = parse_nft(text, file="nft.txt")

    assert all(p.span.line is not None for p in parsed.problems)


@given(st.lists(st.sampled_from(WORDS.split()), max_size=30).map(" ".join))
def test_any_rule_is_read_to_its_end(rule: str) -> None:
    text = f"table ip t {{\nchain c {{\ntype filter hook input priority 0;\n{rule}\n}}\n}}\n"

    parse_nft(text, file="nft.txt")
