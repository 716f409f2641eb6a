"""
What ``ct()`` asks of a connection tracker, and what it gets back.

Which tracker stands behind it depends on the datapath: the kernel's shares the host's own table
(``kernel_tracker``), Open vSwitch's own is another machine (``userspace_tracker``). Names and bits of the
state are those of ovs-fields(7), ``ct_state``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntFlag
from typing import Protocol

from bothways.facts.conntrack import Entry, Tuple
from bothways.facts.packet import Packet
from bothways.facts.span import Span
from bothways.facts.step import Did
from bothways.model.linux.nat.target import NatTarget

__all__ = ["NO_CHANGE", "CtState", "Finding", "Request", "Tracked", "Tracker", "masked"]

#: bits to write and which of them; nothing is written
NO_CHANGE = (0, 0)


class CtState(IntFlag):
    """``ct_state`` as flows match it."""

    NEW = 0x01
    EST = 0x02
    REL = 0x04
    RPL = 0x08
    INV = 0x10
    TRK = 0x20
    SNAT = 0x40
    DNAT = 0x80

    def __str__(self) -> str:
        """``+trk+new``, as a flow would match it."""
        order = (self.TRK, self.NEW, self.EST, self.REL, self.RPL, self.INV, self.SNAT, self.DNAT)
        return "".join(f"+{bit.name.lower()}" for bit in order if bit in self and bit.name) or "-trk"


@dataclass(frozen=True, slots=True)
class Request:
    """
    What one ``ct()`` wants.

    :param nat: ``nat(...)``; its kind is SNAT, DNAT or "" for a bare ``nat``, which re-applies what the
        connection has. None: no ``nat``.
    :param mark: bits and mask to write to ``ct_mark``; *label* to ``ct_label``.
    :param evidence: the flow's line.
    :param comes_back: True if a copy goes on behind the tracker (``table=``).
    """

    zone: int = 0
    commit: bool = False
    force: bool = False
    nat: NatTarget | None = None
    mark: tuple[int, int] = NO_CHANGE
    label: tuple[int, int] = NO_CHANGE
    evidence: tuple[Span, ...] = ()
    comes_back: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the tracker did to the packet, for a step."""

    did: Did
    function: str
    reason: str
    before: Packet
    after: Packet
    evidence: tuple[Span, ...] = ()
    cell: str = ""


@dataclass(frozen=True, slots=True)
class Tracked:
    """
    A packet behind ``ct()``.

    :param original: the tuple of the connection's original direction; None if there is none.
    :param memory: what the tracker itself keeps with the packet until ``ct_clear``.
    :param lost: why the datapath drops the packet here, "" if it goes on.
    :param unknown: what is not modelled or not known and has a part in it.
    """

    packet: Packet
    state: CtState
    zone: int = 0
    mark: int = 0
    label: int = 0
    original: Tuple | None = None
    findings: tuple[Finding, ...] = ()
    memory: object = None
    lost: str = ""
    unknown: tuple[str, ...] = ()


class Tracker(Protocol):
    """A connection tracker as a datapath uses it."""

    def track(self, packet: Packet, request: Request, before: Tracked | None, now_ns: int) -> Tracked:
        """
        Do what one ``ct()`` asks.

        :param before: what the last ``ct()`` made of this very packet; None before any, or after
            ``ct_clear``.
        """

    def forget(self, ours: Callable[[Entry], bool]) -> None:
        """Remove every connection for which *ours* is true."""


def masked(old: int, change: tuple[int, int]) -> int:
    """Write the bits of a change."""
    value, mask = change
    return old & ~mask | value & mask
