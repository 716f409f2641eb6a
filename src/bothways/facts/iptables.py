"""What ``iptables-save`` prints: tables, chains, rules, matches, targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bothways.facts.span import Span

__all__ = ["Chain", "Match", "Rule", "Table", "Target"]


@dataclass(frozen=True, slots=True)
class Match:
    """
    One condition of a rule.

    :param name: the option without dashes, qualified by its module where it has one:
        ``source``, ``destination``, ``in-interface``, ``out-interface``, ``protocol``, ``fragment``,
        ``tcp.dport``, ``tcp.sport``, ``tcp.tcp-flags``, ``udp.dport``, ``icmp.icmp-type``, ``mark.mark``,
        ``connmark.mark``, ``conntrack.ctstate``, ``state.state``, ``comment.comment``, …
    :param value: decoded by the parser: an ``IPNetwork``, ``int``, ``(int, int)`` for a range or a
        value and mask, ``frozenset[str]`` for state lists, ``str`` for device names and text.
    :param modelled: False if the parser knows no decoder; *value* is then the raw text.
    """

    name: str
    value: object
    negate: bool = False
    modelled: bool = True


@dataclass(frozen=True, slots=True)
class Target:
    """
    What a rule does: ``ACCEPT``, ``DNAT``, a chain's name …

    :param options: option without dashes -> decoded value: ``to-destination`` -> ``Range``-like text is
        decoded by the parser (see ``parse.iptables``); flags map to True.
    :param goto: True for ``-g CHAIN``.
    :param modelled: False if an option was not understood.
    """

    name: str
    options: Mapping[str, object] = field(default_factory=dict)
    goto: bool = False
    modelled: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    """One ``-A`` line. *packets*/*octets* are None if the dump has no counters."""

    table: str
    chain: str
    matches: tuple[Match, ...]
    target: Target | None
    span: Span
    packets: int | None = None
    octets: int | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain. *policy* is None for user chains (``-``)."""

    name: str
    policy: str | None
    rules: tuple[Rule, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Table:
    """One table (``filter``, ``nat``, ``mangle``, ``raw``, ``security``) with its chains by name."""

    name: str
    chains: Mapping[str, Chain]
    span: Span
