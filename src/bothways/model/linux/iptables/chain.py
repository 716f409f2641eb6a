"""
The walk of one table's chains for one packet.

``ipt_do_table``: rules in order; a jump comes back behind itself, a goto does not; RETURN and the end of a
chain go back to the caller; at the end of a built-in chain its policy decides. Where it cannot be told
whether a rule matches, and it matters, both are walked: the oracle is asked, and the doubt is told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bothways.facts.iptables import Chain, Rule, Table, Target
from bothways.facts.span import Span
from bothways.facts.step import Did
from bothways.model.linux.buffer import Buffer
from bothways.model.linux.hook import Hook
from bothways.model.linux.iptables.listener import Listener, in_words, pass_or_drop, take_or_leave
from bothways.model.linux.iptables.matches import matches
from bothways.model.linux.iptables.probe import Probe
from bothways.model.linux.iptables.targets import IDLE, Effect, Resolver, Verdict, apply

__all__ = ["Decision", "Listener", "traverse"]

#: Deeper than iptables lets chains be nested; more is a dump that was pieced together.
_DEPTH: Final = 64


@dataclass(frozen=True, slots=True)
class Decision:
    """
    What a table decided.

    :param effect: of the rule that decided; for a policy its verdict alone.
    :param rule: None if the chain's policy decided.
    :param cell: the chains that led there: ``nat/PREROUTING/neutron-l3-agent-PREROUTING``.
    """

    effect: Effect
    rule: Rule | None
    cell: str
    evidence: tuple[Span, ...] = ()


def traverse(
    table: Table,
    hook: Hook,
    buffer: Buffer,
    probe: Callable[[Buffer], Probe],
    resolver: Resolver,
    listener: Listener,
) -> Decision:
    """Walk a packet through the built-in chain of a hook. A table without that chain accepts."""
    chain = table.chains.get(hook)
    cell = f"{table.name}/{hook}"
    if chain is None:
        return Decision(Effect(Verdict.ACCEPT), None, cell)
    walk = _Walk(table, hook, buffer, probe, resolver, listener)
    found = walk.chain(chain, cell, 0)
    if found is not None:
        return found
    if chain.policy == "DROP":
        effect = Effect(Verdict.DROP, Did.DROPPED, f"the policy of {table.name} {hook} drops it")
        return Decision(effect, None, cell, (chain.span,))
    if chain.policy is None:
        listener.doubt(f"the policy of {table.name} {hook} is not in the dump {chain.span.file}")
    return Decision(Effect(Verdict.ACCEPT), None, cell, (chain.span,))


@dataclass(slots=True)
class _Walk:
    table: Table
    hook: Hook
    buffer: Buffer
    probe: Callable[[Buffer], Probe]
    resolver: Resolver
    listener: Listener
    asked: Probe | None = None
    known: dict[int, bool | None] = field(default_factory=dict)

    def chain(self, chain: Chain, cell: str, depth: int) -> Decision | None:
        """Walk one chain; None if it goes back to its caller."""
        if depth > _DEPTH:
            self.listener.doubt(f"the chains of table {self.table.name} lead in a circle at {chain.name}")
            return None
        for rule in chain.rules:
            if not self._holds(rule):
                continue
            target = rule.target
            if target is None:
                continue
            if target.name == "RETURN":
                return None
            called = self.table.chains.get(target.name)
            if called is not None:
                found = self.chain(called, f"{cell}/{called.name}", depth + 1)
                if found is not None or target.goto:
                    return found
                continue
            found = self._do(rule, target, cell)
            if found is not None:
                return found
        return None

    def _do(self, rule: Rule, target: Target, cell: str) -> Decision | None:
        before = self.buffer.packet
        self.asked = None  # what follows may look at another packet
        effect = apply(rule, target, self.buffer, self.hook, self.resolver)
        if effect.doubt:
            self.listener.doubt(f"{effect.doubt}: {in_words(rule)}")
        if effect.verdict is Verdict.UNDECIDED:
            effect = pass_or_drop(self.listener, rule, target.name, self.buffer.packet)
        if effect.verdict is not None:
            return Decision(effect, rule, cell, (rule.span,))
        if effect.did is not None:
            self.listener.changed(effect, rule, cell, before)
        return None

    def _holds(self, rule: Rule) -> bool:
        """Whether a rule matches; where that is open and matters, the oracle says."""
        if self.asked is None:
            self.asked = self.probe(self.buffer)
            self.known = {}
        answer, open_ = matches(self.asked, rule, self.known)
        if answer is not None:
            return answer
        if not self._matters(rule):
            return False
        return take_or_leave(self.listener, rule, open_, self.buffer.packet)

    def _matters(self, rule: Rule) -> bool:
        """False for a rule that changes nothing, whether it matches or not."""
        target = rule.target
        if target is None or target.name in IDLE:
            return False
        called = self.table.chains.get(target.name)
        return called is None or bool(called.rules) or target.goto
