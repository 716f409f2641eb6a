"""
Fields of the packet's headers, as nft reads them.

nft asks for the header first (``tcp dport`` begins with ``meta l4proto tcp``): a packet without it ends the
rule. Later fragments have no transport header (``nft_payload_eval``, ``pkt->fragoff``). What the evidence
cut off is not known. Source: ``net/netfilter/nft_payload.c``, nft's ``proto.c``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bothways.facts.packet import ETH_ARP, ETH_IP, ETH_IP6, ICMP, ICMP6, TCP, UDP, Arp, Icmp, Ip, Tcp, Udp
from bothways.model.linux.hook import Hook
from bothways.model.linux.nftables.view import BREAK, Value, View

__all__ = ["PAYLOAD", "ether_type"]

Read = Callable[[View], Value]

_VLAN: Final = 0x8100
_ETHERNET: Final = 14
_IPV6_HEADER: Final = 40
_OTHERS: Final = {
    "udplite": 136,
    "sctp": 132,
    "dccp": 33,
    "esp": 50,
    "ah": 51,
    "comp": 108,
    "gre": 47,
    "igmp": 2,
}
_LATE: Final = frozenset({Hook.OUTPUT, Hook.POSTROUTING})
_ECHOES: Final = frozenset({0, 8, 128, 129})


def _unknown(_: View) -> Value:
    return None


def _ip(version: int, read: Callable[[View, Ip], Value]) -> Read:
    def row(view: View) -> Value:
        ip = view.packet.ip
        return BREAK if ip is None or ip.src.version != version else read(view, ip)

    return row


def _length(view: View, less: int) -> Value:
    length = view.packet.length
    return None if length is None else length - less


def _traffic(shift: int, mask: int) -> Callable[[View, Ip], Value]:
    return lambda _, ip: None if ip.tos is None else ip.tos >> shift & mask


def _fragment(_: View, ip: Ip) -> Value:
    if ip.df is None:
        return None
    return int(ip.df) << 14 | int(ip.more) << 13 | ip.offset >> 3


def _transport(view: View, *protocols: int) -> bool:
    """True if the packet has the transport header of one of these protocols, in whole."""
    ip = view.packet.ip
    return ip is not None and ip.protocol in protocols and ip.offset == 0


def _tcp(read: Callable[[Tcp], Value]) -> Read:
    def row(view: View) -> Value:
        if not _transport(view, TCP):
            return BREAK
        return None if view.packet.tcp is None else read(view.packet.tcp)

    return row


def _udp(read: Callable[[Udp], Value]) -> Read:
    def row(view: View) -> Value:
        if not _transport(view, UDP):
            return BREAK
        return None if view.packet.udp is None else read(view.packet.udp)

    return row


def _icmp(protocol: int, read: Callable[[Icmp], Value]) -> Read:
    def row(view: View) -> Value:
        if not _transport(view, protocol):
            return BREAK
        return None if view.packet.icmp is None else read(view.packet.icmp)

    return row


def _numbered(icmp: Icmp, number: int | None) -> Value:
    """Identifier and sequence number; nft asks for an echo first."""
    return number if icmp.type in _ECHOES else BREAK


def _absolute(tcp: Tcp, number: int | None) -> Value:
    return None if tcp.relative else number


def _port(*, source: bool) -> Read:
    """``th``: the first four bytes behind the IP header, whatever they mean."""

    def row(view: View) -> Value:
        packet = view.packet
        if packet.ip is None or packet.ip.offset:
            return BREAK
        transport = packet.tcp or packet.udp
        if transport is not None:
            return transport.sport if source else transport.dport
        if packet.icmp is not None and source:
            return packet.icmp.type << 8 | packet.icmp.code
        return None

    return row


def _other(protocol: int) -> Read:
    return lambda view: None if _transport(view, protocol) else BREAK


def ether_type(view: View) -> Value:
    """The type of the frame, without a VLAN tag (``skb->protocol``)."""
    packet = view.packet
    if packet.arp is not None:
        return ETH_ARP
    if packet.ip is not None:
        return ETH_IP if packet.ip.src.version == 4 else ETH_IP6  # noqa: PLR2004 - IPv4
    return packet.ethernet.type


def _is_no_frame(view: View) -> bool:
    """True where nft finds no Ethernet: it asks for the kind of the device, which is another for ``lo``."""
    return not view.linked and (view.hook in _LATE or view.probe.device_in == "lo")


def _frame_type(view: View) -> Value:
    if _is_no_frame(view):
        return BREAK
    return ether_type(view) if view.packet.ethernet.vlan is None else _VLAN


def _mac(*, source: bool) -> Read:
    """A MAC: above the link layer there is a frame only on the way in (``skb_mac_header_was_set``)."""

    def row(view: View) -> Value:
        if _is_no_frame(view):
            return BREAK
        link = view.packet.ethernet
        mac = link.src if source else link.dst
        return int(mac.replace(":", ""), 16) if mac else None

    return row


def _arp(read: Callable[[Arp], Value]) -> Read:
    def row(view: View) -> Value:
        return BREAK if view.packet.arp is None else read(view.packet.arp)

    return row


def _number(mac: str) -> Value:
    return int(mac.replace(":", ""), 16) if mac else None


def _tagged(read: Callable[[View], Value]) -> Read:
    return lambda view: BREAK if view.packet.ethernet.vlan is None else read(view)


#: field -> what a packet has there
PAYLOAD: Final[Mapping[str, Read]] = {
    "ether saddr": _mac(source=True),
    "ether daddr": _mac(source=False),
    "ether type": _frame_type,
    "vlan id": _tagged(lambda view: view.packet.ethernet.vlan),
    "vlan type": _tagged(ether_type),
    **dict.fromkeys(("vlan pcp", "vlan dei", "vlan cfi"), _tagged(_unknown)),
    "arp htype": _arp(lambda _: 1),
    "arp ptype": _arp(lambda _: ETH_IP),
    "arp hlen": _arp(lambda _: 6),
    "arp plen": _arp(lambda _: 4),
    "arp operation": _arp(lambda arp: arp.op),
    "arp saddr ether": _arp(lambda arp: _number(arp.sha)),
    "arp daddr ether": _arp(lambda arp: _number(arp.tha)),
    "arp saddr ip": _arp(lambda arp: int(arp.spa)),
    "arp daddr ip": _arp(lambda arp: int(arp.tpa)),
    "ip version": _ip(4, lambda _, __: 4),
    "ip hdrlength": _ip(4, lambda _, __: None),
    "ip dscp": _ip(4, _traffic(2, 0x3F)),
    "ip ecn": _ip(4, _traffic(0, 3)),
    "ip length": _ip(4, lambda view, _: _length(view, _ETHERNET)),
    "ip id": _ip(4, lambda _, ip: ip.id),
    "ip frag-off": _ip(4, _fragment),
    "ip ttl": _ip(4, lambda _, ip: ip.ttl),
    "ip protocol": _ip(4, lambda _, ip: ip.protocol),
    "ip checksum": _ip(4, lambda _, __: None),
    "ip saddr": _ip(4, lambda _, ip: int(ip.src)),
    "ip daddr": _ip(4, lambda _, ip: int(ip.dst)),
    "ip6 version": _ip(6, lambda _, __: 6),
    "ip6 dscp": _ip(6, _traffic(2, 0x3F)),
    "ip6 ecn": _ip(6, _traffic(0, 3)),
    "ip6 flowlabel": _ip(6, lambda _, __: None),
    "ip6 length": _ip(6, lambda view, _: _length(view, _ETHERNET + _IPV6_HEADER)),
    "ip6 nexthdr": _ip(6, lambda _, ip: ip.protocol),
    "ip6 hoplimit": _ip(6, lambda _, ip: ip.ttl),
    "ip6 saddr": _ip(6, lambda _, ip: int(ip.src)),
    "ip6 daddr": _ip(6, lambda _, ip: int(ip.dst)),
    "tcp sport": _tcp(lambda tcp: tcp.sport),
    "tcp dport": _tcp(lambda tcp: tcp.dport),
    "tcp flags": _tcp(lambda tcp: tcp.flags.value),
    "tcp sequence": _tcp(lambda tcp: _absolute(tcp, tcp.seq)),
    "tcp ackseq": _tcp(lambda tcp: _absolute(tcp, tcp.ack)),
    "tcp window": _tcp(lambda tcp: tcp.window),
    "tcp doff": _tcp(lambda tcp: None if tcp.options.size is None else 5 + tcp.options.size // 4),
    **dict.fromkeys(("tcp reserved", "tcp checksum", "tcp urgptr"), _tcp(lambda _: None)),
    "udp sport": _udp(lambda udp: udp.sport),
    "udp dport": _udp(lambda udp: udp.dport),
    "udp length": _udp(lambda udp: None if udp.length is None else udp.length + 8),
    "udp checksum": _udp(lambda _: None),
    "th sport": _port(source=True),
    "th dport": _port(source=False),
    **{
        f"{name} {part}": read
        for name, number in (("icmp", ICMP), ("icmpv6", ICMP6))
        for part, read in (
            ("type", _icmp(number, lambda icmp: icmp.type)),
            ("code", _icmp(number, lambda icmp: icmp.code)),
            ("id", _icmp(number, lambda icmp: _numbered(icmp, icmp.id))),
            ("sequence", _icmp(number, lambda icmp: _numbered(icmp, icmp.seq))),
            *(
                (other, _icmp(number, lambda _: None))
                for other in (
                    "checksum", "mtu", "gateway", "parameter-problem", "packet-too-big", "max-delay", "taddr",
                    "daddr",
                )
            ),
        )
    },
    **{
        f"{name} {part}": _other(number)
        for name, number in _OTHERS.items()
        for part in (
            "sport", "dport", "spi", "sequence", "cpi", "flags", "type", "vtag", "checksum", "csumcov",
            "nexthdr", "hdrlength", "reserved", "version", "protocol", "mrt", "group",
        )
    },
}  # fmt: skip
