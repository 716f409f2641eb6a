"""
ARP of one namespace: which requests it answers, and with what.

``arp_process`` and ``arp_ignore`` of ``net/ipv4/arp.c``, RFC 826; ``arp_ignore``, ``arp_filter`` and
``proxy_arp`` in ``ip-sysctl``. Linux answers for every address of the namespace on every device, unless a
sysctl says otherwise. The asker must be one from whom a packet could come: ``rp_filter`` counts here as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from bothways.facts.address import BROADCAST, IPAddress, IPNetwork, Mac
from bothways.facts.choice import Assumption
from bothways.facts.device import Device, InterfaceAddress
from bothways.facts.packet import ETH_ARP, Arp, ArpOp, Ethernet, Ip, Packet
from bothways.facts.snapshot import Netns
from bothways.facts.span import Span
from bothways.model.linux.addresses import primary, select
from bothways.model.linux.buffer import Buffer
from bothways.model.linux.layer import Layer
from bothways.model.linux.passage import Account
from bothways.model.linux.routing import Routing, Wanted
from bothways.model.linux.sender import impossible_ipv4, validate
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


def answer(arp: Arp, device: Device, layer: Layer, account: Account) -> Answer:
    """Decide on a request that came in at a device."""
    netns, settings = layer.netns, layer.settings
    if arp.tpa.is_multicast or (arp.tpa.is_loopback and not _on(settings, "route_localnet", device)):
        return Answer(None, f"{arp.tpa} is nobody's address on this link")
    probe = int(arp.spa) == 0
    kind = layer.routing.kind_of(arp.tpa)
    if not probe:
        refused = _unreachable(arp, device, layer, account, kind)
        if refused is not None:
            return refused
    if kind != "local" and probe:
        return Answer(None, f"{arp.tpa} is no address of this namespace")
    if kind != "local":
        return _proxy(arp, device, layer)
    owner = netns.owner_of(arp.tpa)
    evidence = () if owner is None else (owner[1].span,)
    there = owner is not None and owner[0].name == device.name
    refusal = _ignored(arp, device, netns, settings)
    if refusal is not None:
        return refusal
    crooked = None if probe else _filtered(arp, device, settings, layer.routing)
    if crooked is not None:
        return crooked
    if not there and settings.of_device("arp_ignore", device.name) is None:
        text = f"{netns.label} answers ARP at {device.name} for its addresses on other devices (arp_ignore=0)"
        name = f"net.ipv4.conf.{device.name}.arp_ignore"
        layer.oracle.assume(Assumption(text, command(netns, f"sysctl net.ipv4.conf.all.arp_ignore {name}")))
    where = "of another device" if owner is None else f"of {owner[0].name}"
    return Answer(_reply(arp, device), f"{arp.tpa} is an address {where}: {device.mac} answers", evidence)


def request(netns: Netns, device: str, target: IPAddress, source: IPAddress | None = None) -> Packet:
    """
    Ask who has an address (``arp_solicit``).

    The sender is that of the packet that waits, if it is an address of this namespace and ``arp_announce``
    lets it be told; else an address of the device in whose subnet the target is, any of the device, or any of
    the namespace.

    :param source: sender of the packet that waits, None if not known.
    """
    found = netns.device(device)
    mac = Mac("") if found is None else found.mac
    setting = Settings(netns).of_device("arp_announce", device)
    mode = 0 if setting is None else setting.value
    own = source is not None and netns.owner_of(source) is not None
    near = found is not None and source is not None and _same_subnet(found, target, source)
    sender = source if own and (mode == 0 or (mode == 1 and near)) else None
    if sender is None:
        sender = None if found is None else _inside(found, target)
    sender = sender or select(netns, device, target, scope="link") or type(target)(0)
    return Packet(
        Ethernet(mac, BROADCAST, ETH_ARP),
        arp=Arp(ArpOp.REQUEST, mac, sender, _NOBODY, target),
        length=_LENGTH,
    )


def _same_subnet(device: Device, one: IPAddress, other: IPAddress) -> bool:
    """True if one address of a device has both in its subnet (``inet_addr_onlink``)."""
    return any(
        one in subnet and other in subnet
        for held in primary(device, one.version)
        for subnet in (_subnet(held),)
    )


def _subnet(held: InterfaceAddress) -> IPNetwork:
    return ip_network((held.peer or held.address, held.prefix), strict=False)


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


def _unreachable(arp: Arp, device: Device, layer: Layer, account: Account, kind: str) -> Answer | None:
    """Why the asker's address is not believed: the request is routed like a packet (``ip_route_input``)."""
    ip = Ip(arp.spa, arp.tpa, 0)
    martian = impossible_ipv4(layer, device.name, ip)
    if martian is not None:
        return Answer(None, martian)
    onward = ""
    if kind != "local":
        route = layer.routing.lookup(Wanted(arp.tpa, arp.spa, device.name))
        if route.kind != "unicast":
            return None
        onward = route.device
    checked = validate(layer, account, Buffer(Packet(ip=ip), device_in=device.name), ip, onward)
    return Answer(None, checked.refusal, checked.evidence) if checked.refusal else None


def _ignored(arp: Arp, device: Device, netns: Netns, settings: Settings) -> Answer | None:
    """The sysctl for which an own address is not answered for (``arp_ignore`` of ``net/ipv4/arp.c``)."""
    setting = settings.of_device("arp_ignore", device.name)
    if setting is None or not setting.value:
        return None
    mode, evidence = setting.value, setting.evidence
    words = f"arp_ignore={mode}"
    here = [h for h in device.addresses if h.address.version == arp.tpa.version]
    if mode in (1, 2) and not any(h.address == arp.tpa for h in here):
        return Answer(None, f"{words}: {arp.tpa} is not an address of {device.name} itself", evidence)
    probe = int(arp.spa) == 0  # who looks for a clash has no address yet
    near = probe or any(arp.tpa in _subnet(h) and arp.spa in _subnet(h) for h in here)
    if mode == 2 and not near:  # noqa: PLR2004 - the value of the sysctl
        return Answer(None, f"{words}: {arp.spa} is not in the subnet of {arp.tpa}", evidence)
    if mode == 3:  # noqa: PLR2004 - the same
        scopes = [h.scope for d in netns.devices or () for h in d.addresses if h.address == arp.tpa]
        if not any(scope != "host" for scope in scopes):
            return Answer(None, f"{words}: {arp.tpa} has scope host", evidence)
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


def _proxy(arp: Arp, device: Device, layer: Layer) -> Answer:
    """Whether somebody else is answered for (``arp_fwd_proxy``, ``arp_fwd_pvlan``, proxied neighbours)."""
    netns, settings = layer.netns, layer.settings
    forwards = settings.forwarding(device.name)
    nobody = Answer(None, f"{arp.tpa} is no address of this namespace")
    if forwards is not None and not forwards.value:
        return nobody
    route = layer.routing.lookup(Wanted(arp.tpa, arp.spa, device.name))
    if route.kind != "unicast":
        return nobody
    if route.device != device.name:
        setting = settings.of_device("proxy_arp", device.name)
        row = next((n for n in netns.neighbours or () if "PROXY" in n.states and n.address == arp.tpa), None)
        if setting is not None and setting.value:
            why = f"proxy_arp=1 and {arp.tpa} is behind {route.device}: {device.mac} answers"
            return Answer(_reply(arp, device), why, setting.evidence)
        if row is not None and row.device == device.name:
            why = f"{arp.tpa} is a proxied neighbour at {device.name}: {device.mac} answers"
            return Answer(_reply(arp, device), why, (row.span,))
        return Answer(None, f"{arp.tpa} is no address of this namespace, but behind {route.device}")
    setting = settings.of_device("proxy_arp_pvlan", device.name)
    if setting is not None and setting.value and arp.spa != arp.tpa:
        why = f"proxy_arp_pvlan=1 and {arp.tpa} is behind {route.device} itself: {device.mac} answers"
        return Answer(_reply(arp, device), why, setting.evidence)
    return Answer(None, f"{arp.tpa} is no address of this namespace, nor behind it")


def _on(settings: Settings, name: str, device: Device) -> bool:
    setting = settings.of_device(name, device.name)
    return setting is not None and bool(setting.value)
