"""
Neighbour discovery of one namespace: what it asks, and which questions it answers.

RFC 4861; ``ndisc_solicit`` and ``ndisc_recv_ns`` of ``net/ipv6/ndisc.c``. Unlike ARP, a question is
answered only at the device that holds the address. Its packets are packets of IPv6: they pass the hooks
OUTPUT and INPUT, and a firewall that drops them cuts the neighbours off.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final

from bothways.facts.address import IPAddress, Mac, mac_from_int
from bothways.facts.device import Device
from bothways.facts.packet import (
    ETH_IP6,
    ICMP6,
    NEIGHBOUR_ADVERTISEMENT,
    NEIGHBOUR_SOLICITATION,
    Ethernet,
    Icmp,
    Ip,
    Packet,
)
from bothways.facts.snapshot import Netns
from bothways.facts.span import Span
from bothways.model.linux.settings import Settings
from bothways.model.linux.source_address import usable

__all__ = ["HOPS", "Answer", "answer", "hears", "multicast_mac", "solicitation", "solicited_node"]

#: Only a packet that no router has passed on is believed.
HOPS: Final = 255
_LENGTH: Final = 86
_ALL_NODES: Final = IPv6Address("ff02::1")
_ALL_ROUTERS: Final = IPv6Address("ff02::2")
_SOLICITED: Final = int(IPv6Address("ff02::1:ff00:0"))
_LAST_24: Final = 0xFFFFFF


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of a solicitation: the *reply*, or None and why not."""

    reply: Packet | None
    reason: str
    evidence: tuple[Span, ...] = ()
    unknown: str = ""


def multicast_mac(group: IPAddress) -> Mac:
    """The MAC of an IPv6 group, RFC 2464 section 7."""
    return mac_from_int(0x3333_0000_0000 | (int(group) & 0xFFFF_FFFF))


def solicited_node(address: IPAddress) -> IPv6Address:
    """The group in which an address is asked for, RFC 4291 section 2.7.1."""
    return IPv6Address(_SOLICITED | (int(address) & _LAST_24))


def hears(netns: Netns, device: str, group: IPAddress) -> bool:
    """True if a device of this namespace has joined a group (``ipv6_chk_mcast_addr``)."""
    found = netns.device(device)
    if group == _ALL_NODES:
        return True
    if group == _ALL_ROUTERS:
        setting = Settings(netns).forwarding(device, 6)
        return setting is not None and bool(setting.value)
    held = () if found is None else found.addresses
    own = [h.address for h in held if h.address.version == group.version]
    proxied = [n.address for n in netns.neighbours or () if "PROXY" in n.states and n.device == device]
    return any(solicited_node(each) == group for each in (*own, *proxied) if each.version == group.version)


def solicitation(netns: Netns, device: str, target: IPAddress, source: IPAddress | None) -> Packet | None:
    """
    Ask who has an address; None if the device has no address to ask from.

    :param source: sender of the packet that waits: it asks if it is an address of this namespace.
    """
    found = netns.device(device)
    if found is None:
        return None
    if source is None or netns.owner_of(source) is None:
        source = _link_local(found)
    if source is None:
        return None
    group = solicited_node(target)
    return Packet(
        Ethernet(found.mac, multicast_mac(group), ETH_IP6),
        ip=Ip(source, group, ICMP6, ttl=HOPS),
        icmp=Icmp(NEIGHBOUR_SOLICITATION, 0, target=target, source_link=found.mac),
        length=_LENGTH,
    )


def answer(packet: Packet, device: Device, netns: Netns) -> Answer:
    """Decide on a solicitation that came in at a device."""
    ip, asked = packet.ip, packet.icmp
    if ip is None or asked is None or asked.target is None:
        return Answer(None, "which address is asked for was not recorded")
    target = asked.target
    held = next((h for h in device.addresses if h.address == target), None)
    if held is not None:
        if not usable(held):
            return Answer(None, f"{target} is not used yet: it is {', '.join(held.flags)}", (held.span,))
        why = f"{target} is an address of {device.name}: {device.mac} answers"
        return Answer(_advertisement(packet, ip, device, target), why, (held.span,))
    return _proxy(packet, ip, device, netns, target)


def _proxy(packet: Packet, ip: Ip, device: Device, netns: Netns, target: IPAddress) -> Answer:
    elsewhere = netns.owner_of(target)
    settings = Settings(netns)
    forwards = settings.value(f"net.ipv6.conf.{device.name}.forwarding")
    proxies = [settings.value(f"net.ipv6.conf.{name}.proxy_ndp") for name in ("all", device.name)]
    on = next((each for each in proxies if each is not None and each.value), None)
    if on is None or (forwards is not None and not forwards.value):
        where = "" if elsewhere is None else f", but of {elsewhere[0].name}"
        return Answer(None, f"{target} is no address of {device.name}{where}")
    rows = [n for n in netns.neighbours or () if "PROXY" in n.states and n.device == device.name]
    row = next((n for n in rows if n.address == target), None)
    if row is not None:
        why = f"{target} is a proxied neighbour at {device.name}: {device.mac} answers"
        return Answer(_advertisement(packet, ip, device, target), why, (row.span, *on.evidence))
    if rows:
        return Answer(None, f"{target} is no address of {device.name}, and no proxied neighbour there")
    text = f"whether {netns.label} answers for {target} at {device.name}, where proxy_ndp is on"
    unknown = f"{text}: `ip -6 neigh show proxy` was not collected"
    return Answer(None, f"{target} is no address of {device.name}", on.evidence, unknown)


def _advertisement(packet: Packet, ip: Ip, device: Device, target: IPAddress) -> Packet:
    """The answer (``ndisc_send_na``); to a sender without an address it goes to everybody."""
    everybody = ip.src.is_unspecified
    to = _ALL_NODES if everybody else ip.src
    link = packet.icmp.source_link if packet.icmp is not None else None
    mac = multicast_mac(to) if everybody else link or packet.ethernet.src
    return Packet(
        Ethernet(device.mac, mac, ETH_IP6),
        ip=Ip(target, to, ICMP6, ttl=HOPS),
        icmp=Icmp(NEIGHBOUR_ADVERTISEMENT, 0, target=target, target_link=device.mac),
        length=_LENGTH,
    )


def _link_local(device: Device) -> IPAddress | None:
    held = (h for h in device.addresses if h.address.version == 6 and usable(h))  # noqa: PLR2004 - IPv6
    return next((h.address for h in held if h.address.is_link_local), None)
