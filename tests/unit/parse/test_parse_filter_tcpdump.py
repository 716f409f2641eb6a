"""A capture filter admits what tcpdump itself admits, or bothways says that it does not know."""

from __future__ import annotations

import struct
import subprocess
from ipaddress import ip_address
from pathlib import Path

import pytest

from bothways.capture.pcap import read_pcap
from bothways.facts.filter_tree import admits
from bothways.facts.sighting import Tap
from bothways.parse.filter import parse_filter

pytestmark = pytest.mark.needs("tcpdump")

A, B, C = "192.0.2.1", "192.0.2.2", "198.51.100.7"
A6, B6 = "2001:db8::1", "2001:db8::2"
MAC_A, MAC_B = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")


def ether(
    payload: bytes, kind: int, src: bytes = MAC_A, dst: bytes = MAC_B, vlan: int | None = None
) -> bytes:
    tag = b"" if vlan is None else struct.pack("!HH", 0x8100, vlan)
    return dst + src + tag + struct.pack("!H", kind) + payload


def ip4(src: str, dst: str, protocol: int, payload: bytes, offset: int = 0, *, more: bool = False) -> bytes:
    field = (0x2000 if more else 0) | offset // 8
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, field, 64, protocol, 0)
    return head + ip_address(src).packed + ip_address(dst).packed + payload


def ip6(src: str, dst: str, protocol: int, payload: bytes) -> bytes:
    head = struct.pack("!IHBB", 0x60000000, len(payload), protocol, 64)
    return head + ip_address(src).packed + ip_address(dst).packed + payload


def tcp(sport: int, dport: int, flags: int, size: int = 0) -> bytes:
    return struct.pack("!HHIIBBHHH", sport, dport, 1, 1, 0x50, flags, 512, 0, 0) + b"x" * size


def udp(sport: int, dport: int, payload: bytes = b"") -> bytes:
    return struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload


def icmp(kind: int, code: int = 0) -> bytes:
    return struct.pack("!BBHHH", kind, code, 0, 1, 1) + b"ping"


def arp(op: int, spa: str, tpa: str) -> bytes:
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, op)
    return head + MAC_A + ip_address(spa).packed + bytes(6) + ip_address(tpa).packed


def vxlan(inner: bytes) -> bytes:
    return udp(49000, 4789, struct.pack("!II", 0x08000000, 5 << 8) + inner)


FRAMES = {
    "SYN": ether(ip4(A, B, 6, tcp(17350, 22, 0x02)), 0x0800),
    "SYN/ACK": ether(ip4(B, A, 6, tcp(22, 17350, 0x12)), 0x0800, MAC_B, MAC_A),
    "ACK": ether(ip4(A, B, 6, tcp(17350, 22, 0x10)), 0x0800),
    "RST": ether(ip4(B, A, 6, tcp(22, 17350, 0x04)), 0x0800, MAC_B, MAC_A),
    "data": ether(ip4(A, C, 6, tcp(40000, 443, 0x18, 900)), 0x0800),
    "FIN": ether(ip4(C, A, 6, tcp(80, 40001, 0x11)), 0x0800),
    "DNS": ether(ip4(A, C, 17, udp(5353, 53, b"q")), 0x0800),
    "UDP other": ether(ip4(C, B, 17, udp(8080, 9090)), 0x0800),
    "ping": ether(ip4(A, B, 1, icmp(8)), 0x0800),
    "pong": ether(ip4(B, A, 1, icmp(0)), 0x0800),
    "unreachable": ether(ip4(C, A, 1, icmp(3, 1) + ip4(A, C, 6, tcp(17350, 22, 2))), 0x0800),
    "ARP who-has": ether(arp(1, A, B), 0x0806, MAC_A, b"\xff" * 6),
    "ARP reply": ether(arp(2, B, A), 0x0806, MAC_B, MAC_A),
    "TCP over IPv6": ether(ip6(A6, B6, 6, tcp(17350, 22, 0x02)), 0x86DD),
    "UDP over IPv6": ether(ip6(B6, A6, 17, udp(53, 5353)), 0x86DD),
    "ICMPv6": ether(ip6(A6, B6, 58, icmp(128)), 0x86DD),
    "GRE": ether(ip4(A, B, 47, b"\0\0\x08\0" + ip4(A, B, 1, icmp(8))), 0x0800),
    "ESP": ether(ip4(A, B, 50, b"\0" * 24), 0x0800),
    "first fragment": ether(ip4(A, B, 17, udp(5353, 53, b"y" * 24), more=True), 0x0800),
    "later fragment": ether(ip4(A, B, 17, b"z" * 24, offset=32), 0x0800),
    "VXLAN": ether(ip4(A, B, 17, vxlan(ether(ip4(C, A, 6, tcp(1, 22, 0x02)), 0x0800))), 0x0800),
    "tagged": ether(ip4(A, B, 6, tcp(17350, 22, 0x02)), 0x0800, vlan=101),
}
NAMES = tuple(FRAMES)

FILTERS = """\
tcp
udp
icmp
icmp6
arp
ip
ip6
ip proto 47
ip proto \\tcp
ip6 proto 58
proto 50
esp
host 192.0.2.1
src host 192.0.2.1
dst 192.0.2.2
host 2001:db8::1
ip host 198.51.100.7
arp host 192.0.2.1
src or dst host 198.51.100.7
src and dst host 192.0.2.1
net 192.0.2.0/24
net 192.0.2
src net 198.51.100.0 mask 255.255.255.0
dst net 2001:db8::/64
not net 198.51.100.0/24
port 22
tcp port 22
udp port 53
port ssh
port domain
src port 22
dst port 22
tcp dst port 443
portrange 80-443
udp portrange 50-60
tcp src portrange 1-1023
tcp port 22 or udp port 53
port 22 or 53
port 22 and host 192.0.2.1
host 192.0.2.1 and (port 22 or port 443)
not port 22
not tcp and not udp
tcp or udp and port 53
! arp
ether host 02:00:00:00:00:01
ether src 02:00:00:00:00:02
ether dst ff:ff:ff:ff:ff:ff
ether proto 0x0806
ether proto \\ip
ether proto 0x86dd
tcp[tcpflags] & tcp-syn != 0
tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn
tcp[tcpflags] == tcp-syn
tcp[13] & 4 != 0
tcp[13] = 18
tcp[tcpflags] & (tcp-rst|tcp-fin) != 0 and host 192.0.2.1
not tcp[tcpflags] & tcp-ack != 0
less 60
greater 500
len > 60
len <= 60
udp port 4789
udp and dst port 4789
vlan
vlan 101
vlan and tcp port 22
vlan 101 and host 192.0.2.1
broadcast
multicast
ip broadcast
ether multicast
icmp[0] = 8
icmp[icmptype] == icmp-echo
ip[8] > 5
tcp[0:2] = 22
udp[4:2] > 20
tcp port 22 and not host 198.51.100.7
host 192.0.2.1 or host 2001:db8::1
src 192.0.2.1 and dst 192.0.2.2 and tcp
(src host 192.0.2.1 and dst port 22) or (src port 22 and dst host 192.0.2.1)
ip and not tcp and not udp
tcp and not (port 22 or port 80)
host 192.0.2.1 or 198.51.100.7
not host 192.0.2.1 and not port 22
not (icmp or arp)
src or dst port 22
src and dst port 22
inbound
outbound
gateway 192.0.2.1
ip6 host 2001:db8::2
ip6 and tcp
ip src 192.0.2.1
arp and src host 192.0.2.1
rarp
ip proto 1 or ip proto 17
tcp port 22 or arp or icmp
tcp port 22 or vlan 5
vlan and not tcp
not vlan and tcp
vlan or tcp port 22
tcp port 22 or (vlan and udp)
(vlan 101 and tcp port 22) or udp
udp or vlan 101 and tcp
not vlan
not (vlan and tcp)
tcp or vlan and tcp port 22
tcp port 22 or (vlan and tcp port 22)
vlan and vlan
vlan 101 or vlan 102
host 192.0.2.1 and not vlan
not not tcp
src host 192.0.2.1 or 192.0.2.2 and tcp
ip host 192.0.2.1 and 192.0.2.2
udp port 53 or 4789
tcp dst portrange 20-30 or 440-450
arp or (tcp and (port 22 or (port 443 and host 198.51.100.7)))
greater 60 and less 100
len == 54
tcp[tcpflags] & 0x12 = 0x12
tcp[tcpflags] & tcp-syn > 0
(tcp[13] & 2) != 0
host 192.0.2
"""

#: filters that tcpdump refuses: bothways must not claim to know what they admit
REFUSED = (
    "tcp port", "host", "port 70000", "and tcp", "tcp and", "(tcp", "tcp)", "host 192.0.2.1 192.0.2.2",
    "tcp udp",
    "port 22 23", "src", "net 192.0.2.1/33", "tcp host 192.0.2.1", "portrange 9-x", "nonsense", "not", "len",
)  # fmt: skip


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All frames in one file, the time of each being its number."""
    path = tmp_path_factory.mktemp("filter") / "frames.pcap"
    records = [
        struct.pack("<IIII", number, 0, len(frame), len(frame)) + frame
        for number, frame in enumerate(FRAMES.values())
    ]
    path.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + b"".join(records))
    return path


def admitted(path: Path, text: str) -> set[str] | None:
    """Names of the frames that tcpdump keeps, None if it refuses the filter."""
    result = subprocess.run(
        ["tcpdump", "-r", str(path), "-w", "-", *([text] if text else [])], capture_output=True, check=False
    )
    if result.returncode:
        return None
    data, at, kept = result.stdout, 24, set()
    while at < len(data):
        seconds, _, size, _ = struct.unpack_from("<IIII", data, at)
        kept.add(NAMES[seconds])
        at += 16 + size
    return kept


#: what the answers may be None for: parts that the tree keeps as text, tags, and tunnels read as their inside
def answers(path: Path, text: str) -> dict[str, bool | None]:
    """What bothways says of every frame that it decodes."""
    tap = Tap("h", "root", "eth0")
    sightings, _ = read_pcap(path.read_bytes(), tap=tap, file="eth0.pcap", names=None)
    tree = parse_filter(text)
    return {NAMES[s.position]: admits(tree, s.packet, s.tunnel) for s in sightings}


@pytest.mark.parametrize("text", ["", *FILTERS.splitlines()])
def test_a_filter_admits_what_tcpdump_admits_or_is_not_known(capture: Path, text: str) -> None:
    truth = admitted(capture, text)
    said = answers(capture, text)

    if truth is None:
        assert set(said.values()) == {None}, "tcpdump refuses this filter on Ethernet"
        return
    assert {name: answer for name, answer in said.items() if answer not in (None, name in truth)} == {}


def test_most_answers_are_known(capture: Path) -> None:
    every = [answer for text in FILTERS.splitlines() for answer in answers(capture, text).values()]

    assert len(every) > 2000
    assert every.count(None) < len(every) * 0.3, "a filter that is not known says nothing"


@pytest.mark.parametrize("text", REFUSED)
def test_a_filter_that_tcpdump_refuses_is_not_known(capture: Path, text: str) -> None:
    assert admitted(capture, text) is None
    assert set(answers(capture, text).values()) == {None}
