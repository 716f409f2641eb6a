"""
Who reset, answered or dropped, and why, as the running kernel tells it: one fault after the other, one trace.

Each fault has a destination port of its own, by which its deeds are found. Nobody else may be accused.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest
from router_bed import FLOATING, SERVED, Bed, bed, do
from traced_bed import deeds_of_port, traced

from bothways.bundle import open_bundle
from bothways.correlate.kernel_account import account
from bothways.facts.kernel_account import DeedKind, KernelAccount
from bothways.trace.probe.netns_devices import inside

PREFIX = "ta"
#: A destination that the router has no route to, and a sender that it would answer through another device.
KEPT: list[socket.socket] = []
NO_ROUTE, SPOOFED = "203.0.113.9", "198.51.100.7"
pytestmark = [pytest.mark.live, pytest.mark.needs("ip", "nft", "iptables", "ping")]


@dataclass(frozen=True)
class Fault:
    """What is tried, and who must be named for it."""

    port: int
    kind: DeedKind
    netns: str
    reason: str
    functions: frozenset[str] = frozenset()
    #: Errors are limited in their rate: without one, the packet was dropped here.
    or_drop: str | None = None


#: iptables of today writes nft rules, the older one its own tables.
RULES = frozenset({"nft_do_chain", "ipt_do_table"})
RESET = frozenset({"tcp_v4_send_reset"})
ICMP = frozenset({"__icmp_send"})
CLIENT, ROUTER, SERVER = (PREFIX + each for each in "crs")
FAULTS = {
    "closed port": Fault(4001, DeedKind.RST, SERVER, "NO_SOCKET", RESET),
    "nft reject": Fault(7777, DeedKind.RST, ROUTER, "", frozenset({"nf_send_reset"})),
    "nft drop": Fault(8888, DeedKind.DROP, ROUTER, "NETFILTER_DROP", RULES),
    "iptables drop": Fault(4002, DeedKind.DROP, ROUTER, "NETFILTER_DROP", RULES),
    "conntrack INVALID drop": Fault(4003, DeedKind.DROP, ROUTER, "NETFILTER_DROP", RULES),
    "reverse path filter": Fault(4004, DeedKind.DROP, ROUTER, "IP_RPFILTER"),
    "TTL": Fault(4005, DeedKind.ICMP, ROUTER, "", ICMP, "ip_forward"),
    "no route": Fault(4006, DeedKind.ICMP, ROUTER, "", ICMP, "ip_error"),
    "MTU with DF": Fault(4007, DeedKind.ICMP, ROUTER, "", ICMP),
    "checksum": Fault(4008, DeedKind.DROP, SERVER, "CSUM"),
    "full accept queue": Fault(4009, DeedKind.DROP, SERVER, "", frozenset({"tcp_conn_request"})),
    "bare ACK": Fault(22, DeedKind.RST, ROUTER, "NO_SOCKET", RESET),
}


def segment(source: str, destination: str, port: int, flags: int = 2, *, wrong: bool = False) -> bytes:
    """A TCP header with a checksum, or with a wrong one."""
    ends = socket.inet_aton(source) + socket.inet_aton(destination)
    head = b"".join(
        (
            (17350).to_bytes(2, "big"),
            port.to_bytes(2, "big"),
            (1000).to_bytes(4, "big"),
            (0).to_bytes(4, "big"),
            bytes((5 << 4, flags, 2, 0)),
        )
    )
    words = ends + bytes((0, 6, 0, 20)) + head + bytes(4)
    total = sum(int.from_bytes(words[at : at + 2], "big") for at in range(0, len(words), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    total = ~total & 0xFFFF
    return head + (total ^ wrong).to_bytes(2, "big") + bytes(2)


def raw(site: Bed, destination: str, packet: bytes, source: str = "10.97.1.2") -> None:
    """Send a segment from the client under any source."""

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as out:
            head = bytes((0x45, 0, 0, 40, 0, 7, 0, 0, 64, 6, 0, 0))
            ends = socket.inet_aton(source) + socket.inet_aton(destination)
            out.sendto(head + ends + packet, (destination, 0))

    inside(f"/run/netns/{site.client}", send)


def datagram(site: Bed, destination: str, port: int, *, size: int = 10, ttl: int = 64) -> None:
    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
            out.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO: DF is set
            with suppress(OSError):
                out.sendto(bytes(size), (destination, port))

    inside(f"/run/netns/{site.client}", send)


def connections(site: Bed, port: int) -> None:
    """More connections than a listener takes; nobody accepts, and nobody closes while it is traced."""

    def listen() -> None:
        one = socket.socket()
        one.bind((SERVED, port))
        one.listen(0)
        KEPT.append(one)

    inside(f"/run/netns/{site.server}", listen)

    def connect() -> None:
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)  # noqa: FBT003 - the name of the argument is not to be had
            with suppress(BlockingIOError):
                one.connect((SERVED, port))
            KEPT.append(one)

    inside(f"/run/netns/{site.client}", connect)
    time.sleep(0.3)


def try_all(site: Bed) -> None:
    port = {name: fault.port for name, fault in FAULTS.items()}
    steps: tuple[Callable[[], None], ...] = (
        lambda: site.connect(port["closed port"]),
        lambda: site.connect(port["nft reject"]),
        lambda: raw(site, SERVED, segment("10.97.1.2", SERVED, port["nft drop"])),
        lambda: raw(site, SERVED, segment("10.97.1.2", SERVED, port["iptables drop"])),
        lambda: raw(site, SERVED, segment("10.97.1.2", SERVED, port["conntrack INVALID drop"], 16)),
        lambda: raw(site, SERVED, segment(SPOOFED, SERVED, port["reverse path filter"]), SPOOFED),
        lambda: datagram(site, SERVED, port["TTL"], ttl=1),
        lambda: datagram(site, NO_ROUTE, port["no route"]),
        lambda: datagram(site, SERVED, port["MTU with DF"], size=1400),
        lambda: raw(site, SERVED, segment("10.97.1.2", SERVED, port["checksum"], wrong=True)),
        lambda: connections(site, port["full accept queue"]),
        site.bare_ack,
    )
    for each in steps:
        each()
        time.sleep(0.05)


def prepare(site: Bed) -> None:
    router = f"ip netns exec {site.router}"
    do(f"{router} iptables -A FORWARD -p tcp --dport {FAULTS['iptables drop'].port} -j DROP")
    invalid = FAULTS["conntrack INVALID drop"].port
    do(f"{router} iptables -A FORWARD -p tcp --dport {invalid} -m conntrack --ctstate INVALID -j DROP")
    do(f"{router} sysctl -qw net.ipv4.conf.{site.inner}.rp_filter=1 net.netfilter.nf_conntrack_checksum=0")
    do(f"{router} sysctl -qw net.ipv4.icmp_ratelimit=0")
    do(f"ip -n {site.router} link set {site.outer} mtu 1200")
    do(f"ip netns exec {site.server} sysctl -qw net.ipv4.tcp_syncookies=0")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelAccount]:
    folder = tmp_path_factory.mktemp("authors") / "case"
    with bed(PREFIX) as site:
        prepare(site)
        words = ["--profile", "all", "--stack", "drop"]
        for name in (site.client, site.router, site.server):
            words += ["--netns", name]
        with traced(folder, *words):
            try_all(site)
        for each in KEPT:
            each.close()
        yield account(open_bundle(folder).traces)


@pytest.mark.parametrize("name", FAULTS)
def test_the_author_and_the_reason_are_right(told: KernelAccount, name: str) -> None:
    fault = FAULTS[name]

    deeds = deeds_of_port(told, fault.port)

    said = [(each.kind, each.event.netns, each.event.reason, each.function) for each in deeds]
    assert said, f"nobody is named for {name}"
    assert {each[1] for each in said} == {fault.netns}, said
    if fault.or_drop is not None and {each[0] for each in said} == {DeedKind.DROP}:
        assert {each[3] for each in said} == {fault.or_drop}, said
        return
    assert {each[0] for each in said} == {fault.kind}, said
    assert all(fault.reason in (each[2] or "") for each in said), said
    if fault.functions:
        assert {each[3] for each in said} <= fault.functions, said


def test_a_reset_is_the_router_s_in_the_name_of_the_floating_address(told: KernelAccount) -> None:
    (deed,) = [each for each in deeds_of_port(told, 22) if each.kind is DeedKind.RST]
    assert deed.packet is not None
    headers = told.packet(deed.packet).headers
    assert headers is not None
    assert f"IP {FLOATING}.22 >" in str(headers.packet)
    assert deed.event.device == f"qr-{PREFIX}"
    assert deed.provoked_by is not None
