"""What the model says will happen to a connection, for every way the network can choose."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.choice import Assumption, Choice
from bothways.facts.conntrack import Entry
from bothways.facts.diagnosis import Fate
from bothways.facts.packet import NO_FLAGS, Flag, Packet, Tunnel
from bothways.facts.question import Question
from bothways.facts.sighting import Direction, Tap
from bothways.facts.step import Step
from bothways.facts.trajectory import Way

__all__ = ["Branch", "Crossing", "Journey", "Prediction", "TrackerEvent", "Walk"]


@dataclass(frozen=True, slots=True)
class Branch:
    """
    One copy of a packet: its steps from where it split off (the trunk: from the sender).

    :param split: the number of the branch that it split off from, and how many steps of that branch are its
        past; None for the trunk.
    """

    steps: tuple[Step, ...]
    split: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Journey:
    """
    One packet of the connection on its predicted way, with every copy.

    :param name: as the report calls it: ``SYN``, ``SYN/ACK``, ``ACK``, ``data``, ``RST``, ``ARP`` …
    :param way: None for packets that do not belong to the connection (ARP).
    :param sender: ``client``, ``server``, or the label of the namespace whose stack made it.
    :param at_ns: virtual time, nanoseconds since the first packet.
    """

    name: str
    way: Way | None
    sender: str
    packet: Packet
    branches: tuple[Branch, ...]
    at_ns: int = 0
    flags: Flag = NO_FLAGS


@dataclass(frozen=True, slots=True)
class Crossing:
    """
    One packet that crosses one device in a walk: what a capture there would hold.

    :param tap: the device, never ``any``.
    :param journey: index of the packet's journey in its walk.
    :param at_ns: virtual time, nanoseconds since the first packet. The walk knows order and timers, not
        durations: a crossing takes a microsecond.
    :param tunnel: set where the device carries the packet inside a tunnel; *outer* is then what is
        around it.
    """

    tap: Tap
    direction: Direction
    packet: Packet
    journey: int
    at_ns: int = 0
    tunnel: Tunnel | None = None
    outer: Packet | None = None


@dataclass(frozen=True, slots=True)
class TrackerEvent:
    """
    One line that ``conntrack -E`` would print in a namespace during a walk.

    :param kind: ``NEW``, ``UPDATE`` or ``DESTROY``.
    :param at_ns: virtual time, nanoseconds since the first packet.
    """

    host: str
    netns: str
    kind: str
    entry: Entry
    at_ns: int = 0


@dataclass(frozen=True, slots=True)
class Walk:
    """
    One outcome: the choices that lead to it, every packet's journey, and the fate.

    :param crossings: every packet at every device, in the order in which the walk moved them.
    :param bypassed: what of *unknown* goes round the model (tc, XDP, IPVS …) on the way that was walked.
    :param tracker_events: what ``conntrack -E`` would print in every namespace, in order. The datapaths of
        Open vSwitch have none.
    """

    choices: tuple[Choice, ...]
    fate: Fate
    why: str
    journeys: tuple[Journey, ...]
    assumptions: tuple[Assumption, ...] = ()
    unknown: tuple[str, ...] = ()
    crossings: tuple[Crossing, ...] = ()
    bypassed: tuple[str, ...] = ()
    tracker_events: tuple[TrackerEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class Prediction:
    """Every outcome of one connection."""

    question: Question
    walks: tuple[Walk, ...]
    complete: bool = True
