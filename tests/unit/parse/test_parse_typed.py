"""What a user types: a connection, and a capture filter."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.facts.address import mac, network
from bothways.facts.filter_tree import (
    All,
    Any,
    Everything,
    HardwareAddress,
    Hosts,
    Length,
    Node,
    Not,
    Ports,
    Protocol,
    Side,
    TcpFlags,
    Unknown,
    Vlan,
    unknown_parts,
)
from bothways.facts.packet import ETH_IP, TCP, UDP
from bothways.facts.question import Question
from bothways.parse.filter import parse_filter
from bothways.parse.flow import FlowError, parse_flow


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("tcp 192.168.111.210 > 192.168.111.223:22", "tcp 192.168.111.210 > 192.168.111.223:22"),
        ("TCP 192.0.2.1:17350->192.0.2.2:ssh", "tcp 192.0.2.1:17350 > 192.0.2.2:22"),
        ("  udp 192.0.2.1>192.0.2.2:53 ", "udp 192.0.2.1 > 192.0.2.2:53"),
        ("icmp 192.0.2.1 > 192.0.2.2", "icmp 192.0.2.1 > 192.0.2.2"),
        ("tcp 2001:db8::1 > [2001:db8::2]:443", "tcp 2001:db8::1 > [2001:db8::2]:443"),
        ("tcp [2001:db8::1]:5 -> [2001:db8::2]:443", "tcp [2001:db8::1]:5 > [2001:db8::2]:443"),
    ],
)
def test_flows(text: str, normal: str) -> None:
    assert str(parse_flow(text)) == normal


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a flow"),
        ("tcp 192.0.2.1", "is not a flow"),
        ("gre 192.0.2.1 > 192.0.2.2", "`gre` is not a protocol"),
        ("tcp 192.0.2.1 > 192.0.2.2", "has no port"),
        ("tcp 2001:db8::1 > 2001:db8::2", "has no port"),
        ("icmp 192.0.2.1 > 192.0.2.2:22", "icmp has no ports"),
        ("tcp host1 > 192.0.2.2:22", "`host1` is not an IP address"),
        ("tcp 192.0.2.1 > 2001:db8::1", "two families"),
        ("tcp 192.0.2.1:99999 > 192.0.2.2:22", "is not a port"),
        ("tcp 192.0.2.1 > 192.0.2.2:", "is not a port"),
    ],
)
def test_what_is_no_flow_says_what_to_write(text: str, message: str) -> None:
    with pytest.raises(FlowError, match=re.escape(message)) as caught:
        parse_flow(text)

    assert caught.value.hint


ADDRESSES = st.one_of(st.tuples(*[st.ip_addresses(v=4)] * 2), st.tuples(*[st.ip_addresses(v=6)] * 2))


@given(st.sampled_from(["tcp", "udp"]), ADDRESSES, st.integers(0, 65535), st.none() | st.integers(0, 65535))
def test_a_question_reads_back_as_it_is_printed(
    protocol: str, ends: tuple[object, object], port: int, source_port: int | None
) -> None:
    question = Question(protocol, ends[0], ends[1], port, source_port)  # type: ignore[arg-type] # addresses

    assert parse_flow(str(question)) == question


@given(st.text(max_size=60))
def test_no_text_is_fatal_to_a_flow(text: str) -> None:
    try:
        parse_flow(text)
    except FlowError as error:
        assert error.hint  # noqa: PT017 (most texts are none)


EITHER, SOURCE = Side.EITHER, Side.SOURCE
ANY_PORT, TCP_ONLY = frozenset[int](), frozenset({TCP})
HOST = network("192.0.2.1")

FILTERS: list[tuple[str, Node]] = [
    ("", Everything()),
    ("tcp", Protocol(number=TCP)),
    ("ip", Protocol(frozenset({ETH_IP}))),
    ("tcp port 22", Ports(EITHER, 22, 22, TCP_ONLY)),
    ("port ssh", Ports(EITHER, 22, 22)),
    ("src port 22", Ports(SOURCE, 22, 22)),
    ("udp portrange 50-60", Ports(EITHER, 50, 60, frozenset({UDP}))),
    ("host 192.0.2.1", Hosts(EITHER, HOST)),
    ("192.0.2.1", Hosts(EITHER, HOST)),
    ("ip src 192.0.2.1", Hosts(SOURCE, HOST, frozenset({ETH_IP}))),
    ("src and dst host 192.0.2.1", Hosts(Side.BOTH, HOST)),
    ("net 192.0.2", Hosts(EITHER, network("192.0.2.0/24"))),
    ("net 192.0.2.0 mask 255.255.255.0", Hosts(EITHER, network("192.0.2.0/24"))),
    ("ether host 02:00:00:00:00:01", HardwareAddress(EITHER, mac("02:00:00:00:00:01"))),
    ("vlan 5", Vlan(5)),
    ("less 60", Length(high=60)),
    ("len > 60", Length(low=61)),
    ("tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn", TcpFlags(0x12, 0x02)),
    ("tcp[13] & 4 != 0", TcpFlags(4, 0, equal=False)),
    ("not port 22", Not(Ports(EITHER, 22, 22))),
    ("port 22 or 80", Any((Ports(EITHER, 22, 22), Ports(EITHER, 80, 80)))),
    ("a or b", Any((Unknown("a"), Unknown("b")))),
    ("tcp or udp and port 53",
     All((Any((Protocol(number=TCP), Protocol(number=UDP))), Ports(EITHER, 53, 53)))),
    ("tcp and (port 22 or port 80)",
     All((Protocol(number=TCP), Any((Ports(EITHER, 22, 22), Ports(EITHER, 80, 80)))))),
    ("broadcast", Unknown("broadcast")),
    ("ether multicast", Unknown("ether multicast")),
    ("tcp port", Unknown("tcp port")),
    ("(tcp", Unknown("(tcp")),
    ("(" * 500 + "tcp" + ")" * 500, Unknown("(" * 500 + "tcp" + ")" * 500)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "tree"), FILTERS, ids=[text[:40] for text, _ in FILTERS])
def test_filters(text: str, tree: Node) -> None:
    assert parse_filter(text) == tree


def test_what_is_not_known_is_named() -> None:
    assert unknown_parts(parse_filter("tcp and (broadcast or not ip[8] > 5)")) == ("broadcast", "ip[8] > 5")


WORDS = st.sampled_from(
    [
        "tcp",
        "udp",
        "ip",
        "ip6",
        "arp",
        "host",
        "net",
        "port",
        "portrange",
        "src",
        "dst",
        "and",
        "or",
        "not",
        "(",
        ")",
        "192.0.2.1",
        "22",
        "80-90",
        "ether",
        "vlan",
        "less",
        "len",
        ">",
        "5",
        "proto",
        "\\tcp",
        "broadcast",
        "tcp[13]",
        "&",
        "=",
        "2",
        "!",
        "&&",
        "||",
        "mask",
        "255.0.0.0",
        "02:00:00:00:00:01",
        "2001:db8::/32",
        "gateway",
    ]
)


@given(st.lists(WORDS, max_size=12).map(" ".join) | st.text(max_size=40))
def test_no_text_is_fatal_to_a_filter(text: str) -> None:
    unknown_parts(parse_filter(text))
