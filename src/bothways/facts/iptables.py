"""What ``iptables-save`` prints: tables, chains, rules, matches, targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bothways.facts.address import IPAddress
from bothways.facts.span import Span

__all__ = ["AddressRange", "Chain", "Match", "Rule", "Table", "Target"]


@dataclass(frozen=True, slots=True)
class AddressRange:
    """
    Addresses and ports that a NAT target may choose from, or that ``iprange`` admits.

    *low* to *high* and *port_low* to *port_high*, both ends included; a single address or port
    is a range of one. None = the target leaves the address or the port to the packet. *port_base* is the
    port that becomes *port_low* where the range is shifted (``1000-1999/5000``), None where it is not.
    """

    low: IPAddress | None = None
    high: IPAddress | None = None
    port_low: int | None = None
    port_high: int | None = None
    port_base: int | None = None


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
    What a rule does: ``ACCEPT``, ``DNAT``, or a chain's name.

    :param options: option without dashes -> decoded value: ``to-destination`` -> :class:`AddressRange`;
        flags map to True. ``parse.iptables`` lists the type of every option.
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
    """
    One table (``filter``, ``nat``, ``mangle``, ``raw``, ``security``) with its chains by name.

    :param by_nft: True if the dump says that its chains are nft's (``iptables-nft``).
    """

    name: str
    chains: Mapping[str, Chain]
    span: Span
    by_nft: bool = False
