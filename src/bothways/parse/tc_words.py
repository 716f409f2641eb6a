"""What qdiscs, filters and actions of tc do to packets, whichever way they were printed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from bothways.facts.address import IPNetwork, address, network
from bothways.facts.bypass import Bypass, BypassKind, Selector, Side
from bothways.facts.packet import ETH_ARP, ETH_IP, ETH_IP6
from bothways.facts.span import Span

__all__ = ["asked_row", "filter_row", "qdisc_row", "selector_of"]

_ETHERTYPES: Final = {
    "ip": ETH_IP, "ipv4": ETH_IP, "ipv6": ETH_IP6, "arp": ETH_ARP, "802.1Q": 0x8100, "802.1q": 0x8100,
    "802.1ad": 0x88A8,
}  # fmt: skip
_PROTOCOLS: Final = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58, "sctp": 132}
#: Queues in which packets get lost at random, or may get lost, beyond being queued too long (tc-netem(8)).
_LOSES: Final = ("loss", "corrupt", "duplicate", "loss-random", "loss-gemodel", "loss-state")
#: Queues that hold filters, and no packets.
_HOLDERS: Final = frozenset({"clsact", "ingress"})
#: Actions that let a packet go on as it is; a policer does so within its rate.
_PASSING: Final = ("gact action pass", "gact action continue", "gact action ok", "sample", "police")
_FULL32: Final = 0xFFFFFFFF
_SOURCE_AT: Final = 12
_DESTINATION_AT: Final = 16
_WORD16: Final = 0xFFFF


def qdisc_row(words: Sequence[str], span: Span) -> Bypass:
    """One ``qdisc KIND HANDLE: dev DEVICE …`` as its words."""
    kind = words[1] if len(words) > 1 else "?"
    device = words[words.index("dev") + 1] if "dev" in words[:-1] else ""
    lost = [name for name in _LOSES if name in words] if kind == "netem" else []
    does = f"a queue ({kind}) of tc at {device or 'a device'}"
    if kind in _HOLDERS:
        return Bypass(BypassKind.TC, does, span, device, Side.ANY, harmless=True, opens=True)
    if lost:
        does += f" with {', '.join(lost)}: packets are lost or changed there by chance"
    return Bypass(BypassKind.TC, does, span, device, Side.OUT, harmless=not lost)


def asked_row(span: Span, device: str, side: Side) -> Bypass:
    """That the filters of a device were asked for, if there are none."""
    does = f"the list of tc filters of {device or 'the devices'}"
    return Bypass(BypassKind.TC, does, span, device, side, harmless=True)


def filter_row(
    words: str, actions: Sequence[str], only: Selector, span: Span, device: str, side: Side
) -> Bypass:
    """
    One filter.

    :param words: as it was printed, with its kind.
    :param actions: what it does, as text prints it: ``mirred (Egress Redirect to device eth1) stolen``.
    """
    where = {Side.IN: "the ingress of ", Side.OUT: "the egress of "}.get(side, "")
    done = [text for text in actions if not text.startswith(_PASSING) and not _mirrors(text)]
    program = re.search(r"\bbpf\b", words) is not None and "direct-action" in words
    does = f"a tc filter at {where}{device or 'a device that the dump does not name'}"
    if program:
        does += " runs a bpf program (direct-action)"
    if done:
        does += f" does `{'; '.join(done)}`"
    harmless = not (done or program)
    return Bypass(BypassKind.TC, does, span, device, side, only, harmless=harmless)


def _mirrors(text: str) -> bool:
    """True for a copy that goes elsewhere, while the packet itself goes on."""
    return text.startswith("mirred") and "mirror" in text.lower()


def selector_of(fields: Mapping[str, str], u32: Sequence[tuple[int, int, int]] = ()) -> Selector:
    """
    Which packets a filter is for, by those of its keys that can be read; others count as fulfilled.

    :param fields: keys of ``flower`` and ``protocol``.
    :param u32: value, mask and offset of each 32 bits.
    """
    only = Selector(ethertype=_ETHERTYPES.get(fields.get("eth_type") or fields.get("protocol", "")))
    name = fields.get("ip_proto", "")
    number = int(name) if re.fullmatch(r"\d{1,3}", name) else None
    only = replace(
        only,
        protocol=_PROTOCOLS.get(name, number),
        source=_network(fields.get("src_ip")),
        destination=_network(fields.get("dst_ip")),
        source_ports=_ports(fields.get("src_port")),
        destination_ports=_ports(fields.get("dst_port")),
    )
    if only.ethertype == ETH_IP:
        for value, mask, at in u32:
            whole = _masked(value, mask)
            if at == _SOURCE_AT:
                only = replace(only, source=whole)
            elif at == _DESTINATION_AT:
                only = replace(only, destination=whole)
    return only


def _network(text: str | None) -> IPNetwork | None:
    try:
        return None if text is None else network(text)
    except ValueError:
        return None


def _masked(value: int, mask: int) -> IPNetwork | None:
    length = mask.bit_count()
    if mask != (_FULL32 << (32 - length)) & _FULL32:
        return None
    host = address(".".join(str(value >> shift & 0xFF) for shift in (24, 16, 8, 0)))
    return network(f"{host}/{length}")


def _ports(text: str | None) -> tuple[int, int] | None:
    found = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text or "")
    if found is None:
        return None
    low, high = int(found[1]), int(found[2] or found[1])
    return (low, high) if low <= high <= _WORD16 else None
