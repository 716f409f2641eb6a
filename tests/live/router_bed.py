"""A client, a router that translates a floating address, and a server, each in a namespace of its own."""

from __future__ import annotations

import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bothways.trace.probe.netns_devices import inside

CLIENT_ADDRESS, SERVED, FLOATING = "10.97.1.2", "10.97.2.2", "10.97.1.100"
RULES = """
table ip bed {
  chain in { type nat hook prerouting priority dstnat; ip daddr 10.97.1.100 tcp dport 22 dnat to 10.97.2.2; }
  chain out { type nat hook postrouting priority srcnat; }
  chain through {
    type filter hook forward priority 0
    tcp dport 7777 reject with tcp reset
    tcp dport 8888 drop
  }
}
"""


def do(line: str, stdin: str = "") -> None:
    subprocess.run(line.split(), input=stdin, text=True, capture_output=True, check=True)


class Bed:
    """The three namespaces; names begin with a prefix of the test's own."""

    def __init__(self, prefix: str) -> None:
        self.client, self.router, self.server = (prefix + each for each in "crs")
        self.inner, self.outer = f"qr-{prefix}", f"qg-{prefix}"
        self.prefix = prefix

    def build(self) -> None:
        p = self.prefix
        for name in (self.client, self.router, self.server):
            do(f"ip netns add {name}")
            do(f"ip -n {name} link set lo up")
        do(f"ip link add {p}c0 netns {self.client} type veth peer name {self.inner} netns {self.router}")
        do(f"ip link add {p}s0 netns {self.server} type veth peer name {self.outer} netns {self.router}")
        for name, device, address in (
            (self.client, f"{p}c0", CLIENT_ADDRESS),
            (self.router, self.inner, "10.97.1.1"),
            (self.server, f"{p}s0", SERVED),
            (self.router, self.outer, "10.97.2.1"),
        ):
            do(f"ip -n {name} address add {address}/24 dev {device}")
            do(f"ip -n {name} link set {device} up")
        do(f"ip -n {self.client} route add default via 10.97.1.1")
        do(f"ip -n {self.server} route add default via 10.97.2.1")
        do(f"ip -n {self.router} address add {FLOATING}/32 dev {self.inner}")
        do(f"ip netns exec {self.router} sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0")
        do(f"ip netns exec {self.router} nft -f -", RULES)
        do(f"ip netns exec {self.router} sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0")
        do(f"ip netns exec {self.client} ping -c 1 -W 5 {SERVED}")
        do(f"ip netns exec {self.router} ping -c 1 -W 5 {CLIENT_ADDRESS}")

    def clear(self) -> None:
        for name in (self.client, self.router, self.server):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)

    def inode(self, name: str) -> int:
        return Path(f"/run/netns/{name}").stat().st_ino

    def connect(self, port: int) -> None:
        """Try a connection from the client to the server."""
        self._from_client(lambda: _connect(port))

    def bare_ack(self, port: int = 17350) -> None:
        """Send an ACK that no tracker knows to the floating address."""
        self._from_client(lambda: _bare_ack(port))

    def _from_client(self, action: Callable[[], None]) -> None:
        inside(f"/run/netns/{self.client}", action)


def _connect(port: int) -> None:
    with socket.socket() as one, suppress(OSError):
        one.settimeout(1)
        one.connect((SERVED, port))


def _bare_ack(port: int) -> None:
    ends = socket.inet_aton(CLIENT_ADDRESS) + socket.inet_aton(FLOATING)
    head = struct.pack("!HHIIBBHHH", port, 22, 1000, 2000, 5 << 4, 16, 512, 0, 0)
    total = sum(struct.unpack("!16H", ends + struct.pack("!BBH", 0, 6, len(head)) + head))
    total = (total & 0xFFFF) + (total >> 16)
    total = ~(total + (total >> 16)) & 0xFFFF
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
        raw.bind((CLIENT_ADDRESS, 0))
        raw.sendto(head[:16] + struct.pack("!H", total) + head[18:], (FLOATING, 0))


@contextmanager
def bed(prefix: str) -> Iterator[Bed]:
    """Build it, and take it away again."""
    each = Bed(prefix)
    each.clear()
    try:
        each.build()
        yield each
    finally:
        each.clear()
