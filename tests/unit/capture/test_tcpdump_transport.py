"""What stands behind ``a > b:``: TCP in the words of old and new tcpdump, UDP, ICMP, other protocols."""

from __future__ import annotations

import pytest

from bothways.capture.layers import Refused
from bothways.capture.tcpdump_transport import read_transport
from bothways.facts.address import address
from bothways.facts.packet import ICMP, ICMP6, TCP, UDP, Flag, Icmp, Ip, Packet, Tcp, TcpOptions, Udp
from bothways.facts.span import Kind

PORTS = (17350, 22)
IP4 = Ip(address("192.0.2.1"), address("198.51.100.22"), 0)
S, A, P, R, F = Flag.SYN, Flag.ACK, Flag.PSH, Flag.RST, Flag.FIN


def read(words: str, ports: tuple[int, int] | None = PORTS) -> Packet | Refused:
    return read_transport(Packet(), IP4, ports, words)


def packet(words: str, ports: tuple[int, int] | None = PORTS) -> Packet:
    answer = read(words, ports)
    assert isinstance(answer, Packet), answer
    return answer


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        # the incident's author shortened his lines by hand
        ("Flags [S],", Tcp(*PORTS, S)),
        ("Flags [S.],", Tcp(*PORTS, S | A)),
        ("Flags [.], ack 1,", Tcp(*PORTS, A, ack=1)),
        ("Flags [R]", Tcp(*PORTS, R)),
        # the default form
        (
            "Flags [S], seq 1000, win 64240, options [mss 1460,sackOK,TS val 7 ecr 0,nop,wscale 7], length 0",
            Tcp(*PORTS, S, 1000, None, 64240, 0, TcpOptions(1460, 7, sack_ok=True, timestamp=(7, 0))),
        ),
        ("Flags [P.], seq 1:42, ack 9, win 502, length 41: HTTP", Tcp(*PORTS, P | A, 1, 9, 502, 41)),
        ("Flags [F.], seq 42, ack 9, win 502, length 0", Tcp(*PORTS, F | A, 42, 9, 502, 0)),
        ("Flags [none], win 0, length 3", Tcp(*PORTS, Flag(0), None, None, 0, 3)),
        ("Flags [SEW], seq 1, win 1, length 0", Tcp(*PORTS, S | Flag.ECE | Flag.CWR, 1, None, 1, 0)),
        ("Flags [P.U], seq 1:2, ack 1, win 1, urg 5, length 1", Tcp(*PORTS, P | A | Flag.URG, 1, 1, 1, 1)),
        # numbers wrap, and the length follows from them
        ("Flags [P.], seq 4294967290:5, ack 1, win 1", Tcp(*PORTS, P | A, 4294967290, 1, 1, 11)),
        # -v
        (
            "Flags [.], cksum 0x1f2e (correct), ack 9, win 1, length 0",
            Tcp(*PORTS, A, None, 9, 1, 0, checksum_ok=True),
        ),
        (
            "Flags [.], cksum 0x1f2e (incorrect -> 0xfe28), ack 9, win 1, length 0",
            Tcp(*PORTS, A, None, 9, 1, 0, checksum_ok=False),
        ),
        (
            "Flags [.], ack 9, win 1, options [nop,nop,sack 2 {5:7}{9:11}], length 0",
            Tcp(*PORTS, A, None, 9, 1, 0, TcpOptions(sack=((5, 7), (9, 11)))),
        ),
        # tcpdump before 4.0
        (
            "S 1000:1000(0) win 5840 <mss 1460,nop,wscale 2>",
            Tcp(*PORTS, S, 1000, None, 5840, 0, TcpOptions(1460, 2)),
        ),
        ("S 5:5(0) ack 1001 win 5840", Tcp(*PORTS, S | A, 5, 1001, 5840, 0)),
        (". ack 1 win 1460", Tcp(*PORTS, A, None, 1, 1460, 0)),
        (
            "P 1:22(21) ack 1 win 46 <nop,nop,timestamp 7 8>",
            Tcp(*PORTS, P | A, 1, 1, 46, 21, TcpOptions(timestamp=(7, 8))),
        ),
        ("R 9:9(0) win 0", Tcp(*PORTS, R, 9, None, 0, 0)),
    ],
)
def test_segments(words: str, expected: Tcp) -> None:
    answer = packet(words)

    assert answer.tcp == expected
    assert answer.ip is not None
    assert answer.ip.protocol == TCP


@pytest.mark.parametrize(
    ("words", "said", "kind"),
    [
        ("Flags [X], seq 1", "TCP flags that tcpdump does not print", Kind.MALFORMED),
        ("Flags S, seq 1", "TCP flags that tcpdump does not print", Kind.MALFORMED),
        ("Flags [S], seq 4294967296, win 1", "numbers that do not fit", Kind.MALFORMED),
        ("Flags [S], seq 1, win 65536", "numbers that do not fit", Kind.MALFORMED),
        ("tcp 0", "TCP without flags (tcpdump -q)", Kind.UNMODELLED),
        ("quux 7", "`quux` is not a protocol that is read", Kind.UNMODELLED),
        ("", "addresses with nothing behind them", Kind.MALFORMED),
    ],
)
def test_words_that_are_no_segment(words: str, said: str, kind: Kind) -> None:
    answer = read(words)

    assert isinstance(answer, Refused)
    assert said in answer.reason
    assert answer.kind is kind


@pytest.mark.parametrize("words", ["Flags [S], seq 1", "UDP, length 5"])
def test_ports_are_needed(words: str) -> None:
    answer = read(words, None)

    assert isinstance(answer, Refused)
    assert answer.kind is Kind.MALFORMED


@pytest.mark.parametrize(
    ("words", "length"),
    [
        ("UDP, length 41", 41),
        ("UDP, bad length 41 > 7", 41),
        ("22836+ [1au] A? www.example.org. (56)", 56),
        ("64072 2/0/1 A 192.0.2.7, (74)", 74),
        ("42540 NXDomain 0/1/0 (146)", 146),
        ("NTPv4, Client, length 48", 48),
        ("BOOTP/DHCP, Request from fa:16:3e:4b:eb:3c, length 300", 300),
        ("VXLAN, flags [I] (0x08), vni 1086", None),
        ("SIP: INVITE sip:a@b SIP/2.0", None),
    ],
)
def test_datagrams(words: str, length: int | None) -> None:
    answer = packet(words)

    assert answer.udp == Udp(*PORTS, length)
    assert answer.ip is not None
    assert answer.ip.protocol == UDP


@pytest.mark.parametrize(
    ("words", "icmp"),
    [
        ("ICMP echo request, id 8, seq 1, length 64", Icmp(8, 0, 8, 1)),
        ("ICMP echo reply, id 8, seq 1, length 64", Icmp(0, 0, 8, 1)),
        ("ICMP 192.0.2.9 udp port 53 unreachable, length 65", Icmp(3, 3)),
        ("ICMP 192.0.2.9 tcp port 22 unreachable, length 68", Icmp(3, 3)),
        ("ICMP 192.0.2.9 protocol 132 unreachable, length 68", Icmp(3, 2)),
        ("ICMP 192.0.2.9 unreachable - need to frag (mtu 1400), length 556", Icmp(3, 4)),
        ("ICMP net 192.0.2.9 unreachable, length 68", Icmp(3, 0)),
        ("ICMP host 192.0.2.9 unreachable, length 68", Icmp(3, 1)),
        ("ICMP host 192.0.2.9 unreachable - admin prohibited, length 68", Icmp(3, 10)),
        ("ICMP host 192.0.2.9 unreachable - admin prohibited filter, length 68", Icmp(3, 13)),
        ("ICMP time exceeded in-transit, length 68", Icmp(11, 0)),
        ("ICMP ip reassembly time exceeded, length 68", Icmp(11, 1)),
        ("ICMP redirect 192.0.2.9 to host 192.0.2.1, length 68", Icmp(5, 1)),
        ("ICMP redirect 192.0.2.9 to net 192.0.2.1, length 68", Icmp(5, 0)),
        ("ICMP redirect-tos 192.0.2.9 to net 192.0.2.1, length 68", Icmp(5, 2)),
        ("ICMP type-#43, length 24", Icmp(43, 0)),
    ],
)
def test_icmp(words: str, icmp: Icmp) -> None:
    answer = packet(words, None)

    assert answer.icmp == icmp
    assert answer.ip is not None
    assert answer.ip.protocol == ICMP


@pytest.mark.parametrize(
    ("words", "icmp"),
    [
        ("ICMP6, echo request, id 1, seq 2, length 64", Icmp(128, 0, 1, 2)),
        ("ICMP6, echo reply, id 1, seq 2, length 64", Icmp(129, 0, 1, 2)),
        ("ICMP6, neighbor solicitation, who has 2001:db8::1, length 32", Icmp(135, 0)),
        ("ICMP6, neighbor advertisement, tgt is 2001:db8::1, length 32", Icmp(136, 0)),
        ("ICMP6, packet too big, mtu 1280, length 1240", Icmp(2, 0)),
        ("ICMP6, destination unreachable, unreachable port, 2001:db8::1 udp port 53, length 80", Icmp(1, 4)),
        ("ICMP6, destination unreachable, unreachable address 2001:db8::1, length 80", Icmp(1, 3)),
        ("ICMP6, time exceeded in-transit for 2001:db8::1, length 80", Icmp(3, 0)),
        ("ICMP6, parameter problem, next header - octet 6, length 214", Icmp(4, 1)),
        ("ICMP6, multicast listener report v2, 2 group record(s), length 48", Icmp(143, 0)),
        ("ICMP6, unknown icmp6 type (160), length 28", Icmp(160, 0)),
    ],
)
def test_icmpv6(words: str, icmp: Icmp) -> None:
    answer = packet(words, None)

    assert answer.icmp == icmp
    assert answer.ip is not None
    assert answer.ip.protocol == ICMP6


def test_icmp_that_the_words_do_not_tell() -> None:
    answer = read("ICMP something new", None)

    assert isinstance(answer, Refused)
    assert answer.kind is Kind.UNMODELLED


@pytest.mark.parametrize(
    ("words", "protocol"),
    [
        ("sctp (1) [INIT] [init tag: 1]", 132),
        ("igmp v2 report 239.0.0.1", 2),
        ("ESP(spi=0x12345678,seq=0x1), length 116", 50),
        ("GREv0, key=0x2, length 116: gre-proto-0x2001", 47),
        ("OSPFv2, Hello, length 44", 89),
        ("VRRPv2, Advertisement, vrid 42", 112),
        ("IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 1, seq 1, length 64", 4),
        ("IP6 2001:db8::1 > 2001:db8::2: ICMP6, echo request, id 1, seq 1, length 64", 41),
        ("ip-proto-253 20", 253),
        ("ip-proto-6", 6),
    ],
)
def test_protocols_that_are_not_followed_are_packets_all_the_same(words: str, protocol: int) -> None:
    answer = packet(words, None)

    assert answer.ip is not None
    assert (answer.ip.protocol, answer.tcp, answer.udp, answer.icmp) == (protocol, None, None, None)


def test_a_protocol_is_one_byte() -> None:
    assert isinstance(read("ip-proto-256 1", None), Refused)
