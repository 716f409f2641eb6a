"""
What nft's ``fib`` asks the routing tables.

Sources: ``net/ipv4/netfilter/nft_fib_ipv4.c``, ``net/ipv6/netfilter/nft_fib_ipv6.c``,
``include/net/netfilter/nft_fib.h``. The question is one of root at ``lo``: with the packet's type of service
and protocol, and with its mark only where ``mark`` is written. Only the device of a route that leads out is
an answer; an address of the host itself counts as ``missing``.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Final

from bothways.facts.address import IPAddress
from bothways.facts.nft_expression import Fib
from bothways.facts.packet import ICMP6, Ip
from bothways.model.linux.hook import Hook
from bothways.model.linux.nftables.view import BREAK, Value, View
from bothways.model.linux.routing import Wanted

__all__ = ["fib"]

_IPV4: Final = 4
_LOOPBACK: Final = "lo"
_EVERYBODY: Final = 0xFFFFFFFF
#: Groups that no router passes on (``ipv4_is_local_multicast``).
_LOCAL_GROUPS: Final = ip_network("224.0.0.0/24")
#: Hooks at which what comes back through ``lo`` is not looked up (``nft_fib_can_skip``).
_ARRIVING: Final = frozenset({Hook.PREROUTING, Hook.INPUT})
#: ``RTN_*`` of ``include/uapi/linux/rtnetlink.h``.
_KINDS: Final = {
    "unspec": 0, "unicast": 1, "local": 2, "broadcast": 3, "anycast": 4, "multicast": 5, "blackhole": 6,
    "unreachable": 7, "prohibit": 8, "none": 7,
}  # fmt: skip
#: Kinds of routes of IPv6 that give a packet an error.
_REFUSING: Final = frozenset({"blackhole", "unreachable", "prohibit", "none"})


def fib(question: Fib, view: View) -> Value:
    """
    Ask the routing tables for an address of a packet.

    :return: with *oif* and *oifname* the device, "" if none leads there, or if another does than the flag
        asks for; with *type* the number of the kind; None if that is not known.
    """
    ip = view.packet.ip
    if ip is None:
        return BREAK
    return _kind(question, view, ip) if question.result == "type" else _device(question, view, ip)


def _limit(question: Fib, view: View) -> str:
    """The device that a flag names, "" for any."""
    if "iif" in question.flags:
        return view.probe.device_in
    return view.probe.device_out if "oif" in question.flags else ""


def _ends(question: Fib, ip: Ip) -> tuple[IPAddress, IPAddress]:
    """The address that is looked up, and the other one."""
    return (ip.src, ip.dst) if "saddr" in question.flags else (ip.dst, ip.src)


def _wanted(question: Fib, view: View, ip: Ip) -> Wanted:
    there, other = _ends(question, ip)
    ipv4 = there.version == _IPV4
    onward = view.hook is Hook.FORWARD and {"saddr", "iif"} <= set(question.flags) and ipv4
    near = (_limit(question, view) or view.probe.device_in) if not ipv4 and there.is_link_local else None
    return Wanted(
        there,
        None if ipv4 and (other.is_multicast or int(other) in (0, _EVERYBODY)) else other,
        view.probe.device_out if onward else _LOOPBACK,
        near or None,
        view.buffer.mark if "mark" in question.flags else 0,
        ip.tos,
        ip.protocol,
    )


def _device(question: Fib, view: View, ip: Ip) -> Value:
    probe = view.probe
    if view.hook in _ARRIVING and probe.device_in == _LOOPBACK:
        return _LOOPBACK
    if _is_about_itself(view, ip):
        return probe.device_in
    found = probe.route(_wanted(question, view, ip))
    if found.kind == "unknown":
        return None
    devices = found.devices
    if found.kind == "broadcast" and ip.src.version == _IPV4:
        devices = frozenset({found.device})
    wanted = _limit(question, view)
    if wanted:
        return wanted if wanted in devices else ""
    return next(iter(devices), "") if len(devices) < 2 else None  # noqa: PLR2004 (one way or several)


def _is_about_itself(view: View, ip: Ip) -> bool:
    """True of a packet whose sender has no address yet, on its own link: its own device is the answer."""
    if int(ip.src):
        return False
    if ip.src.version == _IPV4:
        return int(ip.dst) == _EVERYBODY or ip.dst in _LOCAL_GROUPS
    return view.hook is Hook.PREROUTING and ip.protocol == ICMP6 and ip.dst.is_link_local


def _kind(question: Fib, view: View, ip: Ip) -> Value:
    probe = view.probe
    address, _ = _ends(question, ip)
    limit = _limit(question, view)
    if address.version == _IPV4:
        kind, held = probe.kind_of(address), probe.holder_of(address)
        other = limit and kind in ("local", "broadcast") and held not in ("", limit)
        return _KINDS["unicast"] if other else _KINDS.get(kind)
    found = probe.route(_wanted(question, view, ip))
    if found.kind == "unknown":
        return None
    if found.kind in _REFUSING:
        return _KINDS[found.kind]
    if found.kind in ("anycast", "local"):
        return _of_this_host(view, address, limit)
    if address.is_multicast:
        return _KINDS["multicast"]
    return _KINDS["unspec" if address.is_unspecified else "unicast"]


def _of_this_host(view: View, address: IPAddress, limit: str) -> Value:
    """``__nft_fib6_eval_type``: with a device, only its own addresses are local ones."""
    if view.probe.is_anycast(address):
        return _KINDS["anycast"]
    if not limit or view.probe.holder_of(address) == limit:
        return _KINDS["local"]
    return _KINDS["unicast"]
