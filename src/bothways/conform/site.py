"""
Three namespaces, two wires, and the rules that make a kernel tell its verdicts.

``A — router — B``, in both families (``ENDS`` of ``datagram``). What a sender writes into the DSCP chooses a
zone, or that a packet is not tracked. The router's rules write over it what the tracker said, so what comes
out at the other side carries it; what the router gets for itself is told by NFLOG.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Final

from bothways.conform.datagram import ENDS
from bothways.conform.namespace import run, write_sysctl

__all__ = ["ASKED", "MACS", "VERDICTS", "Site"]

#: Of A and of the router before it, of the router before B and of B.
MACS: Final[Mapping[str, bytes]] = MappingProxyType(
    {
        "a": b"\x02\0\0\0\x0a\x02",
        "m1": b"\x02\0\0\0\x0a\x01",
        "m2": b"\x02\0\0\0\x0b\x01",
        "b": b"\x02\0\0\0\x0b\x02",
    }
)
#: What the router's rules wrote into the DSCP -> verdict and direction.
VERDICTS: Final[Mapping[int, tuple[str, str | None]]] = MappingProxyType(
    {
        1: ("INVALID", None),
        2: ("NEW", "original"),
        3: ("ESTABLISHED", "original"),
        4: ("ESTABLISHED", "reply"),
        5: ("RELATED", "original"),
        6: ("UNTRACKED", None),
        7: ("RELATED", "reply"),
    }
)

#: (zone, half, notrack) -> the DSCP that asks for it.
ASKED: Final = {
    (0, None, False): 0,
    (1, None, False): 33,
    (2, None, False): 34,
    (1, "original", False): 35,
    (1, "reply", False): 36,
    (0, None, True): 37,
}
_ZONES: Final = (
    (33, "ct zone set 1"), (34, "ct zone set 2"), (35, "ct original zone set 1"), (36, "ct reply zone set 1"),
    (37, "notrack"),
)  # fmt: skip
_TELL: Final = (
    ("ct state invalid", 1), ("ct state new", 2), ("ct state established ct direction original", 3),
    ("ct state established ct direction reply", 4), ("ct state related ct direction original", 5),
    ("ct state related ct direction reply", 7), ("ct state untracked", 6),
)  # fmt: skip
_SYSCTLS: Final = (
    ("net/ipv4/ip_forward", 1), ("net/ipv6/conf/all/forwarding", 1), ("net/ipv4/conf/all/rp_filter", 0),
    ("net/ipv4/conf/m1/rp_filter", 0), ("net/ipv4/conf/m2/rp_filter", 0),
    ("net/ipv4/conf/all/send_redirects", 0), ("net/netfilter/nf_conntrack_log_invalid", 255),
)  # fmt: skip


class Site:
    """
    The namespaces ``NAME-a``, ``NAME-m`` and ``NAME-b``, gone after ``close``.

    :param nat: whether the router translates an address of its own to B, in each family.
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
        for end in (self.a, self.b):
            for scope in ("all", "default"):
                write_sysctl(end, f"net/ipv6/conf/{scope}/disable_ipv6", 1)
        write_sysctl(self.m, "net/ipv6/conf/default/accept_dad", 0)
        write_sysctl(self.m, "net/ipv6/conf/default/accept_ra", 0)
        for end, near, far in ((self.a, "a", "m1"), (self.b, "b", "m2")):
            wire = ("e0", "netns", end, "address", MACS[near].hex(":"), "type", "veth", "peer", "name", far)
            run("ip", "link", "add", *wire, "netns", self.m, "address", MACS[far].hex(":"))
        for where, device in ((self.a, "e0"), (self.b, "e0"), (self.m, "m1"), (self.m, "m2"), (self.m, "lo")):
            run("ip", "-n", where, "link", "set", device, "up")
        lines = []
        for ends in ENDS.values():
            for device, side in (("m1", "A"), ("m2", "B")):
                network, size = str(ends.of[side])[:-1], 24 if ends.version == 4 else 64  # noqa: PLR2004
                lines.append(f"addr add {network}1/{size} dev {device}")
                mac = MACS[side.lower()].hex(":")
                lines += [
                    f"neigh add {one} lladdr {mac} dev {device} nud permanent"
                    for one in (ends.of[side], ends.beside[side])
                ]
            if nat:
                lines.append(f"addr add {ends.floating} dev m1")
        run("ip", "-n", self.m, "-batch", "-", text="\n".join(lines) + "\n")
        run("ip", "netns", "exec", self.m, "nft", "-f", "-", text=_rules(nat=nat))
        for path, value in _SYSCTLS:
            write_sysctl(self.m, path, value)

    def set(self, name: str, value: int) -> None:
        """Set a sysctl of the router's tracker, by its name without ``net.netfilter.``."""
        write_sysctl(self.m, f"net/netfilter/{name}", value)

    def close(self) -> None:
        """Remove the namespaces, and with them all that is in them."""
        for each in (self.a, self.m, self.b):
            with suppress(OSError):
                run("ip", "netns", "del", each)


def _rules(*, nat: bool) -> str:
    lines = ["table inet told {", " chain raw { type filter hook prerouting priority -300; policy accept;"]
    lines += [f"  {family} dscp {mark} {does} return" for family in ("ip", "ip6") for mark, does in _ZONES]
    lines += [" }", " chain pre { type filter hook prerouting priority -140; policy accept;"]
    lines += [
        f"  {says} {family} dscp set {number} return" for family in ("ip", "ip6") for says, number in _TELL
    ]
    lines += [" }", " chain inp { type filter hook input priority 0; policy accept;"]
    lines += [
        f'  ct state {state} log prefix "LOCAL:{state.upper()}" group 0 return'
        for state in ("invalid", "new", "established", "related", "untracked")
    ]
    lines += [" }", "}"]
    if nat:
        lines += ["table inet translated {", " chain pre { type nat hook prerouting priority -100;"]
        for ends in ENDS.values():
            family = "ip" if ends.version == 4 else "ip6"  # noqa: PLR2004
            lines.append(f"  {family} daddr {ends.floating} dnat {family} to {ends.of['B']}")
        lines += [" }", " chain post { type nat hook postrouting priority 100;"]
        for ends in ENDS.values():
            family = "ip" if ends.version == 4 else "ip6"  # noqa: PLR2004
            lines.append(f"  {family} saddr {ends.of['B']} snat {family} to {ends.floating}")
        lines += [" }", "}"]
    return "\n".join(lines) + "\n"
