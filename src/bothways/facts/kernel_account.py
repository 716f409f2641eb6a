"""What the events of one or several kernels say together: packets, who ended them, and where two parted."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from bothways.facts.diagnosis import Clock
from bothways.facts.kernel_event import KernelEvent, KernelPacket
from bothways.facts.kernel_trace import KernelTrace
from bothways.facts.span import Problem

__all__ = [
    "Deed",
    "DeedKind",
    "KernelAccount",
    "Known",
    "Parting",
    "Provocation",
    "TimedEvent",
    "TracedPacket",
]


class Known(StrEnum):
    """How a relation is known."""

    KERNEL = "kernel"  # the kernel was seen to do it
    NUMBERS = "numbers"  # addresses and numbers of the headers fit


class DeedKind(StrEnum):
    """What ended a packet, or a connection."""

    RST = "rst"
    ICMP = "icmp"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class TimedEvent:
    """
    One event on the clock of the reference host.

    :param low_ns: the earliest moment at which it can have been; *high_ns* the latest. Both are the same on
        the reference host itself.
    :param sure: False if it may have been before the event that stands before it.
    """

    event: KernelEvent
    low_ns: int
    high_ns: int
    sure: bool = True


@dataclass(frozen=True, slots=True)
class Provocation:
    """The packet that made a kernel send another one."""

    number: int
    known: Known


@dataclass(frozen=True, slots=True)
class TracedPacket:
    """
    One packet, wherever it was seen: through translations, copies, tunnels and hosts.

    :param number: from 1, in the order in which packets were first seen.
    :param events: in the order of its way.
    :param copies: buffers that shared its data.
    """

    number: int
    events: tuple[TimedEvent, ...]
    provoked_by: Provocation | None = None
    copies: int = 0

    @property
    def first(self) -> KernelEvent:
        """Its first event."""
        return self.events[0].event

    @property
    def headers(self) -> KernelPacket | None:
        """The packet as it was first seen, without its tunnel; None if no event told headers."""
        return next((e.event.packet.carried for e in self.events if e.event.packet is not None), None)


@dataclass(frozen=True, slots=True)
class Deed:
    """
    Somebody ended a packet, or answered it with an error.

    :param packet: number of the RST or ICMP error, or of the packet that was dropped; None if it was not
        seen.
    :param event: the event that says so.
    :param function: the function that did it, None if no event tells.
    :param by_stack: True if the function was read from a call stack.
    :param provoked_by: what was answered.
    :param foreign: True if it came in from a station that was not traced; *event* is where.
    :param aside: it happened to a copy, and the packet itself went on; or the packet had been answered
        already.
    :param inferred: no event tells it: it follows from what did not happen.
    :param unsent: a RST or ICMP error that was made, and whose transmission would have been seen and was not.
    :param late: the trace ended at once behind it, and what became of copies, as others had there, is not
        told any more; *aside* holds then too.
    """

    kind: DeedKind
    event: KernelEvent
    packet: int | None
    function: str | None = None
    by_stack: bool = False
    provoked_by: Provocation | None = None
    aside: bool = False
    foreign: bool = False
    inferred: bool = False
    late: bool = False
    unsent: bool = False


@dataclass(frozen=True, slots=True)
class Parting:
    """
    Two packets of one direction of a connection that entered a namespace alike and went on differently.

    :param went: number of the one that went on; *ended* of the one that did not.
    :param at: the event of the second one where it entered.
    :param went_to: the event in which the first one left, *ended_at* that in which the second one ended.
    :param went_functions: functions that only the first one met, outermost first; *ended_functions* the
        same of the second one. Empty if no stack or probe tells.
    :param translated: True if the first one's addresses were changed there and the second one's were not.
    """

    went: int
    ended: int
    at: KernelEvent
    went_to: KernelEvent
    ended_at: KernelEvent
    went_functions: tuple[str, ...] = ()
    ended_functions: tuple[str, ...] = ()
    translated: bool = False


@dataclass(frozen=True, slots=True)
class KernelAccount:
    """
    Everything that the traces say together.

    :param reference: the host on whose clock times are told, "" if there is no event.
    :param clocks: bounds of the other hosts' clocks.
    """

    packets: tuple[TracedPacket, ...] = ()
    deeds: tuple[Deed, ...] = ()
    partings: tuple[Parting, ...] = ()
    traces: tuple[KernelTrace, ...] = ()
    reference: str = ""
    clocks: tuple[Clock, ...] = ()
    problems: tuple[Problem, ...] = field(default=())

    def packet(self, number: int) -> TracedPacket:
        """One packet by its number."""
        return self.packets[number - 1]
