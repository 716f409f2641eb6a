"""
The router of `conform netfilter`: of the running kernel, with the other ends of its legs held here.

Nothing waits for a time: behind each frame a marker goes through a wire of its own, and when the marker is
there, all that came of the frame is there too, because one processor does all of it in order.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from bothways.conform.namespace import inside
from bothways.conform.nat_table import KernelTable
from bothways.conform.netfilter_case import Heard, Sent, Setting
from bothways.conform.netfilter_place import LEGS, LISTENING, PLACES, neighbours
from bothways.conform.netfilter_sockets import listener, raw4, raw6, wire
from bothways.model.linux.peer import Peer

__all__ = ["NetfilterBed", "RefusedError"]

_ALL: Final = 0x0003
_MARKER: Final = 0x88B5  # local experimental, IEEE 802
#: How often a marker goes round: a frame may pass the queue of a processor once per loop through ``lo``.
_ROUNDS: Final = 6
_PATIENCE: Final = 2.0
_PKTINFO: Final = 8  # ip(7); the socket module has no name for it
#: Who has less than this left may get no error: one costs a second, and clocks are not exact.
_ENOUGH_NS: Final = 1_100_000_000
_SYSCTLS: Final[Mapping[str, str]] = {
    "net.ipv4.ip_forward": "1",
    "net.ipv6.conf.all.forwarding": "1",
    "net.ipv4.icmp_ratemask": "0",
    "net.ipv4.icmp_ratelimit": "0",
    "net.ipv4.icmp_msgs_per_sec": "1000000",
    "net.ipv4.icmp_msgs_burst": "100000",
    "net.ipv6.icmp.ratelimit": "0",
    "net.ipv4.tcp_synack_retries": "0",
    "net.ipv4.tcp_max_syn_backlog": "4096",
    "net.ipv4.tcp_syncookies": "0",
    "net.ipv4.tcp_invalid_ratelimit": "0",
}
#: Of every device; the second value is that of the kernel, which a case returns to.
_OF_DEVICES: Final[Mapping[str, str]] = {
    "net.ipv4.conf.{}.rp_filter": "0",
    "net.ipv4.conf.{}.send_redirects": "0",
    "net.ipv4.conf.{}.accept_redirects": "0",
    "net.ipv6.conf.{}.accept_redirects": "0",
    "net.ipv6.conf.{}.accept_dad": "0",
    "net.ipv6.conf.{}.router_solicitations": "0",
    "net.ipv6.conf.{}.addr_gen_mode": "1",
}
#: Who does not answer is asked for ever: an error after seconds would belong to no packet. A namespace has no
#: defaults of these, so every leg is told.
_OF_LEGS: Final[Mapping[str, str]] = {
    "net.ipv4.neigh.{}.retrans_time_ms": "3600000",
    "net.ipv6.neigh.{}.retrans_time_ms": "3600000",
}
#: file of a bundle -> command; the first of several forms, or any of them.
DUMPS: Final[Sequence[tuple[tuple[str, str], ...]]] = (
    (("addr.json", "ip -d -j addr"), ("addr.txt", "ip addr")),
    (("route.json", "ip -j route show table all"), ("route.txt", "ip route show table all")),
    (("rule.json", "ip -j rule"), ("rule.txt", "ip rule")),
    (("rule6.json", "ip -6 -j rule"), ("rule6.txt", "ip -6 rule")),
    (("neigh.json", "ip -j neigh"), ("neigh.txt", "ip neigh")),
    (("iptables-save.txt", "iptables-save -c"), ("iptables-save.txt", "iptables-save")),
    (("ip6tables-save.txt", "ip6tables-save -c"), ("ip6tables-save.txt", "ip6tables-save")),
    (("nft.txt", "nft list ruleset"), ("nft.txt", "nft -j list ruleset")),
    (("sysctl.txt", "sysctl net.ipv4 net.ipv6.conf net.ipv6.fwmark_reflect net.netfilter 2>/dev/null"),),
    (("ss.txt", "ss -tuan"),),
)
_SEPARATOR: Final = "----8<----"


class RefusedError(Exception):
    """A tool did not take what was drawn for it."""


class NetfilterBed:
    """
    The router; ``close`` removes it.

    :param name: of its namespace; *NAME-far* holds the other ends of its legs.
    :raises OSError: if it cannot be built.
    """

    def __init__(self, name: str) -> None:
        self.name, self._far = name, f"{name}-far"
        self._wires: dict[str, socket.socket] = {}
        self._raw: dict[int, socket.socket] = {}
        self._marker: tuple[socket.socket, socket.socket] | None = None
        self._listeners: list[socket.socket] = []
        self._changed: dict[str, str] = {}
        self._ways: tuple[str, ...] = ()
        self._forgetting = ""
        self._counters: list[int] = []
        self._began = 0.0
        self._told: dict[str, Peer] = {}
        self._sent_ns = 0
        self._processors = os.sched_getaffinity(0)
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    # -- building -------------------------------------------------------------------------------------

    def _build(self) -> None:
        os.sched_setaffinity(0, {min(self._processors)})
        for each in (self.name, self._far):
            _run("ip", "netns", "add", each)
        with inside(self.name):
            for scope in ("all", "default"):
                _write({key.format(scope): value for key, value in _OF_DEVICES.items()})
            _write(_SYSCTLS)
        script = ["link set lo up"]
        for leg in LEGS:
            script.append(f"link add {leg} type veth peer name {leg} netns {self._far}")
            script.append(f"link set {leg} up")
            for place in PLACES.values():
                script += [f"addr add {held} dev {leg}" for held in place.held[leg]]
        # A namespace that once had a policy rule checks senders more closely for ever
        # (``fib_has_custom_rules``), and no dump shows it: this one always has.
        script.append("rule add from 192.0.2.200 priority 32000 lookup main")
        script += [f"neigh add {ip} lladdr {mac} dev {leg} nud permanent" for leg, ip, mac in neighbours()]
        _run("ip", "-n", self._far, "link", "add", "mark0", "type", "veth", "peer", "name", "mark1")
        with inside(self._far):
            for scope in ("all", "default"):
                _write({f"net.ipv6.conf.{scope}.disable_ipv6": "1"})
        _run("ip", "-n", self.name, "-batch", "-", text=_lines(script))
        for leg in (*LEGS, "mark0", "mark1"):
            _run("ip", "-n", self._far, "link", "set", leg, "arp", "off", "up")
        with inside(self._far):
            self._wires = {leg: wire(leg, _ALL) for leg in LEGS}
            self._marker = (wire("mark0", _MARKER), wire("mark1", _MARKER))
            self._marker[1].settimeout(_PATIENCE)
        with inside(self.name):
            for leg in LEGS:
                _write({key.format(leg): value for key, value in _OF_LEGS.items()})
            self._raw = {4: raw4(), 6: raw6()}
            self.table = KernelTable(socket.AF_UNSPEC)
            self._counters = [
                os.open(f"/proc/thread-self/net/{name}", os.O_RDONLY) for name in ("snmp", "snmp6")
            ]
            self._base = {key: _read(key) for key in _settable()}
        links = _run("ip", "-n", self.name, "-o", "link").splitlines()
        self.macs = {
            leg: line.split("link/ether ")[1].split()[0]
            for line in links
            for leg in LEGS
            if f" {leg}@" in line
        }

    def close(self) -> None:
        """Close sockets and remove the namespaces."""
        os.sched_setaffinity(0, self._processors)
        for each in (*self._wires.values(), *self._raw.values(), *(self._marker or ()), *self._listeners):
            each.close()
        for counter in self._counters:
            os.close(counter)
        self._counters = []
        if hasattr(self, "table"):
            self.table.close()
        for name in (self.name, self._far):
            with suppress(OSError):
                _run("ip", "netns", "del", name)

    # -- a case ---------------------------------------------------------------------------------------

    def load(self, setting: Setting) -> None:
        """
        Tell the router what a case is about, and forget the one before.

        :raises RefusedError: if a tool does not take it; the router then stands with what it took.
        """
        self._undo()
        try:
            self._do(setting)
        except OSError as error:
            raise RefusedError(error.strerror or str(error)) from error
        self.table.flush()
        self._began = 0.0

    def _undo(self) -> None:
        self.run("nft", "flush", "ruleset")
        undone = [_undoing(line) for line in self._ways]
        if undone:
            self._batch([each for each in undone if each], force=True)
        self._ways = ()
        with inside(self.name):
            _write({key: self._base[key] for key in self._changed})
            _write({"net.ipv4.route.flush": "1"})  # what errors taught
        self._changed = {}
        # What waited for a neighbour is answered with an error when the kernel gives it up: now, not in a
        # case that knows nothing of it.
        self.run("ip", "neigh", "flush", "nud", "incomplete")
        self._drain()

    def _do(self, setting: Setting) -> None:
        self._changed = dict(setting.sysctls)
        with inside(self.name):
            self._listen_anew()
            _write(self._changed)
        self._ways = setting.ways
        if setting.ways:
            self._batch(setting.ways)
        for tool in ("iptables", "ip6tables"):
            if text := setting.restore(tool):
                self.run(f"{tool}-restore", text=text)
        if native := setting.native():
            self.run("nft", "-f", "-", text=native)
        self._forgetting = setting.unlearned()

    def forget(self) -> None:
        """Empty the tracker, and take out of sets what rules put into them."""
        self.table.flush()
        if self._forgetting:
            self.run("nft", "-f", "-", text=self._forgetting)

    def dumps(self, forms: Mapping[int, int]) -> dict[str, str]:
        """
        What the router's tools print now.

        :param forms: number of a dump -> which of its forms is wanted; 0 where nothing is said.
        """
        chosen = [forms_of[forms.get(number, 0) % len(forms_of)] for number, forms_of in enumerate(DUMPS)]
        script = f"; echo; echo '{_SEPARATOR}'; ".join(command for _, command in chosen)
        said = self.run("sh", "-c", script).split(f"\n{_SEPARATOR}\n")
        return {file: text for (file, _), text in zip(chosen, said, strict=True)}

    # -- packets --------------------------------------------------------------------------------------

    def send(self, sent: Sent, *, afresh: bool = False) -> Heard:
        """Send one frame, and hear what comes of it."""
        self._drain()
        before, now, limited = self._delivered(), time.monotonic(), self._limited()
        self._began = self._began or now
        if sent.into:
            self._wires[sent.into].send(sent.frame)
        else:
            self._send_own(sent.frame)
        self._wait()
        out, at_ms = tuple(self._drain()), int((now - self._began) * 1000)
        return Heard(out, self._delivered() - before, tuple(self.table.entries()), afresh, limited, at_ms)

    def _limited(self) -> tuple[str, ...]:
        """
        Whom the kernel may tell no error now (``ip_error``; the limit is the machine's and stays).

        What it keeps of a peer outlives a case.
        """
        now = self._sent_ns = time.monotonic_ns()
        return tuple(sorted(peer for peer, told in self._told.items() if told.left(now) < _ENOUGH_NS))

    def complained(self, peers: Iterable[str]) -> None:
        """Take note of whom the last frame made the kernel complain to, though perhaps nothing came out."""
        for peer in peers:
            account = self._told.setdefault(peer, Peer())
            if not account.spend(self._sent_ns):
                account.tokens = 0  # by the kernel's clock it may have had enough

    def _send_own(self, frame: bytes) -> None:
        """
        Put a packet into OUTPUT as a socket bound to its sender would.

        Sender and type of service go along as ``IP_PKTINFO`` and ``IP_TOS``, or policy rules would see none.
        """
        packet, version = frame[14:], frame[14] >> 4
        told: list[tuple[int, int, bytes]]
        if version == 4:  # noqa: PLR2004 - IPv4
            sender = struct.pack("=i4s4s", 0, packet[12:16], bytes(4))
            there: tuple[object, ...] = (socket.inet_ntoa(packet[16:20]), 0)
            tos = struct.pack("=i", packet[1])
            told = [(socket.IPPROTO_IP, _PKTINFO, sender), (socket.IPPROTO_IP, socket.IP_TOS, tos)]
        else:
            sender = struct.pack("=16si", packet[8:24], 0)
            there = (socket.inet_ntop(socket.AF_INET6, packet[24:40]), 0, 0, 0)
            tos = struct.pack("=i", int.from_bytes(packet[:2]) >> 4 & 0xFF)
            told = [
                (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, sender),
                (socket.IPPROTO_IPV6, socket.IPV6_TCLASS, tos),
            ]
        with suppress(OSError):  # the kernel says so where a hook drops what it sends
            self._raw[version].sendmsg([packet], told, 0, there)

    def _wait(self) -> None:
        if self._marker is None:
            return
        here, there = self._marker
        for _ in range(_ROUNDS):
            here.send(b"\xff" * 12 + _MARKER.to_bytes(2) + bytes(46))
            there.recv(2048)

    def _drain(self) -> list[tuple[str, bytes]]:
        found = []
        for leg, end in self._wires.items():
            while True:
                try:
                    found.append((leg, end.recv(65536)))
                except BlockingIOError:
                    break
        return found

    def _delivered(self) -> int:
        """``IpInDelivers`` and ``Ip6InDelivers``."""
        four, six = (os.pread(each, 1 << 16, 0).decode().splitlines() for each in self._counters)
        names, values = (line.split() for line in four[:2])
        found = next((line.split()[1] for line in six if line.startswith("Ip6InDelivers ")), "0")
        return int(values[names.index("InDelivers")]) + int(found)

    def _listen_anew(self) -> None:
        """Close and open what listens: half-open connections of the case before go with it."""
        for each in self._listeners:
            each.close()
        self._listeners = [listener(port) for port in LISTENING]

    # -- tools ----------------------------------------------------------------------------------------

    def run(self, *words: str, text: str | None = None) -> str:
        """
        Run a tool in the router's namespace.

        :raises OSError: with what it said, if it fails.
        """
        return _run("ip", "netns", "exec", self.name, *words, text=text)

    def _batch(self, lines: Sequence[str], *, force: bool = False) -> None:
        """``ip -batch``; a line that begins with ``-6`` is for IPv6."""
        for options in ((), ("-6",)):
            mine = [line.removeprefix("-6 ") for line in lines if line.startswith("-6 ") is bool(options)]
            if not mine:
                continue
            words = ("ip", *options, "-n", self.name, *(("-force",) if force else ()), "-batch", "-")
            if force:
                with suppress(OSError):
                    _run(*words, text=_lines(mine))
            else:
                _run(*words, text=_lines(mine))


def _undoing(line: str) -> str:
    """The line that takes back a line of a setting, "" if nothing does."""
    words = line.split()
    return " ".join("del" if word == "add" else word for word in words) if "add" in words else ""


def _lines(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _settable() -> list[str]:
    """Sysctls that a case may change, as far as this kernel has them."""
    names = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"]
    names += ["net.ipv4.fwmark_reflect", "net.ipv6.fwmark_reflect"]
    for scope in ("all", "default", *LEGS, "lo"):
        names += [f"net.ipv4.conf.{scope}.{each}" for each in _CHANGING]
        names.append(f"net.ipv6.conf.{scope}.forwarding")
    names += [f"net.netfilter.nf_conntrack_tcp_{each}" for each in ("loose", "be_liberal")]
    return [name for name in names if _path(name).exists()]


_CHANGING: Final = (
    "rp_filter", "forwarding", "accept_local", "route_localnet", "src_valid_mark", "arp_ignore",
    "arp_announce",    "arp_filter", "proxy_arp",
)  # fmt: skip


def _path(name: str) -> Path:
    return Path("/proc/sys", name.replace(".", "/"))


def _read(name: str) -> str:
    return _path(name).read_text().strip()


def _write(values: Mapping[str, str]) -> None:
    for name, value in values.items():
        path = _path(name)
        if path.exists():
            path.write_text(f"{value}\n")


def _run(*words: str, text: str | None = None) -> str:
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    done = subprocess.run(words, input=text, text=True, capture_output=True, check=False, env=environment)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
        raise OSError(None, "; ".join(said[:3]), " ".join(words[:6]))
    return done.stdout
