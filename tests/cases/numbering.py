"""What a site is called: names and numbers old -> new, and how they are written in the files of a bundle."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Address
from typing import Final

__all__ = ["Numbering"]

_IPV4: Final = re.compile(r"(?<![\w.])(\d{1,3}(?:\.\d{1,3}){3})(?:([.:])(\d{1,5}))?(?!\w)")
_MAC: Final = re.compile(
    r"(?<![0-9a-f]{2}:)(?<![0-9a-f])(?:[0-9a-f]{2}:){5}[0-9a-f]{2}(?![0-9a-f]|:[0-9a-f]{2})"
)
_EUI64: Final = re.compile(r"fe80::([0-9a-f]{1,4}):([0-9a-f]{1,2})ff:fe([0-9a-f]{2}):([0-9a-f]{1,4})")
#: What somebody grepped for: the last two octets of an address.
_OCTETS: Final = re.compile(r"(?<=grep )\d{1,3}\.\d{1,3}(?![\d.])")


@dataclass(slots=True)
class Numbering:
    """
    Old value -> new value, one to one, for each kind; what is in none of them stays.

    :param addresses: IPv4, as numbers; *macs* likewise.
    :param tables: OpenFlow tables; *registers* those of the switch.
    :param indexes: interface indexes, one mapping for all namespaces.
    :param names: of namespaces, bridges and devices.
    :param wildcards: how the devices begin that a rule names with ``+`` or ``*``.
    """

    addresses: dict[int, int] = field(default_factory=dict)
    macs: dict[int, int] = field(default_factory=dict)
    vnis: dict[int, int] = field(default_factory=dict)
    openflow_ports: dict[int, int] = field(default_factory=dict)
    tables: dict[int, int] = field(default_factory=dict)
    registers: dict[int, int] = field(default_factory=dict)
    indexes: dict[int, int] = field(default_factory=dict)
    tcp_ports: dict[int, int] = field(default_factory=dict)
    hosts: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    wildcards: dict[str, str] = field(default_factory=dict)
    pattern: re.Pattern[str] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        names = "|".join(sorted(map(re.escape, self.names), key=len, reverse=True))
        starts = "|".join(sorted(map(re.escape, self.wildcards), key=len, reverse=True))
        ways = [f"(?:{names})(?![\\w-])"] * bool(names) + [f"(?:{starts})(?=[+*])"] * bool(starts)
        self.pattern = re.compile(f"(?<![\\w-])(?:{'|'.join(ways)})") if ways else None

    @property
    def back(self) -> Numbering:
        """The numbering that undoes this one."""
        kinds = [f.name for f in fields(self) if f.init]
        return Numbering(**{kind: {new: old for old, new in getattr(self, kind).items()} for kind in kinds})

    def address(self, value: int) -> int:
        return self.addresses.get(value, value)

    def mac(self, value: int) -> int:
        return self.macs.get(value, value)

    def vni(self, value: int) -> int:
        return self.vnis.get(value, value)

    def openflow_port(self, value: int) -> int:
        return self.openflow_ports.get(value, value)

    def table(self, value: int) -> int:
        return self.tables.get(value, value)

    def register(self, value: int) -> int:
        return self.registers.get(value, value)

    def index(self, value: int) -> int:
        return self.indexes.get(value, value)

    def tcp_port(self, value: int) -> int:
        return self.tcp_ports.get(value, value)

    def path(self, name: str) -> str:
        """Rewrite a path inside a bundle."""
        parts = name.split("/")
        if parts[0] == "hosts":
            parts[1:2] = [self.hosts.get(part, part) for part in parts[1:2]]
            parts[2:] = [self.named(part) for part in parts[2:]]
        return "/".join(parts)

    def named(self, text: str) -> str:
        """Rewrite names of namespaces, bridges and devices."""
        if self.pattern is None:
            return text
        return self.pattern.sub(lambda m: self.names.get(m[0]) or self.wildcards[m[0]], text)

    def text(self, text: str, file: str) -> str:
        """Rewrite the content of a text file, *file* is its path inside the bundle before."""
        text = self.named(text)
        text = _IPV4.sub(self._ipv4, text)
        text = _MAC.sub(lambda m: self.mac(int(m[0].replace(":", ""), 16)).to_bytes(6).hex(":"), text)
        text = _EUI64.sub(self._link_local, text)
        text = _decimal(text, r"(?<=\bvni )\d+", self.vni)
        text = _decimal(text, r"(?:(?<=\b[sd]port=)|(?<=<[sd]port>)|(?<=\bsource_port = ))\d+", self.tcp_port)
        for pattern, rewrite in _REWRITES:
            if re.search(pattern, file):
                text = rewrite(self, text)
        return text

    def _ipv4(self, match: re.Match[str]) -> str:
        try:
            old = int(IPv4Address(match[1]))
        except ValueError:
            return match[0]
        port = f"{match[2]}{self.tcp_port(int(match[3]))}" if match[2] else ""
        return f"{IPv4Address(self.address(old))}{port}"

    def _link_local(self, match: re.Match[str]) -> str:
        high, second, third, low = (int(part, 16) for part in match.groups())
        new = self.mac((high ^ 0x0200) << 32 | second << 24 | third << 16 | low)
        return f"fe80::{new >> 32 ^ 0x0200:x}:{new >> 24 & 255:x}ff:fe{new >> 16 & 255:02x}:{new & 0xFFFF:x}"


def _decimal(text: str, pattern: str, new: Callable[[int], int]) -> str:
    return re.sub(pattern, lambda m: str(new(int(m[0]))), text, flags=re.MULTILINE)


def _hex(text: str, pattern: str, new: Callable[[int], int], width: int = 0) -> str:
    return re.sub(pattern, lambda m: f"{new(int(m[0], 16)):0{width}x}", text, flags=re.MULTILINE)


def _flows(numbering: Numbering, text: str) -> str:
    text = _hex(text, r"(?<=0x)[0-9a-f]+(?=->NXM_OF_(?:ARP_[ST]PA|IP_SRC|IP_DST)\[\])", numbering.address)
    text = _hex(text, r"(?<=0x)[0-9a-f]+(?=->NXM_(?:NX_ARP_[ST]HA|OF_ETH_SRC|OF_ETH_DST)\[\])", numbering.mac)
    text = _hex(
        text, r"(?:(?<=\btun_id=0x)[0-9a-f]+|(?<=0x)[0-9a-f]+(?=->tun_id|->NXM_NX_TUN_ID))", numbering.vni
    )
    # a network's number also stands in registers, beside values that are none
    carried = r"(?:(?<=\breg\d=0x)[0-9a-f]+|(?<=0x)[0-9a-f]+(?=->NXM_NX_REG\d))"
    text = _hex(text, carried, lambda value: numbering.vnis.get(value, value))
    text = _decimal(text, r"(?:(?<=\bin_port=)|(?<=\boutput:))\d+", numbering.openflow_port)
    text = _decimal(text, r"(?:(?<=\btable=)|(?<=\bgoto_table:)|(?<=\bresubmit\(,))\d+", numbering.table)
    return _decimal(text, r"(?:(?<=\breg)\d+(?==)|(?<=\bNXM_NX_REG)\d+(?=\[))", numbering.register)


def _switch_ports(numbering: Numbering, text: str) -> str:
    return _decimal(text, r"(?<=^ )\d+(?=\()", numbering.openflow_port)


def _port_stats(numbering: Numbering, text: str) -> str:
    return _decimal(text, r"(?<=^  port  )\d+(?=:)", numbering.openflow_port)


def _fdb(numbering: Numbering, text: str) -> str:
    def port(match: re.Match[str]) -> str:
        return str(numbering.openflow_port(int(match[0]))).rjust(len(match[0]))

    return re.sub(r"^ *\d+(?= +\d+ +[0-9a-f]{2}:)", port, text, flags=re.MULTILINE)


def _datapath(numbering: Numbering, text: str) -> str:
    return _hex(text, r"(?<=\b0000)[0-9a-f]{12}\b", numbering.mac, width=12)


def _database(numbering: Numbering, text: str) -> str:
    """The numbers in the table ``Interface``."""
    kinds = dict.fromkeys(("ofport", "ofport_request"), numbering.openflow_port) | {
        "ifindex": numbering.index
    }
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if not line.startswith('{"caption":"Interface table"'):
            continue
        table = json.loads(line)
        for at, heading in enumerate(table["headings"]):
            for row in table["data"] if heading in kinds else ():
                row[at] = kinds[heading](row[at]) if isinstance(row[at], int) else row[at]
        lines[number] = json.dumps(table, separators=(",", ":"))
    return "\n".join(lines)


def _addr_json(numbering: Numbering, text: str) -> str:
    return _decimal(text, r'(?:(?<="ifindex":)|(?<="link_index":))\d+', numbering.index)


def _addr_text(numbering: Numbering, text: str) -> str:
    return _decimal(text, r"(?:^\d+(?=: )|(?<=@if)\d+)", numbering.index)


def _manifest(numbering: Numbering, text: str) -> str:
    def octets(match: re.Match[str]) -> str:
        known = {str(IPv4Address(old)): str(IPv4Address(new)) for old, new in numbering.addresses.items()}
        meant = next((new for old, new in known.items() if old.endswith(f".{match[0]}")), None)
        return match[0] if meant is None else meant.split(".", 2)[2]

    text = re.sub(r'(?<=")[\w.-]+(?=[/:])', lambda m: numbering.hosts.get(m[0], m[0]), text)
    text = re.sub(r'(?<="hosts/)[^/"]+', lambda m: numbering.hosts.get(m[0], m[0]), text)
    return _OCTETS.sub(octets, text)


def _collection(numbering: Numbering, text: str) -> str:
    return re.sub(r'(?<="host": ")[^"]+', lambda m: numbering.hosts.get(m[0], m[0]), text)


#: Which file -> what only such a file holds.
_REWRITES: Final[list[tuple[str, Callable[[Numbering, str], str]]]] = [
    (r"/ovs/[^/]+\.flows\.txt$", _flows),
    (r"/ovs/[^/]+\.ports\.txt$", _switch_ports),
    (r"/ovs/[^/]+\.port-stats\.txt$", _port_stats),
    (r"/ovs/[^/]+\.fdb\.txt$", _fdb),
    (r"/ovs/(?:[^/]+\.ports\.txt|ovsdb\.jsonl)$", _datapath),
    (r"/ovs/ovsdb\.jsonl$", _database),
    (r"/addr\.json$", _addr_json),
    (r"/addr\.txt$", _addr_text),
    (r"^bundle\.toml$", _manifest),
    (r"^collection\.jsonl$", _collection),
]
