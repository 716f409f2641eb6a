"""
``nft``: add, create, insert, delete, flush of tables, chains and rules, and scripts by ``nft -f -``.

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
from bothways.parse.change.words import Command
from bothways.parse.nft_lex import END, Token
from bothways.parse.nft_table import EVALUATED, FAMILIES, HOOKS, KINDS, Blocks

__all__ = ["read_nft"]

_OPTIONS: Final = ("-a", "--handle", "-e", "--echo", "-n", "-nn", "-s", "-j", "-c", "--check")
_FORM: Final = "one of add, insert, delete, flush and table, chain or rule; or -f - <<< 'SCRIPT'"
_ACTS: Final[Mapping[str, Act]] = {
    "add": Act.ADD,
    "create": Act.ADD,
    "insert": Act.INSERT,
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
            for chain in (c for table in edit.tables for c in table.chains.values()):
                self._hooked(chain, first)
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
        what = self._take(blocks, "table, chain, rule or ruleset")
        readers: Mapping[str, Callable[[Blocks, Act], NftEdit]] = {
            "table": self._table,
            "chain": self._chain,
            "rule": self._rule,
            "ruleset": self._ruleset,
        }
        reader = readers.get(what.text)
        if reader is None:
            message = f"`{what.text}` is not evaluated"
            raise ChangeError(message, self.column(what.start), "expected table, chain, rule or ruleset")
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
        if blocks.peek() in ("handle", "position", "index"):
            raise self._refuse(blocks, "the rule itself: a dump shows no handles")
        if act is Act.FLUSH:
            raise self._refuse(blocks, "chain or table behind flush")
        words = blocks.statement()
        if not words:
            raise self._refuse(blocks, "a rule such as `tcp dport 22 accept`")
        chain = NftChain(name.text, (blocks.rule(words, family),), self._span(name, name))
        return NftEdit(act, (self._holding(family, table, chain),), family, table, name.text)

    def _holding(self, family: str, table: str, chain: NftChain) -> NftTable:
        return NftTable(family, table, {chain.name: chain}, chain.span)

    def _hooked(self, chain: NftChain, first: Token) -> None:
        """A chain on a hook that is not evaluated must not be taken for one that does nothing."""
        if chain.hook is None:
            return
        column = self.column(first.start)
        if chain.hook not in HOOKS:
            raise ChangeError(
                f"the hook `{chain.hook}` is not evaluated", column, f"one of {', '.join(HOOKS)}"
            )
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
            word = self._take(blocks, "a family")
            family = word.text
            if family not in EVALUATED:
                message = f"tables of the family `{family}` are not evaluated"
                raise ChangeError(message, self.column(word.start), f"one of {', '.join(EVALUATED)}")
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
