"""Who listens while a packet meets rules at a hook: the account of a walk, or nobody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bothways.facts.choice import Freedom, Oracle
from bothways.facts.iptables import Rule
from bothways.facts.packet import Packet
from bothways.facts.span import Span
from bothways.facts.step import Did
from bothways.model.linux.buffer import Buffer
from bothways.model.linux.iptables.targets import Effect
from bothways.model.linux.passage import Account

__all__ = ["Quiet", "Told", "Visitor"]


class Visitor(Protocol):
    """One packet at one hook, as far as a listener asks."""

    @property
    def account(self) -> Account:
        """Where steps and doubts are written down."""

    @property
    def buffer(self) -> Buffer:
        """The packet."""

    @property
    def device(self) -> str:
        """The device that a step is told of."""

    @property
    def label(self) -> str:
        """The namespace."""

    @property
    def oracle(self) -> Oracle:
        """Who is asked."""

    def named(self, function: str) -> str:
        """A function of the kernel as it is called for the packet's IP version."""


@dataclass(frozen=True, slots=True)
class Told:
    """A listener that writes down what it hears. *function* is the one that steps are told of."""

    visit: Visitor
    function: str

    def doubt(self, text: str) -> None:
        """Write down what is not known."""
        self.visit.account.doubt(f"{self.visit.label}: {text}")

    def choose(self, key: str, options: list[str], *, freedom: Freedom, evidence: tuple[Span, ...]) -> str:
        """Ask the oracle."""
        return self.visit.oracle.choose(key, options, freedom=freedom, evidence=evidence)

    def changed(self, effect: Effect, rule: Rule, cell: str, before: Packet) -> None:
        """Write down a change."""
        visit = self.visit
        visit.account.note(
            visit.device,
            self.function,
            effect.did or Did.CHANGED,
            before,
            effect.reason,
            after=visit.buffer.packet,
            evidence=(rule.span,),
            cell=cell,
        )


@dataclass(frozen=True, slots=True)
class Quiet:
    """A listener of a walk that does not happen: it takes the likeliest and tells nobody."""

    def doubt(self, text: str) -> None:
        """Not told."""

    def choose(self, key: str, options: list[str], *, freedom: Freedom, evidence: tuple[Span, ...]) -> str:  # noqa: ARG002 - the protocol's names
        """Take the likeliest."""
        return options[0]

    def changed(self, effect: Effect, rule: Rule, cell: str, before: Packet) -> None:
        """Nothing changes."""
