"""Random chains and rules of iptables and ip6tables, from the rows of what can be drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

from bothways.conform.netfilter_case import Chain, Line
from bothways.conform.netfilter_drawn_matches import MATCHES, Drawable
from bothways.conform.netfilter_drawn_targets import TARGETS
from bothways.conform.netfilter_place import PLACES, Place

__all__ = ["drawn_iptables"]

#: Table -> its chains, and how many rules it gets at most.
_TABLES: Final[Mapping[str, tuple[tuple[str, ...], int]]] = {
    "raw": (("PREROUTING", "OUTPUT"), 3),
    "mangle": (("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"), 6),
    "nat": (("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"), 4),
    "filter": (("INPUT", "FORWARD", "OUTPUT"), 10),
}
#: How often a chain is taken: what passes through the router is sent most.
_SHARE: Final[Mapping[str, float]] = {
    "PREROUTING": 3,
    "INPUT": 2,
    "FORWARD": 4,
    "OUTPUT": 1.5,
    "POSTROUTING": 2,
}
_USERS: Final = ("ALPHA", "BETA", "GAMMA")
_PROTOCOLS: Final[Mapping[int, tuple[str, ...]]] = {
    4: ("", "", "", "tcp", "tcp", "udp", "icmp"),
    6: ("", "", "", "tcp", "tcp", "udp", "ipv6-icmp"),
}
#: What looks at the connection: in raw a packet has none, at most a template of one.
_TRACKED: Final = frozenset({"conntrack", "state", "connmark", "connbytes", "helper"})
_FINAL: Final = frozenset({"ACCEPT", "DROP", "RETURN", "REJECT", "REJECT tcp-reset"})


def drawn_iptables(chance: Random, version: int) -> tuple[list[Chain], list[Line]]:
    """Draw the tables of one IP version: one to four of them, with users' chains in some."""
    tool = "iptables" if version == 4 else "ip6tables"
    chains: list[Chain] = []
    lines: list[Line] = []
    chosen = [
        table for table, odds in (("raw", 0.35), ("mangle", 0.5), ("nat", 0.4)) if chance.random() < odds
    ]
    for table in (*chosen, "filter"):
        own_chains, own_lines = _table(chance, tool, table, PLACES[version])
        chains += own_chains
        lines += own_lines
    return chains, lines


def _table(chance: Random, tool: str, table: str, place: Place) -> tuple[list[Chain], list[Line]]:
    built_in, most = _TABLES[table]
    users = _USERS[: chance.choice((0, 0, 1, 2, 3))]
    chains = [Chain(tool, table, name, _policy(chance, table, name)) for name in built_in]
    chains += [Chain(tool, table, name, "-") for name in users]
    lines: list[Line] = []
    # A user's chain is called by those before it only, so that none calls itself.
    callers = {name: _hooks_of(chance, built_in) for name in users}
    for number, user in enumerate(users):
        lines += [_call(chance, tool, table, hook, user, place) for hook in sorted(callers[user])]
        if number and chance.random() < 0.5:
            before = users[number - 1]
            callers[user] = callers[user] | callers[before]
            lines.append(_call(chance, tool, table, before, user, place))
    for _ in range(chance.randint(1, most)):
        name = chance.choice((*users, *chance.choices(built_in, [_SHARE[each] for each in built_in], k=3)))
        hooks = callers.get(name, frozenset({name}))
        lines.insert(chance.randint(0, len(lines)), _rule(chance, tool, table, name, hooks, place))
    return chains, lines


def _policy(chance: Random, table: str, chain: str) -> str:
    odds = {"filter": 0.25, "mangle": 0.03, "raw": 0.02}.get(table, 0.0)
    return "DROP" if chance.random() < odds * (1 if chain != "OUTPUT" else 0.4) else "ACCEPT"


def _hooks_of(chance: Random, built_in: Sequence[str]) -> frozenset[str]:
    return frozenset(
        chance.choices(built_in, [_SHARE[each] for each in built_in], k=chance.choice((1, 1, 2)))
    )


def _call(chance: Random, tool: str, table: str, chain: str, user: str, place: Place) -> Line:
    hooks = frozenset(
        {chain} if chain.isupper() and chain not in _USERS else {"PREROUTING", "OUTPUT", "INPUT"}
    )
    words, kinds = _conditions(chance, table, hooks, place, chance.choice((0, 0, 1)))
    target, name = ("-g", "goto") if chance.random() < 0.25 else ("-j", "jump")
    return Line(tool, table, chain, " ".join([*words, target, user]), (*kinds, name))


def _rule(chance: Random, tool: str, table: str, chain: str, hooks: frozenset[str], place: Place) -> Line:
    fitting = {
        name: row
        for name, row in TARGETS.items()
        if any(row.fits(place.version, hooks, table, protocol) for protocol in ("", "tcp", "udp"))
        and not (table == "nat" and name == "DROP")
    }
    (name,) = chance.choices(list(fitting), [row.weight for row in fitting.values()])
    row = fitting[name]
    # What ends the walk has more conditions, or nothing behind it is ever asked.
    count = chance.choice((1, 1, 2, 2, 3)) if name in _FINAL else chance.choice((0, 1, 1, 2))
    words, kinds = _conditions(chance, table, hooks, place, count, row)
    return Line(tool, table, chain, " ".join([*words, row.words(chance, place)]).strip(), (*kinds, name))


def _conditions(
    chance: Random,
    table: str,
    hooks: frozenset[str],
    place: Place,
    count: int,
    target: Drawable | None = None,
) -> tuple[list[str], tuple[str, ...]]:
    protocol = chance.choice(_PROTOCOLS[place.version])
    if target is not None and target.protocol:
        protocol = target.protocol
    words = [f"-p {protocol}"] if protocol else []
    kinds = ["protocol"] if protocol else []
    # Of two conditions on flags `iptables-save` of nf_tables shows one.
    taken: set[str] = (
        {"tcp"} if target is not None and target.tables == ("mangle",) and target.protocol else set()
    )
    for _ in range(count):
        fitting = {
            name: row
            for name, row in MATCHES.items()
            if row.fits(place.version, hooks, table, protocol)
            and name.partition(".")[0] not in taken
            and (table != "raw" or name.partition(".")[0] not in _TRACKED)
        }
        (name,) = chance.choices(list(fitting), [row.weight for row in fitting.values()])
        taken.add(name.partition(".")[0])
        if name.startswith("addrtype"):
            taken.add("addrtype")
        text = fitting[name].words(chance, place)
        negated = "{!}" in text and chance.random() < 0.25 and not text.startswith("{!}-s 0")
        words.append(text.replace("{!}", "! " if negated else ""))
        kinds.append(f"! {name}" if negated else name)
    return words, tuple(kinds)
