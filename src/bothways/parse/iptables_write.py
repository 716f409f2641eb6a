"""
Facts of iptables back to the text that ``iptables-save`` prints.

Normalised are: comments of the tool, the counters of chains (facts hold none), modules that ask for nothing
(``-m tcp`` alone), and conditions that every packet fulfils (``--icmp-type any``), which are left out. What
was not understood is written as it was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import IPv6Address
from typing import Final

from bothways.facts.address import IPNetwork
from bothways.facts.iptables import AddressRange, Chain, Match, Rule, Table, Target

__all__ = ["iptables_save", "rule_text"]

_FULL: Final = 0xFFFFFFFF
_BUILTIN: Final = {
    "source": "-s", "destination": "-d", "in-interface": "-i", "out-interface": "-o", "protocol": "-p",
    "fragment": "-f",
}  # fmt: skip
_PROTOCOLS: Final = {
    1: "icmp", 2: "igmp", 4: "ipencap", 6: "tcp", 17: "udp", 33: "dccp", 41: "ipv6", 47: "gre", 50: "esp",
    51: "ah", 58: "ipv6-icmp", 89: "ospf", 103: "pim", 112: "vrrp", 132: "sctp", 136: "udplite",
}  # fmt: skip
#: Lists of keywords in the order in which iptables prints them (``libxt_conntrack.c``, ``libxt_addrtype.c``).
_ORDER: Final = (
    "INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED", "SNAT", "DNAT", "EXPECTED", "SEEN_REPLY",
    "ASSURED", "CONFIRMED", "NONE", "UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST",
    "BLACKHOLE", "UNREACHABLE", "PROHIBIT", "THROW", "NAT", "XRESOLVE",
)  # fmt: skip
_FLAGS: Final = {0x01: "FIN", 0x02: "SYN", 0x04: "RST", 0x08: "PSH", 0x10: "ACK", 0x20: "URG"}
_UNITS: Final = {1: "sec", 60: "min", 3600: "hour", 86400: "day"}
_COMBINED: Final = frozenset({"rpfilter", "socket", "eui64"})


def iptables_save(tables: Iterable[Table]) -> str:
    """All tables as one dump of ``iptables-save -c``; without counters where the rules have none."""
    lines: list[str] = []
    for table in tables:
        lines.append(f"*{table.name}")
        lines.extend(_declared(chain) for chain in table.chains.values())
        lines.extend(rule_text(rule) for chain in table.chains.values() for rule in chain.rules)
        lines.append("COMMIT")
    return "".join(f"{line}\n" for line in lines)


def _declared(chain: Chain) -> str:
    return f":{chain.name} {chain.policy or '-'} [0:0]"


def rule_text(rule: Rule) -> str:
    """One rule as ``-A CHAIN …``, with its counters in front if it has some."""
    words = [] if rule.packets is None else [f"[{rule.packets}:{rule.octets or 0}]"]
    words += ["-A", rule.chain, *_conditions(rule.matches)]
    if rule.target is not None:
        words += _target(rule.target)
    return " ".join(words)


def _conditions(matches: Iterable[Match]) -> Iterator[str]:
    loaded = ""
    given: set[str] = set()
    for match in matches:
        module, dot, option = match.name.partition(".")
        if not dot:
            yield from _plain(match)
            continue
        again = match.name in given
        if module != loaded or again:
            yield from ("-m", module)
            loaded = module
            given = set()
        given.add(match.name)
        if module in _COMBINED and isinstance(match.value, frozenset):
            yield from (f"--{flag}" for flag in sorted(match.value, key=_FLAGGED.index))
        elif option != module or match.value is not True:
            yield from (*(["!"] if match.negate else []), f"--{option}", *_words(match))


_FLAGGED: Final = [
    "transparent", "nowildcard", "restore-skmark", "loose", "validmark", "accept-local", "invert",
]  # fmt: skip


def _plain(match: Match) -> Iterator[str]:
    option = _BUILTIN.get(match.name, f"--{match.name}")
    if match.negate:
        yield "!"
    yield option
    value = match.value
    if match.name == "protocol" and isinstance(value, int):
        yield _PROTOCOLS.get(value, str(value))
    elif isinstance(value, IPNetwork):
        yield _network(value)
    elif value is not True:
        yield str(value)


def _network(value: IPNetwork) -> str:
    """An address with its length; of IPv4 inside IPv6 the dotted form that the C library prints."""
    host = value.network_address
    mapped = host.ipv4_mapped if isinstance(host, IPv6Address) else None
    return str(value) if mapped is None else f"::ffff:{mapped}/{value.prefixlen}"


def _bare(value: object) -> str:
    """A network; a single address without its length."""
    return str(value).removesuffix("/32").removesuffix("/128")


def _words(match: Match) -> Iterator[str]:
    value = match.value
    if value is True:
        return
    if not match.modelled:
        yield str(value)
        return
    writer = _WRITERS.get(match.name)
    yield _value(value) if writer is None else writer(value)


def _value(value: object) -> str:
    """A value whose option has no row of its own."""
    if isinstance(value, frozenset):
        return ",".join(sorted(value, key=_place))
    if isinstance(value, AddressRange):
        return _range(value)
    if isinstance(value, str):
        return _quoted(value)
    return str(value)


def _place(word: str) -> tuple[int, str]:
    return (_ORDER.index(word) if word in _ORDER else len(_ORDER), word)


def _quoted(text: str) -> str:
    """``xtables_save_string``: quotes where a character asks for them."""
    if text and set(text) <= _SAFE:
        return text
    inside = "".join(f"\\{letter}" if letter in "\"\\'" else letter for letter in text)
    return f'"{inside}"'


_SAFE: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def _raw(value: object) -> str:
    return str(value)


def _pair(value: object) -> tuple[int, int]:
    if isinstance(value, tuple) and len(value) == 2:  # noqa: PLR2004 - two numbers
        return int(value[0]), int(value[1])
    return 0, 0


def _span(sign: str) -> Callable[[object], str]:
    def write(value: object) -> str:
        low, high = _pair(value)
        return str(low) if low == high else f"{low}{sign}{high}"

    return write


def _wide(value: object) -> str:
    low, high = _pair(value)
    return f"{low}" if low == high else f"{low}:{high}"


def _spans(value: object) -> str:
    return ",".join(_wide(each) for each in value) if isinstance(value, tuple) else ""


def _mark(value: object) -> str:
    number, mask = _pair(value)
    return f"{number:#x}" if mask == _FULL else f"{number:#x}/{mask:#x}"


def _group(value: object) -> str:
    return value if isinstance(value, str) else "default" if value == (0, _FULL) else _mark(value)


def _masked(value: object) -> str:
    number, mask = _pair(value)
    return f"{number:#x}/{mask:#x}"


def _tcp_flags(value: object) -> str:
    return " ".join(_names(bits) for bits in _pair(value))


def _names(bits: int) -> str:
    return ",".join(name for bit, name in _FLAGS.items() if bits & bit) or "NONE"


def _icmp(value: object) -> str:
    if not isinstance(value, tuple):
        return str(value)
    kind, code = value
    return str(kind) if code is None else f"{kind}/{code}"


def _rate(value: object) -> str:
    count, seconds = _pair(value)
    return f"{count}/{_UNITS.get(seconds, 'sec')}"


def _set(value: object) -> str:
    if not isinstance(value, tuple):
        return str(value)
    name, directions = value
    return f"{name} {','.join(directions)}"


def _range(value: object) -> str:
    """``low-high``, as ``iprange`` and NAT write it."""
    if not isinstance(value, AddressRange):
        return str(value)
    text = ""
    if value.low is not None:
        text = str(value.low) if value.low == value.high else f"{value.low}-{value.high}"
        if isinstance(value.low, IPv6Address) and value.port_low is not None:
            text = f"[{value.low}]" if value.low == value.high else f"[{value.low}]-[{value.high}]"
    if value.port_low is not None:
        low, high = value.port_low, value.port_high
        text += f":{low}" if low == high else f":{low}-{high}"
        text += "" if value.port_base is None else f"/{value.port_base}"
    return text


def _always_range(value: object) -> str:
    return f"{value.low}-{value.high}" if isinstance(value, AddressRange) else str(value)


def _chance(value: object) -> str:
    return f"{value:.11f}" if isinstance(value, float) else str(value)


#: match -> text of its value.
_WRITERS: Final[Mapping[str, Callable[[object], str]]] = {
    **{
        f"{module}.{side}": _wide
        for module in ("tcp", "udp", "sctp", "dccp", "udplite")
        for side in ("sport", "dport")
    },
    **{f"multiport.{side}": _spans for side in ("sports", "dports", "ports")},
    **{
        f"conntrack.{name}": _wide
        for name in ("ctorigsrcport", "ctorigdstport", "ctreplsrcport", "ctrepldstport", "ctexpire")
    },
    "tcp.tcp-flags": _tcp_flags,
    "icmp.icmp-type": _icmp,
    "icmp6.icmpv6-type": _icmp,
    "mark.mark": _mark,
    "connmark.mark": _mark,
    "limit.limit": _rate,
    "set.match-set": _set,
    "statistic.probability": _chance,
    "iprange.src-range": _always_range,
    "iprange.dst-range": _always_range,
    "length.length": _wide,
    "tcpmss.mss": _wide,
    "esp.espspi": _wide,
    "ah.ahspi": _wide,
    "connbytes.connbytes": _wide,
    "frag.fragid": _wide,
    "rt.rt-segsleft": _wide,
    "realm.realm": _mark,
    "devgroup.src-group": _group,
    "devgroup.dst-group": _group,
    **{f"conntrack.{name}": _bare for name in ("ctorigsrc", "ctorigdst", "ctreplsrc", "ctrepldst")},
    "mac.mac-source": _raw,
    "recent.name": _raw,
    "recent.mask": _raw,
    "set.set": _set,
    "hashlimit.hashlimit-above": _raw,
    "hashlimit.hashlimit-upto": _raw,
    "hashlimit.hashlimit-mode": _raw,
    "hashlimit.hashlimit-name": _raw,
    "time.timestart": _raw,
    "time.timestop": _raw,
    "time.datestart": _raw,
    "time.datestop": _raw,
    "time.weekdays": _raw,
    "time.monthdays": _raw,
    "tos.tos": _raw,
    "physdev.physdev-in": _raw,
    "physdev.physdev-out": _raw,
}
#: option of a target -> text of its value.
_OPTIONS: Final[Mapping[str, Callable[[object], str]]] = {
    "to-destination": _range,
    "to-source": _range,
    "to-ports": _span("-"),
    "set-xmark": _masked,
    "set-mark": _masked,
    "tproxy-mark": _masked,
    "nfmask": lambda value: f"{value:#x}",
    "ctmask": lambda value: f"{value:#x}",
    "mask": lambda value: f"{value:#x}",
    "add-set": _set,
    "del-set": _set,
    "map-set": _set,
    "queue-balance": _span(":"),
    "reject-with": _raw,
    "helper": _raw,
    "timeout": _raw,
    "set-dscp": lambda value: f"{value:#04x}",
    "set-tos": _raw,
    "set-class": _raw,
}


def _target(target: Target) -> Iterator[str]:
    yield from ("-g" if target.goto else "-j", target.name)
    for option, value in target.options.items():
        if target.name == "CONNMARK" and option == "mask":
            continue
        yield f"--{option}"
        if value is not True:
            writer = _OPTIONS.get(option)
            yield _value(value) if writer is None else writer(value)
