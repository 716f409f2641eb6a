"""Frames that are composed read back as the packets that they were made of."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.capture.compose_frame import compose_cooked, compose_frame, compose_tunnelled
from bothways.capture.layers import Layers
from bothways.capture.link_layer import LINK_TYPES, decode_ethernet
from bothways.capture.pcapng_write import SLL2, Interface, Record, write_pcapng
from bothways.capture.tunnel import open_tunnel
from bothways.facts.address import IPAddress, Mac, address, mac_from_int
from bothways.facts.packet import (
    ETH_ARP,
    ETH_IP,
    ETH_IP6,
    ICMP,
    ICMP6,
    TCP,
    UDP,
    Arp,
    Ethernet,
    Flag,
    Icmp,
    Ip,
    Packet,
    Tcp,
    TcpOptions,
    Udp,
)
from bothways.facts.sighting import Direction

MACS = st.integers(0, (1 << 48) - 1).map(mac_from_int)
WORD = st.integers(0, (1 << 32) - 1)
HALF = st.integers(0, 0xFFFF)
OCTET = st.integers(0, 255)
V4, V6 = st.integers(0, (1 << 32) - 1).map(IPv4Address), st.integers(0, (1 << 128) - 1).map(IPv6Address)
OPTIONS = st.builds(
    TcpOptions,
    mss=st.none() | HALF,
    wscale=st.none() | st.integers(0, 14),
    sack_ok=st.booleans(),
    timestamp=st.none() | st.tuples(WORD, WORD),
    sack=st.lists(st.tuples(WORD, WORD), max_size=2).map(tuple),
)


@st.composite
def packets(draw: st.DrawFn) -> Packet:
    """Packets as a decoder would give them."""
    vlan = draw(st.none() | st.integers(0, 4095))
    link = Ethernet(draw(MACS), draw(MACS), ETH_ARP, vlan)
    tag = 0 if vlan is None else 4
    if draw(st.booleans()) and draw(st.booleans()):
        arp = Arp(draw(st.sampled_from([1, 2])), draw(MACS), draw(V4), draw(MACS), draw(V4))
        return Packet(link, arp=arp, length=14 + tag + 28)
    old = draw(st.booleans())
    kind = draw(st.sampled_from([TCP, UDP, ICMP if old else ICMP6]))
    family: st.SearchStrategy[IPAddress] = V4 if old else V6
    ends = (draw(family), draw(family))
    ip = Ip(ends[0], ends[1], kind, draw(OCTET), tos=draw(OCTET))
    if old:
        ip = replace(ip, id=draw(HALF), df=draw(st.booleans()))
    link = replace(link, type=ETH_IP if old else ETH_IP6)
    length = draw(st.integers(0, 60))
    packet = Packet(link, ip=ip, length=None)
    if kind == TCP:
        flags, options = Flag(draw(OCTET)), draw(OPTIONS)
        if options.timestamp and options.sack:
            options = replace(options, sack=())
        tcp = Tcp(
            draw(HALF), draw(HALF), flags, draw(WORD), draw(WORD) if flags & Flag.ACK else None, draw(HALF),
            length, options, checksum_ok=True,
        )  # fmt: skip
        return replace(packet, tcp=tcp)
    if kind == UDP:
        port = draw(HALF.filter(lambda each: each not in (4789, 8472)))
        return replace(packet, udp=Udp(draw(HALF), port, length))
    echo = draw(st.sampled_from([0, 8] if old else [128, 129]))
    return replace(packet, icmp=Icmp(echo, 0, draw(HALF), draw(HALF)))


def decoded(frame: bytes) -> Packet:
    layers = decode_ethernet(frame, len(frame))
    assert isinstance(layers, Layers)
    return open_tunnel(layers).packet


@settings(max_examples=60)
@given(packets())
def test_what_is_composed_is_read_back(packet: Packet) -> None:
    frame = compose_frame(packet)

    assert decoded(frame) == replace(packet, length=len(frame))


@settings(max_examples=60)
@given(packets(), st.integers(0, (1 << 24) - 1))
def test_a_tunnelled_packet_is_read_back(packet: Packet, vni: int) -> None:
    ip = Ip(address("10.1.0.11"), address("10.1.0.15"), UDP, 64)
    frame = compose_tunnelled(packet, Packet(Ethernet(), ip, udp=Udp(60001, 4789)), vni)

    layers = decode_ethernet(frame, len(frame))

    assert isinstance(layers, Layers)
    opened = open_tunnel(layers)
    assert opened.packet == replace(packet, length=len(frame))
    assert opened.tunnel is not None
    assert (opened.tunnel.vni, opened.tunnel.src, opened.tunnel.dst) == (vni, ip.src, ip.dst)


@pytest.mark.parametrize(
    ("kind", "way", "direction"), [(0, "In", Direction.IN), (3, "P", Direction.IN), (4, "Out", Direction.OUT)]
)
def test_a_cooked_frame_says_device_and_way(kind: int, way: str, direction: Direction) -> None:
    ip = Ip(address("192.0.2.1"), address("192.0.2.2"), TCP, 64)
    packet = Packet(Ethernet(Mac("02:00:00:00:00:01")), ip, tcp=Tcp(1024, 22, Flag.SYN, 7, None, 9, 0))
    frame = compose_cooked(compose_frame(packet), ifindex=5, packet_type=kind)

    link = LINK_TYPES[SLL2](frame, len(frame))

    assert (link.ifindex, link.way, link.direction) == (5, way, direction)
    assert isinstance(link.content, Layers)
    assert link.content.packet.tcp == replace(packet.tcp or Tcp(0, 0, Flag.SYN), checksum_ok=True)


def test_an_error_quotes_the_packet_that_it_answers() -> None:
    inner_ip = Ip(address("192.0.2.1"), address("192.0.2.2"), TCP, 63)
    inner = Packet(ip=inner_ip, tcp=Tcp(1024, 22, Flag.SYN, 77, None, 9, 0))
    ip = Ip(address("192.0.2.254"), address("192.0.2.1"), ICMP, 64)

    read = decoded(compose_frame(Packet(ip=ip, icmp=Icmp(3, 1, inner=inner))))

    assert read.icmp is not None
    assert read.icmp.inner is not None
    assert read.icmp.inner.source == inner.source
    assert read.icmp.inner.tcp is not None
    assert read.icmp.inner.tcp.seq == 77


OPTIONED = TcpOptions(mss=1460, wscale=7, sack_ok=True, timestamp=(1, 2))


def sample(number: int, one: str, two: str) -> Packet:
    kind = ETH_IP6 if ":" in one else ETH_IP
    link = Ethernet(Mac("02:00:00:00:00:01"), Mac("02:00:00:00:00:02"), kind)
    packet = Packet(link, Ip(address(one), address(two), number, 64, tos=0))
    if number == TCP:
        return replace(packet, tcp=Tcp(1024, 22, Flag.PSH | Flag.ACK, 7, 9, 11, 5, OPTIONED))
    if number == UDP:
        return replace(packet, udp=Udp(1024, 9999, 7))
    return replace(packet, icmp=Icmp(128 if number == ICMP6 else 8, 0, 3, 4))


SAMPLES = [
    *(sample(number, "192.0.2.1", "192.0.2.2") for number in (TCP, UDP, ICMP)),
    *(sample(number, "2001:db8::1", "2001:db8::2") for number in (TCP, UDP, ICMP6)),
]


def file_of(tmp_path: Path) -> Path:
    """Every sample, plain at one tap and in VXLAN at another."""
    outer = Packet(ip=Ip(address("10.1.0.11"), address("10.1.0.15"), UDP, 64), udp=Udp(60001, 4789))
    outer6 = Packet(ip=Ip(address("2001:db8:1::1"), address("2001:db8:1::2"), UDP, 64), udp=Udp(60001, 4789))
    frames = [
        *((0, compose_frame(each)) for each in SAMPLES),
        *((1, compose_tunnelled(each, outer, 1086)) for each in SAMPLES),
        *((1, compose_tunnelled(each, outer6, 1086)) for each in SAMPLES),
    ]
    records = [
        Record(tap, 1_500_000_001 + n, data, "out", f"number {n}") for n, (tap, data) in enumerate(frames)
    ]
    path = tmp_path / "samples.pcapng"
    path.write_bytes(
        write_pcapng([Interface("host1:eth0"), Interface("host1:eth1", comment="underlay")], records)
    )
    return path


@pytest.mark.needs("tshark")
def test_tshark_finds_every_checksum_right_and_nothing_malformed(tmp_path: Path) -> None:
    checks = [f"{name}.check_checksum:TRUE" for name in ("ip", "tcp", "udp")]
    options = [word for check in checks for word in ("-o", check)]
    fields = ["frame.number", "frame.interface_name", "frame.time_epoch", "frame.comment", "_ws.malformed"]
    fields += ["ip.checksum.status", "tcp.checksum.status", "udp.checksum.status", "icmp.checksum.status"]
    argv = ["tshark", "-r", str(file_of(tmp_path)), *options, "-T", "fields", "-E", "separator=|"]
    result = subprocess.run(
        [*argv, *(word for field in fields for word in ("-e", field))],
        capture_output=True,
        text=True,
        check=True,
    )

    rows = [line.split("|") for line in result.stdout.splitlines()]
    assert len(rows) == 3 * len(SAMPLES)
    assert [row[1] for row in rows[:: len(SAMPLES)]] == ["host1:eth0", "host1:eth1", "host1:eth1"]
    assert rows[0][2:4] == ["1.500000001", "number 0"]
    assert {row[4] for row in rows} == {""}
    told = {status for row in rows for column in row[5:] for status in column.split(",")}
    assert "1" in told or "Good" in told
    assert told <= {"", "1", "Good", "3", "Not present", "2", "Unverified"}, told


@pytest.mark.needs("tcpdump")
def test_tcpdump_verifies_what_was_composed(tmp_path: Path) -> None:
    result = subprocess.run(
        ["tcpdump", "-nnvvr", file_of(tmp_path)], capture_output=True, text=True, check=True
    )

    assert "incorrect" not in result.stdout
    assert "bad" not in result.stdout
    assert result.stdout.count("(correct)") >= 2
    assert result.stdout.count("VXLAN") == 2 * len(SAMPLES)
    assert (
        "options [mss 1460,sackOK,TS val 1 ecr 2,nop,wscale 7]" in result.stdout
        or "wscale 7" in result.stdout
    )
