"""
Whether a packet can come from whom it says it comes from: martians, own addresses, the reverse path.

``ip_route_input_slow`` and ``fib_validate_source`` of ``net/ipv4``: some senders are impossible from outside;
with ``rp_filter`` the sender must be reached by the device that the packet came in at (1), or by any (2). An
address of the namespace itself is no sender unless ``accept_local`` says so. IPv6 (``ip6_rcv_core``) knows
none of this but loopback and multicast senders.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from bothways.facts.address import IPAddress
from bothways.facts.choice import Assumption
from bothways.facts.packet import Ip
from bothways.facts.span import Span
from bothways.model.linux.buffer import Buffer
from bothways.model.linux.layer import LOOPBACK, Layer
from bothways.model.linux.passage import Account
from bothways.model.linux.routing import Outcome, Wanted
from bothways.model.linux.settings import Setting, command

__all__ = ["Checked", "impossible_ipv4", "impossible_ipv6", "validate"]

_LIMITED: Final = 0xFFFFFFFF
_STRICT: Final = 1


@dataclass(frozen=True, slots=True)
class Checked:
    """
    What the check of a sender says.

    :param refusal: why the packet is dropped, "" if it goes on.
    :param direct: True if the sender stands on the link that the packet came in by.
    """

    refusal: str = ""
    evidence: tuple[Span, ...] = ()
    direct: bool = False


def impossible_ipv4(layer: Layer, device: str, ip: Ip) -> str | None:
    """Why a packet cannot come in at a device, None if it can; one for 255.255.255.255 may lack a sender."""
    source, target = ip.src, ip.dst
    if source.is_multicast or int(source) == _LIMITED:
        return f"{source} cannot be a sender (martian source)"
    if int(target) == _LIMITED:
        return None
    if int(source) == 0:
        return None if int(target) == 0 else f"{source} cannot be a sender (martian source)"
    if int(target) == 0:
        return f"{target} cannot be a destination (martian destination)"
    allowed = layer.settings.of_device("route_localnet", device)
    if allowed is not None and allowed.value:
        return None
    for address in (target, source):
        if address.is_loopback:
            return f"{address} is a loopback address and comes in at {device} (martian)"
    return None


def impossible_ipv6(layer: Layer, device: str, ip: Ip) -> tuple[str, tuple[Span, ...]] | None:
    """Why IPv6 takes no such packet at a device, None if it does (``ip6_rcv_core``)."""
    disabled = layer.settings.value(f"net.ipv6.conf.{device}.disable_ipv6")
    if disabled is not None and disabled.value:
        return f"IPv6 is off at {device} (disable_ipv6=1)", disabled.evidence
    if ip.src.is_multicast:
        return f"{ip.src} cannot be a sender", ()
    for address in (ip.src, ip.dst):
        if address.is_loopback and device != LOOPBACK:
            return f"{address} is the loopback address and comes in at {device}", ()
    return None


def validate(layer: Layer, account: Account, buffer: Buffer, ip: Ip, onward: str) -> Checked:
    """
    Check the sender of an IPv4 packet (``fib_validate_source``).

    :param onward: the device by which the packet is to be forwarded, "" if it is for this namespace.
    """
    device, settings = buffer.device_in, layer.settings
    setting = settings.of_device("rp_filter", device)
    mode = 0 if setting is None else setting.value
    redirects = settings.of_device("send_redirects", device)
    turns = onward == device and (redirects is None or bool(redirects.value))
    accepts = _on(settings.of_device("accept_local", device))
    back = _way_back(layer, buffer, ip, onward)
    if not mode and not turns and (accepts or not layer.routing.customized):
        owner = None if accepts else layer.netns.owner_of(ip.src)
        if owner is not None:
            held = (owner[1].span,)
            return Checked(_own(ip.src, owner[0].name), held)
        if setting is None and not _by(back, device) and back.kind != "unknown":
            _assume(layer, device)
        return Checked(direct=back.direct and device in back.devices)
    if back.kind == "unknown":
        if mode:
            account.doubt(f"whether rp_filter={mode} at {device} lets {ip.src} in: {back.reason}")
        return Checked()
    checked = _full(layer, device, ip, back, mode, accepts=accepts)
    if checked.refusal and setting is not None:
        evidence = tuple(dict.fromkeys((*setting.evidence, *back.evidence))) if mode else back.evidence
        return Checked(checked.refusal, evidence)
    if setting is None and not checked.refusal and not _by(back, device):
        _assume(layer, device)
    return checked


def _full(layer: Layer, device: str, ip: Ip, back: Outcome, mode: int, *, accepts: bool) -> Checked:
    """``__fib_validate_source``."""
    if back.kind in ("none", "blackhole", "unreachable", "prohibit"):
        return Checked(_astray(mode, device, ip.src, back)) if mode else Checked()
    if back.kind != "unicast" and not (back.kind == "local" and accepts):
        if back.kind == "local":
            return Checked(_own(ip.src, back.device), back.evidence)
        return Checked(f"its sender {ip.src} is a {back.kind} address (martian source)", back.evidence)
    if _by(back, device):
        return Checked(direct=back.direct)
    found = layer.netns.device(device)
    bare = found is not None and not any(h.address.version == ip.src.version for h in found.addresses)
    if mode and (bare or mode == _STRICT):
        return Checked(_astray(mode, device, ip.src, back))
    return Checked()


def _way_back(layer: Layer, buffer: Buffer, ip: Ip, onward: str) -> Outcome:
    marked = _on(layer.settings.of_device("src_valid_mark", buffer.device_in))
    transport = buffer.packet.tcp or buffer.packet.udp
    sport, dport = (None, None) if transport is None else (transport.dport, transport.sport)
    mark = buffer.mark if marked else 0
    asked = Wanted(ip.src, ip.dst, onward or LOOPBACK, None, mark, ip.tos, ip.protocol, sport, dport)
    if not layer.routing.dissects:
        asked = replace(asked, protocol=None, sport=None, dport=None)
    return layer.routing.lookup(asked)


def _by(back: Outcome, device: str) -> bool:
    return device in back.devices or (back.kind == "local" and device in (back.device, LOOPBACK))


def _on(setting: Setting | None) -> bool:
    return setting is not None and bool(setting.value)


def _own(source: IPAddress, device: str) -> str:
    return f"its sender {source} is an address of this namespace itself, on {device} (martian source)"


def _astray(mode: int, device: str, source: IPAddress, back: Outcome) -> str:
    way = f"by {back.device}" if back.kind == "unicast" else "by no route"
    return f"rp_filter={mode} at {device}: {source} is reached {way}"


def _assume(layer: Layer, device: str) -> None:
    text = f"{layer.netns.label} does not filter by reverse path at {device} (rp_filter=0)"
    name = f"sysctl net.ipv4.conf.all.rp_filter net.ipv4.conf.{device}.rp_filter"
    layer.oracle.assume(Assumption(text, command(layer.netns, name)))
