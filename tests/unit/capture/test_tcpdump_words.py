"""A frame in tcpdump's words, the round trip through them, and what the installed tcpdump prints of it."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import pytest
from capture_oracles import OWN, Joined, own_captures, tcpdump, third_party
from capture_samples import (
    CLIENT6,
    MAC2,
    OPTIONS,
    SERVER,
    SERVER6,
    TAP,
    arp,
    decoded,
    ether,
    icmp,
    icmp6,
    ip4,
    ip6,
    pcap,
    seen,
    sll2,
    tcp,
    tcp6,
    udp,
    vxlan,
)
from hypothesis import given
from hypothesis import strategies as st

from bothways.capture.tcpdump_text import read_tcpdump_text
from bothways.capture.tcpdump_words import clock_words, frame_words, packet_words
from bothways.capture.tunnel import open_tunnel
from bothways.facts.packet import Flag, Packet
from bothways.facts.sighting import Direction, Sighting, Tap

ANY = Tap("host1", "root", "any")
QUOTED = ip4(tcp(), ttl=1)
QUOTED_UDP = ip4(udp(b"x" * 20), protocol=17)
QUOTED6 = ip6(tcp6())


def error(kind: int, code: int, quoted: bytes = QUOTED, rest: bytes = b"\0\0\0\0") -> bytes:
    message = icmp(kind, code, rest, quoted)
    return ether(ip4(message, src=SERVER, dst="192.0.2.1", protocol=1))


def error6(kind: int, code: int, rest: bytes = b"\0\0\0\0") -> bytes:
    message = icmp6(kind, code, rest, QUOTED6, src=SERVER6, dst=CLIENT6)
    return ether(ip6(message, src=SERVER6, dst=CLIENT6, following=58), 0x86DD)


def neighbour(kind: int) -> bytes:
    target = bytes.fromhex("20010db8000000000000000000000022")
    return ether(ip6(icmp6(kind, payload=target), following=58, hops=255), 0x86DD)


TWO_BLOCKS = bytes.fromhex("01010512 00000005 00000007 00000009 0000000b")
ENDS = "IP 192.0.2.1.17350 > 198.51.100.22.22:"
#: frame -> its words, of which each is what tcpdump 4.99 prints
FRAMES: dict[str, tuple[bytes, str]] = {
    "syn": (ether(ip4(tcp())), f"{ENDS} Flags [S], seq 1000, win 64240, length 0"),
    "syn with options": (
        ether(ip4(tcp(options=OPTIONS))),
        (
            f"{ENDS} Flags [S], seq 1000, win 64240, "
            "options [mss 1460,sackOK,TS val 7 ecr 8,nop,wscale 7], length 0"
        ),
    ),
    "data": (
        ether(ip4(tcp(b"x" * 9, flags=0x18, seq=0xFFFFFFFE, ack=4000000007), fragment=0)),
        f"{ENDS} Flags [P.], seq 4294967294:7, ack 4000000007, win 64240, length 9",
    ),
    "bare ack": (
        ether(ip4(tcp(flags=0x10, ack=4000000007))),
        f"{ENDS} Flags [.], ack 4000000007, win 64240, length 0",
    ),
    "reset": (
        ether(ip4(tcp(flags=0x04, window=0))),
        f"{ENDS} Flags [R], seq 1000, win 0, length 0",
    ),
    "urgent": (
        ether(ip4(tcp(b"x", flags=0x38, ack=4000000007, urgent=5))),
        f"{ENDS} Flags [P.U], seq 1000:1001, ack 4000000007, win 64240, urg 5, length 1",
    ),
    "no flags": (ether(ip4(tcp(flags=0))), f"{ENDS} Flags [none], win 64240, length 0"),
    "selective": (
        ether(ip4(tcp(flags=0x10, ack=4000000007, options=TWO_BLOCKS))),
        f"{ENDS} Flags [.], ack 4000000007, win 64240, options [nop,nop,sack 2 {{5:7}}{{9:11}}], length 0",
    ),
    "end of options": (
        ether(ip4(tcp(options=bytes.fromhex("01000000")))),
        f"{ENDS} Flags [S], seq 1000, win 64240, options [nop,eol], length 0",
    ),
    "datagram": (
        ether(ip4(udp(b"x" * 40, dport=40001), protocol=17)),
        "IP 192.0.2.1.40000 > 198.51.100.22.40001: UDP, length 40",
    ),
    "first fragment": (
        ether(ip4(tcp(b"x" * 12), fragment=0x2000)),
        f"{ENDS} Flags [S], seq 1000:1012, win 64240, length 12",
    ),
    "later fragment": (ether(ip4(b"x" * 40, fragment=100)), "IP 192.0.2.1 > 198.51.100.22: ip-proto-6"),
    "six": (
        ether(ip6(tcp6()), 0x86DD),
        "IP6 2001:db8::1.17350 > 2001:db8::22.22: Flags [S], seq 1000, win 64240, length 0",
    ),
    "hop by hop": (
        ether(ip6(b"\x06\0\x05\x02\0\0\x01\0" + tcp6(), following=0), 0x86DD),
        "IP6 2001:db8::1 > 2001:db8::22: HBH 17350 > 22: Flags [S], seq 1000, win 64240, length 0",
    ),
    "later fragment of six": (
        ether(ip6(struct.pack("!BBHI", 6, 0, 1448, 9) + b"x" * 30, following=44), 0x86DD),
        "IP6 2001:db8::1 > 2001:db8::22: frag (1448|30)",
    ),
    "ping": (
        ether(ip4(icmp(8, 0, b"\0\x08\0\x01", b"x" * 56), protocol=1)),
        "IP 192.0.2.1 > 198.51.100.22: ICMP echo request, id 8, seq 1, length 64",
    ),
    "pong": (
        ether(ip4(icmp(0, 0, b"\0\x08\0\x01", b"x" * 56), protocol=1)),
        "IP 192.0.2.1 > 198.51.100.22: ICMP echo reply, id 8, seq 1, length 64",
    ),
    "port": (
        error(3, 3),
        "IP 198.51.100.22 > 192.0.2.1: ICMP 198.51.100.22 tcp port 22 unreachable, length 48",
    ),
    "udp port": (
        error(3, 3, QUOTED_UDP),
        "IP 198.51.100.22 > 192.0.2.1: ICMP 198.51.100.22 udp port 53 unreachable, length 56",
    ),
    "net": (error(3, 0), "IP 198.51.100.22 > 192.0.2.1: ICMP net 198.51.100.22 unreachable, length 48"),
    "host": (error(3, 1), "IP 198.51.100.22 > 192.0.2.1: ICMP host 198.51.100.22 unreachable, length 48"),
    "protocol": (
        error(3, 2),
        "IP 198.51.100.22 > 192.0.2.1: ICMP 198.51.100.22 protocol 6 unreachable, length 48",
    ),
    "mtu": (
        error(3, 4, rest=b"\0\0\x05\x78"),
        (
            "IP 198.51.100.22 > 192.0.2.1: "
            "ICMP 198.51.100.22 unreachable - need to frag (mtu 1400), length 48"
        ),
    ),
    "prohibited": (
        error(3, 10),
        (
            "IP 198.51.100.22 > 192.0.2.1: "
            "ICMP host 198.51.100.22 unreachable - admin prohibited, length 48"
        ),
    ),
    "filtered": (
        error(3, 13),
        (
            "IP 198.51.100.22 > 192.0.2.1: "
            "ICMP host 198.51.100.22 unreachable - admin prohibited filter, length 48"
        ),
    ),
    "redirect": (
        error(5, 1, rest=bytes([192, 0, 2, 9])),
        "IP 198.51.100.22 > 192.0.2.1: ICMP redirect 198.51.100.22 to host 192.0.2.9, length 48",
    ),
    "redirect of a service": (
        error(5, 2, rest=bytes([192, 0, 2, 9])),
        "IP 198.51.100.22 > 192.0.2.1: ICMP redirect-tos 198.51.100.22 to net 192.0.2.9, length 48",
    ),
    "exceeded": (error(11, 0), "IP 198.51.100.22 > 192.0.2.1: ICMP time exceeded in-transit, length 48"),
    "reassembly": (error(11, 1), "IP 198.51.100.22 > 192.0.2.1: ICMP ip reassembly time exceeded, length 48"),
    "route of six": (
        error6(1, 0),
        (
            "IP6 2001:db8::22 > 2001:db8::1: "
            "ICMP6, destination unreachable, unreachable route 2001:db8::22, length 68"
        ),
    ),
    "port of six": (
        error6(1, 4),
        (
            "IP6 2001:db8::22 > 2001:db8::1: "
            "ICMP6, destination unreachable, unreachable port, 2001:db8::22 tcp port 22, length 68"
        ),
    ),
    "too big": (
        error6(2, 0, b"\0\0\x05\0"),
        "IP6 2001:db8::22 > 2001:db8::1: ICMP6, packet too big, mtu 1280, length 68",
    ),
    "exceeded six": (
        error6(3, 0),
        "IP6 2001:db8::22 > 2001:db8::1: ICMP6, time exceeded in-transit for 2001:db8::22, length 68",
    ),
    "solicitation": (
        neighbour(135),
        "IP6 2001:db8::1 > 2001:db8::22: ICMP6, neighbor solicitation, who has 2001:db8::22, length 24",
    ),
    "advertisement": (
        neighbour(136),
        "IP6 2001:db8::1 > 2001:db8::22: ICMP6, neighbor advertisement, tgt is 2001:db8::22, length 24",
    ),
    "who has": (ether(arp(), 0x0806), "ARP, Request who-has 198.51.100.22 tell 192.0.2.1, length 28"),
    "who has, asked of one": (
        ether(arp(tha=MAC2), 0x0806),
        f"ARP, Request who-has 198.51.100.22 ({MAC2}) tell 192.0.2.1, length 28",
    ),
    "is at": (
        ether(arp(2, sha=MAC2, spa=SERVER), 0x0806),
        f"ARP, Reply 198.51.100.22 is-at {MAC2}, length 28",
    ),
    "tunnel": (
        vxlan(ether(ip4(tcp()))),
        (
            f"IP 10.1.0.11.51234 > 10.1.0.15.4789: VXLAN, flags [I] (0x08), vni 1086 "
            f"{ENDS} Flags [S], seq 1000, win 64240, length 0"
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FRAMES)
def test_words(name: str) -> None:
    frame, words = FRAMES[name]

    assert packet_words(open_tunnel(decoded(frame))) == words


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        (132, "sctp 12"),
        (2, "igmp 12"),
        (50, "ESP 12"),
        (89, "OSPF 12"),
        (253, "ip-proto-253 12"),
    ],
)
def test_protocols_that_are_not_followed_have_a_name_and_a_size(protocol: int, words: str) -> None:
    layers = decoded(ether(ip4(b"\0" * 12, protocol=protocol)))

    assert packet_words(layers) == f"IP 192.0.2.1 > 198.51.100.22: {words}"


@pytest.mark.parametrize(
    ("time_ns", "words"),
    [
        (0, "00:00:00.000000"),
        (86_399_999_999_999, "23:59:59.999999"),
        (1_700_000_000_000_001_999, "22:13:20.000001"),
        (3600 * 10**9 + 5000, "01:00:00.000005"),
    ],
)
def test_clock_words(time_ns: int, words: str) -> None:
    assert clock_words(time_ns) == words


@pytest.mark.parametrize(
    ("device", "way", "before"),
    [
        ("eth0", "In", "00:00:00.000000 eth0  In  ARP"),
        ("eth0", "Out", "00:00:00.000000 eth0  Out ARP"),
        (None, "P", "00:00:00.000000 ?     P   ARP"),
        ("qg-5d88ef18-33", "B", "00:00:00.000000 qg-5d88ef18-33 B   ARP"),
        ("eth0", "", "00:00:00.000000 ARP"),
    ],
)
def test_frame_words(device: str | None, way: str, before: str) -> None:
    words = frame_words(decoded(ether(arp(), 0x0806)), 0, device=device, way=way)

    assert words.startswith(f"{before}, Request who-has")


# the round trip: bytes, words, and read again


def shown(packet: Packet) -> Packet:
    """A packet without what the words leave out."""
    blank = Packet(ip=packet.ip, arp=packet.arp, tcp=packet.tcp, udp=packet.udp, icmp=packet.icmp)
    if packet.ip is not None:
        ip = replace(packet.ip, ttl=None, id=None, tos=None, df=None, more=False)
        blank = replace(blank, ethernet=replace(blank.ethernet, type=0), ip=ip)
    if packet.tcp is not None:
        numbered = packet.tcp.length or packet.tcp.flags & (Flag.SYN | Flag.FIN | Flag.RST)
        seq = packet.tcp.seq if numbered else None
        blank = replace(blank, tcp=replace(packet.tcp, seq=seq, checksum_ok=None))
    if packet.icmp is not None:
        blank = replace(blank, icmp=replace(packet.icmp, inner=None))
    return replace(blank, ethernet=replace(blank.ethernet, type=0))


def reread(sightings: tuple[Sighting, ...], tap: Tap = TAP) -> tuple[Sighting, ...]:
    answer = read_tcpdump_text("\n".join(s.span.text for s in sightings), tap=tap, file="eth0.txt")
    assert answer.problems == ()
    return answer.sightings


@pytest.mark.parametrize("name", [name for name in FRAMES if "fragment" not in name and "has" not in name])
def test_words_are_read_as_the_same_packet(name: str) -> None:
    written, _ = seen(pcap(FRAMES[name][0]))
    (again,) = reread(written)

    before, after = shown(written[0].packet), shown(again.packet)
    if before.arp is not None and after.arp is not None:
        assert (after.arp.op, after.arp.spa, after.arp.sha) == (before.arp.op, before.arp.spa, before.arp.sha)
        return
    assert after == before
    assert again.tunnel == written[0].tunnel
    assert again.time_ns == written[0].time_ns % (86_400 * 10**9)


OPTION_LISTS = st.lists(
    st.sampled_from(["020405b4", "0402", "030307", "080a0000000700000008", "01", "050a0000000500000007"]),
    max_size=4,
    unique=True,
).map(lambda words: bytes.fromhex("".join(words)))


@given(
    flags=st.integers(0, 255),
    seq=st.integers(0, 2**32 - 1),
    ack=st.integers(0, 2**32 - 1),
    window=st.integers(0, 65535),
    options=OPTION_LISTS,
    payload=st.binary(max_size=30),
    ports=st.tuples(st.integers(0, 65535), st.integers(0, 65535)),
)
def test_any_segment_survives_the_round_trip(
    flags: int, seq: int, ack: int, window: int, options: bytes, payload: bytes, ports: tuple[int, int]
) -> None:
    padded = options + b"\1" * (-len(options) % 4)
    segment = tcp(
        payload, sport=ports[0], dport=ports[1], flags=flags, seq=seq, ack=ack, window=window, options=padded
    )  # fmt: skip
    written, _ = seen(pcap(ether(ip4(segment))))
    (again,) = reread(written)

    before, after = shown(written[0].packet), shown(again.packet)
    assert after.ip == before.ip
    assert before.tcp is not None
    assert after.tcp is not None
    sent = before.tcp
    if not sent.flags & Flag.ACK:
        assert after.tcp.ack is None  # a line does not show the field without the flag
        sent = replace(sent, ack=None)
    if after.tcp.relative or (after.tcp.ack is None and sent.ack is not None):
        # numbers so small that they look relative: one line cannot tell
        assert max(seq, ack) < 2**24
        return
    if before.tcp.flags & Flag.ACK and not before.tcp.flags & Flag.SYN and max(seq, ack) < 2**24:
        return
    sack = sent.options.sack if after.tcp.options.sack else ()
    assert after.tcp == replace(sent, options=replace(sent.options, sack=sack))


@given(
    vni=st.integers(0, 2**24 - 1),
    way=st.sampled_from([0, 1, 2, 3, 4]),
    length=st.integers(0, 50),
)
def test_cooked_and_tunnelled_frames_survive_the_round_trip(vni: int, way: int, length: int) -> None:
    inner = ether(ip4(udp(b"x" * length, dport=40001), protocol=17))
    outer = vxlan(inner, vni=vni)[14:]
    written, _ = seen(pcap(sll2(outer, ifindex=3, way=way), link=276), tap=ANY, names={3: "eth1"})
    (again,) = reread(written, ANY)

    assert again.tunnel == written[0].tunnel
    assert (again.device, again.direction) == ("eth1", Direction.OUT if way == 4 else Direction.IN)
    assert shown(again.packet) == shown(written[0].packet)


# the installed tcpdump


def printed(joined: Joined, folder: Path) -> list[tuple[str, str]]:
    """Our words and tcpdump's, of every frame that gives a sighting, where they differ."""
    theirs = tcpdump(joined.write(folder), "nS").by_frame()
    sightings, _ = seen(joined.data)
    assert sightings
    return [
        (sighting.span.text, theirs[frame])
        for sighting in sightings
        if (frame := sighting.span.frame or 0) and not same(sighting, theirs[frame])
    ]


def same(sighting: Sighting, theirs: str) -> bool:
    """Equal but for what is left out on purpose: what TCP and UDP carry."""
    ours = sighting.span.text
    if sighting.packet.tcp is not None:
        return theirs == ours or theirs.startswith((f"{ours}:", f"{ours} "))
    if sighting.packet.udp is not None and sighting.tunnel is None:
        return theirs.startswith(ours.partition(": UDP")[0] + ": ")
    return theirs == ours


@pytest.mark.needs("tcpdump")
def test_tcpdump_prints_the_same_of_frames_that_are_built_here(tmp_path: Path) -> None:
    frames = [frame for frame, _ in FRAMES.values()]

    assert printed(Joined(1, pcap(*frames), ()), tmp_path) == []


@pytest.mark.needs("tcpdump")
@pytest.mark.shared
@pytest.mark.parametrize("link", OWN)
def test_tcpdump_prints_the_same_of_recorded_evidence(link: int, tmp_path: Path) -> None:
    def without_device(line: str) -> str:
        clock, _, rest = line.split(maxsplit=2)
        return f"{clock} {rest}"

    different = printed(own_captures()[link], tmp_path)
    if link != 276:
        assert different == []
        return
    # tcpdump names the devices of the machine that it runs on.
    assert different
    assert [without_device(ours) for ours, _ in different] == [
        without_device(theirs)[: len(without_device(ours))] for ours, theirs in different
    ]


@pytest.mark.needs("tcpdump")
@pytest.mark.shared
def test_tcpdump_prints_the_same_of_other_projects_captures(tmp_path: Path) -> None:
    different = printed(third_party()[1], tmp_path)
    followed = [
        (ours, theirs)
        for ours, theirs in different
        if ("Flags [" in ours or "UDP" in ours or ": ICMP" in ours)
        # Left out on purpose: rare options and messages, the insides of extension headers, VXLAN by
        # its old port, frames shorter than their header says, and what tcpdump gives up on.
        and not any(word in ours for word in ("unknown-", "type-#", "srcrt", "8472: VXLAN", " AH "))
        and not any(word in theirs for word in ("truncated-ip", "bad-len", "[|", "RPKI-RTR", "LDP", "[Error"))
    ]

    assert len(followed) < 20, followed[:20]
