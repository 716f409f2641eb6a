"""
Packets that wait for a neighbour's address when the trace ends.

Nobody dropped them, and yet they did not get through.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bothways.facts.kernel_account import KernelAccount, TracedPacket
from bothways.facts.kernel_event import Happening, KernelEvent
from bothways.report.kernel_lines import packet_words

__all__ = ["waiting_sentences"]

#: States in which a neighbour's address is not known (ip-neighbour(8)).
_UNKNOWN: Final = frozenset({"INCOMPLETE", "FAILED", "NONE"})
#: What shows that a packet went on.
_WENT_ON: Final = frozenset({Happening.XMIT, Happening.RECEIVE, Happening.DROP, Happening.SOCKET})


def waiting_sentences(account: KernelAccount) -> Iterator[str]:
    """Say for each such packet where it is, and for whose address it waits."""
    ended = {deed.packet for deed in account.deeds}
    ended |= {deed.provoked_by.number for deed in account.deeds if deed.provoked_by is not None}
    for packet in account.packets:
        event = None if packet.number in ended else _waits(packet)
        if event is not None:
            words = packet_words(next((t.event.packet for t in packet.events if t.event.packet), None))
            address = (event.detail or {}).get("address")
            yield f"#{packet.number} {words}: at {event.place}, for the link-layer address of {address}"


def _whose(event: KernelEvent) -> tuple[object, ...]:
    return event.host, event.netns, (event.detail or {}).get("address")


def _waits(packet: TracedPacket) -> KernelEvent | None:
    """Return the event at which it began to wait; None if it does not."""
    found: KernelEvent | None = None
    for timed in packet.events:
        event = timed.event
        detail = event.detail or {}
        if event.happening is Happening.NEIGH and detail.get("address"):
            # The answer that makes an address known tells of the state before it as well.
            if (detail.get("to") or detail.get("state")) in _UNKNOWN:
                found = event
            elif found is not None and _whose(found) == _whose(event):
                found = None
        elif event.happening in _WENT_ON:
            found = None
    return found
