"""
A small world for random pipelines: few addresses, ports and tags, so that packets and flows meet.

Everything is drawn from a seed; the same seed draws the same.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeVar

__all__ = ["PORTS", "PROTOCOLS", "Draw"]

T = TypeVar("T")

#: protocols of packets and matches -> how often, and the broader one that they are a kind of
PROTOCOLS: Final[Mapping[str, tuple[int, str]]] = {
    "tcp": (10, "ip"), "udp": (5, "ip"), "icmp": (2, "ip"), "sctp": (1, "ip"), "ip": (3, ""), "arp": (4, ""),
    "tcp6": (2, "ipv6"), "udp6": (1, "ipv6"), "icmp6": (1, "ipv6"), "ipv6": (1, ""), "": (2, ""),
}  # fmt: skip
#: OpenFlow ports of the bridge that packets come in at
PORTS: Final = (1, 2, 3, 4, 5, 6, 7, 8, 9, 11)

_MACS: Final = tuple(f"02:00:00:00:00:{n:02x}" for n in range(1, 6))
_GROUP_MACS: Final = ("ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:07", "01:80:c2:00:00:00")
_FOUR: Final = ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.1.1", "10.9.0.1", "192.168.111.223")
_FOUR_MASKS: Final = ("255.255.255.0", "255.255.0.0", "255.0.0.0", "255.0.0.255", "255.255.255.252")
_SIX: Final = ("fd00::1", "fd00::2", "fd00:0:0:1::3", "fe80::4")
_SIX_MASKS: Final = (
    "ffff:ffff:ffff:ffff::",
    "ffff:ffff:ffff::",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe",
    "ffff::ffff",
)
_TRANSPORT: Final = (22, 53, 80, 443, 1024, 17350)
_VLANS: Final = (10, 20, 30)


class Draw:
    """Chance from a seed, and values of fields as ``ovs-ofctl`` takes them."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)

    def one(self, options: Sequence[T]) -> T:
        """Draw one of several."""
        return self.random.choice(options)

    def weighted(self, options: Mapping[T, int]) -> T:
        """Draw a key, each as often as its weight says."""
        return self.random.choices(list(options), list(options.values()))[0]

    def chance(self, share: float) -> bool:
        """Be true in a share of all draws."""
        return self.random.random() < share

    def number(self, low: int, high: int) -> int:
        """Draw a number, both ends included."""
        return self.random.randint(low, high)

    # -- values ------------------------------------------------------------------------------------

    def mac(self, *, group: bool = False) -> str:
        """Draw a MAC; with *group* sometimes one of a group."""
        return self.one(_GROUP_MACS) if group and self.chance(0.15) else self.one(_MACS)

    def four(self) -> str:
        """Draw an IPv4 address."""
        return self.one(_FOUR)

    def four_masked(self) -> str:
        """Draw an IPv4 address, sometimes with a mask."""
        address = self.four()
        if not self.chance(0.35):
            return address
        mask = self.one(_FOUR_MASKS)
        return f"{IPv4Address(int(IPv4Address(address)) & int(IPv4Address(mask)))}/{mask}"

    def six(self) -> str:
        """Draw an IPv6 address."""
        return self.one(_SIX)

    def six_masked(self) -> str:
        """Draw an IPv6 address, sometimes with a mask."""
        address = self.six()
        if not self.chance(0.35):
            return address
        mask = self.one(_SIX_MASKS)
        return f"{IPv6Address(int(IPv6Address(address)) & int(IPv6Address(mask)))}/{mask}"

    def transport(self) -> int:
        """Draw a port of TCP or UDP."""
        return self.one(_TRANSPORT)

    def transport_masked(self) -> str:
        """Draw a port, sometimes with a mask."""
        port = self.transport()
        mask = self.one((0xFFF0, 0xFF00, 0x1))
        return f"{port & mask:#x}/{mask:#x}" if self.chance(0.2) else str(port)

    def vlan(self) -> int:
        """Draw a VLAN."""
        return self.one(_VLANS)

    def port(self) -> int:
        """Draw a port of the bridge."""
        return self.one(PORTS)

    def small(self, bits: int = 2) -> int:
        """Draw a small number, as registers hold."""
        return self.random.getrandbits(bits)

    def masked(self, bits: int = 3) -> str:
        """Draw a small number, sometimes with a mask."""
        value = self.small(bits)
        mask = self.number(1, (1 << bits) - 1)
        return f"{value & mask:#x}/{mask:#x}" if self.chance(0.3) else f"{value:#x}"

    def part(self, bits: int, shift: int = 0) -> str:
        """Draw a small number under a mask, moved up."""
        mask = self.number(1, (1 << bits) - 1) << shift
        return f"{self.small(bits) << shift & mask:#x}/{mask:#x}"
