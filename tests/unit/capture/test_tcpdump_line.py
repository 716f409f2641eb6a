"""One line of tcpdump, style by style: time stamp, device and link header, the packet behind them."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from bothways.capture.layers import Refused
from bothways.capture.tcpdump_line import LinkWords, Stamp, read_link, read_packet, read_stamp, unfinished
from bothways.facts.address import BROADCAST, UNKNOWN_MAC, address, mac
from bothways.facts.packet import ETH_ARP, ETH_IP, ETH_IP6, Arp, Ethernet, Flag, Packet
from bothways.facts.sighting import Direction
from bothways.facts.span import Kind

DAY = 86_400
SECOND = 1_000_000_000
SYN = "192.0.2.1.17350 > 198.51.100.22.22: Flags [S], seq 1000, win 64240, length 0"
NOBODY = IPv4Address(0)
STATIONS = "02:00:00:00:00:01 > 02:00:00:00:00:02"


def packet(text: str) -> Packet:
    answer = read_packet(read_link(text))
    assert isinstance(answer, Packet), answer
    return answer


def refused(text: str) -> Refused:
    answer = read_packet(read_link(text))
    assert isinstance(answer, Refused), answer
    return answer


# time stamps


@pytest.mark.parametrize(
    ("line", "time_ns", "clock_only"),
    [
        ("19:25:18.052823 IP", (19 * 3600 + 25 * 60 + 18) * SECOND + 52_823_000, True),
        ("19:25:18.052823001 IP", (19 * 3600 + 25 * 60 + 18) * SECOND + 52_823_001, True),
        ("19:25:18 IP", (19 * 3600 + 25 * 60 + 18) * SECOND, True),
        ("    7  00:00:00.000001 IP", 1000, True),
        ("> 00:00:01.5 IP", 1_500_000_000, True),
        ("23:59:60.000000 IP", DAY * SECOND, True),
        ("1970-01-02 00:00:01.000000 IP", (DAY + 1) * SECOND, False),
        ("2026-11-22T19:25:18.052823 IP", 1_795_375_518_052_823_000, False),
        ("1795375518.052823 IP", 1_795_375_518_052_823_000, False),
        ("1795375518.052823001 IP", 1_795_375_518_052_823_001, False),
    ],
)
def test_time_stamps(line: str, time_ns: int, clock_only: object) -> None:
    stamp = read_stamp(line)

    assert isinstance(stamp, Stamp)
    assert (stamp.time_ns, stamp.clock_only) == (time_ns, clock_only)
    assert line[stamp.end :] == "IP"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "IP 192.0.2.1 > 192.0.2.2: ICMP",
        "root@host1:~# tcpdump",
        "19:25:18.052823",
        "\t0x0000:  4500",
        "12:30 IP",
    ],
)
def test_lines_without_a_time_stamp(line: str) -> None:
    assert read_stamp(line) is None


@pytest.mark.parametrize(
    "line", ["24:00:00.0 IP", "00:60:00.0 IP", "00:00:61.0 IP", "2026-02-30 00:00:00.0 IP"]
)
def test_time_stamps_that_no_clock_shows(line: str) -> None:
    assert isinstance(read_stamp(line), Refused)


# what stands before the packet


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"IP {SYN}", LinkWords(None, None, Ethernet(), "IP", SYN)),
        (f"eth0  In  IP {SYN}", LinkWords("eth0", Direction.IN, Ethernet(), "IP", SYN)),
        (f"qg-5d88ef18-33 Out IP {SYN}", LinkWords("qg-5d88ef18-33", Direction.OUT, Ethernet(), "IP", SYN)),
        (f"br-ex B   IP {SYN}", LinkWords("br-ex", Direction.IN, Ethernet(), "IP", SYN)),
        (f"br-ex M   IP {SYN}", LinkWords("br-ex", Direction.IN, Ethernet(), "IP", SYN)),
        (f"eth0  P   IP {SYN}", LinkWords("eth0", Direction.IN, Ethernet(), "IP", SYN)),
        (f"?     Out IP {SYN}", LinkWords(None, Direction.OUT, Ethernet(), "IP", SYN)),
        (f"In IP {SYN}", LinkWords(None, Direction.IN, Ethernet(), "IP", SYN)),
        (
            f"fa:16:3e:91:5f:a0 > 2c:ab:0:9a:4:37, ethertype IPv4 (0x0800), length 74: {SYN}",
            LinkWords(
                None,
                None,
                Ethernet(mac("fa:16:3e:91:5f:a0"), mac("2c:ab:00:9a:04:37")),
                "IP",
                SYN,
                74,
            ),
        ),
        (
            f"fa:16:3e:91:5f:a0 (oui Unknown) > Broadcast, ethertype IPv4 (0x0800), length 74: {SYN}",
            LinkWords(None, None, Ethernet(mac("fa:16:3e:91:5f:a0"), BROADCAST), "IP", SYN, 74),
        ),
        (
            f"{STATIONS}, ethertype 802.1Q (0x8100), length 78: vlan 101, p 0, ethertype IPv4, {SYN}",
            LinkWords(
                None,
                None,
                Ethernet(mac("02:00:00:00:00:01"), mac("02:00:00:00:00:02"), ETH_IP, 101),
                "IP",
                SYN,
                78,
            ),
        ),
        (
            (
                f"{STATIONS}, ethertype 802.1Q-QinQ (0x88a8), length 82: vlan 500, p 0, "
                f"ethertype 802.1Q (0x8100), vlan 7, p 1, DEI, ethertype IPv4 (0x0800), {SYN}"
            ),
            LinkWords(
                None,
                None,
                Ethernet(mac("02:00:00:00:00:01"), mac("02:00:00:00:00:02"), ETH_IP, 500),
                "IP",
                SYN,
                82,
            ),
        ),
        (
            f"eth0  In  ifindex 2 02:00:00:00:00:01 ethertype IPv4 (0x0800), length 80: {SYN}",
            LinkWords("eth0", Direction.IN, Ethernet(mac("02:00:00:00:00:01")), "IP", SYN, 74),
        ),
        (
            f"  In 02:00:00:00:00:01 ethertype IPv4 (0x0800), length 76: {SYN}".strip(),
            LinkWords(None, Direction.IN, Ethernet(mac("02:00:00:00:00:01")), "IP", SYN, 74),
        ),
        (
            f"tun0  In  ifindex 9 ethertype IPv4 (0x0800), length 80: {SYN}",
            LinkWords("tun0", Direction.IN, Ethernet(), "IP", SYN, 60),
        ),
        (
            f"02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype IPv6 (0x86dd), length 94: {SYN}",
            LinkWords(
                None,
                None,
                Ethernet(mac("02:00:00:00:00:01"), mac("02:00:00:00:00:02"), ETH_IP6),
                "IP6",
                SYN,
                94,
            ),
        ),
        (f"IP truncated-ip - 8 bytes missing! {SYN}", LinkWords(None, None, Ethernet(), "IP", SYN)),
    ],
)
def test_link_headers(text: str, expected: LinkWords) -> None:
    assert read_link(text) == expected


def test_a_frame_of_another_ethertype_is_named_by_its_number() -> None:
    link = read_link(
        "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype LLDP (0x88cc), length 60: LLDP, length 46"
    )

    assert link.name == "ethertype 0x88cc"
    assert (
        refused("02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype LLDP (0x88cc), length 60: LLDP").kind
        is None
    )


# ARP


@pytest.mark.parametrize(
    ("text", "arp"),
    [
        (
            "ARP, Request who-has 192.0.2.9 tell 192.0.2.1, length 28",
            Arp(1, UNKNOWN_MAC, address("192.0.2.1"), UNKNOWN_MAC, address("192.0.2.9")),
        ),
        (
            "ARP, Request who-has 192.0.2.9 (fa:16:3e:e3:66:3c) tell 192.0.2.1, length 28",
            Arp(1, UNKNOWN_MAC, address("192.0.2.1"), mac("fa:16:3e:e3:66:3c"), address("192.0.2.9")),
        ),
        (
            "ARP, Ethernet (len 6), IPv4 (len 4), Request who-has 192.0.2.9 (Broadcast) tell 192.0.2.1",
            Arp(1, UNKNOWN_MAC, address("192.0.2.1"), UNKNOWN_MAC, address("192.0.2.9")),
        ),
        (
            "ARP, Reply 192.0.2.9 is-at fa:16:3e:e3:66:3c, length 28",
            Arp(2, mac("fa:16:3e:e3:66:3c"), address("192.0.2.9"), UNKNOWN_MAC, NOBODY),
        ),
        (
            "ARP, Reply 192.0.2.9 is-at fa:16:3e:e3:66:3c (oui Unknown), length 28",
            Arp(2, mac("fa:16:3e:e3:66:3c"), address("192.0.2.9"), UNKNOWN_MAC, NOBODY),
        ),
        (
            "arp who-has 192.0.2.9 tell 192.0.2.1",
            Arp(1, UNKNOWN_MAC, address("192.0.2.1"), UNKNOWN_MAC, address("192.0.2.9")),
        ),
        (
            "ARP, Announcement 192.0.2.9, length 28",
            Arp(1, UNKNOWN_MAC, address("192.0.2.9"), UNKNOWN_MAC, address("192.0.2.9")),
        ),
        (
            "ARP, Probe 192.0.2.9, length 28",
            Arp(1, UNKNOWN_MAC, NOBODY, UNKNOWN_MAC, address("192.0.2.9")),
        ),
    ],
)
def test_arp(text: str, arp: Arp) -> None:
    assert packet(text).arp == arp
    assert packet(text).ethernet.type == ETH_ARP


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ARP, Reverse Request who-is fa:16:3e:e3:66:3c tell fa:16:3e:e3:66:3c, length 28", None),
        ("ARP, Unknown (29953), length 46", None),
        ("ARP, Request who-has gateway.example tell 192.0.2.1, length 28", Kind.MALFORMED),
        ("ARP, something else", Kind.MALFORMED),
    ],
)
def test_arp_that_is_not_read(text: str, kind: Kind | None) -> None:
    assert refused(text).kind is kind


# IP


def test_an_ipv4_segment() -> None:
    answer = packet(f"IP {SYN}")

    assert (str(answer.source), str(answer.destination)) == ("192.0.2.1:17350", "198.51.100.22:22")
    assert answer.tcp is not None
    assert (answer.tcp.flags, answer.tcp.seq, answer.tcp.window, answer.tcp.length) == (
        Flag.SYN,
        1000,
        64240,
        0,
    )
    assert answer.ip is not None
    assert (answer.ip.ttl, answer.ip.id, answer.ip.tos, answer.ip.df) == (None, None, None, None)


def test_what_v_tells_of_an_ipv4_header() -> None:
    text = f"IP (tos 0x10, ttl 63, id 41387, offset 0, flags [DF], proto TCP (6), length 60) {SYN}"
    ip = packet(text).ip

    assert ip is not None
    assert (ip.tos, ip.ttl, ip.id, ip.offset, ip.df, ip.more) == (0x10, 63, 41387, 0, True, False)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("tos 0x0, ttl 64, id 7, offset 0, flags [none], proto TCP (6), length 40", (64, False, False)),
        ("tos 0x0, ttl 64, id 7, offset 0, flags [+], proto TCP (6), length 40", (64, False, True)),
        ("tos 0x0, ttl 64, id 7, offset 0, flags [+, DF], proto TCP (6), length 40", (64, True, True)),
        ("tos 0x2,ECT(0), ttl 1, id 7, offset 0, flags [DF], proto TCP (6), length 40", (1, True, False)),
        # tcpdump prints no time to live of zero
        ("tos 0x0, id 7, offset 0, flags [DF], proto TCP (6), length 40", (0, True, False)),
        (
            "tos 0x0, ttl 9, id 7, offset 0, flags [DF], length 44, options (RA), bad cksum 3030 (->699d)!",
            (9, True, False),
        ),
    ],
)
def test_headers_that_v_prints(header: str, expected: tuple[int, bool, bool]) -> None:
    ip = packet(f"IP ({header}) {SYN}").ip

    assert ip is not None
    assert (ip.ttl, ip.df, ip.more) == expected


def test_what_v_tells_of_an_ipv6_header() -> None:
    text = (
        "IP6 (class 0xc0, flowlabel 0x2f0e1, hlim 64, next-header TCP (6) payload length: 40) "
        "2001:db8::1.17350 > 2001:db8::22.22: Flags [S], cksum 0x1234 (correct), seq 1, win 1, length 0"
    )
    answer = packet(text)

    assert answer.ip is not None
    assert (answer.ip.ttl, answer.ip.tos, answer.ethernet.type) == (64, 0xC0, ETH_IP6)
    plain = packet(text.replace("class 0xc0, ", "")).ip
    assert plain is not None
    assert plain.tos == 0


@pytest.mark.parametrize(
    ("words", "ports"),
    [
        ("HBH 17350 > 22: Flags [S], seq 1, win 1, length 0", (17350, 22)),
        ("HBH (rtalert: 0x0000) (padn) 17350 > 22: Flags [S], seq 1, win 1, length 0", (17350, 22)),
        ("DSTOPT srcrt 17350 > 22: Flags [S], seq 1, win 1, length 0", (17350, 22)),
        ("RT6 (len=2, type=0, segleft=1, [0]2001:db8::9) 1 > 2: Flags [S], seq 1, win 1, length 0", (1, 2)),
        ("AH(length=4(24-bytes),spi=0x0100,seq=0x13,icv=0x21): 17350 > 22: Flags [S], length 0", (17350, 22)),
        ("frag (0|1448) 17350 > 22: Flags [S], seq 1, win 1, length 0", (17350, 22)),
    ],
)
def test_ports_behind_extension_headers(words: str, ports: tuple[int, int]) -> None:
    tcp = packet(f"IP6 2001:db8::1 > 2001:db8::22: {words}").tcp

    assert tcp is not None
    assert (tcp.sport, tcp.dport) == ports


@pytest.mark.parametrize(
    ("words", "ident"), [("frag (1448|30)", None), ("frag (0xcafe0001:1448|30)", 0xCAFE0001)]
)
def test_a_later_fragment_of_ipv6_has_nothing_behind_it(words: str, ident: int | None) -> None:
    answer = packet(f"IP6 2001:db8::1 > 2001:db8::22: {words}")

    assert answer.ip is not None
    assert (answer.ip.protocol, answer.ip.offset, answer.ip.id) == (44, 1448, ident)


@pytest.mark.parametrize(
    ("text", "port"), [("192.0.2.1.ssh", 22), ("192.0.2.1.https", 443), ("192.0.2.1.40000", 40000)]
)
def test_services_that_are_known_by_name(text: str, port: int) -> None:
    tcp = packet(f"IP {text} > 198.51.100.22.http: Flags [S], seq 1, win 1, length 0").tcp

    assert tcp is not None
    assert (tcp.sport, tcp.dport) == (port, 80)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("IP bad-len 0", "an IP packet without `source > destination:`"),
        (
            "IP client.example.17350 > 198.51.100.22.22: Flags [S], length 0",
            "an address or port that is no number",
        ),
        (
            "IP 192.0.2.1.nosuch > 198.51.100.22.22: Flags [S], length 0",
            "an address or port that is no number",
        ),
        (
            "IP 192.0.2.1.70000 > 198.51.100.22.22: Flags [S], length 0",
            "an address or port that is no number",
        ),
        ("IP 192.0.2.1.1 > 2001:db8::1.22: Flags [S], length 0", "an IPv4 and an IPv6 address in one packet"),
        ("IP 192.0.2.1.1 > 198.51.100.22: Flags [S], length 0", "a port at one end only"),
        ("IP 192.0.2.1.1 > 198.51.100.22.22:", "addresses with nothing behind them"),
    ],
)
def test_packets_that_cannot_be_read(text: str, reason: str) -> None:
    assert refused(text) == Refused(reason, Kind.MALFORMED)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("STP 802.1d, Config, Flags [none], bridge-id 8000.02:00:00:00:00:01.8001, length 35", None),
        ("LLDP, length 46", None),
        ("CDPv2, ttl: 180s, Device-ID 'router'", None),
        ("PPPoE  [ses 1]", None),
        ("listening for nothing", None),
        ("what is this > and that", Kind.MALFORMED),
        ("Flags [S] alone", Kind.MALFORMED),
    ],
)
def test_lines_that_are_neither_ip_nor_arp(text: str, kind: Kind | None) -> None:
    assert refused(text).kind is kind


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("IP (tos 0x0, ttl 64, id 1, offset 0, flags [DF], proto TCP (6), length 60)", True),
        ("IP (tos 0x0, ttl 64, id 1, flags [DF], length 60, bad cksum 1 (->2)!)", True),
        ("IP truncated-ip - 9 bytes missing! (tos 0x0, ttl 64, id 1, length 60)", True),
        (f"IP (tos 0x0, ttl 64, id 1) {SYN}", False),
        (f"IP {SYN}", False),
        ("ARP, Request who-has 192.0.2.9 tell 192.0.2.1, length 28", False),
    ],
)
def test_v_puts_the_addresses_on_the_next_line(text: str, answer: object) -> None:
    assert unfinished(read_link(text)) is answer
