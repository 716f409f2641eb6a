"""
Who answers ARP, or in IPv6 neighbour discovery.

The request is walked through the model like any packet, so every station that would answer is
found: a namespace that holds the address, or a flow that turns the request into a reply. Several
answers are a choice of the network; the neighbour entry of a dump, or the MAC that captured frames
carried, tells which one was made. PERMANENT and NOARP entries leave no choice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bothways.facts.address import IPAddress, Mac
from bothways.facts.choice import Freedom, Oracle
from bothways.facts.device import Neighbour
from bothways.facts.span import Span
from bothways.facts.step import Did, Step
from bothways.model.linux.stack import Stack
from bothways.model.world.observed import Observed
from bothways.model.world.wiring import At

__all__ = ["Neighbours", "Reply"]


@dataclass(frozen=True, slots=True)
class Reply:
    """One ARP reply that came back: who says to hold the address, and its way here."""

    at: At
    address: IPAddress
    mac: Mac
    steps: tuple[Step, ...]

    @property
    def answered(self) -> Step | None:
        """The step in which the reply was made."""
        return next((s for s in reversed(self.steps) if s.did is Did.ANSWERED), None)

    @property
    def station(self) -> str:
        """Who answered, in few words."""
        step = self.answered
        if step is None:
            return "a station"
        if step.place.netns:
            return step.place.device
        return f"{step.place.host} {step.place.device} {step.function}"


#: Asks out of a device of a stack who has an address, for a packet of a sender that waits.
Ask = Callable[[Stack, At, IPAddress, IPAddress | None], list[Reply]]


class Neighbours:
    """Neighbour tables of one walk, filled as packets need them."""

    def __init__(self, ask: Ask, oracle: Oracle, observed: Observed) -> None:
        self._broadcast = ask
        self._oracle = oracle
        self._observed = observed
        self._known: dict[tuple[At, IPAddress], Mac | None] = {}

    def resolve(self, stack: Stack, at: At, address: IPAddress, source: IPAddress | None) -> Mac | None:
        """
        The MAC that frames for *address* get at a device; None if nobody answers.

        :param source: sender of the packet that waits.
        """
        key = (at, address)
        if key not in self._known:
            self._known[key] = self._ask(stack, at, address, source)
        return self._known[key]

    def _ask(self, stack: Stack, at: At, address: IPAddress, source: IPAddress | None) -> Mac | None:
        entry = _entry(stack, at, address)
        if entry is not None and entry.pinned and entry.mac is not None:
            return entry.mac
        seen = self._observed.neighbours.get((str(at), address))
        recorded = seen or (entry.mac if entry is not None else None)
        options: dict[str, Mac] = {}
        evidence: dict[Mac, tuple[Span, ...]] = {}
        for reply in self._broadcast(stack, at, address, source):
            if reply.address == address and reply.mac not in options.values():
                options[f"{address} answered by {reply.mac} ({reply.station})"] = reply.mac
                step = reply.answered
                evidence[reply.mac] = () if step is None else step.evidence
        if recorded is not None and recorded not in options.values():
            place = "captured frames" if seen else "neighbour entry"
            options[f"{address} is at {recorded} ({place})"] = recorded
            evidence[recorded] = () if entry is None else (entry.span,)
        if not options:
            return None
        text = next((t for t, m in options.items() if m == recorded), None)
        chosen = self._oracle.choose(
            f"neighbour {address} at {at}",
            sorted(options, key=lambda t: t != text),
            freedom=Freedom.FREE,
            recorded=text,
            evidence=tuple(span for spans in evidence.values() for span in spans),
        )
        return options[chosen]


def _entry(stack: Stack, at: At, address: IPAddress) -> Neighbour | None:
    rows = stack.netns.neighbours or ()
    return next((n for n in rows if n.address == address and n.device == at.device), None)
