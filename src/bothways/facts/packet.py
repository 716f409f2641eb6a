"""
One packet, headers only, from the outside in.

A field that the evidence does not hold (a tcpdump line without ``-e`` has no MAC, the
incident's abbreviated lines have no ``seq``) is None, which is not zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum, IntFlag
from typing import Final

from bothways.facts.address import UNKNOWN_MAC, Endpoint, IPAddress, Mac
from bothways.facts.quick import quick

__all__ = [
    "ARP",
    "ETH_ARP",
    "ETH_IP",
    "ETH_IP6",
    "ICMP",
    "ICMP6",
    "NEIGHBOUR_ADVERTISEMENT",
    "NEIGHBOUR_SOLICITATION",
    "NO_FLAGS",
    "TCP",
    "UDP",
    "Arp",
    "ArpOp",
    "Ethernet",
    "Flag",
    "Icmp",
    "Ip",
    "Packet",
    "Tcp",
    "TcpOptions",
    "Tunnel",
    "Udp",
    "flags_text",
]

ETH_IP: Final = 0x0800
ETH_ARP: Final = 0x0806
ETH_IP6: Final = 0x86DD
ARP: Final = ETH_ARP
ICMP: Final = 1
TCP: Final = 6
UDP: Final = 17
ICMP6: Final = 58
NEIGHBOUR_SOLICITATION: Final = 135
NEIGHBOUR_ADVERTISEMENT: Final = 136


class Flag(IntFlag):
    """TCP flags, RFC 9293 section 3.1."""

    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    PSH = 0x08
    ACK = 0x10
    URG = 0x20
    ECE = 0x40
    CWR = 0x80


NO_FLAGS: Final = Flag(0)
_LETTERS: Final = (
    (Flag.FIN, "F"), (Flag.SYN, "S"), (Flag.RST, "R"), (Flag.PSH, "P"),
    (Flag.ACK, "."), (Flag.URG, "U"), (Flag.ECE, "E"), (Flag.CWR, "W"),
)  # fmt: skip


def flags_text(flags: Flag) -> str:
    """
    The flags as tcpdump prints them.

    >>> flags_text(Flag.SYN | Flag.ACK)
    'S.'
    """
    return "".join(letter for flag, letter in _LETTERS if flags & flag) or "none"


class ArpOp(IntEnum):
    """ARP operation, RFC 826."""

    REQUEST = 1
    REPLY = 2


@dataclass(frozen=True, slots=True)
class Ethernet:
    """Link header. *vlan* is the outermost 802.1Q VID, None untagged."""

    src: Mac = UNKNOWN_MAC
    dst: Mac = UNKNOWN_MAC
    type: int = ETH_IP
    vlan: int | None = None


@dataclass(frozen=True, slots=True)
class Arp:
    """ARP for IPv4 over Ethernet."""

    op: int
    sha: Mac
    spa: IPAddress
    tha: Mac
    tpa: IPAddress


@quick
@dataclass(frozen=True, slots=True)
class Ip:
    """IPv4 or IPv6 header. *offset* is the fragment offset in bytes; *more* = more fragments."""

    src: IPAddress
    dst: IPAddress
    protocol: int
    ttl: int | None = None
    id: int | None = None
    tos: int | None = None
    df: bool | None = None
    more: bool = False
    offset: int = 0


@quick
@dataclass(frozen=True, slots=True)
class TcpOptions:
    """
    The options that matter to trackers and stacks; None = not present or not known.

    *size* is how many bytes all options take in the header; None = not known. It says how much the evidence
    shows, not what the packet is: two packets are the same without it.
    """

    mss: int | None = None
    wscale: int | None = None
    sack_ok: bool = False
    timestamp: tuple[int, int] | None = None
    sack: tuple[tuple[int, int], ...] = ()
    size: int | None = field(default=None, compare=False)


@quick
@dataclass(frozen=True, slots=True)
class Tcp:
    """
    TCP header; *length* is the payload in bytes.

    *seq* and *ack* are absolute 32-bit numbers, None where the text does not show them or
    shows them relative (then *relative* is True and they count from the first packet).
    Without the flag ACK *ack* is None, or what stands in the field of a RST: trackers look at it.
    *header_ok* is False if its data offset is below 20 bytes or past its end; None = not known. It does not
    count when two packets are compared.
    """

    sport: int
    dport: int
    flags: Flag
    seq: int | None = None
    ack: int | None = None
    window: int | None = None
    length: int | None = None
    options: TcpOptions = TcpOptions()
    relative: bool = False
    checksum_ok: bool | None = None
    header_ok: bool | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Udp:
    """
    UDP header; *length* is the payload in bytes.

    *checksum_ok* is True also where there is none (zero); None = not known. *header_ok* is False if its
    length field is below 8 or past its end, or if the header is cut (then *length* is None); None = not
    known. Both say how much the evidence shows: two packets are the same without them.
    """

    sport: int
    dport: int
    length: int | None = None
    checksum_ok: bool | None = field(default=None, compare=False)
    header_ok: bool | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Icmp:
    """
    ICMP or ICMPv6; *inner* is the packet that an error quotes.

    :param mtu: what fits, where the error is *fragmentation needed* or *packet too big*.
    :param gateway: the better way that a redirect names.
    :param target: whom neighbour discovery asks or tells of, RFC 4861; *source_link* and *target_link* are
        the MACs that its options name.
    :param checksum_ok: None = not known.

    None from *mtu* on counts when two packets are compared: a text may leave them out.
    """

    type: int
    code: int
    id: int | None = None
    seq: int | None = None
    inner: Packet | None = None
    mtu: int | None = field(default=None, compare=False)
    gateway: IPAddress | None = field(default=None, compare=False)
    target: IPAddress | None = field(default=None, compare=False)
    source_link: Mac | None = field(default=None, compare=False)
    target_link: Mac | None = field(default=None, compare=False)
    checksum_ok: bool | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Tunnel:
    """What a tunnel header said: the VNI and the underlay addresses."""

    kind: str
    vni: int
    src: IPAddress | None = None
    dst: IPAddress | None = None


@quick
@dataclass(frozen=True, slots=True)
class Packet:
    """
    One packet. Exactly one of *ip* and *arp* is set for what bothways follows.

    *length* is the length of the frame on the wire in bytes, None if unknown.
    """

    ethernet: Ethernet = Ethernet()
    ip: Ip | None = None
    arp: Arp | None = None
    tcp: Tcp | None = None
    udp: Udp | None = None
    icmp: Icmp | None = None
    length: int | None = None

    @property
    def source(self) -> Endpoint | None:
        """Sender's address and port; None without an IP header."""
        return None if self.ip is None else Endpoint(self.ip.src, self._port(sending=True))

    @property
    def destination(self) -> Endpoint | None:
        """Receiver's address and port; None without an IP header."""
        return None if self.ip is None else Endpoint(self.ip.dst, self._port(sending=False))

    def _port(self, *, sending: bool) -> int | None:
        transport = self.tcp or self.udp
        if transport is None:
            return None
        return transport.sport if sending else transport.dport

    def with_source(self, end: Endpoint) -> Packet:
        """The packet, sent by *end*; the port stays if *end* has none."""
        return self._readdress(end, sending=True)

    def with_destination(self, end: Endpoint) -> Packet:
        """The packet, sent to *end*; the port stays if *end* has none."""
        return self._readdress(end, sending=False)

    def with_macs(self, src: Mac, dst: Mac) -> Packet:
        """The packet in another link header."""
        return replace(self, ethernet=replace(self.ethernet, src=src, dst=dst))

    def with_ttl(self, ttl: int | None) -> Packet:
        """The packet with another TTL or hop limit."""
        return self if self.ip is None else replace(self, ip=replace(self.ip, ttl=ttl))

    def _readdress(self, end: Endpoint, *, sending: bool) -> Packet:
        """Built field by field, as ``replace`` takes four times as long; each translated packet comes by."""
        ip, tcp, udp = self.ip, self.tcp, self.udp
        if ip is None:
            return self
        if end.address == (ip.src if sending else ip.dst) and end.port in (None, self._port(sending=sending)):
            return self
        src, dst = (end.address, ip.dst) if sending else (ip.src, end.address)
        ip = Ip(src, dst, ip.protocol, ip.ttl, ip.id, ip.tos, ip.df, ip.more, ip.offset)
        if tcp is not None and end.port is not None:
            tcp = _with_port(tcp, end.port, sending=sending)
        elif udp is not None and end.port is not None:
            udp = replace(udp, sport=end.port) if sending else replace(udp, dport=end.port)
        return Packet(self.ethernet, ip, self.arp, tcp, udp, self.icmp, self.length)

    def __str__(self) -> str:
        """In tcpdump's words, without time: ``IP a.1 > b.2: Flags [S]``."""
        if self.arp is not None:
            arp = self.arp
            if arp.op == ArpOp.REQUEST:
                return f"ARP, Request who-has {arp.tpa} tell {arp.spa}"
            return f"ARP, Reply {arp.spa} is-at {arp.sha}"
        if self.ip is None:
            return f"ethertype 0x{self.ethernet.type:04x}"
        name = "IP6" if self.ip.src.version == 6 else "IP"  # noqa: PLR2004
        ends = f"{name} {_dotted(self.source)} > {_dotted(self.destination)}:"
        if self.tcp is not None:
            return f"{ends} Flags [{flags_text(self.tcp.flags)}]{_numbers(self.tcp)}"
        if self.udp is not None:
            return f"{ends} UDP"
        if self.icmp is not None and self.icmp.target is not None:
            return f"{ends} {_discovery(self.icmp)}"
        if self.icmp is not None:
            return f"{ends} ICMP type {self.icmp.type} code {self.icmp.code}"
        return f"{ends} protocol {self.ip.protocol}"


def _with_port(tcp: Tcp, port: int, *, sending: bool) -> Tcp:
    """One port changed; most translations keep it."""
    if port == (tcp.sport if sending else tcp.dport):
        return tcp
    return replace(tcp, sport=port) if sending else replace(tcp, dport=port)


def _discovery(icmp: Icmp) -> str:
    """Neighbour discovery in tcpdump's words."""
    if icmp.type == NEIGHBOUR_SOLICITATION:
        return f"ICMP6, neighbor solicitation, who has {icmp.target}"
    return f"ICMP6, neighbor advertisement, tgt is {icmp.target}"


def _dotted(end: Endpoint | None) -> str:
    if end is None:
        return "?"
    return str(end.address) if end.port is None else f"{end.address}.{end.port}"


def _numbers(tcp: Tcp) -> str:
    text = ""
    if tcp.seq is not None and (tcp.length or tcp.flags & (Flag.SYN | Flag.FIN | Flag.RST)):
        text += f", seq {tcp.seq}" + (f":{tcp.seq + tcp.length}" if tcp.length else "")
    if tcp.ack is not None and tcp.flags & Flag.ACK:
        text += f", ack {tcp.ack}"
    if tcp.length is not None:
        text += f", length {tcp.length}"
    return text
