"""
The blocks of an nft script: ``table … { chain … { … } }``.

The same words stand in what ``nft list ruleset`` prints and in what ``nft -f`` reads. Source: nft(8),
*Tables*, *Chains* (with the priorities' names), *Sets*.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from bothways.facts.nft import NftChain, NftObject, NftRule, NftSet, NftTable
from bothways.facts.span import Kind, Span
from bothways.parse.nft_lex import END, Token, tokens
from bothways.parse.nft_rule import read_nft_rule
from bothways.parse.nft_set import read_object, read_set
from bothways.parse.reading import quoted

__all__ = ["FAMILIES", "HOOKS", "KINDS", "Blocks", "Trouble", "chain_header", "line_spans"]

FAMILIES: Final = frozenset({"ip", "ip6", "inet", "arp", "bridge", "netdev"})
_IP_HOOKS: Final = ("prerouting", "input", "forward", "output", "postrouting")
#: Family -> the hooks that its chains may hang on; and the kinds of chains.
HOOKS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("ip", "ip6", "bridge"), _IP_HOOKS),
    "inet": (*_IP_HOOKS, "ingress"),
    "arp": ("input", "output"),
    "netdev": ("ingress", "egress"),
}
KINDS: Final = ("filter", "nat", "route")
_PRIORITIES: Final[Mapping[str, int]] = {
    "raw": -300,
    "mangle": -150,
    "dstnat": -100,
    "filter": 0,
    "security": 50,
    "srcnat": 100,
}
_BRIDGE_PRIORITIES: Final[Mapping[str, int]] = {"dstnat": -300, "filter": -200, "out": 100, "srcnat": 300}
_HANDLE: Final = re.compile(r"#\s*handle\s+(\d{1,18})\s*\Z")


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that was not understood, and its first word."""

    kind: Kind
    message: str
    token: Token
    hint: str = ""


@dataclass(slots=True)
class _Parts:
    """What a table holds, while it is read."""

    chains: dict[str, NftChain] = field(default_factory=dict)
    sets: dict[str, NftSet] = field(default_factory=dict)
    objects: dict[tuple[str, str], NftObject] = field(default_factory=dict)
    dormant: bool = False


@dataclass(slots=True)
class Blocks:
    """
    A reader of blocks.

    :param span: makes the span of the words from one to another.
    """

    text: str
    span: Callable[[Token, Token], Span]
    words: list[Token] = field(init=False)
    at: int = 0
    troubles: list[Trouble] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Split the text."""
        self.words = tokens(self.text)

    @property
    def done(self) -> bool:
        """True if no word is left."""
        return self.at >= len(self.words)

    def peek(self) -> str:
        """The next word, "" at the end."""
        return "" if self.done else self.words[self.at].text

    def pass_ends(self) -> None:
        """Pass over line ends and semicolons."""
        while self.peek() in END and not self.done:
            self.at += 1

    def statement(self) -> list[Token]:
        """The words up to the end of the statement; line ends in braces do not end it."""
        found: list[Token] = []
        depth = 0
        while not self.done:
            token = self.words[self.at]
            text = "" if token.quoted else token.text
            if depth == 0 and (text in END or text == "}"):
                break
            depth += {"{": 1, "}": -1}.get(text, 0)
            if text != "\n":
                found.append(token)
            self.at += 1
        return found

    def skip_block(self) -> list[Token]:
        """Pass over ``{ … }``; its words without the braces."""
        start = self.at + 1
        depth = 0
        while not self.done:
            token = self.words[self.at]
            depth += 0 if token.quoted else {"{": 1, "}": -1}.get(token.text, 0)
            self.at += 1
            if depth == 0:
                return self.words[start : self.at - 1]
        return self.words[start:]

    def table(self, family: str, name: str, first: Token) -> NftTable:
        """A table whose ``{`` is next."""
        self.at += 1
        found = _Parts()
        while True:
            self.pass_ends()
            if self.done:
                end = "the file was cut off"
                self.troubles.append(
                    Trouble(Kind.MALFORMED, f"{quoted(f'table {name}')} does not end", first, end)
                )
                break
            token = self.words[self.at]
            if token.text == "}" and not token.quoted:
                self.at += 1
                break
            self._part(self._head(), token, family, found)
        return NftTable(
            family, name, found.chains, self.span(first, first), found.dormant, found.sets, found.objects
        )

    def _part(self, head: list[Token], token: Token, family: str, found: _Parts) -> None:
        word = token.text
        opened = self.peek() == "{" and not self.done
        if not opened:
            if word == "flags":
                found.dormant = found.dormant or any(t.text == "dormant" for t in head)
        elif word == "chain" and len(head) > 1:
            chain = self.chain(head[1].text, family, token)
            found.chains[chain.name] = chain
        elif word in ("set", "map", "meter") and len(head) > 1:
            named = self.named_set(head[1].text, family, token)
            found.sets[named.name] = named
        elif len(head) > 1:
            kind = " ".join(t.text for t in head[:-1])
            entry = read_object(kind, head[-1].text, self.skip_block(), self.span(token, token))
            found.objects[entry.kind, entry.name] = entry
        elif head:
            self.skip_block()
        else:
            self.at += 1

    def named_set(self, name: str, family: str, first: Token) -> NftSet:
        """A set, map or meter whose ``{`` is next."""
        found, notes = read_set(name, self.skip_block(), self.text, family, self.span(first, first))
        self.troubles.extend(Trouble(Kind.UNMODELLED, note.message, note.token or first) for note in notes)
        return found

    def chain(self, name: str, family: str, first: Token) -> NftChain:
        """A chain whose ``{`` is next."""
        self.at += 1
        rules: list[NftRule] = []
        header: dict[str, object] = {}
        span = self.span(first, first)
        while True:
            self.pass_ends()
            if self.done:
                break
            token = self.words[self.at]
            if token.text == "}" and not token.quoted:
                self.at += 1
                break
            words = self.statement()
            if not words:
                self.at += 1
            elif words[0].text == "type" and len(words) > 1:
                header.update(chain_header(words, family))
                span = self.span(words[0], words[-1])
            elif words[0].text == "policy" and len(words) > 1:
                header["policy"] = words[1].text
            elif words[0].text not in ("comment", "flags", "devices"):
                rules.append(self.rule(words, family))
        return NftChain(name, tuple(rules), span, **header)  # type: ignore[arg-type] # as chain_header names them

    def rule(self, words: list[Token], family: str) -> NftRule:
        """One rule."""
        statements, notes = read_nft_rule(words, self.text, family)
        self.troubles.extend(Trouble(Kind.UNMODELLED, note.message, note.token or words[0]) for note in notes)
        span = self.span(words[0], words[-1])
        comment = next((b.text for a, b in pairwise(words) if a.text == "comment" and b.quoted), "")
        handle = _HANDLE.search(span.text)
        return NftRule(statements, span, None if handle is None else int(handle[1]), comment)

    def _head(self) -> list[Token]:
        """The words up to ``{`` or the end of the statement."""
        found: list[Token] = []
        while not self.done and (
            self.words[self.at].quoted or (self.peek() not in ("{", "}") and self.peek() not in END)
        ):
            found.append(self.words[self.at])
            self.at += 1
        return found


def chain_header(words: list[Token], family: str) -> dict[str, object]:
    """``type KIND hook HOOK [device D | devices = { … }] priority P``: fields of :class:`NftChain`."""
    texts = [word.text for word in words]

    def behind(name: str) -> list[str]:
        return texts[texts.index(name) + 1 :] if name in texts else []

    kind, hook, priority = behind("type")[:1], behind("hook")[:1], behind("priority")
    devices: list[str] = []
    for name in ("device", "devices"):
        for text in behind(name):
            if text in ("priority", "}"):
                break
            if text not in ("=", "{", ","):
                devices.append(text)
    found: dict[str, object] = {
        "kind": kind[0] if kind else None,
        "hook": hook[0] if hook else None,
        "priority": _priority(priority, family),
        "policy": "accept",
        "devices": tuple(devices),
    }
    policy = behind("policy")
    return {**found, "policy": policy[0]} if policy else found


def _priority(words: list[str], family: str) -> int | None:
    """``-310``, ``filter``, ``dstnat + 5``, ``dstnat - 5``; None if it is none of them."""
    names = _BRIDGE_PRIORITIES if family == "bridge" else _PRIORITIES
    text = "".join(words[:3]).partition(";")[0]
    for name, number in names.items():
        if text.startswith(name):
            offset = text.removeprefix(name)
            return number + _integer(offset) if offset else number
    number_text = words[0] if words else ""
    return _integer(number_text) if number_text.lstrip("+-").isdigit() else None


def _integer(text: str) -> int:
    bare = text.lstrip("+-")
    if not (bare.isascii() and bare.isdigit()) or len(bare) > len("2147483648"):
        return 0
    return -int(bare) if text.startswith("-") else int(bare)


def line_spans(text: str, file: str, read_at: float | None) -> Callable[[Token, Token], Span]:
    """Spans of a dump: the whole line that a word stands in."""
    starts = [0, *(at + 1 for at, letter in enumerate(text) if letter == "\n")]

    def span(first: Token, _: Token) -> Span:
        number = bisect_right(starts, first.start)
        line = text[starts[number - 1] :].partition("\n")[0]
        return Span(file, line=number, text=line.removesuffix("\r"), read_at=read_at)

    return span
