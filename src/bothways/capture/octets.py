"""Bytes of a header as addresses, remembered because a capture repeats few of them."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from bothways.facts.address import Mac

__all__ = ["ipv4", "ipv6", "mac_of"]


@lru_cache(maxsize=4096)
def ipv4(raw: bytes) -> IPv4Address:
    """Four bytes as an IPv4 address."""
    return IPv4Address(raw)


@lru_cache(maxsize=4096)
def ipv6(raw: bytes) -> IPv6Address:
    """Sixteen bytes as an IPv6 address."""
    return IPv6Address(raw)


@lru_cache(maxsize=4096)
def mac_of(raw: bytes) -> Mac:
    """Six bytes as a MAC."""
    return Mac(raw.hex(":"))
