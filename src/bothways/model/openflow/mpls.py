"""
Actions on MPLS labels; a switch follows three.

``flow_push_mpls`` and ``flow_pop_mpls`` of ``lib/flow.c``, ``recirc_for_mpls`` of
``ofproto/ofproto-dpif-xlate.c``. Under a label nothing of the packet is seen; once the last one is gone, most
actions need the datapath to give the packet back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bothways.facts.openflow import Action
from bothways.facts.packet import ETH_IP6, Packet
from bothways.facts.step import Did
from bothways.model.openflow.field import KNOWN, eth_type
from bothways.model.openflow.key import Key
from bothways.model.openflow.run import Run
from bothways.model.openflow.writing import number_of

__all__ = ["MPLS", "dec_mpls_ttl", "needs_packet_anew", "pop_mpls", "push_mpls"]

#: Ethernet types of MPLS
MPLS: Final = frozenset({0x8847, 0x8848})
_MOST: Final = 3
_BOTTOM: Final = 0x100
_LABEL_BYTES: Final = 4
_PARTS: Final = (("mpls_label", 12, 20), ("mpls_tc", 9, 3), ("mpls_bos", 8, 1), ("mpls_ttl", 0, 8))
_INNER: Final = ("mpls_lse1", "mpls_lse2")


def _outer(key: Key) -> tuple[int, int]:
    """The outermost label with its other parts, as one word."""
    value = known = 0
    for name, shift, width in _PARTS:
        bits = key.part(name, 0, width - 1)
        value |= bits[0] << shift
        known |= bits[1] << shift
    return value, known


def _labels(key: Key) -> list[tuple[int, int]]:
    """All labels, outermost first."""
    if eth_type(key.packet) not in MPLS:
        return []
    found: list[tuple[int, int]] = []
    for word in (_outer(key), *(key.part(name, 0, 31) for name in _INNER)):
        if word[0] or not found:
            found.append(word)
        if word[0] & _BOTTOM:
            break
    return found


def _put(key: Key, labels: list[tuple[int, int]]) -> None:
    key.forget(("eth_type",))
    for place, word in enumerate([*labels, *[(0, KNOWN)] * (_MOST - len(labels))]):
        if place:
            key.put(_INNER[place - 1], word, 0xFFFFFFFF)
            continue
        for name, shift, width in _PARTS:
            key.put(name, (word[0] >> shift, word[1] >> shift), (1 << width) - 1)


def push_mpls(run: Run, action: Action) -> None:
    """``push_mpls:TYPE``: a copy of the outermost label, or a first one, with the packet's TTL."""
    key = run.key
    labels = _labels(key)
    if len(labels) >= _MOST:
        run.doubt(f"what becomes of {run.where}: Open vSwitch pushes no fourth MPLS label", blind=True)
        run.stop()
        return
    before = key.packet
    if labels:
        labels.insert(0, (labels[0][0] & ~_BOTTOM, labels[0][1]))
        key.packet = _typed(before, number_of(action, "ethertype"), _LABEL_BYTES)
    else:
        labels = [_first(key)]
        key.cover(_typed(replace(before, ip=None, arp=None, tcp=None, udp=None, icmp=None),
                         number_of(action, "ethertype"), _LABEL_BYTES))  # fmt: skip
    _put(key, labels)
    run.changed(before, Did.CHANGED, "an MPLS label is pushed")


def _first(key: Key) -> tuple[int, int]:
    packet = key.packet
    label = 2 if eth_type(packet) == ETH_IP6 else 0
    tos, ttl = (key.get("nw_tos"), key.get("nw_ttl")) if packet.ip is not None else ((0, KNOWN), (64, KNOWN))
    hops = (64, KNOWN) if ttl == (0, KNOWN) else ttl
    value = label << 12 | (tos[0] >> 2 & 7) << 9 | _BOTTOM | hops[0] & 0xFF
    return value, ~0xFFF | (tos[1] >> 2 & 7) << 9 | _BOTTOM | hops[1] & 0xFF


def _typed(packet: Packet, kind: int, grown: int) -> Packet:
    length = None if packet.length is None else packet.length + grown
    return replace(packet, ethernet=replace(packet.ethernet, type=kind), length=length)


def pop_mpls(run: Run, action: Action) -> None:
    """``pop_mpls:TYPE``: the outermost label goes; TYPE says what is inside."""
    key, kind = run.key, number_of(action, "ethertype")
    labels = _labels(key)
    if not labels:
        return
    if len(labels) == _MOST and not labels[-1][0] & _BOTTOM:
        run.doubt(f"what becomes of {run.where}: more than {_MOST} MPLS labels are not modelled", blind=True)
        run.stop()
        return
    before = key.packet
    key.packet = _typed(before, kind, -_LABEL_BYTES)
    _put(key, labels[1:])
    run.changed(before, Did.CHANGED, "an MPLS label is popped")
    if kind not in MPLS:
        key.bare = True
        if key.covered is None and not run.traced:
            run.doubt(f"what is in {run.where} under its MPLS labels: a packet does not hold it")


def dec_mpls_ttl(run: Run, _action: Action) -> None:
    """``dec_mpls_ttl``; a TTL that would expire ends this list of actions."""
    key = run.key
    ttl, known = key.part("mpls_ttl", 0, 7)
    if eth_type(key.packet) in MPLS and (ttl > 1 or not known):
        run.write("mpls_ttl", (ttl - 1, known), 0xFF)
        return
    run.lose("the TTL of the MPLS label is used up")
    run.frames.pop()


#: actions that do not look at what was under the labels
_BLIND: Final = frozenset(
    {"output", "local", "in_port", "flood", "all", "normal", "none", "any", "table", "set_vlan_vid",
     "set_vlan_pcp", "set_queue", "group", "drop", "enqueue"}
)  # fmt: skip
#: fields below the network layer
_LOW: Final = (
    "eth_",
    "vlan_",
    "reg",
    "xreg",
    "xxreg",
    "metadata",
    "tun_",
    "in_port",
    "pkt_mark",
    "skb_",
    "ct_",
    "mpls",
)


def needs_packet_anew(action: Action) -> bool:
    """Whether an action makes the switch take the packet back from the datapath once its labels are gone."""
    if action.name in ("set_field", "load") and not action.text.startswith("write_metadata"):
        return not str(action.args.get("field", "")).startswith(_LOW)
    return action.name not in _BLIND
