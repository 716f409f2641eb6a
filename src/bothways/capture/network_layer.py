"""
ARP, IPv4 and IPv6 headers: RFC 826, RFC 791, RFC 8200.

The IPv4 header checksum is not looked at. A total length of 0 is read as "to the end of the frame", which is
what the kernel shows for segments that the card has yet to cut (TSO).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from bothways.capture.layers import Layers, Refused
from bothways.capture.octets import ipv4, ipv6, mac_of
from bothways.capture.transport_layer import ERRORS, decode_transport, quoted_tcp
from bothways.facts.packet import (
    ETH_ARP,
    ETH_IP,
    ETH_IP6,
    ICMP6,
    TCP,
    Arp,
    Ethernet,
    Ip,
    Packet,
    Udp,
)
from bothways.facts.packet import ICMP as ICMP4
from bothways.facts.packet import UDP as UDP_PROTOCOL

__all__ = ["decode_ip_by_version", "decode_network"]

_IPV4: Final = struct.Struct("!BBHHHBBH4s4s")
_IPV6: Final = struct.Struct("!IHBB16s16s")
_ARP: Final = struct.Struct("!HHBBH6s4s6s4s")
_ARP_ETHERNET: Final = (1, ETH_IP, 6, 4)
_ICMP_HEADER: Final = 8
_MAX_EXTENSIONS: Final = 16
_UDP_PORTS: Final = 4


def _arp(ethernet: Ethernet, raw: bytes, wire: int, length: int) -> Layers | Refused:
    if len(raw) < _ARP.size:
        return Refused(f"an ARP message of {len(raw)} bytes, 28 are needed")
    hardware, protocol, hardware_size, protocol_size, op, sha, spa, tha, tpa = _ARP.unpack_from(raw)
    if (hardware, protocol, hardware_size, protocol_size) != _ARP_ETHERNET:
        return Refused("an ARP message that is not IPv4 over Ethernet", kind=None)
    arp = Arp(op, mac_of(sha), ipv4(spa), mac_of(tha), ipv4(tpa))
    return Layers(Packet(ethernet, arp=arp, length=length), raw, wire)


def _ip4(ethernet: Ethernet, raw: bytes, wire: int, length: int) -> Layers | Refused:
    if len(raw) < _IPV4.size:
        return Refused(f"an IPv4 header of {len(raw)} bytes, at least 20 are needed")
    first, tos, total, ident, fragment, ttl, protocol, _, src, dst = _IPV4.unpack_from(raw)
    header = (first & 0x0F) * 4
    total = total or wire
    if first >> 4 != 4 or header < _IPV4.size or total < header:  # noqa: PLR2004 - the version number
        return Refused(f"an IPv4 header that starts with 0x{first:02x} and is {total} bytes long in all")
    ip = Ip(
        ipv4(src),
        ipv4(dst),
        protocol,
        ttl,
        ident,
        tos,
        df=bool(fragment & 0x4000),
        more=bool(fragment & 0x2000),
        offset=(fragment & 0x1FFF) * 8,
    )
    return _above(Layers(Packet(ethernet, ip, length=length), raw[header:total], total - header))


@dataclass(frozen=True, slots=True)
class _Chain:
    """Where the walk along IPv6 extension headers stands."""

    ip: Ip
    at: int
    words: tuple[str, ...] = ()


def _options_header(word: str) -> Callable[[_Chain, bytes], _Chain]:
    def step(chain: _Chain, raw: bytes) -> _Chain:
        size = 8 + raw[chain.at + 1] * 8
        ip = replace(chain.ip, protocol=raw[chain.at])
        return _Chain(ip, chain.at + size, (*chain.words, word))

    return step


def _authentication(chain: _Chain, raw: bytes) -> _Chain:
    size = 8 + raw[chain.at + 1] * 4
    return _Chain(replace(chain.ip, protocol=raw[chain.at]), chain.at + size, (*chain.words, "AH"))


def _fragment(chain: _Chain, raw: bytes) -> _Chain:
    placed, ident = struct.unpack_from("!HI", raw, chain.at + 2)
    ip = replace(chain.ip, protocol=raw[chain.at], offset=placed & 0xFFF8, more=bool(placed & 1), id=ident)
    return _Chain(ip, chain.at + 8, (*chain.words, "frag"))


_EXTENSIONS: Final[Mapping[int, Callable[[_Chain, bytes], _Chain]]] = {
    0: _options_header("HBH"),
    43: _options_header("srcrt"),
    44: _fragment,
    51: _authentication,
    60: _options_header("DSTOPT"),
}


def _ip6(ethernet: Ethernet, raw: bytes, wire: int, length: int) -> Layers | Refused:
    if len(raw) < _IPV6.size:
        return Refused(f"an IPv6 header of {len(raw)} bytes, 40 are needed")
    first, payload, following, hops, src, dst = _IPV6.unpack_from(raw)
    if first >> 28 != 6:  # noqa: PLR2004 - the version number
        return Refused(f"an IPv6 header that starts with 0x{first >> 24:02x}")
    end = _IPV6.size + payload if payload else wire
    chain = _Chain(Ip(ipv6(src), ipv6(dst), following, hops, tos=first >> 20 & 0xFF), _IPV6.size)
    for _ in range(_MAX_EXTENSIONS):
        extension = _EXTENSIONS.get(chain.ip.protocol)
        if extension is None or chain.ip.offset:
            break
        if chain.at + 8 > min(len(raw), end):
            return Refused("an IPv6 extension header that ends after the packet")
        chain = extension(chain, raw)
    if chain.at > end:
        return Refused("an IPv6 extension header that ends after the packet")
    packet = Packet(ethernet, chain.ip, length=length)
    return _above(Layers(packet, raw[chain.at : end], end - chain.at, chain.words))


def _above(layers: Layers) -> Layers | Refused:
    """Transport header, and the packet that an ICMP error quotes."""
    decoded = decode_transport(layers)
    if isinstance(decoded, Refused):
        return decoded
    packet = decoded.packet
    if packet.ip is None or packet.icmp is None or packet.icmp.type not in ERRORS[packet.ip.protocol]:
        return decoded
    inner = _quoted(decoded.body[_ICMP_HEADER:])
    if inner is None:
        return decoded
    return replace(decoded, packet=replace(packet, icmp=replace(packet.icmp, inner=inner)))


def _quoted(raw: bytes) -> Packet | None:
    """The IP header in an ICMP error, with ports where they are quoted (RFC 792: 8 bytes after it)."""
    if not raw:
        return None
    version = raw[0] >> 4
    if version == 4 and len(raw) >= _IPV4.size:  # noqa: PLR2004 - the version number
        header = (raw[0] & 0x0F) * 4
        _, tos, total, ident, fragment, ttl, protocol, _, src, dst = _IPV4.unpack_from(raw)
        flags = {"df": bool(fragment & 0x4000), "more": bool(fragment & 0x2000)}
        ip = Ip(ipv4(src), ipv4(dst), protocol, ttl, ident, tos, offset=(fragment & 0x1FFF) * 8, **flags)
        length = total
    elif version == 6 and len(raw) >= _IPV6.size:  # noqa: PLR2004 - the version number
        header = _IPV6.size
        first, payload, protocol, hops, src6, dst6 = _IPV6.unpack_from(raw)
        ip = Ip(ipv6(src6), ipv6(dst6), protocol, hops, tos=first >> 20 & 0xFF)
        length = header + payload
    else:
        return None
    return _quoted_ports(Packet(ip=ip, length=length), ip, raw[header:])


def _quoted_ports(packet: Packet, ip: Ip, body: bytes) -> Packet:
    if ip.offset:
        return packet
    if ip.protocol == TCP:
        return replace(packet, tcp=quoted_tcp(body))
    if ip.protocol == UDP_PROTOCOL and len(body) >= _UDP_PORTS:
        sport, dport = struct.unpack_from("!HH", body)
        return replace(packet, udp=Udp(sport, dport))
    if ip.protocol in {ICMP4, ICMP6} and len(body) >= _ICMP_HEADER:
        quoted = decode_transport(Layers(packet, body[:_ICMP_HEADER], _ICMP_HEADER))
        return packet if isinstance(quoted, Refused) else quoted.packet
    return packet


_NETWORK: Final[Mapping[int, Callable[[Ethernet, bytes, int, int], Layers | Refused]]] = {
    ETH_ARP: _arp,
    ETH_IP: _ip4,
    ETH_IP6: _ip6,
}


def decode_network(ethernet: Ethernet, raw: bytes, wire: int, length: int) -> Layers | Refused | None:
    """
    Decode what follows a link header.

    :param wire: length of *raw* on the wire.
    :param length: length of the whole frame on the wire; ``packet.length`` of the result.
    :returns: None if nothing here decodes this ethertype.
    """
    decoder = _NETWORK.get(ethernet.type)
    return None if decoder is None else decoder(ethernet, raw, wire, length)


def decode_ip_by_version(raw: bytes, wire: int) -> Layers | Refused:
    """Decode a packet without link header (link type RAW)."""
    if not raw:
        return Refused("an empty frame")
    if raw[0] >> 4 == 6:  # noqa: PLR2004 - the version number
        return _ip6(Ethernet(type=ETH_IP6), raw, wire, wire)
    return _ip4(Ethernet(), raw, wire, wire)
