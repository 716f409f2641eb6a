"""What a datapath of Open vSwitch does, read from the actions that ``ofproto/trace`` prints."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from bothways.facts.address import mac
from bothways.facts.openflow import LOCAL
from bothways.facts.packet import Packet

__all__ = ["Copy", "NotFollowedError", "cut", "interpret", "looks"]

#: what a copy looks like on the wire, and the port that it goes out of
Copy = tuple[int, tuple[object, ...]]


class NotFollowedError(Exception):
    """The switch did what the model does not follow."""


def looks(packet: Packet) -> tuple[object, ...]:
    ip, arp, layer = packet.ip, packet.arp, packet.tcp or packet.udp
    return (
        packet.ethernet.src,
        packet.ethernet.dst,
        packet.ethernet.vlan,
        None if ip is None else (ip.src, ip.dst, ip.ttl, ip.tos),
        None if layer is None else (layer.sport, layer.dport),
        None if arp is None else (arp.op, arp.spa, arp.tpa, arp.sha, arp.tha),
    )


def cut(text: str) -> list[str]:
    pieces, depth, current = [], 0, ""
    for char in text:
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            pieces.append(current)
            current = ""
        else:
            current += char
    return [*pieces, current]


def set_header(packet: Packet, layer: str, values: dict[str, str]) -> Packet:
    """What a datapath action ``set(LAYER(...))`` makes of a packet."""
    if layer == "eth":
        ethernet = packet.ethernet
        changed = {name: mac(value) for name, value in values.items()}
        return replace(packet, ethernet=replace(ethernet, **changed))  # type: ignore[arg-type] # MACs
    if layer in ("ipv4", "ipv6") and packet.ip is not None:
        new: dict[str, Any] = {
            name: ip_address(value) if name in ("src", "dst") else int(value, 0)
            for name, value in values.items()
        }
        for name, known in (("hlimit", "ttl"), ("tclass", "tos")):
            if name in new:
                new[known] = new.pop(name)
        return replace(packet, ip=replace(packet.ip, **new))
    if layer in ("tcp", "udp"):
        names = {"src": "sport", "dst": "dport"}
        port = {names[name]: int(value) for name, value in values.items()}
        if layer == "tcp" and packet.tcp is not None:
            return replace(packet, tcp=replace(packet.tcp, **port))  # type: ignore[arg-type] # ports
        if packet.udp is not None:
            return replace(packet, udp=replace(packet.udp, **port))  # type: ignore[arg-type] # ports
    if layer == "arp" and packet.arp is not None:
        names = {"sip": "spa", "tip": "tpa", "op": "op", "sha": "sha", "tha": "tha"}
        read: dict[str, Callable[[str], object]] = {
            "sip": ip_address,
            "tip": ip_address,
            "op": int,
            "sha": mac,
            "tha": mac,
        }
        parts: dict[str, Any] = {names[name]: read[name](value) for name, value in values.items()}
        return replace(packet, arp=replace(packet.arp, **parts))
    raise NotFollowedError(layer)


def interpret(packet: Packet, actions: list[str]) -> Counter[Copy]:
    """The copies that a list of datapath actions sends; ports are OpenFlow's, as ``of:N``."""
    copies: Counter[Copy] = Counter()
    for action in actions:
        name, _, inside = action.partition("(")
        inside = inside.removesuffix(")")
        if action.startswith("of:"):
            number = int(action[3:])
            copies[LOCAL if number == LOCAL & 0xFFFF else number, looks(packet)] += 1
        elif action in ("drop", "") or name == "userspace":
            continue
        elif action == "pop_vlan":
            packet = replace(packet, ethernet=replace(packet.ethernet, vlan=None))
        elif name == "push_vlan":
            found = re.search(r"vid=(\d+)", inside)
            if found is None or packet.ethernet.vlan is not None:
                raise NotFollowedError(action)
            packet = replace(packet, ethernet=replace(packet.ethernet, vlan=int(found[1])))
        elif name == "set":
            layer, _, values = inside.partition("(")
            if layer in ("tunnel", "skb_mark", "skb_priority"):
                continue
            pairs = (pair.partition("=") for pair in cut(values.removesuffix(")")))
            packet = set_header(packet, layer, {key: value for key, _, value in pairs})
        elif name == "clone":
            copies += interpret(packet, cut(inside))
        else:
            raise NotFollowedError(action)
    return copies
