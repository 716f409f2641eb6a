"""What one kernel function or one flow table did to a packet, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bothways.facts.packet import Packet
from bothways.facts.span import Span

__all__ = ["Did", "Place", "Step"]


class Did(StrEnum):
    """What happened to the packet in a step. A closed set."""

    RECEIVED = "received"  # a device, port or function took it
    SENT = "sent"  # a device transmitted it
    COPIED = "copied"  # one of several copies went this way
    TRACKED = "tracked"  # conntrack took it as valid (NEW, ESTABLISHED …)
    INVALID = "invalid"  # conntrack refused it: no NAT, no state
    UNTRACKED = "untracked"
    TRANSLATED = "translated"  # addresses or ports were rewritten
    NOT_TRANSLATED = "not translated"  # a translation exists that was not applied
    CHANGED = "changed"  # MACs, TTL, marks, registers
    MATCHED = "matched"  # a rule or flow matched and let it go on
    ROUTED = "routed"
    DELIVERED = "delivered"  # to a socket of this namespace
    ANSWERED = "answered"  # the stack or a rule sent a packet of its own
    ENCAPSULATED = "encapsulated"
    DECAPSULATED = "decapsulated"
    DROPPED = "dropped"
    IGNORED = "ignored"  # another station's frame, an answer nobody waits for
    UNKNOWN = "unknown"  # not collected or not modelled


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """
    Where a step happens.

    :param netns: namespace, "" inside Open vSwitch.
    :param device: device, or bridge for Open vSwitch.
    :param port: OpenFlow port by name, "" outside Open vSwitch.
    """

    host: str
    netns: str = ""
    device: str = ""
    port: str = ""

    def __str__(self) -> str:
        """``host/netns:device`` or ``host br-int port qr-…``."""
        if not self.netns:
            port = f" port {self.port}" if self.port else ""
            return f"{self.host} {self.device}{port}"
        where = self.host if self.netns == "root" else f"{self.host}/{self.netns}"
        return f"{where}:{self.device}" if self.device else where


@dataclass(frozen=True, slots=True)
class Step:
    """
    One step of a walk.

    :param function: kernel function (``nf_conntrack_in``), or ``table=100`` in Open vSwitch.
    :param reason: one sentence for the person on call.
    :param evidence: lines that the step was read from.
    :param cell: state-table cell, chain or flow that decided, for people who look it up.
    """

    place: Place
    function: str
    did: Did
    before: Packet
    after: Packet | None
    reason: str
    evidence: tuple[Span, ...] = ()
    cell: str = ""
