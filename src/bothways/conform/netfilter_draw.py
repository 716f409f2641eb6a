"""A whole setting, drawn: rules of iptables, ip6tables and nft, routes, policy rules, sysctls."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from bothways.conform.netfilter_case import Chain, Line, Setting
from bothways.conform.netfilter_drawn_native import drawn_native
from bothways.conform.netfilter_drawn_rules import drawn_iptables
from bothways.conform.netfilter_drawn_ways import drawn_sysctls, drawn_ways
from bothways.conform.nft_draw import drawn_ruleset

__all__ = ["Drawn", "fresh_setting"]

#: Share of cases whose packets are IPv6.
_SIX: Final = 0.25
#: Share of native tables that use the language in its breadth.
_BROAD: Final = 0.4


@dataclass(frozen=True, slots=True)
class Drawn:
    """
    A setting for one case.

    :param version: of IP, of which the packets are.
    :param forms: number of a dump -> in which of its forms it is read.
    """

    setting: Setting
    version: int
    forms: dict[int, int]


def fresh_setting(chance: Random) -> Drawn:
    """Draw what a case is about."""
    version = 6 if chance.random() < _SIX else 4
    chains: list[Chain] = []
    lines: list[Line] = []
    kind = chance.random()
    if kind < 0.75:
        more = drawn_iptables(chance, version)
        chains += more[0]
        lines += more[1]
    if kind > 0.45:
        native = drawn_ruleset if chance.random() < _BROAD else drawn_native
        more = native(chance, version)
        chains += more[0]
        lines += more[1]
    if chance.random() < 0.1:  # rules of the other version must not matter
        more = drawn_iptables(chance, 10 - version)
        chains += more[0]
        lines += more[1]
    forms = {number: chance.randrange(2) for number in range(10)}
    sysctls, ways = drawn_sysctls(chance), drawn_ways(chance, version)
    return Drawn(Setting(tuple(chains), tuple(lines), tuple(sysctls), tuple(ways)), version, forms)
