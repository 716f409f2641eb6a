"""What the model says will happen to a connection, for every way the network can choose."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.choice import Assumption, Choice
from bothways.facts.diagnosis import Fate
from bothways.facts.packet import NO_FLAGS, Flag, Packet
from bothways.facts.question import Question
from bothways.facts.step import Step
from bothways.facts.trajectory import Way

__all__ = ["Branch", "Journey", "Prediction", "Walk"]


@dataclass(frozen=True, slots=True)
class Branch:
    """One copy of a packet: its steps from where it split off (the trunk: from the sender)."""

    steps: tuple[Step, ...]


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
class Walk:
    """One outcome: the choices that lead to it, every packet's journey, and the fate."""

    choices: tuple[Choice, ...]
    fate: Fate
    why: str
    journeys: tuple[Journey, ...]
    assumptions: tuple[Assumption, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prediction:
    """Every outcome of one connection."""

    question: Question
    walks: tuple[Walk, ...]
    complete: bool = True
