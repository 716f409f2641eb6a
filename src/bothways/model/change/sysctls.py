"""
Sysctls of a namespace after a change.

``net.ipv4.ip_forward`` and ``net.ipv4.conf.all.forwarding`` are one switch and set that of every device
(``net/ipv4/devinet.c``, ``inet_forward_change``). A parameter that the model never asks for can still be
set: the walk then says that it does not know what it does.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from bothways.facts.change import SysctlEdit
from bothways.facts.dump import Dump
from bothways.facts.snapshot import Netns, Sysctl
from bothways.facts.span import Span
from bothways.model.linux.conntrack.settings import NAMES

__all__ = ["change_sysctl", "evaluated"]

_FORWARDING: Final = ("net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding")
_EVERY_DEVICE: Final = re.compile(r"net\.ipv4\.conf\.[^.]+\.forwarding")
#: Parameters of a device that the model asks for.
_OF_DEVICE: Final = (
    "rp_filter|route_localnet|accept_local|src_valid_mark|forwarding|arp_ignore|arp_filter|proxy_arp|"
    "promote_secondaries"
)
_ASKED: Final = re.compile(rf"net\.ipv4\.conf\.[^.]+\.(?:{_OF_DEVICE})")
#: Parameters that say what is written down and never what becomes of a packet.
_SILENT: Final = re.compile(r"net\.netfilter\.nf_(?:conntrack_)?log.*|net\.ipv4\.conf\.[^.]+\.log_martians")


def change_sysctl(netns: Netns, edit: SysctlEdit, command: str) -> Netns:
    """Set a kernel parameter, whether or not the dump shows its old value: most such dumps are filtered."""
    old = netns.sysctls or Dump((), file="", partial="the change alone")
    span = Span("", text=command)
    names = {edit.name}
    if edit.name in _FORWARDING:
        names |= {*_FORWARDING, *(row.name for row in old if _EVERY_DEVICE.fullmatch(row.name))}
    kept = tuple(row for row in old if row.name not in names)
    rows = (*kept, *(Sysctl(name, edit.value, span) for name in sorted(names)))
    return replace(netns, sysctls=replace(old, rows=rows))


def evaluated(name: str) -> bool:
    """True if the model knows what a parameter does to packets, or that it does nothing to them."""
    return (
        name in _FORWARDING
        or name == "net.bridge.bridge-nf-call-iptables"
        or name.removeprefix("net.netfilter.") in NAMES
        or _ASKED.fullmatch(name) is not None
        or _SILENT.fullmatch(name) is not None
    )
