"""VXLAN: the frame counts as its inner packet, and the underlay is kept beside it."""

from __future__ import annotations

import struct

import pytest
from capture_samples import MAC1, arp, decoded, ether, ip4, pcap, seen, tcp, udp, vxlan

from bothways.capture.tunnel import VXLAN_PORTS, open_tunnel
from bothways.facts.address import address
from bothways.facts.packet import Tunnel

INNER = ether(ip4(tcp(src="88.88.88.4", dst="192.0.2.1", flags=0x12), src="88.88.88.4", dst="192.0.2.1"))


@pytest.mark.parametrize("port", sorted(VXLAN_PORTS))
def test_a_tunnelled_segment(port: int) -> None:
    frame = vxlan(INNER, dport=port)
    layers = open_tunnel(decoded(frame))

    assert layers.tunnel == Tunnel("vxlan", 0x43E, address("10.1.0.11"), address("10.1.0.15"))
    assert layers.packet.ip is not None
    assert str(layers.packet.ip.src) == "88.88.88.4"
    assert layers.packet.tcp is not None
    assert layers.packet.tcp.checksum_ok is True
    assert layers.packet.ethernet.src == MAC1
    assert layers.packet.length == len(frame), "what crossed the wire is the outer frame"
    assert layers.outer is not None
    assert layers.outer.packet.udp is not None
    assert layers.outer.packet.udp.dport == port


def test_a_tunnelled_arp_message_and_a_tag_inside() -> None:
    layers = open_tunnel(decoded(vxlan(ether(arp(), 0x0806, tags=[(0x8100, 7)]))))

    assert layers.packet.arp is not None
    assert layers.packet.ethernet.vlan == 7


def test_flags_beside_the_one_that_counts_do_not_matter() -> None:
    assert open_tunnel(decoded(vxlan(INNER, flags=0x88))).tunnel is not None


def plain(dport: int, payload: bytes) -> bytes:
    return ether(ip4(udp(payload, dport=dport), protocol=17))


@pytest.mark.parametrize(
    "frame",
    [
        vxlan(INNER, flags=0x00),
        vxlan(INNER, dport=4790),
        vxlan(b""),
        vxlan(ether(b"\0" * 40, 0x88CC)),
        vxlan(b"short"),
        plain(4789, b""),
        plain(4789, struct.pack("!I", 0x08000000)),
        plain(53, struct.pack("!II", 0x08000000, 0x43E00) + INNER),
    ],
)
def test_anything_else_stays_the_datagram_that_it_is(frame: bytes) -> None:
    layers = decoded(frame)

    assert open_tunnel(layers) is layers


def test_a_tunnel_inside_a_tunnel_is_not_opened() -> None:
    layers = open_tunnel(decoded(vxlan(vxlan(INNER), vni=1)))

    assert layers.tunnel is not None
    assert layers.tunnel.vni == 1
    assert layers.packet.udp is not None
    assert layers.packet.udp.dport == 4789


def test_a_sighting_of_a_tunnelled_packet_quotes_both() -> None:
    (sighting,), problems = seen(pcap(vxlan(INNER)))

    assert problems == ()
    assert sighting.tunnel is not None
    assert sighting.tunnel.vni == 1086
    assert sighting.span.text == (
        "22:13:20.000000 IP 10.1.0.11.51234 > 10.1.0.15.4789: VXLAN, flags [I] (0x08), vni 1086 "
        "IP 88.88.88.4.17350 > 192.0.2.1.22: Flags [S.], seq 1000, ack 0, win 64240, length 0"
    )


def test_a_cut_tunnelled_frame_keeps_what_it_has() -> None:
    frame = vxlan(ether(ip4(tcp(b"x" * 500))))
    (sighting,), _ = seen(pcap(frame, snaplen=len(frame) - 500))

    assert sighting.truncated
    assert sighting.packet.tcp is not None
    assert (sighting.packet.tcp.length, sighting.packet.tcp.checksum_ok) == (500, None)


def test_a_frame_that_is_cut_before_the_inner_addresses_stays_the_datagram() -> None:
    (sighting,), _ = seen(pcap(vxlan(INNER), snaplen=70))

    assert sighting.tunnel is None
    assert sighting.packet.udp is not None
