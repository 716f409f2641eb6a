"""Every decoded field held against tshark: frames built here, recorded evidence, other projects' captures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from capture_oracles import OWN, Joined, Row, own_captures, third_party, tshark
from capture_samples import (
    MAC2,
    OPTIONS,
    arp,
    ether,
    icmp,
    icmp6,
    ip4,
    ip6,
    pcap,
    seen,
    sll,
    sll2,
    tcp,
    tcp6,
    udp,
    vxlan,
)

from bothways.facts.packet import ICMP6, Packet
from bothways.facts.sighting import Sighting

pytestmark = pytest.mark.needs("tshark")

FIELDS = (
    "frame.protocols",
    "_ws.malformed",
    "eth.src",
    "eth.dst",
    "vlan.id",
    "ieee8021ad.id",
    "vxlan.vni",
    "ip.src",
    "ip.dst",
    "ip.ttl",
    "ip.id",
    "ip.dsfield",
    "ip.proto",
    "ip.flags.df",
    "ip.flags.mf",
    "ip.frag_offset",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.hlim",
    "ipv6.tclass",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.flags",
    "tcp.seq_raw",
    "tcp.ack_raw",
    "tcp.window_size_value",
    "tcp.len",
    "tcp.checksum.status",
    "tcp.options.mss_val",
    "tcp.options.wscale.shift",
    "tcp.options.timestamp.tsval",
    "tcp.options.timestamp.tsecr",
    "tcp.options.sack_le",
    "tcp.options.sack_re",
    "udp.srcport",
    "udp.dstport",
    "udp.length",
    "icmp.type",
    "icmp.code",
    "icmp.ident",
    "icmp.seq",
    "icmpv6.type",
    "icmpv6.code",
    "icmpv6.echo.identifier",
    "icmpv6.echo.sequence_number",
    "arp.opcode",
    "arp.src.hw_mac",
    "arp.src.proto_ipv4",
    "arp.dst.hw_mac",
    "arp.dst.proto_ipv4",
)

#: field of tshark, the layer that has it, what we say, how its text is read
Compared = tuple[str, str, object, Callable[[str], object]]
CHECKSUM = {True: 1, False: 0, None: 2}


def number(text: str) -> int:
    return int(text, 0)


def flag(text: str) -> bool:
    return text in ("1", "True")


def arp_fields(packet: Packet) -> Iterator[Compared]:
    arp = packet.arp
    assert arp is not None
    yield "arp.opcode", "arp", int(arp.op), number
    yield "arp.src.hw_mac", "arp", arp.sha, str
    yield "arp.dst.hw_mac", "arp", arp.tha, str
    yield "arp.src.proto_ipv4", "arp", str(arp.spa), str
    yield "arp.dst.proto_ipv4", "arp", str(arp.tpa), str


def ip_fields(packet: Packet) -> Iterator[Compared]:
    ip = packet.ip
    assert ip is not None
    if ip.src.version == 6:
        yield "ipv6.src", "ipv6", str(ip.src), str
        yield "ipv6.dst", "ipv6", str(ip.dst), str
        yield "ipv6.hlim", "ipv6", ip.ttl, number
        yield "ipv6.tclass", "ipv6", ip.tos, number
        return
    yield "ip.src", "ip", str(ip.src), str
    yield "ip.dst", "ip", str(ip.dst), str
    yield "ip.ttl", "ip", ip.ttl, number
    yield "ip.id", "ip", ip.id, number
    yield "ip.dsfield", "ip", ip.tos, number
    yield "ip.proto", "ip", ip.protocol, number
    yield "ip.flags.df", "ip", ip.df, flag
    yield "ip.flags.mf", "ip", ip.more, flag
    yield "ip.frag_offset", "ip", ip.offset // 8, number  # tshark counts in units of eight


def tcp_fields(packet: Packet) -> Iterator[Compared]:
    tcp = packet.tcp
    assert tcp is not None
    yield "tcp.srcport", "tcp", tcp.sport, number
    yield "tcp.dstport", "tcp", tcp.dport, number
    yield "tcp.flags", "tcp", int(tcp.flags), lambda text: number(text) & 0xFF
    yield "tcp.seq_raw", "tcp", tcp.seq, number
    if tcp.ack is not None:
        yield "tcp.ack_raw", "tcp", tcp.ack, number
    yield "tcp.window_size_value", "tcp", tcp.window, number
    if packet.ip is not None and not packet.ip.more:  # tshark gives fragments no length
        yield "tcp.len", "tcp", tcp.length, number
    yield "tcp.checksum.status", "tcp", CHECKSUM[tcp.checksum_ok], number
    options = tcp.options
    if options.mss is not None:
        yield "tcp.options.mss_val", "tcp", options.mss, number
    if options.wscale is not None:
        yield "tcp.options.wscale.shift", "tcp", options.wscale, number
    if options.timestamp is not None:
        yield "tcp.options.timestamp.tsval", "tcp", options.timestamp[0], number
        yield "tcp.options.timestamp.tsecr", "tcp", options.timestamp[1], number
    for left, right in options.sack[:1]:
        yield "tcp.options.sack_le", "tcp", left, number
        yield "tcp.options.sack_re", "tcp", right, number


def udp_fields(packet: Packet) -> Iterator[Compared]:
    udp = packet.udp
    assert udp is not None
    assert udp.length is not None
    yield "udp.srcport", "udp", udp.sport, number
    yield "udp.dstport", "udp", udp.dport, number
    yield "udp.length", "udp", udp.length + 8, number


def icmp_fields(packet: Packet) -> Iterator[Compared]:
    icmp, ip = packet.icmp, packet.ip
    assert icmp is not None
    assert ip is not None
    layer = "icmpv6" if ip.protocol == ICMP6 else "icmp"
    ident, seq = (
        ("icmpv6.echo.identifier", "icmpv6.echo.sequence_number")
        if layer == "icmpv6"
        else ("icmp.ident", "icmp.seq")
    )
    yield f"{layer}.type", layer, icmp.type, number
    yield f"{layer}.code", layer, icmp.code, number
    if icmp.id is not None:
        yield ident, layer, icmp.id, number
        yield seq, layer, icmp.seq, number


def fields_of(sighting: Sighting, *, ethernet: bool) -> Iterator[Compared]:
    packet = sighting.packet
    if ethernet or sighting.tunnel is not None:
        yield "eth.src", "eth", packet.ethernet.src, str
        yield "eth.dst", "eth", packet.ethernet.dst, str
    if packet.ethernet.vlan is not None:
        yield "vlan.id", "vlan", packet.ethernet.vlan, number
    if packet.arp is not None:
        yield from arp_fields(packet)
        return
    yield from ip_fields(packet)
    if packet.tcp is not None:
        yield from tcp_fields(packet)
    elif packet.udp is not None:
        yield from udp_fields(packet)
    elif packet.icmp is not None:
        yield from icmp_fields(packet)


@dataclass
class Verdict:
    """What came out of one comparison."""

    compared: int = 0
    parted: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)


def layers(row: Row) -> list[str]:
    return row["frame.protocols"][0].split(":") if row["frame.protocols"] else []


def values(row: Row, field: str) -> list[str]:
    """tshark keeps the VIDs of provider tags apart; they are the outer ones."""
    return row["ieee8021ad.id"] + row[field] if field == "vlan.id" else row[field]


LINKS = frozenset({"eth", "ethertype", "vlan", "ieee8021ad", "sll", "raw"})


def followed(row: Row) -> str | None:
    """What tshark sees above the first IP header: tcp, udp, icmp, icmpv6, arp, or something else."""
    names = [name for name in layers(row) if not name.startswith("ipv6.") and name not in LINKS]
    if names[:1] in (["ip"], ["ipv6"]):
        names = names[1:]
    return names[0] if names else None


def compare(joined: Joined, rows: list[Row]) -> Verdict:
    sightings, _ = seen(joined.data)
    by_position = {s.position: s for s in sightings}
    verdict = Verdict()
    assert len(rows) == len(joined.places)
    for position, (row, place) in enumerate(zip(rows, joined.places, strict=True)):
        sighting = by_position.get(position)
        if sighting is None:
            if followed(row) in ("tcp", "udp", "icmp", "icmpv6", "arp"):
                verdict.unseen.append(f"{place}: {row['frame.protocols'][0]} {row['_ws.malformed']}")
            continue
        names = layers(row)
        if sighting.tunnel is not None and "vxlan" not in names:
            verdict.parted.append(f"{place}: only we see a tunnel")
            continue
        before = names[: names.index("vxlan")] if sighting.tunnel is not None else []
        if sighting.tunnel is not None and str(sighting.tunnel.vni) != row["vxlan.vni"][0]:
            verdict.parted.append(f"{place}: vxlan.vni {sighting.tunnel.vni} {row['vxlan.vni']}")
        for name, layer, ours, read in fields_of(sighting, ethernet=joined.link == 1):
            theirs = values(row, name)[before.count(layer) :][:1]
            verdict.compared += 1
            if [read(value) for value in theirs] != [ours]:
                verdict.parted.append(f"{place}: {name} {ours} {theirs} {row['frame.protocols'][0]}")
    return verdict


def asked(joined: Joined, folder: Path) -> Verdict:
    return compare(joined, tshark(joined.write(folder), FIELDS))


ERROR = icmp(3, 3, payload=ip4(udp(b"x" * 20), protocol=17))
BUILT = (
    ether(ip4(tcp(options=OPTIONS))),
    ether(ip4(tcp(b"payload", flags=0xFF, seq=0xFFFFFFF0, ack=1, window=0))),
    ether(ip4(tcp(b"payload", broken=True))),
    ether(ip4(tcp(flags=0x10, ack=9, options=bytes.fromhex("0101050a 00000005 00000007")))),
    ether(ip4(tcp(), options=b"\x94\x04\0\0", tos=0x2E, ttl=1, ident=0)),
    ether(ip4(tcp(b"x" * 60), fragment=0x2000)),
    ether(ip4(b"x" * 60, fragment=100)),
    ether(ip4(tcp()) + b"\0" * 6),
    ether(ip4(udp(b"x" * 40, dport=9), protocol=17)),
    ether(ip4(icmp(8, 0, b"\0\x07\0\x09", b"ping"), protocol=1)),
    ether(ip4(ERROR, protocol=1)),
    ether(ip4(tcp()), tags=[(0x8100, 0x6065)]),
    ether(ip4(tcp()), tags=[(0x88A8, 500), (0x8100, 7)]),
    ether(arp(), 0x0806),
    ether(arp(2, sha=MAC2), 0x0806),
    ether(ip6(tcp6(b"six"), tclass=0x88, hops=3), 0x86DD),
    ether(ip6(b"\x06\0\x05\x02\0\0\x01\0" + tcp6(), following=0), 0x86DD),
    ether(ip6(icmp6(128, 0, b"\0\x01\0\x02"), following=58), 0x86DD),
    vxlan(ether(ip4(tcp(options=OPTIONS)))),
    vxlan(ether(arp(), 0x0806), vni=0xFFFFFF),
)  # fmt: skip


@pytest.mark.parametrize(
    ("link", "frames"),
    [
        pytest.param(1, BUILT, id="ethernet"),
        pytest.param(113, tuple(sll(ip4(tcp()), way=way) for way in range(5)), id="cooked"),
        pytest.param(276, tuple(sll2(ip4(tcp()), way=way, ifindex=900) for way in range(5)), id="cooked 2"),
        pytest.param(101, (ip4(tcp()), ip6(tcp6())), id="raw"),
    ],
)
def test_frames_that_are_built_here(link: int, frames: tuple[bytes, ...], tmp_path: Path) -> None:
    verdict = asked(
        Joined(link, pcap(*frames, link=link), tuple(("built", n) for n in range(len(frames)))), tmp_path
    )

    assert verdict.parted == []
    assert verdict.unseen == []
    assert verdict.compared >= 12 * len(frames)


@pytest.mark.shared
@pytest.mark.parametrize("link", OWN)
def test_recorded_evidence(link: int, tmp_path: Path) -> None:
    verdict = asked(own_captures()[link], tmp_path)

    assert verdict.parted == []
    assert verdict.unseen == []
    assert verdict.compared > 1000


#: Reasons why the two may part on a capture that somebody made to break decoders; each is bounded.
EXCUSED = {
    # An IP header that claims more than the frame holds: we keep the claim, tshark the frame.
    "tcp.len": 9,
    "tcp.checksum.status": 21,
    # No total length (segmentation by the card): tshark 4.0 gives up, we read to the end of the frame.
    "bigtcp": 22,
    "udp.length": 2,
    "only we see a tunnel": 10,
    # What tshark itself calls malformed or shows as raw data.
    "[]": 3,
}


@pytest.mark.shared
def test_captures_of_other_projects(tmp_path: Path) -> None:
    verdict = asked(third_party(2)[1], tmp_path)
    excuses = Counter(
        next((excuse for excuse in ("bigtcp", *EXCUSED) if excuse in line), line) for line in verdict.parted
    )

    assert verdict.compared > 200_000
    assert excuses.keys() <= EXCUSED.keys()
    assert all(count <= EXCUSED[excuse] for excuse, count in excuses.items()), excuses
    # ARP of other networks, whose addresses have other sizes, says nothing about IPv4 over Ethernet.
    assert [line for line in verdict.unseen if line.endswith("[]") and ":arp" not in line] == []
