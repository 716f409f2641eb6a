"""
Who hears of a walk through rules, and is asked where it cannot be told what a rule does.

Both ways are walked then: the oracle is asked, and the doubt is told.
"""

from __future__ import annotations

from typing import Final, Protocol

from bothways.facts.choice import Freedom
from bothways.facts.iptables import Match, Rule
from bothways.facts.packet import Packet, flags_text
from bothways.facts.span import Span
from bothways.facts.step import Did
from bothways.model.linux.iptables.matches import MATCHES, VARYING
from bothways.model.linux.iptables.memory import REASONS, likely
from bothways.model.linux.iptables.targets import Effect, Verdict

__all__ = ["Listener", "in_words", "pass_or_drop", "take_or_leave"]

_WORDS: Final = 120


class Listener(Protocol):
    """Who is told what happens during a walk, and asked what cannot be told."""

    def doubt(self, text: str) -> None:
        """Hear of something that is not known or not modelled."""

    def choose(self, key: str, options: list[str], *, freedom: Freedom, evidence: tuple[Span, ...]) -> str:
        """Say which of the options happens."""

    def changed(self, effect: Effect, rule: Rule, cell: str, before: Packet) -> None:
        """Hear of a rule that changed the packet or what goes with it."""


def take_or_leave(listener: Listener, rule: Rule, open_: tuple[Match, ...], packet: Packet) -> bool:
    """Ask whether a rule matches, of which the matches *open_* cannot be told."""
    modules = {match.name.partition(".")[0] for match in open_}
    freedom = Freedom.FREE if modules == {"statistic"} else Freedom.UNKNOWN
    if freedom is Freedom.UNKNOWN:
        what = ", ".join(_open(match) for match in open_)
        listener.doubt(f"whether a rule matches, because of {what}: {in_words(rule)}")
    yes, no = f"the rule matches: {in_words(rule)}", f"the rule does not match: {in_words(rule)}"
    options = [yes, no] if all(likely(match) for match in open_) else [no, yes]
    key = _key(rule, packet, varying=bool(modules & VARYING))
    return listener.choose(key, options, freedom=freedom, evidence=(rule.span,)) == yes


def pass_or_drop(listener: Listener, rule: Rule, name: str, packet: Packet) -> Effect:
    """Ask what becomes of a packet that is handed to something that is not modelled."""
    on, off = (
        f"a packet that {name} takes ({in_words(rule)}) goes on",
        f"it is dropped there ({in_words(rule)})",
    )
    taken = listener.choose(
        f"{_key(rule, packet)} verdict", [on, off], freedom=Freedom.UNKNOWN, evidence=(rule.span,)
    )
    return Effect() if taken == on else Effect(Verdict.DROP, Did.DROPPED, off)


def in_words(rule: Rule) -> str:
    """A rule as it reads, in backticks, shortened to what a message can carry."""
    text = rule.span.text.strip()
    return f"`{text if len(text) <= _WORDS else text[:_WORDS] + '…'}`"


def _key(rule: Rule, packet: Packet, *, varying: bool = False) -> str:
    flags = f" [{flags_text(packet.tcp.flags)}]" if varying and packet.tcp is not None else ""
    return f"rule {rule.span} for {packet.source} > {packet.destination}{flags}"


def _open(match: Match) -> str:
    module = match.name.partition(".")[0]
    if not (match.modelled and match.name in MATCHES):
        return f"`{match.name}`, which is not modelled"
    return f"`{match.name}`, which the evidence does not show ({REASONS.get(module, 'the packet')})"
