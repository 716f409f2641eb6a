"""
One router of the running kernel with three legs, whose other ends are held here.

The legs ask nobody's MAC (``arp off``), so every address has a way out. What comes out of a leg is read
there; what the router sends itself is put into its OUTPUT by a raw socket.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from bothways.conform.namespace import inside
from bothways.conform.nat_rules import LEGS, OWN, Ruleset
from bothways.conform.nat_table import KernelTable
from bothways.conform.netfilter_replay import read_router

__all__ = ["NatBed"]

_IP: Final = 0x0800
_IGNORE_OUTGOING: Final = (263, 23)  # SOL_PACKET, PACKET_IGNORE_OUTGOING
_PATIENCE: Final = 0.015
_SYSCTLS: Final = {
    "net.ipv4.ip_forward": 1,
    "net.ipv4.icmp_ratemask": 0,
    "net.ipv4.icmp_ratelimit": 0,
    "net.ipv4.icmp_msgs_per_sec": 1_000_000,
    "net.ipv4.icmp_msgs_burst": 100_000,
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.default.rp_filter": 0,
    "net.ipv4.conf.all.send_redirects": 0,
    "net.ipv4.conf.default.send_redirects": 0,
}
#: A program listens here: a list of sockets without any of UDP would not show that UDP was asked.
_LISTENING: Final = 9
_ASKED: Final = (
    "rp_filter", "forwarding", "accept_local", "route_localnet", "src_valid_mark", "send_redirects",
)  # fmt: skip


class NatBed:
    """
    The router; ``close`` removes it.

    :param name: of its namespace; *NAME-far* holds the other ends of its legs.
    :raises OSError: if it cannot be built.
    """

    def __init__(self, name: str) -> None:
        self.name, self._far = name, f"{name}-far"
        self._sockets: dict[str, socket.socket] = {}
        self._others: list[socket.socket] = []
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def _build(self) -> None:
        for each in (self.name, self._far):
            _run("ip", "netns", "add", each)
        with inside(self.name):
            for key, value in _SYSCTLS.items():
                path = Path("/proc/sys", key.replace(".", "/"))
                if path.exists():
                    path.write_text(f"{value}\n")
        script = []
        for leg in LEGS:
            script.append(f"link add {leg} type veth peer name {leg} netns {self._far}")
            script += [f"link set {leg} arp off", f"link set {leg} up"]
            script += [f"addr add {held} dev {leg}" for held in OWN[leg]]
        script += ["link set lo up", "route add default via 10.77.2.254 dev bnb"]
        _run("ip", "-n", self.name, "-batch", "-", text="\n".join(script) + "\n")
        for leg in LEGS:
            _run("ip", "-n", self._far, "link", "set", leg, "arp", "off", "up")
        with inside(self._far):
            for leg in LEGS:
                wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_IP))
                self._sockets[leg] = wire
                wire.bind((leg, _IP))
                wire.setsockopt(*_IGNORE_OUTGOING, 1)
                wire.setblocking(False)  # noqa: FBT003 (its only argument)
        with inside(self.name):
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
            self._sockets[""] = raw
            listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._others.append(listener)
            listener.bind(("", _LISTENING))
            self.table = KernelTable()
            self._counter = os.open("/proc/thread-self/net/snmp", os.O_RDONLY)
        self._still = self._dumped_once()
        self.macs = {row.name: row.mac for row in read_router(self._still)[0].devices or ()}

    def _dumped_once(self) -> dict[str, str]:
        def ip(*words: str) -> str:
            return _run("ip", "-n", self.name, *words)

        names = [f"net.ipv4.conf.{leg}.{each}" for leg in ("all", *LEGS) for each in _ASKED]
        values = []
        with inside(self.name):
            for key in ("net.ipv4.ip_forward", *names):
                path = Path("/proc/sys", key.replace(".", "/"))
                if path.exists():
                    values.append(f"{key} = {path.read_text().strip()}")
        return {
            "addr.json": ip("-d", "-j", "address"),
            "route.json": ip("-j", "route", "show", "table", "all"),
            "rule.json": ip("-j", "rule"),
            "ss.txt": self._ss(),
            "sysctl.txt": "".join(f"{value}\n" for value in values),
        }

    def _ss(self) -> str:
        return _run("ip", "netns", "exec", self.name, "ss", "-tuan")

    def load(self, rules: Ruleset) -> dict[str, str]:
        """
        Replace all rules and forget all connections.

        :return: the router, as its tools print it: file of a bundle's namespace -> text.
        """
        script = "flush ruleset\n" + (rules.text if rules.native else "")
        _run("ip", "netns", "exec", self.name, "nft", "-f", "-", text=script)
        saved = listed = ""
        if rules.native:
            listed = _run("ip", "netns", "exec", self.name, "nft", "list", "ruleset")
        else:
            _run("ip", "netns", "exec", self.name, "iptables-restore", text=rules.text)
            saved = _run("ip", "netns", "exec", self.name, "iptables-save", "-t", "nat")
        self.table.flush()
        return {**self._still, "iptables-save.txt": saved, "nft.txt": listed}

    def send(self, leg: str, frame: bytes) -> list[tuple[str, bytes]]:
        """
        Send a frame into a leg, or with "" a packet from the router itself (without its link header).

        :return: what came out, with its leg.
        """
        self._drain()
        if leg:
            self._sockets[leg].send(frame)
        else:
            packet = frame[14:]
            with suppress(OSError):  # the kernel says so where a hook drops what it sends
                self._sockets[""].sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))
        wires = [self._sockets[each] for each in LEGS]
        end = time.monotonic() + _PATIENCE
        found = self._drain()
        while not found and (left := end - time.monotonic()) > 0:
            select.select(wires, [], [], left)
            found = self._drain()
        return found

    def delivered(self) -> int:
        """``IpInDelivers``: how many packets went to a receiver of the router itself so far."""
        names, values = (
            line.split() for line in os.pread(self._counter, 1 << 16, 0).decode().splitlines()[:2]
        )
        return int(values[names.index("InDelivers")])

    def _drain(self) -> list[tuple[str, bytes]]:
        found = []
        for leg in LEGS:
            while True:
                try:
                    found.append((leg, self._sockets[leg].recv(65536)))
                except BlockingIOError:
                    break
        return found

    def close(self) -> None:
        """Close sockets and remove the namespaces."""
        for each in (*self._sockets.values(), *self._others):
            each.close()
        if hasattr(self, "table"):
            self.table.close()
            os.close(self._counter)
        for name in (self.name, self._far):
            with suppress(OSError):
                _run("ip", "netns", "del", name)


def _run(*words: str, text: str | None = None) -> str:
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    done = subprocess.run(words, input=text, text=True, capture_output=True, check=False, env=environment)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
        raise OSError(None, "; ".join(said[:3]), " ".join(words))
    return done.stdout
