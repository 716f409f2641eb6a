"""
NAT of the running kernel and of the model, packet by packet.

For every case the router gets random rules. Each packet goes through the kernel first, then through the
model's stack of the same namespace as the tools print it. Held against each other: what comes out of which
leg, and after every packet all entries with their translation. Where the kernel draws a port, the model takes
the one that the kernel took, if it is one of those it may take; else they disagree.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from random import Random
from typing import Final, Protocol

from bothways.capture.compose_frame import compose_frame
from bothways.capture.layers import Refused
from bothways.capture.link_layer import decode_ethernet
from bothways.conform.nat_bed import NatBed
from bothways.conform.nat_rules import Ruleset, fresh_ruleset
from bothways.conform.nat_table import KernelEntry
from bothways.conform.nat_traffic import Traffic
from bothways.facts.choice import Assumption, Freedom
from bothways.facts.conntrack import Tuple
from bothways.facts.packet import Packet
from bothways.facts.span import Span
from bothways.model.linux.conntrack.tuple import inverse
from bothways.model.linux.nat.draw import Draw
from bothways.model.linux.nat.wanted import port_of
from bothways.model.linux.stack import Stack

__all__ = ["NatConformance", "NatDisagreement", "Source", "UndecidedError", "hold_case", "hold_nat"]

#: Packets of one case.
_LONG: Final = 24
_STATUS: Final = frozenset({"SEEN_REPLY", "ASSURED", "SRC_NAT", "DST_NAT", "SRC_NAT_DONE", "DST_NAT_DONE"})


@dataclass(frozen=True, slots=True)
class NatDisagreement:
    """
    One case, up to the first packet on which kernel and model disagree.

    :param sent: packets up to and with that one, as text, with their legs.
    :param kernel: what the kernel has and the model has not; *model* the other way round.
    """

    number: int
    rules: Ruleset
    sent: tuple[str, ...]
    kernel: tuple[str, ...]
    model: tuple[str, ...]


@dataclass(slots=True)
class NatConformance:
    """
    What was held.

    :param cases: rulesets; *checks* packets; *translated* packets of them that came out rewritten.
    :param draws: ports that the kernel drew and the model's set held.
    """

    cases: int = 0
    checks: int = 0
    translated: int = 0
    draws: int = 0
    disagreements: int = 0
    seconds: float = 0.0
    first: list[NatDisagreement] = field(default_factory=list)


class UndecidedError(Exception):
    """The model asked for something that is no draw of a port."""


@dataclass(slots=True)
class _Follower:
    """An oracle that takes the ports that the kernel drew."""

    entries: dict[Tuple, KernelEntry] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    draws: int = 0

    def choose(
        self,
        key: str,
        options: Sequence[str],
        *,
        freedom: Freedom,
        recorded: str | None = None,
        evidence: tuple[Span, ...] = (),
    ) -> str:
        """Nobody listens on the router; nothing else is free here."""
        if key.startswith("listener of "):
            return options[-1]
        raise UndecidedError(key, options, freedom, recorded, evidence)

    def assume(self, assumption: Assumption) -> None:
        """Defaults hold."""

    def draw(self, draw: Draw) -> int | None:
        """Return the port of the kernel's entry; one outside the set is noted."""
        entry = self.entries.get(draw.wanted.connection.original)
        if entry is None:
            return None
        port = port_of(inverse(entry.reply), draw.wanted.side)
        self.draws += 1
        if not draw.free(port):
            self.wrong.append(f"{draw}: {port} is taken, or outside {draw.low}-{draw.high}")
        return port


def hold_nat(count: int, seed: int, *, keep: int = 5, kernel: str | None = None) -> NatConformance:
    """
    Hold the model's NAT against the kernel of this machine. Needs root, ``ip``, ``nft`` and ``iptables``.

    :param count: how many rulesets.
    :param keep: how many disagreements are kept whole.
    :param kernel: release whose behaviour the model takes, None for the running one.
    :raises OSError: if the router cannot be built.
    """
    outcome, random = NatConformance(), Random(seed)
    start = time.process_time()
    with closing(NatBed(f"bwn{os.getpid()}")) as bed:
        for number in range(count):
            chance = Random(random.getrandbits(64))
            rules = fresh_ruleset(chance)
            found = hold_case(bed, rules, Traffic(chance), _LONG, outcome, number=number, kernel=kernel)
            if found is not None and len(outcome.first) < keep:
                outcome.first.append(found)
    outcome.seconds = time.process_time() - start
    return outcome


class Source(Protocol):
    """Where the packets of a case come from."""

    def next(self) -> tuple[str, Packet]:
        """Return the next packet, and the leg it goes into; "" for one of the router's own."""

    def heard(self, came: Sequence[tuple[str, Packet]]) -> None:
        """Take note of what came out."""


def hold_case(
    bed: NatBed,
    rules: Ruleset,
    traffic: Source,
    length: int,
    outcome: NatConformance,
    *,
    number: int = 0,
    kernel: str | None = None,
) -> NatDisagreement | None:
    """
    Send packets through the kernel and the model, up to the first on which they disagree.

    :param length: how many.
    :param outcome: what is held is counted there.
    """
    space = bed.load(rules)
    oracle = _Follower()
    stack = Stack(space, oracle=oracle, kernel=kernel or os.uname().release)
    said: list[str] = []
    outcome.cases += 1
    for _ in range(length):
        leg, packet = traffic.next()
        if leg:
            packet = packet.with_macs(packet.ethernet.src, bed.macs[leg])
        said.append(f"{leg or 'own'}: {_words(packet)}")
        came = [(at, read) for at, frame in bed.send(leg, compose_frame(packet)) if (read := _read(frame))]
        entries = bed.table.entries()
        theirs = [f"{at}: {_words(read)}" for at, read in came]
        theirs += [_entry(each.original, each.reply, each.status) for each in entries]
        oracle.entries = {each.original: each for each in entries}
        ours = _modelled(stack, leg, packet, oracle)
        outcome.checks += 1
        if sorted(theirs) != sorted(ours):
            outcome.disagreements += 1
            only = tuple(each for each in theirs if each not in ours)
            return NatDisagreement(
                number, rules, tuple(said), only, tuple(each for each in ours if each not in theirs)
            )
        outcome.translated += sum(
            (read.source, read.destination) != (packet.source, packet.destination) for _, read in came
        )
        traffic.heard(came)
    outcome.draws += oracle.draws
    return None


def _modelled(stack: Stack, leg: str, packet: Packet, oracle: _Follower) -> list[str]:
    """What the model lets out, its entries, and what it does not know."""
    try:
        passage = stack.receive(leg, packet, 0) if leg else stack.send(packet, 0)
    except UndecidedError as error:
        return [str(error)]
    told = [f"{each.device}: {_words(each.packet)}" for each in passage.transmissions]
    told += [_entry(each.original, each.reply, each.status) for each in stack.conntrack.connections()]
    return [*told, *passage.unknown, *oracle.wrong]


def _read(frame: bytes) -> Packet | None:
    read = decode_ethernet(frame, len(frame))
    return None if isinstance(read, Refused) else read.packet


def _words(packet: Packet) -> str:
    """What NAT may change of a packet, and what tells it from others."""
    text = f"{packet}"
    icmp = packet.icmp
    if icmp is not None:
        text += f" id {icmp.id}"
        if icmp.inner is not None:
            inner = icmp.inner
            number = "" if inner.icmp is None else f" id {inner.icmp.id}"
            text += f" about {inner.source} > {inner.destination}{number}"
    return text


def _entry(original: Tuple, reply: Tuple, status: frozenset[str] | set[str]) -> str:
    return f"entry {original} / {reply} {' '.join(sorted(status & _STATUS))}"
