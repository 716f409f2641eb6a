"""
What a datapath of Open vSwitch does with a packet, read from the actions that ``ofproto/trace`` prints.

The packet is its fields by name (``model.openflow.field``); an action changes them or sends a copy. Actions
that have no meaning for fields and copies are passed over; those that are not followed raise. Source:
``format_odp_action`` of ``lib/odp-util.c`` for the words, ovs-actions(7) for what they do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any, Final

from bothways.facts.address import mac, mac_to_int
from bothways.parse.openflow_lex import cut

__all__ = ["NotFollowedError", "Sent", "follow", "interpret", "thresholds"]

_PRESENT: Final = 0x1000
_DEEPEST: Final = 100
_SIZE: Final = re.compile(r"check_pkt_len\(size=(\d+)")

Fields = dict[str, int]


class NotFollowedError(Exception):
    """The switch does what is not followed here."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A copy that goes out of a datapath port, with all fields."""

    port: str
    fields: Mapping[str, int]


@dataclass(slots=True)
class _Doing:
    """The state of one list of actions."""

    fields: Fields
    size: int | None
    depth: int = 0
    sent: list[Sent] = field(default_factory=list)
    covered: list[Fields] = field(default_factory=list)
    options: Mapping[tuple[int, int], str] = field(default_factory=dict)
    pushed: bool = False
    forks: list[tuple[str, bool]] = field(default_factory=list)

    def grow(self, octets: int) -> None:
        """Let the packet be longer; tags and labels count, as in the datapath in userspace."""
        if self.size is not None:
            self.size += octets


def thresholds(actions: str) -> tuple[int, ...]:
    """The packet sizes on which a list of actions depends."""
    return tuple(sorted({int(size) for size in _SIZE.findall(actions)}))


def interpret(actions: str, packet: Mapping[str, int], size: int | None = None) -> list[Sent]:
    """
    The copies that a list of datapath actions sends.

    :param size: of the packet in bytes, where the actions depend on it.
    :raises NotFollowedError: if the list holds what is not followed.
    """
    return follow(actions, packet, size)[0]


def follow(
    actions: str,
    packet: Mapping[str, int],
    size: int | None = None,
    options: Mapping[tuple[int, int], str] | None = None,
) -> tuple[list[Sent], list[tuple[str, bool]]]:
    """
    The copies, and the recirculations in order: identifier, and whether a packet of this size gets there.

    :param options: class and type of options of Geneve -> field.
    :raises NotFollowedError: if the list holds what is not followed.
    """
    doing = _Doing(dict(packet), size, options=options or {})
    _run(doing, actions)
    return doing.sent, doing.forks


def _run(doing: _Doing, actions: str) -> None:
    if doing.depth > _DEEPEST:
        raise NotFollowedError("actions within actions, more than a hundred deep")
    for piece in cut(actions, 1):
        text = piece.text
        name, bracket, inside = text.partition("(")
        if not bracket and name.isdigit():
            if not doing.pushed:
                doing.sent.append(Sent(name, dict(doing.fields)))
            continue
        act = _ACTIONS.get(name)
        if act is None:
            raise NotFollowedError(f"datapath action {name}")
        try:
            act(doing, inside.removesuffix(")"))
        except (ValueError, KeyError, IndexError) as error:
            raise NotFollowedError(f"datapath action {name}, which cannot be read") from error


# -- each action ---------------------------------------------------------------------------------------


def _nothing(_doing: _Doing, _inside: str) -> None:
    """Pass over what changes neither fields nor copies."""


def _set(doing: _Doing, inside: str) -> None:
    layer, _, values = inside.partition("(")
    writers = _LAYERS.get(layer)
    if writers is None:
        raise NotFollowedError(f"datapath action set({layer})")
    if layer == "tunnel":
        for name in [name for name in doing.fields if name.startswith("tun_")]:
            del doing.fields[name]
    if layer in _SINGLE:
        values = f"{layer}={values}"
    for piece in cut(values.removesuffix(")"), 1):
        name, _, value = piece.text.partition("=")
        writer = writers.get(name)
        if writer is None:
            continue
        target, read = writer
        value, _, mask = value.partition("/")
        new = read(value)
        if mask:
            bits = read(mask)
            new = doing.fields.get(target, 0) & ~bits | new & bits
        _write(doing.fields, target, new)


def _write(fields: Fields, target: str, value: int) -> None:
    """Write a field; of IPv6 the fields have names of their own."""
    fields[target] = value


def _push_vlan(doing: _Doing, inside: str) -> None:
    told = _pairs(inside)
    tci = _PRESENT | int(told.get("vid", "0"), 0) & 0xFFF | int(told.get("pcp", "0"), 0) << 13
    outer = doing.fields.get("vlan_tci", 0)
    if outer & _PRESENT:
        if doing.fields.get("vlan_tci1", 0):
            raise NotFollowedError("a third VLAN tag")
        doing.fields["vlan_tci1"] = outer
    doing.fields["vlan_tci"] = tci
    doing.grow(4)


def _pop_vlan(doing: _Doing, _inside: str) -> None:
    doing.fields["vlan_tci"] = doing.fields.pop("vlan_tci1", 0)
    doing.grow(-4)


_LABEL: Final = ("mpls_label", "mpls_tc", "mpls_bos", "mpls_ttl")
_LOW: Final = frozenset({"eth_src", "eth_dst", "vlan_tci", "vlan_tci1", "in_port", "pkt_mark", "metadata"})


def _push_mpls(doing: _Doing, inside: str) -> None:
    """A label goes on; under the first one nothing of the packet is seen."""
    told = {name: int(value, 0) for name, value in _pairs(inside).items()}
    fields = doing.fields
    doing.grow(4)
    if any(fields.get(name) for name in _LABEL):
        outer = fields.get("mpls_label", 0) << 12 | fields.get("mpls_tc", 0) << 9
        outer |= fields.get("mpls_bos", 0) << 8 | fields.get("mpls_ttl", 0)
        fields["mpls_lse2"], fields["mpls_lse1"] = fields.get("mpls_lse1", 0), outer
    else:
        doing.covered.append(dict(fields))
        for name in [name for name in fields if not _stays(name)]:
            del fields[name]
    fields["eth_type"] = told["eth_type"]
    for name in _LABEL:
        fields[name] = told[name.removeprefix("mpls_")]


def _pop_mpls(doing: _Doing, inside: str) -> None:
    kind, fields = int(_pairs(inside)["eth_type"], 0), doing.fields
    outer = fields.pop("mpls_lse1", 0)
    doing.grow(-4)
    for name, shift, width in (
        ("mpls_label", 12, 20),
        ("mpls_tc", 9, 3),
        ("mpls_bos", 8, 1),
        ("mpls_ttl", 0, 8),
    ):
        fields[name] = outer >> shift & (1 << width) - 1
    fields["mpls_lse1"] = fields.pop("mpls_lse2", 0)
    fields["eth_type"] = kind
    if kind not in (0x8847, 0x8848) and doing.covered:
        hidden = doing.covered.pop()
        fields.update({name: value for name, value in hidden.items() if not _stays(name)})


def _stays(name: str) -> bool:
    """Whether a field is not of the network layer or above."""
    return name in _LOW or name.startswith(("reg", "tun_", "ct_"))


def _clone(doing: _Doing, inside: str) -> None:
    own: dict[str, Any] = {
        "fields": dict(doing.fields),
        "covered": list(doing.covered),
        "sent": [],
        "forks": [],
    }
    inner = replace(doing, depth=doing.depth + 1, **own)
    _run(inner, inside)
    doing.sent += inner.sent
    doing.forks += inner.forks


_PUSHED: Final = re.compile(r"tnl_port\((\d+)\),header\(.*?\bipv4\(src=[\d.]+,dst=([\d.]+),")
_TUNNEL_KEY: Final = re.compile(r"\b(?:vni|key)=(0x[0-9a-f]+|\d+)")
_OPTION: Final = re.compile(r"\{class=(0x[0-9a-f]+|0),type=(0x[0-9a-f]+|0),len=(\d+)(?:,(0x[0-9a-f]+|0))?\}")


def _push_tunnel(doing: _Doing, inside: str) -> None:
    """
    ``tnl_push(tnl_port(N),header(…),out_port(M))``: a copy that leaves by a tunnel.

    What is done to it behind that is the underlay's.
    """
    found = _PUSHED.search(inside)
    if found is None:
        raise ValueError(inside)
    fields = {name: value for name, value in doing.fields.items() if not name.startswith("tun_")}
    key = _TUNNEL_KEY.search(inside)
    fields["tun_id"] = int(key[1], 0) if key else 0
    fields["tun_dst"] = int(ip_address(found[2]))
    for kind, number, _, value in _OPTION.findall(inside):
        fields[doing.options[int(kind, 0), int(number, 0)]] = int(value or "0", 0)
    if doing.pushed:  # 3.1.0 forgets to copy it where an action set is executed twice
        raise NotFollowedError("a packet that goes through a tunnel within a tunnel")
    doing.sent.append(Sent(found[1], fields))
    doing.pushed = True


def _recirculate(doing: _Doing, inside: str) -> None:
    doing.forks.append((inside, True))


def _check_length(doing: _Doing, inside: str) -> None:
    """``check_pkt_len(size=N,gt(…),le(…))``: one of the two, and nothing that follows is changed by it."""
    size, branches = None, {"gt": "", "le": ""}
    for piece in cut(inside, 1):
        name, _, rest = piece.text.partition("=" if piece.text.startswith("size=") else "(")
        if name == "size":
            size = int(rest)
        else:
            branches[name] = rest.removesuffix(")")
    if size is None or doing.size is None:
        raise NotFollowedError("check_pkt_len of a packet whose length is not known")
    taken = "gt" if doing.size > size else "le"
    for name, actions in branches.items():  # the switch has translated both, the longer packet's first
        if name == taken:
            _clone(doing, actions)
        else:
            doing.forks += [(found, False) for found in _FORK.findall(actions)]


#: bit of a fragment that is not the first
_LATER: Final = 2
_FORK: Final = re.compile(r"\brecirc\((0x[0-9a-f]+)\)")
#: ``src=10.0.0.1-10.0.0.9:1-5``, ``dst=[fd00::1]:80``, ``src=fd00::1-fd00::9``: an address, and ports behind
#: it or behind the last one.
_NAT: Final = re.compile(
    r"nat\((src|dst)="
    r"(?:(\[[^]]+\]|[\d.]+)(?:-(?:\[[^]]+\]|[\d.]+))?(?::(\d+)(?:-\d+)?)?(?=[,)])|([^-,)]+))"
)


def _ct(doing: _Doing, inside: str) -> None:
    """
    The tracker translates the packet where it stands, to the first address and port of a range.

    What comes back from a recirculation is a translation of its own.
    """
    found = _NAT.search(inside)
    if found is None:
        return
    address, port = (found[2] or found[4]).strip("[]"), found[3]
    name = f"nw_{found[1]}" if "." in address else f"ipv6_{found[1]}"
    doing.fields[name] = int(ip_address(address))
    if port and not doing.fields.get("nw_frag", 0) & _LATER:  # there is no transport header in it
        ported = "tp" if doing.fields.get("ip_proto") not in (1, 58) else "icmp"
        end = {"src": "type", "dst": "code"}[found[1]] if ported == "icmp" else found[1]
        doing.fields[f"{ported}_{end}"] = int(port) & (0xFF if ported == "icmp" else 0xFFFF)


_ACTIONS: Final[Mapping[str, Callable[[_Doing, str], None]]] = {
    "": _nothing,
    "drop": _nothing,
    "userspace": _nothing,
    "recirc": _recirculate,
    "hash": _nothing,
    "ct": _ct,
    "ct_clear": _nothing,
    "meter": _nothing,
    "trunc": _nothing,
    "set": _set,
    "push_vlan": _push_vlan,
    "pop_vlan": _pop_vlan,
    "push_mpls": _push_mpls,
    "pop_mpls": _pop_mpls,
    "clone": _clone,
    "tnl_push": _push_tunnel,
    "check_pkt_len": _check_length,
}


# -- fields of each header -----------------------------------------------------------------------------


def _number(text: str) -> int:
    return int(text.strip(")"), 0)


def _mac(text: str) -> int:
    return mac_to_int(mac(text))


def _address(text: str) -> int:
    return int(ip_address(text))


def _fragment(text: str) -> int:
    return {"no": 0, "first": 1, "later": 3}[text]


def _pairs(inside: str) -> dict[str, str]:
    return {name: value for name, _, value in (piece.text.partition("=") for piece in cut(inside, 1))}


def _flags(text: str) -> int:
    return int(text, 0)


_Writer = tuple[str, Callable[[str], int]]
_PORTS: Final[Mapping[str, _Writer]] = {"src": ("tp_src", _number), "dst": ("tp_dst", _number)}
_ICMP: Final[Mapping[str, _Writer]] = {"type": ("icmp_type", _number), "code": ("icmp_code", _number)}

#: headers that are written as ``set(NAME(VALUE))``
_SINGLE: Final = frozenset({"skb_mark", "skb_priority"})
#: header -> its name for a field -> our name, and how the value is written
_LAYERS: Final[Mapping[str, Mapping[str, _Writer]]] = {
    "eth": {"src": ("eth_src", _mac), "dst": ("eth_dst", _mac)},
    "ipv4": {
        "src": ("nw_src", _address), "dst": ("nw_dst", _address), "proto": ("ip_proto", _number),
        "tos": ("nw_tos", _number), "ttl": ("nw_ttl", _number), "frag": ("nw_frag", _fragment),
    },
    "ipv6": {
        "src": ("ipv6_src", _address), "dst": ("ipv6_dst", _address), "label": ("ipv6_label", _number),
        "proto": ("ip_proto", _number), "tclass": ("nw_tos", _number), "hlimit": ("nw_ttl", _number),
        "frag": ("nw_frag", _fragment),
    },
    "tcp": _PORTS, "udp": _PORTS, "sctp": _PORTS,
    "icmp": _ICMP, "icmpv6": _ICMP,
    "arp": {
        "sip": ("arp_spa", _address), "tip": ("arp_tpa", _address), "op": ("arp_op", _number),
        "sha": ("arp_sha", _mac), "tha": ("arp_tha", _mac),
    },
    "nd": {"target": ("nd_target", _address), "sll": ("nd_sll", _mac), "tll": ("nd_tll", _mac)},
    "mpls": {
        "label": ("mpls_label", _number), "tc": ("mpls_tc", _number), "ttl": ("mpls_ttl", _number),
        "bos": ("mpls_bos", _number),
    },
    "tunnel": {
        "tun_id": ("tun_id", _number), "src": ("tun_src", _address), "dst": ("tun_dst", _address),
        "ipv6_src": ("tun_ipv6_src", _address), "ipv6_dst": ("tun_ipv6_dst", _address),
    },
    "skb_mark": {"skb_mark": ("pkt_mark", _flags)},
    "skb_priority": {"skb_priority": ("skb_priority", _flags)},
}  # fmt: skip
