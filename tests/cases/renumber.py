"""
A bundle in another numbering: the same site with other addresses, names, VNI, ports, tables and indexes.

The mapping is one to one, so that renumbering back gives the bytes of before. What means something by itself
stays as it is: loopback, link-local and multicast addresses, well-known ports, table 0, ``lo`` and ``any``.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Final

from numbering import Numbering
from renumber_frames import renumber_pcap

__all__ = ["numbering_of", "renumber"]

#: Names that the kernel, Open vSwitch and the bundle's own layout give.
_GIVEN: Final = frozenset({"lo", "any", "root", "ovs-netdev", "ovs-system", "vxlan_sys_4789"})
_SPECIAL: Final = [IPv4Network(n) for n in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")]
_FREE: Final = [IPv4Network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "100.64.0.0/10", "198.18.0.0/15")]
_PREFIX: Final = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}/\d{1,2}(?!\w)")
_JSON_PREFIX: Final = re.compile(r'"local":"([\d.]+)","prefixlen":(\d+)')
_DEVICES: Final = [
    re.compile(r'"ifname":"([^"]+)"'),
    re.compile(r"^\d+: ([^:@\s]+)[:@]", re.MULTILINE),
    re.compile(r"^ (?:\d+|LOCAL)\(([^)]+)\): addr:", re.MULTILINE),
    re.compile(r'^ +(?:Bridge|Port|Interface) "?([^"\s]+)"?$', re.MULTILINE),
]
_WILDCARDS: Final = [re.compile(r"-[io] ([\w.-]+)\+"), re.compile(r'[io]ifname (?:!= )?"([\w.-]+)\*"')]


class _Census(Numbering):
    """A numbering that changes nothing and notes everything that it is asked for."""

    def address(self, value: int) -> int:
        return self.addresses.setdefault(value, value)

    def mac(self, value: int) -> int:
        return self.macs.setdefault(value, value)

    def vni(self, value: int) -> int:
        return self.vnis.setdefault(value, value)

    def openflow_port(self, value: int) -> int:
        return self.openflow_ports.setdefault(value, value)

    def table(self, value: int) -> int:
        return self.tables.setdefault(value, value)

    def register(self, value: int) -> int:
        return self.registers.setdefault(value, value)

    def index(self, value: int) -> int:
        return self.indexes.setdefault(value, value)

    def tcp_port(self, value: int) -> int:
        return self.tcp_ports.setdefault(value, value)


def renumber(source: Path, target: Path, numbering: Numbering) -> None:
    """Write the bundle *source* to *target* in another numbering."""
    for path in _files(source):
        name = path.relative_to(source).as_posix()
        place = target / numbering.path(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        data = path.read_bytes()
        is_pcap = path.suffix == ".pcap"
        new = renumber_pcap(data, numbering) if is_pcap else numbering.text(data.decode(), name).encode()
        place.write_bytes(new)


def numbering_of(source: Path, seed: int) -> Numbering:
    """Find everything in a bundle that has a name or number, and draw a new one for each."""
    dice = random.Random(seed)  # noqa: S311 - the same numbers for the same seed, and no secret
    census, texts, names = _Census(), {}, set()
    for path in _files(source):
        name = path.relative_to(source).as_posix()
        if path.suffix == ".pcap":
            renumber_pcap(path.read_bytes(), census)
        else:
            texts[name] = path.read_text()
            census.text(texts[name], name)
        names |= set(_names_of_path(name))
    whole = "\n".join(texts.values())
    names |= {m[1] for pattern in _DEVICES for m in pattern.finditer(whole)} - _GIVEN
    wildcards = {m[1] for pattern in _WILDCARDS for m in pattern.finditer(whole)}
    hosts = {name.split("/")[1] for name in texts if name.startswith("hosts/")}
    fresh = _fresh_names(dice, whole)
    starts = {start: next(fresh)[:3] + "-" for start in sorted(wildcards)}
    return Numbering(
        addresses=_addresses(dice, census.addresses, whole),
        macs=_macs(dice, census.macs),
        vnis=_drawn(dice, (v for v in census.vnis if v), range(0x1_0000, 0xFF_FFFF)),
        openflow_ports=_drawn(dice, (p for p in census.openflow_ports if 0 < p < 0xFF00), range(1, 400)),
        tables=_tables(dice, census.tables),
        registers=_drawn(dice, census.registers, range(8)),
        indexes=_drawn(dice, (i for i in census.indexes if i > 1), range(2, 500)),
        tcp_ports=_drawn(dice, (p for p in census.tcp_ports if p >= 10_000), range(20_000, 60_000)),
        hosts={host: next(fresh) for host in sorted(hosts)},
        names={name: _start(name, starts) + next(fresh) for name in sorted(names)},
        wildcards=starts,
    )


def _files(source: Path) -> list[Path]:
    return sorted(path for path in source.rglob("*") if path.is_file())


def _names_of_path(name: str) -> Iterator[str]:
    """Namespaces, bridges and devices that files and folders are named for."""
    parts = name.split("/")
    if parts[0] == "hosts" and len(parts) == 5:
        yield from {parts[3]} - _GIVEN
    if parts[0] == "hosts" and parts[2] in ("captures", "ovs"):
        stem = re.sub(r"\.(?:capture\.json|pcap|(?:flows|ports|fdb|port-stats)\.txt)$", "", parts[-1])
        is_text = parts[2] == "captures" and stem.endswith(".txt")
        stem = stem.removesuffix(".txt") if is_text else stem
        yield from {stem} - _GIVEN if "." not in stem else ()


def _fresh_names(dice: random.Random, whole: str) -> Iterator[str]:
    """Names that mean nothing and that no text holds."""
    used: set[str] = set()
    while True:
        name = "".join(dice.choices("bcdfghjklmnpqrstvwxz", k=6)) + str(dice.randrange(10))
        if name not in whole and name not in used:
            used.add(name)
            yield name


def _start(name: str, starts: dict[str, str]) -> str:
    fitting = max((old for old in starts if name.startswith(old)), key=len, default=None)
    return "" if fitting is None else starts[fitting]


def _drawn(dice: random.Random, old: Iterable[int], free: range) -> dict[int, int]:
    values = sorted(old)
    return dict(zip(values, dice.sample(free, len(values)), strict=True))


def _tables(dice: random.Random, old: Iterable[int]) -> dict[int, int]:
    """Table 0 stays the first; a packet goes to higher tables only, so the order stays."""
    values = sorted(set(old) - {0})
    return {0: 0, **dict(zip(values, sorted(dice.sample(range(1, 250), len(values))), strict=True))}


def _macs(dice: random.Random, old: Iterable[int]) -> dict[int, int]:
    """One vendor becomes one vendor; group addresses stay."""
    macs = [mac for mac in sorted(old) if mac and not mac >> 40 & 1]
    vendors = sorted({mac >> 24 for mac in macs})
    new = dict(zip(vendors, dice.sample(range(0x10_0000, 0xFF_FFFF), len(vendors)), strict=True))
    last = _drawn(dice, {mac & 0xFF_FFFF for mac in macs}, range(0x1_0000, 0xFF_FFFF))
    kept = 0x03_0000  # whether an address is a group's, and whether it is locally administered
    return {mac: (new[mac >> 24] & ~kept | mac >> 24 & kept) << 24 | last[mac & 0xFF_FFFF] for mac in macs}


def _addresses(dice: random.Random, old: Iterable[int], whole: str) -> dict[int, int]:
    """Each network becomes another of the same size; its first and last address stay first and last."""
    values = [v for v in sorted(old) if not any(IPv4Address(v) in net for net in _SPECIAL)]
    networks = _networks(values, whole)
    chosen: list[IPv4Network] = []
    new: dict[int, int] = {}
    for network in networks:
        fresh = _network(dice, network.prefixlen, chosen)
        chosen.append(fresh)
        ends = {int(network.network_address), int(network.broadcast_address)}
        inside = [v for v in values if IPv4Address(v) in network]
        hosts = dice.sample(range(1, network.num_addresses - 1), len(set(inside) - ends))
        for value in inside:
            last = value - int(network.network_address) if value in ends else hosts.pop()
            new[value] = int(fresh.network_address) + last
    return new


def _networks(values: Iterable[int], whole: str) -> list[IPv4Network]:
    """The widest networks that the evidence names; a /24 around every other address."""
    named = [IPv4Network(m[0], strict=False) for m in _PREFIX.finditer(whole)]
    named += [IPv4Network(f"{m[1]}/{m[2]}", strict=False) for m in _JSON_PREFIX.finditer(whole)]
    wide = {net for net in named if 8 < net.prefixlen < 31 and not any(net.overlaps(s) for s in _SPECIAL)}
    top = [net for net in wide if not any(net != other and net.subnet_of(other) for other in wide)]
    if len(top) != len(wide):
        raise ValueError("networks inside networks: their relation would be lost")
    lone = {
        IPv4Network((v, 24), strict=False) for v in values if not any(IPv4Address(v) in net for net in top)
    }
    return sorted([*top, *lone])


def _network(dice: random.Random, length: int, chosen: list[IPv4Network]) -> IPv4Network:
    while True:
        pool = dice.choice([net for net in _FREE if net.prefixlen < length])
        shift = 32 - length
        number = dice.randrange(pool.num_addresses >> shift)
        fresh = IPv4Network((int(pool.network_address) + (number << shift), length))
        if not any(fresh.overlaps(net) for net in chosen):
            return fresh
