"""
``ip addr`` as people paste it: plain, with ``-d``, with ``-o``, indented or not, whole or in part.

A device begins with ``17: name[@peer]: <FLAGS>``; what follows belongs to it until the next one. Lost
indentation, missing ``valid_lft`` lines and missing devices do no harm. Layout as iproute2 prints it
(``ip/ipaddress.c``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

from bothways.facts.address import UNKNOWN_MAC, Mac, address, mac
from bothways.facts.device import Device, InterfaceAddress
from bothways.facts.parsed import Parsed
from bothways.facts.span import Span
from bothways.parse.ip_json import ADDRESS_FLAGS, has_carrier, resolve_links
from bothways.parse.ip_port import port_words
from bothways.parse.reading import Reading, is_prompt, lines, quoted

__all__ = ["parse_addr_text"]

_HEADER: Final = re.compile(
    r"(?P<index>\d{1,10}):\s+(?P<name>[^\s@:]\S*?)(?:@(?P<link>\S+?))?:\s+<(?P<flags>[^>]*)>\s*(?P<rest>.*)"
)
_ONELINE: Final = re.compile(r"(?P<index>\d{1,10}):\s+(?P<name>\S+)\s+(?P<rest>inet6?\s.*)")
#: What ``ip link`` puts behind the MTU of a device with an XDP program; ``xdpmulti`` for several.
_XDP: Final = re.compile(r"(?:^|\s)xdp(?:generic|drv|offload|multi)?(?:/id:\d+)?(?=\s|\Z)")
_LINK_INDEX: Final = re.compile(r"if(\d{1,10})\Z")

#: First words of detail lines that say which kind a device is (``ip -d``), iproute2 ``ip/iplink_*.c``.
_KINDS: Final = frozenset(
    "veth bridge vxlan vlan tun openvswitch dummy bond team macvlan macvtap ipvlan ipvtap gre gretap ip6gre "  # noqa: SIM905 (a word list reads better as words)
    "ip6gretap erspan ip6erspan geneve vrf ipip sit ip6tnl wireguard ifb vti vti6 xfrm nlmon vcan can "
    "bareudp netdevsim ipoib nsim hsr gtp amt rmnet vsockmon netkit macsec lowpan".split()
)
#: First words of lines that say nothing about where packets go.
_IRRELEVANT: Final = frozenset(
    "valid_lft altname alias RX: TX: vf parentbus parentdev permaddr protodown "  # noqa: SIM905 (a word list reads better as words)
    "ethtool promiscuity port id device".split()
)
#: Words in a kind's line that are followed by a value worth keeping, named as ``ip -j`` does.
_INFO: Final[Mapping[str, Mapping[str, Callable[[str], object]]]] = {
    "vxlan": {"id": int, "remote": str, "local": str, "group": str, "dev": str, "dstport": int},
    "vlan": {"protocol": str, "id": int},
    "geneve": {"id": int, "remote": str, "dstport": int},
    "tun": {"type": str},
    "gre": {"remote": str, "local": str},
    "gretap": {"remote": str, "local": str},
    "vrf": {"table": str},
    "macvlan": {"mode": str},
    "ipvlan": {"mode": str},
    "bond": {"mode": str, "active_slave": str},
    "bridge": {"vlan_filtering": int, "stp_state": int},
}
#: Words that ``ip -j`` calls otherwise.
_JSON_NAMES: Final[Mapping[str, str]] = {"dev": "link", "dstport": "port"}


@dataclass(slots=True)
class _Draft:
    device: Device
    addresses: list[InterfaceAddress] = field(default_factory=list)
    info: dict[str, object] = field(default_factory=dict)

    def finished(self) -> Device:
        return replace(self.device, addresses=tuple(self.addresses), info=self.info)


def parse_addr_text(text: str, *, file: str, read_at: float | None = None) -> Parsed[Device]:
    """
    Read plain ``ip addr``: one row per device. Its span is its first line, an address has its ``inet`` line.

    A name of a namespace (``link-netns NAME``) is kept as ``info["link_netns"]``.
    """
    reading: Reading[Device] = Reading()
    drafts: dict[int, _Draft] = {}
    current: _Draft | None = None
    for span in lines(text, file=file, read_at=read_at):
        # `ip -o` puts a backslash where it would have broken the line.
        for part in _parts(span.text):
            try:
                current = _part(part, span, current, drafts, reading)
            except ValueError as error:
                reading.refuse(span, error)
    rows = resolve_links(draft.finished() for draft in drafts.values())
    return replace(reading.done(), rows=rows)


def _parts(line: str) -> Iterator[str]:
    for part in line.split("\\"):
        yield part.strip()


def _part(
    part: str, span: Span, current: _Draft | None, drafts: dict[int, _Draft], reading: Reading[Device]
) -> _Draft | None:
    header = _HEADER.match(part)
    if header is not None:
        draft = _Draft(_device(header, span))
        programs = _XDP.search(header["rest"])
        if programs is not None:
            draft.info["xdp"] = programs[0].strip()
        return drafts.setdefault(draft.device.index, draft)
    oneline = _ONELINE.match(part)
    if oneline is not None:
        index = int(oneline["index"])
        fresh = _Draft(Device(oneline["name"], index, UNKNOWN_MAC, span))
        current = drafts.setdefault(index, fresh)
        part = oneline["rest"]
    if current is None:
        _stray(part, span, reading)
    else:
        _detail(part, span, current, reading)
    return current


def _device(header: re.Match[str], span: Span) -> Device:
    flags = frozenset(word for word in header["flags"].split(",") if word)
    words = _pairs(header["rest"])
    link = header["link"]
    numbered = _LINK_INDEX.match(link) if link else None
    named = link if link and not numbered and link != "NONE" else None
    mtu = words.get("mtu", "")
    return Device(
        name=header["name"],
        index=int(header["index"]),
        mac=UNKNOWN_MAC,
        span=span,
        up="UP" in flags,
        carrier=has_carrier(flags, words.get("state")),
        mtu=_integer(mtu),
        link=int(numbered[1]) if numbered else None,
        lower=named,
        master=words.get("master"),
        flags=flags,
        group=words.get("group", ""),
    )


def _detail(part: str, span: Span, draft: _Draft, reading: Reading[Device]) -> None:
    word, _, rest = part.partition(" ")
    if word in ("inet", "inet6"):
        draft.addresses.append(_address(rest, span))
    elif word.startswith("link/"):
        words = rest.split()
        pairs = _pairs(part)
        if "link-netns" in pairs:
            draft.info["link_netns"] = pairs["link-netns"]
        netns = _integer(pairs.get("link-netnsid", ""))
        draft.device = replace(draft.device, mac=_mac(words), link_netns=netns)
    elif word in _KINDS:
        draft.device = replace(draft.device, kind=word)
        draft.info.update(_info(word, rest))
    elif word == "prog/xdp":
        draft.info["xdp"] = " ".join(rest.split()[:4])
    elif word.endswith("_slave"):
        kind = word.removesuffix("_slave")
        draft.info.update(info_slave_kind=kind, info_slave_data=port_words(kind, rest))
    else:
        _stray(part, span, reading)


def _stray(part: str, span: Span, reading: Reading[Device]) -> None:
    word = part.partition(" ")[0]
    if not part or word in _IRRELEVANT or word.isdigit() or is_prompt(part) or part.startswith("<"):
        reading.skip()
    else:
        reading.unmodelled(span, f"{quoted(part)} is no line of `ip addr` that bothways knows")


def _mac(words: list[str]) -> Mac:
    try:
        return mac(words[0])
    except (IndexError, ValueError):
        return UNKNOWN_MAC


def _address(rest: str, span: Span) -> InterfaceAddress:
    words = rest.split()
    if not words:
        raise ValueError("an `inet` line without an address")
    pairs = _pairs(rest)
    own, _, length = words[0].partition("/")
    peer = None
    if "peer" in pairs:
        peer, _, length = pairs["peer"].partition("/")
    local = address(own)
    prefix = local.max_prefixlen if not length else _integer(length)
    if prefix is None or prefix > local.max_prefixlen:
        raise ValueError(f"the prefix length of {quoted(words[0])} cannot be read")
    return InterfaceAddress(
        address=local,
        prefix=prefix,
        span=span,
        scope=pairs.get("scope", "global"),
        peer=address(peer) if peer else None,
        flags=frozenset(words) & ADDRESS_FLAGS,
    )


def _pairs(text: str) -> dict[str, str]:
    """Every word with the one behind it; the first of equal words wins."""
    words = text.split()
    pairs: dict[str, str] = {}
    for word, value in pairwise(words):
        pairs.setdefault(word, value)
    return pairs


def _info(kind: str, rest: str) -> Iterator[tuple[str, object]]:
    pairs = _pairs(rest)
    for word, decode in _INFO.get(kind, {}).items():
        if word in pairs:
            try:
                yield _JSON_NAMES.get(word, word), decode(pairs[word])
            except ValueError:
                continue
    if kind == "vxlan":
        words = rest.split()
        yield "learning", "nolearning" not in words
        if "external" in words:
            yield "external", True


def _integer(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None  # noqa: PLR2004 (32 bits)
