"""
Native nft tables of a namespace after a change.

A table or chain that is added and exists already grows. A rule that is deleted is found by what it says, or
by its handle where the dump shows them. Tables of ``iptables-nft`` are changed by ``iptables`` only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from bothways.facts.change import Act, NftEdit
from bothways.facts.dump import Dump
from bothways.facts.nft import NftChain, NftRule, NftTable
from bothways.facts.nft_action import Remark
from bothways.facts.snapshot import Netns
from bothways.model.change.nft_sets import change_set, grown_sets
from bothways.model.change.refusal import NothingToChangeError

__all__ = ["change_nft"]

Tables = tuple[NftTable, ...]


def change_nft(netns: Netns, edit: NftEdit) -> Netns:
    """
    Change tables, chains, rules, sets or elements.

    :raises NothingToChangeError: if what is to be changed is not there, or belongs to iptables.
    """
    old = netns.nft or Dump((), file="", partial=None if netns.nft is not None else "the change alone")
    if edit.table is None:
        return _flush_ruleset(netns, old, edit)
    if edit.named is not None:
        table = _table(netns, tuple(old), edit)
        changed = change_set(table, edit)
        return replace(netns, nft=replace(old, rows=tuple(changed if t is table else t for t in old)))
    rows = _CHANGES[edit.act](netns, tuple(old), edit)
    return replace(netns, nft=replace(old, rows=rows))


def _flush_ruleset(netns: Netns, old: Dump[NftTable], edit: NftEdit) -> Netns:
    if any(chain.rules for table in netns.iptables or () for chain in table.chains.values()):
        raise NothingToChangeError(
            f"{netns.label} has iptables rules, and whether `flush ruleset` takes them too is not collected",
            "flush the tables by name: nft flush table …, iptables -t … -F",
        )
    rows = tuple(table for table in old if edit.family not in (None, table.family))
    opaque = netns.unmodelled_nft
    if edit.family is None and opaque is not None:
        opaque = replace(opaque, rows=())
        drops = None if netns.ingress_drops is None else replace(netns.ingress_drops, rows=())
        netns = replace(netns, unmodelled_nft=opaque, ingress_drops=drops)
    return replace(netns, nft=replace(old, rows=rows))


def _add(netns: Netns, old: Tables, edit: NftEdit) -> Tables:
    for added in edit.tables:
        place = next((i for i, t in enumerate(old) if _is(t, added.family, added.name)), None)
        if place is None:
            _check_foreign(netns, added)
            if edit.chain is not None:
                raise _no_table(netns, old, edit)
            old = (*old, added)
        else:
            grown = _grown(old[place], added, edit)
            old = (*old[:place], grown, *old[place + 1 :])
    return old


def _check_foreign(netns: Netns, added: NftTable) -> None:
    """A table that iptables-nft keeps stands in iptables-save."""
    tables = netns.iptables if added.family == "ip" else netns.ip6tables if added.family == "ip6" else None
    if any(table.name == added.name for table in tables or ()):
        raise NothingToChangeError(
            f"the table {added.family} {added.name} of {netns.label} belongs to iptables",
            "change it with iptables",
        )


def _grown(table: NftTable, added: NftTable, edit: NftEdit) -> NftTable:
    chains = dict(table.chains)
    for chain in added.chains.values():
        known = chains.get(chain.name)
        if known is None:
            if edit.chain is not None:
                raise _no_chain(table, chain.name)
            chains[chain.name] = chain
            continue
        rules = (*chain.rules, *known.rules) if edit.act is Act.INSERT else (*known.rules, *chain.rules)
        policy = chain.policy if chain.hook is not None else known.policy
        if edit.handle is not None or edit.index is not None:
            rules = _placed(known, chain.rules, edit)
        chains[chain.name] = replace(known, rules=rules, policy=policy)
    return replace(
        table,
        chains=chains,
        sets=grown_sets(table, added),
        objects={**table.objects, **added.objects},
    )


def _placed(known: NftChain, rules: tuple[NftRule, ...], edit: NftEdit) -> tuple[NftRule, ...]:
    """``add`` puts a rule behind the one that is named, ``insert`` before it."""
    at = _place(known, edit) + (edit.act is not Act.INSERT)
    return (*known.rules[:at], *rules, *known.rules[at:])


def _place(chain: NftChain, edit: NftEdit) -> int:
    """Where the rule stands that a handle or index names."""
    if edit.index is not None:
        if edit.index < len(chain.rules):
            return edit.index
        raise NothingToChangeError(
            f"the chain {chain.name} has no rule of index {edit.index}", "they begin with 0"
        )
    for at, rule in enumerate(chain.rules):
        if rule.handle == edit.handle:
            return at
    shown = any(rule.handle is not None for rule in chain.rules)
    hint = (
        "see `nft -a list ruleset`"
        if shown
        else "the dump shows no handles: say the rule itself, or its index"
    )
    raise NothingToChangeError(f"the chain {chain.name} has no rule with handle {edit.handle}", hint)


def _replace(netns: Netns, old: Tables, edit: NftEdit) -> Tables:
    table = _table(netns, old, edit)
    chain = _chain(table, edit.chain or "")
    at = _place(chain, edit)
    given = tuple(rule for c in edit.tables[0].chains.values() for rule in c.rules)
    rules = tuple(replace(rule, handle=edit.handle) for rule in given)
    return _with(old, table, replace(chain, rules=(*chain.rules[:at], *rules, *chain.rules[at + 1 :])))


def _delete(netns: Netns, old: Tables, edit: NftEdit) -> Tables:
    table = _table(netns, old, edit)
    if edit.chain is None:
        return tuple(t for t in old if t is not table)
    chain = _chain(table, edit.chain)
    if edit.handle is not None or edit.index is not None:
        at = _place(chain, edit)
        return _with(old, table, replace(chain, rules=(*chain.rules[:at], *chain.rules[at + 1 :])))
    if edit.tables:
        wanted = next(rule for c in edit.tables[0].chains.values() for rule in c.rules)
        return _with(old, table, _without(chain, wanted))
    if chain.rules:
        raise NothingToChangeError(
            f"the chain {chain.name} is not empty",
            f"flush it first: nft flush chain {table.family} {table.name} {chain.name}",
        )
    rest = {name: c for name, c in table.chains.items() if name != chain.name}
    return tuple(replace(t, chains=rest) if t is table else t for t in old)


def _flush(netns: Netns, old: Tables, edit: NftEdit) -> Tables:
    table = _table(netns, old, edit)
    if edit.chain is not None:
        return _with(old, table, replace(_chain(table, edit.chain), rules=()))
    emptied = {name: replace(chain, rules=()) for name, chain in table.chains.items()}
    return tuple(replace(t, chains=emptied) if t is table else t for t in old)


def _without(chain: NftChain, wanted: NftRule) -> NftChain:
    for at, rule in enumerate(chain.rules):
        if _says(rule) == _says(wanted):
            return replace(chain, rules=(*chain.rules[:at], *chain.rules[at + 1 :]))
    raise NothingToChangeError(
        f"no rule of the chain {chain.name} reads so", "see `nft list ruleset` for its exact words"
    )


def _says(rule: NftRule) -> list[object]:
    """What a rule asks and does; counters and comments do not count."""
    return [s.does for s in rule.statements if not isinstance(s.does, Remark)]


def _table(netns: Netns, old: Tables, edit: NftEdit) -> NftTable:
    found = next((t for t in old if _is(t, edit.family, edit.table)), None)
    if found is None:
        raise _no_table(netns, old, edit)
    return found


def _chain(table: NftTable, name: str) -> NftChain:
    chain = table.chains.get(name)
    if chain is None:
        raise _no_chain(table, name)
    return chain


def _with(old: Tables, table: NftTable, chain: NftChain) -> Tables:
    changed = replace(table, chains={**table.chains, chain.name: chain})
    return tuple(changed if t is table else t for t in old)


def _is(table: NftTable, family: str | None, name: str | None) -> bool:
    return (table.family, table.name) == (family, name)


def _no_table(netns: Netns, old: Tables, edit: NftEdit) -> NothingToChangeError:
    known = ", ".join(f"{t.family} {t.name}" for t in old)
    hint = f"it has {known}" if known else "`nft list ruleset` shows none, or was not collected there"
    return NothingToChangeError(f"{netns.label} has no native nft table {edit.family} {edit.table}", hint)


def _no_chain(table: NftTable, name: str) -> NothingToChangeError:
    known = ", ".join(table.chains)
    return NothingToChangeError(
        f"the table {table.family} {table.name} has no chain {name}", f"it has {known}" if known else ""
    )


_CHANGES: Final[Mapping[Act, Callable[[Netns, Tables, NftEdit], Tables]]] = {
    Act.ADD: _add,
    Act.INSERT: _add,
    Act.REPLACE: _replace,
    Act.DELETE: _delete,
    Act.FLUSH: _flush,
}
