"""
Three namespaces, two wires, and the rules that make a kernel tell its verdicts.

``A (10.9.1.2) — router — B (10.9.2.2)``. The router's rules write what the tracker said of a segment into
the DSCP, so what comes out at the other side carries it; what the router gets for itself is told by NFLOG.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Final

from bothways.conform.segment import FLOATING, A, B

__all__ = ["MACS", "Site", "inside", "run", "write_sysctl"]

_CLONE_NEWNET: Final = 0x40000000
#: Of A and of the router before it, of the router before B and of B.
MACS: Final[Mapping[str, bytes]] = MappingProxyType(
    {
        "a": b"\x02\0\0\0\x0a\x02",
        "m1": b"\x02\0\0\0\x0a\x01",
        "m2": b"\x02\0\0\0\x0b\x01",
        "b": b"\x02\0\0\0\x0b\x02",
    }
)
_RULES: Final = """
table ip told {
 chain pre { type filter hook prerouting priority -140; policy accept;
  meta l4proto != tcp return
  ct state invalid ip dscp set 1 return
  ct state new ip dscp set 2 return
  ct state established ct direction original ip dscp set 3 return
  ct state established ct direction reply ip dscp set 4 return
  ct state related ip dscp set 5 return
  ct state untracked ip dscp set 6 return
 }
 chain inp { type filter hook input priority 0; policy accept;
  meta l4proto != tcp return
  ct state invalid log prefix "LOCAL:INVALID" group 0 return
  ct state new log prefix "LOCAL:NEW" group 0 return
  ct state established log prefix "LOCAL:ESTABLISHED" group 0 return
  log prefix "LOCAL:other" group 0
 }
}
"""
_NAT: Final = f"""
table ip translated {{
 chain pre {{ type nat hook prerouting priority -100; ip daddr {FLOATING} dnat to {B}; }}
 chain post {{ type nat hook postrouting priority 100; ip saddr {B} snat to {FLOATING}; }}
}}
"""
#: What the router needs; everything else keeps the kernel's default.
_ROUTER: Final = (
    ("net/ipv4/ip_forward", 1),
    ("net/ipv4/conf/all/rp_filter", 0),
    ("net/ipv4/conf/m1/rp_filter", 0),
    ("net/ipv4/conf/m2/rp_filter", 0),
    ("net/ipv4/conf/all/send_redirects", 0),
    ("net/netfilter/nf_conntrack_log_invalid", 6),
)


class Site:
    """
    The namespaces, made when this is made and gone after ``close``.

    :param name: their common prefix: ``NAME-a``, ``NAME-m``, ``NAME-b``.
    :param nat: whether the router translates 192.168.111.223 to B.
    :raises OSError: if it cannot be built; what was made by then is removed.
    """

    def __init__(self, name: str, *, nat: bool) -> None:
        self.a, self.m, self.b = (f"{name}-{part}" for part in "amb")
        try:
            self._build(nat=nat)
        except BaseException:
            self.close()
            raise

    def _build(self, *, nat: bool) -> None:
        for each in (self.a, self.m, self.b):
            run("ip", "netns", "add", each)
            for scope in ("all", "default"):
                write_sysctl(each, f"net/ipv6/conf/{scope}/disable_ipv6", 1)
        for end, near, far in ((self.a, "a", "m1"), (self.b, "b", "m2")):
            wire = ("e0", "netns", end, "address", MACS[near].hex(":"), "type", "veth")
            run(
                "ip",
                "link",
                "add",
                *wire,
                "peer",
                "name",
                far,
                "netns",
                self.m,
                "address",
                MACS[far].hex(":"),
            )
        for where, device in ((self.a, "e0"), (self.b, "e0"), (self.m, "m1"), (self.m, "m2"), (self.m, "lo")):
            run("ip", "-n", where, "link", "set", device, "up")
        for device, address, peer, mac in (("m1", "10.9.1.1", A, "a"), ("m2", "10.9.2.1", B, "b")):
            run("ip", "-n", self.m, "addr", "add", f"{address}/24", "dev", device)
            neighbour = (str(peer), "lladdr", MACS[mac].hex(":"), "dev", device, "nud", "permanent")
            run("ip", "-n", self.m, "neigh", "add", *neighbour)
        if nat:
            run("ip", "-n", self.m, "addr", "add", f"{FLOATING}/32", "dev", "m1")
        run("ip", "netns", "exec", self.m, "nft", "-f", "-", text=_RULES + (_NAT if nat else ""))
        for path, value in _ROUTER:
            write_sysctl(self.m, path, value)

    def set(self, name: str, value: int) -> None:
        """Set a sysctl of the router's tracker, by its name without ``net.netfilter.``."""
        write_sysctl(self.m, f"net/netfilter/{name}", value)

    def close(self) -> None:
        """Remove the namespaces, and with them all that is in them."""
        for each in (self.a, self.m, self.b):
            with suppress(OSError):
                run("ip", "netns", "del", each)


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Let this thread be in a network namespace for a while; sockets that it makes stay there."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        if libc.setns(there, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "the namespace cannot be entered", name)
        try:
            yield
        finally:
            libc.setns(home, _CLONE_NEWNET)
    finally:
        os.close(there)
        os.close(home)


def write_sysctl(where: str, path: str, value: int) -> None:
    """Write a sysctl of a namespace, by its path below ``/proc/sys``."""
    with inside(where):
        Path("/proc/sys", path).write_text(f"{value}\n")


def run(*words: str, text: str | None = None) -> None:
    """
    Run a program, with *text* on its standard input.

    :raises OSError: with the first line of what it complains.
    """
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    done = subprocess.run(words, input=text, text=True, capture_output=True, check=False, env=environment)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
        raise OSError(None, said[0], " ".join(words))
