"""
Packets that the kernel's datapath of Open vSwitch took and did not send on.

Since Linux 6.6 the datapath frees them as dropped, and gives reasons of its own (``LAST_ACTION``: the flow
had no output left). Before, ``do_execute_actions`` in ``net/openvswitch/actions.c`` frees them like packets
that did their work, so it follows from what did not happen: no output, no question to user space, no copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from bothways.correlate.kernel_watch import Watch
from bothways.facts.kernel_account import Deed, DeedKind, TracedPacket
from bothways.facts.kernel_event import Happening, KernelEvent, function_name

__all__ = ["FUNCTION", "sent_copies", "unsent"]

#: What frees them, and what newer kernels name.
FUNCTION: Final = "do_execute_actions"
_LAST_ACTION: Final = "LAST_ACTION"
_DATAPATH: Final = ("ovs_", "do_execute_", "clone_execute", "execute_")
#: What the datapath may do to a packet between taking it and being done with it.
_INSIDE: Final = frozenset(
    {
        Happening.OVS_RECEIVE, Happening.OVS_ACTION, Happening.OVS_CONNTRACK, Happening.CONNTRACK,
        Happening.NAT,
    }
)  # fmt: skip
#: What is no sign of a packet that went on: a copy that somebody read (tcpdump), or that was made.
_IDLE: Final = frozenset({Happening.CONSUME, Happening.CLONE})
#: What has to be told so that a missing output means something.
_NEEDED: Final = (Happening.OVS_RECEIVE, Happening.OVS_UPCALL, Happening.XMIT, Happening.RECEIVE)
#: How long copies may take to be seen, and a packet whose end is not told may lie in a queue.
_COPIES_NS: Final = 50_000_000
_QUEUED_NS: Final = 1_000_000_000

_Lives = dict[object, list[KernelEvent]]


def unsent(packets: Sequence[TracedPacket], watches: Mapping[str, Watch]) -> Iterator[Deed]:
    """Yield a deed for each packet that went into the datapath and came out nowhere."""
    if not any(watch.shows(*_NEEDED) for watch in watches.values()):
        return
    copied = {
        (timed.event.host, timed.event.clone_of)
        for packet in packets
        for timed in packet.events
        if timed.event.clone_of is not None and timed.event.happening not in _IDLE
    }
    for packet in packets:
        lives = _lives(packet)
        for life in lives.values():
            end = _end(life, watches.get(life[0].host, Watch()))
            if end is None or (end.host, end.packet_id) in copied or not _known(end):
                continue
            others = (event for each in lives.values() if each is not life for event in each)
            if not any(_moves(event, _taken_at(life), end.host) for event in others):
                yield Deed(DeedKind.DROP, end, packet.number, FUNCTION, inferred=True)


def sent_copies(packet: TracedPacket, drop: KernelEvent) -> bool:
    """
    Whether the datapath sent copies of a packet before it dropped what was left.

    A flow whose last action is no output sends copies, and the packet itself ends as ``LAST_ACTION``.
    """
    if drop.reason != _LAST_ACTION:
        return False
    lives = _lives(packet)
    mine = lives.get(_life(drop), [])
    taken = [e.time_ns for e in mine if e.happening in (Happening.OVS_RECEIVE, Happening.RECEIVE)]
    since = max((time for time in taken if time <= drop.time_ns), default=drop.time_ns)
    others = (event for life, each in lives.items() if life != _life(drop) for event in each)
    return any(_moves(event, since, drop.host) for event in others)


def _life(event: KernelEvent) -> object:
    return event.host, event.skb if event.packet_id is None else event.packet_id


def _lives(packet: TracedPacket) -> _Lives:
    found: _Lives = {}
    for timed in packet.events:
        if timed.event.buffer:
            found.setdefault(_life(timed.event), []).append(timed.event)
    return found


def _end(life: Sequence[KernelEvent], watch: Watch) -> KernelEvent | None:
    """The event with which a life ended in the datapath; None if it did not, or if nobody can tell."""
    end = life[-1]
    taken = max((n for n, e in enumerate(life) if e.happening is Happening.OVS_RECEIVE), default=None)
    if taken is None or not watch.shows(*_NEEDED):
        return None
    freed = end.happening is Happening.CONSUME
    inside = life[taken:-1] if freed else life[taken:]
    if any(event.happening not in _INSIDE for event in inside):
        return None
    if freed:
        where = None if end.location is None else function_name(end.location)
        here = where is None or where.startswith(_DATAPATH)
        return end if here and watch.went_on(end.time_ns, _COPIES_NS) else None
    # Where ends are not told, actions that were carried out and nothing behind them say the same.
    quiet = end.happening is Happening.OVS_ACTION and not watch.shows(Happening.CONSUME)
    return end if quiet and watch.went_on(end.time_ns, _QUEUED_NS) else None


def _taken_at(life: Sequence[KernelEvent]) -> int:
    return max(event.time_ns for event in life if event.happening is Happening.OVS_RECEIVE)


def _moves(event: KernelEvent, since_ns: int, host: str) -> bool:
    """Whether another buffer with the packet went somewhere after a moment; elsewhere time says little."""
    return event.happening not in _IDLE and (event.host != host or event.time_ns >= since_ns)


def _known(event: KernelEvent) -> bool:
    """True if headers are known, by which copies would have been known too."""
    return event.packet is not None and event.packet.carried.packet.ip is not None
