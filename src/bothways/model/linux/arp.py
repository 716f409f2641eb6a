"""
ARP of one namespace: which requests it answers, and with what.

``arp_process`` and ``arp_ignore`` of ``net/ipv4/arp.c``, RFC 826; ``arp_ignore``, ``arp_filter`` and
``proxy_arp`` in ``ip-sysctl``. Linux answers for every address of the namespace on every device, unless a
sysctl says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from bothways.facts.address import BROADCAST, IPAddress, Mac
from bothways.facts.choice import Assumption, Oracle
from bothways.facts.device import Device
from bothways.facts.packet import ETH_ARP, Arp, ArpOp, Ethernet, Packet
from bothways.facts.snapshot import Netns
from bothways.facts.span import Span
from bothways.model.linux.addresses import primary, select
from bothways.model.linux.routing import Routing, Wanted
from bothways.model.linux.settings import Settings, command

__all__ = ["Answer", "answer", "request"]

_LENGTH: Final = 42
_NOBODY: Final = Mac("00:00:00:00:00:00")


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of a request: the *reply*, or None and why not."""

    reply: Packet | None
    reason: str
    evidence: tuple[Span, ...] = ()


def answer(arp: Arp, device: Device, netns: Netns, routing: Routing, oracle: Oracle) -> Answer:
    """Decide on a request that came in at a device."""
    settings = Settings(netns)
    if routing.kind_of(arp.tpa) != "local" or arp.tpa.is_loopback:
        return _proxy(arp, device, netns, routing)
    owner = netns.owner_of(arp.tpa)
    evidence = () if owner is None else (owner[1].span,)
    there = owner is not None and owner[0].name == device.name
    refusal = _ignored(arp, device, settings)
    if refusal is not None:
        return Answer(None, refusal.reason, refusal.evidence)
    crooked = _filtered(arp, device, settings, routing)
    if crooked is not None:
        return crooked
    if not there and settings.of_device("arp_ignore", device.name) is None:
        text = f"{netns.label} answers ARP at {device.name} for its addresses on other devices (arp_ignore=0)"
        name = f"net.ipv4.conf.{device.name}.arp_ignore"
        oracle.assume(Assumption(text, command(netns, f"sysctl net.ipv4.conf.all.arp_ignore {name}")))
    where = "of another device" if owner is None else f"of {owner[0].name}"
    return Answer(_reply(arp, device), f"{arp.tpa} is an address {where}: {device.mac} answers", evidence)


def request(netns: Netns, device: str, target: IPAddress) -> Packet:
    """
    Ask who has an address (``arp_solicit``).

    The sender is an address of the device in whose subnet the target is, else any of the device, else any
    of the namespace.
    """
    found = netns.device(device)
    mac = Mac("") if found is None else found.mac
    sender = None if found is None else _inside(found, target)
    sender = sender or select(netns, device, target, scope="link") or type(target)(0)
    return Packet(
        Ethernet(mac, BROADCAST, ETH_ARP),
        arp=Arp(ArpOp.REQUEST, mac, sender, _NOBODY, target),
        length=_LENGTH,
    )


def _inside(device: Device, target: IPAddress) -> IPAddress | None:
    return next(
        (
            held.address
            for held in primary(device, target.version)
            if target in ip_network((held.peer or held.address, held.prefix), strict=False)
        ),
        None,
    )


def _reply(arp: Arp, device: Device) -> Packet:
    return Packet(
        Ethernet(device.mac, arp.sha, ETH_ARP),
        arp=Arp(ArpOp.REPLY, device.mac, arp.tpa, arp.sha, arp.spa),
        length=_LENGTH,
    )


def _ignored(arp: Arp, device: Device, settings: Settings) -> Answer | None:
    """The sysctl for which an own address is not answered for."""
    setting = settings.of_device("arp_ignore", device.name)
    if setting is None or not setting.value:
        return None
    mode, evidence = setting.value, setting.evidence
    held = next((h for h in device.addresses if h.address == arp.tpa), None)
    words = f"arp_ignore={mode}"
    if mode in (1, 2) and held is None:
        return Answer(None, f"{words}: {arp.tpa} is not an address of {device.name} itself", evidence)
    if mode == 2 and held is not None:  # noqa: PLR2004 - the value of the sysctl
        subnet = ip_network((held.address, held.prefix), strict=False)
        if arp.spa not in subnet:
            return Answer(None, f"{words}: {arp.spa} is not in the subnet of {arp.tpa}", evidence)
    if mode == 3 and held is not None and held.scope in ("host", "link"):  # noqa: PLR2004 - the same
        return Answer(None, f"{words}: {arp.tpa} has scope {held.scope}", evidence)
    if mode == 8:  # noqa: PLR2004 - the same
        return Answer(None, f"{words}: no request is answered", evidence)
    return None


def _filtered(arp: Arp, device: Device, settings: Settings, routing: Routing) -> Answer | None:
    """``arp_filter``: only the device is to answer by which packets for the asker would leave."""
    setting = settings.of_device("arp_filter", device.name)
    if setting is None or not setting.value:
        return None
    route = routing.lookup(Wanted(arp.spa, arp.tpa))
    if route.kind == "unicast" and device.name in route.devices:
        return None
    return Answer(None, f"arp_filter=1: {arp.spa} is not reached by {device.name}", setting.evidence)


def _proxy(arp: Arp, device: Device, netns: Netns, routing: Routing) -> Answer:
    settings = Settings(netns)
    setting = settings.of_device("proxy_arp", device.name)
    forwards = settings.forwarding(device.name)
    if setting is None or not setting.value or (forwards is not None and not forwards.value):
        return Answer(None, f"{arp.tpa} is no address of this namespace")
    route = routing.lookup(Wanted(arp.tpa, arp.spa, device.name))
    if route.kind != "unicast" or route.device == device.name:
        return Answer(None, f"{arp.tpa} is no address of this namespace, nor behind it")
    why = f"proxy_arp=1 and {arp.tpa} is behind {route.device}: {device.mac} answers"
    return Answer(_reply(arp, device), why, (*setting.evidence, *route.evidence))
