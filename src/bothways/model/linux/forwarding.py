"""
Passing a packet on: ``ip_forward`` and ``ip6_forward``.

In the order of the kernel. IPv4: forwarding at the device where it came in, the route's refusal, the sender,
the frame, TTL, MTU, a redirect, FORWARD. IPv6: forwarding as a whole, the frame, hop limit, a redirect or the
sender, MTU, FORWARD. A packet that must not be cut and does not fit is answered; one that may be cut is.
"""

from __future__ import annotations

from typing import Final

from bothways.facts.address import IPAddress
from bothways.facts.choice import Assumption
from bothways.facts.packet import Ip, Packet
from bothways.facts.step import Did
from bothways.model.linux import answers
from bothways.model.linux.answers import KINDS, Trouble
from bothways.model.linux.buffer import Buffer
from bothways.model.linux.hook import Hook
from bothways.model.linux.output import Outgoing, header_of
from bothways.model.linux.path_mtu import LEAST_IPV6
from bothways.model.linux.routing import Outcome
from bothways.model.linux.sender import validate
from bothways.model.linux.settings import command
from bothways.model.linux.speaker import source_by, way_back

__all__ = ["forward"]

_IPV4: Final = 4
_ETHERNET: Final = 14


def forward(way: Outgoing, buffer: Buffer, route: Outcome) -> None:
    """Pass a packet on by its route, which is not one into this namespace."""
    ip = header_of(buffer)
    device = buffer.device_in
    if not _forwards(way, buffer, ip):
        return
    if route.kind != "unicast":
        way.refuse(buffer, route)
        return
    turns = False
    if ip.src.version == _IPV4:
        checked = validate(way.layer, way.account, buffer, ip, route.device)
        if checked.refusal:
            way.drop(buffer, "fib_validate_source", checked.refusal, checked.evidence)
            return
        turns = checked.direct and route.device == device
    if not buffer.single:
        way.drop(buffer, "ip_forward", "it came in a frame for everybody: such packets are not forwarded")
        return
    way.note(buffer, "ip_rcv_finish", Did.ROUTED, route.reason, evidence=route.evidence)
    if ip.ttl is not None and ip.ttl <= 1:
        name = "TTL" if ip.src.version == _IPV4 else "hop limit"
        way.complain(buffer, "ip_forward", Trouble.EXPIRED, f"its {name} {ip.ttl} ends here")
        return
    if ip.src.version != _IPV4:
        turns = route.device == device
        if not turns and not _may_leave_the_link(way, buffer, ip):
            return
    if not _fits(way, buffer, route, ip):
        return
    before = buffer.packet
    buffer.packet = before.with_ttl(None if ip.ttl is None else ip.ttl - 1)
    buffer.device_out, buffer.next_hop = route.device, route.next_hop
    buffer.on_link = route.next_hop == ip.dst and ip.dst not in way.layer.learned.mtu
    buffer.mtu = route.mtu
    why = f"forwarded from {device} to {route.device}"
    way.tell(buffer, device, "ip_forward", Did.CHANGED, before, why, after=buffer.packet)
    if not way.halted(Hook.FORWARD, buffer):
        way.leave(buffer)
    if turns:
        # The kernel does so before FORWARD; told behind, the steps of the packet stay together.
        _redirect(way, buffer, before, route, ip)


def _forwards(way: Outgoing, buffer: Buffer, ip: Ip) -> bool:
    """Off means that the packet ends here, without a word."""
    version = ip.src.version
    setting = way.layer.settings.forwarding(buffer.device_in, version)
    label = way.layer.netns.label
    name = "net.ipv4.ip_forward" if version == _IPV4 else "net.ipv6.conf.all.forwarding"
    if setting is None:
        text = f"forwarding is on in {label} ({name}=1)"
        way.layer.oracle.assume(Assumption(text, command(way.layer.netns, f"sysctl {name}")))
        return True
    if setting.value:
        return True
    why = f"{ip.dst} is no address of {label}, and forwarding is off there ({name}=0)"
    way.drop(buffer, "ip_error" if version == _IPV4 else "ip6_forward", why, setting.evidence)
    return False


def _may_leave_the_link(way: Outgoing, buffer: Buffer, ip: Ip) -> bool:
    """False for a packet of IPv6 whose sender means nothing on another link."""
    if ip.src.is_link_local:
        why = f"its sender {ip.src} is known on its own link only"
        way.complain(buffer, "ip_forward", Trouble.BEYOND_SCOPE, why)
        return False
    if int(ip.src) == 0 or ip.src.is_loopback:
        way.drop(buffer, "ip_forward", f"{ip.src} cannot be a sender")
        return False
    return True


def _fits(way: Outgoing, buffer: Buffer, route: Outcome, ip: Ip) -> bool:
    """True if the packet fits the link, or may be cut to fit; else its sender was told what does."""
    found = way.layer.netns.device(route.device)
    mtu = route.mtu or (None if found is None else found.mtu)
    length = None if buffer.packet.length is None else buffer.packet.length - _ETHERNET
    if mtu is None or length is None:
        return True
    mtu = mtu if ip.src.version == _IPV4 else max(mtu, LEAST_IPV6)
    if length <= mtu:
        return True
    evidence = route.evidence if route.mtu or found is None else (found.span,)
    why = f"{length} bytes do not fit {route.device}, which takes {mtu}"
    if ip.src.version == _IPV4 and not ip.df:
        text = f"the fragments of a packet that {way.layer.netns.label} cuts pass where the whole one passes"
        way.layer.oracle.assume(Assumption(text))
        way.note(buffer, "ip_fragment", Did.MATCHED, f"{why}: it goes on in fragments", evidence=evidence)
        return True
    way.complain(buffer, "ip_forward", Trouble.TOO_BIG, why, evidence, mtu=mtu)
    return False


def _redirect(way: Outgoing, buffer: Buffer, packet: Packet, route: Outcome, ip: Ip) -> None:
    """Tell the sender of a packet that leaves as it came whom it could have asked itself."""
    settings, device = way.layer.settings, buffer.device_in
    version = ip.src.version
    setting = settings.of_device("send_redirects", device) if version == _IPV4 else None
    if setting is not None and not setting.value:
        return
    if version != _IPV4 and not _near(way, buffer, ip):
        return
    source = _speaker(way, buffer, ip)
    kind = KINDS[version][Trouble.REDIRECT]
    answer = None if source is None else answers.icmp_error(packet, kind, source, gateway=route.next_hop)
    if answer is None:
        return
    if setting is None and version == _IPV4:
        # It changes no packet's way here but that of later ones: not told of a router that may not do so.
        text = f"{way.layer.netns.label} sends no redirects at {device} (send_redirects=0)"
        name = f"sysctl net.ipv4.conf.{device}.send_redirects"
        way.layer.oracle.assume(Assumption(text, command(way.layer.netns, name)))
        return
    if version == _IPV4 and not way.layer.learned.peers.of(ip.src).redirect(way.now_ns):
        return  # it was told a moment ago
    why = f"{ip.src} is told that {route.next_hop} is nearer to {ip.dst}"
    way.aside(buffer, "ip_rt_send_redirect", packet, answer, why)


def _near(way: Outgoing, buffer: Buffer, ip: Ip) -> bool:
    """True if a sender of IPv6 stands on the link, where alone a redirect reaches it."""
    if ip.src.is_link_local:
        return True
    back = way_back(way.layer, buffer, ip)
    return back.kind == "unicast" and back.direct and back.device == buffer.device_in


def _speaker(way: Outgoing, buffer: Buffer, ip: Ip) -> IPAddress | None:
    """The address that a redirect comes from: of IPv6 the link-local one (``ndisc_send_redirect``)."""
    if ip.src.version == _IPV4:
        return source_by(way.layer, way_back(way.layer, buffer, ip))
    found = way.layer.netns.device(buffer.device_in)
    held = () if found is None else found.addresses
    return next((h.address for h in held if h.address.version != _IPV4 and h.address.is_link_local), None)
