"""TCP with its options and checksum, UDP, ICMP."""

from __future__ import annotations

import pytest
from capture_samples import (
    CLIENT6,
    OPTIONS,
    SERVER6,
    decoded,
    ether,
    icmp,
    icmp6,
    ip4,
    ip6,
    packet_of,
    tcp,
    udp,
)

from bothways.capture.layers import Layers, Refused
from bothways.capture.link_layer import decode_ethernet
from bothways.capture.transport_layer import decode_transport, quoted_tcp, tcp_options
from bothways.facts.address import address
from bothways.facts.packet import ICMP, ICMP6, TCP, UDP, Flag, Icmp, Ip, Packet, Tcp, TcpOptions, Udp
from bothways.facts.span import Kind
from bothways.model.linux.conntrack.tcp_window import numbered

A4, B4 = address("192.0.2.1"), address("192.0.2.2")


def segment(body: bytes) -> Tcp:
    packet = packet_of(ether(ip4(body)))
    assert packet.tcp is not None
    return packet.tcp


def reason(body: bytes, protocol: int = 6) -> Refused:
    frame = ether(ip4(body, protocol=protocol))
    answer = decode_ethernet(frame, len(frame))
    assert isinstance(answer, Refused)
    return answer


def test_a_segment() -> None:
    assert segment(tcp(b"ssh", flags=0x18, seq=0xFFFF_FFFF, ack=5, window=502)) == Tcp(
        17350, 22, Flag.PSH | Flag.ACK, 0xFFFF_FFFF, 5, 502, 3, checksum_ok=True
    )


def test_an_acknowledgement_counts_only_under_its_flag() -> None:
    assert segment(tcp(flags=0x02, ack=99)).ack is None
    assert segment(tcp(flags=0x12, ack=0)).ack == 0


def test_the_field_of_a_reset_is_kept_without_the_flag() -> None:
    """The tracker holds it against a SYN that it let through; most stacks leave it zero."""
    assert segment(tcp(flags=0x04, ack=99)).ack == 99
    assert segment(tcp(flags=0x04, ack=0)).ack is None
    assert "ack" not in str(Packet(ip=Ip(A4, B4, TCP), tcp=segment(tcp(flags=0x04, ack=99))))


@pytest.mark.parametrize(
    ("options", "size"), [(b"", 0), (b"\1\1\1\1", 4), (OPTIONS, len(OPTIONS)), (b"\x1e\4ab", 4)]
)
def test_how_much_of_the_header_the_options_take(options: bytes, size: int) -> None:
    one = segment(tcp(flags=0x02, options=options))
    assert one.options.size == size
    assert one.header_ok is True
    assert numbered(one)


def test_options_that_the_capture_cut_are_not_known() -> None:
    ip = Ip(A4, B4, TCP)
    whole = tcp(flags=0x02, options=OPTIONS)
    cut = decode_transport(Layers(Packet(ip=ip), whole[:25], len(whole)))
    assert isinstance(cut, Layers)
    assert cut.packet.tcp is not None
    assert (cut.packet.tcp.options, cut.packet.tcp.options.size) == (TcpOptions(), None)
    assert not numbered(cut.packet.tcp)


@pytest.mark.parametrize("octet", [0x00, 0x01, 0x02, 0x04, 0x29, 0x40, 0xC2, 0xFF])
def test_flags(octet: int) -> None:
    assert segment(tcp(flags=octet)).flags == Flag(octet)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (OPTIONS, TcpOptions(1460, 7, sack_ok=True, timestamp=(7, 8))),
        (bytes.fromhex("020405b4"), TcpOptions(mss=1460)),
        (bytes.fromhex("01010101"), TcpOptions()),
        (bytes.fromhex("0101050a 00000001 00000002"), TcpOptions(sack=((1, 2),))),
        (
            bytes.fromhex("01010512 00000001 00000002 00000003 00000004"),
            TcpOptions(sack=((1, 2), (3, 4))),
        ),
        (bytes.fromhex("00 020405b4 000000"), TcpOptions()),  # nothing counts behind the end of the list
        (bytes.fromhex("0203 05 01"), TcpOptions()),  # an MSS of one octet
        (bytes.fromhex("0101 0200"), TcpOptions()),  # a length of zero ends the reading
        (bytes.fromhex("01 0204 05"), TcpOptions()),  # an option that ends after the header
        (bytes.fromhex("fd04 cafe 020405b4"), TcpOptions(mss=1460)),  # what is not known is skipped
    ],
)
def test_options(options: bytes, expected: TcpOptions) -> None:
    assert segment(tcp(options=options)).options == expected


def test_an_option_list_is_read_up_to_what_does_not_fit() -> None:
    assert list(tcp_options(bytes.fromhex("01 0402 0303"))) == [(1, b""), (4, b"")]
    assert list(tcp_options(b"")) == []


@pytest.mark.parametrize("payload", [b"", b"x", b"xy", b"\xff" * 1461])
def test_checksums(payload: bytes) -> None:
    assert segment(tcp(payload)).checksum_ok is True
    assert segment(tcp(payload, broken=True)).checksum_ok is False


def test_a_checksum_covers_the_addresses() -> None:
    translated = packet_of(ether(ip4(tcp(dst="203.0.113.9"), dst="203.0.113.8")))

    assert translated.tcp is not None
    assert translated.tcp.checksum_ok is False


def test_a_checksum_over_ipv6() -> None:
    body = tcp(b"odd", src=CLIENT6, dst=SERVER6, broken=True)
    packet = packet_of(ether(ip6(body), 0x86DD))

    assert packet.tcp is not None
    assert packet.tcp.checksum_ok is False


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (tcp()[:19], "a TCP header of 19 bytes, at least 20 are needed"),
        (tcp(offset=4), "a TCP data offset of 16 bytes in a segment of 20"),
        (tcp(offset=6), "a TCP data offset of 24 bytes in a segment of 20"),
    ],
)
def test_a_header_that_its_segment_cannot_hold_is_malformed(body: bytes, said: str) -> None:
    assert reason(body) == Refused(said, Kind.MALFORMED)


def test_what_is_quoted_of_a_segment() -> None:
    assert quoted_tcp(tcp()[:7]) is None
    assert quoted_tcp(tcp(seq=9)[:8]) == Tcp(17350, 22, Flag(0), 9)
    assert quoted_tcp(tcp(seq=9, flags=0x10, ack=3)) == Tcp(17350, 22, Flag.ACK, 9, 3, 64240)


def test_a_datagram() -> None:
    assert packet_of(ether(ip4(udp(b"hello"), protocol=UDP))).udp == Udp(40000, 53, 5)


def test_a_datagram_of_length_zero_fills_its_packet() -> None:
    assert packet_of(ether(ip4(udp(b"hello", length=0), protocol=UDP))).udp == Udp(40000, 53, 5)


def test_a_broken_datagram_is_malformed() -> None:
    assert reason(udp()[:7], UDP).reason == "a UDP header of 7 bytes, 8 are needed"
    assert reason(udp(length=7), UDP).reason == "a UDP length of 7 bytes, at least 8 are needed"


@pytest.mark.parametrize("kind", [0, 8, 13, 14])
def test_echoes_have_a_number(kind: int) -> None:
    packet = packet_of(ether(ip4(icmp(kind, 0, b"\x00\x08\x00\x01"), protocol=ICMP)))

    assert packet.icmp == Icmp(kind, 0, 8, 1)


def test_other_messages_have_none() -> None:
    assert packet_of(ether(ip4(icmp(9, 16), protocol=ICMP))).icmp == Icmp(9, 16)


def test_echoes_of_icmpv6() -> None:
    packet = packet_of(ether(ip6(icmp6(128, 0, b"\x00\x09\x00\x02"), following=ICMP6), 0x86DD))

    assert packet.icmp == Icmp(128, 0, 9, 2)


def test_a_message_of_four_bytes_is_malformed() -> None:
    assert reason(icmp(8)[:4], ICMP) == Refused("an ICMP message of 4 bytes", Kind.MALFORMED)


@pytest.mark.parametrize(
    ("protocol", "body"), [(6, tcp()), (UDP, udp(b"x" * 20)), (ICMP, icmp(8, payload=b"x" * 20))]
)
def test_a_header_that_the_capture_cut_is_left_out(protocol: int, body: bytes) -> None:
    frame = ether(ip4(body, protocol=protocol))
    layers = decode_ethernet(frame[:40], len(frame))

    assert not isinstance(layers, Refused)
    assert not layers.whole
    assert (layers.packet.tcp, layers.packet.udp, layers.packet.icmp) == (None, None, None)


def test_the_body_ends_where_the_ip_header_says() -> None:
    layers = decoded(ether(ip4(tcp(b"abc")) + b"padding"))

    assert (layers.body_length, layers.body[20:], layers.whole) == (23, b"abc", True)
