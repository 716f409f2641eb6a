"""
iptables of a namespace after a change.

A rule is found by what it says, as ``iptables -D`` finds it: the same matches and target, in any order of the
matches; counters do not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from bothways.facts.change import IptablesAct, IptablesEdit
from bothways.facts.dump import Dump
from bothways.facts.iptables import Chain, Rule, Table, Target
from bothways.facts.snapshot import Netns
from bothways.facts.span import Span
from bothways.model.change.refusal import NothingToChangeError
from bothways.model.linux.iptables.targets import TARGETS

__all__ = ["change_iptables"]

_FULL: Final = 0xFFFFFFFF
_MASKS: Final = ("nfmask", "ctmask")
#: what a target does without being told
_DEFAULTS: Final[Mapping[str, Mapping[str, object]]] = {
    "REJECT": {"reject-with": "icmp-port-unreachable"},
    "CONNMARK": dict.fromkeys(_MASKS, _FULL),
}
#: chains that a table has before anybody writes to it
_BUILTIN: Final[Mapping[str, tuple[str, ...]]] = {
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "raw": ("PREROUTING", "OUTPUT"),
    "security": ("INPUT", "FORWARD", "OUTPUT"),
}


def change_iptables(netns: Netns, edit: IptablesEdit) -> Netns:
    """
    Change one chain or table.

    :raises NothingToChangeError: if the rules were not collected, or the chain, rule or target is not there.
    """
    name = "iptables" if edit.version == 4 else "ip6tables"  # noqa: PLR2004 (IPv4)
    tables: Dump[Table] | None = getattr(netns, name)
    if tables is None:
        raise NothingToChangeError(
            f"the rules of {netns.label} were not collected", f"collect `{name}-save -c` there"
        )
    found = next((t for t in tables if t.name == edit.table), None)
    table = found or _empty(edit.table)
    changed = _CHANGES[edit.act](table, edit)
    rows = tuple(changed if t is found else t for t in tables)
    rows = rows if found is not None else (*rows, changed)
    dump = replace(tables, rows=rows)
    return replace(netns, iptables=dump) if name == "iptables" else replace(netns, ip6tables=dump)


def _empty(name: str) -> Table:
    if name not in _BUILTIN:
        raise NothingToChangeError(f"there is no table {name}", f"the tables are {', '.join(_BUILTIN)}")
    span = Span("")
    return Table(name, {chain: Chain(chain, "ACCEPT", (), span) for chain in _BUILTIN[name]}, span)


def _chain(table: Table, name: str | None) -> Chain:
    chain = table.chains.get(name or "")
    if chain is None:
        known = ", ".join(table.chains)
        raise NothingToChangeError(f"the table {table.name} has no chain {name}", f"it has {known}")
    return chain


def _with(table: Table, chain: Chain) -> Table:
    return replace(table, chains={**table.chains, chain.name: chain})


def _checked(table: Table, rule: Rule | None) -> Rule:
    """The rule, if the chain that it jumps to exists; a name that is no target can only be a chain."""
    if rule is None:
        raise NothingToChangeError("the rule is missing")
    target = rule.target
    known = {*TARGETS, *table.chains, "RETURN"}
    if target is not None and not target.options and target.name not in known:
        raise NothingToChangeError(f"there is no chain or target {target.name} in the table {table.name}")
    return rule


def _insert(table: Table, edit: IptablesEdit) -> Table:
    chain = _chain(table, edit.chain)
    rules = list(chain.rules)
    at = len(rules) if edit.act is IptablesAct.APPEND else (edit.number or 1) - 1
    if at > len(rules):
        raise NothingToChangeError(f"{chain.name} has {len(rules)} rules, there is no place {at + 1}")
    rules.insert(at, _checked(table, edit.rule))
    return _with(table, replace(chain, rules=tuple(rules)))


def _place(chain: Chain, edit: IptablesEdit) -> int:
    """Where the rule stands that is meant, from 0."""
    if edit.number is not None:
        if edit.number > len(chain.rules):
            raise NothingToChangeError(f"{chain.name} has {len(chain.rules)} rules, not {edit.number}")
        return edit.number - 1
    for at, rule in enumerate(chain.rules):
        if edit.rule is not None and _same(rule, edit.rule):
            return at
    raise NothingToChangeError(
        f"no rule of {chain.name} in the table {edit.table} reads so",
        "see `iptables-save` for its exact words",
    )


def _delete(table: Table, edit: IptablesEdit) -> Table:
    chain = _chain(table, edit.chain)
    at = _place(chain, edit)
    return _with(table, replace(chain, rules=(*chain.rules[:at], *chain.rules[at + 1 :])))


def _replace(table: Table, edit: IptablesEdit) -> Table:
    chain = _chain(table, edit.chain)
    at = _place(chain, edit)
    rule = _checked(table, edit.rule)
    return _with(table, replace(chain, rules=(*chain.rules[:at], rule, *chain.rules[at + 1 :])))


def _flush(table: Table, edit: IptablesEdit) -> Table:
    if edit.chain is None:
        return replace(table, chains={n: replace(c, rules=()) for n, c in table.chains.items()})
    return _with(table, replace(_chain(table, edit.chain), rules=()))


def _policy(table: Table, edit: IptablesEdit) -> Table:
    chain = _chain(table, edit.chain)
    if chain.policy is None:
        raise NothingToChangeError(f"{chain.name} is no built-in chain, it has no policy")
    return _with(table, replace(chain, policy=edit.policy))


def _new_chain(table: Table, edit: IptablesEdit) -> Table:
    if edit.chain in table.chains:
        raise NothingToChangeError(f"the table {table.name} has a chain {edit.chain} already")
    return _with(table, Chain(edit.chain or "", None, (), Span("")))


def _delete_chain(table: Table, edit: IptablesEdit) -> Table:
    if edit.chain is None:
        return replace(
            table, chains={n: c for n, c in table.chains.items() if c.policy is not None or c.rules}
        )
    chain = _chain(table, edit.chain)
    if chain.policy is not None:
        raise NothingToChangeError(f"{chain.name} is built in and stays")
    if any(
        r.target is not None and r.target.name == chain.name for c in table.chains.values() for r in c.rules
    ):
        raise NothingToChangeError(f"rules still jump to {chain.name}", "delete them first")
    if chain.rules:
        raise NothingToChangeError(f"{chain.name} is not empty", f"flush it first: -F {chain.name}")
    return replace(table, chains={n: c for n, c in table.chains.items() if n != chain.name})


def _same(one: Rule, other: Rule) -> bool:
    def matches(rule: Rule) -> Counter[object]:
        return Counter((m.name, m.value, m.negate) for m in rule.matches)

    def target(rule: Rule) -> object:
        found = rule.target
        return None if found is None else (*_canonical(found), found.goto)

    return matches(one) == matches(other) and target(one) == target(other)


def _canonical(target: Target) -> tuple[str, dict[str, object]]:
    """A target as ``iptables-save`` prints it: defaults spelled out, one spelling where there are two."""
    name, options = target.name, dict(target.options)
    if name == "NOTRACK":
        return "CT", {"notrack": True}
    options = {**_DEFAULTS.get(name, {}), **options}
    if name == "CONNMARK" and not options.keys() & {"save-mark", "restore-mark"}:
        options = {key: value for key, value in options.items() if key not in _MASKS}
    both = options.pop("mask", None)
    if both is not None:
        options.update(dict.fromkeys(_MASKS, both))
    plain = options.pop("set-mark", None)
    if isinstance(plain, tuple):
        value, mask = plain
        options["set-xmark"] = (value, value | mask)
    return name, options


_CHANGES: Final[Mapping[IptablesAct, Callable[[Table, IptablesEdit], Table]]] = {
    IptablesAct.APPEND: _insert,
    IptablesAct.INSERT: _insert,
    IptablesAct.DELETE: _delete,
    IptablesAct.REPLACE: _replace,
    IptablesAct.FLUSH: _flush,
    IptablesAct.POLICY: _policy,
    IptablesAct.NEW_CHAIN: _new_chain,
    IptablesAct.DELETE_CHAIN: _delete_chain,
}
