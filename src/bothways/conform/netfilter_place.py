"""
Where `conform netfilter` happens: a router with three legs, and who lives behind them.

Addresses of both IP versions. Every neighbour has a MAC that follows from its address, so the frame that the
router sends says which next hop it took. Outside of these addresses the router has nobody to ask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from types import MappingProxyType
from typing import Final

__all__ = ["LEGS", "LISTENING", "PLACES", "Place", "Port", "mac_behind", "neighbours"]

LEGS: Final = ("nfa", "nfb", "nfc")


@dataclass(frozen=True, slots=True)
class Place:
    """
    The addresses of one IP version.

    :param held: leg -> what the router holds there, with prefix length.
    :param hosts: leg -> stations on it; the last is a gateway.
    :param remote: addresses behind a gateway, or behind none.
    :param strange: senders that should not come from outside, and receivers that are no host.
    :param everybody: broadcasts of a leg, as receivers only.
    :param networks: prefixes that rules are written with.
    """

    version: int
    held: Mapping[str, tuple[str, ...]]
    hosts: Mapping[str, tuple[str, ...]]
    remote: tuple[str, ...]
    strange: tuple[str, ...]
    everybody: tuple[str, ...]
    networks: tuple[str, ...]

    @property
    def own(self) -> tuple[str, ...]:
        """Addresses of the router, without their length."""
        return tuple(each.partition("/")[0] for held in self.held.values() for each in held)

    @property
    def stations(self) -> tuple[str, ...]:
        """Everybody on a leg but gateways."""
        return tuple(each for hosts in self.hosts.values() for each in hosts[:-1])

    def gateway(self, leg: str) -> str:
        """The gateway on a leg."""
        return self.hosts[leg][-1]


PLACES: Final[Mapping[int, Place]] = MappingProxyType(
    {
        4: Place(
            4,
            {
                "nfa": ("10.91.1.1/24", "10.91.1.2/24"),
                "nfb": ("10.91.2.1/24", "198.18.7.1/28"),
                "nfc": ("10.91.3.1/24",),
            },
            {
                "nfa": ("10.91.1.10", "10.91.1.11", "10.91.1.12", "10.91.1.254"),
                "nfb": ("10.91.2.10", "10.91.2.11", "198.18.7.5", "10.91.2.254"),
                "nfc": ("10.91.3.10", "10.91.3.11", "10.91.3.254"),
            },
            ("203.0.113.7", "203.0.113.8", "192.0.2.9", "192.0.2.77"),
            (
                "127.0.0.1",
                str(ip_address(0)),
                "255.255.255.255",
                "224.0.0.5",
                "10.91.3.1",
                "127.0.0.9",
            ),
            ("10.91.2.255", "10.91.1.255"),
            (
                "10.91.0.0/16",
                "10.91.1.0/24",
                "10.91.2.8/29",
                "203.0.113.0/24",
                "192.0.2.0/26",
                "10.91.3.11/32",
            ),
        ),
        6: Place(
            6,
            {
                "nfa": ("fd91:1::1/64", "fd91:1::2/64"),
                "nfb": ("fd91:2::1/64",),
                "nfc": ("fd91:3::1/64",),
            },
            {
                "nfa": ("fd91:1::10", "fd91:1::11", "fd91:1::fe"),
                "nfb": ("fd91:2::10", "fd91:2::11", "fd91:2::fe"),
                "nfc": ("fd91:3::10", "fd91:3::11", "fd91:3::fe"),
            },
            ("2001:db8:7::7", "2001:db8:7::8", "2001:db8:9::9"),
            ("::1", "::", "fd91:3::1", "ff02::5", "fe80::99"),
            (),
            ("fd91::/16", "fd91:1::/64", "fd91:2::10/127", "2001:db8:7::/48", "fd91:3::11/128"),
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Port:
    """Where a program of the router listens; *address* None for every address of both IP versions."""

    protocol: str
    number: int
    address: str | None = None


LISTENING: Final = (
    Port("tcp", 22),
    Port("tcp", 8080),
    Port("tcp", 443, "10.91.1.1"),
    Port("tcp", 443, "fd91:1::1"),
    Port("udp", 53),
    Port("udp", 5000, "10.91.2.1"),
)


#: Neighbours on every leg that no list names.
_LINK_LOCAL: Final[Mapping[int, tuple[str, ...]]] = MappingProxyType({4: (), 6: ("fe80::99",)})


def mac_behind(address: str) -> str:
    """
    The MAC of a neighbour, which its address gives.

    >>> mac_behind("10.91.1.254")
    '02:91:0a:5b:01:fe'
    """
    packed = ip_address(address).packed
    told = packed if len(packed) == 4 else packed[2:4] + packed[14:16]  # noqa: PLR2004 - IPv4
    return "02:" + ("91:" if len(packed) == 4 else "96:") + ":".join(f"{each:02x}" for each in told)  # noqa: PLR2004


def neighbours() -> Iterator[tuple[str, str, str]]:
    """Leg, address and MAC of everybody on a leg; who is remote may be on any, if a route says so."""
    for place in PLACES.values():
        for leg, hosts in place.hosts.items():
            for host in (*hosts, *place.remote, *_LINK_LOCAL[place.version]):
                yield leg, host, mac_behind(host)
