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
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from random import Random
from typing import Final, Protocol

from bothways.capture.compose_frame import compose_frame
from bothways.conform.nat_bed import NatBed
from bothways.conform.nat_rules import Ruleset, fresh_ruleset
from bothways.conform.nat_traffic import Traffic
from bothways.conform.netfilter_case import Heard, NetfilterCase, Sent
from bothways.conform.netfilter_comparison import decoded
from bothways.conform.netfilter_replay import Held, Holder, read_router
from bothways.facts.packet import Packet

__all__ = [
    "LENGTH",
    "NatConformance",
    "NatDisagreement",
    "Source",
    "ask_case",
    "fresh_nat_cases",
    "hold_case",
    "hold_nat",
]

#: Packets of one case.
LENGTH: Final = 24


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
            found = hold_case(bed, rules, Traffic(chance), LENGTH, outcome, number=number, kernel=kernel)
            if found is not None and len(outcome.first) < keep:
                outcome.first.append(found)
    outcome.seconds = time.process_time() - start
    return outcome


def fresh_nat_cases(
    count: int, seed: int, *, kernel: str | None = None
) -> Iterator[tuple[NetfilterCase, list[Held]]]:
    """
    Ask the kernel of this machine with fresh NAT rulesets, as :func:`ask_case` does.

    The router stands as long as this is asked for more.

    :raises OSError: if it cannot be built.
    """
    random = Random(seed)
    with closing(NatBed(f"bwn{os.getpid()}")) as bed:
        for number in range(count):
            chance = Random(random.getrandbits(64))
            rules = fresh_ruleset(chance)
            yield ask_case(bed, rules, Traffic(chance), LENGTH, f"nat/{seed}/{number}", kernel=kernel)


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
    case, held = ask_case(bed, rules, traffic, length, f"nat/{number}", kernel=kernel)
    outcome.cases += 1
    outcome.checks += len(held)
    outcome.draws += sum(each.draws for each in held)
    outcome.translated += sum(map(_translated, case.sent, case.heard))
    last = held[-1]
    if last.agrees:
        return None
    outcome.disagreements += 1
    said = tuple(f"{sent.into or 'own'}: {_words(sent.frame)}" for sent in case.sent)
    return NatDisagreement(number, rules, said, last.kernel, (*last.model, *last.unknown))


def ask_case(
    bed: NatBed, rules: Ruleset, traffic: Source, length: int, name: str, *, kernel: str | None = None
) -> tuple[NetfilterCase, list[Held]]:
    """
    Ask the kernel, and hold the model beside it, up to the first packet on which they do not agree.

    :return: the case as it is recorded, and packet by packet how it was held.
    """
    release = os.uname().release
    dumps = bed.load(rules)
    holder = Holder(read_router(dumps)[0], kernel or release)
    asked: list[Sent] = []
    heard: list[Heard] = []
    held: list[Held] = []
    for _ in range(length):
        leg, packet = traffic.next()
        if leg:
            packet = packet.with_macs(packet.ethernet.src, bed.macs[leg])
        sent = Sent(leg, compose_frame(packet))
        before = bed.delivered()
        out = tuple(bed.send(leg, sent.frame))
        came = Heard(out, bed.delivered() - before, tuple(bed.table.entries()))
        asked.append(sent)
        heard.append(came)
        held.append(holder.hold(sent, came))
        if not held[-1].agrees:
            break
        traffic.heard([(at, read) for at, frame in out if (read := decoded(frame))])
    return NetfilterCase(name, release, dumps, tuple(asked), tuple(heard)), held


def _translated(sent: Sent, heard: Heard) -> int:
    """How many packets came out with other ends than the one that went in."""
    packet = decoded(sent.frame)
    out = (decoded(frame) for _, frame in heard.out)
    return sum(
        packet is not None
        and each is not None
        and (each.source, each.destination) != (packet.source, packet.destination)
        for each in out
    )


def _words(frame: bytes) -> str:
    return str(decoded(frame) or frame.hex())
