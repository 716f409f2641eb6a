"""
The walk of one native nft chain for one packet.

``nft_do_chain``: rules in order, the statements of a rule from the left; the first condition that does not
hold ends the rule, and what stood before it was done. A jump comes back behind its rule, a goto does not;
``accept`` ends this base chain and no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from bothways.facts.iptables import Rule
from bothways.facts.nft import NftChain, NftRule, NftStatement
from bothways.facts.nft_action import Action, Assign, Compare, Dispatch, Gate, Opaque, Remark, Update
from bothways.facts.nft_expression import Element, Verdict
from bothways.facts.step import Did
from bothways.model.linux.buffer import Buffer
from bothways.model.linux.hook import Hook
from bothways.model.linux.iptables.chain import Decision
from bothways.model.linux.iptables.listener import Listener, in_words, pass_or_drop
from bothways.model.linux.iptables.probe import Probe
from bothways.model.linux.iptables.targets import Effect, Resolver
from bothways.model.linux.iptables.targets import Verdict as Fate
from bothways.model.linux.nftables.condition import compare
from bothways.model.linux.nftables.effect import Doer
from bothways.model.linux.nftables.element import elements_of, lookup
from bothways.model.linux.nftables.fork import one_of, take_or_leave
from bothways.model.linux.nftables.value import keys
from bothways.model.linux.nftables.view import BREAK, Memory, View
from bothways.model.linux.stages import Native

__all__ = ["FUNCTION", "walk"]

#: The function that steps of nft rules are told of.
FUNCTION: Final = "nft_do_chain"
#: ``NFT_JUMP_STACK_SIZE``: nft does not load rules that jump deeper.
_DEPTH: Final = 16
_ACCEPT: Final = Effect(Fate.ACCEPT, Did.MATCHED, "a rule accepts it")
_DROP: Final = Effect(Fate.DROP, Did.DROPPED, "a rule drops it")


def walk(
    native: Native,
    hook: Hook,
    buffer: Buffer,
    probe: Callable[[Buffer], Probe],
    resolver: Resolver,
    listener: Listener,
    memory: Memory,
) -> Decision:
    """
    Walk a packet through a base chain.

    :param memory: what rules put into sets so far; grows.
    """
    table, chain = native.table, native.chain
    cell = f"{table.family} {table.name}/{chain.name}"
    found = _Walk(native, hook, buffer, probe, resolver, listener, memory).chain(chain, cell, 0)
    if found is not None:
        return found
    if chain.policy == "drop":
        effect = Effect(Fate.DROP, Did.DROPPED, f"the policy of the nft chain {cell} drops it")
        return Decision(effect, None, cell, (chain.span,))
    return Decision(Effect(Fate.ACCEPT), None, cell, (chain.span,))


class _Go(Enum):
    """Where a rule leaves the packet that it did not decide about."""

    ON = "to the next rule"
    NEXT = "to the next statement"
    BACK = "to the caller of the chain"


@dataclass(slots=True)
class _Walk:
    native: Native
    hook: Hook
    buffer: Buffer
    probe: Callable[[Buffer], Probe]
    resolver: Resolver
    listener: Listener
    memory: Memory

    def chain(self, chain: NftChain, cell: str, depth: int) -> Decision | None:
        """Walk one chain; None if it goes back to its caller."""
        if depth > _DEPTH:
            name = self.native.table.name
            self.listener.doubt(f"the chains of table {name} lead too deep at {chain.name}")
            return None
        for rule in chain.rules:
            found = self._rule(rule, chain, cell, depth)
            if found is _Go.BACK:
                return None
            if isinstance(found, Decision):
                return found
        return None

    def _rule(self, rule: NftRule, chain: NftChain, cell: str, depth: int) -> Decision | _Go:
        table = self.native.table
        plain = Rule(f"{table.family} {table.name}", chain.name, (), None, rule.span)
        for number, statement in enumerate(rule.statements, 1):
            found = self._statement(statement, plain, rule.statements[number:], cell, depth)
            if found is not _Go.NEXT:
                return found
        return _Go.ON

    def _statement(
        self, statement: NftStatement, rule: Rule, rest: tuple[NftStatement, ...], cell: str, depth: int
    ) -> Decision | _Go:
        action = statement.does
        if isinstance(action, Remark):
            return _Go.NEXT
        if isinstance(action, Verdict):
            return self._verdict(action, rule, cell, depth)
        if isinstance(action, Dispatch):
            return self._dispatch(action, rule, cell, depth)
        if isinstance(action, Opaque) and action.decides:
            self.listener.doubt(f"`{action.text}` is not modelled: {in_words(rule)}")
            return self._after(
                pass_or_drop(self.listener, rule, f"`{action.text}`", self.buffer.packet), rule, cell
            )
        if isinstance(action, Compare | Gate | Opaque):
            return _Go.NEXT if self._holds(statement, rule, rest) else _Go.ON
        return self._do(action, rule, rest, cell)

    # -- verdicts ---------------------------------------------------------------------------------------

    def _verdict(self, verdict: Verdict, rule: Rule, cell: str, depth: int) -> Decision | _Go:
        plain = _PLAIN.get(verdict.kind)
        if plain is not None:
            return Decision(plain, rule, cell, (rule.span,)) if isinstance(plain, Effect) else plain
        called = self.native.table.chains.get(verdict.chain)
        if called is None:
            name = self.native.table.name
            self.listener.doubt(f"what the chain {verdict.chain} of table {name} does: not in the dump")
            return _Go.ON
        found = self.chain(called, f"{cell}/{called.name}", depth + 1)
        return found or (_Go.BACK if verdict.kind == "goto" else _Go.ON)

    def _dispatch(self, dispatch: Dispatch, rule: Rule, cell: str, depth: int) -> Decision | _Go:
        view = self._view()
        found = keys(dispatch.key, view)
        cases: list[Element | None] = []
        certain = True
        for value in found.values:
            if BREAK in value:
                cases.append(None)
                continue
            met = lookup(value, elements_of(dispatch.cases, self.native.table, self.memory))
            certain = certain and met.certain
            if not met.known and (met.elements[0] is None):
                self.listener.doubt(f"what a verdict map holds is not known: {in_words(rule)}")
                return self._after(
                    pass_or_drop(self.listener, rule, "a verdict map", self.buffer.packet), rule, cell
                )
            cases.extend(met.elements)
        verdicts = list(dict.fromkeys(_verdict_of(each) for each in cases))
        chosen = verdicts[0]
        if len(verdicts) > 1:
            options = [_in_words(each) for each in verdicts]
            what = "which verdict of a map a packet meets is not known"
            free = certain and found.free
            taken = one_of(self.listener, rule, self.buffer.packet, what, options, free=free, varying=free)
            chosen = verdicts[options.index(taken)]
        return _Go.ON if chosen is None else self._verdict(chosen, rule, cell, depth)

    # -- actions ----------------------------------------------------------------------------------------

    def _do(self, action: Action, rule: Rule, rest: tuple[NftStatement, ...], cell: str) -> Decision | _Go:
        before = self.buffer.packet
        effect = Doer(self._view(), rule, self.resolver, self.listener).do(action)
        if effect is BREAK or not isinstance(effect, Effect):
            return _Go.ON
        if isinstance(action, Update) and any(
            not self._open(gate, _text(gate), rule, rest) for gate in action.gates
        ):
            return _Go.ON
        if effect.doubt:
            self.listener.doubt(f"{effect.doubt}: {in_words(rule)}")
        if effect.verdict is Fate.UNDECIDED:
            effect = pass_or_drop(self.listener, rule, "the rule", self.buffer.packet)
        if effect.did is not None and effect.verdict is None:
            self.listener.changed(effect, rule, cell, before)
        return self._after(effect, rule, cell)

    def _after(self, effect: Effect, rule: Rule, cell: str) -> Decision | _Go:
        return _Go.NEXT if effect.verdict is None else Decision(effect, rule, cell, (rule.span,))

    # -- conditions -------------------------------------------------------------------------------------

    def _holds(self, statement: NftStatement, rule: Rule, rest: tuple[NftStatement, ...]) -> bool:
        """Whether a condition holds; where that is open and matters, the oracle says."""
        action = statement.does
        if isinstance(action, Compare):
            answer = compare(action, self._view())
            if answer.holds is not None:
                return answer.holds
            if not self._matters(rest):
                return False
            why = f"`{statement.text}`, which the evidence does not show"
            return take_or_leave(
                self.listener, rule, self.buffer.packet, why, free=answer.free, varying=answer.free
            )
        return self._open(action, statement.text, rule, rest)

    def _open(self, action: Action, text: str, rule: Rule, rest: tuple[NftStatement, ...]) -> bool:
        if isinstance(action, Opaque) and " set " in text:  # a change, and no condition
            self.listener.doubt(f"what `{text}` changes is not modelled: {in_words(rule)}")
            return True
        if not self._matters(rest):
            return False
        gate = isinstance(action, Gate)
        passing = isinstance(action, Gate) and not action.over
        why = f"`{text}`, which " + ("packets before decide" if gate else "is not modelled")
        return take_or_leave(self.listener, rule, self.buffer.packet, why, passing=passing, varying=gate)

    def _matters(self, rest: tuple[NftStatement, ...]) -> bool:
        """False if nothing that follows in the rule changes anything."""
        return any(self._acts(statement.does) for statement in rest)

    def _acts(self, action: Action) -> bool:
        if isinstance(action, Verdict):
            called = self.native.table.chains.get(action.chain)
            return action.kind not in ("continue", "jump") or (
                action.kind == "jump" and (called is None or bool(called.rules))
            )
        return not isinstance(action, Remark | Compare | Gate | Assign) and not (
            isinstance(action, Opaque) and not action.decides
        )

    def _view(self) -> View:
        return View(self.native.table, self.hook, self.buffer, self.probe(self.buffer), self.memory)


_PLAIN: Final[Mapping[str, Effect | _Go]] = {
    "accept": _ACCEPT,
    "drop": _DROP,
    "return": _Go.BACK,
    "continue": _Go.NEXT,
}


def _verdict_of(element: Element | None) -> Verdict | None:
    """What an element says; a key that meets none ends the rule, which is a ``continue``."""
    return element.data if element is not None and isinstance(element.data, Verdict) else None


def _in_words(verdict: Verdict | None) -> str:
    return "no element: the rule ends" if verdict is None else f"{verdict.kind} {verdict.chain}".strip()


def _text(gate: Gate) -> str:
    return " ".join((gate.kind, *(f"{name} {value}" for name, value in gate.terms)))
