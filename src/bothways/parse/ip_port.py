"""
What ``ip -d`` says of a device as a port of its master: ``bridge_slave state forwarding hairpin off …``.

Both forms of the command give the same facts, named and typed as ``ip -j`` does. Words as iproute2 prints
them (``ip/iplink_bridge_slave.c``, ``ip/iplink_bond_slave.c``, ``ip/iplink_vrf.c``). Timers are left out:
they tell of the moment, not of the port.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

__all__ = ["port_facts", "port_words"]


def _switch(word: str) -> bool:
    if word not in ("on", "off"):
        raise ValueError(f"{word} is neither `on` nor `off`")
    return word == "on"


_Row: TypeAlias = tuple[str, Callable[[str], object]]

#: Per kind of master: a word of the text, its name in JSON, and how its value is read.
_WORDS: Final[Mapping[str, Mapping[str, _Row]]] = {
    "bridge": {
        "state": ("state", str),
        "priority": ("priority", int),
        "cost": ("cost", int),
        "hairpin": ("hairpin", _switch),
        "guard": ("guard", _switch),
        "root_block": ("root_block", _switch),
        "fastleave": ("fastleave", _switch),
        "learning": ("learning", _switch),
        "flood": ("flood", _switch),
        "port_id": ("id", str),
        "port_no": ("no", str),
        "designated_port": ("designated_port", int),
        "designated_cost": ("designated_cost", int),
        "designated_bridge": ("bridge_id", str),
        "designated_root": ("root_id", str),
        "topology_change_ack": ("topology_change_ack", int),
        "config_pending": ("config_pending", int),
        "proxy_arp": ("proxy_arp", _switch),
        "proxy_arp_wifi": ("proxy_arp_wifi", _switch),
        "mcast_router": ("multicast_router", int),
        "mcast_flood": ("mcast_flood", _switch),
        "bcast_flood": ("bcast_flood", _switch),
        "mcast_to_unicast": ("mcast_to_unicast", _switch),
        "neigh_suppress": ("neigh_suppress", _switch),
        "neigh_vlan_suppress": ("neigh_vlan_suppress", _switch),
        "group_fwd_mask": ("group_fwd_mask", str),
        "group_fwd_mask_str": ("group_fwd_mask_str", str),
        "vlan_tunnel": ("vlan_tunnel", _switch),
        "isolated": ("isolated", _switch),
        "locked": ("locked", _switch),
        "mab": ("mab", _switch),
        "backup_port": ("backup_port", str),
        "backup_nhid": ("backup_nhid", int),
    },
    "bond": {
        "state": ("state", str),
        "mii_status": ("mii_status", str),
        "link_failure_count": ("link_failure_count", int),
        "perm_hwaddr": ("perm_hwaddr", str),
        "queue_id": ("queue_id", int),
        "ad_aggregator_id": ("ad_aggregator_id", int),
    },
    "vrf": {"table": ("table", int)},
}


def port_words(kind: str, text: str) -> dict[str, object]:
    """
    Read the words behind ``KIND_slave``. What is not known or cannot be read is left out.

    >>> port_words("bridge", "state forwarding hairpin off hold_timer    0.00 mcast_router 1")
    {'state': 'forwarding', 'hairpin': False, 'multicast_router': 1}
    """
    return dict(_read(_WORDS.get(kind, {}), text.split()))


def _read(known: Mapping[str, _Row], words: list[str]) -> Iterator[tuple[str, object]]:
    at = 0
    while at + 1 < len(words):
        row = known.get(words[at])
        at += 1
        if row is None:
            continue
        try:
            yield row[0], row[1](words[at])
        except ValueError:
            continue
        at += 1


def port_facts(members: Mapping[str, object]) -> dict[str, object]:
    """What ``info_slave_data`` of ``ip -j`` says, without its timers."""
    return {name: value for name, value in members.items() if not name.endswith("_timer")}
