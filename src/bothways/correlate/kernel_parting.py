"""
Two packets that entered a namespace alike and went on differently.

Beside every packet that was dropped or answered with an error stands, if there is one, the packet of the same
direction of the same connection that came in at the same device and went on. What the first met and the
second did not is what a person wants to see: ``ip_forward`` against ``ip_local_deliver``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bothways.correlate.kernel_deed import written
from bothways.correlate.kernel_identity import Ends, ends_of
from bothways.correlate.kernel_stack_diff import compare_stacks
from bothways.facts.kernel_account import Deed, DeedKind, Parting, TracedPacket
from bothways.facts.kernel_event import Happening, KernelEvent, function_name

__all__ = ["partings_of"]

_ENTERS: Final = (Happening.RECEIVE, Happening.IP_RECEIVE, Happening.HOOK, Happening.OVS_RECEIVE)
_LEAVES: Final = frozenset({Happening.XMIT, Happening.OVS_ACTION, Happening.VXLAN_ENCAP})
_ENDS: Final = frozenset({Happening.DROP, Happening.RST_SENT, Happening.ICMP_SENT})


@dataclass(frozen=True, slots=True)
class _Visit:
    """One packet in one namespace: its events there, in order."""

    number: int
    events: tuple[KernelEvent, ...]
    entry: KernelEvent
    ends: Ends

    @property
    def left(self) -> KernelEvent | None:
        """The event in which it left, None if it did not."""
        after = self.events[self.events.index(self.entry) :]
        return next((e for e in after if e.happening in _LEAVES), None)

    @property
    def accepted(self) -> KernelEvent | None:
        """The event in which it was taken for good: by a socket, or freed in peace."""
        if any(e.happening in _ENDS for e in self.events):
            return None
        wanted = (Happening.SOCKET, Happening.LOCAL_DELIVER, Happening.CONSUME)
        return next((e for e in reversed(self.events) if e.happening in wanted), None)


def partings_of(packets: Sequence[TracedPacket], deeds: Sequence[Deed]) -> tuple[Parting, ...]:
    """One parting at most for each packet that ended."""
    found: dict[tuple[int, str, str | None], Parting] = {}
    for deed in deeds:
        if deed.aside or deed.foreign or deed.function is None or written(deed):
            continue
        number = deed.packet if deed.kind is DeedKind.DROP else None
        if deed.provoked_by is not None:
            number = deed.provoked_by.number
        if number is None:
            continue
        parting = _parting(packets, number, deed)
        if parting is not None:
            found.setdefault((number, deed.event.host, deed.event.netns), parting)
    return tuple(found.values())


def _parting(packets: Sequence[TracedPacket], number: int, deed: Deed) -> Parting | None:
    host, netns = deed.event.host, deed.event.netns
    ended = _visit(packets[number - 1], host, netns)
    if ended is None:
        return None
    others = [v for p in packets if p.number != number and (v := _visit(p, host, netns)) is not None]
    dropped = deed.kind is DeedKind.DROP
    alike = [v for v in others if _alike(v, ended) and (v.left or (dropped and v.accepted))]
    if not alike:
        return None
    moment = ended.entry.time_ns
    # The nearest one before it; where all came later, the first of these.
    before = [v for v in alike if v.entry.time_ns <= moment]
    went = max(before, key=lambda v: v.entry.time_ns) if before else min(alike, key=lambda v: v.entry.time_ns)
    ended_at = _end(ended, deed)
    went_to = went.left or went.accepted
    if went_to is None:
        return None
    functions = _functions(went), _functions(ended, ended_at)
    diff = compare_stacks(tuple(reversed(functions[0])), tuple(reversed(functions[1])))
    only_went = tuple(name for row in diff.rows for name in row.first)
    only_ended = tuple(name for row in diff.rows for name in row.second)
    translated = _translated(went) and not _translated(ended)
    return Parting(
        went.number, number, ended.entry, went_to, ended_at, only_went, only_ended, translated=translated
    )


def _visit(packet: TracedPacket, host: str, netns: str | None) -> _Visit | None:
    inside = tuple(t.event for t in packet.events if (t.event.host, t.event.netns) == (host, netns))
    entry = next((e for e in inside if e.happening in _ENTERS), None)
    if entry is None or entry.packet is None:
        return None
    # A hook that translated tells of the addresses before it as well.
    hooked = entry.before if entry.happening is Happening.HOOK else None
    ends = ends_of(hooked or entry.packet)
    return None if ends is None else _Visit(packet.number, inside, entry, ends)


def _alike(one: _Visit, other: _Visit) -> bool:
    """True if both bore the same addresses where they came in, at one device."""
    if _kind(one.entry) != _kind(other.entry):
        return False
    return one.ends == other.ends and (one.entry.device, one.entry.ifindex) == (
        other.entry.device,
        other.entry.ifindex,
    )


def _kind(event: KernelEvent) -> tuple[int | None, int | None]:
    """Protocol, and the type of an ICMP packet: an error is treated otherwise than a question."""
    headers = None if event.packet is None else event.packet.carried.packet
    if headers is None or headers.ip is None:
        return None, None
    return headers.ip.protocol, None if headers.icmp is None else headers.icmp.type


def _end(visit: _Visit, deed: Deed) -> KernelEvent:
    told = next((e for e in visit.events if e.happening in _ENDS), None)
    return told if told is not None and deed.event.happening is Happening.XMIT else deed.event


def _functions(visit: _Visit, end: KernelEvent | None = None) -> tuple[str, ...]:
    """The functions of a packet's deepest stack in a namespace, outermost first; else those of its probes."""
    events = visit.events[visit.events.index(visit.entry) :]
    stacks = [e.stack for e in (*((end,) if end is not None else ()), *events) if e.stack]
    if end is not None and end.stack:
        stacks = [end.stack]
    if stacks:
        deepest = max(stacks, key=len)
        return tuple(function_name(frame) for frame in reversed(deepest))
    return tuple(dict.fromkeys(e.function for e in events if e.function is not None))


def _translated(visit: _Visit) -> bool:
    seen: Iterator[Ends] = (
        ends for e in visit.events if e.packet is not None and (ends := ends_of(e.packet)) is not None
    )
    return any(ends != visit.ends for ends in seen)
