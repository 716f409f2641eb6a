"""
Rows of flows, read one after the other: what was read once is not read again.

Flows of one switch repeat their terms and actions, at other columns. A ``FlowReader`` keeps what each text
means and gives it its new column. What could not be read is not kept: its problem belongs to the line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from bothways.facts.openflow import Action, Flow, Term
from bothways.facts.span import Kind, Problem, Span
from bothways.parse.openflow_actions import ActionReader, reads_as_actions
from bothways.parse.openflow_facts import ABOUT, FLAGS, NEEDED, RENAMED, flow_of
from bothways.parse.openflow_lex import Piece, assigned, cut, end_of_actions, plain_words
from bothways.parse.openflow_match import plain_term, read_terms, renamed
from bothways.parse.openflow_values import unquoted
from bothways.parse.reading import NotModelledError, quoted

__all__ = ["FlowReader", "start_of_actions"]

#: the second form has lost its space, as copies of web pages do
_ACTIONS: Final = re.compile(r"(?:^|(?<=[\s,]))actions?=|actions=")
#: brackets and quotes keep separators
_KEPT_WHOLE: Final = re.compile(r'["(\[{]')
_USUAL: Final = re.compile(
    r"\s{0,8}cookie=(0x[0-9a-f]{1,16}), duration=([0-9]{1,12}(?:\.[0-9]{1,9})?)s, table=([0-9]{1,3}), "
    r"n_packets=([0-9]{1,20}), n_bytes=([0-9]{1,20}), "
    r"(?:idle_timeout=([0-9]{1,5}), )?(?:hard_timeout=([0-9]{1,5}), )?"
    r"(?:idle_age=([0-9]{1,5}), )?(?:hard_age=([0-9]{1,5}), )?(?:priority=([0-9]{1,4})(?=[ ,]))?"
)
_OPTIONAL: Final = ("idle_timeout", "hard_timeout", "idle_age", "hard_age", "priority")
_TABLES: Final = 0xFF
_WORD: Final = re.compile(r"[^,\s]+")
_BLANK: Final = re.compile(r"\s")
#: arguments that know their column, and the actions that may have them
_PLACED: Final = ("actions", "exec", "rules")
_HOLD_LISTS: Final = frozenset({"ct", "learn", "clone", "write_actions", "apply_actions"})


@dataclass(slots=True)
class FlowReader:
    """
    Reads rows of one dump.

    :param plain: match term as printed -> the term where it stood first.
    :param terms: the same for those that fix several fields, or bits of one.
    :param lists: action list as printed -> its column where it stood first, and the actions there.
    :param placed: lists that hold other lists, by text and column.
    :param single: action as printed -> the action where it stood first.
    :param tables: numbers of tables that the dump calls by name.
    """

    plain: dict[str, Term] = field(default_factory=dict)
    terms: dict[str, tuple[Term, ...]] = field(default_factory=dict)
    lists: dict[str, tuple[int, tuple[Action, ...]]] = field(default_factory=dict)
    placed: dict[tuple[str, int], tuple[Action, ...]] = field(default_factory=dict)
    single: dict[str, Action] = field(default_factory=dict)
    tables: Mapping[str, int] = field(default_factory=dict)

    def read(self, line: Span) -> tuple[Flow | None, list[Problem]]:
        """
        Read one row, or one flow as it is given to ``ovs-ofctl add-flow``.

        :return: the flow, None if its table or priority cannot be read; and everything that could not be
            read.
        """
        text = line.text
        found = start_of_actions(text)
        start, end = found or (len(text), len(text))
        about, begin = _usual(text)
        problems: list[Problem] = []
        terms: list[Term] = []
        unread: list[str] = []
        flags: list[str] = []
        broken = False
        for piece, column in _words(text, begin, start):
            term = self.plain.get(piece)
            if term is not None:
                terms.append(Term(term.field, term.value, term.mask, piece, column))
                continue
            known = self.terms.get(piece)
            if known is not None:
                terms += [Term(t.field, t.value, t.mask, piece, column) for t in known]
                continue
            term = plain_term(piece, column)
            if term is not None:
                terms.append(term)
                self.plain[piece] = term
                continue
            name, equals, value = piece.partition("=")
            if not equals or name not in ABOUT:
                name, equals, value = _assigned(piece)
            if equals and name == "table" and unquoted(value) in self.tables:
                about["table_name"] = unquoted(value)
                about["table"] = self.tables[unquoted(value)]
            elif equals and name in ABOUT:
                decode, expects = ABOUT[name]
                try:
                    about[RENAMED.get(name, name)] = decode(value)
                except ValueError as error:
                    fatal = name in NEEDED
                    broken = broken or fatal
                    unread.append(piece)
                    problems.append(_refused(line, Piece(piece, column), expects, error, fatal=fatal))
            elif not equals and piece in FLAGS:
                flags.append(piece)
            else:
                terms += self._term(Piece(piece, column), line, problems, unread)
        actions, wrong = self._actions(line, end)
        problems += wrong
        if broken:
            return None, problems
        if wrong:
            unread += _unread(actions)
        kept = frozenset(flags) if flags else frozenset()
        return flow_of(line, about, renamed(terms), actions, kept, tuple(unread)), problems

    def _term(self, piece: Piece, line: Span, problems: list[Problem], unread: list[str]) -> Sequence[Term]:
        read, problem = read_terms(piece, line)
        if problem is not None:
            problems.append(problem)
            unread.append(piece.text)
        elif all(term.value is not None for term in read):
            self.terms[piece.text] = tuple(read)
        return read

    def _actions(self, line: Span, start: int) -> tuple[tuple[Action, ...], list[Problem]]:
        """The actions; an empty list drops."""
        rest = line.text[start:]
        text = rest.lstrip()
        column = start + len(rest) - len(text) + 1
        text = text.rstrip()
        known = self.lists.get(text)
        if known is not None:
            return _moved(known[1], column - known[0]), []
        reader = ActionReader(line, tables=self.tables)
        if _BLANK.search(text) is None:
            read = self._list(reader, text, column)
        else:
            end = end_of_actions(text)
            if reads_as_actions(text[end:]):
                # `ovs-ofctl add-flow` takes blanks for commas; what it would do must not pass for a remark.
                read = reader.actions(text, column, ", \t")
            else:
                read = reader.actions(text[:end], column)
        return read or (Action("drop", {}, "", column),), reader.problems

    def _list(self, reader: ActionReader, text: str, column: int) -> tuple[Action, ...]:
        known = self.placed.get((text, column))
        if known is not None:
            return known
        words = plain_words(text)
        if words is None:
            read = tuple([self._single(reader, piece) for piece in cut(text, column)])
        else:
            read = self._of_words(reader, words, column)
        if reader.problems or not read:
            return read
        if any(map(_placed, read)):
            self.placed[text, column] = read
        else:
            self.lists[text] = (column, read)
        return read

    def _of_words(self, reader: ActionReader, words: list[str], column: int) -> tuple[Action, ...]:
        """The actions of a list that was cut at its commas."""
        read: list[Action] = []
        single = self.single
        for word in words:
            if word:
                known = single.get(word)
                if known is None:
                    read.append(self._single(reader, Piece(word, column)))
                else:
                    read.append(Action(known.name, known.args, word, column, known.modelled))
            column += len(word) + 1
        return tuple(read)

    def _single(self, reader: ActionReader, piece: Piece) -> Action:
        known = self.single.get(piece.text)
        if known is not None:
            return Action(known.name, known.args, known.text, piece.column, known.modelled)
        action = reader.action(piece)
        if action.modelled and not _placed(action):
            self.single[piece.text] = action
        return action


def _placed(action: Action) -> bool:
    """True for an action whose arguments know their columns."""
    if action.name not in _HOLD_LISTS:
        return False
    return any(action.args.get(key) for key in _PLACED)


def _moved(actions: tuple[Action, ...], by: int) -> tuple[Action, ...]:
    if not by:
        return actions
    return tuple([Action(a.name, a.args, a.text, a.column + by, a.modelled) for a in actions])


def start_of_actions(text: str) -> tuple[int, int] | None:
    """Where a row's actions are announced, and where they begin; None if there are none."""
    start = text.find("actions=")
    if start < 0 or "action=" in text[:start]:
        found = _ACTIONS.search(text)
        return None if found is None else found.span()
    return start, start + 8


def _usual(text: str) -> tuple[dict[str, object], int]:
    """What nearly every dump begins its rows with, and where the rest begins."""
    found = _USUAL.match(text)
    if found is None:
        return {}, 0
    cookie, duration, table, packets, octets, *rest = found.groups()
    if int(table) > _TABLES:
        return {}, 0
    about: dict[str, object] = {
        "cookie": int(cookie, 16),
        "duration": float(duration),
        "table": int(table),
        "n_packets": int(packets),
        "n_bytes": int(octets),
    }
    for name, value in zip(_OPTIONAL, rest, strict=True):
        if value is not None:
            about[name] = int(value)
    return about, found.end()


def _words(text: str, begin: int, end: int) -> Sequence[tuple[str, int]]:
    if _KEPT_WHOLE.search(text, begin, end) is None:
        part = text[begin:end].rstrip()
        if _BLANK.search(part) is not None:
            return [(word[0], word.start() + 1) for word in _WORD.finditer(text, begin, end)]
        found: list[tuple[str, int]] = []
        column = begin + 1
        for word in part.split(","):
            if word:
                found.append((word, column))
            column += len(word) + 1
        return found
    return [(piece.text, piece.column) for piece in cut(text[begin:end], begin + 1, ", \t")]


def _assigned(piece: str) -> tuple[str, str, str]:
    name, equals, value = assigned(piece)
    return name, "=" if equals else "", value


def _unread(actions: Sequence[Action]) -> list[str]:
    """Actions that are kept as text only, however deep they stand."""
    texts: list[str] = []
    for action in actions:
        if not action.modelled:
            texts.append(action.text)
        for key in ("actions", "exec"):
            inner = action.args.get(key)
            if isinstance(inner, tuple):
                texts += _unread(inner)
    return texts


def _refused(line: Span, piece: Piece, expects: str, error: ValueError, *, fatal: bool) -> Problem:
    outcome = "; the row is left out" if fatal else ""
    place = replace(line, column=piece.column)
    if isinstance(error, NotModelledError):
        return Problem(Kind.UNMODELLED, place, f"{error}{outcome}")
    return Problem(Kind.MALFORMED, place, f"cannot read {quoted(piece.text)}{outcome}", f"expected {expects}")
