"""Ethernet with tags, the cooked headers of an ``any`` capture, and packets without a link header."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from capture_samples import MAC1, MAC2, arp, ether, ip4, ip6, packet_of, sll, sll2, tcp, tcp6

from bothways.capture.layers import Layers, Refused
from bothways.capture.link_layer import LINK_TYPES, Link, decode_ethernet
from bothways.facts.address import BROADCAST, UNKNOWN_MAC
from bothways.facts.packet import ETH_ARP, ETH_IP, ETH_IP6
from bothways.facts.sighting import Direction
from bothways.facts.span import Kind

RAW, SLL, SLL2 = 101, 113, 276


def linked(kind: int, frame: bytes) -> Link:
    return LINK_TYPES[kind](frame, len(frame))


def content(link: Link) -> Layers:
    assert isinstance(link.content, Layers)
    return link.content


def test_ethernet() -> None:
    packet = packet_of(ether(ip4(tcp())))

    assert (packet.ethernet.src, packet.ethernet.dst) == (MAC1, MAC2)
    assert (packet.ethernet.type, packet.ethernet.vlan) == (ETH_IP, None)
    assert packet.length == 54


@pytest.mark.parametrize(
    ("tags", "vlan"),
    [
        ([(0x8100, 101)], 101),
        ([(0x8100, 0xE065)], 101),  # priority 7 and a VID of 101
        ([(0x88A8, 500), (0x8100, 101)], 500),
        ([(0x9100, 3), (0x8100, 4), (0x8100, 5)], 3),
        ([(0x8100, 0)], 0),  # a priority tag
    ],
)
def test_tags_are_taken_off_and_the_outermost_vid_is_kept(tags: list[tuple[int, int]], vlan: int) -> None:
    frame = ether(ip4(tcp()), tags=tags)
    packet = packet_of(frame)

    assert (packet.ethernet.vlan, packet.ethernet.type) == (vlan, ETH_IP)
    assert packet.tcp is not None
    assert packet.length == len(frame)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "an Ethernet header of 0 bytes, 14 are needed"),
        (ether(b"")[:13], "an Ethernet header of 13 bytes, 14 are needed"),
        (ether(b"\0\0\0", 0x8100), "a VLAN tag that ends after the frame"),
    ],
)
def test_a_header_that_ends_too_early_is_malformed(frame: bytes, reason: str) -> None:
    assert decode_ethernet(frame, len(frame)) == Refused(reason, Kind.MALFORMED)


@pytest.mark.parametrize("kind", [0x26, 0x5DC, 0x88CC, 0x8809, 0x888E])
def test_control_frames_of_the_link_are_known_and_say_nothing(kind: int) -> None:
    refused = decode_ethernet(ether(b"\0" * 46, kind), 60)

    assert isinstance(refused, Refused)
    assert refused.kind is None


def test_other_ethertypes_are_not_modelled() -> None:
    assert decode_ethernet(ether(b"\0" * 46, 0x8847), 60) == Refused("ethertype 0x8847", Kind.UNMODELLED)


def test_padding_belongs_to_the_frame_and_not_to_the_segment() -> None:
    packet = packet_of(ether(ip4(tcp()) + b"\0" * 6))

    assert packet.length == 60
    assert packet.tcp is not None
    assert (packet.tcp.length, packet.tcp.checksum_ok) == (0, True)


@pytest.mark.parametrize(
    ("way", "word", "direction", "dst"),
    [
        (0, "In", Direction.IN, UNKNOWN_MAC),
        (1, "B", Direction.IN, BROADCAST),
        (2, "M", Direction.IN, UNKNOWN_MAC),
        (3, "P", Direction.IN, UNKNOWN_MAC),
        (4, "Out", Direction.OUT, UNKNOWN_MAC),
        (5, "?", None, UNKNOWN_MAC),
    ],
)
def test_cooked_headers_tell_the_way(way: int, word: str, direction: Direction | None, dst: str) -> None:
    second = linked(SLL2, sll2(ip4(tcp()), way=way, ifindex=300))
    first = linked(SLL, sll(ip4(tcp()), way=way))

    assert (second.way, second.direction, second.ifindex) == (word, direction, 300)
    assert (first.way, first.direction, first.ifindex) == ("", direction, None)
    for link in (first, second):
        assert content(link).packet.ethernet.src == MAC1
        assert content(link).packet.ethernet.dst == dst


@pytest.mark.parametrize(("kind", "build"), [(SLL, sll), (SLL2, sll2)])
def test_a_cooked_frame_counts_as_long_as_it_was_on_the_wire(
    kind: int, build: Callable[[bytes], bytes]
) -> None:
    assert content(linked(kind, build(ip4(tcp())))).packet.length == 54


def test_a_device_without_an_ethernet_header_adds_none_to_the_length() -> None:
    ppp, loopback = sll2(ip4(tcp()), hardware=512), sll2(ip4(tcp()), hardware=772)

    assert content(linked(SLL2, ppp)).packet.length == 40
    assert content(linked(SLL2, loopback)).packet.length == 54


def test_a_gre_device_carries_ethertypes() -> None:
    packet = content(linked(SLL, sll(ip6(tcp6()), 0x86DD, hardware=778))).packet

    assert (packet.ethernet.type, packet.length) == (ETH_IP6, 60)


@pytest.mark.parametrize("hardware", [803, 824])
def test_netlink_and_radio_frames_say_nothing_about_ip(hardware: int) -> None:
    refused = linked(SLL2, sll2(ip4(tcp()), hardware=hardware)).content

    assert isinstance(refused, Refused)
    assert refused.kind is None


def test_a_cooked_sender_that_has_no_mac_is_unknown() -> None:
    frame = bytearray(sll2(ip4(tcp())))
    frame[11] = 0

    assert content(linked(SLL2, bytes(frame))).packet.ethernet.src == UNKNOWN_MAC


@pytest.mark.parametrize(("kind", "needed"), [(SLL, 16), (SLL2, 20)])
def test_a_cooked_header_that_ends_too_early(kind: int, needed: int) -> None:
    refused = linked(kind, b"\0" * (needed - 1)).content

    assert refused == Refused(f"a cooked header of {needed - 1} bytes, {needed} are needed", Kind.MALFORMED)


def test_cooked_arp_and_tags() -> None:
    assert content(linked(SLL2, sll2(arp(), 0x0806))).packet.ethernet.type == ETH_ARP
    tagged = content(linked(SLL2, sll2(b"\x00\x65\x08\x00" + ip4(tcp()), 0x8100)))
    assert tagged.packet.ethernet.vlan == 101


@pytest.mark.parametrize("kind", [12, 14, RAW, 228, 229])
@pytest.mark.parametrize(("body", "ethertype"), [(ip4(tcp()), ETH_IP), (ip6(tcp6()), ETH_IP6)])
def test_a_packet_without_link_header(kind: int, body: bytes, ethertype: int) -> None:
    packet = content(linked(kind, body)).packet

    assert (packet.ethernet.type, packet.ethernet.src, packet.length) == (ethertype, UNKNOWN_MAC, len(body))


def test_an_empty_packet_without_link_header() -> None:
    assert linked(RAW, b"").content == Refused("an empty frame", Kind.MALFORMED)
