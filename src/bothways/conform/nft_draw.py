"""Random native nft tables that use the language in its breadth, out of the rows of ``nft_rows``."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Final

from bothways.conform.netfilter_case import Chain, Line
from bothways.conform.netfilter_place import PLACES
from bothways.conform.nft_rows import ACTIONS, CONDITIONS, TRANSLATIONS, Draw, Row, written_pairs, written_set

__all__ = ["drawn_ruleset"]

_PRIORITIES: Final[Mapping[str, tuple[str, ...]]] = {
    "prerouting": (
        "raw - 10",
        "-290",
        "mangle - 10",
        "mangle + 5",
        "dstnat - 5",
        "dstnat + 10",
        "filter + 1",
    ),
    "input": ("mangle - 10", "filter - 10", "filter + 10", "security + 10"),
    "forward": ("mangle - 10", "filter - 10", "filter + 10", "security + 10"),
    "output": ("raw - 10", "-290", "mangle + 10", "filter + 10"),
    "postrouting": ("mangle - 10", "filter", "srcnat - 10", "srcnat + 10"),
}
#: Shares of what is drawn now and then.
_FEW, _SOME, _MANY = 0.1, 0.3, 0.4
_SHARE: Final = {"prerouting": 4, "input": 2, "forward": 4, "output": 1, "postrouting": 2}


def drawn_ruleset(chance: Random, version: int) -> tuple[list[Chain], list[Line]]:
    """Draw a native table with sets and maps for packets of one IP version."""
    place = PLACES[version]
    plain = Draw(chance, place, "")
    table = f"{chance.choice((plain.ip, 'inet'))} broad"
    users = ("alpha", "beta", "gamma")[: chance.choice((1, 2, 3))]
    lines = [Line("nft", table, "", text) for text in _named(plain)]
    chains = [Chain("nft", table, user, "") for user in reversed(users)]
    for number in range(chance.choice((1, 2, 2, 3))):
        (hook,) = chance.choices(list(_SHARE), list(_SHARE.values()))
        priority = chance.choice(_PRIORITIES[hook])
        policy = "drop" if chance.random() < _FEW else "accept"
        kind = "route" if hook == "output" and chance.random() < _MANY else "filter"
        name = f"{hook}{number}"
        chains.append(
            Chain("nft", table, name, f"type {kind} hook {hook} priority {priority}; policy {policy};")
        )
        draw = Draw(chance, place, hook, users)
        early = priority in ("raw - 10", "-290")
        lines += [_rule(draw, table, name, early=early) for _ in range(chance.randint(1, 5))]
    for at, user in enumerate(users):
        draw = Draw(chance, place, "", users[at + 1 :])
        lines += [_rule(draw, table, user, early=False) for _ in range(chance.choice((1, 2)))]
    for hook in TRANSLATIONS:
        if chance.random() < _SOME:
            name = f"nat_{hook}"
            priority = "dstnat" if hook == "prerouting" else "srcnat"
            chains.append(
                Chain("nft", table, name, f"type nat hook {hook} priority {priority}; policy accept;")
            )
            text = chance.choice(TRANSLATIONS[hook])(Draw(chance, place, hook))
            lines.append(Line("nft", table, name, text.replace("@targets_", plain.host()), ("translate",)))
    return chains, lines


def _named(d: Draw) -> list[str]:
    """Sets and maps that rules may name; a map leads to no chain, as that would have to stand before it."""
    kind = "ipv4_addr" if d.ip == "ip" else "ipv6_addr"
    networks = d.place.networks[1:]
    some = written_set(*d.chance.sample(networks, 2))
    pairs = f"{{ {d.host()} . 0-1023, {networks[0]} . {d.port()} }}"
    fates = written_pairs(networks[:2], lambda: d.chance.choice(("accept", "drop", "return", "continue")))
    return [
        f"set nets {{ type {kind}; flags interval; auto-merge; elements = {some}; }}",
        f"set pairs {{ type {kind} . inet_service; flags interval; elements = {pairs}; }}",
        f"set seen {{ type {kind}; size 1000; flags dynamic,timeout; timeout 1h; }}",
        f"map marks {{ type {kind} : mark; size 1000; flags dynamic; elements = {{ {d.host()} : 0x2 }}; }}",
        f"map fates {{ type {kind} : verdict; flags interval; elements = {fates}; }}",
    ]


def _rule(d: Draw, table: str, chain: str, *, early: bool) -> Line:
    conditions = _fitting(CONDITIONS, d.hook, early=early)
    count = d.chance.choice((0, 1, 1, 2))
    kinds = d.chance.sample(sorted(conditions), min(count, len(conditions)))
    words = [conditions[name][2](d) for name in kinds]
    if d.users and d.chance.random() < _SOME:
        verb = d.chance.choice(("jump", "goto"))
        return Line("nft", table, chain, " ".join([*words, verb, d.chance.choice(d.users)]), (*kinds, verb))
    actions = _fitting(ACTIONS, d.hook, early=early)
    (name,) = d.chance.choices(list(actions), [row[0] for row in actions.values()])
    return Line("nft", table, chain, " ".join([*words, actions[name][2](d)]), (*kinds, name))


def _fitting(rows: Mapping[str, Row], hook: str, *, early: bool) -> dict[str, Row]:
    return {
        name: row
        for name, row in rows.items()
        if not row[1] or (hook and hook in row[1]) or (early and "raw" in row[1])
    }
