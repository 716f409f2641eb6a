"""What ``nft list ruleset`` prints: native tables, chains, rules as statements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bothways.facts.span import Span

__all__ = ["NftChain", "NftRule", "NftStatement", "NftTable"]


@dataclass(frozen=True, slots=True)
class NftStatement:
    """
    One match or action of a rule.

    :param name: the selector or statement: ``iifname``, ``ip saddr``, ``ct state``, ``meta mark``,
        ``accept``, ``drop``, ``notrack``, ``jump``, ``set`` …
    :param value: decoded by the parser; for ``set`` the selector that is written and its value.
    :param operator: ``==``, ``!=`` …; empty for actions.
    :param modelled: False if the parser kept the text only.
    """

    name: str
    value: object = None
    operator: str = ""
    text: str = ""
    modelled: bool = True


@dataclass(frozen=True, slots=True)
class NftRule:
    """One rule: statements from the left; the first match that does not hold ends it."""

    statements: tuple[NftStatement, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class NftChain:
    """
    One chain. *hook*, *priority*, *kind*, *policy* are None for chains that are only jumped to.

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
    """One table of a family (``ip``, ``ip6``, ``inet``, ``arp``, ``bridge``, ``netdev``)."""

    family: str
    name: str
    chains: Mapping[str, NftChain]
    span: Span
