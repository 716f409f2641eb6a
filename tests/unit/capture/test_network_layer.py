"""ARP, IPv4 and IPv6: options, fragments, extension headers, and what an ICMP error quotes."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from capture_samples import (
    CLIENT,
    CLIENT6,
    MAC1,
    MAC2,
    SERVER,
    SERVER6,
    arp,
    decoded,
    ether,
    icmp,
    icmp6,
    ip4,
    ip6,
    packet_of,
    tcp,
    tcp6,
    udp,
)

from bothways.capture.layers import Refused
from bothways.capture.link_layer import decode_ethernet
from bothways.facts.address import address, mac
from bothways.facts.packet import ARP, ICMP, ICMP6, TCP, UDP, Arp, Flag, Icmp, Packet
from bothways.facts.span import Kind


def refused(payload: bytes, kind: int = 0x0800) -> Refused:
    frame = ether(payload, kind)
    answer = decode_ethernet(frame, len(frame))
    assert isinstance(answer, Refused)
    return answer


# ARP


def test_an_arp_request_and_its_reply() -> None:
    asked = packet_of(ether(arp(), ARP))
    told = packet_of(ether(arp(2, sha=MAC2, spa=SERVER, tha=MAC1, tpa=CLIENT), ARP))

    assert asked.arp == Arp(1, mac(MAC1), address(CLIENT), mac("0:0:0:0:0:0"), address(SERVER))
    assert told.arp == Arp(2, mac(MAC2), address(SERVER), mac(MAC1), address(CLIENT))
    assert (asked.ip, asked.length) == (None, 42)


def test_an_arp_message_that_is_cut_is_malformed_and_one_of_other_networks_says_nothing() -> None:
    assert refused(arp()[:27], ARP) == Refused("an ARP message of 27 bytes, 28 are needed", Kind.MALFORMED)
    assert refused(b"\0\x20" + arp()[2:], ARP).kind is None


# IPv4


def test_an_ipv4_header() -> None:
    ip = packet_of(ether(ip4(tcp(), ttl=62, ident=0xBEEF, tos=0x10))).ip

    assert ip is not None
    assert (str(ip.src), str(ip.dst), ip.protocol) == (CLIENT, SERVER, TCP)
    assert (ip.ttl, ip.id, ip.tos, ip.df, ip.more, ip.offset) == (62, 0xBEEF, 0x10, True, False, 0)


def test_options_are_skipped() -> None:
    packet = packet_of(ether(ip4(tcp(), options=bytes.fromhex("94040000 01010100"))))

    assert packet.tcp is not None
    assert (packet.tcp.sport, packet.tcp.checksum_ok) == (17350, True)


def test_the_first_fragment_has_ports_and_no_checksum_that_could_be_told() -> None:
    packet = packet_of(ether(ip4(tcp(b"x" * 60), fragment=0x2000)))

    assert packet.ip is not None
    assert (packet.ip.more, packet.ip.offset, packet.ip.df) == (True, 0, False)
    assert packet.tcp is not None
    assert packet.tcp.checksum_ok is None


def test_later_fragments_have_no_ports() -> None:
    packet = packet_of(ether(ip4(b"x" * 40, fragment=185)))

    assert packet.ip is not None
    assert (packet.ip.offset, packet.ip.more, packet.tcp) == (1480, False, None)


@pytest.mark.parametrize(("size", "options"), [(8, b""), (16, b""), (24, b"\x01" * 20)])
def test_a_tcp_header_that_goes_on_in_the_next_fragment_is_left_out(size: int, options: bytes) -> None:
    packet = packet_of(ether(ip4(tcp(options=options)[:size], fragment=0x2000)))

    assert packet.ip is not None
    assert (packet.ip.protocol, packet.tcp) == (TCP, None)


def test_a_total_length_of_zero_reaches_to_the_end_of_the_frame() -> None:
    packet = packet_of(ether(ip4(tcp(b"x" * 3000), total=0)))

    assert packet.tcp is not None
    assert packet.tcp.length == 3000


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"\x45" + b"\0" * 18, "an IPv4 header of 19 bytes"),
        (b"\x55" + ip4(tcp())[1:], "starts with 0x55"),
        (b"\x44" + ip4(tcp())[1:], "starts with 0x44"),
        (ip4(tcp(), total=19), "is 19 bytes long in all"),
        (b"\x4f" + ip4(tcp(), total=40)[1:], "starts with 0x4f"),
    ],
)
def test_a_broken_ipv4_header_is_malformed(header: bytes, said: str) -> None:
    assert said in refused(header).reason
    assert refused(header).kind is Kind.MALFORMED


def test_a_protocol_that_is_not_followed_is_a_packet_all_the_same() -> None:
    packet = packet_of(ether(ip4(b"\0" * 12, protocol=132)))

    assert packet.ip is not None
    assert (packet.ip.protocol, packet.tcp, packet.udp, packet.icmp) == (132, None, None, None)


# IPv6


def test_an_ipv6_header() -> None:
    packet = packet_of(ether(ip6(tcp6(), hops=63, tclass=0xB8), 0x86DD))

    assert packet.ip is not None
    assert (str(packet.ip.src), str(packet.ip.dst)) == (CLIENT6, SERVER6)
    assert (packet.ip.protocol, packet.ip.ttl, packet.ip.tos) == (TCP, 63, 0xB8)
    assert (packet.ip.id, packet.ip.df) == (None, None)
    assert packet.tcp is not None
    assert packet.tcp.checksum_ok is True


def hop_by_hop(following: int) -> bytes:
    return bytes([following, 0]) + b"\x05\x02\x00\x00\x01\x00"  # router alert


def destination_options(following: int) -> bytes:
    return bytes([following, 1]) + b"\x01\x0c" + b"\0" * 12


def routing(following: int) -> bytes:
    return bytes([following, 0, 0, 0]) + b"\0" * 4


def authentication(following: int) -> bytes:
    return bytes([following, 4]) + b"\0" * 22


EXTENSIONS: dict[str, tuple[int, Callable[[int], bytes]]] = {
    "HBH": (0, hop_by_hop),
    "DSTOPT": (60, destination_options),
    "srcrt": (43, routing),
    "AH": (51, authentication),
}


@pytest.mark.parametrize("word", sorted(EXTENSIONS))
def test_extension_headers_are_walked(word: str) -> None:
    number, build = EXTENSIONS[word]
    layers = decoded(ether(ip6(build(6) + tcp6(), following=number), 0x86DD))

    assert layers.extensions == (word,)
    assert layers.packet.ip is not None
    assert layers.packet.ip.protocol == TCP
    assert layers.packet.tcp is not None
    assert layers.packet.tcp.dport == 22


@pytest.mark.parametrize(("word", "told"), [("HBH", True), ("AH", True), ("srcrt", None), ("DSTOPT", None)])
def test_a_checksum_is_not_judged_where_a_header_may_change_the_addresses(word: str, told: object) -> None:
    number, build = EXTENSIONS[word]
    packet = packet_of(ether(ip6(build(6) + tcp6(), following=number), 0x86DD))

    assert packet.tcp is not None
    assert packet.tcp.checksum_ok is told


def test_extension_headers_in_a_row() -> None:
    (hop, first), (destination, second) = EXTENSIONS["HBH"], EXTENSIONS["DSTOPT"]
    frame = ether(ip6(first(destination) + second(6) + tcp6(), following=hop), 0x86DD)

    assert decoded(frame).extensions == ("HBH", "DSTOPT")


def fragment6(offset: int, payload: bytes, *, more: bool, ident: int = 0xCAFE) -> bytes:
    return ether(ip6(struct.pack("!BBHI", 6, 0, offset | more, ident) + payload, following=44), 0x86DD)


def test_ipv6_fragments() -> None:
    first, later = (
        packet_of(fragment6(0, tcp6(), more=True)),
        packet_of(fragment6(1448, b"x" * 30, more=False)),
    )

    assert first.ip is not None
    assert (first.ip.id, first.ip.more, first.ip.offset) == (0xCAFE, True, 0)
    assert first.tcp is not None
    assert later.ip is not None
    assert (later.ip.protocol, later.ip.offset, later.ip.more, later.tcp) == (TCP, 1448, False, None)


def test_a_jumbo_payload_reaches_to_the_end_of_the_frame() -> None:
    packet = packet_of(ether(ip6(tcp6(b"x" * 2000), length=0), 0x86DD))

    assert packet.tcp is not None
    assert packet.tcp.length == 2000


@pytest.mark.parametrize(
    ("packet", "said"),
    [
        (ip6(b"")[:39], "an IPv6 header of 39 bytes, 40 are needed"),
        (b"\x45" + ip6(tcp6())[1:], "an IPv6 header that starts with 0x45"),
        (ip6(b"\x06\x00\x00", following=0), "extension header that ends after the packet"),
        (ip6(b"\x06\xff" + b"\0" * 6, following=0), "extension header that ends after the packet"),
    ],
)
def test_a_broken_ipv6_header_is_malformed(packet: bytes, said: str) -> None:
    assert said in refused(packet, 0x86DD).reason
    assert refused(packet, 0x86DD).kind is Kind.MALFORMED


def test_a_chain_of_extension_headers_without_end_is_given_up() -> None:
    packet = packet_of(ether(ip6(hop_by_hop(0) * 40, following=0), 0x86DD))

    assert packet.ip is not None
    assert packet.ip.protocol == 0


# what ICMP errors quote


def inner(packet: Packet) -> Packet:
    assert packet.icmp is not None
    assert packet.icmp.inner is not None
    return packet.icmp.inner


def error4(quoted: bytes, kind: int = 3, code: int = 3) -> Packet:
    return packet_of(ether(ip4(icmp(kind, code, payload=quoted), src=SERVER, dst=CLIENT, protocol=ICMP)))


def error6(quoted: bytes, kind: int = 1, code: int = 4) -> Packet:
    message = icmp6(kind, code, payload=quoted, src=SERVER6, dst=CLIENT6)
    return packet_of(ether(ip6(message, src=SERVER6, dst=CLIENT6, following=ICMP6), 0x86DD))


def test_a_quoted_segment_of_eight_bytes_has_ports_and_a_number() -> None:
    quoted = inner(error4(ip4(tcp(seq=7), ttl=1)[:28]))

    assert quoted.ip is not None
    assert (str(quoted.ip.src), str(quoted.ip.dst), quoted.ip.ttl, quoted.ip.df) == (CLIENT, SERVER, 1, True)
    assert quoted.tcp is not None
    assert (quoted.tcp.sport, quoted.tcp.dport, quoted.tcp.seq) == (17350, 22, 7)
    assert (quoted.tcp.flags, quoted.tcp.ack, quoted.tcp.window) == (Flag(0), None, None)


def test_a_segment_that_is_quoted_whole_has_flags_too() -> None:
    quoted = inner(error4(ip4(tcp(flags=0x18, seq=7, ack=9))))

    assert quoted.tcp is not None
    assert (quoted.tcp.flags, quoted.tcp.ack, quoted.tcp.window) == (Flag.PSH | Flag.ACK, 9, 64240)
    assert quoted.length == 40


def test_a_quoted_datagram_and_a_quoted_ping() -> None:
    datagram = inner(error4(ip4(udp(b"hello"), protocol=UDP)))
    ping = inner(error4(ip4(icmp(8, 0, b"\x01\x02\x00\x07"), protocol=ICMP), code=1))

    assert datagram.udp is not None
    assert (datagram.udp.sport, datagram.udp.dport) == (40000, 53)
    assert ping.icmp == Icmp(8, 0, 0x0102, 7)


def test_a_quoted_fragment_has_no_ports() -> None:
    quoted = inner(error4(ip4(b"12345678", fragment=100)))

    assert quoted.ip is not None
    assert (quoted.ip.offset, quoted.tcp) == (800, None)


@pytest.mark.parametrize("kind", [3, 4, 5, 11, 12])
def test_every_error_quotes(kind: int) -> None:
    assert inner(error4(ip4(tcp()), kind)).tcp is not None


@pytest.mark.parametrize("kind", [1, 2, 3, 4])
def test_every_error_of_icmpv6_quotes(kind: int) -> None:
    quoted = inner(error6(ip6(tcp6(), hops=1, tclass=4), kind, 0))

    assert quoted.ip is not None
    assert (str(quoted.ip.dst), quoted.ip.ttl, quoted.ip.tos) == (SERVER6, 1, 4)
    assert quoted.tcp is not None


@pytest.mark.parametrize("build", [error4, error6])
@pytest.mark.parametrize("quoted", [b"", b"\x45" + b"\0" * 18, b"\x60" + b"\0" * 38, b"\xf0" * 60])
def test_an_error_that_quotes_nothing_readable(build: Callable[[bytes], Packet], quoted: bytes) -> None:
    packet = build(quoted)

    assert packet.icmp is not None
    assert packet.icmp.inner is None


def test_a_ping_quotes_nothing() -> None:
    packet = packet_of(ether(ip4(icmp(8, payload=ip4(tcp())), protocol=ICMP)))

    assert packet.icmp == Icmp(8, 0, 0, 0)
