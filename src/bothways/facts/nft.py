"""
What ``nft list ruleset`` prints: native tables, chains, rules as statements.

Conditions and actions that iptables has too are kept as iptables' own nouns: one model evaluates both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bothways.facts.iptables import Match, Target
from bothways.facts.span import Span

__all__ = ["NftChain", "NftRule", "NftStatement", "NftTable"]


@dataclass(frozen=True, slots=True)
class NftStatement:
    """
    One condition or one action of a rule. One that has neither changes nothing (``counter``, ``log``).

    :param text: as printed.
    :param matches: a condition: holds if any of them does; negated ones (``!=`` a set) must all hold.
    :param target: an action. Beside the targets of iptables: a chain's name with the option ``jump`` (or
        with ``goto`` set), ``RETURN``, and the writes ``ip saddr``, ``ip daddr``, ``th sport``,
        ``th dport`` with the option ``set`` (an address or a number).
    """

    text: str
    matches: tuple[Match, ...] = ()
    target: Target | None = None

    @property
    def modelled(self) -> bool:
        """False if the parser kept the text only."""
        return all(m.modelled for m in self.matches) and (self.target is None or self.target.modelled)


@dataclass(frozen=True, slots=True)
class NftRule:
    """One rule: statements from the left; the first condition that does not hold ends it."""

    statements: tuple[NftStatement, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class NftChain:
    """
    One chain. *kind*, *hook*, *priority*, *policy* are None for chains that are only jumped to.

    :param kind: ``filter``, ``nat`` or ``route``.
    :param hook: in lower case: ``prerouting``, ``input``, ``ingress`` …
    :param priority: as a number; names such as ``dstnat`` are resolved by family (nft(8)).
    :param devices: for netdev hooks.
    """

    name: str
    rules: tuple[NftRule, ...]
    span: Span
    kind: str | None = None
    hook: str | None = None
    priority: int | None = None
    policy: str | None = None
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NftTable:
    """
    One table of a family (``ip``, ``ip6``, ``inet``, ``arp``, ``bridge``, ``netdev``).

    :param dormant: its chains are off their hooks.
    """

    family: str
    name: str
    chains: Mapping[str, NftChain]
    span: Span
    dormant: bool = False
