"""What the rows of nft read of one packet, literally, where no kernel can be asked or none would tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from linux_samples import OUTSIDE, device, frame, netns

from bothways.facts.address import Mac, address
from bothways.facts.conntrack import Tuple
from bothways.facts.nft import NftTable
from bothways.facts.packet import (
    ETH_ARP,
    ICMP,
    TCP,
    UDP,
    Arp,
    ArpOp,
    Ethernet,
    Flag,
    Icmp,
    Ip,
    Packet,
    TcpOptions,
    Udp,
)
from bothways.facts.span import Span
from bothways.facts.trajectory import Way
from bothways.model.linux.buffer import Buffer
from bothways.model.linux.conntrack.entry import CtState, TrackedConnection, Tracking
from bothways.model.linux.hook import Hook
from bothways.model.linux.iptables.probe import Probe
from bothways.model.linux.nftables.value import MODELLED
from bothways.model.linux.nftables.view import BREAK, View
from bothways.model.linux.nftables.write import write
from bothways.model.linux.routing import Outcome

OWN = device("out0", "192.0.2.1/24", number=2, kind="veth")
HERE = netns(OWN, routes=(), sysctls={})
SEGMENT = frame("192.0.2.9:4000", "10.0.0.5:22", "S", to=OWN)


def offering(options: TcpOptions) -> Packet:
    """The segment with other options."""
    return SEGMENT if SEGMENT.tcp is None else replace(SEGMENT, tcp=replace(SEGMENT.tcp, options=options))


SPOKEN, SILENT = offering(TcpOptions(mss=1400, sack_ok=True, size=8)), offering(TcpOptions(size=0))
TAGGED = replace(SEGMENT, ethernet=replace(SEGMENT.ethernet, vlan=5))
QUESTION = Packet(
    Ethernet(OUTSIDE, Mac("ff:ff:ff:ff:ff:ff"), ETH_ARP),
    arp=Arp(ArpOp.REQUEST, OUTSIDE, address("192.0.2.9"), Mac("00:00:00:00:00:00"), address("192.0.2.1")),
)
PING = Packet(Ethernet(), ip=Ip(address("192.0.2.9"), address("10.0.0.5"), ICMP), icmp=Icmp(8, 0, 7, 1))
PING6 = Packet(Ethernet(), ip=Ip(address("2001:db8::9"), address("2001:db8::5"), 58), icmp=Icmp(128, 0, 7, 1))
DATAGRAM = Packet(Ethernet(), ip=Ip(address("192.0.2.9"), address("10.0.0.5"), UDP), udp=Udp(4000, 53, 10))
SIX = Packet(Ethernet(), ip=Ip(address("2001:db8::9"), address("2001:db8::5"), UDP), udp=Udp(4000, 53, 10))
#: A connection that is translated, met in its original direction.
CONNECTION = TrackedConnection(
    Tuple(TCP, address("192.0.2.9"), address("192.0.2.1"), 4000, 22),
    Tuple(TCP, address("10.0.0.5"), address("192.0.2.9"), 22, 4000),
    3,
)
TRACKED = Tracking(CtState.ESTABLISHED, Way.ORIGINAL, CONNECTION, None, "")


def view(
    packet: Packet,
    *,
    family: str = "inet",
    hook: Hook = Hook.PREROUTING,
    known: bool = False,
    bridge: str = "",
) -> View:
    """A packet at a hook of the namespace."""
    outgoing = hook in (Hook.FORWARD, Hook.OUTPUT, Hook.POSTROUTING)
    buffer = Buffer(packet, device_in="out0", bridge=bridge, device_out="out0" if outgoing else "")
    probe = Probe(
        packet, hook, "out0", buffer.device_out, 0, TRACKED if known else None, False, lambda _: "unicast",  # noqa: FBT003
        lambda _: "", lambda _: Outcome("none", ""), lambda _: False, netns=HERE,
    )  # fmt: skip
    return View(NftTable(family, "t", {}, Span("nft.txt")), hook, buffer, probe, {})


def mac(text: str) -> int:
    return int(text.replace(":", ""), 16)


#: row -> how it is looked at, and what it reads
LITERAL: dict[str, tuple[View, object]] = {
    "ether daddr": (view(SEGMENT), mac(OWN.mac)),
    "ether type": (view(TAGGED), 0x8100),
    "vlan id": (view(TAGGED, family="netdev"), 5),
    "vlan type": (view(TAGGED, family="netdev"), 0x0800),
    "arp htype": (view(QUESTION, family="arp"), 1),
    "arp ptype": (view(QUESTION, family="arp"), 0x0800),
    "arp hlen": (view(QUESTION, family="arp"), 6),
    "arp plen": (view(QUESTION, family="arp"), 4),
    "arp operation": (view(QUESTION, family="arp"), 1),
    "arp saddr ether": (view(QUESTION, family="arp"), mac(OUTSIDE)),
    "arp daddr ether": (view(QUESTION, family="arp"), 0),
    "arp saddr ip": (view(QUESTION, family="arp"), int(address("192.0.2.9"))),
    "arp daddr ip": (view(QUESTION, family="arp"), int(address("192.0.2.1"))),
    "tcp doff": (view(SPOKEN), 7),
    "tcp ackseq": (view(SEGMENT), 0),
    "meta iifkind": (view(SEGMENT), "veth"),
    "meta oifkind": (view(SEGMENT, hook=Hook.FORWARD), "veth"),
    "meta secpath": (view(SEGMENT), 0),
    "meta ibrname": (view(SEGMENT, family="bridge", bridge="br0"), "br0"),
    "meta obrname": (view(SEGMENT, family="bridge", bridge="br0", hook=Hook.FORWARD), "br0"),
    "meta ibriport": (view(SEGMENT, family="bridge", bridge="br0"), "br0"),
    "meta obriport": (view(SEGMENT, family="bridge", bridge="br0", hook=Hook.FORWARD), "br0"),
    "ct original protocol": (view(SEGMENT, known=True), TCP),
    "ct reply protocol": (view(SEGMENT, known=True), TCP),
    "ct original l3proto": (view(SEGMENT, known=True), 2),
    "ct reply l3proto": (view(SEGMENT, known=True), 2),
    "ct reply proto-src": (view(SEGMENT, known=True), 22),
    "ct original zone": (view(SEGMENT, known=True), 3),
    "tcp option sack-perm": (view(SPOKEN), 1),
    "tcp option sack": (view(SPOKEN), 0),
    **{f"tcp option {name}": (view(SILENT), 0) for name in ("fastopen", "md5sig", "mptcp", "eol", "nop")},
}

#: Rows of which the evidence shows nothing, though the packet has them.
OPEN: dict[str, View] = {
    **{f"vlan {part}": view(TAGGED, family="netdev") for part in ("pcp", "dei", "cfi")},
    "ip hdrlength": view(SEGMENT),
    "ip checksum": view(SEGMENT),
    "ip6 flowlabel": view(SIX),
    **{f"tcp {part}": view(SEGMENT) for part in ("reserved", "checksum", "urgptr")},
    "udp checksum": view(DATAGRAM),
    **{
        f"{name} {part}": view(packet)
        for name, packet in (("icmp", PING), ("icmpv6", PING6))
        for part in (
            "checksum", "mtu", "gateway", "parameter-problem", "packet-too-big", "max-delay", "taddr",
            "daddr",
        )
    },
    **{f"meta {part}": view(SEGMENT, hook=Hook.INPUT) for part in ("skuid", "skgid", "cgroup")},
    **{f"ct {part}": view(SEGMENT, known=True) for part in ("expiration", "helper", "label", "id")},
    **{
        f"ct {side}{part}": view(SEGMENT, known=True)
        for side in ("", "original ", "reply ")
        for part in ("bytes", "packets", "avgpkt")
    },
}  # fmt: skip

PROTOCOLS = {
    "udplite": 136, "sctp": 132, "dccp": 33, "esp": 50, "ah": 51, "comp": 108, "gre": 47, "igmp": 2,
}  # fmt: skip


def foreign(name: str) -> bool:
    return name.partition(" ")[0] in PROTOCOLS


@pytest.mark.parametrize("name", LITERAL)
def test_a_row_reads_what_is_there(name: str) -> None:
    seen, wanted = LITERAL[name]

    assert MODELLED[name](seen) == wanted


@pytest.mark.parametrize("name", OPEN)
def test_a_row_that_is_not_shown_is_open(name: str) -> None:
    assert MODELLED[name](OPEN[name]) is None


@pytest.mark.parametrize("name", [each for each in MODELLED if foreign(each)])
def test_another_protocol_is_open_for_its_own_packets_and_ends_the_rule_for_others(name: str) -> None:
    number = PROTOCOLS[name.partition(" ")[0]]
    other = Packet(Ethernet(), ip=Ip(address("192.0.2.9"), address("10.0.0.5"), number))

    assert MODELLED[name](view(SEGMENT)) is BREAK
    assert MODELLED[name](view(other)) is None


WITHOUT: list[tuple[str, View]] = [
    ("vlan id", view(SEGMENT, family="netdev")),
    ("arp operation", view(SEGMENT, family="netdev")),
    ("ip ttl", view(SIX)),
    ("ip6 hoplimit", view(SEGMENT)),
    ("tcp dport", view(DATAGRAM)),
    ("udp dport", view(SEGMENT)),
    ("icmp type", view(PING6)),
    ("icmpv6 type", view(PING)),
    ("icmp id", view(replace(PING, icmp=Icmp(3, 1)))),
    ("ct mark", view(SEGMENT)),
    ("ct original ip6 saddr", view(SEGMENT, known=True)),
    ("ether saddr", view(SEGMENT, hook=Hook.POSTROUTING)),
    ("meta oif", view(SEGMENT)),
    ("meta ibrname", view(SEGMENT, family="bridge", bridge="br0", hook=Hook.OUTPUT)),
    ("tcp option maxseg size", view(SILENT)),
]


@pytest.mark.parametrize(("name", "seen"), WITHOUT, ids=[name for name, _ in WITHOUT])
def test_a_packet_without_a_field_ends_the_rule(name: str, seen: View) -> None:
    assert MODELLED[name](seen) in (BREAK, "")


def flagged(letters: Flag) -> Packet:
    return SEGMENT if SEGMENT.tcp is None else replace(SEGMENT, tcp=replace(SEGMENT.tcp, flags=letters))


def asking(**changed: Any) -> Packet:
    return QUESTION if QUESTION.arp is None else replace(QUESTION, arp=replace(QUESTION.arp, **changed))


#: what is written -> into which packet, the number, and the packet behind it
WRITES: dict[str, tuple[View, int, Packet]] = {
    "ether saddr": (view(SEGMENT), 0x020000000055, SEGMENT.with_macs(Mac("02:00:00:00:00:55"), OWN.mac)),
    "ether daddr": (view(SEGMENT), 0x020000000055, SEGMENT.with_macs(OUTSIDE, Mac("02:00:00:00:00:55"))),
    "vlan id": (view(TAGGED), 7, replace(TAGGED, ethernet=replace(TAGGED.ethernet, vlan=7))),
    "tcp flags": (view(SEGMENT), 0x12, flagged(Flag.SYN | Flag.ACK)),
    "arp operation": (view(QUESTION, family="arp"), 2, asking(op=ArpOp.REPLY)),
    "arp saddr ip": (view(QUESTION, family="arp"), 0x0A000001, asking(spa=address("10.0.0.1"))),
    "arp daddr ip": (view(QUESTION, family="arp"), 0x0A000001, asking(tpa=address("10.0.0.1"))),
    "arp saddr ether": (view(QUESTION, family="arp"), 0x55, asking(sha=Mac("00:00:00:00:00:55"))),
    "arp daddr ether": (view(QUESTION, family="arp"), 0x55, asking(tha=Mac("00:00:00:00:00:55"))),
    "ip daddr": (view(SEGMENT), 0x0A000006, frame("192.0.2.9:4000", "10.0.0.6:22", "S", to=OWN)),
    "ip6 daddr": (
        view(SIX),
        int(address("2001:db8::6")),
        replace(SIX, ip=Ip(address("2001:db8::9"), address("2001:db8::6"), UDP)),
    ),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_row_writes_one_field_and_no_other(name: str) -> None:
    seen, number, behind = WRITES[name]

    assert write(name, number, seen) is not BREAK
    assert seen.packet == behind


@pytest.mark.parametrize(("name", "ports"), [("th sport", (7, 22)), ("th dport", (4000, 7))])
def test_a_port_that_is_written_raw_leaves_the_checksum_open(name: str, ports: tuple[int, int]) -> None:
    seen = view(SEGMENT)
    effect = write(name, 7, seen)

    tcp = seen.packet.tcp
    assert tcp is not None
    assert ((tcp.sport, tcp.dport), tcp.checksum_ok) == (ports, None)
    assert effect is not BREAK
    assert "checksum" in effect.doubt
