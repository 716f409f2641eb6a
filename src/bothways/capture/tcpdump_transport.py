"""
What stands behind ``a > b:`` in a line of tcpdump: TCP, UDP, ICMP and protocols that are not followed.

Everything about these words lives here; this file does not know times, devices or link headers. Words follow
tcpdump 3.9 to 5.0, among them the short TCP form of versions before 4.0 (``S 1:1(0) win 5840 <mss 1460>``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from bothways.capture.layers import Refused
from bothways.facts.packet import ICMP, ICMP6, TCP, UDP, Flag, Icmp, Ip, Packet, Tcp, TcpOptions, Udp
from bothways.facts.span import Kind

__all__ = ["Ports", "read_transport"]

#: Source and destination port, None where the line names addresses only.
Ports = tuple[int, int] | None

_LETTERS: Final[Mapping[str, Flag]] = {
    "F": Flag.FIN,
    "S": Flag.SYN,
    "R": Flag.RST,
    "P": Flag.PSH,
    ".": Flag.ACK,
    "U": Flag.URG,
    "E": Flag.ECE,
    "W": Flag.CWR,
    # Accurate ECN's bit stands beside the eight that trackers look at.
    "e": Flag(0),
}
_FLAGS: Final = re.compile(r"Flags \[([A-Za-z.]+)\](?=[,\s]|$)")
_OPTIONS: Final = re.compile(r"\boptions \[(.*?)\](?=,|\s|$)")
_SEQ: Final = re.compile(r"\bseq (\d+)(?::(\d+))?")
_ACK: Final = re.compile(r"\back (\d+)")
_WINDOW: Final = re.compile(r"\bwin (\d+)")
_LENGTH: Final = re.compile(r"\blength (\d+)")
_CHECKSUM: Final = re.compile(r"\bcksum 0x[0-9a-f]+ \((correct|incorrect)")
_OLD_TCP: Final = re.compile(
    r"([SFRPWEU.]+) (?:(\d+):(\d+)\((\d+)\)(?: |$))?(?:ack (\d+)(?: |$))?(?:win (\d+)(?: |$))?(?:.*?<(.*?)>)?"
)
_OPTION_MSS: Final = re.compile(r"\bmss (\d+)")
_OPTION_WSCALE: Final = re.compile(r"\bwscale (\d+)")
_OPTION_TIMESTAMP: Final = re.compile(r"\b(?:TS val|timestamp) (\d+) (?:ecr )?(\d+)")
_OPTION_SACK: Final = re.compile(r"\{(\d+):(\d+)\}")
_MAX_PORT: Final = 0xFFFF
_MAX_NUMBER: Final = 0xFFFFFFFF


def _number(pattern: re.Pattern[str], text: str) -> int | None:
    found = pattern.search(text)
    return int(found[1]) if found else None


def _flags(letters: str) -> Flag | None:
    if letters == "none":
        return Flag(0)
    flags = Flag(0)
    for letter in letters:
        if letter not in _LETTERS:
            return None
        flags |= _LETTERS[letter]
    return flags


def _options(text: str) -> TcpOptions:
    stamp = _OPTION_TIMESTAMP.search(text)
    return TcpOptions(
        _number(_OPTION_MSS, text),
        _number(_OPTION_WSCALE, text),
        "sackOK" in text,
        (int(stamp[1]), int(stamp[2])) if stamp else None,
        tuple((int(left), int(right)) for left, right in _OPTION_SACK.findall(text)),
    )


def _too_large(tcp: Tcp) -> bool:
    return (tcp.seq or 0) > _MAX_NUMBER or (tcp.ack or 0) > _MAX_NUMBER or (tcp.window or 0) > _MAX_PORT


def _tcp(ports: tuple[int, int], words: str) -> Tcp | Refused:
    found = _FLAGS.match(words)
    flags = _flags(found[1]) if found else None
    if found is None or flags is None:
        return Refused("TCP flags that tcpdump does not print")
    rest = words[found.end() :]
    options = _OPTIONS.search(rest)
    fields = rest[: options.start()] if options else rest
    seq = _SEQ.search(fields)
    length = _number(_LENGTH, rest[options.end() :] if options else rest)
    if length is None and seq is not None and seq[2] is not None:
        length = (int(seq[2]) - int(seq[1])) & _MAX_NUMBER
    checksum = _CHECKSUM.search(fields)
    tcp = Tcp(
        *ports,
        flags,
        int(seq[1]) if seq else None,
        _number(_ACK, fields) if flags & Flag.ACK else None,
        _number(_WINDOW, fields),
        length,
        _options(options[1]) if options else TcpOptions(),
        checksum_ok=None if checksum is None else checksum[1] == "correct",
    )
    return Refused("TCP numbers that do not fit their fields") if _too_large(tcp) else tcp


def _old_tcp(ports: tuple[int, int], words: str) -> Tcp | Refused:
    found = _OLD_TCP.match(words)
    flags = _flags(found[1]) if found else None
    if found is None or flags is None:
        return Refused("TCP flags that tcpdump does not print")
    _, seq, _, length, ack, window, options = found.groups()
    tcp = Tcp(
        *ports,
        flags | Flag.ACK if ack else flags,
        int(seq) if seq else None,
        int(ack) if ack else None,
        int(window) if window else None,
        # Without seq:end(length) the segment is empty, which is all that this form leaves out.
        int(length) if length else 0,
        _options(options) if options else TcpOptions(),
    )
    return Refused("TCP numbers that do not fit their fields") if _too_large(tcp) else tcp


def _read_tcp(packet: Packet, ip: Ip, ports: Ports, words: str) -> Packet | Refused:
    if ports is None:
        return Refused("TCP flags between addresses without ports")
    tcp = _tcp(ports, words) if words.startswith("Flags") else _old_tcp(ports, words)
    if isinstance(tcp, Refused):
        return tcp
    return replace(packet, ip=replace(ip, protocol=TCP), tcp=tcp)


def _quick_tcp(_packet: Packet, _ip: Ip, _ports: Ports, _words: str) -> Packet | Refused:
    return Refused("TCP without flags (tcpdump -q) says too little", Kind.UNMODELLED)


_DATAGRAM_LENGTH: Final = re.compile(r"\blength:? (\d+)|\((\d+)\)\s*$")


def _read_udp(packet: Packet, ip: Ip, ports: Ports, words: str) -> Packet | Refused:
    if ports is None:
        return Refused("a UDP datagram between addresses without ports")
    found = _DATAGRAM_LENGTH.search(words)
    length = int(found[1] or found[2]) if found else None
    return replace(packet, ip=replace(ip, protocol=UDP), udp=Udp(*ports, length))


_ECHO: Final = re.compile(r"ICMP6?,? echo (request|reply)(?:, id (\d+))?(?:, seq (\d+))?")

#: Words of an ICMP message (without the addresses in them) -> type and code, first match wins.
_ICMP_KINDS: Final[tuple[tuple[re.Pattern[str], int, int], ...]] = tuple(
    (re.compile(pattern), kind, code)
    for pattern, kind, code in (
        (r"ICMP \S+ (?:udp|tcp|sctp|dccp) port \S+ unreachable|ICMP \S+ protocol \d+ port \d+ unr", 3, 3),
        (r"ICMP \S+ protocol \S+ unreachable", 3, 2),
        (r"ICMP \S+ unreachable - need to frag", 3, 4),
        (r"ICMP \S+ unreachable - source route failed", 3, 5),
        (r"ICMP net \S+ unreachable - unknown", 3, 6),
        (r"ICMP host \S+ unreachable - unknown", 3, 7),
        (r"ICMP \S+ unreachable - source host isolated", 3, 8),
        (r"ICMP net \S+ unreachable - admin prohibited", 3, 9),
        (r"ICMP host \S+ unreachable - admin prohibited filter", 3, 13),
        (r"ICMP host \S+ unreachable - admin prohibited", 3, 10),
        (r"ICMP net \S+ unreachable - tos prohibited", 3, 11),
        (r"ICMP host \S+ unreachable - tos prohibited", 3, 12),
        (r"ICMP host \S+ unreachable - host precedence violation", 3, 14),
        (r"ICMP host \S+ unreachable - precedence cutoff", 3, 15),
        (r"ICMP net \S+ unreachable", 3, 0),
        (r"ICMP host \S+ unreachable", 3, 1),
        (r"ICMP source quench", 4, 0),
        (r"ICMP redirect \S+ to net", 5, 0),
        (r"ICMP redirect \S+ to host", 5, 1),
        (r"ICMP redirect-tos \S+ to net", 5, 2),
        (r"ICMP redirect-tos \S+ to host", 5, 3),
        (r"ICMP time exceeded in-transit", 11, 0),
        (r"ICMP ip reassembly time exceeded", 11, 1),
        (r"ICMP parameter problem", 12, 0),
        (r"ICMP time ?stamp (?:query|request)", 13, 0),
        (r"ICMP time ?stamp reply", 14, 0),
        (r"ICMP router advertisement", 9, 0),
        (r"ICMP router solicitation", 10, 0),
        (r"ICMP6, (?:destination unreachable, )?unreachable route", 1, 0),
        (r"ICMP6, (?:destination unreachable, )? ?unreachable prohibited", 1, 1),
        (r"ICMP6, (?:destination unreachable, )?beyond scope", 1, 2),
        (r"ICMP6, (?:destination unreachable, )?unreachable address", 1, 3),
        (r"ICMP6, (?:destination unreachable, )?unreachable port", 1, 4),
        (r"ICMP6, packet too big", 2, 0),
        (r"ICMP6, time exceeded in-transit", 3, 0),
        (r"ICMP6, ip reassembly time exceeded", 3, 1),
        (r"ICMP6, parameter problem, next header", 4, 1),
        (r"ICMP6, parameter problem, option", 4, 2),
        (r"ICMP6, parameter problem, incomplete header chain", 4, 3),
        (r"ICMP6, parameter problem", 4, 0),
        (r"ICMP6, multicast listener query", 130, 0),
        (r"ICMP6, multicast listener report v2", 143, 0),
        (r"ICMP6, multicast listener report", 131, 0),
        (r"ICMP6, multicast listener done", 132, 0),
        (r"ICMP6, router solicitation", 133, 0),
        (r"ICMP6, router advertisement", 134, 0),
        (r"ICMP6, neighbor solicitation", 135, 0),
        (r"ICMP6, neighbor advertisement", 136, 0),
        (r"ICMP6, redirect", 137, 0),
    )
)
_ICMP_NUMBER: Final = re.compile(r"ICMP6?,? (?:type-?#?|unknown icmp6 type \()(\d+)")
_ECHO_TYPES: Final[Mapping[tuple[int, str], int]] = {
    (ICMP, "request"): 8,
    (ICMP, "reply"): 0,
    (ICMP6, "request"): 128,
    (ICMP6, "reply"): 129,
}


def _icmp(protocol: int, words: str) -> Icmp | Refused:
    echo = _ECHO.match(words)
    if echo:
        ident, seq = (int(text) if text else None for text in echo.groups()[1:])
        return Icmp(_ECHO_TYPES[protocol, echo[1]], 0, ident, seq)
    numbered = _ICMP_NUMBER.match(words)
    if numbered:
        return Icmp(int(numbered[1]) & 0xFF, 0)
    for pattern, kind, code in _ICMP_KINDS:
        if pattern.match(words):
            return Icmp(kind, code)
    return Refused("an ICMP message whose type the words do not tell", Kind.UNMODELLED)


def _read_icmp(packet: Packet, ip: Ip, _: Ports, words: str) -> Packet | Refused:
    protocol = ICMP6 if words.startswith("ICMP6") else ICMP
    icmp = _icmp(protocol, words)
    if isinstance(icmp, Refused):
        return icmp
    return replace(packet, ip=replace(ip, protocol=protocol), icmp=icmp)


def _bare(protocol: int) -> Callable[[Packet, Ip, Ports, str], Packet | Refused]:
    def reader(packet: Packet, ip: Ip, _ports: Ports, _words: str) -> Packet | Refused:
        return replace(packet, ip=replace(ip, protocol=protocol))

    return reader


_IP_PROTO: Final = re.compile(r"ip-proto-(\d+)")


def _numbered(packet: Packet, ip: Ip, _ports: Ports, words: str) -> Packet | Refused:
    found = _IP_PROTO.match(words)
    protocol = int(found[1]) if found else -1
    if not 0 <= protocol <= 0xFF:  # noqa: PLR2004 - one byte
        return Refused("an IP protocol that is no byte")
    # tcpdump prints the bare number for fragments after the first; their offset needs -v.
    return replace(packet, ip=replace(ip, protocol=protocol))


_Reader = Callable[[Packet, Ip, Ports, str], Packet | Refused]

#: First words -> reader, first match wins.
_READERS: Final[tuple[tuple[re.Pattern[str], _Reader], ...]] = tuple(
    (re.compile(pattern), reader)
    for pattern, reader in (
        (r"Flags\b", _read_tcp),
        (r"[SFRPWEU.]+ (?:\d+:\d+\(\d+\)|ack \d+|win \d+)", _read_tcp),
        (r"tcp \d+\s*$", _quick_tcp),
        (r"ICMP6?\b", _read_icmp),
        (
            r"UDP\b|VXLAN\b|OTV\b|Geneve\b|NTPv\d|BOOTP/DHCP\b|dhcp6\b|SIP\b|RADIUS\b|isakmp\b|SYSLOG\b",
            _read_udp,
        ),
        (r"(?:NBT|UDP-encap|NONESP-encap|STUN|L2TP|l2tp|RIPv|HSRP|TFTP|sFlow|VXLAN-GPE|MPLS|BFD)", _read_udp),
        (r"\d+\*?-?[+*$%|q-]*(?: |\[)", _read_udp),
        (r"ip-proto-\d+", _numbered),
        (r"sctp\b", _bare(132)),
        (r"igmp\b", _bare(2)),
        (r"ESP\b", _bare(50)),
        (r"AH\b", _bare(51)),
        (r"GREv?\d?\b", _bare(47)),
        (r"OSPF", _bare(89)),
        (r"PIM", _bare(103)),
        (r"VRRP|CARP", _bare(112)),
        (r"IP6 ", _bare(41)),
        (r"IP ", _bare(4)),
    )
)


def read_transport(packet: Packet, ip: Ip, ports: Ports, words: str) -> Packet | Refused:
    """
    Add what the words say to a packet.

    :param ip: addresses and what ``-v`` told; its protocol is filled in here.
    :param words: the line behind ``a > b:``, without leading blanks.
    """
    if not words:
        return Refused("addresses with nothing behind them")
    for pattern, reader in _READERS:
        if pattern.match(words):
            return reader(packet, ip, ports, words)
    return Refused(f"`{words.split(maxsplit=1)[0][:40]}` is not a protocol that is read", Kind.UNMODELLED)
