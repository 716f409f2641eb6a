"""
``nft``: add, create, insert, replace, delete, flush of all that tables hold, and scripts by ``nft -f -``.

``nft`` itself joins its arguments with blanks and reads them as a script of one line; so does this module.
Source: nft(8).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bothways.facts.change import Act, Edit, NftEdit
from bothways.facts.nft import NftChain, NftTable
from bothways.facts.span import Span
from bothways.parse.change.arguments import Arguments
from bothways.parse.change.error import ChangeError
from bothways.parse.change.nft_elements import written_elements
from bothways.parse.change.words import Command
from bothways.parse.nft_cursor import Cursor
from bothways.parse.nft_lex import END, Token
from bothways.parse.nft_set import read_object
from bothways.parse.nft_table import FAMILIES, HOOKS, KINDS, Blocks

__all__ = ["read_nft"]

_OPTIONS: Final = ("-a", "--handle", "-e", "--echo", "-n", "-nn", "-s", "-j", "-c", "--check")
_FORM: Final = "one of add, insert, replace, delete, flush and what; or -f - <<< 'SCRIPT'"
_WHAT: Final = "table, chain, rule, set, map, element, flowtable, counter or ruleset"
#: What a table holds beside chains and sets, and no rule of the model asks; ``ct`` has a second word.
_OBJECTS: Final = ("flowtable", "counter", "quota", "limit", "ct", "secmark", "synproxy")
_SETS: Final = ("set", "map", "meter")
_DIGITS: Final = 9
_ACTS: Final[Mapping[str, Act]] = {
    "add": Act.ADD,
    "create": Act.ADD,
    "insert": Act.INSERT,
    "replace": Act.REPLACE,
    "delete": Act.DELETE,
    "destroy": Act.DELETE,
    "flush": Act.FLUSH,
}


def read_nft(command: Command) -> tuple[Edit, ...]:
    """
    Read one command or script.

    :raises ChangeError: for other commands, files, and every part that is not evaluated.
    """
    arguments = Arguments(command)
    arguments.skip(*_OPTIONS)
    if arguments.skip("-f", "--file"):
        name = arguments.take("- and `<<< 'SCRIPT'`")
        if name.text not in ("-", "/dev/stdin") or command.stdin is None:
            raise ChangeError(
                f"the file `{name.text}` is not read", name.column, "give the script itself: nft -f - <<< '…'"
            )
        if not arguments.done:
            raise arguments.refuse("nothing more")
        start = command.stdin.column + (1 if command.stdin.quoted else 0)
        return _Script(command.stdin.text, lambda offset: start + offset).read()
    words = arguments.rest()
    if not words:
        raise arguments.refuse(_FORM)
    starts: list[tuple[int, int]] = []
    text = ""
    for word in words:
        text += " " if text else ""
        starts.append((len(text), word.column))
        text += word.text

    def column(offset: int) -> int:
        begin, place = max(pair for pair in starts if pair[0] <= offset)
        return place + offset - begin

    return _Script(text, column).read()


@dataclass(slots=True)
class _Script:
    """Commands of one script, in order."""

    text: str
    column: Callable[[int], int]

    def read(self) -> tuple[Edit, ...]:
        """Every command as an edit."""
        blocks = Blocks(self.text, self._span)
        edits: list[Edit] = []
        while True:
            blocks.pass_ends()
            if blocks.done:
                break
            first = blocks.words[blocks.at]
            edit = self._command(blocks)
            for trouble in blocks.troubles:
                column = self.column(trouble.token.start)
                raise ChangeError(trouble.message, column, trouble.hint or "see nft(8)")
            for table in edit.tables:
                for chain in table.chains.values():
                    self._hooked(chain, table.family, first)
            edits.append(edit)
        if not edits:
            raise ChangeError("the script is empty", self.column(0), f"expected {_FORM}")
        return tuple(edits)

    def _span(self, first: Token, last: Token) -> Span:
        return Span("", text=" ".join(self.text[first.start : last.end].split()))

    def _command(self, blocks: Blocks) -> NftEdit:
        act = _ACTS.get(blocks.peek())
        if act is not None:
            blocks.at += 1
        elif blocks.peek() != "table":
            raise self._refuse(blocks, _FORM)
        what = self._take(blocks, _WHAT)
        readers: Mapping[str, Callable[[Blocks, Act], NftEdit]] = {
            "table": self._table,
            "chain": self._chain,
            "rule": self._rule,
            "ruleset": self._ruleset,
            "element": self._element,
            **dict.fromkeys(_SETS, self._set),
            **dict.fromkeys(_OBJECTS, self._object),
        }
        reader = readers.get(what.text)
        if reader is None:
            raise ChangeError(f"`{what.text}` is not evaluated", self.column(what.start), f"expected {_WHAT}")
        if act is Act.REPLACE and what.text != "rule":
            raise ChangeError(f"`replace {what.text}` is not known", self.column(what.start), "expected rule")
        return reader(blocks, act or Act.ADD)

    def _ruleset(self, blocks: Blocks, act: Act) -> NftEdit:
        if act is not Act.FLUSH:
            raise self._refuse(blocks, "flush before ruleset")
        family = self._take(blocks, "a family").text if blocks.peek() in FAMILIES else None
        self._end(blocks)
        return NftEdit(Act.FLUSH, family=family)

    def _table(self, blocks: Blocks, act: Act) -> NftEdit:
        first = blocks.words[blocks.at - 1]
        family, table = self._named(blocks)
        if act in (Act.DELETE, Act.FLUSH):
            self._end(blocks)
            return NftEdit(act, family=family, table=table)
        if blocks.peek() == "{":
            return NftEdit(act, (blocks.table(family, table, first),), family, table)
        self._end(blocks)
        return NftEdit(act, (NftTable(family, table, {}, self._span(first, first)),), family, table)

    def _chain(self, blocks: Blocks, act: Act) -> NftEdit:
        family, table = self._named(blocks)
        name = self._take(blocks, "a chain")
        if act in (Act.DELETE, Act.FLUSH):
            self._end(blocks)
            return NftEdit(act, family=family, table=table, chain=name.text)
        chain = NftChain(name.text, (), self._span(name, name))
        if blocks.peek() == "{":
            chain = blocks.chain(name.text, family, name)
        self._end(blocks)
        return NftEdit(act, (self._holding(family, table, chain),), family, table)

    def _rule(self, blocks: Blocks, act: Act) -> NftEdit:
        family, table = self._named(blocks)
        name = self._take(blocks, "a chain")
        if act is Act.FLUSH:
            raise self._refuse(blocks, "chain or table behind flush")
        handle = index = None
        if act is Act.DELETE and blocks.peek() in ("position", "index"):
            raise self._refuse(blocks, "handle and its number, or the rule itself")
        if blocks.peek() in ("handle", "position", "index"):
            place = self._take(blocks, "a place").text
            number = self._number(blocks)
            handle, index = (None, number) if place == "index" else (number, None)
        if act is Act.REPLACE and handle is None:
            raise self._refuse(blocks, "handle and its number")
        words = blocks.statement()
        if not words and not (act is Act.DELETE and handle is not None):
            raise self._refuse(blocks, "a rule such as `tcp dport 22 accept`")
        rules = (blocks.rule(words, family),) if words else ()
        tables = (self._holding(family, table, NftChain(name.text, rules, self._span(name, name))),)
        return NftEdit(act, tables, family, table, name.text, handle=handle, index=index)

    def _set(self, blocks: Blocks, act: Act) -> NftEdit:
        family, table = self._named(blocks)
        name = self._take(blocks, "the name of a set")
        if act in (Act.DELETE, Act.FLUSH):
            self._end(blocks)
            return NftEdit(act, family=family, table=table, named=name.text)
        if blocks.peek() != "{":
            raise self._refuse(blocks, "its type, as in `{ type ipv4_addr; }`")
        made = blocks.named_set(name.text, family, name)
        self._end(blocks)
        span = self._span(name, name)
        return NftEdit(act, (NftTable(family, table, {}, span, sets={made.name: made}),), family, table)

    def _element(self, blocks: Blocks, act: Act) -> NftEdit:
        if act not in (Act.ADD, Act.DELETE):
            raise self._refuse(blocks, "add or delete before element")
        family, table = self._named(blocks)
        name = self._take(blocks, "the name of a set")
        if blocks.peek() != "{":
            raise self._refuse(blocks, "elements, as in `{ 192.0.2.1, 192.0.2.2 }`")
        first = blocks.words[blocks.at]
        words = blocks.statement()
        try:
            elements = written_elements(Cursor(words, self.text), family)
        except ValueError as error:
            column = self.column(first.start)
            raise ChangeError(str(error), column, "elements such as { 192.0.2.1, 192.0.2.2 }") from None
        if not elements:
            raise ChangeError("no element is given", self.column(first.start), "expected { 192.0.2.1 }")
        return NftEdit(act, family=family, table=table, named=name.text, elements=elements)

    def _object(self, blocks: Blocks, act: Act) -> NftEdit:
        first = blocks.words[blocks.at - 1]
        kind = first.text
        if kind == "ct":
            kind = f"ct {self._take(blocks, 'helper, timeout or expectation').text}"
        family, table = self._named(blocks)
        name = self._take(blocks, f"the name of a {kind}")
        span = self._span(first, name)
        if act is Act.DELETE:
            self._end(blocks)
            return NftEdit(act, family=family, table=table, named=name.text, kind=kind)
        if act is not Act.ADD:
            raise self._refuse(blocks, f"add or delete before {kind}")
        inside = blocks.skip_block() if blocks.peek() == "{" else blocks.statement()
        self._end(blocks)
        made = read_object(kind, name.text, inside, span)
        objects = {(made.kind, made.name): made}
        return NftEdit(act, (NftTable(family, table, {}, span, objects=objects),), family, table)

    def _number(self, blocks: Blocks) -> int:
        word = self._take(blocks, "a number")
        if not (word.text.isascii() and word.text.isdigit() and len(word.text) <= _DIGITS):
            raise ChangeError(f"`{word.text}` is not a number", self.column(word.start), "expected a number")
        return int(word.text)

    def _holding(self, family: str, table: str, chain: NftChain) -> NftTable:
        return NftTable(family, table, {chain.name: chain}, chain.span)

    def _hooked(self, chain: NftChain, family: str, first: Token) -> None:
        """A chain on a hook that is not evaluated must not be taken for one that does nothing."""
        if chain.hook is None:
            return
        column = self.column(first.start)
        hooks = HOOKS[family]
        if chain.hook not in hooks:
            message = f"tables of the family {family} have no hook `{chain.hook}`"
            raise ChangeError(message, column, f"one of {', '.join(hooks)}")
        if chain.hook in ("ingress", "egress") and not chain.devices:
            hint = f"type filter hook {chain.hook} device eth0 priority 0;"
            raise ChangeError(f"the chain `{chain.name}` names no device", column, hint)
        if chain.priority is None:
            hint = "a number, or a name such as filter or dstnat"
            raise ChangeError(f"the priority of chain `{chain.name}` cannot be read", column, hint)
        if chain.kind not in KINDS or chain.policy not in ("accept", "drop"):
            message = f"`type {chain.kind} … policy {chain.policy}` is not known"
            raise ChangeError(message, column, "type filter, nat or route; policy accept or drop")

    # -- words --------------------------------------------------------------------------------------

    def _named(self, blocks: Blocks) -> tuple[str, str]:
        """Family and name of a table; without a family it is ``ip``."""
        family = "ip"
        if blocks.peek() in FAMILIES:
            family = self._take(blocks, "a family").text
        return family, self._take(blocks, "the name of a table").text

    def _take(self, blocks: Blocks, expected: str) -> Token:
        if blocks.done or blocks.peek() in END or blocks.peek() in ("{", "}"):
            raise self._refuse(blocks, expected)
        blocks.at += 1
        return blocks.words[blocks.at - 1]

    def _end(self, blocks: Blocks) -> None:
        if not blocks.done and blocks.peek() not in END:
            raise self._refuse(blocks, "the end of the command")

    def _refuse(self, blocks: Blocks, expected: str) -> ChangeError:
        if blocks.done:
            return ChangeError("`nft` ends too early", self.column(len(self.text)), f"expected {expected}")
        token = blocks.words[blocks.at]
        shown = token.text if token.text != "\n" else "the end of the line"
        return ChangeError(f"`{shown}` is not known here", self.column(token.start), f"expected {expected}")
