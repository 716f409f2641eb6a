"""
UDP, ICMP, ICMPv6 and protocols without ports: what the running tracker makes of each packet.

``A — router — B``, both families. A's and B's packets are put on the wire as they are; a rule of the router
writes the tracker's verdict into the DSCP, and its table is read behind every packet.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pytest

from bothways.capture.compose_frame import compose_frame
from bothways.capture.layers import Layers
from bothways.capture.network_layer import decode_ip_by_version
from bothways.conform.namespace import inside
from bothways.facts.address import Mac, address
from bothways.facts.choice import FirstOption
from bothways.facts.conntrack import Entry
from bothways.facts.dump import Dump
from bothways.facts.packet import ETH_IP6, ICMP, ICMP6, TCP, UDP, Ethernet, Flag, Icmp, Ip, Packet, Tcp, Udp
from bothways.facts.snapshot import Netns, Sysctl
from bothways.facts.span import Span
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.table import ConntrackTable
from bothways.parse.conntrack import parse_entries

pytestmark = [pytest.mark.live, pytest.mark.needs("ip", "nft", "conntrack")]

MACS = {
    "a": "02:00:00:00:0a:02",
    "m1": "02:00:00:00:0a:01",
    "m2": "02:00:00:00:0b:01",
    "b": "02:00:00:00:0b:02",
}
ENDS = {4: ("10.9.1.2", "10.9.2.2"), 6: ("fd00:1::2", "fd00:2::2")}
THIRD = {4: "10.9.1.99", 6: "fd00:1::99"}
SETUP = f"""
ip netns add NS-a; ip netns add NS-m; ip netns add NS-b
ip -n NS-a link add e0 address {MACS["a"]} type veth peer name m1 netns NS-m
ip -n NS-b link add e0 address {MACS["b"]} type veth peer name m2 netns NS-m
ip -n NS-m link set m1 address {MACS["m1"]}; ip -n NS-m link set m2 address {MACS["m2"]}
for k in ipv4.ip_forward=1 ipv6.conf.all.forwarding=1 ipv4.conf.all.rp_filter=0 ipv4.conf.m1.rp_filter=0 \
 ipv4.conf.m2.rp_filter=0 ipv4.conf.all.send_redirects=0 ipv6.conf.m1.accept_dad=0 ipv6.conf.m2.accept_dad=0
do ip netns exec NS-m sysctl -qw net.$k; done
for n in a b; do for k in ipv6.conf.all.disable_ipv6=1 ipv4.conf.all.arp_ignore=8
do ip netns exec NS-$n sysctl -qw net.$k; done; done
ip -n NS-a link set e0 up; ip -n NS-b link set e0 up; ip -n NS-m link set m1 up; ip -n NS-m link set m2 up
ip -n NS-m addr add 10.9.1.1/24 dev m1; ip -n NS-m addr add 10.9.2.1/24 dev m2
ip -n NS-m addr add fd00:1::1/64 dev m1 nodad; ip -n NS-m addr add fd00:2::1/64 dev m2 nodad
for n in 10.9.1.2 10.9.1.99 fd00:1::2 fd00:1::99; do
 ip -n NS-m neigh replace $n lladdr {MACS["a"]} dev m1 nud permanent; done
for n in 10.9.2.2 fd00:2::2; do ip -n NS-m neigh replace $n lladdr {MACS["b"]} dev m2 nud permanent; done
"""
RULES = """
table inet told {
 chain pre { type filter hook prerouting priority -150; policy accept;
  ct state invalid ip dscp set 1 return
  ct state new ip dscp set 2 return
  ct state established ct direction original ip dscp set 3 return
  ct state established ct direction reply ip dscp set 4 return
  ct state related ip dscp set 5 return
  ct state untracked ip dscp set 6 return
  ct state invalid ip6 dscp set 1 return
  ct state new ip6 dscp set 2 return
  ct state established ct direction original ip6 dscp set 3 return
  ct state established ct direction reply ip6 dscp set 4 return
  ct state related ip6 dscp set 5 return
  ct state untracked ip6 dscp set 6 return
 }
}
"""
TOLD: Final = {
    1: "INVALID",
    2: "NEW",
    3: "ESTABLISHED original",
    4: "ESTABLISHED reply",
    5: "RELATED",
    6: "UNTRACKED",
}


@dataclass(frozen=True)
class Step:
    """One packet; *damage* flips bits at an offset of its IP payload, *wait* passes before it (seconds)."""

    side: str
    packet: Packet
    damage: int | None = None
    wait: float = 0.0


def ip(side: str, version: int, protocol: int, *, third: bool = False) -> Ip:
    a, b = ENDS[version]
    src, dst = (a, b) if side == "A" else (b, a)
    return Ip(address(THIRD[version] if third else src), address(dst), protocol, ttl=60)


def udp(side: str, version: int, *, sport: int = 4000, dport: int = 53, length: int = 8) -> Packet:
    ports = (sport, dport) if side == "A" else (dport, sport)
    return Packet(Ethernet(), ip(side, version, UDP), udp=Udp(*ports, length))


def tcp(side: str, version: int, flags: Flag, seq: int, ack: int | None = None) -> Packet:
    ports = (4000, 22) if side == "A" else (22, 4000)
    return Packet(Ethernet(), ip(side, version, TCP), tcp=Tcp(*ports, flags, seq, ack, 1000, 0))


def icmp(
    side: str,
    version: int,
    kind: int,
    code: int = 0,
    ident: int | None = 7,
    *,
    inner: Packet | None = None,
    third: bool = False,
) -> Packet:
    protocol = ICMP if version == 4 else ICMP6
    message = Icmp(kind, code, ident, 1, inner)
    return Packet(Ethernet(), ip(side, version, protocol, third=third), icmp=message)


def raw(side: str, version: int, protocol: int) -> Packet:
    return Packet(Ethernet(), ip(side, version, protocol))


def stories(version: int) -> Iterator[tuple[str, list[Step]]]:
    """What happens, by name, for one family."""
    echo, answer = (8, 0) if version == 4 else (128, 129)
    unreachable, code = (3, 3) if version == 4 else (1, 4)
    exceeded = 11 if version == 4 else 3
    ask, reply = udp("A", version), udp("B", version)

    def error(side: str, about: Packet, kind: int = unreachable, *, third: bool = False) -> Packet:
        return icmp(side, version, kind, code if kind == unreachable else 0, None, inner=about, third=third)

    def misdirected(packet: Packet) -> Packet:
        assert packet.ip is not None
        return replace(packet, ip=replace(packet.ip, dst=address(THIRD[version])))

    yield "udp, asked and answered", [Step("A", ask), Step("B", reply), Step("A", ask), Step("B", reply)]
    yield (
        "udp, a stream after two seconds",
        [
            Step("A", ask),
            Step("B", reply),
            Step("A", ask, wait=2.3),
            Step("B", reply),
        ],
    )
    yield "udp, never answered", [Step("A", ask), Step("A", ask)]
    yield "udp, two ports", [Step("A", ask), Step("A", udp("A", version, sport=4001)), Step("B", reply)]
    yield "udp, the answer alone", [Step("B", reply), Step("A", ask)]
    yield "udp, damaged", [Step("A", ask, damage=9), Step("A", ask), Step("B", reply, damage=9)]
    yield "echo", [Step("A", icmp("A", version, echo)), Step("B", icmp("B", version, answer))]
    yield (
        "echo, other id",
        [Step("A", icmp("A", version, echo)), Step("B", icmp("B", version, answer, ident=8))],
    )
    yield (
        "echo, the answer alone",
        [Step("B", icmp("B", version, answer)), Step("A", icmp("A", version, echo))],
    )
    yield "echo, both ways", [Step("A", icmp("A", version, echo)), Step("B", icmp("B", version, echo))]
    yield (
        "echo, damaged",
        [Step("A", icmp("A", version, echo), damage=5), Step("A", icmp("A", version, echo))],
    )
    yield "error about what was asked", [Step("A", ask), Step("B", error("B", ask)), Step("B", reply)]
    yield "error about the answer", [Step("A", ask), Step("B", reply), Step("A", error("A", reply))]
    yield (
        "error on the way, by a third",
        [Step("A", ask), Step("B", reply), Step("A", error("A", reply, exceeded, third=True))],
    )
    yield "error about nothing", [Step("B", error("B", ask))]
    yield "error, damaged", [Step("A", ask), Step("B", error("B", ask), damage=3), Step("B", error("B", ask))]
    yield (
        "error about an echo",
        [
            Step("A", icmp("A", version, echo)),
            Step("B", error("B", icmp("A", version, echo))),
        ],
    )
    yield (
        "error about an error",
        [Step("A", ask), Step("B", error("B", ask)), Step("A", error("A", error("B", ask)))],
    )
    syn = tcp("A", version, Flag.SYN, 1000)
    yield (
        "error about a SYN",
        [
            Step("A", syn),
            Step("B", error("B", syn, exceeded)),
            Step("B", tcp("B", version, Flag.RST | Flag.ACK, 0, 1001)),
        ],
    )
    yield "error to another address", [Step("A", ask), Step("B", misdirected(error("B", ask)))]
    for protocol in (253, 47):
        yield (
            f"protocol {protocol}",
            [
                Step("A", raw("A", version, protocol)),
                Step("B", raw("B", version, protocol)),
                Step("A", raw("A", version, protocol)),
            ],
        )
    kinds = (
        (5, 6, 9, 10, 13, 14, 15, 16, 17, 18, 19, 40, 255)
        if version == 4
        else (100, 127, 138, 139, 140, 144, 200, 255)
    )
    for kind in kinds:
        yield f"icmp type {kind}", [Step("A", icmp("A", version, kind)), Step("A", icmp("A", version, kind))]
    pairs = {13: 14, 15: 16, 17: 18} if version == 4 else {139: 140}
    for query, back in pairs.items():
        yield (
            f"icmp {query} answered",
            [Step("A", icmp("A", version, query)), Step("B", icmp("B", version, back))],
        )


CASES = [
    pytest.param(version, steps, id=f"IPv{version}: {name}")
    for version in (4, 6)
    for name, steps in stories(version)
]


class Bed:
    """The namespaces, a wire at each end, and the router's table."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        shell(SETUP.replace("NS", prefix))
        shell("nft -f -", netns=f"{prefix}-m", given=RULES)
        self.wires = {side: self.wire(f"{prefix}-{side.lower()}") for side in "AB"}

    def wire(self, netns: str) -> socket.socket:
        with inside(netns):
            wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            wire.bind(("e0", 3))
        wire.setblocking(False)  # noqa: FBT003 - its only argument
        return wire

    def close(self) -> None:
        for wire in self.wires.values():
            wire.close()
        shell(";".join(f"ip netns del {self.prefix}-{each}" for each in "amb"))

    def flush(self) -> None:
        shell("conntrack -F", netns=f"{self.prefix}-m")

    def pass_through(self, side: str, frame: bytes) -> str:
        """Send a frame; return what the router said of it, "" if nothing came out."""
        near, far = self.wires[side], self.wires["B" if side == "A" else "A"]
        for wire in (near, far):
            with contextlib.suppress(BlockingIOError):
                while wire.recv(4096):
                    pass
        near.send(frame)
        until = time.monotonic() + 0.2
        while (left := until - time.monotonic()) > 0:
            select.select([far], [], [], left)
            with contextlib.suppress(BlockingIOError):
                arrived = far.recv(4096)
                if arrived[12:14] in (b"\x08\x00", b"\x86\xdd") and same(arrived, frame):
                    return TOLD.get(dscp(arrived), "untold")
        return ""

    def entries(self, version: int) -> list[Entry]:
        said = shell(f"conntrack -L -f ipv{version} -o extended", netns=f"{self.prefix}-m")
        return list(parse_entries(said, file="conntrack.txt").rows)


def same(arrived: bytes, sent: bytes) -> bool:
    """Whether a frame is the one that was sent: everything behind the addresses is."""
    start = 34 if sent[12:14] == b"\x08\x00" else 54
    return arrived[12:14] == sent[12:14] and arrived[start : start + len(sent[start:])] == sent[start:]


def dscp(frame: bytes) -> int:
    return frame[15] >> 2 if frame[12:14] == b"\x08\x00" else (frame[14] << 4 | frame[15] >> 4) >> 2 & 63


def shell(script: str, *, netns: str | None = None, given: str | None = None) -> str:
    words = ("sh", "-ec", script) if netns is None else ("ip", "netns", "exec", netns, "sh", "-c", script)
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    done = subprocess.run(
        words, input=given, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path}
    )
    assert done.returncode == 0 or "conntrack" in script, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def bed() -> Iterator[Bed]:
    made = Bed(f"bwcp{os.getpid()}")
    yield made
    made.close()


def wired(step: Step) -> tuple[bytes, Packet]:
    """The frame of a step, and what a capture of it shows."""
    macs = ("a", "m1") if step.side == "A" else ("b", "m2")
    version = 6 if step.packet.ip is not None and step.packet.ip.src.version == 6 else 4
    ethernet = Ethernet(Mac(MACS[macs[0]]), Mac(MACS[macs[1]]), ETH_IP6 if version == 6 else 0x0800)
    frame = bytearray(compose_frame(replace(step.packet, ethernet=ethernet)))
    if step.damage is not None:
        frame[(54 if version == 6 else 34) + step.damage] ^= 0x55
    layers = decode_ip_by_version(bytes(frame[14:]), len(frame) - 14)
    assert isinstance(layers, Layers)
    return bytes(frame), layers.packet


def shown(entries: Sequence[Entry]) -> list[tuple[object, ...]]:
    """What is compared of a table."""
    return sorted(
        (
            each.original.protocol,
            str(each.original),
            str(each.reply),
            tuple(sorted(each.status & {"UNREPLIED", "ASSURED"})),
        )
        for each in entries
    )


def told(state: str, way: Way | None) -> str:
    return f"{state} {way}" if state == "ESTABLISHED" else str(state)


@pytest.mark.parametrize(("version", "steps"), CASES)
def test_the_kernel_says_what_the_model_says(version: int, steps: list[Step], bed: Bed) -> None:
    bed.flush()
    span = Span("sysctl")
    netns = Netns(
        "m", "root", sysctls=Dump((Sysctl("net.netfilter.nf_conntrack_checksum", "1", span),), "sysctl")
    )
    table = ConntrackTable(netns, oracle=FirstOption(), kernel=os.uname().release)
    began = time.monotonic_ns()
    for number, step in enumerate(steps):
        time.sleep(step.wait)
        frame, packet = wired(step)
        now = time.monotonic_ns() - began
        tracking = table.track(packet, now)
        table.confirm(tracking, now)
        said = bed.pass_through(step.side, frame)
        assert said == told(tracking.state, tracking.way), (number, str(packet), tracking.why)
        theirs, ours = bed.entries(version), table.entries()
        assert shown(theirs) == shown(ours), (number, str(packet))
        for one, other in zip(
            sorted(theirs, key=lambda each: str(each.original)),
            sorted(ours, key=lambda each: str(each.original)),
            strict=True,
        ):
            assert one.timeout is not None
            assert other.timeout is not None
            assert abs(one.timeout - other.timeout) <= 1, (number, str(packet))
