"""Addresses as the tools print them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from operator import attrgetter
from typing import Final, NewType

from bothways.facts.quick import quick

__all__ = [
    "BROADCAST",
    "UNKNOWN_MAC",
    "Endpoint",
    "IPAddress",
    "IPNetwork",
    "Mac",
    "address",
    "is_group",
    "mac",
    "mac_from_int",
    "mac_to_int",
    "network",
    "number",
]

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

#: A MAC in lower case with colons, ``fa:16:3e:91:5f:a0``; ``""`` where a capture does not say.
Mac = NewType("Mac", str)

BROADCAST: Final = Mac("ff:ff:ff:ff:ff:ff")
UNKNOWN_MAC: Final = Mac("")
#: ``int`` of an address, as ``ipaddress`` keeps it: asked for each packet, and a third of the time.
number: Final[Callable[[IPAddress], int]] = attrgetter("_ip")
_MAC: Final = re.compile(r"(?:[0-9a-f]{1,2}[:-]){5}[0-9a-f]{1,2}\Z")


def mac(text: str) -> Mac:
    """
    Read a MAC in any usual spelling.

    :raises ValueError: if *text* is not one.

    >>> mac("FA-16-3E-91-5F-A0")
    'fa:16:3e:91:5f:a0'
    """
    lower = text.lower()
    if not _MAC.match(lower):
        raise ValueError(text)
    return Mac(":".join(part.zfill(2) for part in re.split("[:-]", lower)))


def mac_to_int(value: Mac) -> int:
    """The 48 bits of a MAC; 0 for an unknown one."""
    return int(value.replace(":", ""), 16) if value else 0


def mac_from_int(value: int) -> Mac:
    """The MAC of 48 bits."""
    text = f"{value & 0xFFFFFFFFFFFF:012x}"
    return Mac(":".join(text[i : i + 2] for i in range(0, 12, 2)))


def is_group(value: Mac) -> bool:
    """True for broadcast and multicast."""
    return bool(value) and bool(int(value[:2], 16) & 1)


def address(text: str) -> IPAddress:
    """
    Read an IPv4 or IPv6 address; a ``%zone`` is dropped.

    :raises ValueError: if *text* is not one.
    """
    return ip_address(text.partition("%")[0])


def network(text: str) -> IPNetwork:
    """
    Read an address or a prefix; host bits are masked off as the kernel does.

    :raises ValueError: if *text* is not one.
    """
    return ip_network(text, strict=False)


@quick
@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """One end of a connection: address and port (None for ICMP or any)."""

    address: IPAddress
    port: int | None = None

    def __str__(self) -> str:
        """``192.0.2.1:22``, ``[2001:db8::1]:22``."""
        if self.port is None:
            return str(self.address)
        bare = f"[{self.address}]" if self.address.version == 6 else str(self.address)  # noqa: PLR2004
        return f"{bare}:{self.port}"
