"""
One rule: words to matches and a target.

The words are read as iptables reads its command line: ``-m`` loads a module, an option belongs to the target
if there is one, else to the module loaded last that has it, else to the module of the protocol. Long options
may be shortened. ``!`` stands before an option, or (older releases) before its value. Nothing is dropped:
what is not understood stays as a match or target that says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from bothways.facts.iptables import Match, Target
from bothways.parse.iptables_options import BUILTIN, COMBINED, MATCHES, PRESENT, TARGETS, Option
from bothways.parse.iptables_values import ALWAYS
from bothways.parse.iptables_words import Word
from bothways.parse.reading import NotModelledError, quoted

__all__ = ["Note", "RuleBody", "read_rule"]

_FULL_MARK: Final = 0xFFFFFFFF
_BY_PROTOCOL: Final = {
    1: "icmp", 6: "tcp", 17: "udp", 33: "dccp", 50: "esp", 51: "ah", 58: "icmp6", 132: "sctp", 135: "mh",
    136: "udplite",
}  # fmt: skip
#: Options of the command and not of the rule.
_COMMAND: Final = frozenset({"-4", "-6", "--ipv4", "--ipv6", "-w", "-v", "-n"})
_MODULE_NAMES: Final = {"icmpv6": "icmp6"}


@dataclass(frozen=True, slots=True)
class Note:
    """What could not be understood, and where in the line."""

    message: str
    column: int
    malformed: bool = False


@dataclass(frozen=True, slots=True)
class RuleBody:
    """Everything of a rule behind its chain."""

    matches: tuple[Match, ...]
    target: Target | None
    counters: tuple[int, int] | None = None
    notes: tuple[Note, ...] = ()


@dataclass(slots=True)
class _TargetDraft:
    name: str
    goto: bool
    known: bool
    modelled: bool = True
    options: dict[str, object] = field(default_factory=dict)

    def finished(self) -> Target:
        if self.name == "CONNMARK" and self.options.keys() & {"save-mark", "restore-mark"}:
            both = self.options.get("mask", _FULL_MARK)
            self.options.setdefault("nfmask", both)
            self.options.setdefault("ctmask", both)
        return Target(self.name, self.options, self.goto, self.known and self.modelled)


@dataclass(slots=True)
class _Reader:
    """State while the words of one rule are read."""

    words: tuple[Word, ...]
    chains: Collection[str]
    at: int = 0
    modules: list[str] = field(default_factory=list)
    protocol: int | None = None
    matches: list[Match] = field(default_factory=list)
    combined: dict[str, set[str]] = field(default_factory=dict)
    bare: dict[str, Word] = field(default_factory=dict)
    target: _TargetDraft | None = None
    counters: tuple[int, int] | None = None
    notes: list[Note] = field(default_factory=list)

    def read(self) -> RuleBody:
        while self.at < len(self.words):
            self._one()
        for module, flags in self.combined.items():
            self.matches.append(Match(f"{module}.{module}", frozenset(flags)))
        asked = {match.name.partition(".")[0] for match in self.matches}
        for module in dict.fromkeys(self.modules):
            if module in PRESENT and module not in asked:
                self.matches.append(Match(f"{module}.{module}", value=True))
        for module, word in self.bare.items():
            self._unmodelled(
                Match(module, "", modelled=False), word, f"the match {quoted(module)} is not known"
            )
        target = self.target.finished() if self.target else None
        return RuleBody(tuple(self.matches), target, self.counters, tuple(self.notes))

    def _one(self) -> None:
        word = self.words[self.at]
        self.at += 1
        negate = False
        if word.negation and self.at < len(self.words):
            negate = True
            word = self.words[self.at]
            self.at += 1
        if not word.option:
            text = self._raw(word)
            self._stray(text, word)
        elif word.text in ("-m", "--match"):
            self._module(word)
        elif word.text in ("-j", "--jump", "-g", "--goto"):
            self._jump(word, goto=word.text in ("-g", "--goto"))
        elif word.text in ("-c", "--set-counters"):
            self._counters(word)
        elif word.text not in _COMMAND:
            self._option(word, negate=negate)

    def _value(self) -> Word | None:
        if self.at >= len(self.words):
            return None
        self.at += 1
        return self.words[self.at - 1]

    def _raw(self, first: Word | None = None) -> str:
        """The words up to the next option, as text."""
        texts = [first.text] if first else []
        while self.at < len(self.words):
            word = self.words[self.at]
            following = self.words[self.at + 1] if self.at + 1 < len(self.words) else None
            if word.option or (word.negation and following is not None and following.option):
                break
            texts.append(word.text)
            self.at += 1
        return " ".join(texts)

    def _stray(self, text: str, word: Word) -> None:
        note = Note(f"{quoted(text)} is no option", word.column, malformed=True)
        self.notes.append(note)
        self.matches.append(Match("unreadable", text, modelled=False))

    def _unmodelled(self, match: Match, word: Word, message: str, *, malformed: bool = False) -> None:
        self.matches.append(match)
        self.notes.append(Note(message, word.column, malformed))

    def _module(self, word: Word) -> None:
        value = self._value()
        if value is None:
            self._stray(word.text, word)
            return
        name = _MODULE_NAMES.get(value.text, value.text)
        self.modules.append(name)
        if name in COMBINED:
            self.combined.setdefault(name, set())
        elif name not in MATCHES:
            self.bare[name] = value

    def _jump(self, word: Word, *, goto: bool) -> None:
        value = self._value()
        if value is None or self.target is not None:
            self._stray(word.text, word)
            return
        name = value.text
        known = name in self.chains or (name in TARGETS and not goto)
        self.target = _TargetDraft(name, goto, known)
        if not known:
            message = f"{quoted(name)} is neither a target that is known nor a chain of this table"
            self.notes.append(Note(message, value.column))

    def _counters(self, word: Word) -> None:
        values = [self._value(), self._value()]
        numbers = [int(v.text) for v in values if v is not None and v.text.isascii() and v.text.isdigit()]
        if len(numbers) == 2:  # noqa: PLR2004 (two words)
            self.counters = (numbers[0], numbers[1])
        else:
            self._stray(word.text, word)

    def _option(self, word: Word, *, negate: bool) -> None:
        key = word.text.removeprefix("--")
        if self.target is not None and self.target.name in TARGETS and not self.target.goto:
            option = _lookup(key, TARGETS[self.target.name])
            if option is not None:
                self._target_option(self.target, option, word)
                return
        found = self._find(word)
        if found is not None:
            module, option = found
            self._match_option(module, option, word, negate=negate)
        elif self.target is not None and self.target.name not in self.chains:
            raw = self._raw()
            self.target.modelled = False
            self.target.options[key] = raw
            text = quoted(f"{word.text} {raw}".strip())
            self.notes.append(
                Note(f"{text} of the target {quoted(self.target.name)} is not known", word.column)
            )
        else:
            self._unknown(word, key, negate=negate)

    def _unknown(self, word: Word, key: str, *, negate: bool) -> None:
        raw = self._raw()
        module = self.modules[-1] if self.modules else ""
        self.bare.pop(module, None)
        name = f"{module}.{key}" if module else key.removeprefix("-")
        text = f"{word.text} {raw}".strip()
        match = Match(name, raw, negate, modelled=False)
        self._unmodelled(match, word, f"the match {quoted(text)} is not known")

    def _find(self, word: Word) -> tuple[str, Option] | None:
        """The option with the module that has it ("" = none); exact names before shortened ones."""
        if word.text in BUILTIN:
            return "", BUILTIN[word.text]
        if not word.text.startswith("--"):
            return None
        key = word.text[2:]
        tables = [(name, MATCHES[name]) for name in self._active() if name in MATCHES]
        for name, table in tables:
            if key in table:
                return name, table[key]
        for name, table in tables:
            option = _lookup(key, table)
            if option is not None:
                return name, option
        long = {name[2:]: option for name, option in BUILTIN.items() if name.startswith("--")}
        shortened = _lookup(key, long)
        return None if shortened is None else ("", shortened)

    def _active(self) -> Iterator[str]:
        yield from reversed(self.modules)
        if self.protocol in _BY_PROTOCOL:
            yield _BY_PROTOCOL[self.protocol]

    def _arguments(self, option: Option) -> tuple[tuple[str, ...], bool] | None:
        """Words of the option, and whether ``!`` stood before them; None if the line ends too early."""
        if not option.words:
            return option.fixed, False
        if option.optional and (self.at >= len(self.words) or self.words[self.at].option):
            return ("",) * option.words, False
        inner = self.at < len(self.words) and self.words[self.at].negation
        self.at += inner
        taken = self.words[self.at : self.at + option.words]
        self.at += len(taken)
        return (tuple(w.text for w in taken), inner) if len(taken) == option.words else None

    def _match_option(self, module: str, option: Option, word: Word, *, negate: bool) -> None:
        name = f"{module}.{option.name}" if module else option.name
        if module in self.combined:
            self.combined[module].add(option.name)
            return
        given = self._arguments(option)
        if given is None:
            match = Match(name, "", negate, modelled=False)
            self._unmodelled(match, word, f"{quoted(word.text)} has no value", malformed=True)
            return
        texts, inner = given
        negate = negate or inner
        try:
            met = _met(name, option, texts, negate)
        except ValueError as error:
            raw = " ".join(texts)
            match = Match(name, raw, negate, modelled=False)
            message = f"{quoted(f'{word.text} {raw}')}: {error}"
            self._unmodelled(match, word, message, malformed=not isinstance(error, NotModelledError))
            return
        if met is None:
            return
        if option.name == "protocol" and not module and isinstance(met.value, int) and not negate:
            self.protocol = met.value
        self.matches.append(met)

    def _target_option(self, target: _TargetDraft, option: Option, word: Word) -> None:
        given = self._arguments(option)
        texts = given[0] if given else ()
        raw = " ".join(texts)
        message = ""
        try:
            decoded = _once(option, word, given, target)
        except ValueError as error:
            message = f"{quoted(f'{word.text} {raw}')} of {quoted(target.name)}: {error}"
            target.modelled = False
            decoded = target.options.get(option.name, raw)
            self.notes.append(Note(message, word.column, not isinstance(error, NotModelledError)))
        target.options[option.name] = decoded


@lru_cache(maxsize=1 << 14)
def _met(name: str, option: Option, texts: tuple[str, ...], negate: bool) -> Match | None:  # noqa: FBT001 - part of the key
    """
    The condition that some words make, None for one that every packet fulfils.

    Equal words give the same object: a large ruleset asks the same again and again.
    """
    decoded = option.decode(*texts)
    if decoded is not ALWAYS:
        return Match(name, decoded, negate)
    if negate:
        raise NotModelledError("a condition that no packet fulfils")
    return None


def read_rule(words: tuple[Word, ...], chains: Collection[str]) -> RuleBody:
    """
    Read the words behind ``-A CHAIN``.

    :param chains: names of the table's chains; a jump to anything else is a target.
    """
    return _Reader(words, chains).read()


def _once(
    option: Option, word: Word, given: tuple[tuple[str, ...], bool] | None, target: _TargetDraft
) -> object:
    if given is None:
        raise ValueError(f"{quoted(word.text)} has no value")
    if option.name in target.options:
        raise NotModelledError(f"{quoted(word.text)} stands twice")
    return option.decode(*given[0])


def _lookup(key: str, table: Mapping[str, Option]) -> Option | None:
    """An option by its name or by a beginning that only it has."""
    if key in table:
        return table[key]
    if not key or key.startswith("-"):
        return None
    found = {option.name: option for name, option in table.items() if name.startswith(key)}
    return next(iter(found.values())) if len(found) == 1 else None
