"""``iptables`` and ``ip6tables``: the commands that change rules, chains and policies (iptables(8))."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Final

from bothways.facts.change import Edit, IptablesAct, IptablesEdit
from bothways.facts.iptables import Rule
from bothways.facts.span import Span
from bothways.parse.change.arguments import Arguments
from bothways.parse.change.error import ChangeError
from bothways.parse.change.words import Command
from bothways.parse.iptables_options import TARGETS
from bothways.parse.iptables_rule import read_rule
from bothways.parse.iptables_words import Word

__all__ = ["read_iptables"]

_ACTS: Final = {
    "-A": IptablesAct.APPEND, "--append": IptablesAct.APPEND,
    "-I": IptablesAct.INSERT, "--insert": IptablesAct.INSERT,
    "-D": IptablesAct.DELETE, "--delete": IptablesAct.DELETE,
    "-R": IptablesAct.REPLACE, "--replace": IptablesAct.REPLACE,
    "-F": IptablesAct.FLUSH, "--flush": IptablesAct.FLUSH,
    "-P": IptablesAct.POLICY, "--policy": IptablesAct.POLICY,
    "-N": IptablesAct.NEW_CHAIN, "--new-chain": IptablesAct.NEW_CHAIN,
    "-X": IptablesAct.DELETE_CHAIN, "--delete-chain": IptablesAct.DELETE_CHAIN,
}  # fmt: skip
_TABLE: Final = ("-t", "--table")
_NOTHING: Final = ("-w", "--wait", "-v", "--verbose", "-n", "--numeric")
_POLICIES: Final = frozenset({"ACCEPT", "DROP"})
_WHOLE: Final = frozenset({IptablesAct.FLUSH, IptablesAct.DELETE_CHAIN})
_RULED: Final = frozenset({IptablesAct.APPEND, IptablesAct.INSERT, IptablesAct.DELETE, IptablesAct.REPLACE})
_FORM: Final = "one of -A, -I, -D, -R, -F, -P, -N, -X and a chain"


class _AnyChain(Collection[str]):
    """Every name that is no target may be a chain: only the table that is changed knows its chains."""

    def __contains__(self, name: object) -> bool:
        return name not in TARGETS

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def read_iptables(command: Command) -> tuple[Edit, ...]:
    """
    Read one command.

    :raises ChangeError: if it changes nothing, or a match or target is not understood.
    """
    words = command.words
    version = 6 if words[0].text.startswith("ip6") else 4
    table, rest = _table(command)
    arguments = Arguments(replace(command, words=(words[0], *rest)))
    while arguments.skip(*_NOTHING):
        if arguments.peek().isdecimal():
            arguments.at += 1
    act = _ACTS.get(arguments.peek())
    if act is None:
        raise arguments.refuse(_FORM)
    arguments.at += 1
    chain = None
    if not (act in _WHOLE and arguments.done):
        chain = arguments.take("a chain").text
    edit = IptablesEdit(act, table, chain, version=version)
    if act is IptablesAct.POLICY:
        edit = replace(edit, policy=arguments.value("ACCEPT or DROP", _policy))
    elif act in _RULED:
        edit = _ruled(edit, arguments, command)
    if not arguments.done:
        raise arguments.refuse("nothing more")
    return (edit,)


def _table(command: Command) -> tuple[str, tuple[Word, ...]]:
    """The table, and the words without the option that names it; it may stand anywhere."""
    words = command.words[1:]
    for at, word in enumerate(words):
        if word.text in _TABLE and not word.quoted:
            if at + 1 == len(words):
                raise ChangeError(
                    f"`{word.text}` names no table", word.column, "expected a table such as nat"
                )
            return words[at + 1].text, (*words[:at], *words[at + 2 :])
    return "filter", words


def _ruled(edit: IptablesEdit, arguments: Arguments, command: Command) -> IptablesEdit:
    if edit.act is not IptablesAct.APPEND and arguments.peek().isdecimal():
        edit = replace(edit, number=arguments.value("the number of a rule", _number))
        if edit.act is IptablesAct.DELETE:
            return edit
    elif edit.act is IptablesAct.REPLACE:
        raise arguments.refuse("the number of a rule")
    elif edit.act is IptablesAct.INSERT:
        edit = replace(edit, number=1)
    column = arguments.column
    words = arguments.rest()
    if not words:
        raise ChangeError("the rule is missing", column, "expected matches and a target such as `-j ACCEPT`")
    body = read_rule(words, _AnyChain())
    for note in body.notes:
        raise ChangeError(note.message, note.column, "see iptables-extensions(8) for how it is written")
    span = Span("", text=f"-A {edit.chain} {command.text[words[0].column - command.words[0].column :]}")
    rule = Rule(edit.table, edit.chain or "", body.matches, body.target, span)
    return replace(edit, rule=rule)


def _policy(text: str) -> str:
    if text not in _POLICIES:
        raise ValueError(text)
    return text


def _number(text: str) -> int:
    number = int(text[:9])
    if number < 1:
        raise ValueError(text)
    return number
