"""
The same scenario with other addresses, MACs, VNIs and names: what holds for one site must hold for all.

A seed gives the same numbers every time. Networks move as wholes, so who is on one wire stays on one wire.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Final, cast

__all__ = ["renumber"]

_ADDRESS: Final = re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d{1,3}){3})(/\d{1,2})?(?![\d.])")
_MAC: Final = re.compile(r"(?<![0-9a-f]{2}:)(?<![0-9a-f])(?:[0-9a-f]{2}:){5}[0-9a-f]{2}(?![0-9a-f:])")
_DEVICE: Final = re.compile(
    r"(?<![0-9a-z])(qr-|qg-|sg-|tap|qvo|qvb|qbr|fg-|rfp-|fpr-)([0-9a-f]{8}-[0-9a-f]{2})(?![0-9a-f])"
)
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_FIXED: Final = tuple(map(IPv4Network, ("127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "0.0.0.0/8")))
_POOLS: Final = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
_WORDS: Final = (
    "amber",
    "birch",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "heath",
    "islet",
    "larch",
    "maple",
    "onyx",
)
#: A multicast or broadcast MAC, or a mask: it means the same everywhere.
_KEPT_MACS: Final = re.compile(r"(?:ff:ff:ff:ff:ff:ff|00:00:00:00:00:00|.[13579bdf]:.*)")


def renumber(said: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return the tables of a scenario with other numbers and names."""
    chance = random.Random(seed)  # noqa: S311 - a seed that can be repeated, no secret
    texts = list(_texts(said))
    networks = _networks(texts, chance)
    macs = _macs(texts, chance)
    vnis = {number: chance.randrange(1, 1 << 24) for number in sorted(_vnis(said))}
    hosts = dict(zip(said["hosts"], chance.sample(_WORDS, len(said["hosts"])), strict=True))
    hexes: dict[str, str] = {}

    def other(text: str) -> str:
        text = _ADDRESS.sub(lambda match: _moved(match, networks), text)
        text = _MAC.sub(lambda match: macs.get(match[0], match[0]), text)
        text = _UUID.sub(lambda match: _hex(match[0], hexes, chance), text)
        text = _DEVICE.sub(lambda match: match[1] + _hex(match[2], hexes, chance), text)
        for old, new in vnis.items():
            text = re.sub(rf"\b0x{old:x}\b", f"0x{new:x}", text)
        for old, new in hosts.items():
            text = re.sub(rf"(?<![\w-]){re.escape(old)}(?![\w-])", new, text)
        return text

    def walk(value: Any, key: str | None) -> Any:
        if isinstance(value, dict):
            return {other(name): walk(each, name) for name, each in value.items()}
        if isinstance(value, list):
            return [walk(each, key) for each in value]
        if isinstance(value, str):
            return other(value)
        if key in {"vni", "key"} and isinstance(value, int) and not isinstance(value, bool):
            return vnis.get(value, value)
        return value

    out = cast("dict[str, Any]", walk(dict(said), None))
    if out.get("question", {}).get("source_port"):
        out["question"]["source_port"] = chance.randrange(20000, 60000)
    return out


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield str(key)
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str):
        yield value


def _networks(texts: list[str], chance: random.Random) -> dict[IPv4Network, IPv4Network]:
    """Give every network that an address names with its prefix another one of the same size."""
    found: set[IPv4Network] = set()
    for text in texts:
        for match in _ADDRESS.finditer(text):
            length = int(match[2][1:]) if match[2] else 32
            if 0 < length < 32:  # noqa: PLR2004 - a network, not a host
                network = IPv4Network(match[1] + str(match[2]), strict=False)
                if not any(network.overlaps(kept) for kept in _FIXED):
                    found.add(network)
    for text in texts:
        for match in _ADDRESS.finditer(text):
            found |= _stray(match[1], found)
    outer = [each for each in sorted(found) if not any(each != o and each.subnet_of(o) for o in found)]
    taken: list[IPv4Network] = []
    moved = {}
    for network in outer:
        fitting = [pool for pool in _POOLS if pool.prefixlen <= network.prefixlen]
        while fitting:
            pool = chance.choice(fitting)
            at = chance.randrange(1 << (network.prefixlen - pool.prefixlen)) << (32 - network.prefixlen)
            other = IPv4Network((int(pool.network_address) + at, network.prefixlen))
            if not any(other.overlaps(each) for each in taken):
                taken.append(other)
                moved[network] = other
                break
    return moved


def _stray(text: str, found: set[IPv4Network]) -> set[IPv4Network]:
    """The /24 of an address that stands in no network: a service's, a floating one's."""
    try:
        network = IPv4Network(f"{text}/24", strict=False)
    except ValueError:
        return set()
    here = IPv4Address(text)
    if any(here in each for each in found) or any(network.overlaps(kept) for kept in _FIXED):
        return set()
    return {network}


def _moved(match: re.Match[str], networks: Mapping[IPv4Network, IPv4Network]) -> str:
    try:
        address = IPv4Address(match[1])
    except ValueError:
        return match[0]
    for old, new in networks.items():
        if address in old:
            return f"{new.network_address + (int(address) - int(old.network_address))}{match[2] or ''}"
    return match[0]


def _macs(texts: list[str], chance: random.Random) -> dict[str, str]:
    old = sorted(
        {match[0] for text in texts for match in _MAC.finditer(text) if not _KEPT_MACS.fullmatch(match[0])}
    )
    return {
        mac: ":".join(["fa", "16", "3e", *(f"{chance.randrange(256):02x}" for _ in range(3))]) for mac in old
    }


def _vnis(value: Any) -> set[int]:
    if isinstance(value, Mapping):
        own = {each for key, each in value.items() if key == "vni" and isinstance(each, int)}
        return own.union(*(_vnis(each) for each in value.values()))
    if isinstance(value, list):
        return set[int]().union(*(_vnis(each) for each in value))
    return set()


def _hex(old: str, known: dict[str, str], chance: random.Random) -> str:
    if old not in known:
        known[old] = "".join(f"{chance.randrange(16):x}" if letter != "-" else "-" for letter in old)
    return known[old]
