"""What ``nft list ruleset`` prints: tables, their sets and objects, chains, rules as statements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bothways.facts.nft_action import Action, Opaque
from bothways.facts.nft_expression import Element
from bothways.facts.span import Span

__all__ = ["NftChain", "NftObject", "NftRule", "NftSet", "NftStatement", "NftTable"]


@dataclass(frozen=True, slots=True)
class NftStatement:
    """
    One condition or one action of a rule.

    :param text: in nft's words; two statements that do the same are the same whatever their words.
    """

    does: Action
    text: str = field(default="", compare=False)

    @property
    def modelled(self) -> bool:
        """False if the parser kept the text only."""
        return not isinstance(self.does, Opaque)


@dataclass(frozen=True, slots=True)
class NftRule:
    """
    One rule: statements from the left; the first condition that does not hold ends it.

    :param handle: its number in the table, None where it was not printed (``nft -a``, ``nft -j``).
    """

    statements: tuple[NftStatement, ...]
    span: Span
    handle: int | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class NftSet:
    """
    A named set, map or meter.

    :param key: data types of the parts of a key; *data* those of what a map gives (``verdict`` alone for a
        verdict map), empty for a set.
    :param elements: as they stood in the dump; those that time out may have come and gone.
    :param flags: ``interval``, ``dynamic``, ``timeout``, ``constant``.
    """

    name: str
    key: tuple[str, ...]
    data: tuple[str, ...]
    elements: tuple[Element, ...]
    span: Span
    flags: frozenset[str] = frozenset()
    timeout_s: int | None = None


@dataclass(frozen=True, slots=True)
class NftObject:
    """A named ``counter``, ``quota``, ``limit``, ``ct helper``, ``flowtable`` …, with what it says."""

    kind: str
    name: str
    span: Span
    terms: tuple[tuple[str, str], ...] = ()
    devices: tuple[str, ...] = ()


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
    :param by_iptables: it looks like one that ``iptables-nft`` keeps, by its name and those of its chains.
    """

    family: str
    name: str
    chains: Mapping[str, NftChain]
    span: Span
    dormant: bool = False
    sets: Mapping[str, NftSet] = field(default_factory=dict)
    objects: Mapping[tuple[str, str], NftObject] = field(default_factory=dict)
    by_iptables: bool = False
