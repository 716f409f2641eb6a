"""
Which of its IPv6 addresses a namespace sends from.

RFC 6724 section 5 in the order of ``ipv6_get_saddr_eval`` of ``net/ipv6/addrconf.c``: the destination
itself, the scope, not deprecated, the device that the packet leaves by, the label, the longest common
prefix. Of equals the first one in the dump is taken, which lists them as the kernel does. The labels are
those that the kernel starts with (``ip addrlabel``).
"""

from __future__ import annotations

from ipaddress import IPv6Network
from typing import Final

from bothways.facts.address import IPAddress, network
from bothways.facts.device import InterfaceAddress
from bothways.facts.snapshot import Netns

__all__ = ["select_ipv6", "usable"]

_LABELS: Final = tuple(
    (network(prefix), label)
    for prefix, label in (
        ("::1/128", 0),
        ("2001:10::/28", 7),
        ("::ffff:0:0/96", 4),
        ("::/96", 3),
        ("2001::/32", 6),
        ("2002::/16", 2),
        ("fc00::/7", 5),
        ("::/0", 1),
    )
)
_LINK_LOCAL, _SITE, _GLOBAL = 0x02, 0x05, 0x0E
_BITS: Final = 128
_SITE_LOCAL: Final = IPv6Network("fec0::/10")


def usable(held: InterfaceAddress) -> bool:
    """False for an address that duplicate address detection has not passed."""
    return not held.flags & {"tentative", "dadfailed"} or "optimistic" in held.flags


def select_ipv6(netns: Netns, device: str, toward: IPAddress) -> IPAddress | None:
    """
    The source of a packet that leaves by a device (``ipv6_dev_get_saddr``); None if there is none.

    For a link-local or multicast destination only addresses of that device are candidates.
    """
    scope = _scope(toward)
    near = toward.is_multicast or scope <= _LINK_LOCAL
    setting = netns.sysctl(f"net.ipv6.conf.{device}.use_oif_addrs_only")
    near = near or (setting is not None and setting.value.strip() == "1")
    candidates = [
        (name, held)
        for name, held in (
            (each.name, held) for each in netns.devices or () if each.up for held in each.addresses
        )
        if held.address.version == toward.version
        and (name == device or not near)
        and usable(held)
        and not held.address.is_unspecified
    ]
    best = max(candidates, key=lambda row: _score(row[0], row[1], device, toward), default=None)
    return None if best is None else best[1].address


def _score(name: str, held: InterfaceAddress, device: str, toward: IPAddress) -> tuple[int, ...]:
    mine, wanted = _scope(held.address), _scope(toward)
    return (
        held.address == toward,
        -mine if mine >= wanted else mine - _BITS,
        "deprecated" not in held.flags,
        name == device,
        _label(held.address) == _label(toward),
        min(_common(held.address, toward), held.prefix),
    )


def _scope(address: IPAddress) -> int:
    if address.is_multicast:
        return int(address) >> (_BITS - 16) & 0xF
    if address.is_loopback:
        # ``ipv6_addr_src_scope`` says of the loopback address what it says of link-local ones.
        return _LINK_LOCAL
    if address.is_link_local:
        return _LINK_LOCAL
    return _SITE if address in _SITE_LOCAL else _GLOBAL


def _label(address: IPAddress) -> int:
    return next(label for prefix, label in _LABELS if address in prefix)


def _common(one: IPAddress, other: IPAddress) -> int:
    return _BITS - (int(one) ^ int(other)).bit_length()
