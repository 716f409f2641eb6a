"""
The kernel of this machine answers frames as `model/linux` says: ARP, ND, RST, ICMP errors, redirects.

A namespace with two devices gets frames at one of them; what comes out of both is compared with the model,
which reads the namespace from the dumps of the usual tools. The link's own chatter is left out.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from bothways.capture.compose_frame import compose_frame
from bothways.capture.link_layer import decode_ethernet
from bothways.facts.address import BROADCAST, Mac, address
from bothways.facts.choice import FirstOption
from bothways.facts.dump import Dump
from bothways.facts.packet import (
    ETH_ARP,
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
    Udp,
)
from bothways.facts.snapshot import Netns
from bothways.model.linux.ndisc import multicast_mac
from bothways.model.linux.stack import Stack
from bothways.parse.ip_json import parse_addr, parse_neigh, parse_route, parse_rule
from bothways.parse.ss import parse_ss
from bothways.parse.sysctl import parse_sysctl

pytestmark = [pytest.mark.live, pytest.mark.needs("ip", "ss", "sysctl")]

ROUTER, FAR = f"bothways-answers-{os.getpid()}", f"bothways-answers-{os.getpid()}-far"
OURS = {"lan": Mac("02:00:00:00:00:0a"), "wan": Mac("02:00:00:00:00:0b")}
NODE = {"lan": Mac("02:00:00:00:01:0a"), "wan": Mac("02:00:00:00:01:0b")}
ANY = Mac("00:00:00:00:00:00")
SETUP = f"""
link add lan type veth peer name lan netns {FAR}
link add wan mtu 1400 type veth peer name wan netns {FAR}
link set lan address {NODE["lan"]}
link set wan address {NODE["wan"]}
link set lo up
address add 192.0.2.1/24 dev lan
address add 198.51.100.1/24 dev wan
address add 192.0.2.200/32 dev wan
address add 10.7.0.1/24 dev lo scope host
address add 2001:db8:1::1/64 dev lan nodad
address add 2001:db8:2::1/64 dev wan nodad
link set lan up
link set wan up
route add unreachable 203.0.113.0/26
route add prohibit 203.0.113.64/26
route add blackhole 203.0.113.128/26
route add 203.0.113.192/27 via 192.0.2.77 dev lan
route add unreachable 2001:db8:66::/64
route add prohibit 2001:db8:67::/64
route add blackhole 2001:db8:68::/64
neigh add 192.0.2.9 dev lan lladdr {OURS["lan"]}
neigh add 192.0.2.77 dev lan lladdr {OURS["lan"]}
neigh add 198.51.100.9 dev wan lladdr {OURS["wan"]}
neigh add 203.0.113.250 dev lan lladdr {OURS["lan"]}
neigh add 2001:db8:1::9 dev lan lladdr {OURS["lan"]}
neigh add 2001:db8:2::9 dev wan lladdr {OURS["wan"]}
neigh add fe80::9 dev lan lladdr {OURS["lan"]}
""".strip()
QUIET = (
    "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0", "net.ipv4.ip_forward=1",
    "net.ipv6.conf.all.forwarding=1", "net.ipv4.icmp_ratelimit=0", "net.ipv4.icmp_msgs_per_sec=100000",
    "net.ipv4.icmp_msgs_burst=100000", "net.ipv6.icmp.ratelimit=0", "net.ipv4.conf.all.rp_filter=0",
    "net.ipv4.conf.default.rp_filter=0",
)  # fmt: skip
#: What worlds change, and what puts it back.
SYSCTLS = {
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.lan.rp_filter": "0",
    "net.ipv4.conf.lan.arp_ignore": "0",
    "net.ipv4.conf.lan.arp_filter": "0",
    "net.ipv4.conf.lan.proxy_arp": "0",
    "net.ipv4.conf.lan.proxy_arp_pvlan": "0",
    "net.ipv4.conf.lan.accept_local": "0",
    "net.ipv4.conf.lan.route_localnet": "0",
    "net.ipv4.conf.lan.forwarding": "1",
    "net.ipv4.conf.lan.send_redirects": "0",
    "net.ipv4.conf.all.send_redirects": "0",
    "net.ipv6.conf.all.forwarding": "1",
}
WORLDS: list[dict[str, str]] = [
    {},
    *({"net.ipv4.conf.lan.arp_ignore": str(mode)} for mode in (1, 2, 3, 4, 8)),
    {"net.ipv4.conf.lan.arp_filter": "1"},
    {"net.ipv4.conf.lan.proxy_arp": "1"},
    {"net.ipv4.conf.lan.proxy_arp_pvlan": "1"},
    {"net.ipv4.conf.lan.rp_filter": "1"},
    {"net.ipv4.conf.lan.rp_filter": "2"},
    {"net.ipv4.conf.all.rp_filter": "1", "net.ipv4.conf.lan.accept_local": "1"},
    {"net.ipv4.conf.lan.accept_local": "1"},
    {"net.ipv4.conf.lan.route_localnet": "1"},
    {"net.ipv4.conf.lan.forwarding": "0"},
    {"net.ipv6.conf.all.forwarding": "0"},
    {"net.ipv4.conf.lan.send_redirects": "1"},
]


def run(*argv: str, text: str | None = None) -> str:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


# -- what is sent ------------------------------------------------------------------------------------


def link(to: Mac, kind: int = 0x0800) -> Ethernet:
    return Ethernet(OURS["lan"], to, kind)


def who_has(target: str, sender: str) -> Packet:
    arp = Arp(1, OURS["lan"], address(sender), ANY, address(target))
    return Packet(link(BROADCAST, ETH_ARP), arp=arp, length=42)


def tcp(source: str, target: str, flags: Flag = Flag.SYN, ttl: int = 64, length: int = 0) -> Packet:
    ipv6 = ":" in source
    ip = Ip(address(source), address(target), TCP, ttl=ttl, id=7, tos=0, df=None if ipv6 else True)
    segment = Tcp(4000, 22, flags, 1000, 77, 64240, length, checksum_ok=True)
    size = (74 if ipv6 else 54) + length
    return Packet(link(NODE["lan"], ETH_IP6 if ipv6 else 0x0800), ip=ip, tcp=segment, length=size)


def udp(source: str, target: str) -> Packet:
    ipv6 = ":" in source
    ip = Ip(address(source), address(target), UDP, ttl=64, id=7, tos=0)
    size = 62 if ipv6 else 42
    kind = ETH_IP6 if ipv6 else 0x0800
    return Packet(link(NODE["lan"], kind), ip=ip, udp=Udp(4000, 5353, 0), length=size)


def ping(source: str, target: str) -> Packet:
    ipv6 = ":" in source
    ip = Ip(address(source), address(target), ICMP6 if ipv6 else ICMP, ttl=64, id=7, tos=0)
    kind = ETH_IP6 if ipv6 else 0x0800
    return Packet(link(NODE["lan"], kind), ip=ip, icmp=Icmp(128 if ipv6 else 8, 0, 5, 1), length=50)


def neighbour(target: str) -> Packet:
    group = address(f"ff02::1:ff00:{target.rpartition(':')[2]}")
    return Packet(
        Ethernet(OURS["lan"], multicast_mac(group), ETH_IP6),
        ip=Ip(address("2001:db8:1::9"), group, ICMP6, ttl=255),
        icmp=Icmp(135, 0, target=address(target), source_link=OURS["lan"]),
        length=86,
    )


SENT: list[Packet] = [
    *(who_has(target, sender) for sender in ("192.0.2.9", "198.51.100.9", "8.8.8.8", "0.0.0.0", "192.0.2.1")  # noqa: S104
      for target in ("192.0.2.1", "192.0.2.200", "198.51.100.1", "10.7.0.1", "192.0.2.50", "198.51.100.50",
                     "127.0.0.1", "203.0.113.5", "192.0.2.255")),
    *(tcp("192.0.2.9", target, ttl=ttl) for ttl in (64, 1)
      for target in ("192.0.2.1", "198.51.100.9", "203.0.113.130", "203.0.113.200", "192.0.2.200",
                     "127.0.0.1", "10.7.0.1")),
    *(tcp(source, target) for source in ("8.8.8.8", "198.51.100.9", "192.0.2.1", "127.0.0.1", "224.0.0.9",
                                         "192.0.2.255", "203.0.113.5")
      for target in ("192.0.2.1", "198.51.100.9")),
    *(tcp("192.0.2.9", "192.0.2.1", flags) for flags in (Flag.ACK, Flag.RST, Flag.FIN, Flag.SYN | Flag.ACK)),
    *(tcp("192.0.2.9", "198.51.100.9", Flag.ACK, length=length) for length in (1346, 1360, 1361, 1400)),
    udp("192.0.2.9", "192.0.2.1"), ping("192.0.2.9", "192.0.2.1"), ping("192.0.2.9", "198.51.100.1"),
    *(tcp("2001:db8:1::9", target, ttl=ttl) for ttl in (64, 1)
      for target in ("2001:db8:1::1", "2001:db8:2::9", "2001:db8:66::1", "2001:db8:67::1", "2001:db8:68::1",
                     "2001:db8:99::1", "2001:db8:2::1", "2001:db8:1::")),
    *(tcp(source, "2001:db8:2::9") for source in ("fe80::9", "::1", "ff02::9", "2001:db8:2::1")),
    *(tcp("2001:db8:1::9", "2001:db8:2::9", Flag.ACK, length=length) for length in (1326, 1327, 1400)),
    *(tcp("2001:db8:1::9", "2001:db8:1::1", flags) for flags in (Flag.ACK, Flag.RST, Flag.FIN)),
    udp("2001:db8:1::9", "2001:db8:1::1"), ping("2001:db8:1::9", "2001:db8:2::1"),
    *(neighbour(target) for target in ("2001:db8:1::1", "2001:db8:2::1", "2001:db8:1::7")),
]  # fmt: skip


def refused(number: int) -> list[Packet]:
    """Where no route leads: each time from somebody else, as the kernel limits errors by receiver."""
    return [tcp(f"192.0.2.{20 + number}", target) for target in ("203.0.113.5", "203.0.113.70", "8.8.8.8")]


# -- the kernel --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def legs() -> Iterator[dict[str, socket.socket]]:
    run("ip", "netns", "add", ROUTER)
    run("ip", "netns", "add", FAR)
    sockets: dict[str, socket.socket] = {}
    try:
        run("ip", "netns", "exec", ROUTER, "sysctl", "-qw", *QUIET)
        run("ip", "netns", "exec", FAR, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1",
            "net.ipv6.conf.default.disable_ipv6=1")  # fmt: skip
        run("ip", "-n", ROUTER, "-batch", "-", text=SETUP)
        run("ip", "netns", "exec", ROUTER, "sysctl", "-qw", "net.ipv4.neigh.lan.proxy_delay=0")
        known = (f"neigh add 192.0.2.{n} dev lan lladdr {OURS['lan']}" for n in range(20, 20 + len(WORLDS)))
        run("ip", "-n", ROUTER, "-batch", "-", text="\n".join(known))
        for name in ("lan", "wan"):
            run("ip", "-n", FAR, "link", "set", name, "address", str(OURS[name]), "arp", "off", "up")
            sockets[name] = opened(name)
        sockets["udp"] = taking()
        time.sleep(0.3)  # the routers' first advertisements pass
        yield sockets
    finally:
        for each in sockets.values():
            each.close()
        for name in (ROUTER, FAR):
            subprocess.run(["ip", "netns", "delete", name], check=False)


@contextmanager
def entered(namespace: str) -> Iterator[None]:
    """Let this thread be in another namespace."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    other = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        setns(other)
        yield
    finally:
        setns(own)
        os.close(own)
        os.close(other)


def opened(device: str) -> socket.socket:
    """A packet socket in the far namespace."""
    with entered(FAR):
        found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        found.bind((device, 3))
        found.settimeout(0)
        return found


def taking() -> socket.socket:
    """A socket of UDP in the node, so that the dump of sockets shows some."""
    with entered(ROUTER):
        found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        found.bind(("127.0.0.1", 9))
        return found


def setns(descriptor: int) -> None:
    assert ctypes.CDLL(None, use_errno=True).setns(descriptor, 0) == 0


MARKER = Packet(
    link(NODE["lan"]),
    ip=Ip(address("192.0.2.9"), address("192.0.2.1"), ICMP, ttl=64),
    icmp=Icmp(8, 0, 9999, 1),
)


def kernel(legs: dict[str, socket.socket], packet: Packet) -> set[str]:
    """What comes out of both devices for a frame; a ping behind it says when all has come."""
    ends = {name: legs[name] for name in OURS}
    for each in ends.values():
        drained(each)
    legs["lan"].send(compose_frame(packet))
    legs["lan"].send(compose_frame(MARKER))
    heard: set[str] = set()
    limit = time.monotonic() + 2
    marked = False
    while not marked and time.monotonic() < limit:
        for name, each in ends.items():
            for frame in drained(each):
                if frame.icmp is not None and frame.icmp.type == 0 and frame.icmp.id == 9999:
                    marked = True
                elif not noise(frame):
                    heard.add(words(name, frame))
    assert marked, "the marker did not come back"
    return heard


def drained(leg: socket.socket) -> list[Packet]:
    frames: list[Packet] = []
    while True:
        try:
            raw, info = leg.recvfrom(2048)
        except BlockingIOError:
            return frames
        if info[2] == socket.PACKET_OUTGOING:
            continue
        layers = decode_ethernet(raw, len(raw))
        if hasattr(layers, "packet"):
            frames.append(layers.packet)


def noise(packet: Packet) -> bool:
    """Router and listener messages, and questions of the node itself."""
    if packet.arp is not None:
        return packet.arp.op == 1
    return packet.icmp is not None and packet.icmp.type in (130, 131, 132, 133, 134, 135, 143)


def words(device: str, packet: Packet) -> str:
    """One frame, without what is free: identification, options, quoted bytes."""
    if packet.arp is not None:
        return f"{device} ARP {packet.arp.spa} at {packet.arp.sha} > {packet.arp.tpa} {packet.ethernet.dst}"
    ip = packet.ip
    assert ip is not None
    text = f"{device} {ip.src} > {ip.dst} ttl {ip.ttl} to {packet.ethernet.dst}"
    if packet.tcp is not None:
        one = packet.tcp
        ack = one.ack if one.flags & Flag.ACK else 0
        return f"{text} {one.flags!s} {one.sport} {one.dport} {one.seq} {ack} {one.length}"
    if packet.icmp is not None:
        one_icmp = packet.icmp
        extra = f"{one_icmp.mtu} {one_icmp.gateway} {one_icmp.target} {one_icmp.target_link}"
        return f"{text} ICMP {one_icmp.type}/{one_icmp.code} {extra}"
    return f"{text} {ip.protocol}"


# -- the model ---------------------------------------------------------------------------------------


def dumped() -> Netns:
    def ip(*argv: str) -> str:
        return run("ip", "-n", ROUTER, *argv)

    sysctls = run("ip", "netns", "exec", ROUTER, "sysctl", "-a", "--pattern", "^net.ipv[46]")
    return Netns(
        "here", ROUTER,
        devices=Dump(parse_addr(ip("-d", "-j", "address"), file="addr").rows, "addr"),
        routes=Dump(parse_route(ip("-j", "route", "show", "table", "all"), file="route").rows, "route"),
        rules=Dump(parse_rule(ip("-j", "rule"), file="rule").rows, "rule"),
        rules6=Dump(parse_rule(ip("-6", "-j", "rule"), file="rule6").rows, "rule6"),
        neighbours=Dump(parse_neigh(ip("-j", "neigh"), file="neigh").rows, "neigh"),
        sockets=Dump(parse_ss(run("ip", "netns", "exec", ROUTER, "ss", "-tuan"), file="ss").rows, "ss"),
        sysctls=Dump(parse_sysctl(sysctls, file="sysctl").rows, "sysctl"),
        iptables=Dump((), "iptables-save"), ip6tables=Dump((), "ip6tables-save"),
    )  # fmt: skip


def model(netns: Netns, packet: Packet) -> set[str]:
    """What the model sends; where a neighbour is to be found, the dump of neighbours says who it is."""
    stack = Stack(netns, oracle=FirstOption(), kernel=None)
    found = set()
    for sent in stack.receive("lan", packet, 0).transmissions:
        frame = sent.packet
        if sent.next_hop is not None:
            rows = [
                n.mac for n in netns.neighbours or () if (n.address, n.device) == (sent.next_hop, sent.device)
            ]
            mac = next((mac for mac in rows if mac is not None), None)
            if mac is None:
                continue
            frame = frame.with_macs(NODE[sent.device], mac)
        found.add(words(sent.device, replace(frame, ethernet=frame.ethernet)))
    return found


@pytest.mark.parametrize(
    "world", WORLDS, ids=[" ".join(f"{k}={v}" for k, v in w.items()) or "plain" for w in WORLDS]
)
def test_the_kernel_answers_as_the_model_says(legs: dict[str, socket.socket], world: dict[str, str]) -> None:
    wanted = {**SYSCTLS, **world}
    run(
        "ip", "netns", "exec", ROUTER, "sysctl", "-qw", *(f"{name}={value}" for name, value in wanted.items())
    )
    netns = dumped()
    differing = {
        f"{packet}{'' if packet.ip is None else f' ttl {packet.ip.ttl}'}": (said, foretold)
        for packet in (*SENT, *refused(WORLDS.index(world)))
        if (said := kernel(legs, packet)) != (foretold := model(netns, packet))
    }

    assert differing == {}
