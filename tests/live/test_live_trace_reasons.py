"""
Why a packet ended, in the account's own words: faults of routing, of neighbours, of applications, of hooks.

All are tried in one trace with the profile that is taken where none is named. Each has a destination port of
its own, by which what is told of it is found.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest
from router_bed import SERVED, Bed, bed, do
from traced_bed import deeds_of_port, traced

from bothways.bundle import open_bundle
from bothways.correlate.kernel_account import account
from bothways.facts.kernel_account import DeedKind, KernelAccount
from bothways.report.kernel_account import render_account
from bothways.trace.probe.netns_devices import inside

PREFIX = "tr"
CLIENT, ROUTER, SERVER = (PREFIX + each for each in "crs")
NOBODY, LOOPBACK = "10.97.2.77", "127.0.0.5"
SERVED6, FAR6 = "fd97:2::2", "fd97:9::1"
HOP_LIMIT = 16  # IPV6_UNICAST_HOPS
pytestmark = [pytest.mark.live, pytest.mark.needs("ip", "nft", "ping")]


@dataclass(frozen=True)
class Fault:
    """What is tried, who must be named for it, and what must stand in the account."""

    port: int
    kind: DeedKind
    netns: str
    words: str


FAULTS = {
    "nft at ingress": Fault(4101, DeedKind.DROP, ROUTER, "rule or a policy of nftables"),
    "rule that prohibits": Fault(4102, DeedKind.ICMP, ROUTER, "communication is prohibited"),
    "rule that swallows": Fault(4103, DeedKind.DROP, ROUTER, "by routing"),
    "rule: unreachable": Fault(4104, DeedKind.ICMP, ROUTER, "by routing"),
    "loopback from outside": Fault(4105, DeedKind.DROP, ROUTER, "127.0.0.0/8"),
    "no answer to ARP": Fault(4106, DeedKind.ICMP, ROUTER, "nobody answers for the next hop"),
    "closed port of UDP": Fault(4107, DeedKind.ICMP, SERVER, "nobody listens on this port"),
    "full buffer": Fault(4108, DeedKind.DROP, SERVER, "reads too slowly"),
    "closed with data unread": Fault(4109, DeedKind.RST, SERVER, "with data unread"),
    "SO_LINGER": Fault(4110, DeedKind.RST, SERVER, "SO_LINGER"),
    "killed": Fault(4111, DeedKind.RST, SERVER, "a signal killed it"),
    "reject on the way out": Fault(4112, DeedKind.RST, CLIENT, "reject rule of nftables"),
    "full accept queue": Fault(4113, DeedKind.DROP, SERVER, "accept queue is full"),
    "no way back": Fault(4114, DeedKind.RST, SERVER, "its transmission was not seen"),
    "hop limit": Fault(4115, DeedKind.ICMP, ROUTER, "the hop limit has run out"),
    "no route of IPv6": Fault(4116, DeedKind.ICMP, ROUTER, "there is no route"),
}
#: Servers of TCP: what each does with the connection that it has accepted.
ENDINGS = {
    "closed with data unread": "one.close()",
    "SO_LINGER": "one.recv(9); one.setsockopt(1, 13, struct.pack('ii', 1, 0)); one.close()",
    "killed": "os.kill(os.getpid(), 9)",
}
SERVE = """
import os, signal, socket, struct
listener = socket.socket()
listener.bind(("{address}", {port}))
listener.listen(5)
print("ready", flush=True)
one, _ = listener.accept()
one.recv(1, socket.MSG_PEEK)  # its data is there, and unread
{ending}
signal.pause()
"""


def at(site: Bed, action: Callable[[], None]) -> None:
    inside(f"/run/netns/{site.client}", action)


def datagram(site: Bed, address: str, port: int, size: int = 10, hops: int | None = None) -> None:
    def send() -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as out, suppress(OSError):
            if hops is not None:
                out.setsockopt(socket.IPPROTO_IPV6, HOP_LIMIT, hops)
            out.sendto(bytes(size), (address, port))

    at(site, send)


def from_loopback(site: Bed, port: int) -> None:
    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as out:
            ends = socket.inet_aton(LOOPBACK) + socket.inet_aton(SERVED)
            head = struct.pack("!BBHHHBBH", 0x45, 0, 36, 7, 0, 64, 17, 0) + ends
            out.sendto(head + struct.pack("!HHHH", 999, port, 16, 0) + bytes(8), (SERVED, 0))

    at(site, send)


def talk(site: Bed, name: str) -> None:
    """Send data to a server that ends the connection in its own way."""
    port = FAULTS[name].port
    source = SERVE.format(address=SERVED, port=port, ending=ENDINGS[name])
    words = ["ip", "netns", "exec", site.server, sys.executable, "-c", source]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        server.stdout.readline()

        def send() -> None:
            with socket.create_connection((SERVED, port), 5) as one, suppress(OSError):
                one.sendall(b"hello")
                one.recv(9)

        try:
            at(site, send)
        finally:
            server.kill()


def slow_reader(site: Bed, port: int, kept: list[socket.socket]) -> None:
    def bind() -> None:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        one.bind((SERVED, port))
        kept.append(one)

    inside(f"/run/netns/{site.server}", bind)
    for _ in range(6):
        datagram(site, SERVED, port, 900)


def too_many(site: Bed, port: int, kept: list[socket.socket]) -> None:
    def listen() -> None:
        one = socket.socket()
        one.bind((SERVED, port))
        one.listen(0)
        kept.append(one)

    def connect() -> None:
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)  # noqa: FBT003 - the name of the argument is not to be had
            with suppress(BlockingIOError):
                one.connect((SERVED, port))
            kept.append(one)

    inside(f"/run/netns/{site.server}", listen)
    at(site, connect)


def wait_for_failure(site: Bed, address: str) -> None:
    """Until a neighbour has been asked in vain (three times, a second apart) and is given up."""
    deadline = time.monotonic() + 20
    words = ["ip", "-n", site.router, "neighbour", "show", address]
    while "FAILED" not in subprocess.run(words, capture_output=True, text=True, check=True).stdout:
        assert time.monotonic() < deadline, f"{address} is still asked for"
        time.sleep(0.05)


def prepare(site: Bed) -> None:
    port = {name: fault.port for name, fault in FAULTS.items()}
    for name, device, address in (
        (site.client, f"{PREFIX}c0", "fd97:1::2"),
        (site.router, site.inner, "fd97:1::1"),
        (site.router, site.outer, "fd97:2::1"),
        (site.server, f"{PREFIX}s0", SERVED6),
    ):
        do(f"ip -n {name} address add {address}/64 dev {device} nodad")
    do(f"ip -n {site.client} -6 route add default via fd97:1::1")
    do(f"ip -n {site.server} -6 route add default via fd97:2::1")
    router = f"ip netns exec {site.router}"
    quick = "net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0 net.ipv6.conf.all.forwarding=1"
    do(f"{router} sysctl -qw {quick}")
    do(f"ip netns exec {site.server} sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv4.tcp_syncookies=0")
    hook = f'type filter hook ingress device "{site.inner}" priority 0;'
    rule = f"udp dport {port['nft at ingress']} drop;"
    do(f"{router} nft -f -", f"table netdev bed {{ chain in {{ {hook} {rule} }}; }}")
    hook, rule = "type filter hook output priority 0;", f"tcp dport {port['reject on the way out']}"
    do(
        f"ip netns exec {site.client} nft -f -",
        f"table ip out {{ chain out {{ {hook} {rule} reject with tcp reset; }}; }}",
    )
    for name, action in (
        ("rule that prohibits", "prohibit"),
        ("rule that swallows", "blackhole"),
        ("rule: unreachable", "unreachable"),
    ):
        do(f"ip -n {site.router} rule add to {SERVED} ipproto udp dport {port[name]} {action}")


def try_all(site: Bed, kept: list[socket.socket]) -> None:
    port = {name: fault.port for name, fault in FAULTS.items()}
    datagram(site, NOBODY, port["no answer to ARP"])
    for name in ("nft at ingress", "rule that prohibits", "rule that swallows", "rule: unreachable"):
        datagram(site, SERVED, port[name])
    datagram(site, SERVED, port["closed port of UDP"])
    datagram(site, SERVED6, port["hop limit"], hops=1)
    datagram(site, FAR6, port["no route of IPv6"])
    from_loopback(site, port["loopback from outside"])
    slow_reader(site, port["full buffer"], kept)
    for name in ENDINGS:
        talk(site, name)
    site.connect(port["reject on the way out"])
    too_many(site, port["full accept queue"], kept)
    do(f"ip -n {site.server} route add unreachable 10.97.1.2/32")
    site.connect(port["no way back"])


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelAccount]:
    folder = tmp_path_factory.mktemp("reasons") / "case"
    kept: list[socket.socket] = []
    with bed(PREFIX) as site:
        prepare(site)
        with traced(folder, "net 10.97.0.0/16 or net fd97::/16"):
            try_all(site, kept)
            wait_for_failure(site, NOBODY)
        for each in kept:
            each.close()
        yield account(open_bundle(folder).traces)


@pytest.mark.parametrize("name", FAULTS)
def test_who_it_was_and_why(told: KernelAccount, name: str) -> None:
    fault = FAULTS[name]
    deeds = deeds_of_port(told, fault.port)

    assert {(each.kind, each.event.netns) for each in deeds} == {(fault.kind, fault.netns)}
    sheet = render_account(
        KernelAccount(told.packets, tuple(deeds), traces=told.traces), width=300, colour=False
    )
    assert fault.words in sheet
