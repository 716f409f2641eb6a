"""
What the kernel let out and what the model lets out, packet by packet and entry by entry.

A field that the model leaves open (None) is not compared. What the kernel sends by itself and no packet asked
for (multicast listener reports, neighbour discovery) is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bothways.capture.layers import Refused
from bothways.capture.link_layer import decode_ethernet
from bothways.conform.nat_table import KernelEntry
from bothways.facts.packet import ICMP6, Flag, Packet
from bothways.model.linux.conntrack.entry import TrackedConnection

__all__ = ["STATUS", "Frame", "compared", "decoded", "entry_words", "modelled_entry", "told", "unlike"]

#: Bits of an entry that are compared; the others are the kernel's own affair.
STATUS: Final = frozenset({"SEEN_REPLY", "ASSURED", "SRC_NAT", "DST_NAT", "SRC_NAT_DONE", "DST_NAT_DONE"})
#: ICMPv6 that a kernel sends by itself: listener reports, router and neighbour discovery.
_UNASKED: Final = frozenset({130, 131, 132, 133, 134, 135, 136, 137, 143})
_BY_ITSELF: Final = "02:"


@dataclass(frozen=True, slots=True)
class Frame:
    """
    One packet on its way out.

    :param leg: device that it leaves by.
    :param fields: what it says; None where that is open.
    """

    leg: str
    fields: Mapping[str, object]

    def __str__(self) -> str:
        """``nfb: src=… dst=…``."""
        said = " ".join(f"{name}={value}" for name, value in self.fields.items() if value is not None)
        return f"{self.leg}: {said}"


def decoded(frame: bytes) -> Packet | None:
    """Read a frame; None for what is no packet, or what the kernel sends unasked."""
    read = decode_ethernet(frame, len(frame))
    if isinstance(read, Refused):
        return None
    packet = read.packet
    unasked = packet.ip is not None and packet.ip.protocol == ICMP6 and packet.icmp is not None
    if unasked and packet.icmp is not None and packet.icmp.type in _UNASKED:
        return None
    return packet


def told(leg: str, packet: Packet, next_hop: object | None) -> Frame:
    """
    What is compared of a packet.

    :param next_hop: MAC that the frame is for, or that of the neighbour; None if open.
    """
    return Frame(leg, {"to": next_hop, **_network(packet)})


def _network(packet: Packet, *, quoted: bool = False) -> dict[str, object]:
    ip, tcp, udp, icmp, arp = packet.ip, packet.tcp, packet.udp, packet.icmp, packet.arp
    fields: dict[str, object] = {}
    if arp is not None:
        return {"arp": f"{arp.op} {arp.spa} {arp.tpa}"}
    if ip is not None:
        fields |= {"src": str(ip.src), "dst": str(ip.dst), "protocol": ip.protocol}
        if not quoted:
            fields |= {"ttl": ip.ttl, "tos": ip.tos, "offset": ip.offset}
    if tcp is not None:
        fields |= {"sport": tcp.sport, "dport": tcp.dport}
        if not quoted:
            ack = tcp.ack if tcp.flags & Flag.ACK else None
            fields |= {"flags": int(tcp.flags), "seq": tcp.seq, "ack": ack, "payload": tcp.length}
            fields["mss"] = tcp.options.mss
    if udp is not None:
        fields |= {"sport": udp.sport, "dport": udp.dport}
    if icmp is not None:
        fields |= {"icmp": f"{icmp.type}/{icmp.code}", "id": icmp.id if icmp.inner is None else None}
        if icmp.inner is not None and not quoted:
            fields |= {f"about.{name}": value for name, value in _network(icmp.inner, quoted=True).items()}
    return fields


def unlike(kernel: Frame, model: Frame) -> str | None:
    """Return the first field on which two frames differ, None if the model says nothing else."""
    if kernel.leg != model.leg:
        return "device"
    for name in dict.fromkeys((*kernel.fields, *model.fields)):
        ours = model.fields.get(name)
        theirs = kernel.fields.get(name)
        if ours is not None and ours != theirs and not (theirs is None and name.startswith("about.")):
            return name
        if ours is None and theirs is not None and name in ("sport", "icmp", "src", "arp"):
            return name
    return None


def compared(kernel: Sequence[Frame], model: Sequence[Frame]) -> tuple[str, list[Frame], list[Frame]]:
    """
    Pair the frames of both sides.

    :return: the field that differs ("" if none; ``fate`` if one side has more), and what is left over.
    """
    ours = list(model)
    left: list[Frame] = []
    for frame in kernel:
        match = next((each for each in ours if unlike(frame, each) is None), None)
        if match is None:
            left.append(frame)
        else:
            ours.remove(match)
    if not left and not ours:
        return "", [], []
    if len(left) == len(ours) == 1:
        return unlike(left[0], ours[0]) or "fate", left, ours
    return "fate", left, ours


def entry_words(entries: Iterable[KernelEntry]) -> list[str]:
    """Entries as text, one each."""
    return sorted(
        f"{each.original} / {each.reply} {' '.join(sorted(each.status & STATUS))} mark {each.mark} "
        f"zone {each.zone} {each.state}".strip()
        for each in entries
    )


def modelled_entry(one: TrackedConnection) -> KernelEntry:
    """An entry of the model as the kernel would list it; a zone of one direction stands elsewhere."""
    zone = one.zone if one.half is None else 0
    state = "" if one.tcp is None else str(one.tcp.state)
    return KernelEntry(one.original, one.reply, frozenset(one.status), one.mark, zone, state)
