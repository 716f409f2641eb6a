"""
One line of tcpdump: time stamp, device, link header, and the packet behind them.

Forms that people paste: the default, ``-e`` (MACs, ethertype, length), ``-i any`` with device and direction
(tcpdump 4.99) or direction and MAC (before), ``-tttt`` (a date), ``-tt`` (seconds since the epoch),
``--number``, ``-v`` (the IPv4 header in parentheses, the rest on a second line that the caller joins).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from ipaddress import IPv4Address
from typing import Final

from bothways.capture.layers import Refused
from bothways.capture.tcpdump_transport import Ports, read_transport
from bothways.facts.address import BROADCAST, UNKNOWN_MAC, IPAddress, Mac, address, mac
from bothways.facts.packet import ETH_ARP, ETH_IP, ETH_IP6, Arp, ArpOp, Ethernet, Ip, Packet
from bothways.facts.sighting import Direction
from bothways.facts.span import Kind

__all__ = ["LinkWords", "Stamp", "read_link", "read_packet", "read_stamp", "unfinished"]

_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_DAY_NS: Final = 86_400_000_000_000
_NANOSECONDS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Stamp:
    """
    When a line says it was.

    :param time_ns: since the epoch (the date of ``-tttt`` names no zone and is taken as UTC), or since
        midnight.
    :param end: where the rest of the line begins.
    """

    time_ns: int
    clock_only: bool
    end: int


_CLOCK: Final = re.compile(
    r"[\s>]*(?:\d{1,7} +)?(?:(\d{4})-(\d\d)-(\d\d)[ T])?(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?\s+(?=\S)"
)
_EPOCH: Final = re.compile(r"[\s>]*(?:\d{1,7} +)?(\d{9,11})\.(\d{6}|\d{9})\s+(?=\S)")


def _fraction(text: str | None) -> int:
    return int((text or "0").ljust(9, "0"))


def read_stamp(line: str) -> Stamp | Refused | None:
    """Read the time at the start of a line; None if there is none, refused if it is no time of day."""
    found = _CLOCK.match(line)
    if found is None:
        epoch = _EPOCH.match(line)
        if epoch is None:
            return None
        return Stamp(int(epoch[1]) * _NANOSECONDS + _fraction(epoch[2]), clock_only=False, end=epoch.end())
    hours, minutes, seconds = int(found[4]), int(found[5]), int(found[6])
    if hours > 23 or minutes > 59 or seconds > 60:  # noqa: PLR2004 - 60 is a leap second
        return Refused("a time stamp that is no time of day")
    time_ns = (hours * 3600 + minutes * 60 + seconds) * _NANOSECONDS + _fraction(found[7])
    if found[1] is None:
        return Stamp(time_ns, clock_only=True, end=found.end())
    try:
        day = date(int(found[1]), int(found[2]), int(found[3])).toordinal() - _EPOCH_DAY
    except ValueError:
        return Refused("a date that is not in the calendar")
    return Stamp(day * _DAY_NS + time_ns, clock_only=False, end=found.end())


@dataclass(frozen=True, slots=True)
class LinkWords:
    """
    What stands before the packet.

    :param device: from ``-i any`` with tcpdump 4.99, None if not printed or printed as ``?``.
    :param name: ``IP``, ``IP6``, ``ARP``, or the word that the line begins with.
    :param length: frame length as ``-e`` prints it.
    :param body: the packet's words behind *name*.
    """

    device: str | None
    direction: Direction | None
    ethernet: Ethernet
    name: str
    body: str
    length: int | None = None


_WAY: Final = r"(In|Out|P|B|M|\?)"
_COOKED: Final = re.compile(rf"(?:([^\s,>]+)\s+)?{_WAY}\s+(ifindex \d+ )?")
#: Sizes of cooked headers, which ``-e`` counts: SLL2 (which names the ifindex) and SLL; and Ethernet's.
_SLL2_SIZE: Final = 20
_SLL_SIZE: Final = 16
_ETHERNET_SIZE: Final = 14
_DIRECTIONS: Final[Mapping[str, Direction]] = {
    "In": Direction.IN,
    "B": Direction.IN,
    "M": Direction.IN,
    "P": Direction.IN,
    "Out": Direction.OUT,
}
_STATION: Final = r"((?:[0-9a-fA-F]{1,2}:){5}[0-9a-fA-F]{1,2}|Broadcast)(?: \(oui [^)]*\))?"
_TWO_MACS: Final = re.compile(rf"{_STATION} > {_STATION}, ")
_ONE_MAC: Final = re.compile(rf"{_STATION},? (?=ethertype)")
_ETHERTYPE: Final = re.compile(r"ethertype ([^(,]*?) ?(?:\((0x[0-9a-f]+)\))?, length (\d+): ")
_VLAN: Final = re.compile(
    r"vlan (\d+), p \d+(?:, DEI)?, (?:ethertype ([^(,:]*?) ?(?:\((0x[0-9a-f]+)\))?[,:] ?)?"
)
_NAME: Final = re.compile(r"(IP6|IP|ip:|ARP,|arp)(?=\s|$)\s*")
#: A frame that is shorter than its IP header says; the words behind it are as usual.
_SHORTENED: Final = re.compile(r"\Atruncated-ip6? - \d+ bytes missing! ?")
_ETHERTYPE_NAMES: Final[Mapping[int, str]] = {ETH_IP: "IP", ETH_IP6: "IP6", ETH_ARP: "ARP"}
_NAMED_ETHERTYPES: Final[Mapping[str, int]] = {"IPv4": ETH_IP, "IPv6": ETH_IP6, "ARP": ETH_ARP}


def _station(text: str) -> Mac:
    return BROADCAST if text == "Broadcast" else mac(text)


def _ethertype(name: str | None, number: str | None) -> int | None:
    if number is not None:
        return int(number, 16) & 0xFFFF
    return None if name is None else _NAMED_ETHERTYPES.get(name)


def read_link(text: str) -> LinkWords:
    """Read device, direction and link header; never fails, *name* tells what is left."""
    device, direction = None, None
    cooked = _COOKED.match(text)
    if cooked:
        device = None if cooked[1] == "?" else cooked[1]
        direction = _DIRECTIONS.get(cooked[2])
        text = text[cooked.end() :]
    ethernet, ethertype, length = Ethernet(), None, None
    macs = _TWO_MACS.match(text) or _ONE_MAC.match(text)
    if macs:
        dst = _station(macs[2]) if macs.re is _TWO_MACS else UNKNOWN_MAC
        ethernet = Ethernet(_station(macs[1]), dst)
        text = text[macs.end() :]
    typed = _ETHERTYPE.match(text)
    if typed:
        ethertype, length = _ethertype(typed[1], typed[2]), int(typed[3])
        if cooked and (macs is None or macs.re is _ONE_MAC):
            # Counted as it was on the wire: a sender without MAC has no Ethernet header.
            length -= _SLL2_SIZE if cooked[3] else _SLL_SIZE
            length = max(length + (_ETHERNET_SIZE if macs else 0), 0)
        text = text[typed.end() :]
    vlan = _VLAN.match(text)
    while vlan:
        ethertype = _ethertype(vlan[2], vlan[3]) or ethertype
        ethernet = replace(ethernet, vlan=int(vlan[1]) & 0xFFF if ethernet.vlan is None else ethernet.vlan)
        text = text[vlan.end() :]
        vlan = _VLAN.match(text)
    return _named(LinkWords(device, direction, ethernet, "", text, length), ethertype)


_TYPES: Final[Mapping[str, int]] = {"IP": ETH_IP, "IP6": ETH_IP6, "ARP": ETH_ARP}


def _named(words: LinkWords, ethertype: int | None) -> LinkWords:
    """Find out which protocol the rest is: its own first word says, or the ethertype before it."""
    found = _NAME.match(words.body)
    if found:
        name, body = found[1].rstrip(",:").upper(), _SHORTENED.sub("", words.body[found.end() :])
    elif ethertype is None or ethertype in _ETHERTYPE_NAMES:
        name = "" if ethertype is None else _ETHERTYPE_NAMES[ethertype]
        body = _SHORTENED.sub("", words.body)
    else:
        # -e names the type of a frame that is neither IP nor ARP.
        name, body = f"ethertype 0x{ethertype:04x}", words.body
    ethernet = replace(words.ethernet, type=_TYPES.get(name, ethertype or words.ethernet.type))
    return replace(words, ethernet=ethernet, name=name, body=body)


#: Service names that tcpdump prints in place of ports without -n, from IANA's registry.
_SERVICES: Final[Mapping[str, int]] = {
    "ssh": 22,
    "telnet": 23,
    "smtp": 25,
    "domain": 53,
    "bootps": 67,
    "bootpc": 68,
    "http": 80,
    "ntp": 123,
    "snmp": 161,
    "bgp": 179,
    "https": 443,
    "mysql": 3306,
    "vxlan": 4789,
    "postgresql": 5432,
    "amqp": 5672,
    "http-alt": 8080,
}
_ENDS: Final = re.compile(r"(\S+) > (\S+?):(?=\s|$)\s*(.*)", re.DOTALL)
_MAX_PORT: Final = 0xFFFF
_V6: Final = 6
_FRAGMENT: Final = 44


@lru_cache(maxsize=4096)
def _end(text: str) -> tuple[IPAddress, int | None] | None:
    """``10.0.0.1.22``, ``2001:db8::1.22`` or an address alone; None if it is neither."""
    try:
        return address(text), None
    except ValueError:
        pass
    bare, _, port = text.rpartition(".")
    number = int(port) if port.isascii() and port.isdigit() else _SERVICES.get(port)
    try:
        return (address(bare), number) if number is not None and number <= _MAX_PORT else None
    except ValueError:
        return None


def _parenthesis(body: str) -> int:
    """Index behind the closing parenthesis of the one that *body* begins with, 0 if it is not closed."""
    depth = 0
    for at, letter in enumerate(body):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth == 0:
            return at + 1
    return 0


_V_TOS: Final = re.compile(r"\b(?:tos|class) (0x[0-9a-f]+)")
_V_TTL: Final = re.compile(r"\b(?:ttl|hlim) (\d+)")
_V_ID: Final = re.compile(r"\bid (\d+)")
_V_OFFSET: Final = re.compile(r"\boffset (\d+)")
_V_FLAGS: Final = re.compile(r"flags \[([^\]]*)\]")


def _verbose(ip: Ip, header: str) -> Ip:
    """Add what ``-v`` prints of the IP header."""
    tos, ttl, ident = _V_TOS.search(header), _V_TTL.search(header), _V_ID.search(header)
    offset, flags = _V_OFFSET.search(header), _V_FLAGS.search(header)
    return replace(
        ip,
        # tcpdump leaves out a traffic class of 0, but never a TOS.
        tos=int(tos[1], 16) & 0xFF if tos else 0 if "hlim" in header else None,
        # tcpdump leaves out a time to live of 0.
        ttl=int(ttl[1]) & 0xFF if ttl else 0 if ident else None,
        id=int(ident[1]) & 0xFFFF if ident else None,
        offset=int(offset[1]) & 0xFFFF if offset else 0,
        df="DF" in flags[1] if flags else None,
        more="+" in flags[1] if flags else False,
    )


#: Behind each word ``-v`` prints the header's options, each in parentheses.
_EXTENSION: Final = re.compile(
    r"(?:HBH|DSTOPT|srcrt|AH(?:\([^:]*\):)?|RT6 \([^)]*\)"
    r"|frag \((?:0x(?P<id>[0-9a-f]{1,8}):)?(?P<offset>\d{1,5})\|\d+\))(?: ?\([^)]*\))*(?: |$)"
)
_BARE_PORTS: Final = re.compile(r"(\d{1,5}) > (\d{1,5}): ")


def _extensions(ip: Ip, words: str) -> tuple[Ip, str, Ports]:
    """Strip IPv6 extension headers; tcpdump prints ports behind them, and nothing behind a later fragment."""
    found = _EXTENSION.match(words)
    if found is None:
        return ip, words, None
    while found:
        if found["offset"]:
            ident = int(found["id"], 16) if found["id"] else ip.id
            ip = replace(ip, protocol=_FRAGMENT, id=ident, offset=int(found["offset"]))
        words = words[found.end() :]
        found = _EXTENSION.match(words)
    ports = _BARE_PORTS.match(words)
    if ports is None or int(ports[1]) > _MAX_PORT or int(ports[2]) > _MAX_PORT:
        return ip, words, None
    return ip, words[ports.end() :], (int(ports[1]), int(ports[2]))


_NO_CHECKSUM: Final = re.compile(r"\[(?:no cksum|bad udp cksum [^\]]*|udp sum ok|\|?[^\]]*sum[^\]]*)\] ")


def _ip(link: LinkWords) -> Packet | Refused:
    body, header = link.body, ""
    if body.startswith("("):
        cut = _parenthesis(body)
        header, body = body[:cut], body[cut:].lstrip()
    found = _ENDS.match(body)
    if found is None:
        return Refused("an IP packet without `source > destination:`")
    source, destination = _end(found[1]), _end(found[2])
    if source is None or destination is None:
        return Refused("an address or port that is no number")
    if source[0].version != destination[0].version:
        return Refused("an IPv4 and an IPv6 address in one packet")
    if (source[1] is None) != (destination[1] is None):
        return Refused("a port at one end only")
    words, ports = _NO_CHECKSUM.sub("", found[3], count=1), None
    ip, ethernet = Ip(source[0], destination[0], 0), link.ethernet
    ip = _verbose(ip, header) if header else ip
    if source[0].version == _V6:
        ethernet = replace(ethernet, type=ETH_IP6)
        ip, words, ports = _extensions(ip, words)
    if source[1] is not None and destination[1] is not None:
        ports = (source[1], destination[1])
    packet = Packet(ethernet, length=link.length)
    return replace(packet, ip=ip) if ip.offset and not words else read_transport(packet, ip, ports, words)


#: Sender of a probe (RFC 5227), and what stands where the words leave an address out.
_UNSPECIFIED: Final = IPv4Address(0)
_REQUEST: Final = re.compile(r"(?:Request )?who-has (\S+)(?: \(([^)]*)\))? tell ([^\s,]+)", re.IGNORECASE)
_REPLY: Final = re.compile(r"(?:Reply )?(\S+) is-at ([0-9a-fA-F:]+)", re.IGNORECASE)
_ALONE: Final = re.compile(r"(Announcement|Probe) ([^\s,]+)")


def _request(found: re.Match[str]) -> Arp:
    asked = mac(found[2]) if found[2] and ":" in found[2] else UNKNOWN_MAC
    return Arp(ArpOp.REQUEST, UNKNOWN_MAC, address(found[3]), asked, address(found[1]))


def _reply(found: re.Match[str]) -> Arp:
    owner = address(found[1])
    # The words leave out who asked.
    return Arp(ArpOp.REPLY, mac(found[2]), owner, UNKNOWN_MAC, _UNSPECIFIED)


def _alone(found: re.Match[str]) -> Arp:
    target = address(found[2])
    source = target if found[1] == "Announcement" else _UNSPECIFIED
    return Arp(ArpOp.REQUEST, UNKNOWN_MAC, source, UNKNOWN_MAC, target)


_ARP_FORMS: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Arp]], ...]] = (
    (_REQUEST, _request),
    (_REPLY, _reply),
    (_ALONE, _alone),
)
_OTHER_ARP: Final = re.compile(r"(?:Reverse|Inverse|Unknown|NACK|Ethernet \()")
_V_ARP: Final = re.compile(r"Ethernet \(len 6\), IPv4 \(len 4\), ")


def _arp(link: LinkWords) -> Packet | Refused:
    body = _V_ARP.sub("", link.body, count=1)
    for pattern, reader in _ARP_FORMS:
        found = pattern.match(body)
        if found is None:
            continue
        try:
            return Packet(link.ethernet, arp=reader(found), length=link.length)
        except ValueError:
            return Refused("an ARP message whose addresses are no numbers")
    if _OTHER_ARP.match(body):
        return Refused("an ARP operation that is neither request nor reply", kind=None)
    return Refused("an ARP message that is neither request nor reply")


_PROTOCOLS: Final[Mapping[str, Callable[[LinkWords], Packet | Refused]]] = {
    "IP": _ip,
    "IP6": _ip,
    "ARP": _arp,
}

#: First words of frames that say nothing about IP.
_OTHERS: Final = re.compile(
    r"(?:STP|LLDP|CDPv|LACP|EAPOL|Loopback|LLC|IPX|IS-IS|ISO|DTPv|UDLDv|VTPv|SNAP|HSR|MACsec|802\.3|MPCP|OAM|PPPoE"
    r"|ethertype|Unknown SSAP|\[\|)"
)
_LOOKS_LIKE_PACKET: Final = re.compile(r"\S+ > \S|Flags \[|who-has |is-at ")


def read_packet(link: LinkWords) -> Packet | Refused:
    """The packet behind a link header, or why it gives none; ``kind`` None = says nothing about IP."""
    reader = _PROTOCOLS.get(link.name)
    if reader is not None:
        return reader(link)
    if link.name or _OTHERS.match(link.body):
        return Refused(link.name or "not an IP packet", kind=None)
    looks = _LOOKS_LIKE_PACKET.search(link.body)
    return Refused("neither IP nor ARP", Kind.MALFORMED if looks else None)


def unfinished(link: LinkWords) -> bool:
    """True if ``-v`` put the addresses on the next line."""
    if link.name != "IP" or not link.body.startswith("("):
        return False
    return not link.body[_parenthesis(link.body) :].strip()
