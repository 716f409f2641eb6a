"""
A trace as one capture file: an interface for each device of each namespace, the kernel's words as comments.

The tracer knows headers, not bytes: frames are composed of them, MACs are zero, payload is zero octets,
options are left out. What passed no device (a hook, a drop inside the stack) stands at the device that it
came by, with its comment.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bothways.capture.compose_frame import compose_frame, compose_tunnelled
from bothways.capture.pcapng_write import Interface, Record, write_pcapng
from bothways.facts.kernel_account import KernelAccount, TimedEvent
from bothways.facts.kernel_event import Happening, KernelEvent, KernelPacket
from bothways.report.kernel_lines import event_words

__all__ = ["kernel_pcapng"]

_WAYS: Final = {Happening.XMIT: "out", Happening.RECEIVE: "in"}
#: Events that add a frame of their own; what is left repeats a frame that stands there already.
_SHOWN: Final = frozenset(
    {
        Happening.XMIT,
        Happening.RECEIVE,
        Happening.DROP,
        Happening.RST_SENT,
        Happening.ICMP_SENT,
        Happening.HOOK,
        Happening.NAT,
        Happening.OVS_RECEIVE,
        Happening.VXLAN_ENCAP,
        Happening.VXLAN_DECAP,
    }
)


def kernel_pcapng(account: KernelAccount) -> bytes:
    """Write the events that show a frame, in the order of time on the reference host's clock."""
    timed = [
        (each, packet.number)
        for packet in account.packets
        for each in packet.events
        if each.event.packet is not None and each.event.happening in _SHOWN
    ]
    timed.sort(key=lambda row: (_middle(row[0]), row[0].event.number))
    places = list(dict.fromkeys(_name(each.event) for each, _ in timed))
    numbers = {name: number for number, name in enumerate(places)}
    tiers = ", ".join(dict.fromkeys(trace.tier for trace in account.traces if trace.tier))
    interfaces = [Interface(name, comment=f"composed from kernel events ({tiers})") for name in places]
    return write_pcapng(interfaces, _records(timed, numbers))


def _records(timed: Iterable[tuple[TimedEvent, int]], numbers: dict[str, int]) -> Iterable[Record]:
    for each, number in timed:
        event = each.event
        data = None if event.packet is None else _frame(event.packet)
        if data is not None:
            comment = f"packet {number}: {event_words(event)} [{event.tier}, {event.probe}]"
            moment = max(0, _middle(each))
            yield Record(numbers[_name(event)], moment, data, _WAYS.get(event.happening, ""), comment)


def _frame(packet: KernelPacket) -> bytes | None:
    if packet.packet.ip is None:
        return None
    if packet.inner is not None and packet.vni is not None and packet.packet.udp is not None:
        return compose_tunnelled(packet.inner.packet, packet.packet, packet.vni)
    return compose_frame(packet.packet)


def _name(event: KernelEvent) -> str:
    return event.place if event.device is not None else f"{event.place}:no-device"


def _middle(each: TimedEvent) -> int:
    return (each.low_ns + each.high_ns) // 2
